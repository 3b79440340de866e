"""`seam log` and `seam deadletter` on a real broker."""

from __future__ import annotations

import json
import time

import pytest
from confluent_kafka import Consumer, Producer, TopicPartition

from cdc.kafka.admin import Admin
from cdc.kafka.client import ClientOptions
from connectors.deadletter_commands import app as deadletter
from connectors.log_commands import app as log
from tests.support.command_line import run
from tests.support.consume import read_topic
from tests.support.engine import pipeline, run_once

ITEM = ("create table item (id int primary key, note text)",)


def create(kafka, topic, partitions=4, **config):
    options = {name.replace("__", "."): value for name, value in config.items()}
    Admin(ClientOptions(kafka.bootstrap)).create(topic, partitions=partitions, replication=1, config=options)


@pytest.fixture
def item(database, kafka, prefix) -> str:
    """A topic of four partitions with some history."""
    topic = f"{prefix}.public.item"
    create(kafka, topic)
    database.execute(*ITEM, "insert into item select n, 'a' from generate_series(1, 20) n")
    config = pipeline(database, kafka.bootstrap, prefix, snapshot__mode="initial")
    run_once(config)
    # Two commits in different milliseconds, which is what a time can tell apart.
    database.execute(
        "update item set note = 'b' where id = 7", "select pg_sleep(0.01)", "delete from item where id = 7"
    )
    run_once(config)
    return topic


def test_an_audit_shows_each_version_and_what_it_changed(item, kafka):
    found = run(log, "audit", item, "--key", "7", "--bootstrap-servers", kafka.bootstrap, "--output", "json")
    assert found.code == 0, found.everything
    versions = found.document["versions"]
    assert [version["operation"] for version in versions] == ["read", "update", "delete", "tombstone"]
    assert versions[1]["changed"] == {"note": {"before": "a", "after": "b"}}
    assert versions[1]["position"].count("/") == 4
    assert found.document["complete"] is True


def test_an_audit_as_of_a_time_shows_the_version_of_that_time(item, kafka):
    everything = run(
        log, "audit", item, "--key", "7", "--bootstrap-servers", kafka.bootstrap, "--output", "json"
    ).document
    moment = everything["versions"][1]["time"]
    found = run(
        log,
        "audit",
        item,
        "--key",
        "7",
        "--as-of",
        str(moment),
        "--bootstrap-servers",
        kafka.bootstrap,
        "--output",
        "json",
    )
    assert [version["row"]["note"] for version in found.document["versions"]] == ["b"]


def test_an_audit_of_an_unknown_key_or_topic_ends_with_two(item, kafka):
    assert run(log, "audit", item, "--key", "99", "--bootstrap-servers", kafka.bootstrap).code == 2
    assert run(log, "audit", item + ".not", "--key", "7", "--bootstrap-servers", kafka.bootstrap).code == 2


def test_a_tail_filters_and_writes_lines(item, kafka):
    found = run(
        log, "tail", item, "--from", "beginning", "--where", "note=b", "--no-follow", "--bootstrap-servers",
        kafka.bootstrap, "--output", "json",
    )  # fmt: skip
    lines = [json.loads(line) for line in found.out.splitlines()]
    assert [line["row"] for line in lines] == [{"id": 7, "note": "b"}]


def test_a_tail_waits_for_new_records_when_it_begins_at_the_end(item, kafka):
    import threading

    started = threading.Event()
    producer = Producer({"bootstrap.servers": kafka.bootstrap})

    def produce():
        while not started.wait(0.2):
            producer.produce(item, '{"n":1}', '{"id":1}')
            producer.flush(5)

    thread = threading.Thread(target=produce, daemon=True)
    thread.start()
    try:
        found = run(log, "tail", item, "--max", "1", "--bootstrap-servers", kafka.bootstrap, "--output", "json")
    finally:
        started.set()
        thread.join()
    assert json.loads(found.out)["row"] == {"n": 1}


def test_a_copy_is_made_once_and_goes_on_where_it_ended(item, kafka, prefix):
    target = f"{prefix}.copied"
    first = run(log, "copy", item, target, "--bootstrap-servers", kafka.bootstrap, "--output", "json")
    again = run(log, "copy", item, target, "--bootstrap-servers", kafka.bootstrap, "--output", "json")
    assert (first.document["copied"], again.document["copied"]) == (23, 0)
    key_values = [(r.partition, r.key, r.value) for r in read_topic(kafka.bootstrap, item)]
    assert [(r.partition, r.key, r.value) for r in read_topic(kafka.bootstrap, target)] == key_values


def test_a_latest_topic_that_was_left_behind_is_found_and_repaired(item, kafka):
    run(log, "copy", item, "--latest", "--bootstrap-servers", kafka.bootstrap)
    assert run(log, "latest", item, "--bootstrap-servers", kafka.bootstrap).code == 0
    producer = Producer({"bootstrap.servers": kafka.bootstrap, "partitioner": "murmur2_random"})
    producer.produce(item, '{"n":1}', '{"id":1}')
    producer.flush(5)
    assert run(log, "latest", item, "--bootstrap-servers", kafka.bootstrap).code == 5
    assert run(log, "latest", item, "--repair", "--bootstrap-servers", kafka.bootstrap).code == 0
    assert run(log, "latest", item, "--bootstrap-servers", kafka.bootstrap).code == 0


def test_a_latest_topic_with_another_policy_is_refused(item, kafka):
    create(kafka, item + ".latest", cleanup__policy="delete")
    found = run(log, "copy", item, "--latest", "--bootstrap-servers", kafka.bootstrap)
    assert found.code == 4
    assert "cleanup.policy=compact" in found.everything


