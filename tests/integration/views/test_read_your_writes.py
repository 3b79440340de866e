"""Whoever has written waits exactly as long as needed, and is never told `visible` too early."""

from __future__ import annotations

import itertools
import json
import random
import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import psycopg
import pytest
from sqlalchemy import create_engine, event, text
from sqlalchemy.orm import Session

from cdc import tokens
from cdc.frontier import NoProgress, Outcome
from cdc.kafka.client import ClientOptions
from cdc.lsn import LSN
from cdc.tokens import Token, TokenTooEarly, after_commit, in_transaction, transaction_status, wait_for
from connectors.postgres import PipelineConfig
from tests.stack.postgres import Database, fresh_database
from tests.support.engine import pipeline, properties, running
from tests.support.fold import data_events
from tests.support.views import RunningView, running_view, view_config
from tests.support.waiting import wait_until
from views.runner import View

COUNTERS = "create table counters (id int primary key, n int not null)"


@pytest.fixture
def topic(prefix: str) -> str:
    return f"{prefix}.public.counters"


@pytest.fixture
def counted(database: Database) -> Database:
    database.execute(COUNTERS, "create table elsewhere (id int)", "insert into counters values (0, 0)")
    return database


@pytest.fixture
def view(counted: Database, kafka, topic: str, prefix: str) -> Iterator[RunningView]:
    """A memory image behind a running engine, which has told its progress."""
    with running(captured(counted, kafka, prefix), counted):
        counted.execute("update counters set n = n")
        with running_view(view_config("memory", [topic], kafka.bootstrap, None), waits=True) as view:
            wait_until(view.frontier.told_position, 20, "the engine to tell its progress")
            yield view


def captured(database: Database, kafka, prefix: str) -> PipelineConfig:
    return pipeline(database, kafka.bootstrap, prefix, table__include__list=r"public\.counters")


def shown(view: View, id: int = 0) -> int:
    with view.reading() as store:
        row = store.get(b'{"id":%d}' % id)
    return -1 if row is None else json.loads(row.value)["n"]


class Trials:
    """A writer that counts, and a reader that must see at least what was counted.

    Attributes:
        early: What the reader saw where it saw too little: (expected, seen).
        seconds: From each commit to visible.
    """

    def __init__(self, database: Database, view: View, seed: int) -> None:
        self.database = database
        self.view = view
        self.choose = random.Random(seed)
        self.early: list[tuple[int, int]] = []
        self.seconds: list[float] = []
        self.outcomes: list[Outcome] = []

    def run(self, count: int, take: Any) -> None:
        """Trials with a token that `take(connection, n)` writes and gives."""
        with self.database.connect(autocommit=False) as connection:
            for n in range(1, count + 1):
                token = take(self, connection, n)
                began = time.monotonic()
                waited = wait_for(token, self.view, 10.0)
                self.outcomes.append(waited.outcome)
                self.seconds.append(time.monotonic() - began)
                if waited.outcome is Outcome.VISIBLE and (seen := shown(self.view)) < n:
                    self.early.append((n, seen))
                connection.rollback()


def random_write(trials: Trials, connection: psycopg.Connection, n: int) -> Token:
    """A commit of one of many forms, and its token."""
    choose = trials.choose
    asynchronous = choose.random() < 0.4
    connection.execute(f"set synchronous_commit = {'off' if asynchronous else 'on'}")
    connection.commit()
    if choose.random() < 0.3:
        connection.execute("savepoint s")
        connection.execute("update counters set n = -5 where id = 0")
        connection.execute("rollback to savepoint s")
    connection.execute("update counters set n = %s where id = 0", [n])
    if choose.random() < 0.3:
        connection.execute("insert into elsewhere select generate_series(1, %s)", [choose.randrange(1, 2000)])
    form = choose.choice(["after", "inside", "inside and after", "row"])
    if form == "after" or form == "row":
        connection.commit()
        return after_commit(connection)
    inside = in_transaction(connection)
    connection.commit()
    return inside if form == "inside" else after_commit(connection, inside)


