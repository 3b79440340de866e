"""Rows to Avro as a form of its own: a row's text goes to Avro's bytes, and no value of Connect is built.

The walk over the row is that of `cdc.composing`; what differs is how a column, a missing value and the event around the
row are written. `cdc.rows` with `cdc.converters.avro` is the plain form that this one is proven equal to.
"""

from __future__ import annotations

from binascii import a2b_base64
from collections.abc import Callable, Sequence
from typing import Any, Final

from cdc.composing import Writer, joined
from cdc.converters.avro import Append, AvroConverter, compose
from cdc.envelope import BLOCK_SCHEMA, SOURCE_SCHEMA, envelope_schema
from cdc.errors import ConvertError
from cdc.layout import Layout, LayoutColumn
from cdc.model.javaerrors import DataError
from cdc.model.schema import DATE, OPTIONAL_INT64, STRING, TIME, TIMESTAMP, Schema, Type
from cdc.render import RenderOptions
from cdc.render_copy import CopyRender, Reading
from cdc.source import SourceOptions, SourceState
from cdc.values.codec import IDENTITY, decode

Encode = Callable[[bytes], bytes | None]
"""Postgres text -> Avro, the branch of a union included; None for a special value that the schema has no room for."""

_INTEGERS: Final = frozenset({Type.INT8, Type.INT16, Type.INT32, Type.INT64})
_BOOLEANS: Final = {b"true": b"\x01", b"false": b"\x00"}
_BYTE: Final = [bytes([number]) for number in range(256)]
_TWO: Final = [bytes([number & 0x7F | 0x80, number >> 7 | 0x80]) for number in range(0x4000)]
_SHORT: Final = 64
"""Texts below it have a length of one byte."""


def long(value: int) -> bytes:
    """An int or long: zig-zag, then seven bits a byte."""
    number = (value << 1) ^ (value >> 63)
    if number < 0x80:
        return _BYTE[number]
    if number < 0x4000:
        return _BYTE[number & 0x7F | 0x80] + _BYTE[number >> 7]
    out = b""
    while number >= 0x4000:
        out += _TWO[number & 0x3FFF]
        number >>= 14
    if number < 0x80:
        return out + _BYTE[number]
    return out + _BYTE[number & 0x7F | 0x80] + _BYTE[number >> 7]


def _present(schema: Schema) -> bytes:
    """What says that a value is there: the branch of the union, where there is one; a default stands first."""
    if not schema.optional:
        return b""
    return b"\x02" if schema.default is None else b"\x00"


def encoder(column: LayoutColumn, schema: Schema, *, trusted: bool) -> Encode:
    """The function that writes a column's texts.

    Args:
        column: The column.
        schema: Its schema where it stands.
        trusted: Whether a text is UTF-8 for certain.
    """
    lead, codec = _present(schema), column.codec
    to_json, kind = codec.to_json, schema.type
    if kind is Type.STRING and trusted and codec.to_value is decode:
        sizes = [lead + long(size) for size in range(_SHORT)]
        return lambda text: (sizes[len(text)] if len(text) < _SHORT else lead + long(len(text))) + text
    if kind in _INTEGERS and to_json is IDENTITY:
        return lambda text: lead + long(int(text))
    if schema.name in (DATE, TIME, TIMESTAMP):
        return _by_value(column, schema)
    if kind in _INTEGERS:
        return lambda text: None if (shown := to_json(text)) == b"null" else lead + long(int(shown))
    if kind is Type.BOOLEAN:
        return _boolean(to_json, lead)
    if kind is Type.BYTES:
        return _base64(to_json, lead)
    if kind is Type.STRING:
        return _quoted(to_json, lead, _by_value(column, schema))
    return _by_value(column, schema)


def _boolean(to_json: Callable[[bytes], bytes], lead: bytes) -> Encode:
    known = {text: lead + _BOOLEANS[shown] for text in (b"t", b"f") if (shown := _tried(to_json, text)) in _BOOLEANS}

    def encode(text: bytes) -> bytes | None:
        if text in known:
            return known[text]
        shown = to_json(text)
        return None if shown == b"null" else lead + _BOOLEANS[shown]

    return encode


def _tried(to_json: Callable[[bytes], bytes], text: bytes) -> bytes:
    """What a codec makes of a text; nothing where it refuses it, as that of a bit does."""
    try:
        return to_json(text)
    except ValueError:
        return b""


