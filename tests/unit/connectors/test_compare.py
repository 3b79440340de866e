"""What counts as a difference between a file and a cluster."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from connectors.compare import OWNER, Difference, differences
from connectors.connect_types import KeyDefinition

DEFINITIONS = {
    definition.name: definition
    for definition in (
        KeyDefinition("connector.class", "STRING", required=True),
        KeyDefinition("tasks.max", "INT", default_value="1"),
        KeyDefinition("include.schema.changes", "BOOLEAN", default_value="true"),
        KeyDefinition("transforms", "LIST", default_value=""),
        KeyDefinition("table.include.list", "LIST"),
        KeyDefinition("value.converter", "CLASS", default_value="org.apache.kafka.connect.json.JsonConverter"),
        KeyDefinition("ratio", "DOUBLE", default_value="0.5"),
        KeyDefinition("snapshot.mode", "STRING", default_value="initial"),
        KeyDefinition("database.password", "PASSWORD"),
    )
}


def test_what_the_worker_adds_is_no_difference() -> None:
    observed = {"a": "1", "name": "orders", "__internal.config.version": "7", OWNER: "seam"}
    assert differences({"a": "1"}, observed, {}) == []


@pytest.mark.parametrize(
    ("key", "one", "other"),
    [
        ("tasks.max", "1", " 1 "),
        ("tasks.max", "1", "01"),
        ("ratio", "0.50", "0.5"),
        ("include.schema.changes", "True", "true"),
        ("transforms", "a, b", "a,b"),
        ("table.include.list", "public.b,public.a", "public.a, public.b"),
        ("value.converter", "JsonConverter", "org.apache.kafka.connect.json.JsonConverter"),
        ("connector.class", "FileStreamSource", "org.apache.kafka.connect.file.FileStreamSourceConnector"),
    ],
)
def test_another_spelling_is_no_difference(key: str, one: str, other: str) -> None:
    assert differences({key: one}, {key: other}, DEFINITIONS) == []
    assert differences({key: other}, {key: one}, DEFINITIONS) == []


@pytest.mark.parametrize(
    ("key", "one", "other"),
    [
        ("tasks.max", "1", "2"),
        ("tasks.max", "1", "one"),
        ("transforms", "a,b", "b,a"),
        ("snapshot.mode", "initial", "Initial"),
        ("value.converter", "a.JsonConverter", "b.JsonConverter"),
        ("undeclared", "true", "True"),
    ],
)
def test_another_value_is_a_difference(key: str, one: str, other: str) -> None:
    assert differences({key: one}, {key: other}, DEFINITIONS) == [Difference(key, other, one)]


def test_a_default_and_its_absence_are_the_same_on_either_side() -> None:
    assert differences({"snapshot.mode": "initial"}, {}, DEFINITIONS) == []
    assert differences({}, {"snapshot.mode": "initial"}, DEFINITIONS) == []


def test_a_key_that_only_the_cluster_has_falls_back_to_its_default() -> None:
    expected = Difference("snapshot.mode", "never", "initial", after_default=True)
    assert differences({}, {"snapshot.mode": "never"}, DEFINITIONS) == [expected]
    assert differences({}, {"undeclared": "x"}, DEFINITIONS) == [Difference("undeclared", "x", None)]


def test_a_new_key_shows_the_default_that_it_replaces() -> None:
    expected = Difference("snapshot.mode", "initial", "no_data", before_default=True)
    assert differences({"snapshot.mode": "no_data"}, {}, DEFINITIONS) == [expected]


def test_a_value_that_the_cluster_shows_masked_is_taken_as_unchanged() -> None:
    assert differences({"database.password": "x"}, {"database.password": "******"}, DEFINITIONS) == []


texts = st.dictionaries(st.sampled_from([*DEFINITIONS, "undeclared", "x.y"]), st.text("aB1, .", max_size=6), max_size=6)


@given(config=texts, additions=texts)
def test_what_was_applied_shows_no_difference_and_every_difference_has_two_sides(
    config: dict[str, str], additions: dict[str, str]
) -> None:
    assert differences(config, {**config, "name": "orders", OWNER: "seam"}, DEFINITIONS) == []
    for found in differences(config, additions, DEFINITIONS):
        assert found.before != found.after
        assert config.get(found.key) != additions.get(found.key)


@given(one=texts, other=texts)
def test_differences_are_the_same_seen_from_the_other_side(one: dict[str, str], other: dict[str, str]) -> None:
    there = {d.key: (d.before, d.after) for d in differences(one, other, DEFINITIONS)}
    back = {d.key: (d.after, d.before) for d in differences(other, one, DEFINITIONS)}
    assert there == back
