"""Topics against what a file declares, and where a chain of transforms leads a table's records."""

from __future__ import annotations

from typing import Any

import pytest

from cdc.transforms import compile_chain
from connectors.routed import renamed, routed
from connectors.topic_rules import Topics, read_rules


class Broker:
    """What `Topics` asks of an `Admin`."""

    def __init__(self, **topics: tuple[int, dict[str, str]]) -> None:
        self.topics = topics

    def partitions(self) -> dict[str, int]:
        return {name: partitions for name, (partitions, _) in self.topics.items()}

    def configs(self, names: list[str]) -> dict[str, dict[str, str]]:
        return {name: self.topics[name][1] for name in names}


def found(declared: dict[str, str], partitions: int, **config: str) -> list[tuple[str, str, str]]:
    """Code, evidence and the end of the mending command of each mismatch of topic `t`."""
    problems: list[Any] = []
    rules = read_rules({f"topic.creation.default.{name}": text for name, text in declared.items()}, [], problems)
    assert problems == []
    options = {name.replace("_", "."): text for name, text in config.items()}
    mismatches = Topics(rules, Broker(t=(partitions, options))).mismatches(["t"])  # type: ignore[arg-type]
    return [(f.code, f.evidence, (f.remedy or "").rpartition(" ")[2]) for f in mismatches]


def test_for_ever_fits_neither_a_finite_time_nor_a_finite_size() -> None:
    forever = {"retention.ms": "-1"}
    assert found(forever, 1, retention_ms="-1", retention_bytes="-1") == []
    assert found(forever, 1, retention_ms="604800000", retention_bytes="1000") == [
        ("TOPIC_POLICY", "keeps records for 604800000 ms, for ever is declared", "retention.ms=-1"),
        ("TOPIC_POLICY", "keeps 1000 bytes of each partition, for ever is declared", "retention.bytes=-1"),
    ]


def test_a_size_that_the_file_declares_beside_for_ever_stands() -> None:
    declared = {"retention.ms": "-1", "retention.bytes": "1000"}
    assert found(declared, 1, retention_ms="-1", retention_bytes="1000") == []
    assert (
        found(declared, 1, retention_ms="-1", retention_bytes="-1")[0][1] == "retention.bytes is -1, 1000 is declared"
    )


def test_partitions_and_policy_are_compared_where_declared_and_only_there() -> None:
    (wrong,) = found({"partitions": "3"}, 2, cleanup_policy="compact")
    assert wrong[0] == "TOPIC_PARTITIONS"
    assert found({"partitions": "-1"}, 2, cleanup_policy="compact") == []
    (policy,) = found({"cleanup.policy": "compact"}, 2, cleanup_policy="delete")
    assert policy == ("TOPIC_POLICY", "cleanup.policy is delete, compact is declared", "cleanup.policy=compact")
    assert found({"cleanup.policy": "compact,delete"}, 2, cleanup_policy="delete, compact") == []


ROUTE = {"type": "RegexRouter", "regex": "(.*)\\.public\\.(.*)", "replacement": "$1.$2"}


@pytest.mark.parametrize(
    ("steps", "topics"),
    [
        ({}, ["p.public.t"]),
        ({"a": ROUTE}, ["p.t"]),
        ({"a": ROUTE, "b": {"type": "Filter"}}, []),
        ({"a": ROUTE, "b": {"type": "Cast$Value", "spec": "id:string"}}, None),
        ({"a": {"type": "io.debezium.transforms.ByLogicalTableRouter", "topic.regex": "(.*)", "topic.replacement": "x"}}, None),
    ],
)  # fmt: skip
def test_where_records_go_is_known_unless_a_step_looks_into_them(
    steps: dict[str, dict[str, str]], topics: list[str] | None
) -> None:
    options = {f"transforms.{alias}.{name}": text for alias, step in steps.items() for name, text in step.items()}
    chain = compile_chain({"transforms": ",".join(steps), **options})
    assert routed(chain, "p.public.t") == topics


BY_FIELD = {"type": "io.debezium.transforms.ExtractNewRecordState", "route.by.field": "kind"}


@pytest.mark.parametrize(
    ("steps", "topic"),
    [
        ({}, "p.public.t"),
        ({"a": {"type": "io.debezium.transforms.ExtractNewRecordState"}, "b": ROUTE}, "p.t"),
        ({"a": {"type": "Cast$Value", "spec": "id:string"}}, "p.public.t"),
        ({"a": BY_FIELD}, None),
        ({"a": {"type": "io.debezium.transforms.outbox.EventRouter"}}, None),
        ({"a": {"type": "TimestampRouter"}}, None),
    ],
)  # fmt: skip
def test_the_one_topic_of_a_table_is_known_unless_a_step_routes_by_what_records_hold(
    steps: dict[str, dict[str, str]], topic: str | None
) -> None:
    options = {f"transforms.{alias}.{name}": text for alias, step in steps.items() for name, text in step.items()}
    assert renamed(compile_chain({"transforms": ",".join(steps), **options}), "p.public.t") == topic
