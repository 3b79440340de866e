"""Our own transforms: source information, look-ups, a user's Python."""

from __future__ import annotations

import json
import sys

import pytest

from cdc.errors import ConfigError, OperatorError, TransformError
from cdc.model.record import SourceRecord
from cdc.model.schema import INT32, OPTIONAL_STRING, Struct, struct_schema
from cdc.transforms import Surroundings, compile_chain

ROW = struct_schema([("id", INT32), ("customer", OPTIONAL_STRING)], name="Value")


def row(customer="c1", **changes):
    record = SourceRecord("orders", None, None, None, ROW, Struct(ROW, [1, customer]))
    return record.replace(**changes)


def chain(java_class, surroundings=None, **options):
    named = {f"transforms.a.{name.replace('_', '.')}": text for name, text in options.items()}
    return compile_chain({"transforms": "a", "transforms.a.type": java_class, **named}, surroundings)


# -- InsertSource

FACTS = Surroundings(source={"host": "db1", "system_id": "74", "slot": "s", "connector": "orders"})


def test_source_facts_go_into_headers_and_leave_the_row_unread():
    made = chain("seam.transforms.InsertSource", FACTS, facts="host,slot:from_slot")
    assert made.reads == {"headers"}
    (record,) = made.apply(row())
    assert [(h.name, h.schema, h.value) for h in record.headers] == [
        ("__seam_host", OPTIONAL_STRING, "db1"),
        ("from_slot", OPTIONAL_STRING, "s"),
    ]


def test_source_facts_go_into_the_value_behind_its_fields():
    made = chain("seam.transforms.InsertSource", FACTS, facts="system_id:sys,position", placement="value")
    assert made.reads == {"value", "position"}
    (record,) = made.apply(row(source_offset={"position": "74/1/0/16B3748/0"}))
    assert record.value.as_dict() == {"id": 1, "customer": "c1", "sys": "74", "__seam_position": "74/1/0/16B3748/0"}
    (schemaless,) = made.apply(row(value_schema=None, value={"a": 1}))
    assert schemaless.value == {"a": 1, "sys": "74", "__seam_position": None}


def test_a_row_of_a_snapshot_tells_where_the_log_ended_when_it_was_read():
    made = chain("seam.transforms.InsertSource", FACTS, facts="position")
    read = row(source_offset={"read_at": "0/16B3748"})
    assert made.apply(read)[0].headers[0].value is None
    made.learn({"system_id": "74", "timeline": "1"})
    assert made.apply(read)[0].headers[0].value == "74/1/0/16B3748/snapshot"


def test_a_tombstone_stays_one():
    made = chain("seam.transforms.InsertSource", FACTS, facts="host", placement="value")
    assert made.apply(row(value_schema=None, value=None))[0].value is None


def test_an_unknown_fact_is_refused_with_the_list():
    with pytest.raises(ConfigError, match="host, database, system_id"):
        chain("seam.transforms.InsertSource", FACTS, facts="hostname")


# -- Lookup


class Reader:
    def __init__(self, *records):
        self.first = records
        self.later = []
        self.read_ends = 0

    def read_to_end(self, topic):
        self.read_ends += 1
        return self.first

    def read_new(self, topic):
        new, self.later = self.later, []
        return new


def reference(key, **fields):
    return json.dumps({"id": key}).encode(), json.dumps(fields).encode()


def lookup(reader, **options):
    given = {"topic": "customers", "key_field": "customer", "fields": "name,level:customer_level:int64"} | options
    made = chain("seam.transforms.Lookup", **given)
    assert made.needs_reader
    made.open(reader)
    return made


def test_a_lookup_adds_the_fields_of_the_row_with_that_key():
    reader = Reader(reference("c1", name="Old", level=1), reference("c1", name="Ann", level=2, more="x"))
    made = lookup(reader)
    assert reader.read_ends == 1
    (record,) = made.apply(row())
    assert record.value.as_dict() == {"id": 1, "customer": "c1", "name": "Ann", "customer_level": 2}
    assert [field.schema.optional for field in record.value_schema.fields[2:]] == [True, True]


def test_a_lookup_takes_the_row_of_a_change_event_and_forgets_deleted_ones():
    envelope = {"schema": {}, "payload": {"op": "u", "before": None, "after": {"name": "Ann", "level": 3}}}
    deleted = ({"op": "d", "before": {}, "after": None}, None)
    reader = Reader(
        (b'"c1"', json.dumps(envelope).encode()), *((b'"c2"', json.dumps(v).encode() if v else None) for v in deleted)
    )
    made = lookup(reader)
    assert made.apply(row("c1"))[0].value.get("name") == "Ann"
    assert made.apply(row("c2"))[0].value.get("name") is None


