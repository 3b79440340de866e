"""How the rows of one relation look as records: topic, key, columns and schemas.

A layout is made when a Relation message arrives, from that message and what the catalogue adds (key order, NOT NULL,
defaults). Where the two disagree, an ALTER lies between the row and the catalogue, and the message wins.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from cdc.model.relation import Column, PgType, Relation, ReplicaIdentity, TableFacts
from cdc.model.schema import Schema, struct_schema
from cdc.selection import Selection
from cdc.topics import TopicNames
from cdc.values.registry import Codec, ValueModes, resolve


@dataclass(frozen=True, slots=True)
class LayoutOptions:
    """What a configuration says about the shape of rows.

    Attributes:
        topics: Topic and schema names.
        selection: Captured tables and columns.
        modes: How values look.
        key_columns: `message.key.columns`, as `(schema, table) -> column names or None`.
        adjust_field: The function of `field.name.adjustment.mode`.
    """

    topics: TopicNames
    selection: Selection
    modes: ValueModes = field(default_factory=ValueModes)
    key_columns: Callable[[str, str], tuple[str, ...] | None] = lambda _schema, _table: None
    adjust_field: Callable[[str], str] = lambda name: name


@dataclass(frozen=True, slots=True)
class LayoutColumn:
    """One published column.

    Attributes:
        index: Its place in the row data.
        column: The relation's column.
        name: The field's name.
        codec: How its values are written.
        schema: Its schema in `after` and in the key.
        before_schema: Its schema in `before`, where a value that was not sent is null.
        in_value: Whether it is a field of the row, and not of the key alone.
    """

    index: int
    column: Column
    name: str
    codec: Codec
    schema: Schema
    before_schema: Schema
    in_value: bool


@dataclass(frozen=True, slots=True)
class Layout:
    """How one relation is published.

    Attributes:
        relation: The Relation message.
        topic: Where its records go.
        columns: Published columns in row order.
        key: Key columns in key order; empty where records have no key.
        key_schema: None without a key.
        row_schema: The schema of `after`.
        before_schema: The schema of `before`.
        modes: How values look.
        inexact: Names of columns whose type is not mapped, so that their text stands in.
    """

    relation: Relation
    topic: str
    columns: tuple[LayoutColumn, ...]
    key: tuple[LayoutColumn, ...]
    key_schema: Schema | None
    row_schema: Schema
    before_schema: Schema
    modes: ValueModes
    inexact: tuple[str, ...]


def make_layout(relation: Relation, facts: TableFacts, types: Mapping[int, PgType], options: LayoutOptions) -> Layout:
    """Lay out a relation.

    Args:
        relation: The Relation message.
        facts: What the catalogue knows of the table now; empty when the table is gone.
        types: `pg_type` by OID.
        options: What the configuration says.
    """
    topic = options.topics.data(relation.schema, relation.name)
    key_names = _key_names(relation, facts, options)
    columns: list[LayoutColumn] = []
    for index, column in enumerate(relation.columns):
        published = options.selection.publishes(relation.schema, relation.name, column.name)
        if not published and column.name not in key_names:
            continue
        codec = resolve(column.type_oid, column.typmod, types, options.modes)
        if codec is None:
            continue
        columns.append(_column(index, column, codec, facts, key_names, options, in_value=published))
    by_name = {column.column.name: column for column in columns}
    key = tuple(by_name[name] for name in key_names if name in by_name)
    names = options.topics
    in_value = [column for column in columns if column.in_value]
    value_name = names.schema_name(topic, "Value")
    return Layout(
        relation=relation,
        topic=topic,
        columns=tuple(in_value),
        key=key,
        key_schema=struct_schema([(column.name, column.schema) for column in key], name=names.schema_name(topic, "Key"))
        if key
        else None,
        row_schema=struct_schema([(c.name, c.schema) for c in in_value], name=value_name, optional=True),
        before_schema=struct_schema([(c.name, c.before_schema) for c in in_value], name=value_name, optional=True),
        modes=options.modes,
        inexact=tuple(column.column.name for column in in_value if not column.codec.exact),
    )


def _column(
    index: int,
    column: Column,
    codec: Codec,
    facts: TableFacts,
    key_names: tuple[str, ...],
    options: LayoutOptions,
    *,
    in_value: bool,
) -> LayoutColumn:
    known = facts.columns.get(column.name)
    # Without the catalogue's word a key column is NOT NULL: Postgres refuses a nullable index as identity.
    not_null = known.not_null if known is not None else column.key and column.name in key_names
    schema = codec.schema
    if not not_null:
        schema = schema.as_optional()
    before = schema
    if not options.modes.strict and column.name not in key_names:
        before = schema.as_optional()
    return LayoutColumn(index, column, options.adjust_field(column.name), codec, schema, before, in_value)


def _key_names(relation: Relation, facts: TableFacts, options: LayoutOptions) -> tuple[str, ...]:
    present = {column.name for column in relation.columns}
    override = options.key_columns(relation.schema, relation.name)
    if override is not None:
        return tuple(name for name in override if name in present)
    identity = tuple(column.name for column in relation.columns if column.key)
    from_catalogue = next(
        (names for names in (facts.primary_key, facts.unique_key) if names and present.issuperset(names)), ()
    )
    if options.modes.strict:
        return from_catalogue
    if relation.identity in (ReplicaIdentity.DEFAULT, ReplicaIdentity.INDEX) and identity:
        # The key must be what an UPDATE or DELETE carries. The catalogue only knows its order.
        for names in (facts.primary_key, facts.unique_key):
            if set(names) == set(identity):
                return names
        return identity
    return from_catalogue
