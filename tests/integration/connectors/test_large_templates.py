"""Templates of the large plugins, on the real ones: `make soak`."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from connectors.checks import check
from connectors.connect_api import ConnectApi
from connectors.connect_settings import ConnectSettings
from connectors.connect_types import KeyDefinition
from connectors.desired import Desired
from connectors.templates import PRESETS, template
from tests.stack.fixtures import MakeConnect

pytestmark = pytest.mark.soak

# Kind -> keys that the plugin hands to its driver and declares nowhere.
PASSED_ON = {"sqlserver": {"database.encrypt"}}
PLUGINS = tuple(f"debezium-{name}" for name in ("mysql", "mongodb", "sqlserver", "oracle", "db2"))
# What cannot be right without a database: the connection, and the reference that only a worker with providers resolves.
UNREACHABLE = {"database.hostname", "mongodb.connection.string"}


@pytest.fixture
def api(prefix: str, make_connect: MakeConnect) -> Iterator[ConnectApi]:
    worker = make_connect(group=prefix, plugins=PLUGINS)
    with ConnectApi(ConnectSettings((worker.url,))) as client:
        yield client


def unknown(kind: str, config: dict[str, str], definitions: dict[str, KeyDefinition]) -> list[object]:
    found = check(Desired(kind, config, ""), definitions)
    return [finding.as_json() for finding in found if finding.subject not in PASSED_ON.get(kind, set())]


def test_the_real_plugins_take_every_key_and_value(api: ConnectApi) -> None:
    for kind in ("mysql", "mongodb", "sqlserver", "oracle", "mongodb-sink"):
        for presets in ((), *((preset,) for preset in PRESETS if not kind.endswith("sink"))):
            config = template(kind, name="my-shop", presets=presets).config
            validation = api.validate({**config, "name": "my-shop"}, timeout=90)
            assert set(validation.errors()) <= UNREACHABLE, (kind, presets, validation.errors())
            assert unknown(kind, config, validation.definitions()) == [], (kind, presets)


def test_db2_declares_every_key_though_it_cannot_be_validated_without_its_driver(api: ConnectApi) -> None:
    config = template("db2", name="my-shop").config
    assert unknown("db2", config, api.definitions(config["connector.class"])) == []
