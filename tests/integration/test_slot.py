"""A slot, a timeline or a server that does not fit the recorded position stops the engine by name, before it streams.

`START_REPLICATION` accepts each of these positions without a word.
"""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from cdc.errors import SlotAhead, SlotInUse, SlotLost, SystemChanged, TimelineForked
from cdc.kafka.positions import read_positions
from cdc.postgres.embedded import PostgresServer
from connectors.worker import Worker
from tests.stack.postgres import Database
from tests.support.engine import confirmed, pipeline, run_once, slot_row
from tests.support.fold import data_events
from tests.support.standby import cut_off, followed, promote, standby_of
from tests.support.waiting import wait_until

every_version = pytest.mark.parametrize("postgres", (15, 16, 17, 18), indirect=True)


@pytest.fixture
def config(database, kafka, prefix):
    """Run once: slot and record are there."""
    database.execute("create table item (id int primary key, name text)")
    config = pipeline(database, kafka.bootstrap, prefix)
    run_once(config)
    return config


def recorded(config) -> int:
    return int(read_positions(config.kafka)[config.name].end_lsn)


@every_version
def test_a_slot_that_is_gone_is_lost_and_not_made_anew(config, database, prefix):
    database.execute(f"select pg_drop_replication_slot('{prefix}')")
    with pytest.raises(SlotLost, match=prefix):
        run_once(config)
    assert slot_row(database, prefix) == {}


@every_version
def test_a_slot_that_somebody_advanced_is_ahead(config, database, prefix, kafka):
    database.execute(
        "insert into item values (1, 'skipped')",
        f"select pg_replication_slot_advance('{prefix}', pg_current_wal_insert_lsn())",
    )
    before = recorded(config)
    assert confirmed(database, prefix) > before
    with pytest.raises(SlotAhead, match="would be missing"):
        run_once(config)
    assert recorded(config) == before


def test_a_slot_made_anew_at_a_later_position_is_ahead(config, database, prefix):
    database.execute(
        f"select pg_drop_replication_slot('{prefix}')",
        "insert into item values (1, 'in the gap')",
        f"select pg_create_logical_replication_slot('{prefix}', 'pgoutput')",
    )
    with pytest.raises(SlotAhead):
        run_once(config)


@every_version
def test_a_slot_in_use_is_tried_again_and_then_given_up(config, database, kafka, prefix, start_engine):
    engine = start_engine(config, database)
    second = pipeline(database, kafka.bootstrap, prefix, seam__retry__timeout__ms="700")
    with pytest.raises(SlotInUse, match="read from by process"):
        run_once(second)
    database.execute("insert into item values (1, 'a')")
    engine.caught_up()
    assert engine.running


def test_a_second_engine_takes_over_when_the_first_one_ends(config, database, kafka, prefix, start_engine):
    engine = start_engine(config, database)
    found = []
    second = Worker(config, found.append)
    database.execute("insert into item values (1, 'a')")
    engine.caught_up()

    def stop_the_first(finding):
        found.append(finding)
        if finding.code == "SLOT_BUSY":
            engine.worker.stop.set()

    second.on_finding = stop_the_first
    second.run(once=True)
    assert "SLOT_BUSY" in [finding.code for finding in found]


def test_a_rival_neither_sets_the_record_back_nor_takes_the_moving_slot_for_ahead(
    config, database, kafka, prefix, start_engine, monkeypatch
):
    engine = start_engine(config, database)

    def read_and_fall_behind(options):
        found = read_positions(options)
        database.execute("insert into item select count(*), 'x' from item")
        engine.caught_up()
        return found

    monkeypatch.setattr("connectors.recorder.read_positions", read_and_fall_behind)
    with pytest.raises(SlotInUse):
        run_once(pipeline(database, kafka.bootstrap, prefix, seam__retry__timeout__ms="0"))
    assert confirmed(database, prefix) <= recorded(config)
    monkeypatch.undo()
    engine.stop()
    run_once(config)


@pytest.mark.parametrize("version", (15, 16, 17, 18))
def test_an_invalidated_slot_is_lost(make_postgres, kafka, prefix, version):
    server = make_postgres(
        version, settings={"max_slot_wal_keep_size": "1MB", "min_wal_size": "32MB", "max_wal_size": "32MB"}
    )
    database = Database(server, "postgres")
    database.execute("create table item (id int primary key, name text)")
    config = pipeline(database, kafka.bootstrap, prefix)
    run_once(config)
    before = recorded(config)

    def lost() -> bool:
        database.execute(
            "create table filler as select repeat('x', 1000) from generate_series(1, 20000)",
            "drop table filler",
            "select pg_switch_wal()",
            "checkpoint",
        )
        return slot_row(database, prefix)["wal_status"] == "lost"

    wait_until(lost, 60, "the slot to be invalidated")
    with pytest.raises(SlotLost, match="invalidated"):
        run_once(config)
    assert recorded(config) == before


def test_another_server_under_the_same_address_is_not_streamed_from(config, make_postgres, kafka, prefix):
    other = Database(make_postgres(18), "postgres")
    other.execute("create table item (id int primary key, name text)")
    with pytest.raises(SystemChanged):
        run_once(pipeline(other, kafka.bootstrap, prefix))
    assert slot_row(other, prefix) == {}


@pytest.fixture
def standby(make_postgres) -> Iterator[tuple[Database, PostgresServer]]:
    """A primary's database, and a standby that follows."""
    primary = make_postgres(18)
    with standby_of(primary) as copy:
        yield Database(primary, "postgres"), copy


def test_a_promoted_standby_that_lacks_what_was_published_is_a_fork(standby, kafka, prefix):
    database, copy = standby
    database.execute("create table item (id int primary key, name text)")
    config = pipeline(database, kafka.bootstrap, prefix)
    run_once(config)
    followed(database, copy)
    cut_off(database, copy)
    database.execute("insert into item values (1, 'never on the standby')")
    run_once(config)
    promoted = promote(copy)
    promoted.execute(f"select pg_create_logical_replication_slot('{prefix}', 'pgoutput')")
    before = confirmed(promoted, prefix)
    with pytest.raises(TimelineForked, match="never had"):
        run_once(pipeline(promoted, kafka.bootstrap, prefix))
    assert confirmed(promoted, prefix) == before
    assert [each.key["id"] for each in data_events(kafka.bootstrap, f"{prefix}.public.item")] == [1]


def test_a_promoted_standby_that_has_all_but_the_slot_is_a_lost_slot(standby, kafka, prefix):
    database, copy = standby
    database.execute("create table item (id int primary key, name text)")
    run_once(pipeline(database, kafka.bootstrap, prefix))
    followed(database, copy)
    with pytest.raises(SlotLost):
        run_once(pipeline(promote(copy), kafka.bootstrap, prefix))
