"""Which rows a start reads before or beside the stream, and how: `snapshot.mode` and its companions.

Source: Debezium documentation, Postgres connector, "Snapshots".
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from cdc.errors import ConfigError, Problem
from cdc.layout import Layout, make_layout
from cdc.model.relation import ReplicaIdentity
from cdc.options import Options
from cdc.postgres.catalog import Catalog, Table
from cdc.postgres.preflight import captured
from cdc.postgres.publication import read_publication
from cdc.postgres.snapshot_tables import SnapshotTable, describe, row_identity, shape_of
from cdc.selection import compile_patterns
from connectors.emit import catalogue_view, layout_options
from connectors.postgres import PipelineConfig

ROW_BYTES: Final = 120


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
        """Tables whose rows nothing in the log tells apart: they are read whole."""
        return [table for table in self.tables if not table.key]

    @property
    def keyed(self) -> list[SnapshotTable]:
        """Tables that are read by chunks."""
        return [table for table in self.tables if table.key]


def plan_snapshot(
    config: PipelineConfig, catalog: Catalog, *, include: str | None = None, overrides: Mapping[str, str] | None = None
) -> SnapshotPlan:
    """Lay out the tables that are captured, and that `snapshot.include.collection.list` names.

    Args:
        config: The configuration.
        catalog: The server.
        include: In place of that option.
        overrides: In place of `snapshot.select.statement.overrides`: table, in lower case -> SELECT.

    Raises:
        ConfigError: A statement override without its statement.
    """
    planner = _Planner(config, catalog)
    if include is not None:
        planner.include = compile_patterns(include)
    if overrides is not None:
        planner.overrides = dict(overrides)
    return planner.plan()


class _Planner:
    """Plans one snapshot."""

    def __init__(self, config: PipelineConfig, catalog: Catalog) -> None:
        self.config = config
        self.catalog = catalog
        self.include = compile_patterns(config.options["snapshot.include.collection.list"])
        self.overrides = _overrides(config.options)
        self.types = catalog.types()
        self.options = layout_options(config, catalog)
        self.publication = read_publication(catalog, config.wanted.publication)
        self.layouts: dict[str, Layout] = {}
        self.tables: list[SnapshotTable] = []

    def plan(self) -> SnapshotPlan:
        everything = self.catalog.tables()
        by_oid = {table.oid: table for table in everything}
        published = self.publication.tables if self.publication is not None else {}
        through_root: set[int] = set()
        for table in captured(everything, self.config.wanted.selection):
            if table.kind != "p" or table.qualified not in published:
                continue
            # Published as a whole: its partitions' rows go under its name.
            leaves = [by_oid[oid] for oid in self._leaves(table.oid) if oid in by_oid]
            through_root.update(leaf.oid for leaf in leaves)
            if table.qualified.lower() in self.overrides:
                leaves = [table]
            for leaf in leaves:
                if self._included(table) or self._included(leaf):
                    self._add(leaf, table)
        for table in captured(everything, self.config.wanted.selection):
            if table.kind == "r" and table.oid not in through_root and self._included(table):
                self._add(table, table)
        return SnapshotPlan(tuple(sorted(self.tables, key=lambda table: table.name)), self.layouts)

    def _included(self, table: Table) -> bool:
        return not self.include or any(pattern.fullmatch(table.qualified) for pattern in self.include)

    def _leaves(self, oid: int) -> list[int]:
        rows = self.catalog.rows(
            "select t.relid::oid::int8 from pg_partition_tree(%s::oid::regclass) t join pg_class c on c.oid = t.relid "
            "where t.isleaf and c.relkind = 'r' and c.relpersistence = 'p'",
            (oid,),
        )
        return [row[0] for row in rows]

    def _add(self, table: Table, published: Table) -> None:
        described = describe(self.catalog, published.oid, self.config.wanted.publication)
        if described is None:
            return
        relation = described.relation
        if relation.qualified not in self.layouts:
            facts = catalogue_view(self.catalog, strict=self.config.strict).facts(relation)
            self.layouts[relation.qualified] = make_layout(relation, facts, self.types, self.options)
        key = described.key
        if table.oid != published.oid and not self._same_identity(table, key):
            key = ()
        self.tables.append(
            SnapshotTable(
                table.oid,
                (table.schema, table.name),
                relation,
                key,
                tuple(described.types[name] for name in key),
                self.overrides.get(table.qualified.lower()),
                table.rows or table.bytes // ROW_BYTES,  # never analysed: a guess by size
                described.filter,
                shape_of(self.catalog, table.oid),
            )
        )

    def _same_identity(self, leaf: Table, key: tuple[str, ...]) -> bool:
        """Whether the log of a partition carries what tells the rows of the whole table apart."""
        return leaf.identity is ReplicaIdentity.FULL or set(row_identity(self.catalog, leaf.oid)) == set(key)


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
