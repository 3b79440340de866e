"""Topics on a real broker: created as declared before the first record, and refused when they are otherwise."""

from __future__ import annotations

import pytest

from cdc.errors import TopicMismatch
from cdc.kafka.admin import Admin
from cdc.kafka.client import ClientOptions
from tests.support.consume import topics
from tests.support.engine import pipeline, run_once, slot_row

DECLARED = {
    "topic__creation__default__partitions": "3",
    "topic__creation__default__retention__ms": "-1",
    "topic__creation__default__cleanup__policy": "delete",
}


def test_topics_are_created_as_declared_and_found_to_be_so_at_the_next_start(database, kafka, prefix):
    database.execute("create table item (id int primary key)", "insert into item values (1)")
    config = pipeline(database, kafka.bootstrap, prefix, **DECLARED)
    run_once(config)
    admin, topic = Admin(ClientOptions(kafka.bootstrap)), f"{prefix}.public.item"
    assert admin.partitions()[topic] == 3
    assert admin.configs([topic])[topic]["retention.ms"] == "-1"
    run_once(config)


def test_a_topic_that_ends_where_for_ever_is_declared_stops_the_start_before_anything_is_made(database, kafka, prefix):
    database.execute("create table item (id int primary key)")
    topic = f"{prefix}.public.item"
    ends = {"retention.ms": "604800000"}
    Admin(ClientOptions(kafka.bootstrap)).create(topic, partitions=3, replication=1, config=ends)
    with pytest.raises(TopicMismatch, match="604800000 ms, for ever is declared") as caught:
        run_once(pipeline(database, kafka.bootstrap, prefix, **DECLARED))
    assert f"--entity-name {topic} --add-config retention.ms=-1" in caught.value.hint
    assert slot_row(database, prefix) == {}
    assert topics(kafka.bootstrap, prefix) == [topic]
