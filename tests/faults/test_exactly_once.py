"""kill -9, a broker that dies, a zombie: with exactly once a read_committed reader sees each record once, in order."""

from __future__ import annotations

import random
import signal
from collections.abc import Sequence

import pytest

from tests.stack.kafka import KafkaBroker
from tests.stack.postgres import Database
from tests.support.engine import confirmed, pipeline, properties, run_into, run_once, slot_row
from tests.support.waiting import wait_until
from tests.support.workload import KEYS, TABLES, Counted, Writer, assert_exact, counted

OLD = 150
"""Rows that `batch` holds for each key before the engine starts."""

OPTIONS = {
    "exactly__once__support": "required",
    "snapshot__mode": "initial",
    "snapshot__max__threads": "2",
    # Every commit ends in the middle of a transaction: some are long, and heartbeats fall into them.
    "heartbeat__interval__ms": "20",
}
LOAD = {"sizes": (1, 5, 200), "pause": 0.02}
# Where a kill finds rows older than the slot half read, and where the stream takes over from them.
SNAPSHOT_STEPS = ("chunk read", "chunk emitted", "chunk done")
STREAM_STEPS = (
    "begin received",
    "drained",
    "produced, not committed",
    "committed, not acknowledged",
    "status sent",
    "chunk emitted",
    "chunk done",
    "snapshot done",
    "stream started",
)


@pytest.fixture
def old(database: Database) -> Database:
    """A database with rows that are older than any slot."""
    database.execute(
        *TABLES,
        f"insert into state select n, 1, repeat('o', 150) from generate_series(0, {KEYS - 1}) n",
        f"insert into journal (key, seq, op) select n, 1, 'c' from generate_series(0, {KEYS - 1}) n",
        f"insert into batch select n, m, repeat('o', 150) from generate_series(0, {KEYS - 1}) n, generate_series(1, {OLD}) m",
        f"update unseen.counter set seq = 1, batch = {OLD}",
    )
    return database


def killed_again_and_again(
    database: Database, kafka: KafkaBroker, prefix: str, start_process, failpoints: Sequence[str | float]
) -> Counted:
    """Run into each failpoint, or that many seconds, under load, and then to the end; what was counted at the slot's start."""
    config = properties(database, prefix, **OPTIONS)
    since = None
    with Writer(database, 0, **LOAD) as one, Writer(database, 1, **LOAD) as other:
        for failpoint in failpoints:
            run_into(start_process, database, kafka.bootstrap, config, failpoint, deadline=60)
            if since is None and slot_row(database, prefix):
                since = counted(database)
        one.stop()
        other.stop()
    run_once(pipeline(database, kafka.bootstrap, prefix, **OPTIONS))
    assert since is not None
    return since


def test_ten_kills_repeat_nothing_and_lose_nothing(old, kafka, prefix, start_process):
    failpoints = [
        "slot created:1", "stream started:1", "chunk read:1", "chunk emitted:2", "chunk done:3", "snapshot done:1",
        "drained:20", "produced, not committed:3", "committed, not acknowledged:3", 0.3,
    ]  # fmt: skip
    since = killed_again_and_again(old, kafka, prefix, start_process, failpoints)
    report = assert_exact(old, kafka.bootstrap, prefix, streamed_since=since, once=True)
    assert report.read, "no row came from the snapshot"
    assert report.events > report.read, "no change was streamed"


@pytest.mark.soak
@pytest.mark.timeout(1800)
def test_a_hundred_kills_repeat_nothing_and_lose_nothing(old, kafka, prefix, start_process):
    chosen = random.Random(21)
    snapshot = [f"{chosen.choice(SNAPSHOT_STEPS)}:{chosen.randint(1, 2)}" for _ in range(4)]
    stream = [
        chosen.random() * 2 if chosen.random() < 0.3 else f"{chosen.choice(STREAM_STEPS[:5])}:{chosen.randint(1, 40)}"
        for _ in range(95)
    ]
    failpoints = ["slot created:1", *snapshot, *stream]
    since = killed_again_and_again(old, kafka, prefix, start_process, failpoints)
    assert_exact(old, kafka.bootstrap, prefix, streamed_since=since, once=True)


def moved(database: Database, engine, prefix: str, deadline: float = 30.0) -> None:
    """Wait until the slot moves."""
    before = confirmed(database, prefix)

    def further() -> bool:
        assert engine.running, engine.output()
        return confirmed(database, prefix) > before

    wait_until(further, deadline, f"the slot to move; {engine.output()}")


def test_a_broker_that_is_killed_in_the_middle_repeats_nothing(old, kafka, prefix, start_process):
    engine = start_process(old, kafka.bootstrap, properties(old, prefix, **OPTIONS))
    since = counted(old)
    with Writer(old, 0, **LOAD) as one, Writer(old, 1, **LOAD) as other:
        moved(old, engine, prefix)
        kafka.kill()
        one.wrote(20)
        kafka.start()
        moved(old, engine, prefix)
        one.stop()
        other.stop()
    engine.kill()
    run_once(pipeline(old, kafka.bootstrap, prefix, **OPTIONS))
    assert_exact(old, kafka.bootstrap, prefix, streamed_since=since, once=True)


def test_a_zombie_is_fenced_by_its_successor_and_leaves(old, kafka, prefix, start_process, tmp_path_factory):
    config = properties(old, prefix, **OPTIONS)
    zombie = start_process(old, kafka.bootstrap, config)
    since = counted(old)
    with Writer(old, 0, **LOAD) as one, Writer(old, 1, **LOAD) as other:
        moved(old, zombie, prefix)
        zombie.signal(signal.SIGSTOP)
        one.wrote(5)
        successor = start_process(old, kafka.bootstrap, config, wait=False, directory=tmp_path_factory.mktemp("next"))
        moved(old, successor, prefix)
        zombie.signal(signal.SIGCONT)
        assert zombie.ended(30) == 4, zombie.output()
        assert "TXN_FENCED" in zombie.output() or "taken over" in zombie.output(), zombie.output()
        moved(old, successor, prefix)
        one.stop()
        other.stop()
    successor.caught_up()
    successor.signal(signal.SIGTERM)
    assert successor.ended() == 0, successor.output()
    assert_exact(old, kafka.bootstrap, prefix, streamed_since=since, once=True)
