"""The plain reference form: a row message becomes Connect records, value by value, and converters write them.

It runs when a transform looks inside the row or when the converter is not JSON; the composed form of `cdc.render` is
tested against it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

from cdc.envelope import envelope_schema
from cdc.layout import REFUSED, Layout, LayoutColumn
from cdc.lsn import LSN
from cdc.model.record import Header, SourceRecord
from cdc.model.schema import STRING, Schema, Struct
from cdc.render import Refusal, RenderOptions, explain_row
from cdc.source import Note, SourceState, note_headers
from cdc.wire.pgoutput import UNCHANGED, Cell, Delete, Insert, Update, parse_message


class _Bound(NamedTuple):
    """A column with the function that makes values of one of its schemas."""

    column: LayoutColumn
    to_value: Callable[[bytes], Any]


class RowRecords:
    """Turns the row messages of one layout into `SourceRecord`s.

    Args:
        layout: How the relation looks.
        options: What the configuration says about records.
        positions: Whether each record has its position in `source_offset`.
    """

    def __init__(self, layout: Layout, options: RenderOptions, *, positions: bool = False) -> None:
        self.layout = layout
        self.options = options
        self.schema = envelope_schema(layout, options.topics)
        # A codec of structs is bound to the schema of the field that holds its values.
        self._after = _bind(layout.columns, lambda column: column.schema)
        self._before = _bind(layout.columns, lambda column: column.before_schema)
        self._key_columns = _bind(layout.key, lambda column: column.schema)
        self._notes: list[Note] = []
        self._positions = positions

    def records(self, payload: bytes, lsn: int, state: SourceState) -> list[SourceRecord]:
        """The records of one Insert, Update or Delete message.

        Raises:
            ProtocolError: The message is malformed.
            DecodeError: A codec refused a value; names table, column and position.
            Refusal: A NULL in a column that the layout calls NOT NULL: lay the relation out anew.
        """
        message = parse_message(payload)
        self._notes = []
        try:
            return list(self._records(message, lsn, state))
        except (ValueError, IndexError) as error:
            if isinstance(error, Refusal) and error.why == "null":
                raise
            raise explain_row(self.layout, message, error, state) from error

    def read(
        self,
        fields: Sequence[Cell],
        source: Struct,
        nanos: int,
        headers: tuple[Header, ...],
        read_at: LSN | None = None,
    ) -> SourceRecord:
        """The record of a row that was read, not streamed.

        Args:
            fields: The row's texts.
            source: The `source` block.
            nanos: When it is processed, nanoseconds since the Unix epoch.
            headers: The usual headers; what is missing in the row is told behind them.
            read_at: The end of the log then, for steps that tell positions.

        Raises:
            ValueError: A codec refused a value.
        """
        self._notes = []
        after = self._new(fields, None, "")
        if self.options.extended_headers and self._notes:
            headers = (*headers, *[Header(name, STRING, text.decode()) for name, text in note_headers(self._notes)])
        value = Struct(self.schema, [None, after, source, None, "r", nanos // 1_000_000, nanos // 1000, nanos])
        return SourceRecord(
            self.layout.topic, None, self.layout.key_schema, self._key(fields, ""), self.schema, value, headers=headers,
            source_partition={"server": self.options.topics.prefix},
            source_offset=None if read_at is None else {"read_at": str(read_at)},
        )  # fmt: skip

    def keys(self, payload: bytes) -> tuple[Struct | None, Struct | None]:
        """The new and the old key of an Update that brings both rows."""
        message = parse_message(payload)
        assert isinstance(message, Update)
        assert message.old is not None
        return self._key(message.new, "", message.old, message.old_kind), self._key(message.old, message.old_kind)

    def _records(self, message: Any, lsn: int, state: SourceState) -> list[SourceRecord]:
        if isinstance(message, Insert):
            after = self._new(message.new, None, "")
            key = self._key(message.new, "")
            return self._kept(("c", key, None, after, None), lsn=lsn, state=state)
        if isinstance(message, Delete):
            before = self._old(message.old, message.old_kind)
            key = self._key(message.old, message.old_kind)
            return self._kept(("d", key, before, None, None), lsn=lsn, state=state)
        if not isinstance(message, Update):
            raise ValueError("not a row message")
        if message.old is None:
            after = self._new(message.new, None, "")
            return self._kept(("u", self._key(message.new, ""), None, after, None), lsn=lsn, state=state)
        before = self._old(message.old, message.old_kind)
        after = self._new(message.new, message.old, message.old_kind)
        old_key = self._key(message.old, message.old_kind)
        new_key = self._key(message.new, "", message.old, message.old_kind)
        moved = bool(self.layout.key) and not _same(old_key, new_key)
        unchanged = self.layout.columns and _same(before.values, after.values)
        # Debezium looks at the row alone, and loses the change of a key that is not part of it.
        if self.options.skip_unchanged and unchanged and (not moved or self.layout.modes.strict):
            return []
        if moved:
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
            value = self._envelope(op, before, after, lsn, state)
            offset = self._offset(state)
            headers = self._headers(moved, state)
            records.append(self._record(key, value, headers, offset))
            if op == "d" and self.options.tombstones:
                # Debezium's tombstone shares the headers of its delete; ours have a position each.
                offset = self._offset(state)
                own = headers if self.layout.modes.strict else self._headers(moved, state)
                records.append(self._record(key, None, own, offset))
        return records

    def _offset(self, state: SourceState) -> dict[str, str] | None:
        """The position of the next record; that of the headers, where they hold one."""
        if not self._positions:
            return None
        ordinal = state.ordinal
        if state.position:
            return {"position": f"{state.position}{ordinal}"}
        state.ordinal += 1  # no header counts
        return {"position": f"{state.system_id}/{state.timeline}/{state.commit_lsn}/{ordinal}"}

    def _headers(self, moved: tuple[str, Struct | None] | None, state: SourceState) -> tuple[Header, ...]:
        headers = state.connect_headers(self._notes) if self.options.extended_headers else ()
        if moved is not None:
            headers = (Header(moved[0], self.layout.key_schema, moved[1]), *headers)
        return headers

    def _record(
        self, key: Struct | None, value: Struct | None, headers: tuple[Header, ...], offset: dict[str, str] | None
    ) -> SourceRecord:
        return SourceRecord(
            self.layout.topic, None, self.layout.key_schema, key, None if value is None else self.schema, value,
            headers=headers, source_partition={"server": self.options.topics.prefix}, source_offset=offset,
        )  # fmt: skip

    def _envelope(self, op: str, before: Struct | None, after: Struct | None, lsn: int, state: SourceState) -> Struct:
        relation = self.layout.relation
        nanos = state.clock_nanos
        source = state.source_struct(relation.schema, relation.name, lsn)
        block = state.block_struct(relation.qualified, lsn) if self.options.transaction_metadata else None
        return Struct(self.schema, [before, after, source, block, op, nanos // 1_000_000, nanos // 1000, nanos])

    def _new(self, cells: Sequence[Cell], old: Sequence[Cell] | None, kind: str) -> Struct:
        self._check_width(cells)
        values = [self._value(bound, cells, old, kind, "after") for bound in self._after]
        return Struct(self.layout.row_schema, values)

    def _old(self, cells: Sequence[Cell], kind: str) -> Struct:
        self._check_width(cells)
        return Struct(self.layout.before_schema, [self._old_value(b, cells, kind, "before") for b in self._before])

    def _key(
        self, cells: Sequence[Cell], kind: str, old: Sequence[Cell] | None = None, old_kind: str = ""
    ) -> Struct | None:
        """The key of a row: of an old one of `kind`, or of a new one after an old one of `old_kind`."""
        if self.layout.key_schema is None:
            return None
        self._check_width(cells)
        if kind:
            values = [self._old_value(bound, cells, kind, None) for bound in self._key_columns]
        else:
            values = [self._value(bound, cells, old, old_kind, None) for bound in self._key_columns]
        if self.layout.key_constant is not None:
            values.append(self.layout.key_constant[1])
        return Struct(self.layout.key_schema, values)

    def _check_width(self, cells: Sequence[Cell]) -> None:
        if len(cells) != len(self.layout.relation.columns):
            raise ValueError("column count")

    def _value(
        self, bound: _Bound, cells: Sequence[Cell], old: Sequence[Cell] | None, kind: str, side: str | None
    ) -> Any:
        """A value of a new row; with `side`, what is missing is noted."""
        column = bound.column
        cell = cells[column.index]
        if cell is UNCHANGED:
            if old is not None and (kind == "O" or column.column.key):
                return self._old_value(bound, old, kind, None)
            if side is not None:
                self._note("unavailable", column, b"")
            return self._marker(column)
        return self._present(bound, cell, side, column.null, "null")

    def _old_value(self, bound: _Bound, cells: Sequence[Cell], kind: str, side: str | None) -> Any:
        """A value of an old row; a key tuple leaves columns out, and not sent is not NULL."""
        column = bound.column
        cell = cells[column.index]
        if cell is UNCHANGED:
            return self._marker(column)
        if kind == "K" and not column.column.key:
            return self._present(bound, cell, side, column.absent, "absent")
        return self._present(bound, cell, side, column.null, "null")

    def _present(self, bound: _Bound, cell: Any, side: str | None, null: Any, why: str) -> Any:
        column = bound.column
        if not isinstance(cell, bytes):
            if null is REFUSED:
                raise Refusal(column.column.name, why)
            return null
        value = bound.to_value(cell)
        if value is None and column.special:
            if not column.schema.optional:
                raise Refusal(column.column.name, "special")
            if side is not None:
                self._note(side, column, cell)
        return value

    @staticmethod
    def _marker(column: LayoutColumn) -> Any:
        if column.unavailable is REFUSED:
            raise Refusal(column.column.name, "unavailable")
        return column.unavailable

    def _note(self, kind: str, column: LayoutColumn, text: bytes) -> None:
        if not self.layout.modes.strict:
            self._notes.append((kind, column.name, text))


def _same(left: Any, right: Any) -> bool:
    """Whether two values are equal as in Java: a NaN equals itself, and zero has a sign."""
    if isinstance(left, float) and isinstance(right, float):
        return left.hex() == right.hex()
    if isinstance(left, Struct) and isinstance(right, Struct):
        return _same(left.values, right.values)
    if isinstance(left, list) and isinstance(right, list):
        return len(left) == len(right) and all(_same(a, b) for a, b in zip(left, right, strict=True))
    return bool(left == right)


def _bind(columns: Sequence[LayoutColumn], schema: Callable[[LayoutColumn], Schema]) -> list[_Bound]:
    return [_Bound(column, column.codec.values_of(schema(column))) for column in columns]
