"""Avro through a real registry, read by Confluent's own deserializer."""

from __future__ import annotations

import pytest
from confluent_kafka.schema_registry import SchemaRegistryClient
from confluent_kafka.schema_registry.avro import AvroDeserializer

from cdc.errors import ConfigError, OperatorError
from cdc.kafka.registry import RegistryUnavailable, SchemaRegistry
from connectors.postgres import read
from connectors.worker import Worker
from tests.support.consume import read_topic

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
