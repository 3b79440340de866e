"""What a legacy database holds, read without changing anything: SQLAlchemy's reflection, and the catalogues beside it."""

from __future__ import annotations

import re
import warnings
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, Final

import sqlalchemy
from sqlalchemy.engine import Connection, Inspector
from sqlalchemy.exc import SAWarning

from legacy_db import catalogue_queries as queries
from legacy_db.bridge import Bridge


@dataclass(frozen=True, slots=True)
class ColumnInfo:
    """One column.

    Attributes:
        name: Its name.
        type: `format_type`.
        nullable: Whether it may be NULL.
        default: The default's expression.
        generated: "" or "stored" or "virtual".
        identity: "" or "always" or "by default".
    """

    name: str
    type: str
    nullable: bool
    default: str | None = None
    generated: str = ""
    identity: str = ""


@dataclass(frozen=True, slots=True)
class ForeignKey:
    """One foreign key.

    Attributes:
        name: Its name.
        table: `schema.table` that refers.
        columns: Its columns.
        target: `schema.table` that is referred to.
        target_columns: Their columns.
        on_update: Action, as "NO ACTION".
        on_delete: Action.
        deferrable: Whether it can be deferred.
        deferred: Whether it is at first.
        validated: False for NOT VALID.
    """

    name: str
    table: str
    columns: tuple[str, ...]
    target: str
    target_columns: tuple[str, ...]
    on_update: str
    on_delete: str
    deferrable: bool
    deferred: bool
    validated: bool

    @property
    def acts(self) -> bool:
        """Whether a change of the referred row changes the referring one."""
        return not {self.on_update, self.on_delete} <= {"NO ACTION", "RESTRICT"}


@dataclass(frozen=True, slots=True)
class Trigger:
    """One trigger, with the tables that its function seems to write.

    Attributes:
        name: Its name.
        table: `schema.table` that it stands on.
        function: `schema.function`.
        events: As "INSERT OR UPDATE".
        timing: BEFORE, AFTER or INSTEAD OF.
        enabled: `tgenabled`: O origin, D disabled, R replica, A always.
        security_definer: Whether it runs as its owner.
        writes: `schema.table` names found in the function's text after INSERT INTO, UPDATE, DELETE FROM.
    """

    name: str
    table: str
    function: str
    events: str
    timing: str
    enabled: str
    security_definer: bool
    writes: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class TableInfo:
    """One table.

    Attributes:
        schema: Its schema.
        name: Its name.
        oid: Its OID.
        kind: table, partitioned, partition or foreign.
        persistence: permanent or unlogged.
        rows: The planner's estimate.
        bytes: On disk, indexes aside.
        columns: In order.
        primary_key: Its columns, empty for none.
        unique: Unique keys: name -> columns.
        identity: Replica identity: default, nothing, full, index.
        identity_usable: Whether UPDATE and DELETE keep working once it is published.
        key_trouble: Why the key cannot serve as identity: "", "deferrable", "nullable", "none".
        parents: What it inherits from, partitioned parent included.
        children: What inherits from it.
        rules: Rewrite rules: name -> the other tables that it touches.
        row_security: Whether row-level security is on.
        owner: Its owner.
        inserts: Rows inserted since the statistics began.
        updates: Rows updated.
        deletes: Rows deleted.
        seconds: Since when these count; None when it is not known.
    """

    schema: str
    name: str
    oid: int
    kind: str
    persistence: str
    rows: int
    bytes: int
    columns: tuple[ColumnInfo, ...]
    primary_key: tuple[str, ...]
    unique: Mapping[str, tuple[str, ...]]
    identity: str
    identity_usable: bool
    key_trouble: str
    parents: tuple[str, ...]
    children: tuple[str, ...]
    rules: Mapping[str, tuple[str, ...]]
    row_security: bool
    owner: str
    inserts: int = 0
    updates: int = 0
    deletes: int = 0
    seconds: float | None = None

    @property
    def qualified(self) -> str:
        """`schema.table`."""
        return f"{self.schema}.{self.name}"

    @property
    def writes_per_second(self) -> float | None:
        """Rows written per second since the statistics began."""
        return (self.inserts + self.updates + self.deletes) / self.seconds if self.seconds else None


