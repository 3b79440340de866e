"""kill -9 in mid-chunk of a replay, under eight writers: every row is there, and no key goes back in time."""

from __future__ import annotations

import random

import pytest

from cdc.kafka.signals import read_requests, write_requests
from cdc.requests import Request, State
from tests.support.engine import pipeline, properties, run_once
from tests.support.fold import events
from tests.support.versions import faults, table, writers
from tests.support.waiting import wait_until

KILLED = -9
ROWS = 16_000
STEPS = ("chunk read", "chunk emitted", "chunk done", "produced, not committed", "committed, not acknowledged")


def replayed(database, kafka, prefix, start_process, failpoints) -> list[str]:
    """Kill the engine at each of these steps while it replays; then what is wrong with the topic."""
    database.execute(*table(ROWS))
    options = {"exactly__once__support": "required"}
    config = pipeline(database, kafka.bootstrap, prefix, **options)
    file = properties(database, prefix, **options)
    run_once(config)
    with writers(database, ROWS):
        write_requests(config.kafka, [Request(prefix, "again", tables=(r"public\.item",))])
        for failpoint in failpoints:
            engine = start_process(database, kafka.bootstrap, file, wait=False, failpoint=failpoint)
            assert engine.ended(90) == KILLED, engine.output()
            if read_requests(config.kafka, prefix).by_id["again"].state.ended:
                # It was done before the kill: ask for another, so that each kill meets a replay.
                write_requests(config.kafka, [Request(prefix, f"again {failpoint}", tables=(r"public\.item",))])
        engine = start_process(database, kafka.bootstrap, file, wait=False)
        engine.streaming(60)
        wait_until(
            lambda: all(one.state is State.DONE for one in read_requests(config.kafka, prefix).by_id.values()),
            90, "every request to be done", every=0.2,
        )  # fmt: skip
    engine.caught_up()
    engine.kill()
    found = events(kafka.bootstrap, f"{prefix}.public.item")
    assert sum(1 for event in found if event.op == "r") >= ROWS / 2, "hardly any row was read again"
    assert sum(1 for event in found if event.op == "u") > 100, "hardly any row was changed meanwhile"
    return faults(found, database)


def test_three_kills_in_mid_chunk_set_no_key_back(database, kafka, prefix, start_process):
    failpoints = ["chunk emitted:1", "chunk read:2", "chunk done:1"]
    assert replayed(database, kafka, prefix, start_process, failpoints) == []


@pytest.mark.soak
def test_ten_kills_in_mid_chunk_set_no_key_back(database, kafka, prefix, start_process):
    chosen = random.Random(10)
    failpoints = [f"{chosen.choice(STEPS)}:{chosen.randint(1, 3)}" for _ in range(10)]
    assert replayed(database, kafka, prefix, start_process, failpoints) == []
