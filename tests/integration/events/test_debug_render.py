"""`seam debug render` shows how a table is rendered, and needs no Kafka for it."""

from __future__ import annotations

import json

import pytest

from cdc.errors import OperatorError
from cli import app
from connectors.postgres import read
from connectors.rendering import rendering_of
from tests.support.command_line import run
from tests.support.engine import properties


@pytest.fixture
def file(database, prefix, tmp_path):
    database.execute(
        "create table public.orders (id int primary key, \"Note\" text default 'n', price numeric(8,2) not null)",
    )
    path = tmp_path / "orders.json"
    path.write_text(json.dumps({"name": prefix, "config": properties(database, prefix)}))
    return path


def test_it_shows_topic_key_columns_and_code(file, prefix):
    done = run(app, "debug", "render", str(file), "public.orders", "--output", "json")
    shown = json.loads(done.out)
    assert (shown["topic"], shown["key"], shown["form"]) == (f"{prefix}.public.orders", ["id"], "composed")
    assert [(each["field"], each["null"], each["default"]) for each in shown["columns"]] == [
        ("id", "no", ""), ("Note", "yes", "'n'"), ("price", "no", ""),
    ]  # fmt: skip
    compile(shown["source"], "shown", "exec")
    assert "def render(p, lsn, state):" in shown["source"]


def test_it_shows_a_table_for_people(file):
    done = run(app, "debug", "render", str(file), "public.orders")
    assert "org.apache.kafka.connect.data.Decimal" in done.out
    assert "def render(p, lsn, state):" in done.out


def test_a_table_that_is_not_there_is_named(database, prefix):
    config = read(prefix, properties(database, prefix), bootstrap_servers="unused:9092")
    with pytest.raises(OperatorError, match=r"there is no table public\.nothing"):
        rendering_of(config, "public.nothing")


def test_with_another_converter_the_plain_form_is_named(file):
    arguments = ["--set", "value.converter=org.apache.kafka.connect.storage.StringConverter"]
    text = json.loads(file.read_text())
    del text["config"]["value.converter.schemas.enable"]
    file.write_text(json.dumps(text))
    done = run(app, "debug", "render", str(file), "public.orders", "--output", "json", *arguments)
    shown = json.loads(done.out)
    assert (shown["form"], shown["source"]) == ("plain", None)