@dataclass(frozen=True, slots=True)
class View:
    """A view or materialised view, and what it reads."""

    name: str
    materialized: bool
    reads: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Inventory:
    """All that was found.

    Attributes:
        database: Name, version, encoding, collation, settings that matter, open and prepared transactions.
        tables: By `schema.table`.
        foreign_keys: All of them.
        triggers: All of them, on views too.
        views: All views.
        sequences: Sequence -> `schema.table` names whose defaults draw from it.
        roles: Roles that may read or write tables: role -> privileges -> number of tables.
        large_objects: How many there are.
        generated: `schema.table.column` -> expression of generated columns.
    """

    database: Mapping[str, Any]
    tables: Mapping[str, TableInfo]
    foreign_keys: tuple[ForeignKey, ...]
    triggers: tuple[Trigger, ...]
    views: tuple[View, ...]
    sequences: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    roles: Mapping[str, Mapping[str, int]] = field(default_factory=dict)
    large_objects: int = 0
    generated: Mapping[str, str] = field(default_factory=dict)

    def as_json(self) -> dict[str, Any]:
        """The inventory as a JSON object."""
        document = asdict(self)
        document["tables"] = [
            {**entry, "table": name, "writes_per_second": self.tables[name].writes_per_second}
            for name, entry in document["tables"].items()
        ]
        return document


def read_inventory(bridge: Bridge) -> Inventory:
    """Read everything, in one read-only transaction of SQLAlchemy's and with SELECTs only.

    Raises:
        SeamError: The database cannot be reached or refuses.
    """
    with bridge.engine().connect() as plain:
        connection = plain.execution_options(isolation_level="REPEATABLE READ", postgresql_readonly=True)
        with connection.begin():
            return _read(connection)


def _rows(connection: Connection, query: str) -> list[tuple[Any, ...]]:
    return [tuple(row) for row in connection.exec_driver_sql(query)]


def _read(connection: Connection) -> Inventory:
    inspector = sqlalchemy.inspect(connection)
    schemas = [row[0] for row in _rows(connection, queries.SCHEMAS)]
    columns, keys, unique, foreign = _reflect(inspector, schemas)
    facts = _rows(connection, queries.TABLES)
    types = {(row[0], row[1]): row[2] for row in _rows(connection, queries.COLUMN_TYPES)}
    parents: dict[str, list[str]] = {}
    children: dict[str, list[str]] = {}
    for child, parent in _rows(connection, queries.INHERITANCE):
        parents.setdefault(child, []).append(parent)
        children.setdefault(parent, []).append(child)
    rules: dict[str, dict[str, tuple[str, ...]]] = {}
    for table, rule, touched in _rows(connection, queries.RULES):
        rules.setdefault(table, {})[rule] = tuple(touched)
    seconds = _rows(connection, queries.STATISTICS_AGE)[0][0]
    tables = {}
    for (oid, schema, name, kind, persistence, rows, size, identity, usable, trouble, security, owner, *counts) in facts:  # fmt: skip
        qualified = f"{schema}.{name}"
        tables[qualified] = TableInfo(
            schema, name, oid, kind, persistence, rows, size,
            columns=tuple(_column(column, types[oid, column["name"]]) for column in columns.get((schema, name), [])),
            primary_key=tuple(keys.get((schema, name), ())), unique=unique.get((schema, name), {}),
            identity=identity, identity_usable=usable, key_trouble=trouble,
            parents=tuple(sorted(parents.get(qualified, ()))), children=tuple(sorted(children.get(qualified, ()))),
            rules=rules.get(qualified, {}), row_security=security, owner=owner,
            inserts=counts[0], updates=counts[1], deletes=counts[2], seconds=seconds,
        )  # fmt: skip
    validated = {(row[0], row[1]): row[2] for row in _rows(connection, queries.VALIDATED)}
    return Inventory(
        database=_database(connection),
        tables=tables,
        foreign_keys=tuple(_foreign_key(table, key, validated) for table, keys in foreign.items() for key in keys),
        triggers=_triggers(connection, set(tables)),
        views=tuple(View(name, kind == "m", tuple(reads)) for name, kind, reads in _rows(connection, queries.VIEWS)),
        sequences={name: tuple(used) for name, used in _rows(connection, queries.SEQUENCES)},
        roles=_roles(connection),
        large_objects=_rows(connection, queries.LARGE_OBJECTS)[0][0],
        generated={
            f"{schema}.{table}.{column['name']}": column["computed"]["sqltext"]
            for (schema, table), found in columns.items()
            for column in found
            if column.get("computed")
        },
    )


_Place = tuple[str, str]


