"""Avro through a real registry, read by Confluent's own deserializer; and the registry may be away.

In one file, so that the tests share one registry: it is the slowest server to start.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from confluent_kafka.schema_registry import SchemaRegistryClient
from confluent_kafka.schema_registry.avro import AvroDeserializer

import cli
from cdc.errors import ConfigError, OperatorError
from cdc.kafka.registry import RegistryUnavailable, SchemaRegistry
from connectors.postgres import read
from connectors.worker import Worker
from tests.stack.postgres import Database
from tests.stack.registry import Registry
from tests.support.command_line import run
from tests.support.consume import read_topic
from tests.support.engine import RunningEngine, confirmed, pipeline
from tests.support.engine import properties as engine_properties
from tests.support.proxy import Proxy
from tests.support.waiting import wait_until

AVRO = "io.confluent.connect.avro.AvroConverter"


def properties(database, prefix, url, **more):
    return {
        "database.hostname": "127.0.0.1", "database.port": str(database.server.port), "database.user": "postgres",
        "database.dbname": database.name, "topic.prefix": prefix, "table.include.list": "public.*", "slot.name": prefix,
        "publication.name": prefix, "key.converter": AVRO, "value.converter": AVRO,
        "key.converter.schema.registry.url": url, "value.converter.schema.registry.url": url, **more,
    }  # fmt: skip


def test_rows_in_avro_are_read_back_by_confluents_deserializer(database, kafka, registry, prefix):
    database.execute(
        "create table orders (id int primary key, note text, amount numeric(8,2), at timestamptz, tags text[])",
        "insert into orders values (1, 'first', 12.50, '2024-02-29 12:00:00+00', '{a,b}'), (2, null, null, null, null)",
    )
    config = read("avro" + prefix, properties(database, prefix, registry.url), bootstrap_servers=kafka.bootstrap)
    Worker(config, lambda finding: None).run(once=True)
    database.execute("update orders set note = 'changed' where id = 1", "delete from orders where id = 2")
    Worker(config, lambda finding: None).run(once=True)

    records = read_topic(kafka.bootstrap, f"{prefix}.public.orders")
    with SchemaRegistryClient({"url": registry.url}) as client:
        read_avro = AvroDeserializer(client)
        values = [None if record.value is None else read_avro(record.value, None) for record in records]
        keys = [read_avro(record.key, None) for record in records]
    assert [value and value["op"] for value in values] == ["r", "r", "u", "d", None]
    assert keys == [{"id": 1}, {"id": 2}, {"id": 1}, {"id": 2}, {"id": 2}]
    after = values[0]["after"]
    assert (after["note"], str(after["amount"]), after["tags"]) == ("first", "12.50", ["a", "b"])
    assert values[2]["after"]["note"] == "changed"
    assert values[1]["after"]["note"] is None


def test_an_incompatible_schema_is_a_named_error(registry, prefix):
    client = SchemaRegistry({"schema.registry.url": registry.url})
    try:
        client.register(f"{prefix}-value", '{"type":"record","name":"r","fields":[{"name":"a","type":"int"}]}')
        with SchemaRegistryClient({"url": registry.url}) as admin:
            admin.set_compatibility(f"{prefix}-value", "BACKWARD")
        with pytest.raises(OperatorError, match="not compatible"):
            client.register(
                f"{prefix}-value",
                '{"type":"record","name":"r","fields":[{"name":"a","type":"int"},{"name":"b","type":"int"}]}',
            )
    finally:
        client.close()


def test_a_registry_that_is_away_is_tried_again():
    client = SchemaRegistry({"schema.registry.url": "http://127.0.0.1:1"})
    try:
        with pytest.raises(RegistryUnavailable, match=r"127\.0\.0\.1:1"):
            client.register("s", '"int"')
    finally:
        client.close()


def test_avro_without_a_registry_is_refused_before_the_start():
    config = {
        "database.hostname": "h", "database.user": "u", "database.dbname": "d", "topic.prefix": "p",
        "value.converter": AVRO,
    }  # fmt: skip
    with pytest.raises(ConfigError, match=r"value\.converter\.schema\.registry\.url"):
        read("x", config, bootstrap_servers="b:1")


def test_a_chain_is_tried_on_records_that_are_avro(database, kafka, registry, prefix, tmp_path: Path):
    database.execute("create table t (id int primary key)")
    run_twice = avro(database, kafka.bootstrap, prefix, registry.port)
    Worker(run_twice, lambda finding: None).run(once=True)
    database.execute("insert into t values (21)", "delete from t where id = 21")
    Worker(run_twice, lambda finding: None).run(once=True)
    config = {
        **{k: v for k, v in engine_properties(database, prefix).items() if not k.endswith("schemas.enable")}, "key.converter": AVRO, "value.converter": AVRO,
        "key.converter.schema.registry.url": registry.url, "value.converter.schema.registry.url": registry.url,
        "transforms": "unwrap", "transforms.unwrap.type": "io.debezium.transforms.ExtractNewRecordState",
        "transforms.unwrap.delete.tombstone.handling.mode": "rewrite",
    }  # fmt: skip
    file = tmp_path / "t.json"
    file.write_text(json.dumps({"name": prefix, "config": config}))
    arguments = ("--from-topic", f"{prefix}.public.t", "--max", "3", "--bootstrap-servers", kafka.bootstrap)
    found = run(cli.app, "transform", str(file), *arguments)
    assert found.code == 0, found.everything
    made = [json.loads(text) for text in found.out.splitlines()]
    rows = [record["value"]["payload"] for record in made]
    assert rows == [{"id": 21, "__deleted": "false"}, {"id": 21, "__deleted": "true"}]
    assert made[0]["key"]["payload"] == {"id": 21}
    assert made[0]["value"]["schema"]["name"] == f"{prefix}.public.t.Value"


@pytest.fixture
def registry_proxy(registry: Registry) -> Iterator[Proxy]:
    with Proxy(registry.port) as proxy:
        yield proxy


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("cdc.kafka.registry.ANSWER_SECONDS", 1)
    monkeypatch.setattr("connectors.worker.LONGEST_PAUSE_SECONDS", 0.5)


def avro(database: Database, bootstrap: str, prefix: str, port: int, **more: str):
    url = f"http://127.0.0.1:{port}/apis/ccompat/v7"
    sides = {f"{side}__converter": AVRO for side in ("key", "value")}
    urls = {f"{side}__converter__schema__registry__url": url for side in ("key", "value")}
    return pipeline(database, bootstrap, prefix, **sides, **urls, **more)


def noted(engine: RunningEngine, code: str) -> bool:
    return any(finding.code == code for finding in engine.findings)


def delivered(registry: Registry, bootstrap: str, topic: str) -> list[tuple[str, int, object]]:
    """Operation, key and the last column of each event."""
    found = []
    with SchemaRegistryClient({"url": registry.url}) as client:
        read_avro = AvroDeserializer(client)
        for record in read_topic(bootstrap, topic):
            value = read_avro(record.value, None)
            row = value["after"] or value["before"]
            found.append((value["op"], row["id"], list(row.values())[-1]))
    return found


@pytest.mark.parametrize("fault", ("refuse", "blackhole"))
def test_an_engine_waits_for_a_registry_that_is_away_and_loses_nothing(
    database, kafka, registry, registry_proxy, prefix, start_engine, impatient, fault
):
    database.execute("create table item (id int primary key, note text)")
    engine = start_engine(avro(database, kafka.bootstrap, prefix, registry_proxy.port), database)
    database.execute("insert into item values (1, 'a')")
    engine.caught_up()

    getattr(registry_proxy, fault)()
    registry_proxy.cut()
    # Its schemas are known: nobody needs the registry.
    database.execute("insert into item values (2, 'b')")
    engine.caught_up()
    held = confirmed(database, prefix)
    database.execute("alter table item add extra int", "insert into item values (3, 'c', 33)")
    wait_until(lambda: noted(engine, "REGISTRY_UNAVAILABLE"), 30, "the engine to say that the registry is away")
    database.execute("insert into item values (4, 'd', 44)", "update item set extra = 11 where id = 1")
    wait_until(lambda: engine.worker.meter.reconnects >= 2, 30, "a second attempt")
    engine.raise_error()
    engine_saw = [finding.evidence for finding in engine.findings if finding.code == "REGISTRY_UNAVAILABLE"]
    assert f"127.0.0.1:{registry_proxy.port}" in engine_saw[0]
    assert f"{prefix}.public.item-" in engine_saw[0], "the subject is not named"
    assert "trying again" in engine_saw[0]
    assert confirmed(database, prefix) < held + 10_000

    registry_proxy.heal()
    engine.caught_up()
    engine.stop()
    found = delivered(registry, kafka.bootstrap, f"{prefix}.public.item")
    expected = [("c", 1, "a"), ("c", 2, "b"), ("c", 3, 33), ("c", 4, 44), ("u", 1, 11)]
    # What was sent before an attempt ended may be sent again, in order; nothing is left out.
    assert list(dict.fromkeys(found)) == expected
    assert found[-3:] == expected[-3:]


def test_a_registry_that_stays_away_ends_the_engine_with_its_name_and_nothing_acknowledged(
    database, kafka, registry, registry_proxy, prefix, start_engine, impatient
):
    database.execute("create table item (id int primary key, note text)")
    config = avro(database, kafka.bootstrap, prefix, registry_proxy.port, seam__retry__timeout__ms="1500")
    registry_proxy.refuse()
    engine = start_engine(config, database)
    database.execute("insert into item values (1, 'a')")
    written = database.value("select (pg_current_wal_insert_lsn() - '0/0')::int8")
    error = engine.ended(40)
    assert isinstance(error, RegistryUnavailable)
    assert error.exit_code == 3
    assert str(registry_proxy.port) in error.message
    assert confirmed(database, prefix) < int(written)

    registry_proxy.heal()
    again = start_engine(config, database)
    again.caught_up()
    again.stop()
    assert delivered(registry, kafka.bootstrap, f"{prefix}.public.item") == [("c", 1, "a")]


def test_a_snapshot_waits_for_the_registry_and_is_whole(
    database, kafka, registry, registry_proxy, prefix, start_engine, impatient
):
    database.execute(
        "create table item (id int primary key, note text)",
        "insert into item select g, 'n' from generate_series(1, 50) g",
    )
    registry_proxy.refuse()
    config = avro(database, kafka.bootstrap, prefix, registry_proxy.port, snapshot__mode="initial")
    engine = start_engine(config, database)
    wait_until(lambda: noted(engine, "REGISTRY_UNAVAILABLE"), 30, "the engine to say that the registry is away")
    registry_proxy.heal()
    wait_until(lambda: engine.worker.meter.phase == "streaming", 30, "the snapshot to be done")
    engine.caught_up()
    engine.stop()
    found = delivered(registry, kafka.bootstrap, f"{prefix}.public.item")
    assert sorted(set(found)) == [("r", n, "n") for n in range(1, 51)]
