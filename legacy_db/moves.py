"""Key changes of rows with unchanged TOAST values: the values are in no record, only under the old key.

The delete of the old key and the create of the new one may lie in two partitions, so that either may be read first.
Whichever comes second brings the two together, by the old key and the LSN that both records carry.
"""

from __future__ import annotations

from typing import Any

import orjson
import psycopg
from psycopg import sql

from legacy_db.target import MOVES, TargetTable, name, quote


class Moves:
    """The key changes of one table.

    Args:
        connection: In the transaction of the records.
        table: The table.
        slice_name: Whose it is.
    """

    def __init__(self, connection: psycopg.Connection[Any], table: TargetTable, slice_name: str) -> None:
        self.connection = connection
        self.table = table
        self.slice_name = slice_name

    def leave(self, key: bytes, lsn: int) -> None:
        """The row of a key is about to go: keep its TOAST values, or give them to the row that waits for them."""
        columns = [name(column) for column in self.table.shape.markers]
        pairs = ", ".join(f"{sql.Literal(c).as_string()}, {name(c)}::text" for c in self.table.shape.markers)
        condition, values = self._where(key)
        row = self.connection.execute(
            f"select jsonb_build_object({pairs})::text from {quote(self.table.shape.table)} where {condition}".encode(),
            values,
        ).fetchone()
        if row is None or not columns:
            return
        waiting = self._entry(key, lsn)
        if waiting is not None and waiting[1] is not None:
            self._fill(waiting[1].encode(), orjson.loads(row[0]))
            self._forget(key, lsn)
            return
        self.connection.execute(
            f"insert into {MOVES} values (%s, %s, %s, %s, %s, null) on conflict do nothing".encode(),
            (self.slice_name, self.table.shape.topic, key.decode(), lsn, row[0]),
        )

    def arrive(self, old_key: bytes, lsn: int, new_key: bytes) -> None:
        """A row came under a new key: take the values that were kept, or wait for them."""
        kept = self._entry(old_key, lsn)
        if kept is not None and kept[0] is not None:
            self._fill(new_key, kept[0])
            self._forget(old_key, lsn)
            return
        self.connection.execute(
            f"insert into {MOVES} values (%s, %s, %s, %s, null, %s) on conflict do nothing".encode(),
            (self.slice_name, self.table.shape.topic, old_key.decode(), lsn, new_key.decode()),
        )

    def _fill(self, key: bytes, values: dict[str, Any]) -> None:
        """Put values in where the row still has the marker."""
        condition, parameters = self._where(key)
        for column, marker in self.table.shape.markers.items():
            lacking = f"{name(column)}::text = %s" if isinstance(marker, str) else f"{name(column)} is null"
            more = [marker] if isinstance(marker, str) else []
            self.connection.execute(
                f"update {quote(self.table.shape.table)} set {name(column)} = %s::{self.table.columns[column].type} "
                f"where {condition} and {lacking}".encode(),
                [values.get(column), *parameters, *more],
            )

    def _where(self, key: bytes) -> tuple[str, list[Any]]:
        values = orjson.loads(key)
        columns = self.table.columns
        condition = " and ".join(f"{name(c)} = %s::{columns[c].type}" for c in self.table.shape.key)
        return condition, [columns[c].decode(values[c]) for c in self.table.shape.key]

    def _entry(self, old_key: bytes, lsn: int) -> tuple[Any, Any] | None:
        return self.connection.execute(
            f"select values_left, new_key from {MOVES} where (slice, topic, old_key, lsn) = (%s, %s, %s, %s)".encode(),
            (self.slice_name, self.table.shape.topic, old_key.decode(), lsn),
        ).fetchone()

    def _forget(self, old_key: bytes, lsn: int) -> None:
        self.connection.execute(
            f"delete from {MOVES} where (slice, topic, old_key, lsn) = (%s, %s, %s, %s)".encode(),
            (self.slice_name, self.table.shape.topic, old_key.decode(), lsn),
        )
