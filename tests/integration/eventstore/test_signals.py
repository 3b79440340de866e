"""Debezium's signals, by every channel: they become requests, and what is wrong with one stops nothing."""

from __future__ import annotations

import json

import pytest
from confluent_kafka import Producer

from cdc.kafka.signals import read_requests
from cdc.requests import Kind, Request, State
from tests.support.engine import pipeline, run_once
from tests.support.fold import data_events
from tests.support.waiting import wait_until

ITEM = (
    "create table item (id int primary key, note text)",
    "insert into item select n, 'old' from generate_series(1, 100) n",
)
SIGNAL = {"type": "execute-snapshot", "data": {"data-collections": ["public.item"], "type": "incremental"}}


def request(config, kind=Kind.SNAPSHOT, state=State.DONE) -> Request:
    def look():
        found = read_requests(config.kafka, config.name).by_id.values()
        failed = [one.message for one in found if one.state is State.FAILED]
        assert state is State.FAILED or not failed, failed
        return next((one for one in found if one.kind is kind and one.state is state), None)

    return wait_until(look, 30, f"{kind.value} to be {state.value}", every=0.1)


def read_again(kafka, prefix) -> list[int]:
    return sorted(each.key["id"] for each in data_events(kafka.bootstrap, f"{prefix}.public.item") if each.op == "r")


def emit(database, signal, *, transactional=True):
    database.execute(f"select pg_logical_emit_message({transactional}, 'seam.signal', $${json.dumps(signal)}$$)")


@pytest.mark.parametrize("transactional", [True, False])
def test_a_logical_message_asks_for_a_snapshot(database, kafka, prefix, start_engine, transactional):
    database.execute(*ITEM)
    config = pipeline(database, kafka.bootstrap, prefix)
    start_engine(config, database)
    emit(database, SIGNAL, transactional=transactional)
    assert request(config).rows == 100
    assert read_again(kafka, prefix) == list(range(1, 101))


def test_the_signal_topic_asks_for_a_part(database, kafka, prefix, start_engine):
    database.execute(*ITEM)
    config = pipeline(database, kafka.bootstrap, prefix)
    start_engine(config, database)
    conditions = [{"data-collection": "public.item", "filter": "id > 90 -- the last ones"}]
    signal = {"type": "execute-snapshot", "data": {**SIGNAL["data"], "additional-conditions": conditions}}
    producer = Producer({"bootstrap.servers": kafka.bootstrap})
    producer.produce(f"{prefix}-signal", json.dumps(signal), "another prefix")
    producer.produce(f"{prefix}-signal", json.dumps(signal), prefix)
    producer.flush(10)
    request(config)
    assert read_again(kafka, prefix) == list(range(91, 101))


def test_rows_of_the_signal_table_are_signals(database, kafka, prefix, start_engine):
    database.execute(*ITEM, "create table signals (id text primary key, type text, data text)")
    config = pipeline(database, kafka.bootstrap, prefix, signal__data__collection="public.signals")
    start_engine(config, database)
    database.execute(f"insert into signals values ('one', 'execute-snapshot', $${json.dumps(SIGNAL['data'])}$$)")
    request(config)
    assert read_again(kafka, prefix) == list(range(1, 101))


def test_lines_of_the_signal_file_are_signals_and_the_file_is_emptied(database, kafka, prefix, start_engine, tmp_path):
    database.execute(*ITEM)
    file = tmp_path / "signals.txt"
    file.write_text(json.dumps(SIGNAL) + "\n")
    config = pipeline(
        database, kafka.bootstrap, prefix, signal__enabled__channels="source,file", signal__file=str(file)
    )
    start_engine(config, database)
    request(config)
    wait_until(lambda: file.read_text() == "", 10, "the file to be emptied")
    assert read_again(kafka, prefix) == list(range(1, 101))


