"""Messages of the `pgoutput` plugin, protocol version 1.

Source: PostgreSQL documentation, "Logical Replication Message Formats". This is the plain parser: it checks every
length, and says where a message is broken. The renderer reads row messages faster and falls back to it for errors.
"""

from __future__ import annotations

from collections.abc import Callable
from enum import Enum
from typing import Final, NamedTuple

from cdc.errors import ProtocolError
from cdc.lsn import LSN
from cdc.model.relation import Column, Relation, ReplicaIdentity
from cdc.wire.frames import POSTGRES_EPOCH_MICROS


class Unchanged(Enum):
    """The third value beside null and text: a TOAST value that the UPDATE did not touch and the server did not send."""

    UNCHANGED = "u"


UNCHANGED: Final = Unchanged.UNCHANGED

Cell = bytes | None | Unchanged
"""Text of a value, null, or unchanged TOAST."""


class Begin(NamedTuple):
    """A transaction starts; its rows follow, whole, up to `Commit`.

    Attributes:
        final_lsn: Start of its commit record: the transaction's place in commit order.
        commit_micros: Commit time, microseconds since the Unix epoch.
        xid: Top-level transaction id, 32 bits.
    """

    final_lsn: LSN
    commit_micros: int
    xid: int


class Commit(NamedTuple):
    """A transaction ends.

    Attributes:
        commit_lsn: Equal to `Begin.final_lsn`.
        end_lsn: End of the commit record: what may be acknowledged and waited for.
        commit_micros: Microseconds since the Unix epoch.
    """

    commit_lsn: LSN
    end_lsn: LSN
    commit_micros: int


class Origin(NamedTuple):
    """The transaction was replicated from elsewhere."""

    commit_lsn: LSN
    name: str


class TypeMessage(NamedTuple):
    """A type that is not built in."""

    oid: int
    schema: str
    name: str


class Insert(NamedTuple):
    """A new row."""

    relation: int
    new: list[Cell]


class Update(NamedTuple):
    """A changed row.

    Attributes:
        relation: The relation's OID.
        old: The old row (FULL), its key (key changed), or None.
        old_kind: "O" (whole row), "K" (key columns only) or "".
        new: The new row.
    """

    relation: int
    old: list[Cell] | None
    old_kind: str
    new: list[Cell]


class Delete(NamedTuple):
    """A deleted row; `old_kind` as in `Update`."""

    relation: int
    old: list[Cell]
    old_kind: str


class Truncate(NamedTuple):
    """Tables were emptied, all of them in one message."""

    relations: list[int]
    cascade: bool
    restart_identity: bool


class Message(NamedTuple):
    """`pg_logical_emit_message`.

    Attributes:
        transactional: Whether it belongs to the open transaction.
        lsn: Its own position, the only one that a non-transactional message has.
        prefix: Its prefix.
        content: Its bytes.
    """

    transactional: bool
    lsn: LSN
    prefix: str
    content: bytes


PgOutput = Begin | Commit | Origin | Relation | TypeMessage | Insert | Update | Delete | Truncate | Message


class _Reader:
    """Walks over one message; every step is checked."""

    __slots__ = ("data", "offset", "tag")

    def __init__(self, data: bytes) -> None:
        self.data = data
        self.tag = chr(data[0])
        self.offset = 1

    def fail(self, reason: str, offset: int | None = None) -> ProtocolError:
        return ProtocolError(
            reason, tag=self.tag, offset=self.offset if offset is None else offset, length=len(self.data)
        )

    def take(self, count: int, what: str) -> bytes:
        end = self.offset + count
        if count < 0 or end > len(self.data):
            raise self.fail(f"truncated {what}")
        piece = self.data[self.offset : end]
        self.offset = end
        return piece

    def number(self, size: int, what: str) -> int:
        return int.from_bytes(self.take(size, what), "big")

    def signed(self, size: int, what: str) -> int:
        return int.from_bytes(self.take(size, what), "big", signed=True)

    def text(self, what: str) -> str:
        end = self.data.find(b"\0", self.offset)
        if end < 0:
            raise self.fail(f"unterminated {what}")
        start, self.offset = self.offset, end + 1
        try:
            return self.data[start:end].decode("utf-8")
        except UnicodeDecodeError as error:
            raise self.fail(f"{what} is not UTF-8", start + error.start) from error

    def cells(self) -> list[Cell]:
        cells: list[Cell] = []
        for _ in range(self.number(2, "column count")):
            kind = self.take(1, "column kind")
            if kind == b"t":
                cells.append(self.take(self.number(4, "value length"), "value"))
            elif kind == b"n":
                cells.append(None)
            elif kind == b"u":
                cells.append(UNCHANGED)
            else:
                raise self.fail(f"unknown column kind {kind!r}", self.offset - 1)
        return cells

    def end(self) -> None:
        if self.offset != len(self.data):
            raise self.fail("trailing bytes")


