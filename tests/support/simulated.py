"""A database of one table in memory: transactions, snapshots, places of rows, a log in commit order.

Everything that matters to a snapshot beside a stream is there, in the order in which the server does it: a transaction
writes, its commit record goes into the log, and only some time later other snapshots see it and its locks are free.
Rows move when they are updated. TRUNCATE and rewrites give the table another file at once, whatever older snapshots see.
"""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import dataclass, field
from random import Random
from typing import Any

from cdc.lsn import LSN
from cdc.postgres.snapshot import ITEMS, Extent, Moment
from cdc.postgres.snapshot_tables import SnapshotTable
from cdc.visibility import Snapshot
from cdc.wire.pgoutput import UNCHANGED, Cell
from tests.support import pgoutput as write

OID = 16_384
PAGES = 6
ITEMS_USED = 3


@dataclass
class Version:
    """One version of a row, at its place."""

    key: int
    number: int
    big: int
    place: int
    xmin: int
    xmax: int | None = None


@dataclass
class Transaction:
    """A transaction that runs, or is committed and not visible yet (`logged`)."""

    xid: int
    keys: set[int] = field(default_factory=set)
    changes: list[Change] = field(default_factory=list)
    exclusive: bool = False
    logged: bool = False


@dataclass(frozen=True)
class Change:
    """A row's change as the stream tells it.

    Attributes:
        number: Counts all changes of the database: a later one of a key has a larger one.
        before: The old key, where the message carries one.
        left_out: Whether the message leaves the big value out.
    """

    op: str
    number: int
    key: int | None = None
    before: int | None = None
    big: int = 0
    left_out: bool = False

    @property
    def payload(self) -> bytes:
        new: list[Cell] = [
            b"%d" % (self.key or 0),
            b"%d" % self.number,
            UNCHANGED if self.left_out else b"%d" % self.big,
        ]
        old: list[Cell] | None = None if self.before is None else [b"%d" % self.before, None, None]
        if self.op == "c":
            return write.insert(OID, new)
        if self.op == "d":
            return write.delete(OID, [b"%d" % (self.key or 0), None, None])
        return write.update(OID, new, old)


