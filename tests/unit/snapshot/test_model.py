"""Chunks of a snapshot beside a stream, over a simulated database: no key goes back in time, and nothing is missing.

Whatever transactions do, whenever chunks are read, marks arrive, Kafka transactions commit and the process dies, the
topic must lead to the table, and each key's records must come in the order of its changes. Engines with one rule taken
away must be found out.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from random import Random
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from cdc import snapshot_state, snapshotter
from cdc.chunks import ChangeMemory, Newer
from cdc.model.relation import Column, Relation, ReplicaIdentity
from cdc.postgres.snapshot_tables import SnapshotTable
from cdc.snapshot_state import TableState
from cdc.snapshotter import Snapshotter
from cdc.visibility import Snapshot
from cdc.wire.identity import RowIdentity
from tests.support.simulated import OID, Change, Database, Reader

RELATION = Relation(
    OID, "public", "item", ReplicaIdentity.DEFAULT,
    (Column("key", 23, key=True), Column("number", 23), Column("big", 25)),
)  # fmt: skip
TABLE = SnapshotTable(OID, ("public", "item"), RELATION, ("key",), ("integer",), None, 10)


class FakeRender:
    """A record is `r`, key, number and big value."""

    def tail(self, _reading: Any) -> bytes:
        return b""

    def identity(self, _columns: Any) -> Callable[[Any], Any]:
        return lambda fields: fields[0]

    def row(self, line: bytes, _tail: bytes) -> tuple[list[bytes], Any]:
        fields = line.strip().split(b"\t")
        return fields, ("topic", fields[0], line, None)


class Unstopped:
    """Time does not pass in a simulation."""

    def wait(self, _seconds: float) -> bool:
        return False

    def is_set(self) -> bool:
        return False

    def set(self) -> None:
        return


class Engine:
    """A snapshotter and a stream over the simulated database, with Kafka's transactions.

    Args:
        random: Decides.
        exactly_once: Whether a crash takes back what was not committed.
    """

    def __init__(self, random: Random, *, exactly_once: bool) -> None:
        self.random = random
        self.exactly_once = exactly_once
        self.database = Database(random, random.choice((5, (1 << 32) - 20, (3 << 32) - 7)))
        for _ in range(random.randrange(100)):
            self.database.step()
        # The slot's consistent point: everything logged so far is older, though perhaps not visible yet.
        self.place = len(self.database.log)
        self.output: list[Any] = []
        self.done: list[Callable[[], None]] = []
        self.committed: tuple[int, int, dict[str, Any]] = (self.place, 0, {})
        self.depth = 0
        self.steps = random.randrange(10, 250)
        self._start({})

    def _start(self, recorded: dict[str, Any]) -> None:
        self.life = self.random.random()
        memory = ChangeMemory(self.random.choice((2, 100)))
        self.snapshot = Snapshotter([TABLE], {"public.item": FakeRender()}, recorded, lambda: None, memory=memory)
        for state in self.snapshot.states.values():
            state._pages = self.random.choice((1, 1, 2, 64))
        self.snapshot._stop = Unstopped()
        self.snapshot.describe(RELATION)
        self.reader = Reader(self.database, self._turn)

    # -- what happens ------------------------------------------------------------------------------------------------

    def run(self) -> None:
        crashes = self.random.choice((0, 0, 1, 2))
        while True:
            chance = self.random.random()
            if self.steps > 0 and chance < 0.4:
                self._step()
            elif chance < 0.6:
                self._read()
            elif chance < 0.9:
                self._stream()
            elif chance < 0.96:
                self._commit()
            elif crashes:
                crashes -= 1
                self._crash()
            if self.steps <= 0:
                self.database.settle()
                if self.snapshot.complete and self.place == len(self.database.log):
                    self._commit()
                    return

    def _step(self) -> None:
        self.steps -= 1
        self.database.step()

    def _turn(self) -> None:
        """Time passes while a chunk is being read; another one may be read meanwhile."""
        for _ in range(self.random.choice((0, 0, 1, 2, 5))):
            if self.steps > 0:
                self._step()
        for _ in range(self.random.choice((0, 0, 1, 3))):
            self._stream()
        if self.depth < 2 and self.random.random() < 0.2:
            snapshot, self.reader.snapshot = self.reader.snapshot, None
            held = getattr(self.reader, "held", None)
            self._read()
            self.reader.snapshot, self.reader.held = snapshot, held

    def _read(self) -> None:
        chunk = self.snapshot._choose()
        if chunk is None:
            return
        self.depth += 1
        try:
            # A connection of its own, as each reader has one.
            self.snapshot._read_chunk(Reader(self.database, self._turn), chunk)
        finally:
            self.depth -= 1

    def _stream(self) -> None:
        if self.place == len(self.database.log):
            return
        entry = self.database.log[self.place]
        self.place += 1
        if isinstance(entry, str):
            arrived = self.snapshot.arrived(entry)
            if arrived is not None:
                self.output += [("r", *map(int, record[2].split())) for record in arrived.rows]
                self.done.append(arrived.done)
            return
        for change in entry.changes:
            self._note(change, entry.xid & 0xFFFFFFFF)
            self.output.append(change)

    def _note(self, change: Change, xid: int) -> None:
        identity = self.snapshot.identities.get(OID.to_bytes(4, "big"))
        if change.op == "t":
            self.snapshot.note_truncate([OID], xid)
        elif identity is not None:
            self.snapshot.note(identity, change.payload, xid)

    def _commit(self) -> None:
        for done in self.done:
            done()
        self.done = []
        self.committed = (self.place, len(self.output), self.snapshot.as_json()["tables"])

    def _crash(self) -> None:
        if self.depth:
            return
        self.place, length, recorded = self.committed
        if self.exactly_once:
            del self.output[length:]
        self.done = []
        self._start(recorded)

    # -- what must hold ----------------------------------------------------------------------------------------------

    def faults(self) -> Iterator[str]:
        """What is wrong with the topic."""
        rows: dict[int, tuple[int, Any]] = {}
        newest: dict[int, int] = {}
        everything = 0
        for entry in self.output:
            if isinstance(entry, tuple):
                _, key, number, big = entry
                if self.exactly_once and number < max(newest.get(key, 0), everything):
                    yield f"key {key} goes back from {newest.get(key)} to {number}"
                newest[key], rows[key] = number, (number, big)
                continue
            if entry.op == "t":
                rows.clear()
                everything = entry.number
                continue
            key = entry.key
            for each in {key, entry.before} - {None}:
                if self.exactly_once and entry.number <= newest.get(each, 0):
                    yield f"key {each} has {entry.number} after {newest[each]}"
                newest[each] = entry.number
            old = rows.pop(entry.before if entry.before is not None else key, (0, None))
            if entry.op != "d":
                # The big value stays what it was; after a change of the key the consumer does not know it.
                kept = old[1] if entry.before is None else None
                rows[key] = (entry.number, kept if entry.left_out else entry.big)
        table = self.database.table()
        for key in rows.keys() | table.keys():
            have, want = rows.get(key), table.get(key)
            if have is None or want is None or have[0] != want[0]:
                yield f"key {key} is {have}, not {want}"
            elif have[1] != want[1] and not (have[1] is None and self._lost_by_key_change(key)):
                yield f"key {key} has big value {have[1]}, not {want[1]}"

    def _lost_by_key_change(self, key: int) -> bool:
        """Whether the stream alone would not know the value either: a key change left it out after the snapshot."""
        return any(
            isinstance(each, Change) and each.before is not None and each.left_out and self._of(key, each)
            for each in self.output
        )

    def _of(self, key: int, change: Change) -> bool:
        return change.key == key


def one(seed: int, *, exactly_once: bool) -> list[str]:
    """What is wrong after one run."""
    random = Random(seed)
    with pytest.MonkeyPatch.context() as patch:
        # Chunks of a few rows, and limits that are reached.
        patch.setattr(snapshotter, "CHUNK_BYTES", random.choice((600, 2_000, 8_000_000)))
        patch.setattr(snapshot_state, "AGAIN_MOST", random.choice((2, 5_000)))
        engine = Engine(random, exactly_once=exactly_once)
        engine.run()
        return list(engine.faults())


@pytest.mark.parametrize("exactly_once", [True, False], ids=["exactly once", "at least once"])
@settings(max_examples=400, deadline=None, suppress_health_check=list(HealthCheck))
@given(seed=st.integers(0, 1 << 40))
def test_the_topic_leads_to_the_table_and_no_key_goes_back(exactly_once: bool, seed: int) -> None:
    assert one(seed, exactly_once=exactly_once) == []


# -- engines with one rule taken away ----------------------------------------------------------------------------------


def _without_visibility(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(ChangeMemory, "end", lambda self, chunk: (self._open.pop(chunk, None), Newer())[1])


def _without_retake(patch: pytest.MonkeyPatch) -> None:
    start = ChangeMemory.start

    def start_blindly(self: ChangeMemory, chunk: str, table: str) -> None:
        start(self, chunk, table)
        self._open[chunk].before = frozenset()

    patch.setattr(ChangeMemory, "start", start_blindly)


def _without_waiting_for_writers(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(Snapshotter, "_await_writers", lambda *_: None)


def _without_reading_again(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(TableState, "note_left_out", lambda *_: None)


def _without_recording_what_is_read_again(patch: pytest.MonkeyPatch) -> None:
    as_json = TableState.as_json
    patch.setattr(TableState, "as_json", lambda self: {k: v for k, v in as_json(self).items() if k != "again"})


def _without_looking_at_the_file_again(patch: pytest.MonkeyPatch) -> None:
    end = Reader.end
    patch.setattr(Reader, "end", lambda *arguments: end(*arguments) or True)


def _without_noticing_a_rewrite(patch: pytest.MonkeyPatch) -> None:
    settle = TableState.settle

    def settle_blindly(self: TableState, extent: Any, moment: Any) -> Any:
        self.file = 0
        return settle(self, extent, moment)

    patch.setattr(TableState, "settle", settle_blindly)


def _without_truncates(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(Snapshotter, "note_truncate", lambda *_: None)


def _without_old_keys(patch: pytest.MonkeyPatch) -> None:
    read = RowIdentity.read

    def read_new(self: RowIdentity, payload: bytes) -> Any:
        keys, left_out = read(self, payload)
        return keys[:1], left_out

    patch.setattr(RowIdentity, "read", read_new)


def _without_the_bound_of_memory_noticed(patch: pytest.MonkeyPatch) -> None:
    end = ChangeMemory.end

    def end_blindly(self: ChangeMemory, chunk: str) -> Newer:
        found = end(self, chunk)
        return Newer(found.keys, found.everything)

    patch.setattr(ChangeMemory, "end", end_blindly)


def _done_before_it_is_durable(patch: pytest.MonkeyPatch) -> None:
    arrived = Snapshotter.arrived

    def arrived_and_done(self: Snapshotter, mark: str) -> Any:
        found = arrived(self, mark)
        if found is not None:
            found.done()
        return found

    patch.setattr(Snapshotter, "arrived", arrived_and_done)
    # Recorded at once, as if in a transaction of its own.
    patch.setattr(
        Engine, "_crash",
        lambda self: None if self.depth else crash_with(self, self.snapshot.as_json()["tables"]),
    )  # fmt: skip


def crash_with(engine: Engine, recorded: dict[str, Any]) -> None:
    engine.place, length, _ = engine.committed
    del engine.output[length:]
    engine.done = []
    engine._start(recorded)


def _without_the_upper_half_of_ids(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(Snapshot, "widen", lambda _self, xid: xid)


def _without_the_snapshot(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(Snapshot, "sees", lambda _self, _xid: True)


MUTANTS = [value for name, value in dict(globals()).items() if name.startswith(("_without", "_done_before"))]


@pytest.mark.parametrize("mutate", MUTANTS, ids=lambda mutate: mutate.__name__.strip("_"))
def test_an_engine_with_a_rule_taken_away_is_found_out(mutate: Callable[[Any], None], monkeypatch: Any) -> None:
    mutate(monkeypatch)
    for seed in range(3_000):
        try:
            found = one(seed, exactly_once=True)
        except AssertionError:
            return
        if found:
            return
    pytest.fail("3000 runs found nothing")
