"""ExtractNewRecordState as a form of its own: the row's text goes to the bytes of the unwrapped row.

The event around the row is not written at all. What the transform may be asked for and this form does not have (fields
of `before`, of `after` and of the transaction block) raises `Unfit`, and the plain form serves.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Sequence
from typing import Any, Final

from cdc.composing import Writer, joined
from cdc.converters.header import SimpleHeaderConverter
from cdc.envelope import CONNECTOR, DEBEZIUM_VERSION, SOURCE_SCHEMA, envelope_schema
from cdc.layout import Layout
from cdc.model.javaerrors import JavaError
from cdc.model.schema import OPTIONAL_STRING, Schema, Struct
from cdc.render import Record, RenderOptions
from cdc.render_copy import CopyRender, Fields, Reading
from cdc.source import SourceOptions, SourceState, WireHeaders
from cdc.transforms.debezium.new_record_state import DELETED, REWRITE, FieldReference, Unwrap
from cdc.transforms.schemas import field_pairs, struct_like
from cdc.values.jsontext import quote

Piece = bytes | str
"""A constant, or the expression of bytes."""


class Unfit(Exception):
    """A layout, or an option of the transform, that only the plain form can carry out."""


def _text(name: str) -> tuple[str, str]:
    return f"quote({name})", name


def _number(expression: str) -> tuple[str, str]:
    return f"b'%d' % ({expression})", f"b'%d' % ({expression})"


# Field of the event or of its source -> the expressions of its JSON and of its header.
_EVENT: Final = {
    "ts_ms": _number("state.clock_nanos // 1_000_000"),
    "ts_us": _number("state.clock_nanos // 1000"),
    "ts_ns": _number("state.clock_nanos"),
}
_SOURCE: Final = {
    "version": _text(repr(DEBEZIUM_VERSION.encode())),
    "connector": _text(repr(CONNECTOR.encode())),
    "name": _text("state.options.prefix.encode()"),
    "ts_ms": _number("state.commit_micros // 1000"),
    "ts_us": _number("state.commit_micros"),
    "ts_ns": _number("state.commit_micros * 1000"),
    "db": ("state.database", "state.options.database.encode()"),
    "sequence": _text("state.sequence(lsn)"),
    "txId": ("state.xid_text", "state.xid_text"),
    "lsn": ("lsn", "lsn"),
}
_NULL: Final = ("b'null'", "None")


class UnwrapWriter(Writer):
    """Writes the source of a render function that unwraps.

    Args:
        layout: How the relation looks.
        options: What the configuration says about records.
        unwrap: What it says about unwrapping.

    Raises:
        Unfit: The plain form is needed.
    """

    def __init__(self, layout: Layout, options: RenderOptions, unwrap: Unwrap) -> None:
        self.unwrap = unwrap
        self.rewrites = unwrap.mode in REWRITE
        super().__init__(layout, options)
        self.event = envelope_schema(layout, options.topics)
        named = self.event.name is not None and self.event.name.endswith(".Envelope")
        # Each record counts in the transaction block, those that are dropped too.
        if not named or not layout.columns or options.transaction_metadata:
            raise Unfit
        if options.skip_unchanged and self.null_as_default:
            raise Unfit  # a NULL and the default would look alike
        try:
            self.rows = [unwrapped(row, self.event, unwrap) for row in (layout.before_schema, layout.row_schema)]
            self.fields = self._found(unwrap.add_fields)
            self.heads = self._found(unwrap.add_headers)
        except JavaError as error:
            raise Unfit from error
        self.namespace |= {"quote": quote, "passed": _passed}

    @property
    def null_as_default(self) -> bool:
        """Rewriting reads each NULL as its column's default, where the transform's option does not say otherwise."""
        return self.options.null_as_default or (self.rewrites and self.unwrap.replace_null_with_default)

    def _found(self, references: Sequence[FieldReference]) -> list[tuple[FieldReference, tuple[str, str] | None]]:
        """The references that the event has, with their expressions; None for `op`, which is the record's own."""
        return [(each, self._expressions(each)) for each in references if each.schema_in(self.event) is not None]

    def _expressions(self, reference: FieldReference) -> tuple[str, str] | None:
        relation, name = self.layout.relation, reference.field
        if reference.struct == "transaction":
            return _NULL
        if reference.struct == "source" and SOURCE_SCHEMA.field(name) is not None:
            if name in ("schema", "table"):
                return _text(repr((relation.schema if name == "schema" else relation.name).encode()))
            if name == "snapshot":
                return _NULL if self.strict else _text(repr(b"false"))
            if name == "xmin":
                return _NULL
            if name in _SOURCE:
                return _SOURCE[name]
        elif reference.struct in (None, "source"):
            if name == "op":
                return None
            if name in _EVENT:
                return _EVENT[name]
        raise Unfit

    # -- records out -------------------------------------------------------------------------------------------------

    def record(
        self, op: str, *, before: str | None, after: str | None, key: str | None = None, first: str = "None"
    ) -> str:
        """The expression of a record, or of none."""
        heads = [(ref.new_name, repr(op.encode()) if found is None else found[1]) for ref, found in self.heads]
        prefix = after or before or ""
        if after is None and self.unwrap.mode == "drop":
            return self.nothing()
        value = self.value(op, prefix, deleted=after is None)
        return f"({self.layout.topic!r}, {key or self.key(prefix)}, {value}, {self.headers_with(first, heads)})"

    def tombstone(self, key: str, first: str = "None") -> str:
        """The expression of the record behind a deletion, or of none."""
        if self.unwrap.mode != "rewrite-with-tombstone":
            return self.nothing()
        heads = [(ref.new_name, "b'd'") for ref in self.unwrap.add_headers if ref.field == "op"]
        return f"({self.layout.topic!r}, {key}, None, {self.headers_with(first, heads)})"

    def nothing(self) -> str:
        """A record that is dropped; it has had its position."""
        return "*passed(state)" if self.options.extended_headers else ""

    def headers_with(self, first: str, heads: Sequence[tuple[str, str]]) -> str:
        """The headers of a record, `add.headers` behind the others."""
        added = ", ".join(f"({name!r}, {expression})" for name, expression in heads)
        usual = self.headers(first)
        if not added:
            return usual
        return f"[{added}]" if usual == "None" else f"[*({usual} or ()), {added}]"

    def value(self, op: str, prefix: str, *, deleted: bool) -> str:
        """The expression of a row's value."""
        if deleted and not self.rewrites:
            # Debezium's null has a schema in mode tombstone, so that JSON writes `null`.
            schema = None if self.unwrap.real_tombstones or self.unwrap.mode != "tombstone" else self.layout.row_schema
            return repr(self.value_json.from_connect(schema, None))
        end: list[Piece] = []
        if self.rewrites:
            end.append(_member(DELETED) + (b'"true"' if deleted else b'"false"'))
        for ref, found in self.fields:
            end += [_member(ref.new_name), b'"%b"' % op.encode() if found is None else found[0]]
        pieces = [*self.struct(prefix, self.layout.columns)[:-1], *end, b"}"]
        return self.whole(pieces, self.rows[0 if deleted else 1])

    def whole(self, pieces: Sequence[Piece], schema: Schema) -> str:
        """The expression of a value, the schema beside it where the converter writes it."""
        if not self.options.value_schemas:
            return joined(pieces)
        text = self.value_json.schema_text(schema).encode()
        return joined([b'{"schema":' + text + b',"payload":', *pieces, b"}"])

    def copied(self) -> list[bytes | str]:
        """The value of a row that was read, up to its tail."""
        pieces = [*self.struct("c", self.layout.columns)[:-1], "tail"]
        if not self.options.value_schemas:
            return pieces
        return [b'{"schema":' + self.value_json.schema_text(self.rows[1]).encode() + b',"payload":', *pieces]

    def tail(self, event: Struct) -> bytes:
        """What stands behind the row in the values of rows that are read."""
        text = f',"{DELETED}":"false"' if self.rewrites else ""
        for ref, _ in self.fields:
            text += _member(ref.new_name).decode() + self.value_json.payload(
                ref.schema_in(self.event), ref.value_in(event)
            )
        return (text + ("}}" if self.options.value_schemas else "}")).encode()