def _reflect(
    inspector: Inspector, schemas: Iterable[str]
) -> tuple[
    dict[_Place, list[Any]], dict[_Place, list[str]], dict[_Place, dict[str, tuple[str, ...]]], dict[_Place, list[Any]]
]:
    kind = sqlalchemy.engine.reflection.ObjectKind.TABLE
    columns: dict[_Place, list[Any]] = {}
    keys: dict[_Place, list[str]] = {}
    unique: dict[_Place, dict[str, tuple[str, ...]]] = {}
    foreign: dict[_Place, list[Any]] = {}
    with warnings.catch_warnings():
        # A type that SQLAlchemy does not know: its name comes from format_type anyway.
        warnings.simplefilter("ignore", SAWarning)
        for schema in schemas:
            for (_, name), found in inspector.get_multi_columns(schema, kind=kind).items():
                columns[schema, name] = list(found)
            for (_, name), key in inspector.get_multi_pk_constraint(schema, kind=kind).items():
                keys[schema, name] = list(key["constrained_columns"]) if key else []
            for (_, name), constraints in inspector.get_multi_unique_constraints(schema, kind=kind).items():
                unique[schema, name] = {str(item["name"]): tuple(item["column_names"]) for item in constraints}
            for (_, name), references in inspector.get_multi_foreign_keys(schema, kind=kind).items():
                foreign[schema, name] = list(references)
    return columns, keys, unique, foreign


def _column(column: Mapping[str, Any], type_name: str) -> ColumnInfo:
    computed, identity = column.get("computed"), column.get("identity")
    return ColumnInfo(
        str(column["name"]), type_name, bool(column["nullable"]), None if computed else column.get("default"),
        generated=("stored" if computed.get("persisted", True) else "virtual") if computed else "",
        identity=("always" if identity["always"] else "by default") if identity else "",
    )  # fmt: skip


def _foreign_key(place: _Place, key: Mapping[str, Any], validated: Mapping[tuple[str, str], bool]) -> ForeignKey:
    table, options = f"{place[0]}.{place[1]}", key.get("options", {})
    return ForeignKey(
        str(key["name"]), table, tuple(key["constrained_columns"]),
        f"{key['referred_schema'] or 'public'}.{key['referred_table']}", tuple(key["referred_columns"]),
        on_update=options.get("onupdate", "NO ACTION"), on_delete=options.get("ondelete", "NO ACTION"),
        deferrable=bool(options.get("deferrable")), deferred=options.get("initially") == "DEFERRED",
        validated=validated.get((table, str(key["name"])), True),
    )  # fmt: skip


_WRITES: Final = re.compile(
    r'\b(?:insert\s+into|update|delete\s+from|truncate(?:\s+table)?)\s+(?:only\s+)?((?:"[^"]+"|[\w$]+)(?:\.(?:"[^"]+"|[\w$]+))?)',
    re.IGNORECASE,
)
_COMMENTS: Final = re.compile(r"--[^\n]*|/\*.*?\*/", re.DOTALL)


def written_tables(function_text: str, known: Iterable[str]) -> tuple[str, ...]:
    """The tables that a function's text names after INSERT INTO, UPDATE, DELETE FROM or TRUNCATE.

    A text search: dynamic SQL escapes it, which is why tables written together are learned from the stream as well.
    """
    tables = set(known)
    by_name: dict[str, set[str]] = {}
    for table in tables:
        by_name.setdefault(table.partition(".")[2], set()).add(table)
    found: set[str] = set()
    for match in _WRITES.finditer(_COMMENTS.sub(" ", function_text)):
        parts = [
            part[1:-1] if part.startswith('"') else part.lower() for part in re.findall(r'"[^"]+"|[\w$]+', match[1])
        ]
        name = ".".join(parts)
        found |= {name} & tables if len(parts) == 2 else by_name.get(name, set())
    return tuple(sorted(found))


def _triggers(connection: Connection, known: set[str]) -> tuple[Trigger, ...]:
    return tuple(
        Trigger(name, table, function, _events(bits), _timing(bits), enabled, definer, written_tables(source, known))
        for name, table, function, bits, enabled, definer, source in _rows(connection, queries.TRIGGERS)
    )


def _events(bits: int) -> str:
    # pg_trigger.h: ROW 1, BEFORE 2, INSERT 4, DELETE 8, UPDATE 16, TRUNCATE 32, INSTEAD 64.
    words = ((4, "INSERT"), (16, "UPDATE"), (8, "DELETE"), (32, "TRUNCATE"))
    return " OR ".join(word for bit, word in words if bits & bit)


def _timing(bits: int) -> str:
    return "INSTEAD OF" if bits & 64 else "BEFORE" if bits & 2 else "AFTER"


def _database(connection: Connection) -> dict[str, Any]:
    row = connection.exec_driver_sql(queries.DATABASE).mappings().one()
    return dict(row)


def _roles(connection: Connection) -> dict[str, dict[str, int]]:
    roles: dict[str, dict[str, int]] = {}
    for role, privilege, count in _rows(connection, queries.ROLES):
        roles.setdefault(role, {})[privilege] = count
    return roles
