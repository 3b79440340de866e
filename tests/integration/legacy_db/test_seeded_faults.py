"""A checker that never failed proves nothing: each defect that bridges are known to have is seeded, found and named."""

from __future__ import annotations

import base64
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import orjson
import pytest

from cdc.kafka.producer import Producer
from cdc.topics import TopicNames
from legacy_db import diagnose
from legacy_db.bridge import Bridge
from legacy_db.verify import LegacyVerification
from legacy_db.verify_model import HopResult, Options
from tests.stack.kafka import KafkaBroker
from tests.stack.postgres import Database
from tests.support.consume import Record, read_topic
from tests.support.engine import pipeline, run_once
from tests.support.migration import bridge_of, names_of, shapes_of

_SCHEMA = (
    "create type mood as enum ('glad', 'sad')",
    "create table parts (no char(6) primary key, title char(8) not null, mood mood, local timestamp, at timestamptz, sheet text)",
    "create table lines (part char(6), line integer, quantity integer, primary key (part, line))",
    "alter table parts alter sheet set storage external",
)
_WRITES = (
    "insert into parts select 'P' || g, 'part ' || g, 'glad', '2024-03-31 02:30', '2024-03-31 00:30+00', repeat('x', 9000) from generate_series(1, 5) g",
    "insert into lines select 'P1', g, g from generate_series(1, 4) g",
    "update parts set mood = 'sad' where no = 'P2'",
    "delete from lines where line = 4",
    "update lines set line = 9 where line = 3",
    "with p as (insert into parts values ('P6', 'six', 'glad', null, null, null)) insert into lines values ('P6', 1, 1)",
)

Change = Callable[[Record, Any], Any]
"""A record and its envelope -> the envelope to write instead; None to leave the record out."""


def _changed(column: str, change: Callable[[Any], Any], key: str = "P1") -> Change:
    def apply(_record: Record, envelope: Any) -> Any:
        after = envelope["after"]
        if after and after.get("no", "").strip() == key and column in after:
            after[column] = change(after[column])
        return envelope

    return apply


def _without(wrong: Callable[[Any], bool]) -> Change:
    return lambda _record, envelope: None if wrong(envelope) else envelope


_FAULTS: dict[str, tuple[str, Change, str]] = {
    "padding lost": ("parts", _changed("title", str.rstrip), diagnose.PADDING_LOST),
    "daylight saving hour": ("parts", _changed("local", lambda micros: micros + 3_600_000_000), diagnose.TIME_SHIFTED),
    "zone taken for local": ("parts", _changed("at", lambda text: text.replace("T00", "T02")), diagnose.TIME_SHIFTED),
    "TOAST column dropped": ("parts", _changed("sheet", lambda _text: None, "P3"), diagnose.TOAST_DROPPED),
    "TOAST marker taken for a value": (
        "parts", _changed("sheet", lambda _text: "__debezium_unavailable_value", "P4"), diagnose.TOAST_DROPPED,
    ),
    "unknown code": ("parts", _changed("mood", lambda _label: "angry"), diagnose.UNKNOWN_CODE),
    "delete missed": ("lines", _without(lambda e: e["op"] == "d" and e["before"]["line"] == 4), diagnose.DELETE_MISSED),
    "old key left": ("lines", _without(lambda e: e["op"] == "d" and e["before"]["line"] == 3), diagnose.OLD_KEY_LEFT),
    "insert lost": ("parts", _without(lambda e: (e["after"] or {}).get("no") == "P5    "), diagnose.ROW_LOST),
    "half a transaction": (
        "lines", _without(lambda e: (e["after"] or {}).get("part", "").strip() == "P6"), diagnose.HALF_TRANSACTION,
    ),
}  # fmt: skip


@pytest.fixture
def bridge(database: Database, kafka: KafkaBroker, prefix: str) -> Bridge:
    database.execute(*_SCHEMA)
    config = pipeline(database, kafka.bootstrap, prefix)
    run_once(config)
    database.execute(*_WRITES)
    run_once(config)
    return bridge_of(config)


def _corrupted(bridge: Bridge, prefix: str, table: str, change: Change) -> HopResult:
    """Copy the topics under another prefix with a defect in one of them, and compare these."""
    other = replace(bridge, layout=replace(bridge.layout, topics=TopicNames(f"{prefix}bad")))
    producer = Producer(bridge.kafka)
    outcome: list[Any] = []
    for shape in shapes_of(bridge):
        left_out: set[bytes | None] = set()
        for record in read_topic(bridge.kafka.bootstrap_servers, shape.topic):
            value = record.value
            if shape.relation.name == table:
                if value is None and record.key in left_out:
                    continue  # the tombstone goes with its delete
                if value is not None:
                    envelope = change(record, orjson.loads(value))
                    left_out.discard(record.key)
                    if envelope is None:
                        left_out.add(record.key)
                        continue
                    value = orjson.dumps(envelope)
            producer.send(
                other.topic(shape.table), value, record.key, headers=list(record.headers),
                on_delivery=lambda error, _message: outcome.append(error),
            )  # fmt: skip
    producer.client.flush(20)
    producer.close()
    assert outcome
    assert not any(outcome)
    shapes = shapes_of(other)
    found = LegacyVerification(other, shapes, Options()).run()
    diagnose.diagnose(other, {shape.table: shape for shape in shapes}, [found])
    return found


@pytest.mark.parametrize("fault", _FAULTS)
def test_a_seeded_defect_is_found_and_named(bridge: Bridge, prefix: str, fault: str):
    table, change, name = _FAULTS[fault]
    found = _corrupted(bridge, prefix, table, change)
    assert found.mismatches >= 1
    assert name in names_of(found)
    assert [one.table for one in found.tables if one.mismatches] == [f"public.{table}"]


def test_a_copy_without_a_defect_is_equal(bridge: Bridge, prefix: str):
    assert _corrupted(bridge, prefix, "parts", lambda _record, envelope: envelope).mismatches == 0


def test_a_decimal_of_another_scale_is_a_difference(database: Database, kafka: KafkaBroker, prefix: str):
    database.execute("create table t (id integer primary key, n numeric(8,2))")
    config = pipeline(database, kafka.bootstrap, prefix)
    run_once(config)
    database.execute("insert into t values (1, 12.30)")
    run_once(config)

    def shifted(_record: Record, envelope: Any) -> Any:
        envelope["after"]["n"] = base64.b64encode((123).to_bytes(2, "big")).decode()
        return envelope

    found = _corrupted(bridge_of(config), prefix, "t", shifted)
    assert [set(one.columns) for one in found.tables[0].differences] == [{"n"}]
