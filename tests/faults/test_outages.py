"""Kafka, Postgres and the network go away and come back under load: nothing is lost, and each key's order is kept."""

from __future__ import annotations

import dataclasses
import time

import pytest

from tests.stack.kafka import KafkaBroker
from tests.stack.postgres import Database
from tests.support.engine import RunningEngine, confirmed, pipeline, properties
from tests.support.proxy import Proxy
from tests.support.waiting import wait_until
from tests.support.workload import TABLES, Writer, assert_exact


@pytest.fixture
def source(database, postgres_proxy) -> Database:
    """The database as the engine sees it: through the proxy."""
    database.execute(*TABLES)
    return database


def through(proxy: Proxy, database: Database, bootstrap: str, name: str, **more: str):
    return pipeline(database, bootstrap, name, database__port=str(proxy.port), **more)


def resumed(database: Database, engine: RunningEngine, slot: str, deadline: float = 30.0) -> float:
    """Wait until the slot moves again; how long that took."""
    before, began = confirmed(database, slot), time.monotonic()

    def moved() -> bool:
        engine.raise_error()
        return confirmed(database, slot) > before

    wait_until(moved, deadline, "the slot to move again")
    return time.monotonic() - began


def test_a_cut_connection_to_postgres_is_made_again(source, kafka, prefix, postgres_proxy, start_engine):
    engine = start_engine(through(postgres_proxy, source, kafka.bootstrap, prefix), source)
    with Writer(source) as writer:
        for _ in range(3):
            writer.wrote(30)
            postgres_proxy.cut()
            resumed(source, engine, prefix)
        writer.stop()
    engine.caught_up()
    engine.stop()
    assert_exact(source, kafka.bootstrap, prefix)
    assert engine.worker.meter.reconnects >= 3


@pytest.mark.parametrize("fault", ("blackhole", "half_open"))
def test_a_silent_connection_to_postgres_is_noticed(
    source, kafka, prefix, postgres_proxy, start_engine, monkeypatch, fault
):
    monkeypatch.setattr("cdc.task.SILENCE_SECONDS", 2.0)
    monkeypatch.setattr("cdc.postgres.catalog.QUERY_SECONDS", 2.0)
    engine = start_engine(through(postgres_proxy, source, kafka.bootstrap, prefix), source)
    with Writer(source) as writer:
        writer.wrote(30)
        getattr(postgres_proxy, fault)()
        wait_until(lambda: engine.worker.meter.reconnects, 15, "the engine to notice the silence")
        postgres_proxy.heal()
        resumed(source, engine, prefix)
        writer.stop()
    engine.caught_up()
    engine.stop()
    assert_exact(source, kafka.bootstrap, prefix)


@pytest.mark.parametrize("mode", ("fast", "immediate"))
def test_a_restarted_postgres_is_streamed_from_again(make_postgres, kafka, prefix, start_engine, mode):
    server = make_postgres(18, settings={"fsync": "on", "checkpoint_timeout": "1h"})
    database = Database(server, "postgres")
    database.execute(*TABLES)
    engine = start_engine(pipeline(database, kafka.bootstrap, prefix), database)
    with Writer(database) as writer:
        writer.wrote(50)
        server.restart(mode)
        writer.wrote(50)
        resumed(database, engine, prefix)
        writer.stop()
    engine.caught_up()
    engine.stop()
    report = assert_exact(database, kafka.bootstrap, prefix)
    if mode == "immediate":
        assert report.repeated, "the slot should have gone back to its last checkpoint"


def test_a_broker_that_is_away_for_a_while_is_waited_for(database, make_kafka, prefix, start_engine, monkeypatch):
    outage(database, make_kafka(), prefix, start_engine, monkeypatch, seconds=20)


def outage(database: Database, broker: KafkaBroker, prefix: str, start_engine, monkeypatch, *, seconds: float) -> None:
    # The server would cut us within three seconds of silence, and the outage lasts longer.
    monkeypatch.setattr("cdc.postgres.walsender.WAL_SENDER_TIMEOUT_SECONDS", 3)
    monkeypatch.setattr("cdc.acknowledger.STATUS_SECONDS", 1.0)
    database.execute(*TABLES)
    engine = start_engine(pipeline(database, broker.bootstrap, prefix), database)
    with Writer(database, pause=0.02) as writer:
        writer.wrote(30)
        broker.stop()
        stopped = confirmed(database, prefix)
        began = time.monotonic()
        wait_until(lambda: time.monotonic() - began > seconds, seconds + 5, "the outage to last")
        assert confirmed(database, prefix) - stopped < 1_000_000, "what Kafka does not hold was acknowledged"
        assert engine.worker.meter.reconnects == 0, "the stream was lost while Kafka was away"
        broker.start()
        resumed(database, engine, prefix, deadline=90)  # the broker's own start included, on a busy machine
        writer.stop()
    engine.caught_up()
    engine.stop()
    assert_exact(database, broker.bootstrap, prefix)


def test_a_blocked_queue_keeps_the_connection_to_postgres(
    database, kafka, kafka_proxy, prefix, start_engine, monkeypatch
):
    # Wider rows than the queue holds, and a network that swallows everything on the way to Kafka.
    monkeypatch.setattr("cdc.postgres.walsender.WAL_SENDER_TIMEOUT_SECONDS", 3)
    monkeypatch.setattr("cdc.acknowledger.STATUS_SECONDS", 1.0)
    database.execute("create table item (id int primary key, note text)")
    config = pipeline(database, f"127.0.0.1:{kafka_proxy.port}", prefix)
    config = dataclasses.replace(
        config, kafka=dataclasses.replace(config.kafka, overrides={"queue.buffering.max.kbytes": 1024})
    )
    engine = start_engine(config, database)
    wait_until(lambda: engine.worker.meter.phase == "streaming", 30, "the position to be recorded")
    kafka_proxy.blackhole()
    database.execute("insert into item select n, repeat('x', 2000) from generate_series(1, 4000) n")
    wait_until(lambda: engine.worker.meter.blocked > 20, 30, "the queue to be full")
    began, blocked = time.monotonic(), engine.worker.meter.blocked
    wait_until(lambda: time.monotonic() - began > 7, 10, "two timeouts of the server's to pass")
    assert engine.worker.meter.blocked > blocked
    assert engine.worker.meter.reconnects == 0
    kafka_proxy.heal()
    engine.caught_up()
    engine.stop()


def test_a_process_that_stood_still_goes_on(database, kafka, prefix, start_process):
    import signal

    database.execute(*TABLES)
    engine = start_process(database, kafka.bootstrap, properties(database, prefix))
    with Writer(database) as writer:
        writer.wrote(30)
        engine.signal(signal.SIGSTOP)
        writer.wrote(60)
        engine.signal(signal.SIGCONT)
        writer.wrote(10)
        writer.stop()
    engine.caught_up()
    engine.signal(signal.SIGTERM)
    assert engine.ended() == 0
    assert_exact(database, kafka.bootstrap, prefix)
