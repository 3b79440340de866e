"""Options and fixtures of the differential tests.

    pytest tests/differential                      captures kept in files, a few scripts live
    pytest tests/differential -m soak              the other scripts live
    pytest tests/differential --sql-dir DIR        a folder of your own scripts, live
    pytest tests/differential --record-golden      captures Debezium anew and keeps what it writes

A test with the argument `recorded_script`, `live_script` or `soak_script` runs once for each script of that kind.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from cdc.kafka.embedded import EmbeddedBroker
from tests.differential.script import Script, scripts_in

SCRIPTS = Path(__file__).parent / "scripts"

LIVE = ("operations/default_identity", "whole/shop", "ddl/in_transaction", "options/transaction_metadata",
        "chains/unwrap", "chains/fields", "chains/headers")  # fmt: skip
"""The scripts that also run live in every test run: together they go through all parts of the harness."""

_ARGUMENTS = ("recorded_script", "live_script", "soak_script")


def pytest_addoption(parser: pytest.Parser) -> None:
    group = parser.getgroup("differential", "Debezium and the native engine beside each other")
    group.addoption("--sql-dir", type=Path, help="compare over the .sql scripts of this folder, live, and only these")
    group.addoption("--record-golden", action="store_true", help="keep what Debezium writes for the scripts as files")
    group.addoption("--script", help="only scripts whose names hold this text")


def scripts_of(config: pytest.Config, argument: str) -> list[Script]:
    """The scripts that a test with this argument runs over."""
    own = config.getoption("--sql-dir")
    everything_live = own is not None or config.getoption("--record-golden")
    text = config.getoption("--script")
    scripts = [s for s in scripts_in((own or SCRIPTS).resolve()) if text is None or text in s.name]
    if argument == "recorded_script":
        return [] if everything_live else scripts
    return [s for s in scripts if (everything_live or s.name in LIVE) == (argument == "live_script")]


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    for argument in _ARGUMENTS:
        if argument in metafunc.fixturenames:
            scripts = scripts_of(metafunc.config, argument)
            cases = [pytest.param(s, s.postgres, id=s.name) for s in scripts]
            metafunc.parametrize(f"{argument},postgres", cases, indirect=["postgres"])


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    def without_case(item: pytest.Item) -> bool:
        # pytest would call a test over no scripts skipped; it is not asked for.
        asked = [argument for argument in _ARGUMENTS if argument in getattr(item, "fixturenames", ())]
        return bool(asked) and not scripts_of(config, asked[0])

    empty = [item for item in items if without_case(item)]
    if empty:
        config.hook.pytest_deselected(items=empty)
        items[:] = [item for item in items if item not in empty]


@pytest.fixture
def mock_kafka() -> Iterator[str]:
    """The address of librdkafka's mock broker, which knows no topic yet."""
    with EmbeddedBroker() as broker:
        yield broker.bootstrap
