"""Templates: complete, commented, the same in every form, and without unknown keys."""

from __future__ import annotations

import json
import re
import tomllib
from pathlib import Path

import pytest

from cdc.errors import ConfigError
from cdc.properties import literal_secrets, parse_properties
from connectors.checks import check
from connectors.connect_types import KeyDefinition
from connectors.desired import Desired, read
from connectors.templates import PRESETS, kinds, template

GOLDEN = Path(__file__).parents[2] / "golden" / "connect_definitions"
RECORDED = sorted(file.stem for file in GOLDEN.glob("*.json"))
EXPECTED = {
    "postgres", "mysql", "mariadb", "mongodb", "oracle", "sqlserver", "db2", "cassandra", "couchbase",
    "jdbc-sink", "elasticsearch-sink", "opensearch-sink", "mongodb-sink", "s3-sink", "file-source", "file-sink",
}  # fmt: skip


def test_there_is_one_for_each_system() -> None:
    assert set(kinds()) == EXPECTED


@pytest.mark.parametrize("kind", sorted(EXPECTED))
def test_it_is_complete_and_says_what_the_system_itself_needs(kind: str, tmp_path: Path) -> None:
    made = template(kind, name="my-shop")
    assert made.checklist
    assert made.title
    assert not re.search(r"@[a-z]+@", made.text)
    assert made.config["connector.class"]
    assert not literal_secrets(made.config)
    file = tmp_path / "seam.toml"
    file.write_text(made.text)
    assert read(file).connectors["my-shop"].config == made.config


@pytest.mark.parametrize("kind", sorted(EXPECTED))
def test_both_forms_of_file_mean_the_same(kind: str, tmp_path: Path) -> None:
    made = template(kind, name="my-shop")
    assert parse_properties(made.properties()) == {"name": "my-shop", **made.config}
    comments = [line for line in made.text.splitlines() if line.startswith("#")]
    kept = [line for line in made.properties().splitlines() if line.startswith("#")]
    assert len(kept) == len(comments)


@pytest.mark.parametrize("kind", RECORDED)
def test_keys_of_plugins_that_cannot_be_fetched_are_those_of_their_recorded_definitions(kind: str) -> None:
    recorded = json.loads((GOLDEN / f"{kind}.json").read_text())
    definitions = {name: KeyDefinition(name, type) for name, type in recorded["keys"].items()}
    config = template(kind).config
    if kind != "cassandra":
        assert config["connector.class"] == recorded["class"]
    agents_own = ("kafka.producer.",)
    judged = {key: value for key, value in config.items() if not key.startswith(agents_own)}
    found = check(Desired(kind, judged, ""), definitions)
    assert [finding.as_json() for finding in found] == []


def test_names_are_fitted_to_what_they_stand_for() -> None:
    config = template("mariadb", name="My shop.v2").config
    assert config["topic.prefix"] == "My_shop.v2"
    assert config["database.password"] == "${env:MY_SHOP_V2_PASSWORD}"
    assert template("postgres", name="My shop.v2").config["slot.name"] == "my_shop_v2"


def test_each_connector_gets_a_server_id_of_its_own() -> None:
    one, other = (int(template("mysql", name=name).config["database.server.id"]) for name in ("a", "b"))
    assert one != other
    assert min(one, other) > 0


@pytest.mark.parametrize("preset", PRESETS)
@pytest.mark.parametrize("kind", ["postgres", "mongodb"])
def test_a_preset_adds_a_whole_chain(kind: str, preset: str) -> None:
    config = template(kind, presets=[preset]).config
    aliases = config["transforms"].split(",")
    assert all(f"transforms.{alias}.type" in config for alias in aliases)
    assert not check(Desired("a", config, ""), {})


def test_presets_transform_in_the_order_in_which_they_are_named() -> None:
    assert template("postgres", presets=["unwrap", "route"]).config["transforms"] == "unwrap,route"
    assert template("postgres", presets=["route", "source-info"]).config["transforms"] == "unwrap,route"


@pytest.mark.parametrize(
    ("kind", "presets", "message"),
    [
        ("postgres", ["unpack"], "no preset unpack"),
        ("postgres", ["outbox", "unwrap"], "goes with no other"),
        ("jdbc-sink", ["unwrap"], "are for Debezium's sources"),
    ],
)
def test_presets_that_do_not_fit_are_refused(kind: str, presets: list[str], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        template(kind, presets=presets)


def test_an_unknown_kind_is_refused_with_the_nearest_one() -> None:
    with pytest.raises(ConfigError, match="did you mean postgres") as failure:
        template("postgers")
    assert "mariadb" in str(failure.value.hint)
    assert template("jdbc").kind == "jdbc-sink"


def test_the_checklist_keeps_its_long_entries_whole() -> None:
    (entry,) = (entry for entry in template("postgres").checklist if entry.startswith("every captured table"))
    assert entry.endswith("fails in the application")


def test_every_template_is_valid_toml_by_itself() -> None:
    for kind in EXPECTED:
        assert list(tomllib.loads(template(kind).text)) == ["connectors"]
