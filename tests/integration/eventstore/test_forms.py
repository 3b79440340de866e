"""A compacted topic in step with its history, and events as deltas: what the engine writes."""

from __future__ import annotations

import msgspec
import pytest

from cdc.delta import Facts, Gap
from cdc.errors import ConfigError, PreflightFailed, TopicMismatch
from cdc.kafka.admin import Admin
from connectors.log_commands import app as log
from tests.support.command_line import run
from tests.support.consume import read_topic, topics
from tests.support.engine import pipeline, run_once
from tests.support.fold import events, fold_rows, in_order, rows_of

ITEM = (
    "create table item (id int primary key, note text, other text)",
    "insert into item select n, 'old', 'same' from generate_series(1, 50) n",
)
CHANGES = (
    "update item set note = 'new' where id < 10",
    "delete from item where id = 3",
    "insert into item values (100, 'c', null)",
    "update item set id = 101 where id = 100",
)


def fold_deltas(records) -> list[dict]:
    facts = Facts()
    for record in records:
        facts.add(record.key, record.value)
    return in_order([msgspec.json.decode(msgspec.json.encode(row)) for row in facts.rows.values()])


def last(kafka, topic) -> dict:
    return {record.key: record.value for record in read_topic(kafka.bootstrap, topic)}


def test_the_latest_topic_holds_the_last_record_of_each_key(database, kafka, prefix):
    database.execute(*ITEM)
    config = pipeline(
        database, kafka.bootstrap, prefix, exactly__once__support="required", seam__topic__latest="transaction",
        snapshot__mode="initial",
    )  # fmt: skip
    run_once(config)
    database.execute(*CHANGES)
    run_once(config)
    topic = f"{prefix}.public.item"
    assert last(kafka, topic) == last(kafka, f"{topic}.latest")
    assert len(last(kafka, topic)) == 52
    assert fold_rows(events(kafka.bootstrap, f"{topic}.latest")) == rows_of(database, "item")
    admin = Admin(config.kafka)
    assert admin.configs([f"{topic}.latest"])[f"{topic}.latest"]["cleanup.policy"] == "compact"
    found = run(log, "latest", topic, "--bootstrap-servers", kafka.bootstrap, "--output", "json")
    assert found.code == 0, found.everything
    assert found.document["wrong"] == 0


def test_a_latest_topic_that_is_not_compacted_is_refused_with_the_command_that_mends_it(database, kafka, prefix):
    database.execute(*ITEM)
    options = {"exactly__once__support": "required", "seam__topic__latest": "transaction"}
    config = pipeline(database, kafka.bootstrap, prefix, **options)
    topic = f"{prefix}.public.item"
    Admin(config.kafka).create(f"{topic}.latest", partitions=1, replication=1, config={"cleanup.policy": "delete"})
    run_once(config)
    database.execute("insert into item values (200, 'x', 'y')")
    with pytest.raises(TopicMismatch, match="a latest topic is compacted") as found:
        run_once(config)
    assert f"--entity-name {topic}.latest --add-config cleanup.policy=compact" in found.value.hint


def test_a_latest_topic_for_copying_stands_beside_the_topic_that_a_router_leads_to(database, kafka, prefix):
    database.execute(*ITEM)
    route = {
        "transforms": "route", "transforms__route__type": "org.apache.kafka.connect.transforms.RegexRouter",
        "transforms__route__regex": r"(.*)\.public\.(.*)", "transforms__route__replacement": "$1.$2",
    }  # fmt: skip
    run_once(pipeline(database, kafka.bootstrap, prefix, seam__topic__latest="copy", snapshot__mode="initial", **route))
    database.execute("insert into item values (200, 'x', 'y')")
    run_once(pipeline(database, kafka.bootstrap, prefix, seam__topic__latest="copy", snapshot__mode="initial", **route))
    assert [name for name in topics(kafka.bootstrap, prefix) if "item" in name] == [
        f"{prefix}.item", f"{prefix}.item.latest",
    ]  # fmt: skip


def test_a_latest_topic_is_refused_where_rows_choose_their_topics(database, kafka, prefix):
    step = {
        "transforms": "unwrap", "transforms__unwrap__type": "io.debezium.transforms.ExtractNewRecordState",
        "transforms__unwrap__route__by__field": "note",
    }  # fmt: skip
    with pytest.raises(ConfigError, match=r"seam\.topic\.latest.*by what they hold"):
        pipeline(database, kafka.bootstrap, prefix, seam__topic__latest="copy", **step)


def test_latest_by_transaction_needs_kafka_transactions(database, kafka, prefix):
    with pytest.raises(ConfigError, match=r"needs exactly.once.support=required"):
        pipeline(database, kafka.bootstrap, prefix, seam__topic__latest="transaction")


def test_deltas_carry_the_changed_columns_and_give_the_rows_back(database, kafka, prefix):
    database.execute(*ITEM, "alter table item replica identity full")
    config = pipeline(database, kafka.bootstrap, prefix, seam__event__form="delta", snapshot__mode="initial")
    run_once(config)
    database.execute(*CHANGES)
    run_once(config)
    topic = f"{prefix}.public.item"
    update = next(each for each in events(kafka.bootstrap, topic) if each.op == "u")
    assert update.value["after"] == {"note": "new"}
    assert update.value["before"] is None
    records = read_topic(kafka.bootstrap, topic)
    assert fold_deltas(records) == rows_of(database, "item")
    with pytest.raises(Gap):
        fold_deltas([record for record in records if record.key != b'{"id":5}' or b'"op":"r"' not in record.value])


def test_deltas_need_whole_old_rows(database, kafka, prefix):
    database.execute(*ITEM)
    with pytest.raises(PreflightFailed, match="REPLICA IDENTITY FULL"):
        run_once(pipeline(database, kafka.bootstrap, prefix, seam__event__form="delta"))


def test_a_compacted_topic_takes_no_deltas(database, kafka, prefix):
    database.execute(*ITEM, "alter table item replica identity full")
    config = pipeline(database, kafka.bootstrap, prefix, seam__event__form="delta", snapshot__mode="initial")
    topic = f"{prefix}.public.item"
    Admin(config.kafka).create(topic, partitions=1, replication=1, config={"cleanup.policy": "compact"})
    with pytest.raises(TopicMismatch, match="never compacted"):
        run_once(config)
