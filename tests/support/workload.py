"""A writer that knows what it wrote, and a checker that compares it with what lies in the topics.

`state` holds rows by key, whose `seq` grows with each operation on the key; `journal` gets one row for each operation, in
the same transaction. Writers own disjoint keys, so that the order of a key's operations is the order of its journal.
"""

from __future__ import annotations

import random
import threading
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Self

import psycopg

from tests.stack.postgres import Database
from tests.support.fold import Event, data_events, events, fold_rows, rows_of
from tests.support.waiting import wait_until

TABLES = (
    "create table state (key int primary key, seq int not null, note text)",
    # Its old rows are whole, so that a delete says which version it ended.
    "alter table state replica identity full",
    "create table journal (id bigserial primary key, key int not null, seq int not null, op text not null)",
)
KEYS_PER_WRITER = 20


class Writer:
    """Commits transactions until it is stopped: inserts, updates, deletes, savepoints, rollbacks.

    Args:
        database: Holds `TABLES`.
        number: Which keys it owns.
        seed: Of its choices.
        pause: Seconds between two transactions.
        sizes: Operations of a transaction, one of these.
    """

    def __init__(
        self,
        database: Database,
        number: int = 0,
        *,
        seed: int = 1,
        pause: float = 0.005,
        sizes: Sequence[int] = (1, 1, 2, 5, 30),
    ) -> None:
        self.database = database
        self.number = number
        self.pause = pause
        self.sizes = sizes
        self.committed = 0
        self.error: BaseException | None = None
        self._random = random.Random(f"{seed}/{number}")
        self._known: dict[int, tuple[int, bool]] = {}
        self._end = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True, name=f"writer {number}")
        self._thread.start()

    def _run(self) -> None:
        try:
            while not self._end.is_set():
                try:
                    self._write()
                except psycopg.OperationalError:
                    self._reconcile()  # the server was stopped; whether the last commit held, only it knows
        except BaseException as error:
            self.error = error

    def _write(self) -> None:
        with self.database.connect(autocommit=False) as connection:
            while not self._end.is_set():
                planned = dict(self._known)
                for _ in range(self._random.choice(self.sizes)):
                    self._step(connection, planned)
                if self._random.random() < 0.15:
                    connection.rollback()
                else:
                    connection.commit()
                    self._known = planned
                    self.committed += 1
                self._end.wait(self.pause)

    def _step(self, connection: psycopg.Connection, planned: dict[int, tuple[int, bool]]) -> None:
        if self._random.random() < 0.1:
            # A subtransaction that is taken back: its rows must never be seen.
            connection.execute("savepoint tried")
            self._operation(connection, dict(planned))
            connection.execute("rollback to savepoint tried")
        self._operation(connection, planned)

    def _operation(self, connection: psycopg.Connection, planned: dict[int, tuple[int, bool]]) -> None:
        key = self.number * KEYS_PER_WRITER + self._random.randrange(KEYS_PER_WRITER)
        seq, there = planned.get(key, (0, False))
        seq += 1
        note = "x" * self._random.randrange(200)
        if not there:
            op = "c"
            connection.execute("insert into state values (%s, %s, %s)", [key, seq, note])
        elif self._random.random() < 0.2:
            op = "d"
            connection.execute("delete from state where key = %s", [key])
        else:
            op = "u"
            connection.execute("update state set seq = %s, note = %s where key = %s", [seq, note, key])
        connection.execute("insert into journal (key, seq, op) values (%s, %s, %s)", [key, seq, op])
        planned[key] = (seq, op != "d")

    def _reconcile(self) -> None:
        while not self._end.is_set():
            try:
                rows = self.database.rows(
                    "select distinct on (key) key, seq, op from journal where key between %s and %s order by key, seq desc",
                    self.number * KEYS_PER_WRITER,
                    (self.number + 1) * KEYS_PER_WRITER - 1,
                )
            except psycopg.OperationalError:
                self._end.wait(0.05)
            else:
                self._known = {key: (seq, op != "d") for key, seq, op in rows}
                return

    def wrote(self, transactions: int, deadline: float = 30.0) -> None:
        """Wait until it has committed so many more transactions."""
        target = self.committed + transactions
        wait_until(lambda: self.error is not None or self.committed >= target, deadline, f"{transactions} transactions")
        self.raise_error()

    def raise_error(self) -> None:
        if self.error is not None:
            raise self.error

    def stop(self) -> None:
        self._end.set()
        self._thread.join(30)
        assert not self._thread.is_alive()
        self.raise_error()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._end.set()
        self._thread.join(30)


