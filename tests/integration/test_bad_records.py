"""A record that Kafka does not take is named and stops the engine, or goes to the dead letters; it is never dropped."""

from __future__ import annotations

import pytest
from confluent_kafka.admin import AdminClient, NewTopic

from cdc.errors import SendError
from tests.support.consume import read_topic
from tests.support.engine import confirmed, pipeline, run_once
from tests.support.fold import data_events

_LIMIT = 1_048_576


@pytest.fixture
def items(database):
    database.execute("create table item (id int primary key, note text)")
    return database


def make_topic(bootstrap: str, name: str, most_bytes: int) -> None:
    new = NewTopic(name, num_partitions=1, config={"max.message.bytes": str(most_bytes)})
    admin = AdminClient({"bootstrap.servers": bootstrap})
    admin.create_topics([new])[name].result(30)


@pytest.mark.parametrize("schemas", ("false", "true"))
def test_a_record_over_the_limit_stops_the_engine_and_names_table_key_and_size(items, kafka, prefix, schemas):
    config = pipeline(
        items,
        kafka.bootstrap,
        prefix,
        key__converter__schemas__enable=schemas,
        value__converter__schemas__enable=schemas,
    )
    run_once(config)
    before = confirmed(items, prefix)
    items.execute(f"insert into item values (1, 'small'), (77, repeat('x', {_LIMIT})), (3, 'small')")
    for _ in range(2):
        with pytest.raises(SendError) as caught:
            run_once(config)
        for part in ("public.item", '{"id":77}', "size limit"):
            assert part in str(caught.value)
        size = int(str(caught.value).split("a record of ")[1].split(" bytes")[0])
        assert _LIMIT < size < _LIMIT + 10_000
        assert caught.value.hint
    assert confirmed(items, prefix) == before


def test_a_raised_limit_lets_it_through(items, kafka, prefix):
    make_topic(kafka.bootstrap, f"{prefix}.public.item", 60_000_000)
    config = pipeline(items, kafka.bootstrap, prefix, producer__override__max__request__size="50000000")
    run_once(config)
    # Larger than the producer's queue would otherwise be.
    items.execute("insert into item values (1, repeat('x', 36000000))")
    run_once(config)
    (only,) = data_events(kafka.bootstrap, f"{prefix}.public.item")
    assert len(only.after["note"]) == 36_000_000


def test_with_tolerance_it_goes_to_the_dead_letters_and_the_others_go_on(items, kafka, prefix):
    config = pipeline(
        items, kafka.bootstrap, prefix, errors__tolerance="all", errors__deadletterqueue__topic__name=f"{prefix}.dead"
    )
    run_once(config)
    items.execute(f"insert into item values (1, 'small'), (2, repeat('x', {_LIMIT})), (3, 'small')")
    run_once(config)
    assert sorted(each.key["id"] for each in data_events(kafka.bootstrap, f"{prefix}.public.item")) == [1, 3]
    (letter,) = read_topic(kafka.bootstrap, f"{prefix}.dead")
    headers = {name: (value or b"").decode() for name, value in letter.headers}
    assert letter.value == b""
    assert headers["seam.omitted.bytes"].isdecimal()
    assert headers["seam.table"] == "public.item"
    assert headers["__connect.errors.topic"] == f"{prefix}.public.item"
    assert headers["__connect.errors.stage"] == "KAFKA_PRODUCE"
    assert '{"id":2}' in headers["__connect.errors.exception.message"]


def test_a_message_that_fits_is_kept_whole_in_the_dead_letter(items, kafka, prefix):
    config = pipeline(
        items, kafka.bootstrap, prefix, errors__tolerance="all", errors__deadletterqueue__topic__name=f"{prefix}.dead"
    )
    items.execute("alter table item replica identity full", f"insert into item values (1, repeat('\"', {_LIMIT // 5}))")
    run_once(config)
    # The event holds both rows, and each quotation mark takes two bytes in JSON.
    items.execute(f"update item set note = repeat('\"', {_LIMIT // 5 + 1})", "update item set note = note || '\"'")
    run_once(config)
    letters = read_topic(kafka.bootstrap, f"{prefix}.dead")
    assert letters == []
    items.execute(f"update item set note = repeat('\"', {_LIMIT // 3})")
    run_once(config)
    (letter,) = read_topic(kafka.bootstrap, f"{prefix}.dead")
    assert letter.value is not None
    assert letter.value[:1] == b"U"
    assert letter.value.count(b'"') > _LIMIT // 3


def test_nothing_is_acknowledged_when_the_broker_refuses_a_record(items, kafka, prefix):
    make_topic(kafka.bootstrap, f"{prefix}.public.item", 2000)
    config = pipeline(items, kafka.bootstrap, prefix)
    run_once(config)
    before = confirmed(items, prefix)
    items.execute("insert into item values (77, repeat('x', 5000))")
    with pytest.raises(SendError, match="size limit") as caught:
        run_once(config)
    assert '{"id":77}' in str(caught.value)
    assert confirmed(items, prefix) == before
