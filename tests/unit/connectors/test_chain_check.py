"""Transforms are tried on sample records before a worker gets them."""

from __future__ import annotations

import pytest

from connectors.chain_check import check_chain
from connectors.desired import Desired
from connectors.engines import native_only
from connectors.templates import template

POSTGRES = {"connector.class": "io.debezium.connector.postgresql.PostgresConnector", "topic.prefix": "shop"}


def chain(**types: str) -> dict[str, str]:
    config = {**POSTGRES, "transforms": ",".join(types)}
    return config | {f"transforms.{alias}.type": type for alias, type in types.items()}


@pytest.mark.parametrize("presets", [["unwrap"], ["unwrap", "source-info", "route"], ["route"]])
@pytest.mark.parametrize("kind", ["postgres", "mariadb", "oracle"])
def test_the_presets_take_everything_that_a_source_sends(kind: str, presets: list[str]) -> None:
    assert check_chain(template(kind, presets=presets).config) == []


def test_what_a_transform_checks_on_its_start_is_found_before() -> None:
    (finding,) = check_chain(chain(i="org.apache.kafka.connect.transforms.InsertField$Value"))
    assert finding.code == "TRANSFORM_CONFIG"
    assert "No field insertion configured" in finding.evidence


def test_a_chain_that_does_not_take_tombstones_is_found() -> None:
    config = chain(key="org.apache.kafka.connect.transforms.ValueToKey") | {"transforms.key.fields": "op"}
    found = check_chain(config)
    assert [finding.code for finding in found] == ["TRANSFORM_SAMPLE"] * len(found)
    assert any("a tombstone" in finding.evidence for finding in found)
    guarded = config | {
        "transforms.key.predicate": "isChange",
        "predicates": "isChange",
        "predicates.isChange.type": "org.apache.kafka.connect.transforms.predicates.TopicNameMatches",
        "predicates.isChange.pattern": "nothing",
    }
    assert check_chain(guarded) == []


def test_a_transform_that_is_not_known_here_is_said_not_to_have_been_tried() -> None:
    (finding,) = check_chain(chain(own="com.example.Own"))
    assert finding.code == "TRANSFORM_NOT_TRIED"


def test_no_transforms_need_no_samples() -> None:
    assert check_chain(POSTGRES) == []


def test_transforms_of_ours_run_on_the_native_engine_only() -> None:
    assert native_only(Desired("a", chain(m="seam.transforms.InsertSource"), "")) == ["transforms.m.type"]