def committed(kafka, group, topic) -> dict[int, int]:
    consumer = Consumer({"bootstrap.servers": kafka.bootstrap, "group.id": group})
    try:
        return {
            p.partition: p.offset for p in consumer.committed([TopicPartition(topic, n) for n in range(4)], timeout=10)
        }
    finally:
        consumer.close()


def test_a_group_is_rewound_only_when_told_to(item, kafka, prefix):
    group = f"{prefix}-group"
    consumer = Consumer({"bootstrap.servers": kafka.bootstrap, "group.id": group})
    consumer.commit(offsets=[TopicPartition(item, number, 2) for number in range(4)], asynchronous=False)
    consumer.close()
    arguments = ("rewind", group, "--to", "beginning", "--bootstrap-servers", kafka.bootstrap, "--output", "json")
    assert run(log, *arguments).document["done"] is False
    assert set(committed(kafka, group, item).values()) == {2}
    assert run(log, *arguments, "--yes").document["done"] is True
    assert set(committed(kafka, group, item).values()) == {0}


def test_a_group_is_rewound_to_a_position_of_the_database(item, kafka, prefix):
    position = read_topic(kafka.bootstrap, item)[-1]
    update = next(r for r in read_topic(kafka.bootstrap, item) if r.value and b'"op":"u"' in r.value)
    lsn = "/".join(dict(update.headers)["seam.position"].decode().split("/")[2:4])
    group = f"{prefix}-group"
    consumer = Consumer({"bootstrap.servers": kafka.bootstrap, "group.id": group})
    consumer.commit(offsets=[TopicPartition(item, update.partition, 0)], asynchronous=False)
    consumer.close()
    found = run(log, "rewind", group, "--to", lsn, "--yes", "--bootstrap-servers", kafka.bootstrap, "--output", "json")
    assert found.code == 0, found.everything
    assert committed(kafka, group, item)[update.partition] == update.offset
    assert position


def test_a_group_with_members_is_refused(item, kafka, prefix):
    group = f"{prefix}-group"
    consumer = Consumer({"bootstrap.servers": kafka.bootstrap, "group.id": group, "auto.offset.reset": "earliest"})
    try:
        consumer.subscribe([item])
        deadline = time.monotonic() + 30
        while not consumer.assignment() and time.monotonic() < deadline:
            consumer.poll(0.1)
        found = run(
            log, "rewind", group, "--to", "beginning", "--topic", item, "--yes", "--bootstrap-servers", kafka.bootstrap
        )
        assert found.code == 4
        assert "members" in found.everything
    finally:
        consumer.close()


# -- dead letters ----------------------------------------------------------------------------------------------------


@pytest.fixture
def letters(database, kafka, prefix) -> str:
    """A dead-letter topic with one record that is too large for Kafka: version 1 of key 1."""
    database.execute(*ITEM)
    topic = f"{prefix}.dead"
    options = {
        "errors__tolerance": "all", "errors__deadletterqueue__topic__name": topic,
        "producer__override__max__request__size": "100000",
    }  # fmt: skip
    config = pipeline(database, kafka.bootstrap, prefix, **options)
    run_once(config)
    database.execute("insert into item values (1, repeat('x', 200000))", "insert into item values (2, 'fine')")
    run_once(config)
    return topic


def test_a_mended_record_goes_back_with_its_identity(letters, kafka, prefix, tmp_path):
    listed = run(deadletter, "list", letters, "--bootstrap-servers", kafka.bootstrap, "--output", "json")
    [letter] = listed.document["letters"]
    assert (letter["table"], letter["topic"]) == ("public.item", f"{prefix}.public.item")
    shown = run(
        deadletter, "show", letters, letter["place"], "--bootstrap-servers", kafka.bootstrap, "--output", "json"
    )
    assert shown.document["headers"]["seam.position"] == letter["position"]
    mended = tmp_path / "mended.json"
    mended.write_text('{"id": 1, "note": "short"}')
    arguments = (
        "replay",
        letters,
        letter["place"],
        "--key",
        "1",
        "--value",
        mended,
        "--bootstrap-servers",
        kafka.bootstrap,
    )
    sent = run(deadletter, *arguments, "--output", "json")
    assert sent.code == 0, sent.everything
    record = next(r for r in read_topic(kafka.bootstrap, f"{prefix}.public.item") if r.key == b'{"id":1}')
    assert record.value == b'{"id":1,"note":"short"}'
    assert dict(record.headers)["seam.position"].decode() == letter["position"]
    assert run(deadletter, *arguments).code == 4, "the same record was written twice"


def test_a_mended_record_is_refused_when_its_key_has_a_later_version(letters, database, kafka, prefix, tmp_path):
    [letter] = run(deadletter, "list", letters, "--bootstrap-servers", kafka.bootstrap, "--output", "json").document[
        "letters"
    ]
    database.execute("update item set note = 'later' where id = 1")
    run_once(pipeline(database, kafka.bootstrap, prefix))
    mended = tmp_path / "mended.json"
    mended.write_text('{"id":1,"note":"short"}')
    arguments = (
        "replay",
        letters,
        letter["place"],
        "--key",
        "1",
        "--value",
        mended,
        "--bootstrap-servers",
        kafka.bootstrap,
    )
    refused = run(deadletter, *arguments)
    assert refused.code == 4
    assert "later version" in refused.everything
    assert run(deadletter, *arguments, "--force").code == 0
