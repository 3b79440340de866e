"""How the rows of one table look, on both sides of a comparison."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final

import orjson
from psycopg import sql

from cdc.converters.json import JsonConverter
from cdc.errors import OperatorError
from cdc.layout import Layout, make_layout
from cdc.model.relation import PgType, Relation, ReplicaIdentity, TableFacts
from cdc.postgres.catalog import Catalog
from cdc.postgres.preflight import captured
from cdc.postgres.snapshot_tables import describe
from legacy_db.bridge import Bridge
from legacy_db.expected import DEFAULT_FOR_NULL, Expectation, expectation

ROW: Final = '"seam row"'
"""The alias of an expected row in SQL; a column may well be called `r`."""

KEY_END: Final = "\x02"
"""Between key and row in a file: JSON has no such character."""

_MOST_COLUMNS: Final = 1600
"""Of a result, by Postgres; a little less."""

_PAYLOAD: Final = b',"payload":'


@dataclass(frozen=True, slots=True)
class TableShape:
    """One table as it is published.

    Attributes:
        table: `schema.table` as published.
        relation: As a Relation message describes it.
        layout: How its rows look as records.
        facts: Keys, nullability, defaults.
        types: The catalogue's types by OID.
        column_types: Column -> type as SQL.
        members: The tables whose own rows it has: itself, or its partitions where it is published as their root.
        expected: Field -> how its values are compared, in row order.
        key: Field names of the key, in key order; empty for none.
        literal_key: Whether equal keys have equal bytes on both sides.
        markers: Field -> JSON value that stands for an unchanged TOAST value, where one can occur.
        marker_texts: Bytes that occur in every record with such a value.
        defaults: Field -> JSON value that a NULL is published as.
        filter: The publication's condition of the rows that it publishes, None for all.
    """

    table: str
    relation: Relation
    layout: Layout
    facts: TableFacts
    types: Mapping[int, PgType]
    column_types: Mapping[str, str]
    members: tuple[str, ...]
    expected: Mapping[str, Expectation]
    key: tuple[str, ...]
    literal_key: bool
    markers: Mapping[str, Any]
    marker_texts: tuple[bytes, ...]
    defaults: Mapping[str, Any]
    filter: str | None = None

    @property
    def topic(self) -> str:
        """Its topic."""
        return self.layout.topic

    @property
    def quoted(self) -> str:
        """Its quoted name."""
        return sql.Identifier(self.relation.schema, self.relation.name).as_string()

    def key_of(self, *, schemas: bool) -> Callable[[bytes], bytes] | None:
        """Brings a topic's key bytes to the form in which both sides are looked up; None where they have it already.

        Args:
            schemas: Whether the key's schema stands beside it.
        """
        texts = any(column.codec.schema.type.value == "string" for column in self.layout.key)
        if self.literal_key and not texts and not schemas:
            return None
        return lambda key: self.canonical_key(key_payload(key), topic=True)

    def canonical_key(self, key: bytes, *, topic: bool) -> bytes:
        """A key in the form in which both sides are looked up."""
        if self.literal_key:
            return orjson.dumps(orjson.loads(key)) if b"\\" in key else key
        row = json.loads(key, parse_float=str)
        forms = [(e.topic if topic else e.legacy)(row[name]) for name, e in self._key_expected]
        return repr(forms).encode()

    @property
    def _key_expected(self) -> list[tuple[str, Expectation]]:
        return [(name, self.expected[name]) for name in self.key]

    def canonical_row(self, row: bytes, *, topic: bool) -> bytes:
        """A whole row in the form in which rows without a key are counted."""
        values = json.loads(row, parse_float=str)
        forms = []
        for name, one in self.expected.items():
            value = values.get(name)
            forms.append(None if value is None or value in one.special else (one.topic if topic else one.legacy)(value))
        return repr(forms).encode()

    def same(self, field: str, topic: Any, legacy: Any) -> str | None:
        """Compare one value; see `Expectation.same`."""
        if legacy is None and topic is not None and self.defaults.get(field) == topic:
            return DEFAULT_FOR_NULL
        return self.expected[field].same(topic, legacy)


def key_payload(key: bytes) -> bytes:
    """The key without its schema."""
    if key.startswith(b'{"schema":'):
        return key[key.find(_PAYLOAD) + len(_PAYLOAD) : -1]
    return key


def _toastable(catalog: Catalog, oid: int) -> set[str]:
    rows = catalog.rows(
        "select attname from pg_attribute where attrelid = %s and attnum > 0 and not attisdropped and attstorage <> 'p'",
        (oid,),
    )
    return {row[0] for row in rows}


def published_tables(catalog: Catalog, bridge: Bridge) -> dict[str, tuple[str, ...]]:
    """Published `schema.table` -> tables whose own rows it has, of all that the pipeline captures."""
    roots = dict(
        catalog.rows(
            "select c.oid::int8, n.nspname || '.' || p.relname from pg_class c "
            "join pg_class p on p.oid = pg_partition_root(c.oid) join pg_namespace n on n.oid = p.relnamespace "
            "where c.relispartition"
        )
    )
    found: dict[str, list[str]] = {}
    for table in captured(catalog.tables(), bridge.wanted.selection):
        if table.kind == "r":
            name = roots.get(table.oid, table.qualified) if bridge.via_root else table.qualified
            found.setdefault(name, []).append(table.qualified)
    return {name: tuple(members) for name, members in found.items()}


def expand(catalog: Catalog, bridge: Bridge, tables: tuple[str, ...]) -> dict[str, tuple[str, ...]]:
    """The published tables behind the tables of a slice: of a partitioned one its partitions, unless the root is published.

    Raises:
        OperatorError: The pipeline does not capture one of them.
    """
    published = published_tables(catalog, bridge)
    partitions: dict[str, list[str]] = {}
    for root, leaf in catalog.rows(
        "select pn.nspname || '.' || p.relname, n.nspname || '.' || c.relname from pg_class c "
        "join pg_namespace n on n.oid = c.relnamespace join pg_class p on p.oid = pg_partition_root(c.oid) "
        "join pg_namespace pn on pn.oid = p.relnamespace where c.relispartition and c.relkind = 'r'"
    ):
        partitions.setdefault(root, []).append(leaf)
    found: dict[str, tuple[str, ...]] = {}
    missing = []
    for table in tables:
        names = [table] if table in published else partitions.get(table, [table])
        missing += [name for name in names if name not in published]
        found.update({name: published[name] for name in names if name in published})
    if missing:
        raise OperatorError(
            f"connector {bridge.name!r} does not capture {', '.join(missing)}",
            hint="do they exist, are they logged, and does table.include.list name them?",
        )
    return found


def read_shape(
    catalog: Catalog, bridge: Bridge, table: str, members: tuple[str, ...], types: Mapping[int, PgType] | None = None
) -> TableShape:
    """Read a table's shape from the catalogue.

    Raises:
        OperatorError: There is no such table.
    """
    schema, _, name = table.partition(".")
    oid = catalog.value("select to_regclass(%s)::oid::int8", (sql.Identifier(schema, name).as_string(),))
    found = describe(catalog, oid, bridge.wanted.publication) if oid is not None else None
    if found is None:
        raise OperatorError(f"there is no table {table} at {bridge.source.address}")
    relation, column_types = found.relation, found.types
    known = types if types is not None else catalog.types()
    facts = catalog.table_facts(relation.oid)
    layout = make_layout(relation, facts, known, bridge.layout)
    modes = bridge.layout.modes
    expected = {c.name: expectation(c.column, c.codec, known, modes) for c in layout.columns}
    converter = JsonConverter(schemas_enable=False, decimal_numeric=modes.decimal_numeric)
    toast = set() if relation.identity is ReplicaIdentity.FULL else _toastable(catalog, relation.oid)
    texts = {
        c.name: converter.payload(c.codec.schema, c.codec.unavailable)
        for c in layout.columns
        if c.column.name in toast and c.codec.unavailable is not None
    }
    defaults = {}
    if bridge.render.null_as_default:
        defaults = {
            c.name: json.loads(converter.payload(c.schema, c.schema.default))
            for c in layout.columns
            if c.schema.default is not None
        }
    key = tuple(column.name for column in layout.key)
    return TableShape(
        table, relation, layout, facts, known, column_types, members, expected, key,
        literal_key=all(name in expected and expected[name].literal for name in key),
        markers={name: json.loads(text) for name, text in texts.items()},
        marker_texts=tuple(dict.fromkeys(text.strip('"').encode() for text in texts.values())), defaults=defaults,
        filter=found.filter,
    )  # fmt: skip


def select_rows(shape: TableShape, quoted_table: str, *, only: bool, condition: str = "") -> str:
    """The SELECT of a table's rows in their expected form: the key as JSON and the row as JSON.

    Args:
        shape: The table.
        quoted_table: Whose rows.
        only: Whether rows of inheritance children are left out.
        condition: SQL after WHERE.
    """
    inner = _expected_rows(shape, quoted_table, only=only, condition=condition)
    return f"select {key_expression(shape)}, row_to_json({ROW}) from ({inner}) {ROW}"


def copy_rows(shape: TableShape, quoted_table: str, *, only: bool, condition: str, keyed: bool) -> str:
    """The SELECT of a COPY of a table's rows: the texts between the values are columns, which costs half of `row_to_json`.

    The columns are to stand without anything between them, `KEY_END` behind the key, and `null` for NULL.

    Args:
        shape: The table.
        quoted_table: Whose rows.
        only: Whether rows of inheritance children are left out.
        condition: SQL after WHERE.
        keyed: Whether the key stands before the row; without it, it is the row's own beginning.
    """
    pieces = [key_expression(shape), sql.Literal(KEY_END).as_string()] if keyed else []
    opening = "{"
    for name, one in shape.expected.items():
        pieces.append(sql.Literal(opening + json.dumps(name, ensure_ascii=False) + ":").as_string())
        value = f"{ROW}.{sql.Identifier(name).as_string()}"
        pieces.append(value if one.number else f"to_json({value})")
        opening = ","
    pieces.append("'}'")
    if len(pieces) > _MOST_COLUMNS:
        pieces = [*pieces[: 2 if keyed else 0], f"row_to_json({ROW})"]
    inner = _expected_rows(shape, quoted_table, only=only, condition=condition)
    return f"select {', '.join(pieces)} from ({inner}) {ROW}"


def _expected_rows(shape: TableShape, quoted_table: str, *, only: bool, condition: str) -> str:
    fields = []
    for column in shape.layout.columns:
        quoted = sql.Identifier(column.column.name).as_string()
        expression = shape.expected[column.name].sql.replace("{}", quoted)
        fields.append(f"{expression} as {sql.Identifier(column.name).as_string()}")
    conditions = " and ".join(f"({one})" for one in (condition, shape.filter) if one)
    where = f" where {conditions}" if conditions else ""
    return f"select {', '.join(fields)} from {'only ' if only else ''}{quoted_table}{where}"


def key_expression(shape: TableShape) -> str:
    """SQL for the key as the topic's key payload, over the expected row `ROW`."""
    parts = []
    opening = "{"
    for name in shape.key:
        label = sql.Literal(opening + json.dumps(name, ensure_ascii=False) + ":").as_string()
        parts.append(f"{label} || coalesce(to_json({ROW}.{sql.Identifier(name).as_string()})::text, 'null')")
        opening = ","
    return " || ".join(parts) + " || '}'"


def leads_with_key(shape: TableShape) -> bool:
    """Whether the row's JSON begins with its key, an integer: then the key need not be rendered twice."""
    if len(shape.key) != 1 or not shape.layout.columns or shape.layout.columns[0].name != shape.key[0]:
        return False
    if "," in json.dumps(shape.key[0], ensure_ascii=False):
        return False  # where the key ends is found by the first comma
    return shape.layout.key[0].codec.schema.type.value in ("int16", "int32", "int64")
