"""Rows as Connect records, for chains that look inside them and for converters other than JSON.

The plain counterpart of `cdc.render` and `cdc.render_copy`: `cdc.rows` builds values, a chain of transforms changes
them, and converters write them.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Sequence

from cdc.errors import DecodeError
from cdc.layout import Layout
from cdc.model.record import Header, SourceRecord
from cdc.model.schema import STRING
from cdc.outer_chain import only_one
from cdc.render import Outgrown, Record, Refusal, Render, RenderOptions
from cdc.render_copy import CopyRender, Fields, Reading, identity_of
from cdc.rows import RowRecords
from cdc.source import SourceOptions, SourceState
from cdc.wire.copytext import split_row

Emit = Callable[[SourceRecord], Sequence[Record]]
"""Transforms and converters: a Connect record becomes what the producer takes, or nothing."""


def connect_render(
    layout: Layout, options: RenderOptions, outgrown: Outgrown, emit: Emit, *, positions: bool = False
) -> Render:
    """The renderer of a relation that builds Connect records.

    Args:
        layout: How the relation looks.
        options: What the configuration says about records.
        outgrown: Gives the renderer whose schema has room for a NULL.
        emit: Transforms and converters.
        positions: Whether a step looks at the records' positions.
    """
    rows = RowRecords(layout, options, positions=positions)

    def render(payload: bytes, lsn: bytes, state: SourceState) -> Sequence[Record]:
        try:
            records = rows.records(payload, int(lsn), state)
        except Refusal as refusal:
            return outgrown(refusal.column)(payload, lsn, state)
        return [sent for record in records for sent in emit(record)]

    return render


class ConnectCopy:
    """Snapshot rows as Connect records; the interface of `CopyRender`.

    Args:
        layout: How the relation looks.
        options: What the configuration says about records.
        source: What it says about everything around the row.
        emit: Transforms and converters.
        positions: Whether a step looks at the records' positions.
    """

    def __init__(
        self, layout: Layout, options: RenderOptions, source: SourceOptions, emit: Emit, *, positions: bool = False
    ) -> None:
        self.layout = layout
        self._rows = RowRecords(layout, options)
        self._composed = CopyRender(layout, options, source)
        self._emit = emit
        self._positions = positions
        self._headers = tuple(
            Header(name, STRING, (value or b"").decode())
            for name, value in self._composed.headers() or ()
            if options.extended_headers
        )

    def tail(self, reading: Reading) -> Reading:
        """What `row` takes beside the line."""
        return reading

    def identity(self, columns: Sequence[str]) -> Callable[[Fields], Hashable]:
        """What takes the identifying columns out of a row's fields."""
        return identity_of(self.layout, columns)

    def row(self, line: bytes, reading: Reading) -> tuple[Fields, Record | None]:
        """A COPY line as its fields and its record.

        Raises:
            DecodeError: A codec refused a value.
        """
        fields = split_row(line, len(self.layout.relation.columns))
        try:
            source, read_at = self._composed.source_struct(reading), reading.lsn if self._positions else None
            record = self._rows.read(fields, source, reading.now_nanos, self._headers, read_at)
        except ValueError as error:
            raise DecodeError(str(error), table=self.layout.relation.qualified, position="snapshot") from error
        return fields, only_one(self._emit(record), self.layout.relation.qualified)
