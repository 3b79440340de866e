"""Engines with one rule broken, run into a crash or a change of servers: the workload's checker must find each out.

Each scenario is run with the engine as it is too, where the same checker must find nothing.
"""

from __future__ import annotations

import threading
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pytest

from cdc import transactional
from cdc.errors import SlotAhead, TimelineForked
from cdc.kafka.positions import PositionRecord
from cdc.lsn import LSN
from cdc.relations import Relations
from cdc.render import Record
from cdc.source import SourceState
from cdc.transactional import TransactionalAcknowledger
from connectors import pipeline as pipelines
from connectors import recorder as recorders
from connectors.postgres import PipelineConfig
from tests.stack.postgres import Database
from tests.support.engine import RunningEngine, pipeline, run_once
from tests.support.standby import cut_off, followed, promote, standby_of
from tests.support.waiting import wait_until
from tests.support.workload import TABLES, Report, Writer, check

EXACTLY_ONCE = {"exactly__once__support": "required"}


class Crash(BaseException):
    """The process is gone: nothing that it holds is sent any more."""


def crash_at(patch: pytest.MonkeyPatch, step: str, count: int) -> None:
    """Let the next engine end where `step` is reached for that time, as kill -9 would."""
    left = [count]

    def reached(name: str) -> None:
        if name == step:
            left[0] -= 1
            if left[0] == 0:
                raise Crash

    patch.setattr(pipelines, "failpoint_from_environment", lambda: reached)


def crashed_and_restarted(
    config: PipelineConfig, database: Database, patch: pytest.MonkeyPatch, step: str, count: int, **writer: Any
) -> Report:
    """Write, crash at that step, start again, deliver everything; what the checker finds."""
    run_once(config)
    crash_at(patch, step, count)
    load = {"pause": 0.01, **writer}
    with Writer(database, **load) as one, Writer(database, 1, **load) as other:
        engine = RunningEngine(config, database)
        assert isinstance(engine.ended(), Crash)
        one.stop()
        other.stop()
    run_once(config)
    return check(database, config.kafka.bootstrap_servers, config.name)


@pytest.fixture
def exact(database, kafka, prefix) -> PipelineConfig:
    database.execute(*TABLES)
    return pipeline(database, kafka.bootstrap, prefix, **EXACTLY_ONCE)


# -- acknowledges too early --------------------------------------------------------------------------------------------


def acknowledging_too_early(patch: pytest.MonkeyPatch) -> None:
    commit = TransactionalAcknowledger._commit_kafka

    def told_before_the_commit(self: TransactionalAcknowledger) -> None:
        self.walsender.send_status(self._end_lsn, self._end_lsn)
        commit(self)

    patch.setattr(TransactionalAcknowledger, "_commit_kafka", told_before_the_commit)


