"""Templates on the real plugins: as their ConfigDef wants them, and as a source that runs.

Postgres, MariaDB and the JDBC sink run here; the large plugins are validated under `make soak`.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from confluent_kafka import KafkaException

from connectors.checks import check
from connectors.commands import app
from connectors.connect_api import ConnectApi
from connectors.connect_settings import ConnectSettings
from connectors.desired import Desired
from connectors.templates import PRESETS, kinds, template
from tests.stack.connect import ConnectWorker
from tests.stack.kafka import KafkaBroker
from tests.stack.mariadb import PASSWORD, USER, MariaDb
from tests.stack.postgres import Database
from tests.support.command_line import run
from tests.support.consume import read_topic
from tests.support.waiting import wait_for, wait_until

# Plugins that every worker of the tests has. Their validation connects to the database, which is not there.
INSTALLED = ("postgres", "mariadb", "jdbc-sink", "file-source", "file-sink")
UNREACHABLE = {"database.hostname"}


@pytest.fixture
def api(connect: ConnectWorker) -> Iterator[ConnectApi]:
    with ConnectApi(ConnectSettings((connect.url,))) as client:
        yield client


@pytest.mark.parametrize(
    ("kind", "presets"),
    [(kind, ()) for kind in INSTALLED] + [(kind, (preset,)) for kind in ("postgres", "mariadb") for preset in PRESETS],
)
def test_the_real_plugin_takes_every_key_and_value(api: ConnectApi, kind: str, presets: tuple[str, ...]) -> None:
    config = template(kind, name="my-shop", presets=presets).config
    validation = api.validate({**config, "name": "my-shop"}, timeout=60)
    assert set(validation.errors()) <= UNREACHABLE, validation.errors()
    assert [finding.as_json() for finding in check(Desired(kind, config, ""), validation.definitions())] == []


def test_every_command_line_form_of_a_template_can_be_planned(tmp_path: Path, connect: ConnectWorker) -> None:
    assert {entry["kind"] for entry in run(app, "template", "--output", "json").document["kinds"]} == set(kinds())
    outputs = {
        "a.toml": run(app, "template", "file-source"),
        "b.properties": run(app, "template", "file-source", "--format", "properties"),
        "c.json": run(app, "template", "file-source", "--output", "json"),
    }
    for name, output in outputs.items():
        file = tmp_path / name
        file.write_text(output.out)
        changes = run(app, "plan", str(file), "--connect-url", connect.url, "--output", "json").document["changes"]
        assert [(change["connector"], change["action"]) for change in changes] == [("file-source", "create")]
    assert "[ ] the file is on the worker" in outputs["c.json"].err


def test_a_foreign_source_is_registered_from_its_template_and_its_changes_arrive_transformed(
    tmp_path: Path, prefix: str, connect: ConnectWorker, mariadb: MariaDb, kafka: KafkaBroker
) -> None:
    mariadb.execute(
        f"CREATE DATABASE {prefix}; CREATE TABLE {prefix}.orders (id int PRIMARY KEY, name varchar(20), price decimal(8,2));"
        f"INSERT INTO {prefix}.orders VALUES (1, 'before', 1.50);"
    )
    file = tmp_path / "seam.toml"
    presets = ("--preset", "unwrap", "--preset", "source-info", "--preset", "route")
    file.write_text(run(app, "template", "mariadb", "--name", prefix, *presets).out)
    settings = {
        "database.hostname": "127.0.0.1",
        "database.port": str(mariadb.port),
        "database.user": USER,
        "database.password": PASSWORD,
        "database.ssl.mode": "disable",
        "database.include.list": prefix,
        "table.include.list": f"{prefix}.orders",
        "schema.history.internal.kafka.bootstrap.servers": kafka.bootstrap,
        "topic.creation.default.partitions": "1",
        # The topic's own name, so that what is routed does not meet the topics of other tests.
        "transforms.route.replacement": f"{prefix}-$1",
    }
    chosen = [part for name, value in settings.items() for part in ("--set", f"{name}={value}")]
    applied = run(app, "apply", str(file), "--connect-url", connect.url, *chosen, "--settle", "1")
    assert applied.code == 0, str(applied.error)
    topic = f"{prefix}-orders"

    def arrived(count: int) -> list[tuple[int, object]] | None:
        records = read_topic(kafka.bootstrap, topic)  # raises while the topic has no leader yet
        assert b"null" not in [r.value for r in records], "a tombstone that compaction does not know"
        seen = [(json.loads(r.key)["id"], None if r.value is None else json.loads(r.value)) for r in records if r.key]
        return seen if len(seen) >= count else None

    # A running task may still be before its snapshot, which would then see only what the changes left.
    wait_for(lambda: arrived(1), 60, "the snapshot", KafkaException)
    mariadb.execute(
        f"INSERT INTO {prefix}.orders VALUES (2, 'after', 2.50); UPDATE {prefix}.orders SET price = 9.99 WHERE id = 1;"
        f"DELETE FROM {prefix}.orders WHERE id = 2;"
    )
    seen = wait_for(lambda: arrived(4), 60, "four records", KafkaException)
    assert [(key, value and (value["name"], value["price"], value["__op"])) for key, value in seen] == [  # type: ignore[index]
        (1, ("before", "1.50", "r")),
        (2, ("after", "2.50", "c")),
        (1, ("before", "9.99", "u")),
        (2, None),
    ]


def test_a_sink_from_its_template_keeps_a_table_as_the_source_has_it(
    tmp_path: Path, prefix: str, connect: ConnectWorker, database: Database, kafka: KafkaBroker
) -> None:
    database.execute(
        "CREATE SCHEMA target",
        "CREATE TABLE public.orders (id int PRIMARY KEY, name text)",
        f"CREATE PUBLICATION {prefix} FOR TABLE public.orders",
        "INSERT INTO public.orders VALUES (1, 'one'), (2, 'two')",
    )
    file = tmp_path / "seam.toml"
    source = run(app, "template", "postgres", "--name", prefix).out
    sink = run(app, "template", "jdbc", "--name", f"{prefix}-sink").out
    schemas = {f"{side}.converter.schemas.enable": "true" for side in ("key", "value")}
    converters = {f"{side}.converter": "org.apache.kafka.connect.json.JsonConverter" for side in ("key", "value")}
    server = database.server
    changes = {
        prefix: {
            "database.hostname": server.host,
            "database.port": str(server.port),
            "database.user": "postgres",
            "database.password": "unused",
            "database.dbname": database.name,
            "table.include.list": "public.orders",
            "topic.creation.default.partitions": "1",
            **converters,
            **schemas,
        },
        f"{prefix}-sink": {
            "topics": f"{prefix}.public.orders",
            "connection.url": f"jdbc:postgresql://{server.host}:{server.port}/{database.name}",
            "connection.username": "postgres",
            "connection.password": "unused",
            "schema.evolution": "basic",
            "collection.name.format": "target.orders",
        },
    }
    file.write_text(f"{source}\n{sink}")
    for name, settings in changes.items():
        chosen = [part for key, value in settings.items() for part in ("--set", f"{key}={value}")]
        applied = run(app, "apply", str(file), "--only", name, "--connect-url", connect.url, *chosen, "--settle", "1")
        assert applied.code == 0, str(applied.error)
    database.execute("UPDATE public.orders SET name = 'uno' WHERE id = 1", "DELETE FROM public.orders WHERE id = 2")
    database.execute("INSERT INTO public.orders VALUES (3, 'three')")

    def same() -> bool:
        there = database.value("SELECT to_regclass('target.orders')")
        return there is not None and database.rows("SELECT id, name FROM target.orders ORDER BY id") == [
            (1, "uno"),
            (3, "three"),
        ]

    wait_until(same, 60, "the target table to be as the source")
    listed = run(app, "list", "--connect-url", connect.url, "--output", "json").document["connectors"]
    assert {entry["name"]: entry["state"] for entry in listed if entry["name"].startswith(prefix)} == {
        prefix: "RUNNING",
        f"{prefix}-sink": "RUNNING",
    }
