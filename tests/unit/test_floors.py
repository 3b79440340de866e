"""Imports go down: which module may see which, read from the syntax trees (docs/architecture.md, "Floors")."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from fnmatch import fnmatch
from pathlib import Path
from typing import Final

import pytest

_ROOT: Final = Path(__file__).parents[2]
_ROOMS: Final = ("cdc", "connectors", "views", "legacy_db", "migrations")

_FLOORS: Final[tuple[frozenset[str], ...]] = tuple(
    frozenset(names.split())
    for names in (
        "errors lsn properties options telemetry report selection identity partitioner requests visibility delta",
        "model wire values",
        """layout rows envelope topics source events render relations converters transforms acks fold column_rules jdbc
        composing render_copy unwrapping column_chain outer_chain avro_form connect_form versions chunks recent""",
        "postgres kafka",
        "acknowledger transactional snapshotter snapshot_state exported progress frontier tokens topic_wait hooks sender task",
    )
)

# Which modules may import a library: patterns of module names.
_LIBRARIES: Final[dict[str, tuple[str, ...]]] = {
    "psycopg": ("cdc.postgres.*", "legacy_db.*"),
    "confluent_kafka": ("cdc.kafka.*",),
    "httpx": ("connectors.connect_api",),
    "sqlalchemy": ("legacy_db.*", "migrations.*", "views.postgres"),
    "alembic": ("legacy_db.*", "migrations.*", "views.postgres"),
    "typer": ("*commands", "cli"),
}

# (module, library): why it may.
_LIBRARY_EXCEPTIONS: Final[dict[tuple[str, str], str]] = {
    ("cdc.transactional", "confluent_kafka"): "catches what produce raises beside the transaction's own errors",
    ("connectors.session", "confluent_kafka"): "catches what starting transactions raises, to name the step",
    ("connectors.recorder", "confluent_kafka"): "catches what producing a position record raises and names it",
    (
        "connectors.demo_commands",
        "confluent_kafka",
    ): "follows topics that appear while it runs, which our reader does not",
    ("cli", "confluent_kafka"): "`seam --version` prints librdkafka's version",
    ("cli", "psycopg"): "`seam --version` prints libpq's version",
}

# (module, other room): why it may.
_ROOM_EXCEPTIONS: Final[dict[tuple[str, str], str]] = {
    ("connectors.demo_commands", "legacy_db"): "`seam demo` writes to the sample database",
    ("legacy_db.demo_commands", "connectors"): "`seam migrate demo` runs a pipeline beside the migration",
    ("legacy_db.context_commands", "connectors"): "builds a migration's context from a pipeline's file",
    ("legacy_db.carry_commands", "connectors"): "is an addition to `seam run`: the worker calls it",
    ("legacy_db.commands", "connectors"): "reads the pipeline's file and prints to the one console",
    ("legacy_db.verify_commands", "connectors"): "reads the pipeline's file and prints to the one console",
    ("legacy_db.revisions", "migrations"): "runs the revisions that lie there",
    ("views.commands", "connectors"): "prints to the one console",
    ("views.token_commands", "connectors"): "prints to the one console",
}


def _modules() -> dict[str, Path]:
    files = [_ROOT / "cli.py", *(file for room in _ROOMS for file in sorted((_ROOT / room).rglob("*.py")))]
    return {".".join(file.relative_to(_ROOT).with_suffix("").parts).removesuffix(".__init__"): file for file in files}


_MODULES: Final = _modules()


def _imports(tree: ast.AST) -> Iterator[tuple[int, str]]:
    """Yield (line, module) of each import, also of those inside functions."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from ((node.lineno, name.name) for name in node.names)
        elif isinstance(node, ast.ImportFrom):
            if node.level:
                yield node.lineno, "." * node.level + (node.module or "")
                continue
            for name in node.names:
                whole = f"{node.module}.{name.name}"
                yield node.lineno, whole if whole in _MODULES else str(node.module)


def _room(module: str) -> str:
    return module.partition(".")[0]


def _floor(module: str) -> int:
    """Return the floor of one of our modules.

    Raises:
        LookupError: A module of `cdc` that no floor names.
    """
    parts = module.split(".")
    if parts[0] == "cli":
        return 7
    if parts[0] != "cdc":
        return 6 if parts[-1].endswith("commands") else 5
    if len(parts) == 1:
        return 0
    for number, names in enumerate(_FLOORS):
        if parts[1] in names:
            return number
    raise LookupError(module)


def _library_breaks(module: str, imported: list[tuple[int, str]]) -> Iterator[str]:
    for line, name in imported:
        library = _room(name)
        patterns = _LIBRARIES.get(library)
        if patterns is None or any(fnmatch(module, pattern) for pattern in patterns):
            continue
        if (module, library) not in _LIBRARY_EXCEPTIONS:
            yield f"{module}:{line} imports {library}, which only {', '.join(patterns)} may"


def _room_breaks(module: str, imported: list[tuple[int, str]]) -> Iterator[str]:
    for line, name in imported:
        other = _room(name)
        if other not in _ROOMS or other in ("cdc", _room(module)) or module == "cli":
            continue
        if (module, other) not in _ROOM_EXCEPTIONS:
            yield f"{module}:{line} imports {name}: rooms see each other only through cdc"


def _upward(module: str, imported: list[tuple[int, str]]) -> Iterator[str]:
    for line, name in imported:
        if name.startswith("."):
            yield f"{module}:{line} has a relative import, which hides its room"
        elif _room(name) in (*_ROOMS, "cli") and _floor(name) > _floor(module):
            yield f"{module}:{line} (floor {_floor(module)}) imports {name} (floor {_floor(name)})"


_READ: Final = {module: list(_imports(ast.parse(file.read_text("utf-8")))) for module, file in _MODULES.items()}


def test_every_module_of_cdc_stands_on_a_floor() -> None:
    known = frozenset().union(*_FLOORS)
    unplaced = {module for module in _MODULES if module.startswith("cdc.") and module.split(".")[1] not in known}
    assert not unplaced


def test_each_floor_names_only_modules_that_exist() -> None:
    there = {module.split(".")[1] for module in _MODULES if module.startswith("cdc.")}
    assert frozenset().union(*_FLOORS) <= there


@pytest.mark.parametrize("breaks", [_upward, _library_breaks, _room_breaks], ids=["down", "libraries", "rooms"])
def test_imports_keep_the_rule(breaks: object) -> None:
    assert callable(breaks)
    assert [line for module, imported in _READ.items() for line in breaks(module, imported)] == []


def test_each_exception_is_still_needed() -> None:
    used = {(module, _room(name)) for module, imported in _READ.items() for _, name in imported}
    assert {*_LIBRARY_EXCEPTIONS, *_ROOM_EXCEPTIONS} <= used


@pytest.mark.parametrize(
    ("module", "code", "breaks"),
    [
        ("cdc.values.money", "from cdc.task import Task", _upward),
        ("cdc.render", "def late():\n    import cdc.kafka.producer", _upward),
        ("cdc.render", "from . import rows", _upward),
        ("cdc.render", "from psycopg import sql", _library_breaks),
        ("views.store", "def late():\n    import confluent_kafka", _library_breaks),
        ("cdc.tokens", "import typer", _library_breaks),
        ("views.store", "from connectors import console", _room_breaks),
    ],
)
def test_an_import_against_the_rules_is_seen(module: str, code: str, breaks: object) -> None:
    assert callable(breaks)
    assert list(breaks(module, list(_imports(ast.parse(code)))))
