"""Debezium's own consumers read what the engine wrote: the JDBC sink's tables equal the source's."""

from __future__ import annotations

import pytest

from tests.stack.postgres import Database, fresh_database
from tests.support.engine import pipeline, run_once
from tests.support.waiting import wait_until

TABLES = {
    "orders": "id, name, price, paid, placed, day, tags",
    "lines": "customer, position, weight, ratio, small, image, token, moment, clock, letter, note",
}
SETUP = """
create table public.orders (id int primary key, name text not null, price numeric(10,2), paid boolean not null default false,
  placed timestamp(3), day date, tags jsonb);
create table public.lines (customer text, position bigint, weight double precision, ratio real, small smallint,
  image bytea, token uuid, moment timestamptz, clock time, letter char(3), primary key (customer, position))
"""
STREAM = (
    "insert into orders select g, 'name ' || g, g * 1.25, g % 2 = 0, timestamp '2024-02-29 12:00:00.123' + g * interval '1 hour', date '2024-01-01' + g, '{\"a\": 1}' from generate_series(1, 40) g",
    "insert into orders values (100, 'ünï \"quoted\" 😀', null, true, null, null, null)",
    "update orders set price = price + 0.01, name = upper(name) where id <= 20",
    "update orders set id = id + 1000 where id between 5 and 8",
    "delete from orders where id between 10 and 15",
    "begin; insert into orders (id, name) values (200, 'kept'); update orders set paid = true where id = 200; commit",
    "delete from orders where id = 1008; insert into orders (id, name) values (1008, 'again')",
    "insert into lines select 'c ' || g % 3, g, g / 7.0, g / 3.0, -g, decode(lpad(to_hex(g), 4, '0'), 'hex'), md5(g::text)::uuid, timestamptz '2024-03-31 01:59:59.123456+02' + g * interval '1 day', time '23:59:59.999999' - g * interval '1 min', 'a' from generate_series(1, 20) g",
    "insert into lines (customer, position, image) values ('', -9223372036854775808, '')",
    "alter table lines add note text",
    "update lines set note = 'later ' || position, customer = upper(customer) where position > 15",
    "delete from lines where position in (1, 2)",
)
UNWRAP = {"transforms": "unwrap", "transforms.unwrap.type": "io.debezium.transforms.ExtractNewRecordState"}


@pytest.mark.parametrize("transforms", [{}, UNWRAP], ids=["envelopes", "unwrapped by ExtractNewRecordState"])
def test_the_jdbc_sinks_tables_equal_the_source(database, kafka, connect, prefix, transforms):
    database.execute(SETUP)
    schemas = {"key__converter__schemas__enable": "true", "value__converter__schemas__enable": "true"}
    config = pipeline(database, kafka.bootstrap, prefix, **schemas)
    run_once(config)
    database.execute(*STREAM)
    run_once(config)
    with fresh_database(database.server, f"{prefix}_sink") as sink:
        connect.run(f"{prefix}-sink", _sink(prefix, sink, transforms))
        expected = {table: _rows(database, table, table) for table in TABLES}
        assert all(expected.values())

        def found() -> dict[str, list[tuple]]:
            return {table: _rows(sink, f"{prefix}_public_{table}", table) for table in TABLES}

        try:
            wait_until(lambda: connect.running(f"{prefix}-sink") and found() == expected, 40, "equal rows in the sink")
        except AssertionError:
            assert found() == expected  # shows the rows that differ
            raise
        connect.delete(f"{prefix}-sink")
        assert found() == expected


def _rows(database: Database, name: str, table: str) -> list[tuple]:
    columns = TABLES[table].split(", ")
    there = database.value("select count(*) from pg_attribute where attrelid = to_regclass(%s) and attnum > 0", name)
    if there != len(columns):
        return []  # not created, or not altered yet
    return database.rows(f"select {TABLES[table]} from {name} order by 1, 2")


def _sink(prefix: str, sink: Database, transforms: dict[str, str]) -> dict[str, str]:
    converter = "org.apache.kafka.connect.json.JsonConverter"
    return {
        "connector.class": "io.debezium.connector.jdbc.JdbcSinkConnector",
        "tasks.max": "1",
        "topics.regex": rf"{prefix}\.public\..*",
        "connection.url": f"jdbc:postgresql://127.0.0.1:{sink.server.port}/{sink.name}",
        "connection.username": "postgres",
        "connection.password": "unused",
        "insert.mode": "upsert",
        "delete.enabled": "true",
        "primary.key.mode": "record_key",
        "schema.evolution": "basic",
        # SimpleHeaderConverter reads the header of a changed key as a map; with values of two types the sink refuses it.
        "header.converter": "org.apache.kafka.connect.storage.StringConverter",
        "key.converter": converter,
        "key.converter.schemas.enable": "true",
        "value.converter": converter,
        "value.converter.schemas.enable": "true",
        **transforms,
    }
