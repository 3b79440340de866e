"""Rows put into their topic again, beside the stream: all of them, in order with the live changes."""

from __future__ import annotations

import json
import threading
import time

import pytest

from cdc.errors import ConfigError, OperatorError
from cdc.kafka.signals import read_requests, write_requests
from cdc.requests import Request, State
from cli import app
from connectors.replay import Replay
from tests.support.command_line import run
from tests.support.engine import pipeline, properties, run_once
from tests.support.fold import data_events, events, fold_rows, rows_of
from tests.support.waiting import wait_until

ROWS = 5000
ITEM = (
    "create table item (id int primary key, note text)",
    f"insert into item select n, repeat('x', n % 100) from generate_series(1, {ROWS}) n",
)


@pytest.fixture
def file(database, prefix, tmp_path):
    place = tmp_path / "pipeline.json"
    place.write_text(json.dumps({"name": prefix, "config": properties(database, prefix)}))
    return place


def test_a_running_engine_reads_the_rows_again(database, kafka, prefix, start_engine, file):
    database.execute(*ITEM)
    start_engine(pipeline(database, kafka.bootstrap, prefix), database)
    found = run(
        app, "replay", file, "--table", "public.item", "--bootstrap-servers", kafka.bootstrap, "--output", "json"
    )
    assert found.code == 0, found.everything
    assert found.document["state"] == "done"
    assert found.document["rows"] == ROWS
    read = data_events(kafka.bootstrap, f"{prefix}.public.item")
    assert {each.op for each in read} == {"r"}
    assert {each.value["source"]["snapshot"] for each in read} == {"incremental"}
    assert fold_rows(read) == rows_of(database, "item")


def test_without_an_engine_the_command_runs_one(database, kafka, prefix, file):
    database.execute(*ITEM)
    run_once(pipeline(database, kafka.bootstrap, prefix))
    found = run(
        app, "replay", file, "--table", "public.item", "--where", "id <= 10", "--bootstrap-servers", kafka.bootstrap,
        "--output", "json",
    )  # fmt: skip
    assert found.code == 0, found.everything
    assert sorted(each.key["id"] for each in events(kafka.bootstrap, f"{prefix}.public.item")) == list(range(1, 11))


def test_a_dry_run_counts_and_writes_nothing(database, kafka, prefix, file):
    database.execute(*ITEM)
    found = run(
        app, "replay", file, "--table", "public.item", "--dry-run", "--rate", "1000", "--bootstrap-servers",
        kafka.bootstrap, "--output", "json",
    )  # fmt: skip
    assert found.document["rows"] == ROWS
    assert found.document["seconds"] == ROWS / 1000
    assert found.document["bytes"] > ROWS * 100
    assert not read_requests(pipeline(database, kafka.bootstrap, prefix).kafka, prefix).by_id


def test_an_unknown_table_ends_with_two_and_names_the_nearest(database, kafka, prefix, file):
    database.execute(*ITEM)
    found = run(app, "replay", file, "--table", "public.itme", "--bootstrap-servers", kafka.bootstrap)
    assert found.code == 2
    assert "public.item" in found.everything


def test_a_condition_that_fails_says_where(database, kafka, prefix):
    database.execute(*ITEM)
    with pytest.raises(ConfigError, match=r'column "nome" does not exist .*, at character 12'):
        Replay(pipeline(database, kafka.bootstrap, prefix), "public.item", "id > 1 and nome = 'x'")


def test_a_bad_request_fails_and_the_stream_goes_on(database, kafka, prefix, start_engine):
    database.execute(*ITEM)
    config = pipeline(database, kafka.bootstrap, prefix)
    engine = start_engine(config, database)
    bad = Request(prefix, "bad", tables=("public.item",), where={"public.item": "id +"}, time=time.time())
    write_requests(config.kafka, [bad])
    failed = wait_until(
        lambda: (one := read_requests(config.kafka, prefix).by_id["bad"]).state is State.FAILED and one,
        20,
        "the failure",
    )
    assert "syntax error" in failed.message
    database.execute("insert into item values (0, 'live')")
    engine.caught_up()
    assert [each.key["id"] for each in events(kafka.bootstrap, f"{prefix}.public.item")] == [0]


def test_a_failed_request_ends_its_command_with_four(database, kafka, prefix, start_engine):
    database.execute(*ITEM, "create table loose (n int)", "alter table loose replica identity full")
    start_engine(pipeline(database, kafka.bootstrap, prefix), database)
    replay = Replay(pipeline(database, kafka.bootstrap, prefix), "public.loose", None)
    with pytest.raises(OperatorError, match="no key"):
        replay.run(replay.request()[0], lambda _request: None, lambda _finding: None, threading.Event())
    replay.close()


def test_the_same_replay_again_goes_on_with_the_one_that_was_asked_for(database, kafka, prefix):
    database.execute(*ITEM)
    config = pipeline(database, kafka.bootstrap, prefix)
    one, other, part = (Replay(config, "public.item", where) for where in (None, None, "id > 1"))
    try:
        first, resumed = one.request()
        assert not resumed
        assert other.request() == (first, True)
        assert part.request()[0].id != first.id
    finally:
        for replay in (one, other, part):
            replay.close()


def test_a_topic_is_replayed_into_a_new_one_with_its_events_brought_up_to_date(
    database, kafka, prefix, file, tmp_path, monkeypatch
):
    (tmp_path / f"steps_{prefix}.py").write_text(
        "def named(event):\n    event['after']['name'] = event['after'].pop('note')\n    return event\n"
    )
    monkeypatch.chdir(tmp_path)
    database.execute("create table item (id int primary key, note text)", "insert into item values (1, 'a'), (2, 'b')")
    run_once(pipeline(database, kafka.bootstrap, prefix, snapshot__mode="initial"))
    found = run(
        app, "replay", file, "--from-topic", f"{prefix}.public.item", "--into", f"{prefix}.new", "--upcast",
        f":1=steps_{prefix}:named", "--bootstrap-servers", kafka.bootstrap, "--output", "json",
    )  # fmt: skip
    assert found.code == 0, found.everything
    assert found.document["records"] == 2
    assert [each.after for each in data_events(kafka.bootstrap, f"{prefix}.new")] == [
        {"id": 1, "name": "a"},
        {"id": 2, "name": "b"},
    ]
