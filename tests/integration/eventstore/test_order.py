"""A replay and live changes of the same rows: forced into the two dangerous orders, with the rules and without them."""

from __future__ import annotations

import threading
import time

import pytest

from cdc.chunks import ChangeMemory, Newer
from cdc.kafka.signals import read_requests, write_requests
from cdc.requests import Request, State
from connectors import requests
from tests.support.engine import pipeline
from tests.support.fold import events
from tests.support.versions import faults, table
from tests.support.waiting import wait_until

ROWS = 500
REPLAY = "again"


def ask(config) -> None:
    write_requests(config.kafka, [Request(config.name, REPLAY, tables=("public.item",), time=time.time())])


def done(config):
    wait_until(
        lambda: read_requests(config.kafka, config.name).by_id[REPLAY].state is State.DONE, 30, "the replay", every=0.1
    )


@pytest.mark.parametrize("rule", [True, False], ids=["with the rule", "without it"])
def test_a_row_that_changes_between_its_reading_and_its_mark_is_left_out(
    database, kafka, prefix, start_engine, monkeypatch, rule
):
    database.execute(*table(ROWS))
    config = pipeline(database, kafka.bootstrap, prefix)
    changed = threading.Event()

    class ChangesFirst:
        """Stands where the rate is kept: the chunk was read, its mark is not written yet."""

        def __init__(self, *_: object) -> None:
            return

        def __call__(self, _rows: int) -> None:
            if not changed.is_set():
                changed.set()
                database.execute("update item set version = 1 where id <= 10")

    monkeypatch.setattr(requests, "Rate", ChangesFirst)
    if not rule:
        monkeypatch.setattr(ChangeMemory, "end", lambda _self, _chunk: Newer())
    engine = start_engine(config, database)
    ask(config)
    done(config)
    engine.caught_up()
    wrong = faults(events(kafka.bootstrap, f"{prefix}.public.item"), database)
    assert bool(wrong) is not rule, wrong


@pytest.mark.parametrize("rule", [True, False], ids=["with the rule", "without it"])
def test_a_chunk_waits_until_it_sees_what_was_streamed(make_postgres, kafka, prefix, start_engine, monkeypatch, rule):
    from tests.stack.postgres import fresh_database

    server = make_postgres(18)
    with fresh_database(server, prefix) as database:
        database.execute(*table(ROWS))
        config = pipeline(database, kafka.bootstrap, prefix)
        if not rule:
            settle = ChangeMemory.settle
            monkeypatch.setattr(
                ChangeMemory, "settle", lambda self, chunk, seen: settle(self, chunk, seen) or _keep(self, chunk, seen)
            )
        engine = start_engine(config, database)
        wait_until(lambda: engine_knows_all(engine), 20, "the engine to know every open transaction")
        # The commit is in the log, and streamed, but waits for a standby that is not there: nobody sees it.
        database.execute("alter system set synchronous_standby_names = 'absent'", "select pg_reload_conf()")
        writer = threading.Thread(
            target=lambda: database.execute("update item set version = 1 where id <= 10"), daemon=True
        )
        writer.start()
        try:
            wait_until(
                lambda: len(events(kafka.bootstrap, f"{prefix}.public.item")) >= 10,
                20,
                "the change to be streamed",
                every=0.2,
            )
            ask(config)
            if rule:
                wait_until(
                    lambda: read_requests(config.kafka, prefix).by_id[REPLAY].state is State.RUNNING, 20, "the replay"
                )
                assert {event.op for event in events(kafka.bootstrap, f"{prefix}.public.item")} == {"u"}
            else:
                done(config)
        finally:
            with database.connect() as connection:
                connection.execute("set synchronous_commit = local")
                connection.execute("alter system reset synchronous_standby_names")
                connection.execute("select pg_reload_conf()")
        writer.join(20)
        done(config)
        engine.caught_up()
        wrong = faults(events(kafka.bootstrap, f"{prefix}.public.item"), database)
        assert bool(wrong) is not rule, wrong


def _keep(memory: ChangeMemory, chunk: str, seen: object) -> bool:
    """The mutant: a snapshot that does not see what was streamed is taken for good."""
    memory.start(chunk, "public.item")
    memory._open[chunk].before = frozenset()
    memory._open[chunk].snapshot = seen
    return True


def engine_knows_all(engine) -> bool:
    found = [one for one in ENGINES if one.config.name == engine.config.name]
    return bool(found) and found[-1].recent.exact


ENGINES: list[requests.Requests] = []


@pytest.fixture(autouse=True)
def _remember_engines(monkeypatch):
    monkeypatch.setattr(requests.Requests, "attach", _attached(requests.Requests.attach))
    yield
    ENGINES.clear()


def _attached(attach):
    def attached(self, loop):
        ENGINES.append(self)
        attach(self, loop)

    return attached
