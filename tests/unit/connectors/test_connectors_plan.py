"""Desired and observed make a plan."""

from __future__ import annotations

import json

from cdc.errors import Problem
from connectors.compare import OWNER
from connectors.connect_types import ConnectorState, ConnectorStatus, KeyDefinition
from connectors.desired import Desired
from connectors.plan import Examination, Observed, Plan, is_equal, make_plan
from connectors.redact import Redaction

CONFIG = {"connector.class": "FileStreamSource", "topic": "t"}


def desired(**connectors: dict[str, str]) -> dict[str, Desired]:
    return {name: Desired(name, config, f"{name}.json") for name, config in connectors.items()}


def observed(
    config: dict[str, str], *, owner: str | None = "seam", state: str = "RUNNING", type: str = "source"
) -> Observed:
    mark = {OWNER: owner} if owner else {}
    return Observed({**config, "name": "x", **mark}, ConnectorStatus("x", ConnectorState(state)), type)


def actions(plan: Plan) -> dict[str, str]:
    return {change.connector: change.action for change in plan.changes}


def test_what_is_not_there_is_created_and_what_is_equal_is_left_alone() -> None:
    plan = make_plan(desired(a=CONFIG, b=CONFIG), {"b": observed(CONFIG)}, {})
    assert actions(plan) == {"a": "create", "b": "none"}
    assert plan.changes[0].config == {**CONFIG, OWNER: "seam"}


def test_a_plan_of_what_was_applied_is_empty() -> None:
    first = make_plan(desired(a=CONFIG), {}, {})
    applied = {"a": Observed({**first.changes[0].config, "name": "a"})}
    assert make_plan(desired(a=CONFIG), applied, {}).pending == []


def test_a_change_names_its_keys_and_what_is_risky_about_them() -> None:
    wanted = desired(a={**CONFIG, "slot.name": "s2", "batch.size": "5"})
    plan = make_plan(wanted, {"a": observed({**CONFIG, "slot.name": "s1", "poll": "9"})}, {})
    (change,) = plan.changes
    assert [key.key for key in change.keys] == ["slot.name", "batch.size", "poll"]
    assert list(change.risks) == ["slot.name"]
    assert "changes up to then are lost" in change.risks["slot.name"]


def test_a_default_given_by_the_worker_makes_no_false_change() -> None:
    definitions = {"batch.size": KeyDefinition("batch.size", "INT", default_value="2000")}
    plan = make_plan(
        desired(a={**CONFIG, "batch.size": "2000"}), {"a": observed(CONFIG)}, {"a": Examination(definitions)}
    )
    assert actions(plan) == {"a": "none"}


def test_only_what_carries_our_mark_is_pruned_and_sinks_go_first() -> None:
    there = {
        "source": observed(CONFIG),
        "sink": observed(CONFIG, type="sink"),
        "foreign": observed(CONFIG, owner="others"),
        "unmarked": observed(CONFIG, owner=None),
        "kept": observed(CONFIG),
    }
    plan = make_plan(desired(kept=CONFIG), there, {}, prune=True)
    assert [change.connector for change in plan.deletions] == ["sink", "source"]
    assert any("offsets stay" in note for note in plan.deletions[0].notes)
    assert make_plan(desired(kept=CONFIG), there, {}).deletions == []


def test_a_part_of_the_files_prunes_nothing_that_the_other_part_names() -> None:
    there = {"a": observed(CONFIG), "b": observed(CONFIG)}
    assert make_plan(desired(a=CONFIG), there, {}, prune=True, all_desired=["a", "b"]).deletions == []


def test_what_the_worker_refuses_and_what_we_find_forbid_to_carry_it_out() -> None:
    wanted = desired(a={**CONFIG, "tpoics": "x", "database.password": "x"})
    definitions = {name: KeyDefinition(name, "LIST") for name in ("topic", "topics")}
    plan = make_plan(wanted, {}, {"a": Examination(definitions, (Problem("tasks.max", "not a number"),))})
    assert {problem.key for problem in plan.problems()} == {"a: tasks.max", "a: tpoics"}
    assert {problem.key for problem in plan.problems(allow_unknown_keys=True)} == {"a: tasks.max"}
    assert {problem.key for problem in plan.problems(refuse_literal_secrets=True)} >= {"a: database.password"}


def test_a_stopped_connector_stays_stopped_and_the_plan_says_so() -> None:
    plan = make_plan(desired(a={**CONFIG, "topic": "u"}), {"a": observed(CONFIG, state="STOPPED")}, {})
    assert "it is STOPPED and stays so" in plan.changes[0].notes


def test_a_foreign_mark_is_named() -> None:
    plan = make_plan(desired(a=CONFIG), {"a": observed(CONFIG, owner="others")}, {})
    assert "belongs to others" in plan.changes[0].notes[-1]


def test_the_document_holds_no_secret() -> None:
    redaction = Redaction({})
    wanted = desired(a={**CONFIG, "database.password": "c4nary-new", "url": "jdbc:x://u:c4nary-in-url@h"})
    there = {"a": observed({**CONFIG, "database.password": "c4nary-old"})}
    for config in (wanted["a"].config, there["a"].config):
        redaction.learn(config)
    text = json.dumps(make_plan(wanted, there, {}).as_json(redaction))
    assert "c4nary" not in text
    keys = {key["key"]: key for key in json.loads(text)["changes"][0]["keys"]}
    assert keys["database.password"]["before"] == keys["database.password"]["after"] == "******"


def test_equality_letter_by_letter_asks_nothing_of_the_worker() -> None:
    assert is_equal(Desired("a", CONFIG, ""), observed(CONFIG))
    assert not is_equal(Desired("a", {**CONFIG, "x": "1"}, ""), observed(CONFIG))
