"""Rows of a snapshot, rendered: a COPY line becomes key and value, as `cdc.render` does it for the stream.

Everything around the row is the same for a whole chunk and is composed once.
"""

from __future__ import annotations

import linecache
from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass
from operator import itemgetter
from typing import Any, Protocol

from cdc.composing import Writer
from cdc.converters.json import JsonConverter
from cdc.errors import DecodeError
from cdc.layout import Layout
from cdc.lsn import LSN
from cdc.model.schema import Struct
from cdc.render import Record, Refusal, RenderOptions
from cdc.source import Note, SourceOptions, SourceState, WireHeaders, note_headers
from cdc.wire.copytext import split_row

Fields = Sequence[bytes | None]

RenderRow = Callable[[bytes, Any], tuple[Fields, Record | None]]
"""A COPY line and the tail of its value -> its fields, and its record; None where a transform dropped it.

Headers of None stand for the usual ones.
"""


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


class CopyForm(Protocol):
    """How rows of a snapshot become records."""

    @property
    def row(self) -> RenderRow:
        """Turns a line into its fields and its record."""

    def tail(self, reading: Reading) -> Any:
        """What `row` takes beside the line."""

    def identity(self, columns: Sequence[str]) -> Callable[[Fields], Hashable]:
        """What takes the identifying columns out of a row's fields."""


class CopyRender:
    """The compiled form of one layout for snapshot rows.

    Args:
        layout: How the relation looks.
        options: What the configuration says about records.
        source: What it says about everything around the row.
        writer: Writes the source; JSON without a chain when left out.

    Attributes:
        row: The callable.
        source: Its generated source.
    """

    def __init__(
        self, layout: Layout, options: RenderOptions, source: SourceOptions, writer: Writer | None = None
    ) -> None:
        self.layout = layout
        self.options = options
        self._state = SourceState(source)
        self._json = JsonConverter(schemas_enable=False, replace_null_with_default=options.null_as_default)
        writer = Writer(layout, options) if writer is None else writer
        self.source = writer.copy_source()
        namespace: dict[str, object] = {
            **writer.namespace, "split_row": split_row, "Refusal": Refusal, "explain": self._explain,
            "noted": self._noted,
        }  # fmt: skip
        name = f"<copy {layout.relation.qualified} #{id(self):x}>"
        # Registered, so that a traceback shows the generated line.
        linecache.cache[name] = (len(self.source), None, self.source.splitlines(keepends=True), name)
        exec(compile(self.source, name, "exec"), namespace)  # noqa: S102 - our own generated text, names quoted by repr
        self.row: RenderRow = namespace["render"]  # type: ignore[assignment] # defined by the text above

    def identity(self, columns: Sequence[str]) -> Callable[[Fields], Hashable]:
        """What takes the identifying columns out of a row's fields, as `cdc.wire.identity` does it for the stream."""
        return identity_of(self.layout, columns)

    def headers(self) -> WireHeaders:
        """The usual headers, without a position."""
        return list(self._state.context_headers) or None

    def _noted(self, notes: Sequence[Note]) -> WireHeaders:
        return [*self._state.context_headers, *note_headers(notes)]

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
        table = self.layout.relation.qualified
        if isinstance(error, Refusal):
            return error.explained(table, "snapshot")
        for column in (*self.layout.columns, *self.layout.key):
            field = fields[column.index]
            if field is None:
                continue
            try:
                column.codec.to_json(field)
            except ValueError as reason:
                return DecodeError(f"column {column.column.name}: {reason}", table=table, position="snapshot")
        return error


def identity_of(layout: Layout, columns: Sequence[str]) -> Callable[[Fields], Hashable]:
    """What takes columns out of a row's fields: the one, or a tuple of several."""
    places = {column.name: index for index, column in enumerate(layout.relation.columns)}
    return itemgetter(*(places[name] for name in columns))