def parse_message(payload: bytes) -> PgOutput:
    """Read one pgoutput message.

    Raises:
        ProtocolError: Unknown tag, truncated or overlong message, text that is not UTF-8.
    """
    if not payload:
        raise ProtocolError("empty message")
    parse = _PARSERS.get(payload[0])
    if parse is None:
        raise ProtocolError("unknown message", tag=chr(payload[0]), offset=0, length=len(payload))
    reader = _Reader(payload)
    message = parse(reader)
    reader.end()
    return message


def _begin(reader: _Reader) -> Begin:
    lsn = LSN(reader.number(8, "final LSN"))
    micros = reader.signed(8, "commit time") + POSTGRES_EPOCH_MICROS
    return Begin(lsn, micros, reader.number(4, "xid"))


def _commit(reader: _Reader) -> Commit:
    reader.number(1, "flags")
    commit, end = LSN(reader.number(8, "commit LSN")), LSN(reader.number(8, "end LSN"))
    return Commit(commit, end, reader.signed(8, "commit time") + POSTGRES_EPOCH_MICROS)


def _origin(reader: _Reader) -> Origin:
    return Origin(LSN(reader.number(8, "commit LSN")), reader.text("origin name"))


def _relation(reader: _Reader) -> Relation:
    oid = reader.number(4, "relation id")
    schema, name = reader.text("namespace"), reader.text("relation name")
    letter = reader.take(1, "replica identity").decode("latin-1")
    try:
        identity = ReplicaIdentity(letter)
    except ValueError:
        raise reader.fail(f"unknown replica identity {letter!r}", reader.offset - 1) from None
    columns = []
    for _ in range(reader.number(2, "column count")):
        flags = reader.number(1, "column flags")
        column = reader.text("column name")
        type_oid = reader.number(4, "type id")
        columns.append(Column(column, type_oid, reader.signed(4, "type modifier"), bool(flags & 1)))
    return Relation(oid, schema or "pg_catalog", name, identity, tuple(columns))


def _type(reader: _Reader) -> TypeMessage:
    return TypeMessage(reader.number(4, "type id"), reader.text("namespace"), reader.text("type name"))


def _new(reader: _Reader) -> list[Cell]:
    kind = reader.take(1, "tuple kind")
    if kind != b"N":
        raise reader.fail(f"expected a new tuple, found {kind!r}", reader.offset - 1)
    return reader.cells()


def _insert(reader: _Reader) -> Insert:
    return Insert(reader.number(4, "relation id"), _new(reader))


def _update(reader: _Reader) -> Update:
    relation = reader.number(4, "relation id")
    kind = reader.data[reader.offset : reader.offset + 1]
    if kind not in (b"K", b"O"):
        return Update(relation, None, "", _new(reader))
    reader.offset += 1
    old = reader.cells()
    return Update(relation, old, kind.decode(), _new(reader))


def _delete(reader: _Reader) -> Delete:
    relation = reader.number(4, "relation id")
    kind = reader.take(1, "tuple kind")
    if kind not in (b"K", b"O"):
        raise reader.fail(f"expected an old tuple, found {kind!r}", reader.offset - 1)
    return Delete(relation, reader.cells(), kind.decode())


def _truncate(reader: _Reader) -> Truncate:
    count, flags = reader.number(4, "relation count"), reader.number(1, "flags")
    if count * 4 > len(reader.data) - reader.offset:
        raise reader.fail("truncated relation ids")
    return Truncate([reader.number(4, "relation id") for _ in range(count)], bool(flags & 1), bool(flags & 2))


def _message(reader: _Reader) -> Message:
    flags = reader.number(1, "flags")
    lsn, prefix = LSN(reader.number(8, "LSN")), reader.text("prefix")
    return Message(bool(flags & 1), lsn, prefix, reader.take(reader.number(4, "content length"), "content"))


_PARSERS: Final[dict[int, Callable[[_Reader], PgOutput]]] = {
    ord("B"): _begin, ord("C"): _commit, ord("O"): _origin, ord("R"): _relation, ord("Y"): _type, ord("I"): _insert,
    ord("U"): _update, ord("D"): _delete, ord("T"): _truncate, ord("M"): _message,
}  # fmt: skip
