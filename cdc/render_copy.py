"""Rows of a snapshot, rendered: a COPY line becomes key and value, as `cdc.render` does it for the stream.

Everything around the row is the same for a whole chunk and is composed once.
"""

from __future__ import annotations

import linecache
from collections.abc import Callable
from dataclasses import dataclass

from cdc.composing import joined
from cdc.converters.json import JsonConverter
from cdc.envelope import envelope_schema
from cdc.errors import DecodeError
from cdc.layout import Layout
from cdc.lsn import LSN
from cdc.model.schema import Struct
from cdc.render import RenderOptions
from cdc.source import SourceOptions, SourceState
from cdc.values.jsontext import quote
from cdc.values.registry import IDENTITY
from cdc.wire.copytext import split_row

RenderLine = Callable[[bytes, bytes], tuple[bytes | None, bytes]]
"""A COPY line and the tail of its value -> key and value."""


@dataclass(frozen=True, slots=True)
class Reading:
    """When and how rows were read.

    Attributes:
        marker: `source.snapshot`: true, first, last, incremental, ...
        lsn: `source.lsn`.
        clock_micros: `source.ts_us`.
        now_nanos: When they are processed, nanoseconds since the Unix epoch.
        xid: `source.txId`, None for null.
    """

    marker: str
    lsn: LSN
    clock_micros: int
    now_nanos: int
    xid: int | None = None


class CopyRender:
    """The compiled form of one layout for snapshot rows.

    Args:
        layout: How the relation looks.
        options: What the configuration says about records.
        source: What it says about everything around the row.

    Attributes:
        render: The callable.
        source: Its generated source.
    """

    def __init__(self, layout: Layout, options: RenderOptions, source: SourceOptions) -> None:
        self.layout = layout
        self.options = options
        self._state = SourceState(source)
        self._json = JsonConverter(schemas_enable=False, replace_null_with_default=options.null_as_default)
        key_json = JsonConverter(schemas_enable=options.key_schemas, decimal_numeric=options.key_decimal_numeric)
        value_json = JsonConverter(schemas_enable=options.value_schemas, decimal_numeric=options.value_decimal_numeric)
        namespace: dict[str, object] = {"split_row": split_row, "join": b"".join, "explain": self._explain}
        lines = ["def render(line, tail):", f"    f = split_row(line, {len(layout.relation.columns)})", "    try:"]
        for column in {c.index: c for c in (*layout.key, *layout.columns)}.values():
            null = b"null"
            if options.null_as_default and column.schema.default is not None:
                null = value_json.payload(column.schema, column.schema.default).encode()
            name = f"c{column.index}"
            lines.append(f"        {name} = f[{column.index}]")
            if column.codec.to_json is IDENTITY:
                lines.append(f"        if {name} is None: {name} = {null!r}")
            else:
                namespace[f"f{column.index}"] = column.codec.to_json
                lines.append(f"        {name} = {null!r} if {name} is None else f{column.index}({name})")
        lines += ["    except ValueError as error:", "        raise explain(f, error) from error"]
        key = "None"
        if layout.key_schema is not None:
            pieces = _struct(layout.key)
            if options.key_schemas:
                schema = key_json.schema_text(layout.key_schema).encode()
                pieces = [b'{"schema":' + schema + b',"payload":', *pieces, b"}"]
            key = _join(pieces)
        value: list[bytes | str] = [b'{"before":null,"after":', *_struct(layout.columns), "tail"]
        if options.value_schemas:
            schema = value_json.schema_text(envelope_schema(layout, options.topics)).encode()
            value.insert(0, b'{"schema":' + schema + b',"payload":')
        lines.append(f"    return {key}, {_join(value)}")
        self.source = "\n".join(lines) + "\n"
        name = f"<copy {layout.relation.qualified} #{id(self):x}>"
        # Registered, so that a traceback shows the generated line.
        linecache.cache[name] = (len(self.source), None, self.source.splitlines(keepends=True), name)
        exec(compile(self.source, name, "exec"), namespace)  # noqa: S102 - our own generated text, names quoted by repr
        self.render: RenderLine = namespace["render"]  # type: ignore[assignment] # defined by the text above

    def source_struct(self, reading: Reading) -> Struct:
        """The `source` block of rows of a reading."""
        state = self._state
        state.commit_micros, state.xid = reading.clock_micros, reading.xid
        relation = self.layout.relation
        return state.source_struct(relation.schema, relation.name, int(reading.lsn), snapshot=reading.marker)

    def tail(self, reading: Reading) -> bytes:
        """What follows the row in the values of a reading."""
        source = self.source_struct(reading)
        nanos = reading.now_nanos
        text = (
            f',"source":{self._json.payload(source.schema, source)},"transaction":null,"op":"r",'
            f'"ts_ms":{nanos // 1_000_000},"ts_us":{nanos // 1000},"ts_ns":{nanos}}}'
        )
        return (text + "}" if self.options.value_schemas else text).encode()

    def _explain(self, fields: list[bytes | None], error: ValueError) -> Exception:
        for column in {*self.layout.columns, *self.layout.key}:
            field = fields[column.index]
            if field is None:
                continue
            try:
                column.codec.to_json(field)
            except ValueError as reason:
                return DecodeError(
                    f"column {column.column.name}: {reason}", table=self.layout.relation.qualified, position="snapshot"
                )
        return error


def _struct(columns: tuple[object, ...]) -> list[bytes | str]:
    pieces: list[bytes | str] = []
    opening = b"{"
    for column in columns:
        pieces += [opening + quote(column.name.encode()) + b":", f"c{column.index}"]  # type: ignore[attr-defined]
        opening = b","
    return [*pieces, b"}" if columns else b"{}"]


def _join(pieces: list[bytes | str]) -> str:
    return joined(pieces)
