"""A chain of transforms in the running engine, snapshot and stream."""

from __future__ import annotations

import json

from confluent_kafka import Producer

from connectors.postgres import read
from connectors.worker import Worker
from tests.support.consume import read_topic


def properties(database, prefix, **more):
    return {
        "database.hostname": "127.0.0.1", "database.port": str(database.server.port), "database.user": "postgres",
        "database.dbname": database.name, "topic.prefix": prefix, "table.include.list": "public.*", "slot.name": prefix,
        "publication.name": prefix, "key.converter.schemas.enable": "false", "value.converter.schemas.enable": "false",
        **more,
    }  # fmt: skip


def run(config):
    Worker(config, lambda finding: None).run(once=True)


def test_rows_are_unwrapped_routed_and_enriched_in_snapshot_and_stream(database, kafka, prefix):
    producer = Producer({"bootstrap.servers": kafka.bootstrap})
    producer.produce(
        f"{prefix}.countries", json.dumps({"name": "Poland"}).encode(), json.dumps({"code": "PL"}).encode()
    )
    assert producer.flush(20) == 0
    database.execute(
        "create table orders (id int primary key, country text)", "insert into orders values (1, 'PL'), (2, 'XX')"
    )
    chain = {
        "transforms": "unwrap,look,route",
        "transforms.unwrap.type": "io.debezium.transforms.ExtractNewRecordState",
        "transforms.unwrap.delete.tombstone.handling.mode": "rewrite",
        "transforms.look.type": "seam.transforms.Lookup",
        "transforms.look.topic": f"{prefix}.countries",
        "transforms.look.key.field": "country",
        "transforms.look.fields": "name:country_name",
        "transforms.route.type": "org.apache.kafka.connect.transforms.RegexRouter",
        "transforms.route.regex": r".*\.public\.(.*)",
        "transforms.route.replacement": f"{prefix}-$1",
    }
    config = read("chain" + prefix, properties(database, prefix, **chain), bootstrap_servers=kafka.bootstrap)
    run(config)
    database.execute("update orders set country = 'PL' where id = 2", "delete from orders where id = 1")
    run(config)

    records = [(json.loads(r.key), json.loads(r.value)) for r in read_topic(kafka.bootstrap, f"{prefix}-orders")]
    assert records == [
        ({"id": 1}, {"id": 1, "country": "PL", "__deleted": "false", "country_name": "Poland"}),
        ({"id": 2}, {"id": 2, "country": "XX", "__deleted": "false", "country_name": None}),
        ({"id": 2}, {"id": 2, "country": "PL", "__deleted": "false", "country_name": "Poland"}),
        ({"id": 1}, {"id": 1, "country": None, "__deleted": "true", "country_name": None}),
    ]


def test_a_filtered_record_is_dropped_and_a_partition_of_a_transform_is_kept(database, kafka, prefix):
    database.execute("create table orders (id int primary key, n int)")
    chain = {
        "transforms": "drop,part",
        "transforms.drop.type": "org.apache.kafka.connect.transforms.Filter",
        "transforms.drop.predicate": "tombstone",
        "predicates": "tombstone",
        "predicates.tombstone.type": "org.apache.kafka.connect.transforms.predicates.RecordIsTombstone",
        "transforms.part.type": "io.debezium.transforms.partitions.PartitionRouting",
        "transforms.part.partition.payload.fields": "change.n",
        "transforms.part.partition.topic.num": "3",
    }
    topics = {"topic.creation.default.partitions": "3", "topic.creation.default.replication.factor": "1"}
    config = read("part" + prefix, properties(database, prefix, **chain, **topics), bootstrap_servers=kafka.bootstrap)
    run(config)
    database.execute("insert into orders select g, g from generate_series(0, 8) g", "delete from orders where id = 4")
    run(config)
    records = read_topic(kafka.bootstrap, f"{prefix}.public.orders")
    assert len(records) == 10
    assert all(record.value is not None for record in records)
    placed = {json.loads(r.key)["id"]: r.partition for r in records if json.loads(r.value)["op"] == "c"}
    assert placed == {n: n % 3 for n in range(9)}


def test_a_record_that_a_step_refuses_goes_to_the_dead_letters(database, kafka, prefix):
    database.execute("create table orders (id int primary key, n text)")
    chain = {
        "transforms": "cast",
        "transforms.cast.type": "org.apache.kafka.connect.transforms.MaskField$Value",
        "transforms.cast.fields": "after",
        "errors.tolerance": "all",
        "errors.deadletterqueue.topic.name": f"{prefix}.dead",
    }
    config = read("dead" + prefix, properties(database, prefix, **chain), bootstrap_servers=kafka.bootstrap)
    run(config)
    database.execute("insert into orders values (1, 'x')")
    run(config)
    (dead,) = read_topic(kafka.bootstrap, f"{prefix}.dead")
    headers = dict(dead.headers)
    assert headers["__connect.errors.stage"] == b"TRANSFORMATION"
    assert headers["seam.table"] == b"public.orders"
