"""Writers whose every row proves itself, and a checker that compares what they committed with what lies in the topics.

`state` holds rows by key, and each operation on a key counts its `seq` up, under the lock of the key's row in
`unseen.counter`: several writers share the keys, and still the order of a key's operations is the order of its numbers.
`journal` gets one row for each operation, in the same transaction. `batch` is filled by COPY, whose rows share one LSN,
with numbers of their own. Transactions end by commit or rollback, some are prepared first; savepoints are taken back;
keys are changed.
"""

from __future__ import annotations

import random
import threading
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Self

import psycopg

from tests.stack.postgres import Database
from tests.support.fold import Event, data_events, events, fold_rows, rows_of
from tests.support.waiting import wait_until

KEYS = 60
TABLES = (
    "create table state (key int primary key, seq int not null, note text)",
    # Its old rows are whole, so that a delete says which version it ended.
    "alter table state replica identity full",
    "create table journal (id bigserial primary key, key int not null, seq int not null, op text not null)",
    "create table batch (key int, seq int, note text, primary key (key, seq))",
    # Not captured: the locks and the numbers.
    "create schema unseen",
    "create table unseen.counter (key int primary key, seq int not null default 0, batch int not null default 0)",
    f"insert into unseen.counter select n from generate_series(0, {KEYS - 1}) n",
)


class Writer:
    """Commits transactions until it is stopped.

    Args:
        database: Holds `TABLES`.
        number: Tells writers apart.
        seed: Of its choices.
        pause: Seconds between two transactions.
        sizes: Operations of a transaction, one of these.
        batch: Rows of a COPY.
    """

    def __init__(
        self,
        database: Database,
        number: int = 0,
        *,
        seed: int = 1,
        pause: float = 0.005,
        sizes: Sequence[int] = (1, 1, 2, 5, 30),
        batch: int = 120,
    ) -> None:
        self.database = database
        self.number = number
        self.pause = pause
        self.sizes = sizes
        self.batch = batch
        self.committed = 0
        self.error: BaseException | None = None
        self._random = random.Random(f"{seed}/{number}")
        self._end = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True, name=f"writer {number}")
        self._thread.start()

    def _run(self) -> None:
        try:
            while not self._end.is_set():
                try:
                    with self.database.connect() as connection:
                        self._take_back_prepared(connection)
                        while not self._end.is_set():
                            self.write(connection)
                            self._end.wait(self.pause)
                except psycopg.OperationalError:
                    # The server was stopped. Whether the last commit held, the tables say.
                    self._end.wait(0.05)
        except BaseException as error:
            self.error = error

    def write(self, connection: psycopg.Connection) -> None:
        """One transaction, on a connection that commits by itself otherwise."""
        chance = self._random
        chosen = chance.choices(range(KEYS), k=chance.choice(self.sizes))
        connection.execute("begin")
        # All locks at once and in one order, so that no two writers wait for each other.
        transaction = _Transaction(
            connection, chance, sorted({*chosen, *(key + 1 for key in chosen if key + 1 < KEYS)})
        )
        for key in chosen:
            if chance.random() < 0.1:
                # A subtransaction that is taken back: its rows must never be seen.
                connection.execute("savepoint tried")
                kept = transaction.remember()
                transaction.operation(key)
                transaction.restore(kept)
                connection.execute("rollback to savepoint tried")
            transaction.operation(key)
        if chance.random() < 0.2:
            transaction.copy(chosen[0], self.batch)
        transaction.close()
        self._finish(connection)

    def _finish(self, connection: psycopg.Connection) -> None:
        chance = self._random.random()
        prepared = f"{self.database.name} {self.number} {self.committed}"
        if chance < 0.1:
            connection.execute("rollback")
            return
        if chance < 0.2:
            connection.execute(f"prepare transaction '{prepared}'")
            if chance < 0.12:
                connection.execute(f"rollback prepared '{prepared}'")
                return
            connection.execute(f"commit prepared '{prepared}'")
        else:
            connection.execute("commit")
        self.committed += 1

    def _take_back_prepared(self, connection: psycopg.Connection) -> None:
        """What a crash of the server left prepared would hold its locks for ever."""
        left = connection.execute(
            "select gid from pg_prepared_xacts where gid like %s", [f"{self.database.name} {self.number} %"]
        ).fetchall()
        for (gid,) in left:
            connection.execute(f"rollback prepared '{gid}'")

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