@pytest.mark.parametrize(("on_miss", "count"), [("null", 1), ("drop", 0)])
def test_a_miss_is_what_the_option_says(on_miss, count):
    assert len(lookup(Reader(), on_miss=on_miss).apply(row())) == count


def test_a_miss_may_fail_the_record_without_telling_the_key():
    with pytest.raises(TransformError) as refused:
        lookup(Reader(), on_miss="fail").apply(row("secret-customer"))
    assert "secret-customer" not in str(refused.value)


def test_a_lookup_sees_new_rows_once_its_table_is_old_enough():
    reader = Reader(reference("c1", name="Ann", level=1))
    made = lookup(reader, refresh_interval_ms="1")
    reader.later.append(reference("c1", name="Bea", level=1))
    names = {made.apply(row())[0].value.get("name")}
    while "Bea" not in names:
        names.add(made.apply(row())[0].value.get("name"))
    assert names <= {"Ann", "Bea"}


def test_a_reference_topic_beyond_the_bound_stops_before_the_first_record():
    rows = [reference(f"c{number}", name="x" * 100, level=1) for number in range(100)]
    with pytest.raises(OperatorError, match="more than 5000 bytes"):
        lookup(Reader(*rows), max_bytes="5000")


def test_the_newest_row_of_a_key_counts_once_against_the_bound():
    rows = [reference("c1", name="x" * 100, level=1)] * 100
    assert lookup(Reader(*rows), max_bytes="5000").apply(row())


def test_a_lookup_that_was_not_opened_takes_no_record():
    made = chain("seam.transforms.Lookup", topic="t", key_field="customer", fields="name")
    with pytest.raises(OperatorError, match="was not read"):
        made.apply(row())


def test_what_is_known_of_the_source_may_come_after_the_chain():
    made = chain("seam.transforms.InsertSource", Surroundings(source={"slot": "a"}), facts="system_id,slot")
    assert [header.value for header in made.apply(row())[0].headers] == [None, "a"]
    made.learn({"system_id": "74"})
    assert made.apply(row())[0].headers[0].value == "74"


# -- Python


@pytest.fixture
def shop(tmp_path, monkeypatch):
    (tmp_path / "shop_transforms.py").write_text("""
from cdc.model.schema import Struct

def upper(record):
    return record.replace(topic=record.topic.upper())

def drop(record):
    return None

def twice(record):
    return [record, record.replace(topic=record.topic + "2")]

def fail(record):
    return 1 / record.value.get("id") and record.value.get("nothing")

def number(record):
    return 7

class Suffix:
    reads = ("topic",)

    def __init__(self, options):
        self.suffix = options["suffix"]

    def apply(self, record):
        return record.replace(topic=record.topic + self.suffix)
""")
    monkeypatch.syspath_prepend(str(tmp_path))
    yield "python:shop_transforms:"
    sys.modules.pop("shop_transforms", None)


def test_a_function_of_a_user_is_a_step(shop):
    assert chain(shop + "upper").apply(row())[0].topic == "ORDERS"
    assert chain(shop + "drop").apply(row()) == []


def test_a_class_of_a_user_gets_the_options_and_says_what_it_reads(shop):
    made = chain(shop + "Suffix", suffix="-x")
    assert made.apply(row())[0].topic == "orders-x"
    assert made.reads == {"topic"}
    assert made.native_only == ("a",)


def test_a_user_may_give_several_records_and_the_next_step_gets_each(shop):
    made = compile_chain(
        {
            "transforms": "a,b",
            "transforms.a.type": shop + "twice",
            "transforms.b.type": "RegexRouter",
            "transforms.b.regex": "(.*)",
            "transforms.b.replacement": "x.$1",
        }
    )
    assert [record.topic for record in made.apply(row())] == ["x.orders", "x.orders2"]


def test_what_a_user_raises_is_a_transform_error_that_names_the_line(shop):
    with pytest.raises(TransformError, match=r"KeyError in shop_transforms\.py, line 14") as refused:
        chain(shop + "fail").apply(row())
    assert refused.value.java_class == "builtins.KeyError"


def test_what_is_no_record_is_refused(shop):
    with pytest.raises(TransformError, match="gave back int"):
        chain(shop + "number").apply(row())


@pytest.mark.parametrize(
    "target", ["shop_transforms:nothing", "no_such_module:f", "shop_transforms", "shop_transforms:Suffix"]
)
def test_a_python_transform_that_cannot_be_made_is_refused_at_start(shop, target):
    with pytest.raises(ConfigError, match="python:"):
        chain("python:" + target)
