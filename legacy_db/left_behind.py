"""The long values of rows that a slice's predicate leaves behind.

A row that comes to fulfil the predicate later may leave unchanged TOAST values out of its record. They stand in an
earlier record only, of a time when the row was none of ours: so they are kept, by key, while the row is left behind.
"""

from __future__ import annotations

from typing import Any

import psycopg
from psycopg import sql

from legacy_db.target import LEFT, TargetTable, name, quote


class LeftBehind:
    """The rows of one table that the predicate leaves behind.

    Args:
        connection: In the transaction of the records.
        table: The table.
        slice_name: Whose it is.
        where: The predicate.
        stage: The quoted temporary table of the rows that are being written.
    """

    def __init__(
        self, connection: psycopg.Connection[Any], table: TargetTable, slice_name: str, where: str, stage: str
    ) -> None:
        self.connection = connection
        self.table = table
        self.where = where
        self.stage = stage
        self._quoted = quote(table.shape.table)
        self._owner = f"{sql.Literal(slice_name).as_string()}, {sql.Literal(table.shape.topic).as_string()}"
        self._same = " and ".join(f"t.{name(c)} = s.{name(c)}" for c in table.shape.key)

    def _run(self, statement: str) -> None:
        self.connection.execute(statement.encode())

    def _object(self, alias: str, columns: Any) -> str:
        pairs = ", ".join(f"{sql.Literal(c).as_string()}, {alias}.{name(c)}::text" for c in columns)
        return f"jsonb_build_object({pairs})"

    def _key(self, alias: str) -> str:
        return f"{self._object(alias, self.table.shape.key)}::text"

    def keep_staged(self) -> None:
        """Remember the staged rows that do not fulfil the predicate, and forget those that do."""
        self.forget_staged()
        if self.table.shape.markers:
            self._run(
                f"insert into {LEFT} select {self._owner}, {self._key('s')}, {self._object('s', self.table.shape.markers)} "
                f"from (select * from {self.stage} where ({self.where}) is not true) s"
            )

    def forget_staged(self) -> None:
        """The staged keys are not left behind any more, or gone."""
        if self.table.shape.markers:
            self._run(f"delete from {LEFT} l using {self.stage} s where (l.slice, l.topic, l.key) = ({self._owner}, {self._key('s')})")  # fmt: skip

    def complete_staged(self, columns: Any) -> None:
        """Give staged rows the values that their records left out."""
        changes = ", ".join(
            f"{name(c)} = (l.values_left ->> {sql.Literal(c).as_string()})::{self.table.columns[c].type}"
            for c in columns
        )
        self._run(
            f"update {self.stage} s set {changes} from {LEFT} l where (l.slice, l.topic, l.key) = ({self._owner}, {self._key('s')})"
        )

    def leave_staged(self) -> None:
        """Take rows out of the target that were changed and do not fulfil the predicate any more; remember their values."""
        leaving = f"{self._quoted} t using {self.stage} s where {self._same} and exists (select 1 from (select t.*) r where ({self.where}) is not true)"
        if self.table.shape.markers:
            source = leaving.replace(" using ", ", ", 1)
            self._run(
                f"insert into {LEFT} select {self._owner}, {self._key('t')}, {self._object('t', self.table.shape.markers)} "
                f"from {source} on conflict (slice, topic, key) do update set values_left = excluded.values_left"
            )
        self._run(f"delete from {leaving}")