def _base64(to_json: Callable[[bytes], bytes], lead: bytes) -> Encode:
    def encode(text: bytes) -> bytes | None:
        shown = to_json(text)
        if shown == b"null":
            return None
        data = a2b_base64(shown[1:-1])
        return lead + long(len(data)) + data

    return encode


def _quoted(to_json: Callable[[bytes], bytes], lead: bytes, rare: Encode) -> Encode:
    def encode(text: bytes) -> bytes | None:
        shown = to_json(text)
        if b"\\" in shown or shown == b"null":
            return rare(text)
        return lead + long(len(shown) - 2) + shown[1:-1]

    return encode


def _by_value(column: LayoutColumn, schema: Schema) -> Encode:
    to_value, write = column.codec.values_of(schema), compose(schema)

    def encode(text: bytes) -> bytes | None:
        value = to_value(text)
        return None if value is None else _bytes(write, value)

    return encode


def _bytes(write: Append, value: Any) -> bytes:
    out = bytearray()
    write(out, value)
    return bytes(out)


class Around:
    """What stands around the rows of one relation: schema ids, the transaction's part of `source`, the clock.

    Args:
        layout: How the relation looks.
        event: The schema of its events.
        key: Writes keys.
        value: Writes values.

    Attributes:
        key_head: Before each key; empty without one.
        value_head: Before each value.
        lead: `source` up to the sequence.
        middle: Behind the sequence, up to the schema's name.
        xid: `txId`.
        tail: Behind `lsn`.
        times: The three clocks at the end.
    """

    def __init__(self, layout: Layout, event: Schema, key: AvroConverter, value: AvroConverter) -> None:
        self._layout = layout
        self._event = event
        self._converters = key, value
        fields = [
            (field.name, compose(field.schema, null_as_default=value.null_as_default)) for field in SOURCE_SCHEMA.fields
        ]
        self._source = dict(fields)
        self._time = compose(OPTIONAL_INT64)
        self._known: tuple[bytes, bytes] | None = None
        self._transaction = self._clock = b"none yet"
        self.key_head = self.value_head = self.lead = self.middle = self.xid = self.tail = self.times = b""

    def register(self) -> None:
        """Get the ids of the schemas, once.

        Raises:
            ConvertError: A name that Avro does not allow.
            SeamError: The registry refuses a schema, or cannot be reached.
        """
        layout, (key, value) = self._layout, self._converters
        if layout.key_schema is not None:
            try:
                self.key_head = key.head(layout.topic, layout.key_schema)
            except DataError as error:
                raise ConvertError(str(error), topic=layout.topic, stage="KEY_CONVERTER") from error
        try:
            self.value_head = value.head(layout.topic, self._event)
        except DataError as error:
            raise ConvertError(str(error), topic=layout.topic) from error

    def at(self, state: SourceState) -> None:
        """Take over the open transaction and the clock."""
        if state.lead is not self._transaction:
            if not self.value_head:
                self.register()
            values = state.source_struct("", "", 0).as_dict()
            self.lead = self._fields(values, "version", "connector", "name", "ts_ms", "snapshot", "db")
            self.middle = self._fields(values, "ts_us", "ts_ns")
            self.xid = self._fields(values, "txId")
            self.tail = self._fields(values, "xmin", "origin", "origin_lsn")
            self._transaction = state.lead
        if state.clock is not self._clock:
            nanos = state.clock_nanos
            self.times = self.clocks(nanos)
            self._clock = state.clock

    def clocks(self, nanos: int) -> bytes:
        """The clocks at the end of an event."""
        return b"".join([_bytes(self._time, each) for each in (nanos // 1_000_000, nanos // 1000, nanos)])

    def _fields(self, values: dict[str, Any], *names: str) -> bytes:
        return b"".join([_bytes(self._source[name], values[name]) for name in names])

    def place(self, schema: str, table: str) -> bytes:
        """The two names of `source` that say which table."""
        return self._fields({"schema": schema, "table": table}, "schema", "table")


class AvroWriter(Writer):
    """Writes the source of a render function whose records are Avro.

    Args:
        layout: How the relation looks.
        options: What the configuration says about records.
        key: Writes keys.
        value: Writes values.
    """

    lost = None

    def __init__(self, layout: Layout, options: RenderOptions, key: AvroConverter, value: AvroConverter) -> None:
        super().__init__(layout, options)
        self.event = envelope_schema(layout, options.topics)
        self.around = Around(layout, self.event, key, value)
        block = compose(BLOCK_SCHEMA)
        self.namespace |= {
            "around": self.around, "long": long,
            "block": lambda state, lsn: _bytes(block, state.block_struct(layout.relation.qualified, int(lsn))),
        }  # fmt: skip

    # -- rows in -----------------------------------------------------------------------------------------------------

    @staticmethod
    def schema_of(column: LayoutColumn, role: str) -> Schema:
        """The schema of a column where it stands: in `before` a value that was not sent is null."""
        return column.schema if role.startswith("new") or not column.in_value else column.before_schema

    def written(self, column: LayoutColumn, text: str, role: str) -> str:
        """The expression of a column's text in Avro."""
        name = ("f" if role.startswith("new") else "g") + column.variable
        trusted = not self.layout.modes.verify_encoding
        self.namespace[name] = encoder(column, self.schema_of(column, role), trusted=trusted)
        return f"{name}({text})"

    def old_as_new(self, column: LayoutColumn) -> str:
        """An old value without the branch that its union has in `before` alone."""
        alike = not column.in_value or column.before_schema.optional == column.schema.optional
        return f"o{column.variable}" if alike else f"o{column.variable}[1:]"

    def null(self, variable: str, column: LayoutColumn, role: str) -> None:
        """A NULL, which a required field without a default has no room for."""
        schema = self.schema_of(column, role)
        absent = role == "key" and not column.column.key
        if (column.absent if absent else column.null) is None and not schema.optional and schema.default is None:
            self.put(f"raise Refusal({column.column.name!r}, {'absent' if absent else 'null'!r})", deeper=1)
        else:
            super().null(variable, column, role)

    def fragment(self, column: LayoutColumn, value: Any, role: str) -> bytes:
        """The bytes of a value that stands for something else."""
        as_default = self.null_as_default if column.in_value else self.options.key_null_as_default
        return _bytes(compose(self.schema_of(column, role), null_as_default=as_default), value)

    def finish(self) -> None:
        """Take over what stands around the row once the row is known to be whole."""
        super().finish()
        self.put("around.at(state)")

    # -- records out -------------------------------------------------------------------------------------------------

    def key(self, prefix: str) -> str:
        """The expression of a key."""
        if self.layout.key_schema is None:
            return "None"
        pieces: list[bytes | str] = ["around.key_head", *self.struct(prefix, self.key_columns)]
        if self.layout.key_constant is not None:
            pieces.append(_bytes(compose(STRING), self.layout.key_constant[1]))
        return joined(pieces)

    @staticmethod
    def struct(prefix: str, columns: Sequence[LayoutColumn]) -> list[bytes | str]:
        """The pieces of a struct of columns: one after the other."""
        return [f"{prefix}{column.variable}" for column in columns]

    def record(
        self, op: str, *, before: str | None, after: str | None, key: str | None = None, first: str = "None"
    ) -> str:
        """The expression of a record."""
        relation = self.layout.relation
        block = "block(state, lsn)" if self.options.transaction_metadata else b"\x00"
        pieces: list[bytes | str] = ["around.value_head"]
        for side in (before, after):
            pieces += [b"\x00"] if side is None else [b"\x02", *self.struct(side, self.layout.columns)]
        pieces += [
            "around.lead", "b'\\x02%c%b' % (2 * len(sequence), sequence)", "around.middle",
            self.around.place(relation.schema, relation.name), "around.xid", b"\x02", "long(int(lsn))", "around.tail", block,
            _bytes(compose(STRING), op), "around.times",
        ]  # fmt: skip
        self.put("sequence = state.sequence(lsn)")
        place = key or self.key(after or before or "")
        return f"({self.layout.topic!r}, {place}, {joined(pieces)}, {self.headers(first)})"

    def copied(self) -> list[bytes | str]:
        """The value of a row that was read, up to its tail."""
        return ["around.value_head", b"\x00\x02", *self.struct("c", self.layout.columns), "tail"]


class AvroCopy(CopyRender):
    """Rows of a snapshot in Avro.

    Args:
        layout: How the relation looks.
        options: What the configuration says about records.
        source: What it says about everything around the row.
        writer: Writes the source of the row's function.
    """

    def __init__(self, layout: Layout, options: RenderOptions, source: SourceOptions, writer: AvroWriter) -> None:
        super().__init__(layout, options, source, writer)
        self._around = writer.around
        self._write_source = compose(SOURCE_SCHEMA, null_as_default=options.null_as_default)

    def tail(self, reading: Reading) -> bytes:
        """What follows the row in the values of a reading."""
        self._around.register()
        source = _bytes(self._write_source, self.source_struct(reading))
        return source + b"\x00" + _bytes(compose(STRING), "r") + self._around.clocks(reading.now_nanos)
