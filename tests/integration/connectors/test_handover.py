"""A pipeline goes from one engine to the other and back, while writers write: no row is lost, none in another order."""

from __future__ import annotations

import contextlib
import json
import signal
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.stack.connect import ConnectWorker
from tests.stack.kafka import KafkaBroker
from tests.stack.postgres import Database
from tests.support.engine import slot_is_active, slot_row
from tests.support.handover import HandedOver, sent_again, sent_again_in_part, stretches_sent_again
from tests.support.waiting import wait_until
from tests.support.workload import Writer, assert_exact


@pytest.fixture
def pipeline(
    database: Database, prefix: str, kafka: KafkaBroker, connect: ConnectWorker, tmp_path: Path
) -> Iterator[HandedOver]:
    ours = HandedOver(database, prefix, kafka, connect, tmp_path)
    yield ours
    connect.delete(prefix)  # it reads from a slot of a database that goes now
    ours.close()


@contextlib.contextmanager
def writers(database: Database, count: int, *, pause: float = 0.01) -> Iterator[list[Writer]]:
    """All have stopped well when the block ends well."""
    with contextlib.ExitStack() as stopping:
        ours = [stopping.enter_context(Writer(database, number, seed=7, pause=pause)) for number in range(count)]
        yield ours
        for writer in ours:
            writer.stop()


def test_a_pipeline_goes_to_connect_and_back_under_writers_and_loses_nothing(pipeline: HandedOver) -> None:
    engine = pipeline.native()
    with engine, writers(pipeline.database, 2) as ours:
        with engine:
            ours[0].wrote(20)
            there = pipeline.done("connect")
            assert engine.ended() == 0, engine.output()  # it was asked to leave, and left well
            assert "leaving" in engine.output()
        assert there["to"] == "connect"
        assert there["pause_seconds"] < 10
        ours[0].wrote(20)

        again = pipeline.hand("connect")
        assert again.code == 0
        assert "runs already" in again.err
        assert slot_is_active(pipeline.database, pipeline.name)

        back = pipeline.done("native")
        assert back["to"] == "native"
        status = pipeline.api.status(pipeline.name)
        assert status is not None
        assert (status.connector.state, list(status.tasks)) == ("STOPPED", [])
        assert pipeline.api.offsets(pipeline.name) == []
        ours[0].wrote(10)
        engine = pipeline.native()
        with engine:
            ours[0].wrote(20)
            assert pipeline.hand("native").code == 0  # it runs natively: nothing is to be done
            assert engine.running
            for writer in ours:
                writer.stop()
            pipeline.delivered()
            engine.caught_up()
    assert_exact(pipeline.database, pipeline.kafka.bootstrap, pipeline.name)
    assert len(stretches_sent_again(pipeline.journal())) <= 2
    assert sent_again_in_part(pipeline.events()) == []


def test_a_transaction_in_whose_middle_connect_was_stopped_goes_on_behind_its_last_record(
    pipeline: HandedOver,
) -> None:
    """Rows of one LSN, as a COPY writes them, are told apart by what lies in the topic. Either command is interrupted once."""
    pipeline.config.update({"max.batch.size": "20", "max.queue.size": "40", "poll.interval.ms": "100"})
    pipeline.native().kill()
    with interrupted_at("the connector is resumed"):
        cut = pipeline.hand("connect")
    assert cut.code == 3
    assert "nothing is lost" in str(cut.error)
    pipeline.done("connect")
    rows = 6_000  # at 200 a second: long enough to be stopped in the middle on a busy machine too
    with pipeline.database.connect() as connection, connection.transaction(), connection.cursor() as cursor:
        cursor.execute("insert into state values (1, 1, ''), (2, 1, '')")
        with cursor.copy("copy batch from stdin") as copy:
            for row in range(rows):
                copy.write_row((1, row, "x" * 20))
        cursor.execute("delete from state where key = 1")
        cursor.execute("update state set key = 3 where key = 2")
    wait_until(lambda: len(pipeline.events()) > 50, 30, "the first records")
    with interrupted_at("is recorded"):
        assert pipeline.hand("native").code == 3
    pipeline.done("native")
    had = len(pipeline.events())
    assert 50 < had < rows, "the connector was not stopped in the middle"
    with pipeline.native() as engine:
        engine.caught_up()
    events = pipeline.events()
    assert sent_again(events) == 0
    # Two insertions, a deletion with its tombstone, a changed key's deletion, tombstone and insertion.
    assert len(events) == rows + 7