def unwrapped(row: Schema, event: Schema, unwrap: Unwrap) -> Schema:
    """The schema of an unwrapped row.

    Raises:
        JavaError: A name stands twice, or the event has no such struct.
    """
    if unwrap.mode in REWRITE:
        row = struct_like(row, [*field_pairs(row), (DELETED, OPTIONAL_STRING)])
    added = [(ref.new_name, found) for ref in unwrap.add_fields if (found := ref.schema_in(event)) is not None]
    return struct_like(row, [*field_pairs(row), *added])


def _member(name: str) -> bytes:
    return b"," + quote(name.encode()) + b":"


def _passed(state: SourceState) -> tuple[()]:
    """A record that is dropped behind the renderer has a position all the same."""
    if state.position:
        state.ordinal += 1
    return ()


class UnwrapCopy:
    """Rows of a snapshot, unwrapped; the interface of `CopyRender`.

    Args:
        layout: How the relation looks.
        options: What the configuration says about records.
        source: What it says about everything around the row.
        writer: Writes the source of the row's function.
    """

    def __init__(self, layout: Layout, options: RenderOptions, source: SourceOptions, writer: UnwrapWriter) -> None:
        self._writer = writer
        self._rows = CopyRender(layout, options, source, writer)
        self._usual: WireHeaders = (self._rows.headers() or ()) if options.extended_headers else ()
        self.identity: Callable[[Sequence[str]], Callable[[Fields], Hashable]] = self._rows.identity

    def tail(self, reading: Reading) -> tuple[bytes, list[tuple[str, bytes | None]]]:
        """What stands behind the rows of a reading, and the headers that are added to theirs."""
        nanos, source = reading.now_nanos, self._rows.source_struct(reading)
        event = Struct(self._writer.event, [None, None, source, None, "r", nanos // 1_000_000, nanos // 1000, nanos])
        convert = SimpleHeaderConverter().from_connect
        heads = [
            (ref.new_name, convert(ref.schema_in(event.schema), ref.value_in(event))) for ref, _ in self._writer.heads
        ]
        return self._writer.tail(event), heads

    def row(self, line: bytes, tail: Any) -> tuple[Fields, Record | None]:
        """A COPY line as its fields and its record.

        Raises:
            DecodeError: A codec refused a value.
        """
        fields, record = self._rows.row(line, tail[0])
        assert record is not None
        topic, key, value, own = record
        return fields, (topic, key, value, [*((self._usual or ()) if own is None else own), *tail[1]])