@dataclass(slots=True)
class Report:
    """What a check found.

    Attributes:
        operations: Committed ones.
        events: Events of the state table.
        repeated: Events that were there before.
        faults: What must not be; empty when all is well.
    """

    operations: int = 0
    events: int = 0
    repeated: int = 0
    faults: list[str] = field(default_factory=list)


def check(database: Database, bootstrap: str, prefix: str) -> Report:
    """Compare the topics with the tables, once all was delivered.

    Nothing may be missing, invented or changed; each key's events must come in its order, where a stretch may be
    repeated from an earlier event on, if only it ends with the last one; the fold must be the table.
    """
    report = Report()
    journal = {row["id"]: row for row in rows_of(database, "journal")}
    report.operations = len(journal)
    _check_journal(journal, data_events(bootstrap, f"{prefix}.public.journal"), report)
    found = events(bootstrap, f"{prefix}.public.state")
    report.events = len([each for each in found if each.op != "tombstone"])
    _check_order(journal, found, report)
    folded, table = fold_rows(found), rows_of(database, "state")
    if folded != table:
        report.faults.append(f"the fold of state has {len(folded)} rows and is not the table of {len(table)}")
    return report


def _check_journal(journal: dict[int, dict[str, Any]], found: list[Event], report: Report) -> None:
    seen: dict[int, dict[str, Any]] = {}
    for each in found:
        if each.op != "c" or each.after is None or each.key is None:
            report.faults.append(f"journal has an event {each.op}")
            continue
        if each.after != journal.get(each.key["id"]):
            report.faults.append(f"journal {each.key['id']} was never committed so")
        report.repeated += each.key["id"] in seen
        seen[each.key["id"]] = each.after
    lost = sorted(set(journal) - set(seen))
    if lost:
        report.faults.append(f"{len(lost)} rows of journal are missing, from {lost[0]} to {lost[-1]}")


def _check_order(journal: dict[int, dict[str, Any]], found: list[Event], report: Report) -> None:
    wanted: dict[int, dict[int, str]] = defaultdict(dict)
    for row in journal.values():
        wanted[row["key"]][row["seq"]] = row["op"]
    last: dict[int, int] = {}
    most: dict[int, int] = {}
    places: dict[int, int] = {}
    for each in found:
        assert each.key is not None
        key = each.key["key"]
        if each.record.partition != places.setdefault(key, each.record.partition):
            report.faults.append(f"key {key} lies in two partitions")
        if each.op == "tombstone":
            continue
        seq = (each.before["seq"] + 1) if each.op == "d" else each.after["seq"]  # type: ignore[index]
        if wanted[key].get(seq) != each.op:
            report.faults.append(f"key {key} has an operation {each.op} {seq} that was never committed")
        if seq > last.get(key, 0) + 1:
            report.faults.append(f"key {key} went from {last.get(key, 0)} to {seq}")
        report.repeated += seq <= most.get(key, 0)
        last[key], most[key] = seq, max(seq, most.get(key, 0))
    for key, operations in wanted.items():
        if last.get(key) != max(operations):
            report.faults.append(f"key {key} ends at {last.get(key)} and not at {max(operations)}")


def assert_exact(database: Database, bootstrap: str, prefix: str) -> Report:
    """The check, as an assertion."""
    report = check(database, bootstrap, prefix)
    assert not report.faults, "\n".join([f"{len(report.faults)} faults", *report.faults[:20]])
    assert report.operations, "nothing was written"
    return report
