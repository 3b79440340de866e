"""The `source` block, the clock and the headers of the records of one transaction.

What is the same for all rows of a transaction is composed once, when its Begin arrives; a row adds its LSN and table.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from cdc.envelope import BLOCK_SCHEMA, CONNECTOR, DEBEZIUM_VERSION, SOURCE_SCHEMA
from cdc.lsn import LSN
from cdc.model.record import Header
from cdc.model.schema import STRING, Struct
from cdc.values.jsontext import quote, quote_text

POSITION_HEADER = "seam.position"
"""`system id/timeline/commit LSN/ordinal`: the unique position of a record, part of the extended headers."""

UNAVAILABLE_HEADER = "seam.unavailable"
"""A JSON array: fields of `after` that the server did not send, being TOAST values that the update did not touch."""

SPECIAL_HEADER = "seam.special"
"""A JSON object, as in `{"after":{"price":"NaN"}}`: values for which the field's type has no room, and which are null."""

Note = tuple[str, str, bytes]
"""`("unavailable", field, b"")`, or `("before" | "after", field, text)` for a special value."""

_NO_ORIGIN: Final = b',"xmin":null,"origin":null,"origin_lsn":null},"transaction":'

WireHeaders = Sequence[tuple[str, bytes | None]] | None


@dataclass(frozen=True, slots=True)
class SourceOptions:
    """What a configuration says about everything around the row.

    Attributes:
        prefix: `topic.prefix`.
        database: `database.dbname`.
        extended_headers: `extended.headers.enabled`.
        run_id: The id of this start, in a header.
        strict: Debezium's behaviour, without headers and ids of our own.
        transaction_metadata: `provide.transaction.metadata`.
        snapshot_null: Whether `source.snapshot` is written as null (`replace.null.with.default=false`, strict).
    """

    prefix: str
    database: str
    extended_headers: bool = True
    run_id: str = ""
    strict: bool = False
    transaction_metadata: bool = False
    snapshot_null: bool = False


