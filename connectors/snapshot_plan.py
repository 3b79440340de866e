"""Which rows a start reads before or beside the stream, and how: `snapshot.mode` and its companions.

Source: Debezium documentation, Postgres connector, "Snapshots".
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from cdc.errors import ConfigError, Problem
from cdc.layout import Layout, make_layout
from cdc.model.relation import PgType, Relation
from cdc.options import Options
from cdc.postgres.catalog import Catalog, Table
from cdc.postgres.preflight import captured
from cdc.postgres.snapshot import SnapshotTable, describe
from cdc.selection import compile_patterns
from connectors.postgres import PipelineConfig


@dataclass(frozen=True, slots=True)
class SnapshotMode:
    """What a `snapshot.mode` means.

    Attributes:
        first: Rows are read at a first start.
        always: Rows are read at every start.
        when_lost: Rows are read again, from a new slot, when the position is lost.
        streams: Streaming follows.
    """

    first: bool
    always: bool
    when_lost: bool
    streams: bool


def snapshot_mode(options: Options) -> SnapshotMode:
    """The meaning of the configured mode.

    Raises:
        ConfigError: `custom`, whose class is Java.
    """
    mode = options["snapshot.mode"]
    if mode == "configuration_based":
        prefix = "snapshot.mode.configuration.based."
        return SnapshotMode(
            options[prefix + "snapshot.data"], False,
            options[prefix + "snapshot.on.data.error"], options[prefix + "start.stream"],
        )  # fmt: skip
    known = {
        "initial": SnapshotMode(True, False, False, True),
        "always": SnapshotMode(True, True, False, True),
        "initial_only": SnapshotMode(True, False, False, False),
        "no_data": SnapshotMode(False, False, False, True),
        "never": SnapshotMode(False, False, False, True),
        "when_needed": SnapshotMode(True, False, True, True),
    }
    if mode not in known:
        raise ConfigError([Problem("snapshot.mode", f"{mode} names a Java class, which the native engine cannot run")])
    return known[mode]


@dataclass(frozen=True, slots=True)
class SnapshotPlan:
    """The tables of a snapshot.

    Attributes:
        tables: In the order in which they are read.
        layouts: Published `schema.table` -> layout.
    """

    tables: tuple[SnapshotTable, ...]
    layouts: Mapping[str, Layout]

    @property
    def keyless(self) -> list[SnapshotTable]:
        """Tables whose records have no key, or whose statement cannot be cut: they are read whole."""
        return [t for t in self.tables if not self.layouts[t.relation.qualified].key or not t.key]

    @property
    def keyed(self) -> list[SnapshotTable]:
        """Tables that are read by chunks."""
        whole = {table.name for table in self.keyless}
        return [table for table in self.tables if table.name not in whole]


def plan_snapshot(config: PipelineConfig, catalog: Catalog) -> SnapshotPlan:
    """Lay out the tables that are captured, and that `snapshot.include.collection.list` names.

    Raises:
        ConfigError: A statement override without its statement.
    """
    include = compile_patterns(config.options["snapshot.include.collection.list"])
    overrides = _overrides(config.options)
    types = catalog.types()
    chosen = [
        table
        for table in captured(catalog.tables(), config.wanted.selection)
        if table.kind == "r" and (not include or any(p.fullmatch(table.qualified) for p in include))
    ]
    tables: list[SnapshotTable] = []
    layouts: dict[str, Layout] = {}
    for table in chosen:
        root = _root(catalog, table) if config.options["publish.via.partition.root"] and table.partition else table.oid
        found = describe(catalog, root)
        if found is None:
            continue
        relation, column_types = found
        layout = layouts.get(relation.qualified) or _layout(config, catalog, relation, types)
        layouts[relation.qualified] = layout
        key = tuple(column.column.name for column in layout.key)
        override = overrides.get(table.qualified.lower())
        tables.append(
            SnapshotTable(
                (table.schema, table.name),
                relation,
                key,
                tuple(column_types[name] for name in key),
                override,
                table.rows,
            )
        )
    return SnapshotPlan(tuple(sorted(tables, key=lambda t: t.name)), layouts)


def _layout(config: PipelineConfig, catalog: Catalog, relation: Relation, types: Mapping[int, PgType]) -> Layout:
    return make_layout(relation, catalog.table_facts(relation.oid), types, config.layout)


def _root(catalog: Catalog, table: Table) -> int:
    root = catalog.value("select pg_partition_root(%s::oid)::oid::int8", (table.oid,))
    return int(root) if root else table.oid


def _overrides(options: Options) -> dict[str, str]:
    """`schema.table` in lower case -> the statement that stands in for it."""
    found = {}
    problems = []
    for name in options["snapshot.select.statement.overrides"]:
        statement: Any = options.get(f"snapshot.select.statement.overrides.{name}")
        if not statement:
            problems.append(Problem(f"snapshot.select.statement.overrides.{name}", "is missing: the table is listed"))
            continue
        found[name.lower()] = str(statement)
    if problems:
        raise ConfigError(problems)
    return found


def names(tables: Sequence[SnapshotTable], most: int = 5) -> str:
    """Table names for a message."""
    shown = ", ".join(table.name for table in tables[:most])
    return shown + (f" and {len(tables) - most} more" if len(tables) > most else "")
