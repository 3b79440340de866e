"""Which tests run and in which order, and that none is left out silently.

The quick ones run first, then the files with the longest tests, so that two processes end together. Tests marked
`soak` run only when the command line names the mark: `pytest -m soak`. Under CI=true a skipped test fails the run: what
is missing there is to be installed.
"""

from __future__ import annotations

import os
from pathlib import Path

import pytest

_ORDER = ("unit", "faults", "contract", "integration", "differential")
_TESTS = Path(__file__).parents[1]


def _turn(item: pytest.Item) -> int:
    folder = item.path.relative_to(_TESTS).parts[0] if item.path.is_relative_to(_TESTS) else ""
    return _ORDER.index(folder) if folder in _ORDER else len(_ORDER)


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    items.sort(key=_turn)
    if "soak" in config.option.markexpr:
        return
    soaks = [item for item in items if item.get_closest_marker("soak")]
    if soaks:
        config.hook.pytest_deselected(items=soaks)
        items[:] = [item for item in items if not item.get_closest_marker("soak")]


@pytest.hookimpl(trylast=True)
def pytest_sessionfinish(session: pytest.Session) -> None:
    if _skipped(session.config) and session.exitstatus == pytest.ExitCode.OK:
        session.exitstatus = pytest.ExitCode.TESTS_FAILED


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    count = _skipped(config)
    if count:
        terminalreporter.write_line(f"CI=true: {count} skipped, so the run has failed", red=True)


def _skipped(config: pytest.Config) -> int:
    reporter = config.pluginmanager.get_plugin("terminalreporter")
    if os.environ.get("CI") != "true" or reporter is None:
        return 0
    return len(reporter.stats.get("skipped", []))