@pytest.mark.soak
def test_an_engine_that_does_not_listen_is_waited_for_and_goes_on_when_the_wait_is_over(pipeline: HandedOver) -> None:
    with pipeline.native() as engine, writers(pipeline.database, 1) as ours:
        ours[0].wrote(5)
        engine.signal(signal.SIGSTOP)
        refused = pipeline.hand("connect", "--wait", "2")
        assert refused.code == 3
        assert "still read from" in str(refused.error)
        assert f"seam {pipeline.name}" in str(refused.error)
        status = pipeline.api.status(pipeline.name)
        assert status is not None
        assert status.connector.state == "STOPPED"
        engine.signal(signal.SIGCONT)
        # What was asked of it is done as soon as it listens; the command that follows finds the slot free.
        assert engine.ended() == 0
        pipeline.done("connect")
        ours[0].wrote(5)
        ours[0].stop()
        pipeline.delivered()
    assert_exact(pipeline.database, pipeline.kafka.bootstrap, pipeline.name)
    # A request of the past does not end an engine that starts later.
    pipeline.done("native")
    with pipeline.native() as engine:
        pipeline.mark()
        engine.caught_up()
        assert engine.running


def test_a_connector_that_does_not_run_is_stopped_again_and_the_pipeline_is_taken_back(pipeline: HandedOver) -> None:
    with pipeline.native() as engine:
        engine.signal(signal.SIGTERM)
        assert engine.ended() == 0
    before = slot_row(pipeline.database, pipeline.name)["confirmed"]
    # Validation lets it pass: the task finds out when it runs.
    pipeline.database.execute(f"drop publication {pipeline.name}")
    failed = pipeline.hand("connect")
    assert failed.code == 4
    assert f'publication "{pipeline.name}" does not exist' in str(failed.error) or "Publication" in str(failed.error)
    assert "is stopped again; nothing is lost" in str(failed.error)
    assert "--to native" in str(failed.error and failed.error.hint)
    assert slot_row(pipeline.database, pipeline.name) == {
        "active": False,
        "confirmed": before,
        "wal_status": "reserved",
    }
    pipeline.database.execute(f"create publication {pipeline.name} for table journal, state, marks")
    pipeline.done("native")
    with pipeline.native() as engine:
        pipeline.database.execute("insert into journal (key, seq, op) values (1, 1, 'c')")
        engine.caught_up()
    assert [row for _, row in pipeline.journal()] == [1]


def test_what_only_one_engine_can_run_is_refused_with_the_keys_at_fault(pipeline: HandedOver) -> None:
    own = {**pipeline.config, "seam.compat": "safe", "transforms": "p", "transforms.p.type": "seam.Python"}
    pipeline.file.write_text(json.dumps({"name": pipeline.name, "config": own}))
    refused = pipeline.hand("connect")
    assert refused.code == 2
    assert "Connect cannot run this pipeline: seam.compat, transforms.p.type" in str(refused.error)
    theirs = {**pipeline.config, "slot.stream.params": "messages=true", "database.initial.statements": "select 1"}
    pipeline.file.write_text(json.dumps({"name": pipeline.name, "config": theirs}))
    refused = pipeline.hand("native")
    assert refused.code == 2
    text = "the native engine cannot run this pipeline: slot.stream.params, database.initial.statements"
    assert text in str(refused.error)
    assert pipeline.name not in pipeline.api.names()


def test_a_pipeline_without_slot_and_a_connector_of_another_slot_are_no_pair(pipeline: HandedOver) -> None:
    missing = pipeline.hand("connect")
    assert missing.code == 4
    assert "does not exist: there is nothing to hand over" in str(missing.error)
    assert pipeline.name not in pipeline.api.names()
    with pipeline.native() as engine:
        other = {**pipeline.config, "slot.name": "another"}
        pipeline.api.create(pipeline.name, other, initial_state="STOPPED")
        for to in ("connect", "native"):
            refused = pipeline.hand(to)
            assert refused.code == 4
            assert f"slot.name is 'another' there and '{pipeline.name}' in the file" in str(refused.error)
        assert engine.running