class Database:
    """The database.

    Args:
        random: Decides what happens.
        first_xid: 64 bits; near 2^32 the stream's ids wrap.
    """

    def __init__(self, random: Random, first_xid: int) -> None:
        self.random = random
        self.next_xid = first_xid
        self.number = 0
        self.versions: list[Version] = []
        self.running: dict[int, Transaction] = {}
        self.log: list[Transaction | str] = []
        self.files: list[tuple[int, int]] = [(0, 1)]

    # -- what transactions do ----------------------------------------------------------------------------------------

    def step(self) -> None:
        """Something happens."""
        choices = [self.begin, self.work, self.work, self.commit, self.commit, self.show, self.show]
        if self.random.random() < 0.05:
            choices = [self.truncate, self.rewrite, self.rewrite, self.abort]
        self.random.choice(choices)()

    def settle(self) -> None:
        """Every transaction ends and is seen."""
        for transaction in list(self.running.values()):
            self._end(transaction)

    def begin(self) -> None:
        if len(self.running) < 4:
            self._begin()

    def _begin(self) -> Transaction:
        transaction = Transaction(self.next_xid)
        self.next_xid += 1
        self.running[transaction.xid] = transaction
        return transaction

    def work(self) -> None:
        open_ones = [each for each in self.running.values() if not each.logged]
        if open_ones and not self._locked():
            self._write(self.random.choice(open_ones))

    def _locked(self) -> bool:
        return any(each.exclusive for each in self.running.values())

    def _write(self, transaction: Transaction) -> None:
        taken = {key for each in self.running.values() if each is not transaction for key in each.keys}
        key = self.random.randrange(12)
        if key in taken:
            return
        transaction.keys.add(key)
        self.number += 1
        current = next((v for v in self.versions if v.key == key and v.xmax is None), None)
        if current is None:
            self._add(transaction, key, self.number)
            transaction.changes.append(Change("c", self.number, key, big=self.number))
            return
        current.xmax = transaction.xid
        chance = self.random.random()
        if chance < 0.2:
            transaction.changes.append(Change("d", self.number, key))
            return
        other = self.random.randrange(12)
        before = None
        there = any(v.key == other and v.xmax is None for v in self.versions)
        if chance < 0.35 and other not in taken and not there:
            transaction.keys.add(other)
            key, before = other, key
        left_out = self.random.random() < 0.6
        big = current.big if left_out else self.number
        self._add(transaction, key, big)
        transaction.changes.append(Change("u", self.number, key, before, big, left_out))

    def _add(self, transaction: Transaction, key: int, big: int) -> None:
        used = {version.place for version in self.versions}
        free = [p * ITEMS + i for p in range(PAGES) for i in range(1, ITEMS_USED + 1) if p * ITEMS + i not in used]
        place = self.random.choice(free) if free else (PAGES + len(used)) * ITEMS + 1
        self.versions.append(Version(key, self.number, big, place, transaction.xid))

    def commit(self) -> None:
        open_ones = [each for each in self.running.values() if not each.logged]
        if open_ones:
            self._log(self.random.choice(open_ones))

    def _log(self, transaction: Transaction) -> None:
        transaction.logged = True
        if transaction.changes:
            self.log.append(transaction)

    def show(self) -> None:
        logged = [each for each in self.running.values() if each.logged]
        if logged:
            del self.running[self.random.choice(logged).xid]

    def _end(self, transaction: Transaction) -> None:
        if not transaction.logged:
            self._log(transaction)
        del self.running[transaction.xid]

    def abort(self) -> None:
        open_ones = [each for each in self.running.values() if not each.logged]
        if open_ones:
            transaction = self.random.choice(open_ones)
            del self.running[transaction.xid]
            self.versions = [v for v in self.versions if v.xmin != transaction.xid]
            for version in self.versions:
                if version.xmax == transaction.xid:
                    version.xmax = None

    def _alone(self) -> bool:
        return not any(each.keys or each.exclusive for each in self.running.values())

    def truncate(self) -> None:
        if self._alone():
            transaction = self._begin()
            self.number += 1
            transaction.exclusive = True
            transaction.changes.append(Change("t", self.number))
            self.files.append((transaction.xid, len(self.files) + 1))
            self.versions = []
            self._log(transaction)

    def rewrite(self) -> None:
        """VACUUM FULL: rows keep who sees them, and get other places."""
        if self._alone():
            transaction = self._begin()
            transaction.exclusive = transaction.logged = True
            self.files.append((transaction.xid, len(self.files) + 1))
            self.versions = [v for v in self.versions if v.xmax is None or v.xmax in self.running]
            places = (
                self.random.sample(range(PAGES * ITEMS_USED), len(self.versions))
                if len(self.versions) <= PAGES * ITEMS_USED
                else range(len(self.versions))
            )
            for version, place in zip(self.versions, places, strict=True):
                version.place = place // ITEMS_USED * ITEMS + place % ITEMS_USED + 1

    # -- what readers see --------------------------------------------------------------------------------------------

    def snapshot(self) -> Snapshot:
        return Snapshot(min(self.running, default=self.next_xid), self.next_xid, frozenset(self.running))

    def table(self) -> dict[int, tuple[int, int]]:
        """Key -> number and big value, once every transaction has ended."""
        return {v.key: (v.number, v.big) for v in self.versions if v.xmax is None}

    def visible(self, snapshot: Snapshot) -> list[Version]:
        def seen(xid: int) -> bool:
            return xid < snapshot.xmin or (xid < snapshot.xmax and xid not in snapshot.in_progress)

        return [v for v in self.versions if seen(v.xmin) and (v.xmax is None or not seen(v.xmax))]

    def file_at(self, snapshot: Snapshot) -> int:
        return next(
            file for xid, file in reversed(self.files)
            if xid < snapshot.xmin or (xid < snapshot.xmax and xid not in snapshot.in_progress)
        )  # fmt: skip


class Reader:
    """Reads the database as `cdc.postgres.snapshot.SnapshotReader` does; `turn` is called wherever time passes."""

    def __init__(self, database: Database, turn: Any) -> None:
        self.database = database
        self.turn = turn
        self.snapshot: Snapshot | None = None

    def writers(self, _table: SnapshotTable) -> frozenset[str]:
        self.turn()
        if self.database.random.random() < 0.3:
            self.database.settle()
        return frozenset(str(each.xid) for each in self.database.running.values() if each.keys or each.exclusive)

    def begin(self, _table: SnapshotTable) -> Moment:
        self.turn()
        if self.database.random.random() < 0.1:
            self.database.settle()  # nobody waits for ever
        self.snapshot = snapshot = self.database.snapshot()
        self.turn()
        pages = 1 + max((v.place // ITEMS for v in self.database.versions), default=-1)
        return Moment(snapshot, LSN(0), 0, self.database.file_at(snapshot), pages)

    def rows(self, _table: SnapshotTable, extent: Extent) -> Generator[bytes, None, None]:
        self.turn()
        for transaction in list(self.database.running.values()):
            if transaction.exclusive:
                self.database._end(transaction)  # COPY waits for its lock
        assert self.snapshot is not None
        found = self.database.visible(self.snapshot)
        # From here on the lock is held: nobody truncates or rewrites.
        self.held = self.database.files[-1][1]
        if extent.keys is not None:
            wanted = {int(texts[0]) for texts in extent.keys}
            chosen = [v for v in found if v.key in wanted]
        else:
            chosen = [v for v in found if extent.first <= v.place and (extent.end is None or v.place < extent.end)]
        lines = [b"%d\t%d\t%d\n" % (v.key, v.number, v.big) for v in chosen]
        yield from lines

    def end(self, _table: SnapshotTable, moment: Moment) -> bool:
        same = self.held == moment.filenode
        self.turn()
        return same

    def abandon(self) -> None:
        self.turn()

    def mark(self, mark: str) -> None:
        self.turn()
        self.database.log.append(mark)
        self.turn()
