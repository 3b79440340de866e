"""What a worker lets through and our own checks do not."""

from __future__ import annotations

import pytest

from cdc.report import Severity
from connectors.checks import check, check_together
from connectors.connect_types import Config, KeyDefinition
from connectors.desired import Desired

DEFINITIONS = {name: KeyDefinition(name, "STRING") for name in ("slot.name", "table.include.list", "database.hostname")}


def codes(config: Config) -> dict[str, str]:
    return {finding.code: finding.evidence for finding in check(Desired("a", config, "a.json"), DEFINITIONS)}


def test_a_misspelt_key_is_an_error_with_the_key_that_was_meant() -> None:
    (finding,) = check(Desired("a", {"tabel.include.list": "x"}, "a.json"), DEFINITIONS)
    assert finding.code == "UNKNOWN_KEY"
    assert finding.severity is Severity.BLOCKS
    assert "table.include.list" in finding.evidence


@pytest.mark.parametrize(
    "key", ["tabel.include.list", "slot_name", "slot.nmae", "database.hostnames", "topcis", "task.max"]
)
def test_a_letter_or_two_apart_is_a_misspelling(key: str) -> None:
    assert list(codes({key: "x"})) == ["UNKNOWN_KEY"]


def test_a_key_far_from_every_other_is_only_noted() -> None:
    (finding,) = check(Desired("a", {"offset.mismatch.strategy": "x"}, "a.json"), DEFINITIONS)
    assert (finding.code, finding.severity) == ("UNDECLARED_KEY", Severity.NOTE)


@pytest.mark.parametrize(
    "key", ["slot.name", "tasks.max", "topics", "producer.override.acks", "table.include.list.public.orders", "name"]
)
def test_keys_of_connect_and_parts_of_declared_keys_are_known(key: str) -> None:
    assert codes({key: "x"}) == {}


def test_keys_are_not_judged_where_no_worker_was_asked() -> None:
    assert check(Desired("a", {"tabel.include.list": "x"}, "a.json"), {}) == []


def test_options_of_a_transform_that_no_list_names_are_found() -> None:
    found = codes({"transforms": "unwrap", "transforms.unwrap.type": "T", "transforms.unwarp.drop": "1"})
    assert found == {
        "ORPHAN_OPTIONS": "transforms does not name unwarp, so its options do nothing; did you mean unwrap?"
    }


def test_an_alias_with_a_dot_is_no_orphan() -> None:
    assert codes({"transforms": "a.b", "transforms.a.b.type": "T"}) == {}


def test_an_alias_twice_or_without_a_type_is_found() -> None:
    assert codes({"transforms": "a,a", "transforms.a.type": "T"})["ALIAS"] == "stands twice"
    assert codes({"predicates": "p"})["ALIAS"] == "has no predicates.p.type"


def test_a_predicate_that_does_not_exist_is_found() -> None:
    config = {
        "transforms": "a", "transforms.a.type": "T", "transforms.a.predicate": "isOrder",
        "predicates": "isOrders", "predicates.isOrders.type": "P",
    }  # fmt: skip
    assert codes(config)["UNDECLARED_PREDICATE"] == "predicates does not name isOrder; did you mean isOrders?"
    assert codes({**config, "transforms.a.predicate": "isOrders"}) == {}


def test_negate_needs_a_predicate() -> None:
    found = codes({"transforms": "a", "transforms.a.type": "T", "transforms.a.negate": "true"})
    assert list(found) == ["NEGATE_WITHOUT_PREDICATE"]


def test_topics_of_a_sink() -> None:
    assert list(codes({"topics": "a", "topics.regex": "a"})) == ["TOPICS"]
    assert list(codes({"topics": "a,dead", "errors.deadletterqueue.topic.name": "dead"})) == ["DEAD_LETTER_LOOP"]
    assert list(codes({"topics.regex": "d.*", "errors.deadletterqueue.topic.name": "dead"})) == ["DEAD_LETTER_LOOP"]
    assert codes({"topics": "a", "errors.deadletterqueue.topic.name": "dead"}) == {}


def test_a_literal_secret_is_named_by_its_key_and_never_shown() -> None:
    (finding,) = check(Desired("a", {"database.password": "c4nary"}, "a.json"), {})
    assert finding.code == "LITERAL_SECRET"
    assert "c4nary" not in str(finding.as_json())
    assert codes({"database.password": "${env:PASSWORD}"}).get("LITERAL_SECRET") is None


def test_a_mask_in_a_file_would_overwrite_the_secret() -> None:
    assert list(codes({"key.converter.password": "******", "slot.name": "x"})) == ["MASKED_VALUE"]


def test_a_login_module_that_runs_code_is_refused() -> None:
    config = {"producer.override.sasl.jaas.config": "com.sun.security.auth.module.JndiLoginModule required x=${env:Y};"}
    assert list(codes(config)) == ["JAAS_MODULE"]


def test_postgres_pitfalls() -> None:
    config = {"connector.class": "io.debezium.connector.postgresql.PostgresConnector", "slot.drop.on.stop": "true"}
    assert set(codes(config)) >= {"PLUGIN_NAME", "SLOT_DROPPED_ON_STOP"}


def test_two_connectors_on_one_slot_are_found() -> None:
    postgres = {"connector.class": "io.debezium.connector.postgresql.PostgresConnector", "database.hostname": "db"}
    one = Desired("one", {**postgres, "slot.name": "s"}, "")
    assert check_together({"one": one, "two": Desired("two", {**postgres, "slot.name": "t"}, "")}) == {}
    found = check_together({"one": one, "two": Desired("two", {**postgres, "slot.name": "s"}, "")})
    assert [finding.evidence for finding in found["one"]] == ["s is used by two too"]
    assert [finding.evidence for finding in found["two"]] == ["s is used by one too"]


def test_server_ids_and_schema_histories_are_not_shared() -> None:
    config = {"database.server.id": "7", "schema.history.internal.kafka.topic": "h"}
    found = check_together({"one": Desired("one", config, ""), "two": Desired("two", dict(config), "")})
    assert [finding.subject for finding in found["one"]] == [
        "database.server.id",
        "schema.history.internal.kafka.topic",
    ]
