"""Whether and when a pipeline is tried again."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cdc.errors import (
    AuthFailed,
    BrokerUnavailable,
    ConfigError,
    ProtocolError,
    SendError,
    SlotInUse,
    SlotLost,
    SourceUnavailable,
)
from connectors import worker as module
from connectors.postgres import read
from connectors.worker import FIRST_PAUSE_SECONDS, LONGEST_PAUSE_SECONDS, Verdict, Worker, pause, verdict

PASSING = (SourceUnavailable, BrokerUnavailable, SlotInUse)
LASTING = (
    SlotLost,
    AuthFailed,
    lambda: ProtocolError("x"),
    lambda: SendError("x"),
    lambda: ConfigError("x"),
    ValueError,
)


@pytest.mark.parametrize("error", PASSING)
def test_what_may_pass_is_tried_again_until_patience_ends(error):
    assert verdict(error(), 0, 300) is Verdict.RETRY
    assert verdict(error(), 299.9, 300) is Verdict.RETRY
    assert verdict(error(), 300, 300) is Verdict.GIVE_UP


@pytest.mark.parametrize("error", LASTING)
def test_what_lasts_is_given_up_at_once(error):
    assert verdict(error(), 0, 300) is Verdict.GIVE_UP


@given(attempt=st.integers(1, 10_000), chance=st.floats(0, 1))
def test_a_pause_lies_within_its_bounds(attempt, chance):
    assert FIRST_PAUSE_SECONDS / 2 <= pause(attempt, chance) <= LONGEST_PAUSE_SECONDS


def test_pauses_double_and_spread():
    assert [pause(attempt, 1.0) for attempt in range(1, 8)] == [0.5, 1, 2, 4, 8, 15, 15]
    assert pause(4, 0.0) == 2


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0


@pytest.fixture
def clock(monkeypatch) -> Clock:
    made = Clock()
    monkeypatch.setattr(module.time, "monotonic", lambda: made.now)
    return made


@pytest.fixture
def make_worker(monkeypatch, clock):
    """A worker whose attempts are functions of its own: they get the worker, and raise or return."""

    def make(*attempts):
        left = list(attempts)

        class Attempt:
            wrote = True

            def __init__(self, config, meter, on_finding, *, manage_topics, take_requests, instance, wrote):
                pass

            def run(self, stop, *, once):
                left.pop(0)(worker)

        monkeypatch.setattr(module, "Pipeline", Attempt)
        properties = {
            "topic.prefix": "p",
            "database.hostname": "h",
            "database.user": "u",
            "database.dbname": "d",
            "snapshot.mode": "no_data",
        }
        worker = Worker(read("c", properties, bootstrap_servers="b:1", environ={}), lambda _finding: None)
        monkeypatch.setattr(worker.stop, "wait", lambda seconds: setattr(clock, "now", clock.now + seconds))
        worker.left = left
        return worker

    return make


def fails(clock, seconds: float, *, moved: int = 0, healthy: bool = False, error=SourceUnavailable):
    """An attempt that ends after so many seconds."""

    def attempt(worker) -> None:
        clock.now += seconds
        worker.meter.flushed_lsn += moved
        if moved or healthy:
            worker.meter.healthy = clock.now
        raise error

    return attempt


def test_a_pipeline_that_never_gets_anywhere_is_given_up_after_its_patience(make_worker, clock):
    worker = make_worker(*[fails(clock, 1)] * 1000)
    began = clock.now
    with pytest.raises(SourceUnavailable):
        worker.run()
    assert 300 <= clock.now - began <= 320
    assert worker.meter.phase == "failed"


def test_progress_gives_new_patience(make_worker, clock):
    worker = make_worker(*[fails(clock, 200), fails(clock, 1, moved=5)] * 5, lambda _worker: None)
    worker.run()
    assert not worker.left


def test_a_stream_that_was_well_and_idle_for_hours_is_tried_again(make_worker, clock):
    # Nothing was written, so nothing was acknowledged: that is no failure.
    worker = make_worker(
        fails(clock, 60, moved=5), fails(clock, 7200, healthy=True), fails(clock, 1), lambda _worker: None
    )
    worker.run()
    assert not worker.left


def test_a_stream_that_dies_right_after_each_start_is_given_up(make_worker, clock):
    worker = make_worker(*[fails(clock, 1, healthy=True)] * 1000)
    began = clock.now
    with pytest.raises(SourceUnavailable):
        worker.run()
    assert clock.now - began <= 320


def test_a_kafka_that_takes_nothing_for_all_of_the_patience_is_given_up(make_worker, clock):
    def stalls(worker) -> None:
        worker.meter.flushed_lsn += 5
        worker.meter.healthy = clock.now + 1
        clock.now += 301
        raise BrokerUnavailable

    worker = make_worker(stalls)
    with pytest.raises(BrokerUnavailable):
        worker.run()


def test_what_lasts_ends_it_at_once(make_worker, clock):
    worker = make_worker(fails(clock, 1, error=SlotLost))
    with pytest.raises(SlotLost):
        worker.run()


def test_a_stop_while_the_source_is_away_ends_well(make_worker, clock):
    def stopped(worker) -> None:
        worker.stop.set()
        raise SourceUnavailable

    worker = make_worker(stopped)
    worker.run()
    assert worker.meter.phase == "stopped"


def test_a_stop_does_not_hide_what_lasts(make_worker, clock):
    def stopped(worker) -> None:
        worker.stop.set()
        raise SlotLost

    with pytest.raises(SlotLost):
        make_worker(stopped).run()