@dataclass(slots=True)
class SourceState:
    """The open transaction, as the renderers need it.

    Attributes:
        options: What the configuration says.
        system_id: Of the server.
        timeline: Of the server.
        database: The database's name as JSON.
    """

    options: SourceOptions
    system_id: int = 0
    timeline: int = 0
    commit_micros: int = 0
    xid: int | None = None
    commit_lsn: LSN = field(default=LSN(0))
    previous_commit: LSN | None = None
    origin: str | None = None
    origin_lsn: int = 0
    clock_nanos: int = 0
    ordinal: int = 0
    transaction_id: str = ""
    counts: dict[str, int] = field(default_factory=dict)
    # The composed texts; see `cdc.render` for the order in which they stand.
    lead: bytes = b""
    middle: bytes = b""
    xid_text: bytes = b"null"
    tail: bytes = _NO_ORIGIN
    clock: bytes = b""
    database: bytes = b""
    position: str = ""
    context_headers: list[tuple[str, bytes]] = field(default_factory=list)
    _place: str = ""
    _head: bytes = b""
    _database: bytes = b""

    def __post_init__(self) -> None:
        options = self.options
        self._place = f"{self.system_id}/{self.timeline}/"
        self._head = (
            f'"source":{{"version":"{DEBEZIUM_VERSION}","connector":"{CONNECTOR}",'
            f'"name":{quote_text(options.prefix)},"ts_ms":'
        ).encode()
        snapshot = b"null" if options.snapshot_null else b'"false"'
        self.database = quote(options.database.encode())
        self._database = b',"snapshot":' + snapshot + b',"db":' + self.database
        if options.extended_headers:
            self.context_headers = [
                ("__debezium.context.connectorLogicalName", options.prefix.encode()),
                ("__debezium.context.taskId", b"0"),
                ("__debezium.context.connectorName", CONNECTOR.encode()),
                ("__debezium.context.runId", options.run_id.encode()),
            ]

    def begin(self, commit_lsn: LSN, commit_micros: int, xid: int, lsn: int) -> None:
        """A transaction starts.

        Args:
            commit_lsn: `Begin.final_lsn`.
            commit_micros: Commit time, microseconds since the Unix epoch.
            xid: Its id.
            lsn: The LSN of the Begin frame, part of Debezium's transaction id.
        """
        self.commit_lsn = commit_lsn
        self.commit_micros = commit_micros
        self.xid = xid
        self.xid_text = b"%d" % xid
        self.ordinal = 0
        if self.origin is not None:
            self.origin, self.origin_lsn, self.tail = None, 0, _NO_ORIGIN
        if self.options.extended_headers and not self.options.strict:
            # An LSN's own text takes three times as long, once a transaction.
            self.position = "%s%X/%X/" % (self._place, commit_lsn >> 32, commit_lsn & 0xFFFFFFFF)  # noqa: UP031 - the quickest form
        if self.options.transaction_metadata:
            self.transaction_id = f"{xid}:{lsn}" if self.options.strict else f"{xid}:{int(commit_lsn)}"
            self.counts = {}
        self._compose()

    def end(self, end_lsn: LSN) -> None:
        """The transaction ended at `end_lsn`, which the next one's `source.sequence` names."""
        self.previous_commit = end_lsn

    def came_from(self, name: str, lsn: LSN) -> None:
        """The open transaction was replicated from another server."""
        self.origin, self.origin_lsn = name, int(lsn)
        origin = b'"origin":%b,"origin_lsn":%d}' % (quote(name.encode()), self.origin_lsn)
        self.tail = b',"xmin":null,%b,"transaction":' % origin

    def set_clock(self, nanos: int) -> None:
        """The processing time that the records from here on carry, nanoseconds since the Unix epoch."""
        self.clock_nanos = nanos
        self.clock = b'"ts_ms":%d,"ts_us":%d,"ts_ns":%d}' % (nanos // 1_000_000, nanos // 1000, nanos)

    def _compose(self) -> None:
        micros = self.commit_micros
        previous = self.previous_commit
        last = b"null" if previous is None else b'\\"%d\\"' % previous
        self.lead = b'%b%d%b,"sequence":"[%b,\\"' % (self._head, micros // 1000, self._database, last)
        self.middle = b'\\"]","ts_us":%d,"ts_ns":%d,' % (micros, micros * 1000)

    def block(self, collection: str, lsn: bytes) -> bytes:
        """The transaction block of the next record of a table, as JSON.

        Args:
            collection: `schema.table`.
            lsn: The record's LSN as decimal text.
        """
        order, collection_order = self._count(collection)
        transaction = self._transaction_of(lsn.decode())
        return b'{"id":"%b","total_order":%d,"data_collection_order":%d}' % (
            transaction.encode(), order, collection_order,
        )  # fmt: skip

    def block_struct(self, collection: str, lsn: int) -> Struct:
        """The same as a struct."""
        order, collection_order = self._count(collection)
        return Struct(BLOCK_SCHEMA, [self._transaction_of(str(lsn)), order, collection_order])

    def _transaction_of(self, lsn: str) -> str:
        # Debezium's id ends with the record's own position, so that no two records have the same one.
        return f"{self.xid}:{lsn}" if self.options.strict else self.transaction_id

    def _count(self, collection: str) -> tuple[int, int]:
        count = self.counts[collection] = self.counts.get(collection, 0) + 1
        return sum(self.counts.values()), count

    def headers(self, first: tuple[str, bytes] | None = None, notes: Sequence[Note] | None = None) -> WireHeaders:
        """The headers of the next record: the key-change header first, then the context, then those of our own."""
        headers = [first, *self.context_headers] if first is not None else list(self.context_headers)
        if self.position:
            headers.append((POSITION_HEADER, f"{self.position}{self.ordinal}".encode()))
            self.ordinal += 1
        if notes:
            headers += note_headers(notes)
        return headers or None

    def connect_headers(self, notes: Sequence[Note] | None = None) -> tuple[Header, ...]:
        """The headers of the next record as Connect headers."""
        own = self.headers(None, notes) or ()
        return tuple(Header(name, STRING, None if text is None else text.decode()) for name, text in own)

    def sequence(self, lsn: bytes) -> bytes:
        """`source.sequence` of a record, the text itself and not its JSON.

        Args:
            lsn: The record's LSN as decimal text.
        """
        previous = self.previous_commit
        return b'["%d","%b"]' % (previous, lsn) if previous is not None else b'[null,"%b"]' % lsn

    def message_position(self, lsn: LSN) -> None:
        """A message outside of transactions was read; Debezium takes its position for that of a commit."""
        self.previous_commit = lsn

    def source_struct(self, schema: str, table: str, lsn: int | None, *, snapshot: str | None = None) -> Struct:
        """The `source` block as a struct."""
        micros = self.commit_micros
        previous = "null" if self.previous_commit is None else f'"{int(self.previous_commit)}"'
        this = "null" if lsn is None else f'"{lsn}"'
        if snapshot is None and not self.options.strict:
            snapshot = "false"
        values: list[Any] = [
            DEBEZIUM_VERSION, CONNECTOR, self.options.prefix, micros // 1000, snapshot, self.options.database,
            f"[{previous},{this}]", micros, micros * 1000, schema, table, self.xid, lsn, None,
            self.origin, None if self.origin is None else self.origin_lsn,
        ]  # fmt: skip
        return Struct(SOURCE_SCHEMA, values)


def note_headers(notes: Sequence[Note]) -> list[tuple[str, bytes]]:
    """The headers that say what is missing in a record, and why."""
    headers = []
    unavailable = [quote(name.encode()) for kind, name, _text in notes if kind == "unavailable"]
    if unavailable:
        headers.append((UNAVAILABLE_HEADER, b"[" + b",".join(unavailable) + b"]"))
    sides = []
    for side in ("before", "after"):
        members = [quote(name.encode()) + b":" + quote(text) for kind, name, text in notes if kind == side]
        if members:
            sides.append(b'"%b":{%b}' % (side.encode(), b",".join(members)))
    if sides:
        headers.append((SPECIAL_HEADER, b"{" + b",".join(sides) + b"}"))
    return headers
