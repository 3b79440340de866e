"""kill -9 at every step, under load: after the restart nothing is lost and each key's order is kept."""

from __future__ import annotations

import random
import time

import pytest

from tests.support.engine import confirmed, pipeline, properties, run_into, run_once
from tests.support.waiting import wait_until
from tests.support.workload import TABLES, Writer, assert_exact

STEPS = (
    "begin received",
    "produced",
    "drained",
    "commit received",
    "data acknowledged",
    "position acknowledged",
    "status sent",
)


def killed_again_and_again(
    database, kafka, prefix, start_process, failpoints, *, sizes=(1, 1, 2, 5, 30), **options: str
) -> float:
    """Run into each failpoint, or that many seconds, under load; then the seconds from a start to the slot's next move."""
    config = properties(database, prefix, **options)
    run_once(pipeline(database, kafka.bootstrap, prefix, **options))
    with Writer(database, 0, sizes=sizes) as one, Writer(database, 1, sizes=sizes) as other:
        for failpoint in failpoints:
            run_into(start_process, database, kafka.bootstrap, config, failpoint)
        before, began = confirmed(database, prefix), time.monotonic()
        engine = start_process(database, kafka.bootstrap, config)
        wait_until(lambda: confirmed(database, prefix) > before, 30, "the slot to move again")
        resumed = time.monotonic() - began
        one.stop()
        other.stop()
    engine.caught_up()
    engine.kill()
    return resumed


def test_ten_kills_lose_nothing_and_keep_the_order(database, kafka, prefix, start_process):
    database.execute(*TABLES)
    failpoints = [
        "begin received:30", "produced:20", "drained:20", "commit received:30", "data acknowledged:2",
        "position acknowledged:2", "status sent:3", 0.11, 0.23, 0.47,
    ]  # fmt: skip
    resumed = killed_again_and_again(database, kafka, prefix, start_process, failpoints)
    report = assert_exact(database, kafka.bootstrap, prefix)
    assert resumed < 5, f"resuming took {resumed:.1f} s"
    assert report.repeated, "no event was sent twice: were the kills where they should be?"


@pytest.mark.soak
@pytest.mark.timeout(1800)
def test_a_hundred_kills_lose_nothing_and_keep_the_order(database, kafka, prefix, start_process):
    database.execute(*TABLES)
    chosen = random.Random(20)
    failpoints = [
        chosen.random() * 2 if chosen.random() < 0.3 else f"{chosen.choice(STEPS)}:{chosen.randint(1, 60)}"
        for _ in range(100)
    ]
    killed_again_and_again(database, kafka, prefix, start_process, failpoints)
    assert_exact(database, kafka.bootstrap, prefix)
