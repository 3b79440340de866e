"""One table of a slice's target: what a run of records amounts to by key, and the SQL that writes it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import orjson
import psycopg

from legacy_db.left_behind import LeftBehind
from legacy_db.moves import Moves
from legacy_db.target import TargetTable, name, quote
from legacy_db.topic_fold import Event


@dataclass(slots=True)
class _Batch:
    """What a run of records amounts to, by key."""

    rows: dict[bytes, dict[str, Any]] = field(default_factory=dict)
    partial: dict[bytes, tuple[dict[str, Any], frozenset[str]]] = field(default_factory=dict)
    gone: set[bytes] = field(default_factory=set)
    keyless: list[tuple[Any, Any]] = field(default_factory=list)

    def __bool__(self) -> bool:
        return bool(self.rows or self.partial or self.gone or self.keyless)


class TableWriter:
    """Writes one table of the target.

    Args:
        connection: In a transaction.
        table: The table.
        slice_name: Whose it is.
        where: Predicate of the rows that belong to the slice, None for all.
    """

    def __init__(
        self, connection: psycopg.Connection[Any], table: TargetTable, slice_name: str, where: str | None
    ) -> None:
        self.connection = connection
        self.table = table
        self.shape = table.shape
        self.where = where
        self.columns = list(table.columns)
        self.moves = Moves(connection, table, slice_name)
        self._stage = name(f"stage_{table.shape.relation.oid}")
        self._quoted = quote(table.shape.table)
        self._key = ", ".join(name(column) for column in self.shape.key)
        self._pairs = " and ".join(f"t.{name(c)} = s.{name(c)}" for c in self.shape.key)
        self._batch = _Batch()
        self._staged = False
        self._left = None if where is None else LeftBehind(connection, table, slice_name, where, self._stage)

    def take(self, event: Event) -> None:
        """Take one record."""
        if event.op == "t":
            self.flush()
            self.connection.execute(f"truncate {self._quoted}".encode())
            return
        if not self.shape.key:
            if event.op:
                self._batch.keyless.append((_row(event.before), _row(event.after)))
            return
        if event.key is None:
            return
        if event.moved is not None and self.shape.markers:
            self._move(event)
            return
        self._change(event.key, event.after if event.op not in ("d", "") else None)

    def _change(self, key: bytes, after: bytes | None) -> None:
        batch = self._batch
        if after is None:
            batch.rows.pop(key, None)
            batch.partial.pop(key, None)
            batch.gone.add(key)
            return
        row = orjson.loads(after)
        batch.gone.discard(key)
        lacking = frozenset(c for c, marker in self.shape.markers.items() if row.get(c) == marker)
        if not lacking:
            batch.partial.pop(key, None)
            batch.rows[key] = row
        elif key in batch.rows:
            row.update({column: batch.rows[key].get(column) for column in lacking})
            batch.rows[key] = row
        else:
            if key in batch.partial:
                earlier, still = batch.partial[key]
                row.update({column: earlier.get(column) for column in lacking - still})
                lacking &= still
            batch.partial[key] = (row, lacking)

    def _move(self, event: Event) -> None:
        """A key change: unchanged TOAST values stay with the old key's record, which may lie in another partition."""
        assert event.key is not None
        assert event.moved is not None
        self.flush()
        if event.op == "d":
            self.moves.leave(event.key, event.lsn)
            self._change(event.key, None)
            self.flush()
        else:
            self._change(event.key, event.after)
            self.flush()
            self.moves.arrive(event.moved, event.lsn, event.key)

    # -- SQL ---------------------------------------------------------------------------------------------------------

    def flush(self) -> None:
        """Write what was taken."""
        batch, self._batch = self._batch, _Batch()
        if not batch:
            return
        if batch.keyless:
            self._write_keyless(batch.keyless)
            return
        if not self._staged:
            columns = ", ".join(name(column) for column in self.columns)
            self._run(f"create temp table {self._stage} as select {columns} from {self._quoted} with no data")
            self._staged = True
        if batch.gone:
            self._stage_keys(batch.gone)
            self._run(f"delete from {self._quoted} t using {self._stage} s where {self._pairs}")
            if self._left is not None:
                self._left.forget_staged()
            self._run(f"truncate {self._stage}")
        if batch.rows:
            self._write_rows(batch.rows.values())
        for lacking in {lacking for _, lacking in batch.partial.values()}:
            self._write_partial([row for row, other in batch.partial.values() if other == lacking], lacking)

    def _run(self, statement: str) -> None:
        self.connection.execute(statement.encode())

    def _stage_keys(self, keys: Iterable[bytes]) -> None:
        with self.connection.cursor().copy(f"copy {self._stage} ({self._key}) from stdin".encode()) as copy:
            for key in keys:
                values = orjson.loads(key)
                copy.write_row([self._text(column, values[column]) for column in self.shape.key])

    def _stage_rows(self, rows: Iterable[Mapping[str, Any]]) -> None:
        columns = ", ".join(name(column) for column in self.columns)
        with self.connection.cursor().copy(f"copy {self._stage} ({columns}) from stdin".encode()) as copy:
            for row in rows:
                copy.write_row([self._text(column, row.get(column)) for column in self.columns])

    def _text(self, column: str, value: Any) -> str | None:
        return None if value is None else self.table.columns[column].decode(value)

    def _write_rows(self, rows: Iterable[Mapping[str, Any]]) -> None:
        self._stage_rows(rows)
        self._upsert(self.columns)
        if self._left is not None:
            self._left.keep_staged()
        self._run(f"truncate {self._stage}")

    def _upsert(self, columns: Sequence[str]) -> None:
        listed = ", ".join(name(column) for column in columns)
        others = [column for column in columns if column not in self.shape.key]
        action = "update set " + ", ".join(f"{name(c)} = excluded.{name(c)}" for c in others) if others else "nothing"
        chosen = f" where ({self.where})" if self.where else ""
        self._run(
            f"insert into {self._quoted} ({listed}) overriding system value select {listed} from {self._stage}{chosen} "
            f"on conflict ({self._key}) do {action}"
        )
        if self.where:
            self._run(
                f"delete from {self._quoted} where ({self._key}) in "
                f"(select {self._key} from {self._stage} where ({self.where}) is not true)"
            )

    def _write_partial(self, rows: Sequence[Mapping[str, Any]], lacking: frozenset[str]) -> None:
        """Rows that left unchanged values out: these stay as they are in the target."""
        texts = {c: m if isinstance(m, str) else None for c, m in self.shape.markers.items() if c in lacking}
        # A row that the target does not have keeps the marker where its type can hold it: never a NULL in its place.
        self._stage_rows({**row, **texts} for row in rows)
        present = [column for column in self.columns if column not in lacking and column not in self.shape.key]
        if present:
            changes = ", ".join(f"{name(c)} = s.{name(c)}" for c in present)
            self._run(f"update {self._quoted} t set {changes} from {self._stage} s where {self._pairs}")
        if self._left is not None:
            self._left.leave_staged()
            self._left.complete_staged(lacking)
        self._run(f"delete from {self._stage} s using {self._quoted} t where {self._pairs}")
        self._upsert(self.columns)
        if self._left is not None:
            self._left.keep_staged()
        self._run(f"truncate {self._stage}")

    def _write_keyless(self, changes: Sequence[tuple[Any, Any]]) -> None:
        columns = ", ".join(name(column) for column in self.columns)
        marks = ", ".join(f"%s::{self.table.columns[column].type}" for column in self.columns)
        insert = f"insert into {self._quoted} ({columns}) overriding system value values ({marks})"
        same = " and ".join(
            f"{name(c)}::text is not distinct from (%s::{self.table.columns[c].type})::text" for c in self.columns
        )
        delete = f"delete from {self._quoted} where ctid = (select ctid from {self._quoted} where {same} limit 1)"
        for before, after in changes:
            for statement, row in ((delete, before), (insert, after)):
                if row is not None:
                    values = [self._text(column, row.get(column)) for column in self.columns]
                    self.connection.execute(statement.encode(), values)


def _row(text: bytes | None) -> Any:
    return None if text is None else orjson.loads(text)