def without_the_comparison_of_slot_and_record(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(recorders, "check_position", lambda slot, *_, **__: slot.confirmed_flush_lsn)


BEFORE_A_COMMIT = ("produced, not committed", 5)


def test_a_crash_before_a_commit_loses_nothing(exact, database, monkeypatch):
    report = crashed_and_restarted(exact, database, monkeypatch, *BEFORE_A_COMMIT)
    assert (report.faults, report.repeated) == ([], 0)


def test_an_engine_that_acknowledges_too_early_is_found_out(exact, database, monkeypatch):
    acknowledging_too_early(monkeypatch)
    without_the_comparison_of_slot_and_record(monkeypatch)
    report = crashed_and_restarted(exact, database, monkeypatch, *BEFORE_A_COMMIT)
    assert any("missing" in fault for fault in report.faults)


def test_an_engine_that_acknowledges_too_early_refuses_its_own_slot(exact, database, monkeypatch):
    acknowledging_too_early(monkeypatch)
    with pytest.raises(SlotAhead):
        crashed_and_restarted(exact, database, monkeypatch, *BEFORE_A_COMMIT)


# -- deduplicates by row LSN -------------------------------------------------------------------------------------------


def skipping_by_row_lsn(patch: pytest.MonkeyPatch) -> None:
    """The place in a split transaction is the LSN of its last row, and rows up to that one are left out after a start."""
    made, begin, place = Relations.__init__, TransactionalAcknowledger.begin, TransactionalAcknowledger._position
    last = [0]
    reached = [0]

    def by_lsn(self: Relations, *arguments: Any, **more: Any) -> None:
        make_render = more["make_render"]

        def make(*layout: Any) -> Any:
            render = make_render(*layout)

            def unless_older(payload: bytes, lsn: bytes, state: SourceState) -> Sequence[Record]:
                if int(lsn) <= reached[0]:
                    return ()
                last[0] = int(lsn)
                return render(payload, lsn, state)

            return render and unless_older

        made(self, *arguments, **{**more, "make_render": make})

    def begun(self: TransactionalAcknowledger, commit_lsn: LSN) -> Any:
        window = begin(self, commit_lsn)
        if 0 < self.skip < transactional.WHOLE:
            reached[0], self.skip = self._restored.ordinal, 0
        return window

    def positioned(self: TransactionalAcknowledger) -> PositionRecord:
        record = place(self)
        return replace(record, ordinal=last[0]) if record.ordinal else record

    patch.setattr(Relations, "__init__", by_lsn)
    patch.setattr(TransactionalAcknowledger, "begin", begun)
    patch.setattr(TransactionalAcknowledger, "_position", positioned)


IN_A_COPY = {"sizes": (1,), "batch": 900}


@pytest.fixture
def splitting(monkeypatch) -> None:
    """Every drained batch is a Kafka transaction of its own, so that one ends in the midst of a COPY."""
    monkeypatch.setattr(transactional, "COMMIT_SECONDS", 0.0)
    monkeypatch.setattr("cdc.task.DRAIN_MESSAGES", 100)


def crash_in_a_copy(patch: pytest.MonkeyPatch) -> None:
    """Crash after the first commit that ends inside a transaction, some rows into it."""
    commit = TransactionalAcknowledger._commit_kafka

    def crashing(self: TransactionalAcknowledger) -> None:
        commit(self)
        if self.in_transaction and self.ordinal > 350 and not crashed:
            crashed.append(True)
            patch.setattr(transactional, "COMMIT_SECONDS", 0.15)
            raise Crash

    crashed: list[bool] = []
    patch.setattr(TransactionalAcknowledger, "_commit_kafka", crashing)


@pytest.mark.parametrize("broken", [False, True], ids=["as it is", "deduplicating by row LSN"])
def test_rows_of_a_copy_that_share_an_lsn_are_not_taken_for_each_other(exact, database, splitting, monkeypatch, broken):
    if broken:
        skipping_by_row_lsn(monkeypatch)
    crash_in_a_copy(monkeypatch)
    report = crashed_and_restarted(exact, database, monkeypatch, "never", 1, **IN_A_COPY)
    if broken:
        assert any("rows of batch are missing" in fault for fault in report.faults)
    else:
        assert (report.faults, report.repeated) == ([], 0)


# -- compares positions across timelines -------------------------------------------------------------------------------


def test_an_engine_that_compares_positions_across_timelines_is_found_out(make_postgres, kafka, prefix, monkeypatch):
    # The standby lacks what was published last, and writes something else at the same positions of its own timeline.
    server = make_postgres(18)
    with standby_of(server) as copy:
        database = Database(server, "postgres")
        database.execute(*TABLES)
        config = pipeline(database, kafka.bootstrap, prefix, **EXACTLY_ONCE)
        wrote(database, 20)
        run_once(config)
        followed(database, copy)
        cut_off(database, copy)
        wrote(database, 60, seed=2)
        run_once(config)
        promoted = promote(copy)
        promoted.execute(f"select pg_create_logical_replication_slot('{prefix}', 'pgoutput')")
        wrote(promoted, 20, seed=3)
        elsewhere = pipeline(promoted, kafka.bootstrap, prefix, **EXACTLY_ONCE)
        with pytest.raises(TimelineForked):
            run_once(elsewhere)
        without_the_comparison_of_slot_and_record(monkeypatch)
        run_once(elsewhere)
        report = check(promoted, kafka.bootstrap, prefix)
    assert any("missing" in fault for fault in report.faults)
    assert any("never committed" in fault for fault in report.faults)


def wrote(database: Database, transactions: int, *, seed: int = 1) -> None:
    with Writer(database, seed=seed, pause=0.0) as writer:
        writer.wrote(transactions)
        writer.stop()


# -- reads the position before fencing ---------------------------------------------------------------------------------


@pytest.mark.parametrize("broken", [False, True], ids=["as it is", "reading the position before fencing"])
def test_what_an_older_instance_commits_until_it_is_fenced_is_not_sent_again(exact, database, monkeypatch, broken):
    # It commits between the newer one's first look and the fencing, and ends before it tells the server.
    run_once(exact)
    armed = threading.Event()

    def reached(name: str) -> None:
        # A commit of nothing but a position would not do.
        if name == "committed, not acknowledged" and armed.is_set() and older.worker.meter.records > before:
            raise Crash

    monkeypatch.setattr(pipelines, "failpoint_from_environment", lambda: reached)
    older = RunningEngine(exact, database)
    wait_until(lambda: older.worker.meter.phase == "streaming", 20, "the older instance to stream")
    before = older.worker.meter.records
    monkeypatch.setattr(pipelines, "failpoint_from_environment", lambda: lambda _name: None)
    read_positions, looks = recorders.read_positions, []

    def look(*arguments: Any) -> Any:
        if looks:
            return looks[0] if broken else read_positions(*arguments)
        looks.append(read_positions(*arguments))
        armed.set()
        wrote(database, 10)
        assert isinstance(older.ended(), Crash)
        return looks[0]

    monkeypatch.setattr(recorders, "read_positions", look)
    run_once(exact)
    report = check(database, exact.kafka.bootstrap_servers, exact.name)
    assert report.faults == []
    assert bool(report.repeated) is broken