def test_a_pipeline_that_began_on_connect_comes_to_the_native_engine_after_its_snapshot(pipeline: HandedOver) -> None:
    pipeline.database.execute("insert into journal (key, seq, op) select 1, n, 'c' from generate_series(1, 20) n")
    began = {
        **pipeline.config,
        "snapshot.mode": "initial",
        "publication.autocreate.mode": "filtered",
        "plugin.name": "pgoutput",
    }
    pipeline.api.create(pipeline.name, began)
    wait_until(lambda: pipeline.runs() and len(pipeline.journal()) == 20, 30, "the snapshot")
    pipeline.done("native")
    with pipeline.native() as engine:
        pipeline.database.execute("insert into journal (key, seq, op) values (1, 21, 'c')")
        engine.caught_up()
    rows = [row for _, row in pipeline.journal()]
    assert set(rows) == set(range(1, 22))
    assert rows[-1] == 21


@pytest.mark.soak
def test_without_connect_a_pipeline_is_taken_back_where_that_is_said(pipeline: HandedOver) -> None:
    with pipeline.native():
        pipeline.done("connect")
    pipeline.api.stop(pipeline.name)
    wait_until(lambda: not slot_is_active(pipeline.database, pipeline.name), 30, "the slot to be free")
    down = pipeline.hand("native", "--connect-url", "http://127.0.0.1:9", "--connect-is-down")
    assert down.code == 0, down.everything
    assert f"seam connectors stop {pipeline.name}" in down.err
    with pipeline.native() as engine:
        pipeline.database.execute("insert into journal (key, seq, op) values (1, 1, 'c')")
        engine.caught_up()
    assert [row for _, row in pipeline.journal()] == [1]


@pytest.mark.soak
@pytest.mark.timeout(900)
@pytest.mark.parametrize("once", ["requested", "required"])
def test_many_turns_under_load_with_kills_lose_nothing(pipeline: HandedOver, once: str) -> None:
    turns = 6
    pipeline.config["exactly.once.support"] = once
    pipeline.native().kill()  # its slot is there
    with writers(pipeline.database, 3, pause=0.0) as ours:
        for turn in range(turns):
            with pipeline.native() as engine:
                ours[0].wrote(100, 120)
                if turn % 3 == 2:
                    engine.kill()
                pipeline.done("connect")
            ours[0].wrote(100, 120)
            pipeline.done("native")
        with pipeline.native() as engine:
            for writer in ours:
                writer.stop()
            engine.caught_up(120)
    report = assert_exact(pipeline.database, pipeline.kafka.bootstrap, pipeline.name)
    again = stretches_sent_again(pipeline.journal())
    assert len(again) <= 2 * turns
    # Whoever is killed leaves a transaction that was sent in part, and Debezium begins with it again.
    assert len(sent_again_in_part(pipeline.events())) <= turns // 3
    assert report.operations > 0


@pytest.mark.soak
def test_a_command_that_is_interrupted_anywhere_can_be_run_again(pipeline: HandedOver) -> None:
    """Ctrl-C at steps that it tells of, then the same command again."""
    with pipeline.native() as engine:
        pipeline.database.execute("insert into journal (key, seq, op) values (1, 1, 'c')")
        engine.caught_up()
        for step in ("is created, stopped", "is asked to leave", "the connector is resumed", "it is watched"):
            with interrupted_at(step):
                cut = pipeline.hand("connect")
            assert cut.code in (3, 4), cut.everything
            assert "nothing is lost" in str(cut.error)
        assert engine.ended() == 0
    pipeline.done("connect")
    pipeline.database.execute("insert into journal (key, seq, op) values (1, 2, 'u')")
    pipeline.delivered()
    for step in ("is stopped", "is recorded"):
        with interrupted_at(step):
            assert pipeline.hand("native").code == 3
    pipeline.done("native")
    with pipeline.native() as engine:
        pipeline.database.execute("insert into journal (key, seq, op) values (1, 3, 'u')")
        engine.caught_up()
    assert list(dict.fromkeys(row for _, row in pipeline.journal())) == [1, 2, 3]
    stretches_sent_again(pipeline.journal())


@contextlib.contextmanager
def interrupted_at(step: str) -> Iterator[None]:
    """Whoever is told of this step presses Ctrl-C."""
    from connectors import handover_commands

    said = handover_commands._say

    def say(text: str) -> None:
        said(text)
        if step in text:
            raise KeyboardInterrupt

    assert threading.current_thread() is threading.main_thread()
    handover_commands._say = say
    try:
        yield
    finally:
        handover_commands._say = said