def stranger(database: Database, stop: threading.Event) -> None:
    """Other transactions, whose log stands between ours."""
    with database.connect() as connection:
        while not stop.wait(0.002):
            connection.execute("insert into elsewhere select generate_series(1, 50)")
            connection.execute("insert into counters values (1, 0) on conflict (id) do update set n = counters.n + 1")


def trials(view: RunningView, database: Database, count: int, seed: int) -> Trials:
    found, stop = Trials(database, view, seed), threading.Event()
    busy = threading.Thread(target=stranger, args=(database, stop))
    busy.start()
    try:
        found.run(count // 2, random_write)
    finally:
        stop.set()
        busy.join()
    found.run(count - count // 2, random_write)
    return found


def test_a_hundred_random_writes_are_never_visible_too_early(view: RunningView, counted: Database):
    found = trials(view, counted, 100, seed=3)
    assert found.early == []
    assert set(found.outcomes) == {Outcome.VISIBLE}


@pytest.mark.soak
def test_a_thousand_random_writes_are_never_visible_too_early(view: RunningView, counted: Database):
    found = trials(view, counted, 1000, seed=random.randrange(1000))
    assert found.early == []
    assert set(found.outcomes) == {Outcome.VISIBLE}


def test_the_trials_notice_a_token_that_was_taken_before_the_commit(view: RunningView, counted: Database):
    def too_early(_trials: Trials, connection: psycopg.Connection, n: int) -> Token:
        connection.execute("update counters set n = %s where id = 0", [n])
        row = connection.execute(
            "select system_identifier, pg_current_wal_insert_lsn()::text from pg_control_system()"
        ).fetchone()
        assert row is not None
        with counted.connect() as other:  # so that the frontier passes it
            other.execute("insert into elsewhere values (1)")
        return Token(int(row[0]), 1, LSN.parse(row[1]))

    found = Trials(counted, view, 5)
    found.run(3, too_early)
    assert found.early, "the reader was shown the write before its commit, and the trials did not notice"


def test_the_trials_notice_a_frontier_that_runs_ahead_of_the_data(
    view: RunningView, counted: Database, monkeypatch: pytest.MonkeyPatch
):
    """The frontier of a transaction's start, told when it begins: what is asked for is on its way only."""
    told = view.frontier.told

    def ahead(prefix: str, record: Any) -> None:
        told(prefix, replace(record, frontier=LSN(record.frontier + (1 << 20)), offsets={}))

    view._feed._listeners[:] = [ahead]
    monkeypatch.setattr(view.frontier, "_ends", dict)
    with counted.connect() as connection:
        connection.execute("insert into elsewhere values (1)")
    wait_until(lambda: view.frontier._tracks, 10, "a record")
    found = Trials(counted, view, 5)
    found.run(20, _write_and_take)
    assert found.early


def test_a_frontier_that_ends_at_the_commits_start_stays_one_write_short(view: RunningView, counted: Database):
    """`Begin.final_lsn` is where the commit record starts: the last write would wait for a stranger's next one."""
    told = view.frontier.told

    def at_the_start(prefix: str, record: Any) -> None:
        told(prefix, replace(record, frontier=LSN(record.frontier - 1)))

    with view._feed._lock:
        view._feed._listeners[:] = [at_the_start]
    with counted.connect(autocommit=False) as connection:
        # The server's own background writes may move the log on in between, so that not every attempt is a quiet one.
        outcomes = [wait_for(after_commit_of(connection, n), view, 0.3).outcome for n in range(6)]
    assert Outcome.TIMEOUT in outcomes


def _write_and_take(_trials: Trials, connection: psycopg.Connection, n: int) -> Token:
    return after_commit_of(connection, n)


def after_commit_of(connection: psycopg.Connection, n: int) -> Token:
    connection.execute("update counters set n = %s where id = 0", [n])
    connection.commit()
    return after_commit(connection)


def test_a_write_to_a_table_that_is_not_captured_and_one_that_changes_nothing_end_the_wait_too(
    view: RunningView, counted: Database
):
    with counted.connect(autocommit=False) as connection:
        for statement in ("insert into elsewhere values (1)", "update counters set n = 1 where id = 77", "select 1"):
            connection.execute(statement)
            connection.commit()
            waited = wait_for(after_commit(connection), view, 10.0)
            assert waited.outcome is Outcome.VISIBLE, statement
            assert waited.seconds < 5


def test_waiting_costs_the_database_nothing(view: RunningView, counted: Database):
    with counted.connect(autocommit=False) as connection:
        token = after_commit_of(connection, 1)
        ahead = replace(token, lsn=LSN(token.lsn + (1 << 40)))
        query = "select sum(calls_) from (select xact_commit + xact_rollback as calls_ from pg_stat_database) d"

        def transactions() -> int:
            with counted.connect() as own:
                own.execute("select pg_stat_force_next_flush()")
                row = own.execute(query).fetchone()
            assert row is not None
            return int(row[0])

        before = transactions()
        waiters = [threading.Thread(target=wait_for, args=(ahead, view, 1.0)) for _ in range(50)]
        for waiter in waiters:
            waiter.start()
        for waiter in waiters:
            waiter.join()
        assert transactions() - before < 30


def test_a_token_inside_an_open_transaction_is_refused(counted: Database):
    with counted.connect(autocommit=False) as connection:
        connection.execute("insert into elsewhere values (1)")
        with pytest.raises(TokenTooEarly):
            after_commit(connection)
        connection.rollback()
        assert after_commit(connection).id is None


def test_an_aborted_transaction_is_told(view: RunningView, counted: Database):
    with counted.connect(autocommit=False) as connection, counted.connect() as asking:
        connection.execute("update counters set n = 99 where id = 0")
        token = in_transaction(connection)
        connection.rollback()
        waited = wait_for(token, view, 5.0, probe=lambda xid: transaction_status(asking, xid))
        assert waited.outcome is Outcome.ABORTED
        assert waited.seconds < 3
        assert wait_for(token, view, 0.3).outcome is Outcome.TIMEOUT


def test_sqlalchemy_sessions_mark_their_commits(view: RunningView, counted: Database):
    engine = create_engine(f"postgresql+psycopg://postgres@{counted.server.host}:{counted.server.port}/{counted.name}")
    with Session(engine) as session:
        event.listen(session, "before_commit", tokens.before_commit)
        session.execute(text("update counters set n = 41 where id = 0"))
        session.commit()
        assert wait_for(session.info[tokens.SESSION_KEY], view, 10.0).outcome is Outcome.VISIBLE
        assert shown(view) == 41
    engine.dispose()


def test_a_topic_can_be_waited_for_without_a_view(view: RunningView, counted: Database, kafka, topic: str):
    options = ClientOptions(kafka.bootstrap)
    with counted.connect(autocommit=False) as connection:
        token = after_commit_of(connection, 7)
        assert wait_for(token, topic, 10.0, kafka=options).outcome is Outcome.VISIBLE
        inside = in_transaction(connection)
        connection.commit()
        assert wait_for(inside, topic, 10.0, kafka=options).outcome is Outcome.VISIBLE
    with pytest.raises(NoProgress):
        wait_for(token, "nobody.public.here", 5.0, kafka=options)


def test_a_stopped_engine_ends_in_a_timeout_and_another_system_at_once(
    counted: Database, kafka, topic: str, prefix: str
):
    with (
        running(captured(counted, kafka, prefix), counted) as engine,
        running_view(view_config("memory", [topic], kafka.bootstrap, None), waits=True) as view,
    ):
        counted.execute("update counters set n = 1")
        wait_until(view.frontier.told_position, 20, "the engine to tell its progress")
        engine.stop()
        with counted.connect(autocommit=False) as connection:
            token = after_commit_of(connection, 2)
            waited = wait_for(token, view, 0.5)
            assert waited.outcome is Outcome.TIMEOUT
            assert "is it running" in waited.reason
            foreign = replace(token, system_id=token.system_id + 1)
            assert wait_for(foreign, view, 10.0).outcome is Outcome.WRONG_TIMELINE


def test_an_asynchronous_commit_that_a_crash_took_is_lost_and_not_visible(
    make_postgres, kafka, prefix: str, topic: str
):
    server = make_postgres(18, settings={"wal_writer_delay": "10s", "wal_writer_flush_after": "1GB"})
    with fresh_database(server, prefix) as database:
        database.execute(COUNTERS, "insert into counters values (0, 0)")
        with (
            running(pipeline(database, kafka.bootstrap, prefix), database),
            running_view(view_config("memory", [topic], kafka.bootstrap, None), waits=True) as view,
        ):
            database.execute("update counters set n = 1")
            wait_until(lambda: shown(view) == 1 and view.frontier.told_position(), 20, "the first write")
            connection = database.connect(autocommit=False)
            connection.execute("set synchronous_commit = off")
            connection.commit()
            connection.execute("update counters set n = 2 where id = 0")
            connection.commit()
            token = after_commit(connection)
            assert token.id is not None
            server.kill()
            connection.close()
            server.start()
            assert database.value("select n from counters where id = 0") == 1, "the commit outlived the crash"
            for _ in range(20):
                database.execute("insert into counters values (5, 5) on conflict (id) do update set n = counters.n + 1")
            waited = wait_for(token, view, 30.0)
            assert waited.outcome is Outcome.LOST
            bare = replace(token, id=None, at=LSN(0))
            assert wait_for(bare, view, 10.0).outcome is Outcome.VISIBLE, "the log's position alone cannot tell"
            assert shown(view) == 1


def test_reads_never_go_back_while_the_engine_is_killed_and_starts_again(
    counted: Database, kafka, topic: str, prefix: str, start_process
):
    """After a kill the engine sends again what it had not recorded: the view must not show it a second time."""
    config = properties(counted, prefix, table__include__list=r"public\.counters")
    engine = start_process(counted, kafka.bootstrap, config)
    counted.execute("update counters set n = 0")
    with running_view(view_config("memory", [topic], kafka.bootstrap, None), waits=True) as view:
        wait_until(view.frontier.told_position, 20, "the engine to tell its progress")
        n = 0
        with counted.connect(autocommit=False) as connection:
            for _ in range(6):
                engine.kill()
                engine = start_process(counted, kafka.bootstrap, config, failpoint="data acknowledged:2")
                while engine.running:
                    n += 1
                    after_commit_of(connection, n)
                if went_back(sent(kafka.bootstrap, topic)):
                    break
            engine = start_process(counted, kafka.bootstrap, config)
            n += 1
            waited = wait_for(after_commit_of(connection, n), view, 20.0)
        assert waited.outcome is Outcome.VISIBLE
        assert shown(view) == n
        assert went_back(sent(kafka.bootstrap, topic)), "nothing was sent twice: were the kills where they should be?"
        changes, _ = view.changes.after({}, 0)
        assert went_back([json.loads(change.value or b"")["n"] for change in changes]) == []


def sent(bootstrap: str, topic: str) -> list[int]:
    return [each.after["n"] for each in data_events(bootstrap, topic) if each.after is not None]


def went_back(numbers: list[int]) -> list[tuple[int, int]]:
    return [(before, after) for before, after in itertools.pairwise(numbers) if after < before]


def test_waiting_takes_milliseconds_while_a_thousand_writes_a_second_go_by(
    view: RunningView, counted: Database, tmp_path: Path
):
    """A coarse bound that holds on a busy machine; the figures are `python -m benchmarks views`."""
    found, stop = Trials(counted, view, 1), threading.Event()
    busy = threading.Thread(target=stranger, args=(counted, stop))
    busy.start()
    try:
        found.run(50, _write_and_take)
    finally:
        stop.set()
        busy.join()
    assert set(found.outcomes) == {Outcome.VISIBLE}
    assert sorted(found.seconds)[25] < 1.0
