"""`snapshot.mode` and its companions, each on real servers."""

from __future__ import annotations

import pytest

from cdc.errors import OperatorError, SlotLost
from cdc.kafka.positions import read_positions
from tests.support.consume import topics
from tests.support.engine import pipeline, run_once, slot_row
from tests.support.fold import data_events, fold_rows, rows_of

both = pytest.mark.parametrize("support", ("requested", "required"))


@pytest.fixture
def item(database):
    database.execute(
        "create table item (id int primary key, name text)", "insert into item select n, 'old' from generate_series(1, 500) n"
    )  # fmt: skip
    return database


def found(kafka, prefix, table="item"):
    return data_events(kafka.bootstrap, f"{prefix}.public.{table}")


def ops(events) -> dict[str, int]:
    return {op: len([each for each in events if each.op == op]) for op in {each.op for each in events}}


@both
@pytest.mark.parametrize("postgres", (15, 18), indirect=True)
def test_initial_reads_rows_once_and_goes_on_with_changes(item, kafka, prefix, support):
    config = pipeline(item, kafka.bootstrap, prefix, snapshot__mode="initial", exactly__once__support=support)
    run_once(config)
    item.execute("insert into item values (501, 'new')", "delete from item where id = 1")
    run_once(config)
    assert ops(found(kafka, prefix)) == {"r": 500, "c": 1, "d": 1}
    assert fold_rows(found(kafka, prefix)) == rows_of(item, "item")
    assert read_positions(config.kafka)[prefix].snapshot["phase"] == "done"


def test_initial_is_what_is_done_when_nothing_is_said(item, kafka, prefix):
    config = pipeline(item, kafka.bootstrap, prefix)
    assert config.options["snapshot.mode"] == "no_data"  # the tests' own default
    run_once(pipeline(item, kafka.bootstrap, prefix, snapshot__mode="initial"))
    assert ops(found(kafka, prefix)) == {"r": 500}


@both
def test_initial_only_reads_rows_and_makes_no_slot(item, kafka, prefix, support):
    config = pipeline(item, kafka.bootstrap, prefix, snapshot__mode="initial_only", exactly__once__support=support)
    run_once(config)
    assert ops(found(kafka, prefix)) == {"r": 500}
    assert slot_row(item, prefix) == {}
    run_once(config)
    assert ops(found(kafka, prefix)) == {"r": 500}


def test_no_data_reads_no_rows(item, kafka, prefix):
    config = pipeline(item, kafka.bootstrap, prefix, snapshot__mode="no_data")
    run_once(config)
    item.execute("insert into item values (501, 'new')")
    run_once(config)
    assert ops(found(kafka, prefix)) == {"c": 1}


def test_always_reads_rows_at_every_start(item, kafka, prefix):
    config = pipeline(item, kafka.bootstrap, prefix, snapshot__mode="always")
    run_once(config)
    item.execute("insert into item values (501, 'new')")
    run_once(config)
    assert ops(found(kafka, prefix)) == {"r": 1001, "c": 1}
    assert fold_rows(found(kafka, prefix)) == rows_of(item, "item")


def test_when_needed_starts_over_with_a_lost_slot(item, kafka, prefix):
    config = pipeline(item, kafka.bootstrap, prefix, snapshot__mode="when_needed")
    run_once(config)
    item.execute(f"select pg_drop_replication_slot('{prefix}')", "insert into item values (501, 'in the gap')")
    run_once(config)
    assert fold_rows(found(kafka, prefix)) == rows_of(item, "item")
    item.execute("update item set name = 'later' where id = 7")
    run_once(config)
    assert ops(found(kafka, prefix)) == {"r": 1001, "u": 1}


def test_when_needed_does_not_drop_a_slot_that_somebody_else_made(item, kafka, prefix):
    item.execute(
        f"create publication {prefix} for table item",
        f"select pg_create_logical_replication_slot('{prefix}', 'pgoutput')",
    )
    config = pipeline(item, kafka.bootstrap, prefix, snapshot__mode="when_needed")
    run_once(config)
    item.execute(f"select pg_drop_replication_slot('{prefix}')")
    item.execute(f"select pg_create_logical_replication_slot('{prefix}', 'pgoutput')")
    with pytest.raises(OperatorError, match="not made by seam"):
        run_once(config)
    assert slot_row(item, prefix) != {}


def test_initial_does_not_start_over_with_a_lost_slot(item, kafka, prefix):
    config = pipeline(item, kafka.bootstrap, prefix, snapshot__mode="initial")
    run_once(config)
    item.execute(f"select pg_drop_replication_slot('{prefix}')")
    with pytest.raises(SlotLost):
        run_once(config)


@pytest.mark.parametrize(
    ("data", "stream", "wanted"), [("true", "true", {"r": 500, "c": 1}), ("false", "true", {"c": 1}), ("true", "false", {"r": 500})]
)  # fmt: skip
def test_configuration_based_does_what_its_switches_say(item, kafka, prefix, data, stream, wanted):
    switches = {
        "snapshot__mode__configuration__based__snapshot__data": data,
        "snapshot__mode__configuration__based__start__stream": stream,
    }
    config = pipeline(item, kafka.bootstrap, prefix, snapshot__mode="configuration_based", **switches)
    run_once(config)
    item.execute("insert into item values (501, 'new')")
    run_once(config)
    assert ops(found(kafka, prefix)) == wanted


def test_only_tables_of_the_include_list_are_read(item, kafka, prefix):
    item.execute("create table other (id int primary key)", "insert into other values (1)")
    config = pipeline(
        item, kafka.bootstrap, prefix, snapshot__mode="initial", snapshot__include__collection__list="public.OTHER"
    )
    run_once(config)
    item.execute("insert into item values (501, 'new')", "insert into other values (2)")
    run_once(config)
    assert ops(found(kafka, prefix)) == {"c": 1}
    assert ops(found(kafka, prefix, "other")) == {"r": 1, "c": 1}


def test_empty_tables_end_the_snapshot_without_a_record(database, kafka, prefix):
    database.execute("create table item (id int primary key)", "create table none (id int primary key)")
    config = pipeline(database, kafka.bootstrap, prefix, snapshot__mode="initial")
    run_once(config)
    assert read_positions(config.kafka)[prefix].snapshot["phase"] == "done"
    assert topics(kafka.bootstrap, prefix) == []


def test_several_threads_read_every_row_of_many_tables(database, kafka, prefix):
    for n in range(8):
        database.execute(
            f"create table t{n} (id int primary key, name text)",
            f"insert into t{n} select i, 'n' || i from generate_series(1, {1000 * (n + 1)}) i",
        )
    run_once(pipeline(database, kafka.bootstrap, prefix, snapshot__mode="initial", snapshot__max__threads="4"))
    for n in range(8):
        assert fold_rows(found(kafka, prefix, f"t{n}")) == rows_of(database, f"t{n}")
        assert len(found(kafka, prefix, f"t{n}")) == 1000 * (n + 1)