def test_an_unknown_field_is_named_and_nothing_else_stops(database, kafka, prefix, start_engine):
    database.execute(*ITEM)
    config = pipeline(database, kafka.bootstrap, prefix)
    engine = start_engine(config, database)
    emit(database, {"type": "execute-snapshot", "data": {"data-collection": ["public.item"]}})
    failed = request(config, state=State.FAILED)
    assert "data.data-collection: is not a field of this signal" in failed.message
    assert "data-collections" in failed.message
    database.execute("insert into item values (0, 'live')")
    engine.caught_up()
    assert [each.key["id"] for each in data_events(kafka.bootstrap, f"{prefix}.public.item")] == [0]


def test_a_blocking_snapshot_takes_a_whole_select(database, kafka, prefix, start_engine):
    database.execute(*ITEM)
    config = pipeline(database, kafka.bootstrap, prefix, seam__signal__message__sql="true")
    start_engine(config, database)
    condition = {"data-collection": "public.item", "filter": "select * from public.item where id < 4"}
    data = {"data-collections": ["public.item"], "type": "blocking", "additional-conditions": [condition]}
    emit(database, {"type": "execute-snapshot", "data": data})
    request(config)
    assert read_again(kafka, prefix) == [1, 2, 3]


def test_a_logical_message_carries_no_sql_unless_that_is_allowed(database, kafka, prefix, start_engine):
    database.execute(*ITEM)
    config = pipeline(database, kafka.bootstrap, prefix)
    start_engine(config, database)
    conditions = [{"data-collection": "public.item", "filter": "true"}]
    emit(database, {"type": "execute-snapshot", "data": {**SIGNAL["data"], "additional-conditions": conditions}})
    assert "seam.signal.message.sql=true" in request(config, state=State.FAILED).message
    assert read_again(kafka, prefix) == []


def test_a_snapshot_is_paused_resumed_and_stopped(database, kafka, prefix, start_engine):
    database.execute(*ITEM, "create table other (id int primary key)", "insert into other values (1)")
    config = pipeline(database, kafka.bootstrap, prefix)
    run_once(config)
    with database.connect(autocommit=False) as writer:
        # A writer that was there before the engine is waited for: the snapshot stays in its midst.
        writer.execute("update item set note = 'new' where id = 1")
        start_engine(config, database)
        emit(database, SIGNAL)
        request(config, state=State.RUNNING)
        emit(database, {"type": "pause-snapshot", "data": {}})
        request(config, state=State.PAUSED)
        emit(database, {"type": "resume-snapshot", "data": {}})
        request(config, state=State.RUNNING)
        emit(database, SIGNAL)
        request(config, state=State.REQUESTED)
        emit(database, {"type": "stop-snapshot", "data": {"data-collections": ["public.item"]}})
        request(config, state=State.STOPPED)
        emit(database, SIGNAL)
        writer.rollback()
    assert request(config).rows == 100
    assert read_again(kafka, prefix) == list(range(1, 101))


def test_one_table_of_a_snapshot_is_paused_and_resumed(database, kafka, prefix, start_engine):
    database.execute(*ITEM, "create table other (id int primary key)", "insert into other values (1)")
    config = pipeline(database, kafka.bootstrap, prefix)
    run_once(config)
    both = {"type": "execute-snapshot", "data": {"data-collections": [r"public\..*"]}}
    item = {"data-collections": ["public.item"]}
    with database.connect(autocommit=False) as writer:
        writer.execute("update item set note = 'new' where id = 1")
        start_engine(config, database)
        emit(database, both)
        request(config, state=State.RUNNING)
        emit(database, {"type": "pause-snapshot", "data": item})
        assert request(config, state=State.PAUSED).rows == 1
        writer.rollback()
    emit(database, {"type": "resume-snapshot", "data": item})
    assert request(config).rows == 101
    assert read_again(kafka, prefix) == list(range(1, 101))


def test_a_log_signal_is_said(database, kafka, prefix, start_engine):
    database.execute(*ITEM)
    config = pipeline(database, kafka.bootstrap, prefix)
    engine = start_engine(config, database)
    emit(database, {"type": "log", "data": {"message": "here we are"}})
    request(config, Kind.LOG)
    assert "here we are" in [finding.evidence for finding in engine.findings]