class _Transaction:
    """An open transaction that holds the locks of some keys, and knows their numbers and which have rows."""

    def __init__(self, connection: psycopg.Connection, chance: random.Random, keys: Sequence[int]) -> None:
        self.connection = connection
        self.chance = chance
        locked = connection.execute(
            "select key, seq, batch from unseen.counter where key = any(%s) order by key for update", [list(keys)]
        ).fetchall()
        self.seqs = {key: seq for key, seq, _ in locked}
        self.batches = {key: batch for key, _, batch in locked}
        rows = connection.execute("select key from state where key = any(%s)", [list(keys)]).fetchall()
        self.there = {key for (key,) in rows}

    def remember(self) -> tuple[dict[int, int], set[int]]:
        return dict(self.seqs), set(self.there)

    def restore(self, kept: tuple[dict[int, int], set[int]]) -> None:
        self.seqs, self.there = kept

    def operation(self, key: int) -> None:
        note, chance = "x" * self.chance.randrange(200), self.chance.random()
        if key not in self.there:
            self.connection.execute("insert into state values (%s, %s, %s)", [key, self._next(key, "c"), note])
            self.there.add(key)
        elif chance < 0.2:
            self.connection.execute("delete from state where key = %s", [key])
            self._next(key, "d")
            self.there.remove(key)
        elif chance < 0.35 and key + 1 in self.seqs and key + 1 not in self.there:
            # A key change ends the one key and begins the other.
            self._next(key, "d")
            seq = self._next(key + 1, "c")
            self.connection.execute("update state set key = %s, seq = %s where key = %s", [key + 1, seq, key])
            self.there.remove(key)
            self.there.add(key + 1)
        else:
            seq = self._next(key, "u")
            self.connection.execute("update state set seq = %s, note = %s where key = %s", [seq, note, key])

    def _next(self, key: int, op: str) -> int:
        self.seqs[key] += 1
        self.connection.execute("insert into journal (key, seq, op) values (%s, %s, %s)", [key, self.seqs[key], op])
        return self.seqs[key]

    def copy(self, key: int, rows: int) -> None:
        """A COPY: the rows of a page become one record of the log, with one LSN."""
        first = self.batches[key] + 1
        with self.connection.cursor() as cursor, cursor.copy("copy batch from stdin") as copy:
            for seq in range(first, first + rows):
                copy.write_row((key, seq, f"row {seq}"))
        self.batches[key] = first + rows - 1

    def close(self) -> None:
        with self.connection.cursor() as cursor:
            cursor.executemany(
                "update unseen.counter set seq = %s, batch = %s where key = %s",
                [(seq, self.batches[key], key) for key, seq in self.seqs.items()],
            )


@dataclass(frozen=True, slots=True)
class Counted:
    """How far the numbers had come at a moment: the last of each key, of `state` and of `batch`."""

    state: Mapping[int, int]
    batch: Mapping[int, int]


def counted(database: Database) -> Counted:
    """How far the numbers have come."""
    rows = database.rows("select key, seq, batch from unseen.counter")
    return Counted({key: seq for key, seq, _ in rows}, {key: batch for key, _, batch in rows})


NOTHING = Counted({}, {})


@dataclass(slots=True)
class Report:
    """What a check found.

    Attributes:
        operations: Committed ones.
        events: Events of the state table.
        read: Of them those of a snapshot.
        repeated: Events that were there before, of all tables.
        faults: What must not be; empty when all is well.
    """

    operations: int = 0
    events: int = 0
    read: int = 0
    repeated: int = 0
    faults: list[str] = field(default_factory=list)


def check(database: Database, bootstrap: str, prefix: str, *, streamed_since: Counted = NOTHING) -> Report:
    """Compare the topics with the tables, as a read_committed reader sees them, once all was delivered.

    Nothing may be missing, invented or changed; each key's events must come in its order, where a stretch may be
    repeated from an earlier event on, if only it ends with the last one; the fold must be the table. A row of a snapshot
    must be the version of its key that was streamed last.

    Args:
        database: Holds what was committed.
        bootstrap: Kafka.
        prefix: The topics'.
        streamed_since: Taken when the engine streamed for the first time. What came before may be there as a row of a
            snapshot only; what came after must be there as an event of its own.
    """
    report = Report()
    journal = {row["id"]: row for row in rows_of(database, "journal")}
    report.operations = len(journal)
    _check_once_each(
        "journal", {row["id"]: row for row in journal.values()}, lambda row: row["id"],
        data_events(bootstrap, f"{prefix}.public.journal"), report, snapshot=streamed_since is not NOTHING,
    )  # fmt: skip
    found = data_events(bootstrap, f"{prefix}.public.batch")
    _check_once_each(
        "batch", {(row["key"], row["seq"]): row for row in rows_of(database, "batch")},
        lambda row: (row["key"], row["seq"]), found, report, snapshot=streamed_since is not NOTHING,
    )  # fmt: skip
    found = events(bootstrap, f"{prefix}.public.state")
    report.events = len([each for each in found if each.op != "tombstone"])
    _Order(journal, report, streamed_since).check(found)
    folded, table = fold_rows(found), rows_of(database, "state")
    if folded != table:
        report.faults.append(f"the fold of state has {len(folded)} rows and is not the table of {len(table)}")
    return report


