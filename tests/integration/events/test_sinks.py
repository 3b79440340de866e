"""Debezium's own consumers read what the engine wrote: the JDBC sink's tables equal the source's."""

from __future__ import annotations

import pytest

from tests.stack.postgres import Database, fresh_database
from tests.support.engine import pipeline, run_once
from tests.support.waiting import wait_until

COLUMNS = "id, name, price, paid, placed, day, tags"

SETUP = """
create table public.orders (id int primary key, name text not null, price numeric(10,2), paid boolean not null default false,
  placed timestamp(3), day date, tags jsonb)
"""
STREAM = (
    "insert into orders select g, 'name ' || g, g * 1.25, g % 2 = 0, timestamp '2024-02-29 12:00:00.123' + g * interval '1 hour', date '2024-01-01' + g, '{\"a\": 1}' from generate_series(1, 40) g",
    "insert into orders values (100, 'ünï \"quoted\" 😀', null, true, null, null, null)",
    "update orders set price = price + 0.01, name = upper(name) where id <= 20",
    "update orders set id = id + 1000 where id between 5 and 8",
    "delete from orders where id between 10 and 15",
    "begin; insert into orders (id, name) values (200, 'kept'); update orders set paid = true where id = 200; commit",
    "delete from orders where id = 1008; insert into orders (id, name) values (1008, 'again')",
)
UNWRAP = {"transforms": "unwrap", "transforms.unwrap.type": "io.debezium.transforms.ExtractNewRecordState"}


@pytest.mark.parametrize("transforms", [{}, UNWRAP], ids=["envelopes", "unwrapped by ExtractNewRecordState"])
def test_the_jdbc_sinks_table_equals_the_source(database, kafka, connect, prefix, transforms):
    database.execute(SETUP)
    schemas = {"key__converter__schemas__enable": "true", "value__converter__schemas__enable": "true"}
    config = pipeline(database, kafka.bootstrap, prefix, **schemas)
    run_once(config)
    database.execute(*STREAM)
    run_once(config)
    with fresh_database(database.server, f"{prefix}_sink") as sink:
        connect.run(f"{prefix}-sink", _sink(prefix, sink, transforms))
        expected = database.rows(f"select {COLUMNS} from orders order by id")
        table = f"{prefix}_public_orders"
        wait_until(lambda: _rows(sink, table) == expected, 60, f"{len(expected)} equal rows in the sink")
        connect.delete(f"{prefix}-sink")
        assert _rows(sink, table) == expected


def _rows(sink: Database, table: str) -> list[tuple]:
    if not sink.value("select count(*) from pg_tables where tablename = %s", table):
        return []
    return sink.rows(f"select {COLUMNS} from {table} order by id")


def _sink(prefix: str, sink: Database, transforms: dict[str, str]) -> dict[str, str]:
    converter = "org.apache.kafka.connect.json.JsonConverter"
    return {
        "connector.class": "io.debezium.connector.jdbc.JdbcSinkConnector",
        "tasks.max": "1",
        "topics": f"{prefix}.public.orders",
        "connection.url": f"jdbc:postgresql://127.0.0.1:{sink.server.port}/{sink.name}",
        "connection.username": "postgres",
        "connection.password": "unused",
        "insert.mode": "upsert",
        "delete.enabled": "true",
        "primary.key.mode": "record_key",
        "schema.evolution": "basic",
        "key.converter": converter,
        "key.converter.schemas.enable": "true",
        "value.converter": converter,
        "value.converter.schemas.enable": "true",
        **transforms,
    }
