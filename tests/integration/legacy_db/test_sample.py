"""The wholesaler's database has the traits that it promises, and its users write without our help or harm."""

from __future__ import annotations

import psycopg

from legacy_db.sample import wholesaler
from legacy_db.sample.load import Load
from tests.stack.postgres import Database
from tests.support.waiting import wait_until


def test_it_has_about_25_tables_in_three_schemas(legacy: Database):
    tables = wholesaler.tables(legacy.dsn)
    assert 23 <= len(tables) <= 27
    assert {table.split(".")[0] for table in tables} == set(wholesaler.SCHEMAS)


def test_it_fits_into_an_old_encoding(database: Database):
    name = f"{database.name}_old"
    dsn = wholesaler.create_database(database.server.dsn(), name)
    try:
        wholesaler.create(dsn)
        with psycopg.connect(dsn) as connection:
            assert connection.info.parameter_status("server_encoding") == "LATIN1"
    finally:
        with psycopg.connect(database.server.dsn(), autocommit=True) as connection:
            connection.execute(f"drop database {name} with (force)")


def test_its_users_do_everything_and_nothing_fails(legacy: Database):
    columns = (
        "select count(*) from pg_attribute where attrelid = 'stock.attribute'::regclass and attname like 'changed%'"
    )
    partitions = "select count(*) from pg_inherits where inhparent = 'stock.movement'::regclass"
    with Load(legacy.dsn) as load:
        wait_until(lambda: load.tally.rolled_back > 5, 30, "some rollbacks")
        wait_until(lambda: legacy.value(columns) > 0 and legacy.value(partitions) > 3, 30, "the changes of the schema")
    assert load.tally.failures == []
    assert load.tally.committed > 100


def test_its_triggers_write_other_tables(legacy: Database):
    before = legacy.value("select total from sales.customer_order where id = 1")
    legacy.execute("insert into sales.order_line values (1, 99, 'P000001', 2, 10.5)")
    assert legacy.value("select total from sales.customer_order where id = 1") == before + 21
