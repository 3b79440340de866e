"""Looking at single rows again, at a new cut, to see whether a difference is still there.

At an exact cut every difference is one, with three exceptions that this settles: a table that was read under several
snapshots (a row moved between two of them), a version that compaction took away, a row that a snapshot of the pipeline
brought in after the cut. A difference that lasts is never hidden; what is gone is counted.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any

import orjson
from psycopg import sql

from cdc.postgres.catalog import Catalog
from cdc.visibility import Snapshot
from legacy_db.bridge import Bridge
from legacy_db.compare import SHOWN, Candidate, Difference, RowComparer, Tally
from legacy_db.cut import wait_for_mark, write_mark
from legacy_db.folding import TopicAtCut
from legacy_db.shape import ROW, TableShape, key_expression, select_rows
from legacy_db.topic_fold import Fold, Visibility
from legacy_db.verify_model import Options


class Rechecker:
    """Settles the differences of one table.

    Args:
        bridge: The pipeline.
        catalog: The legacy database.
        shape: The table.
        topic: Its topic.
        options: How often.

    Attributes:
        residue: What of the folds is needed to look at the differing rows again.
    """

    def __init__(
        self, bridge: Bridge, catalog: Catalog, shape: TableShape, topic: TopicAtCut, options: Options
    ) -> None:
        self.residue = topic.new_fold()
        self.bridge = bridge
        self.catalog = catalog
        self.shape = shape
        self.topic = topic
        self.options = options

    def keep(self, fold: Fold, candidates: Sequence[Candidate]) -> None:
        """Keep what a fold knows of some differing rows."""
        for key, row, have in candidates:
            lookup = self._lookup(key, from_topic=row is None)
            base = fold.rows.get(lookup) if lookup in fold.late else have
            if base is not None:
                self.residue.rows[lookup] = base
            if lookup in fold.lsns:
                self.residue.lsns[lookup] = fold.lsns[lookup]
            if lookup in fold.late:
                self.residue.late[lookup] = fold.late[lookup]
        self.residue.origins.update(fold.origins)
        self.residue.moved.update(fold.moved)
        self.residue.truncates += [one for one in fold.truncates if one not in self.residue.truncates]

    def settle(self, tally: Tally) -> tuple[list[Difference], int]:
        """Look at the differences again; those that are gone are taken off the tally.

        Returns:
            The first that last, and how many were gone.
        """
        candidates, tally.candidates = tally.candidates, []
        passed = 0
        for _ in range(self.options.rechecks):
            if not candidates:
                break
            candidates, gone = self._again(candidates, tally)
            passed += gone
            if not gone:
                break
        comparer = RowComparer(self.shape, Counter())  # they were counted
        return [self._difference(candidate, comparer) for candidate in candidates[:SHOWN]], passed

    def _again(self, candidates: Sequence[Candidate], tally: Tally) -> tuple[list[Candidate], int]:
        snapshot, rows = self._rows([key for key, _, _ in candidates])
        mark = write_mark(self.catalog, "recheck")
        wait_for_mark(self.catalog, self.bridge, mark, seconds=self.options.wait_seconds)
        fold = self.residue
        self.topic.tail(fold)
        visibility = Visibility(snapshot)
        comparer = RowComparer(self.shape, Counter())
        lasting: list[Candidate] = []
        for key, old_row, old_have in candidates:
            lookup = self._lookup(key, from_topic=old_row is None)
            row, have = rows.get(lookup), fold.at(lookup, visibility)
            kind = "extra" if old_row is None else "missing" if old_have is None else "different"
            setattr(tally, kind, getattr(tally, kind) - 1)
            same = row is None if have is None else row is not None and not comparer.differing(row, have)
            if not same:
                tally.add(key, row, have)
                lasting.append((key, row, have))
        tally.candidates = []
        return lasting, len(candidates) - len(lasting)

    def _lookup(self, key: bytes, *, from_topic: bool) -> bytes:
        return self.shape.canonical_key(key, topic=from_topic)

    def _rows(self, keys: Sequence[bytes]) -> tuple[Snapshot, dict[bytes, bytes]]:
        """The rows of some keys now, and the snapshot that they were read under."""
        connection = self.catalog.connection
        found: dict[bytes, bytes] = {}
        with connection.transaction():
            connection.execute("set transaction isolation level repeatable read, read only")
            connection.execute("set local row_security = off")
            snapshot = Snapshot.parse(str(self.catalog.value("select pg_current_snapshot()::text")))
            for member in self.shape.members:
                quoted = sql.Identifier(*member.split(".", 1)).as_string()
                inner = select_rows(self.shape, quoted, only=True, condition=self._condition(keys))
                for key, row in self.catalog.rows(f"select k, r::text from ({inner}) s(k, r)"):
                    found[self._lookup(key.encode(), from_topic=False)] = row.encode()
        return snapshot, found

    def _condition(self, keys: Sequence[bytes]) -> str:
        """SQL for the keys: their values where the index can be used, else the key's whole text."""
        parsed: list[dict[str, Any]] = [orjson.loads(key) for key in keys]
        simple = all(self.shape.expected[n].sql == "{}" and self.shape.expected[n].literal for n in self.shape.key)
        if not simple or any(None in values.values() for values in parsed):
            return self._by_text(keys)
        columns = {column.name: column.column.name for column in self.shape.layout.key}
        names = ", ".join(sql.Identifier(columns[name]).as_string() for name in self.shape.key)
        rows = []
        for values in parsed:
            literals = [
                f"{sql.Literal(_text(values[name])).as_string()}::{self.shape.column_types[columns[name]]}"
                for name in self.shape.key
            ]
            rows.append(f"({', '.join(literals)})")
        return f"({names}) in ({', '.join(rows)})"

    def _by_text(self, keys: Sequence[bytes]) -> str:
        fields = ", ".join(
            f"{self.shape.expected[c.name].sql.replace('{}', sql.Identifier(c.column.name).as_string())} as "
            f"{sql.Identifier(c.name).as_string()}"
            for c in self.shape.layout.key
        )
        listed = ", ".join(sql.Literal(key.decode()).as_string() for key in keys)
        return f"(select {key_expression(self.shape)} from (select {fields}) {ROW}) in ({listed})"

    def _difference(self, candidate: Candidate, comparer: RowComparer) -> Difference:
        key, row, have = candidate
        shown = orjson.loads(key)
        if row is None:
            return Difference("extra", shown)
        if have is None:
            return Difference("missing", shown)
        return Difference("different", shown, comparer.differing(row, have))


def _text(value: Any) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)
