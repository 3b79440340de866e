"""The plain reference form: a row message becomes Connect records, value by value, and converters write them.

It runs when a transform looks inside the row or when the converter is not JSON; the composed form of `cdc.render` is
tested against it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from cdc.envelope import envelope_schema
from cdc.layout import Layout, LayoutColumn
from cdc.model.record import Header, SourceRecord
from cdc.model.schema import Struct
from cdc.render import RenderOptions, explain_row
from cdc.source import SourceState
from cdc.wire.pgoutput import UNCHANGED, Cell, Delete, Insert, Update, parse_message


class RowRecords:
    """Turns the row messages of one layout into `SourceRecord`s.

    Args:
        layout: How the relation looks.
        options: What the configuration says about records.
    """

    def __init__(self, layout: Layout, options: RenderOptions) -> None:
        self.layout = layout
        self.options = options
        self.schema = envelope_schema(layout, options.topics)
        # A codec of structs is bound to the schema of the field that holds its values.
        self._after = [(column, column.codec.values_of(column.schema)) for column in layout.columns]
        self._before = [(column, column.codec.values_of(column.before_schema)) for column in layout.columns]
        self._key_columns = [(column, column.codec.values_of(column.schema)) for column in layout.key]

    def records(self, payload: bytes, lsn: int, state: SourceState) -> list[SourceRecord]:
        """The records of one Insert, Update or Delete message.

        Raises:
            ProtocolError: The message is malformed.
            DecodeError: A codec refused a value; names table, column and position.
        """
        message = parse_message(payload)
        try:
            return list(self._records(message, lsn, state))
        except (ValueError, IndexError) as error:
            raise explain_row(self.layout, message, error, state) from error

    def _records(self, message: Any, lsn: int, state: SourceState) -> list[SourceRecord]:
        if isinstance(message, Insert):
            after = self._new(message.new, None)
            key = self._key(message.new)
            return self._kept(("c", key, None, after, None), lsn=lsn, state=state)
        if isinstance(message, Delete):
            before = self._old(message.old, message.old_kind)
            key = self._key(message.old)
            return self._kept(("d", key, before, None, None), lsn=lsn, state=state)
        if not isinstance(message, Update):
            raise ValueError("not a row message")
        after = self._new(message.new, message.old if message.old_kind == "O" else None)
        new_key = self._key(message.new, message.old if message.old_kind == "O" else None)
        if message.old is None:
            return self._kept(("u", new_key, None, after, None), lsn=lsn, state=state)
        before = self._old(message.old, message.old_kind)
        old_key = self._key(message.old)
        if self.layout.key and old_key != new_key:
            to, back = ("__debezium.newkey", new_key), ("__debezium.oldkey", old_key)
            return self._kept(("d", old_key, before, None, to), ("c", new_key, None, after, back), lsn=lsn, state=state)
        return self._kept(("u", new_key, before, after, None), lsn=lsn, state=state)

    def _kept(
        self,
        *changes: tuple[str, Struct | None, Struct | None, Struct | None, tuple[str, Struct | None] | None],
        lsn: int,
        state: SourceState,
    ) -> list[SourceRecord]:
        records: list[SourceRecord] = []
        for op, key, before, after, moved in changes:
            if op in self.options.skipped:
                continue
            records.append(self._record(key, self._envelope(op, before, after, lsn, state), moved, state))
            if op == "d" and self.options.tombstones:
                records.append(self._record(key, None, moved, state))
        return records

    def _record(
        self, key: Struct | None, value: Struct | None, moved: tuple[str, Struct | None] | None, state: SourceState
    ) -> SourceRecord:
        headers = state.connect_headers() if self.options.extended_headers else ()
        if moved is not None:
            headers = (Header(moved[0], self.layout.key_schema, moved[1]), *headers)
        return SourceRecord(
            self.layout.topic, None, self.layout.key_schema, key, None if value is None else self.schema, value,
            headers=headers, source_partition={"server": self.options.topics.prefix},
        )  # fmt: skip

    def _envelope(self, op: str, before: Struct | None, after: Struct | None, lsn: int, state: SourceState) -> Struct:
        relation = self.layout.relation
        nanos = state.clock_nanos
        source = state.source_struct(relation.schema, relation.name, lsn)
        block = state.block_struct(relation.qualified) if self.options.transaction_metadata else None
        return Struct(self.schema, [before, after, source, block, op, nanos // 1_000_000, nanos // 1000, nanos])

    def _new(self, cells: Sequence[Cell], old: Sequence[Cell] | None) -> Struct:
        self._check_width(cells)
        return Struct(self.layout.row_schema, [self._value(column, cells, old, "") for column in self._after])

    def _old(self, cells: Sequence[Cell], kind: str) -> Struct:
        self._check_width(cells)
        return Struct(self.layout.before_schema, [self._value(column, cells, None, kind) for column in self._before])

    def _key(self, cells: Sequence[Cell], old: Sequence[Cell] | None = None) -> Struct | None:
        if self.layout.key_schema is None:
            return None
        self._check_width(cells)
        return Struct(self.layout.key_schema, [self._value(column, cells, old, "") for column in self._key_columns])

    def _check_width(self, cells: Sequence[Cell]) -> None:
        if len(cells) != len(self.layout.relation.columns):
            raise ValueError("column count")

    def _value(
        self,
        bound: tuple[LayoutColumn, Callable[[bytes], Any]],
        cells: Sequence[Cell],
        old: Sequence[Cell] | None,
        kind: str,
    ) -> Any:
        column, to_value = bound
        cell = cells[column.index]
        if cell is UNCHANGED:
            if old is None:
                return column.codec.unavailable
            cell = old[column.index]
        if isinstance(cell, bytes):
            return to_value(cell)
        if kind == "K" and not column.column.key:
            # A key tuple leaves the other columns out: not sent is not NULL.
            if self.layout.modes.strict and not column.schema.optional:
                return column.codec.filler if column.schema.default is None else column.schema.default
            return None
        return column.schema.default if self.options.null_as_default else None
