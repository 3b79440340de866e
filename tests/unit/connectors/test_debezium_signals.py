"""Debezium's signals are read, and what is wrong with one is named."""

from __future__ import annotations

import json

import pytest

from cdc.errors import ConfigError
from cdc.requests import Kind
from connectors.debezium_signals import read_signal, signal_request


def read(kind, data):
    return signal_request("shop", "1", kind, data)


def test_an_incremental_snapshot_has_conditions():
    data = {
        "data-collections": ["public.item", r"audit\..*"], "type": "INCREMENTAL", "surrogate-key": "id",
        "additional-conditions": [{"data-collection": "public.Item", "filter": "id > 3"}],
    }  # fmt: skip
    found = read("execute-snapshot", json.dumps(data))
    assert found.tables == ("public.item", r"audit\..*")
    assert found.where == {"public.item": "id > 3"}
    assert found.selects == {}


def test_the_older_condition_holds_for_every_table():
    data = {"data-collections": ["a.b", "c.d"], "additional-condition": "x = 1"}
    assert read("execute-snapshot", data).where == {"a.b": "x = 1", "c.d": "x = 1"}


def test_a_blocking_snapshot_has_whole_selects():
    condition = {"data-collection": "a.b", "filter": "select * from a.b"}
    found = read(
        "execute-snapshot", {"data-collections": ["a.b"], "type": "blocking", "additional-conditions": [condition]}
    )
    assert found.selects == {"a.b": "select * from a.b"}
    assert found.where == {}


@pytest.mark.parametrize("kind", [Kind.STOP, Kind.PAUSE, Kind.RESUME])
def test_control_signals_name_tables_or_none(kind):
    assert read(kind.value, None).tables == ()
    assert read(kind.value, {"data-collections": ["a.b"]}).tables == ("a.b",)


@pytest.mark.parametrize(
    ("kind", "data", "named"),
    [
        ("execute-snapsho", {}, "did you mean execute-snapshot"),
        ("execute-snapshot", {}, "data.data-collections"),
        ("execute-snapshot", "{", "data: is not JSON"),
        ("execute-snapshot", [1], "data: is not an object"),
        ("execute-snapshot", {"data-collections": ["("]}, "is not a regular expression"),
        ("execute-snapshot", {"data-collections": ["a"], "tpye": "x"}, "data.tpye: is not a field of this signal (did you mean type?)"),
        ("execute-snapshot", {"data-collections": ["a"], "type": "whole"}, "neither incremental nor blocking"),
        ("execute-snapshot", {"data-collections": ["a"], "additional-conditions": [{"filters": "x"}]}, "data.additional-conditions[0].filters"),
        ("execute-snapshot", {"data-collections": ["a"], "additional-conditions": ["x"]}, "is not a list of objects"),
        ("log", {"text": "x"}, "data.text: is not a field of this signal"),
    ],
)  # fmt: skip
def test_what_is_wrong_is_named(kind, data, named):
    with pytest.raises(ConfigError) as found:
        read(kind, data)
    assert named in str(found.value)


def test_a_signals_own_fields_are_known_too():
    with pytest.raises(ConfigError, match="kind: is not a field of this signal"):
        read_signal("shop", '{"kind":"log","type":"log"}', id="1")
    with pytest.raises(ConfigError, match="type: is missing"):
        read_signal("shop", "{}", id="1")
    assert read_signal("shop", '{"id":"mine","type":"log","data":{"message":"x"}}', id="1").id == "1"