def _check_once_each(
    table: str,
    committed: Mapping[Any, dict[str, Any]],
    key_of: Any,
    found: list[Event],
    report: Report,
    *,
    snapshot: bool,
) -> None:
    """Each row that was ever inserted, and no other; as `c`, as `r`, or as `r` after `c`."""
    seen: dict[Any, set[str]] = defaultdict(set)
    for each in found:
        if each.op not in ("c", "r") or each.after is None or (each.op == "r" and not snapshot):
            report.faults.append(f"{table} has an event {each.op}")
            continue
        identity = key_of(each.after)
        if each.after != committed.get(identity):
            report.faults.append(f"{table} {identity} was never committed so")
        report.repeated += each.op in seen[identity] or (each.op == "c" and "r" in seen[identity])
        seen[identity].add(each.op)
    lost = sorted(set(committed) - set(seen))
    if lost:
        report.faults.append(f"{len(lost)} rows of {table} are missing, from {lost[0]} to {lost[-1]}")


class _Order:
    """Follows the events of `state`."""

    def __init__(self, journal: Mapping[int, dict[str, Any]], report: Report, since: Counted) -> None:
        self.report = report
        self.since = since
        self.wanted: dict[int, dict[int, str]] = defaultdict(dict)
        for row in journal.values():
            self.wanted[row["key"]][row["seq"]] = row["op"]
        self.last: dict[int, int] = {}
        self.most: dict[int, int] = {}
        self.read: set[tuple[int, int]] = set()
        self.places: dict[int, int] = {}

    def fault(self, text: str) -> None:
        self.report.faults.append(text)

    def check(self, found: Sequence[Event]) -> None:
        for each in found:
            assert each.key is not None
            key = each.key["key"]
            if each.record.partition != self.places.setdefault(key, each.record.partition):
                self.fault(f"key {key} lies in two partitions")
            if each.op == "r":
                self._row(key, each)
            elif each.op != "tombstone":
                self._change(key, each)
        for key, operations in self.wanted.items():
            last, end = self.last.get(key), max(operations)
            if last != end and not (last is None and operations[end] == "d" and end <= self.since.state.get(key, 0)):
                self.fault(f"key {key} ends at {last} and not at {end}")

    def _row(self, key: int, each: Event) -> None:
        assert each.after is not None
        seq = each.after["seq"]
        self.report.read += 1
        if self.since is NOTHING or self.wanted[key].get(seq) not in ("c", "u"):
            self.fault(f"key {key} has a row {seq} of a snapshot that must not be")
        if seq != self.last.get(key, seq):
            self.fault(f"key {key} went from {self.last[key]} to {seq} by a row of a snapshot")
        self.report.repeated += (key, seq) in self.read
        self.read.add((key, seq))
        self.last[key], self.most[key] = seq, max(seq, self.most.get(key, 0))

    def _change(self, key: int, each: Event) -> None:
        seq = (each.before["seq"] + 1) if each.op == "d" else each.after["seq"]  # type: ignore[index]
        if self.wanted[key].get(seq) != each.op:
            self.fault(f"key {key} has an operation {each.op} {seq} that was never committed")
        known = self.last.get(key, self.since.state.get(key, 0))
        if seq > known + 1:
            self.fault(f"key {key} went from {known} to {seq}")
        self.report.repeated += seq <= self.most.get(key, 0)
        self.last[key], self.most[key] = seq, max(seq, self.most.get(key, 0))


def assert_exact(
    database: Database, bootstrap: str, prefix: str, *, streamed_since: Counted = NOTHING, once: bool = False
) -> Report:
    """The check, as an assertion; with `once` nothing may be there twice."""
    report = check(database, bootstrap, prefix, streamed_since=streamed_since)
    assert not report.faults, "\n".join([f"{len(report.faults)} faults", *report.faults[:20]])
    assert report.operations, "nothing was written"
    assert not once or not report.repeated, f"{report.repeated} events came twice"
    return report
