"""How the rows of one relation look as records: topic, key, columns and schemas.

A layout is made when a Relation message arrives, from that message and what the catalogue adds (key order, NOT NULL,
defaults). Where the two disagree, an ALTER lies between the row and the catalogue: the message wins, except in strict
mode, where the catalogue is believed as Debezium believes it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from enum import Enum
from typing import Any, Final

from cdc.column_rules import ColumnRules, Ruled
from cdc.errors import ConfigError, Problem
from cdc.jdbc import describe
from cdc.model.relation import Column, ColumnFacts, PgType, Relation, ReplicaIdentity, TableFacts
from cdc.model.schema import STRING, Schema, struct_schema
from cdc.selection import Selection
from cdc.topics import TopicNames
from cdc.values.builtin import BUILTIN
from cdc.values.registry import NO_DEFAULT, Codec, ValueModes, default_value, fitted, resolve


class Refused(Enum):
    """Stands where a value would have to be invented."""

    REFUSED = "refused"


REFUSED: Final = Refused.REFUSED

# Texts that some types know and some schemas have no room for.
_SPECIAL: Final = (b"NaN", b"Infinity", b"-Infinity", b"infinity", b"-infinity")


@dataclass(frozen=True, slots=True)
class LayoutOptions:
    """What a configuration says about the shape of rows.

    Attributes:
        topics: Topic and schema names.
        selection: Captured tables and columns.
        modes: How values look.
        key_modes: How they look in keys, where the key's converter writes decimals otherwise.
        key_columns: `message.key.columns`, as `(schema, table) -> column names or None`.
        rules: Masks, truncation and propagated types.
        adjust_field: Of `field.name.adjustment.mode`.
        comments: `include.schema.comments`.
    """

    topics: TopicNames
    selection: Selection
    modes: ValueModes = field(default_factory=ValueModes)
    key_modes: ValueModes | None = None
    key_columns: Callable[[str, str], tuple[str, ...] | None] = lambda _schema, _table: None
    rules: ColumnRules = field(default_factory=ColumnRules)
    adjust_field: Callable[[str], str] = lambda name: name
    comments: bool = False


@dataclass(frozen=True, slots=True, eq=False)
class LayoutColumn:
    """One published column, in the row or in the key.

    Attributes:
        index: Its place in the row data.
        column: The relation's column.
        name: The field's name.
        codec: How its values are written.
        schema: Its schema in `after`, or in the key.
        before_schema: Its schema in `before`, where a value that was not sent is null.
        in_value: Whether it is a field of the row, and not of the key alone.
        variable: Names the values of this column in generated code.
        null: What NULL becomes; `REFUSED` where the schema has no room for it.
        absent: What a column becomes that an old key tuple leaves out; `REFUSED` where it must be known.
        unavailable: What an unchanged TOAST value becomes; `REFUSED` as above.
        special: Whether some texts of the type have no value.
    """

    index: int
    column: Column
    name: str
    codec: Codec
    schema: Schema
    before_schema: Schema
    in_value: bool
    variable: str
    null: Any = None
    absent: Any = None
    unavailable: Any = None
    special: bool = False


@dataclass(frozen=True, slots=True)
class Layout:
    """How one relation is published.

    Attributes:
        relation: The Relation message.
        topic: Where its records go.
        columns: Published columns in row order.
        key: Key columns in key order; empty where records have no key of columns.
        key_constant: Field and text that each key ends with, of the regex naming strategies.
        key_schema: None without a key.
        row_schema: The schema of `after`.
        before_schema: The schema of `before`.
        modes: How values look.
        inexact: Names of columns whose type is not mapped, so that their text stands in.
        key_from_elsewhere: Key columns that an UPDATE or DELETE of this relation does not carry.
    """

    relation: Relation
    topic: str
    columns: tuple[LayoutColumn, ...]
    key: tuple[LayoutColumn, ...]
    key_constant: tuple[str, str] | None
    key_schema: Schema | None
    row_schema: Schema
    before_schema: Schema
    modes: ValueModes
    inexact: tuple[str, ...]
    key_from_elsewhere: tuple[str, ...] = ()


def make_layout(
    relation: Relation,
    facts: TableFacts,
    types: Mapping[int, PgType],
    options: LayoutOptions,
    *,
    nullable: frozenset[str] = frozenset(),
) -> Layout:
    """Lay out a relation.

    Args:
        relation: The Relation message.
        facts: What the catalogue knows of the table now; empty when the table is gone.
        types: `pg_type` by OID.
        options: What the configuration says.
        nullable: Columns in which a NULL was seen, whatever the catalogue says now.

    Raises:
        ConfigError: A mask cannot be applied to a column that it names (safe mode).
    """
    return _Maker(relation, facts, types, options, nullable).layout()


class _Maker:
    """Makes one layout."""

    def __init__(
        self, relation: Relation, facts: TableFacts, types: Mapping[int, PgType], options: LayoutOptions,
        nullable: frozenset[str],
    ) -> None:  # fmt: skip
        self.relation = relation
        self.facts = facts
        self.types = types
        self.options = options
        self.nullable = nullable
        self.strict = options.modes.strict
        self.key_names = key_names(relation, facts, options)
        self.sent_in_key = {column.name for column in relation.columns if column.key}
        self.resolved: dict[tuple[int, bool], Codec | None] = {}
        self.ruled: dict[tuple[int, bool], Ruled] = {}

    def layout(self) -> Layout:
        relation, names = self.relation, self.options.topics
        topic = names.data(relation.schema, relation.name)
        columns = [
            made
            for index, column in enumerate(relation.columns)
            if self.options.selection.publishes(relation.schema, relation.name, column.name)
            and (made := self._column(index, column, in_key=False)) is not None
        ]
        key = self._key(columns)
        constant = names.key_identifier(relation.schema, relation.name)
        value_name = names.schema_name(topic, "Value")
        return Layout(
            relation=relation,
            topic=topic,
            columns=tuple(columns),
            key=key,
            key_constant=constant if key else None,
            key_schema=self._key_schema(key, constant, names.schema_name(topic, "Key")),
            row_schema=struct_schema([(c.name, c.schema) for c in columns], name=value_name, optional=True),
            before_schema=struct_schema([(c.name, c.before_schema) for c in columns], name=value_name, optional=True),
            modes=self.options.modes,
            inexact=tuple(column.column.name for column in columns if not column.codec.exact),
            key_from_elsewhere=tuple(c.column.name for c in key if not self._is_sent(c.column)),
        )

    def _key(self, columns: list[LayoutColumn]) -> tuple[LayoutColumn, ...]:
        places = {column.name: index for index, column in enumerate(self.relation.columns)}
        in_value = {column.index: column for column in columns}
        key = []
        for name in self.key_names:
            index = places[name]
            made = self._column(index, self.relation.columns[index], in_key=True)
            if made is None:
                continue
            same = in_value.get(index)
            # The row's own fragment serves where the two are written alike.
            if same is not None and same.codec is made.codec and same.absent is made.absent:
                made = replace(made, variable=str(index), in_value=True)
            key.append(made)
        return tuple(key)

    @staticmethod
    def _key_schema(key: tuple[LayoutColumn, ...], constant: tuple[str, str] | None, name: str) -> Schema | None:
        if not key:
            return None
        fields = [(column.name, column.schema) for column in key]
        return struct_schema([*fields, (constant[0], STRING)] if constant else fields, name=name)

    def _is_sent(self, column: Column) -> bool:
        return self.relation.identity is ReplicaIdentity.FULL or column.name in self.sent_in_key

    def _facts(self, name: str, *, in_key: bool) -> ColumnFacts | None:
        """What the catalogue knows of a column."""
        relation = self.relation
        if in_key and self.strict and not self.options.selection.publishes(relation.schema, relation.name, name):
            return None  # Debezium does not read the facts of a column that values leave out
        return self.facts.columns.get(name)

    def _ruled(self, index: int, column: Column, codec: Codec, *, in_key: bool) -> Ruled:
        if in_key and self.strict:
            return Ruled(codec)  # Debezium's rules do not reach keys
        place = (index, self._differs(in_key=in_key))
        if place not in self.ruled:
            described = describe(column, self.types)
            self.ruled[place] = self.options.rules.apply(self.relation.qualified, column.name, described, codec)
        ruled = self.ruled[place]
        if in_key and ruled.equal:
            raise ConfigError(
                [Problem(ruled.option, f"matches {self.relation.qualified}.{column.name}, which is part of the key: all keys would be equal")],
                hint="use column.mask.hash.v2 for a column of the key",
            )  # fmt: skip
        return ruled

    def _differs(self, *, in_key: bool) -> bool:
        return in_key and self.options.key_modes is not None

    def _codec(self, index: int, column: Column, modes: ValueModes, dimensions: int, *, in_key: bool) -> Codec | None:
        place = (index, self._differs(in_key=in_key))
        if place not in self.resolved:
            self.resolved[place] = resolve(column.type_oid, column.typmod, self.types, modes, dimensions)
        return self.resolved[place]

    def _column(self, index: int, column: Column, *, in_key: bool) -> LayoutColumn | None:
        modes = self.options.modes
        if in_key and self.options.key_modes is not None:
            modes = self.options.key_modes
        known = self._facts(column.name, in_key=in_key)
        dimensions = known.dimensions if known is not None else 1
        plain = self._codec(index, column, modes, dimensions, in_key=in_key)
        if plain is None:
            return None
        ruled = self._ruled(index, column, plain, in_key=in_key)
        codec = ruled.codec
        # Without the catalogue's word a column of the key is NOT NULL: Postgres refuses a nullable one as identity.
        not_null = (
            known.not_null if known is not None else not self.strict and column.key and column.name in self.key_names
        )
        not_null = not_null and column.name not in self.nullable
        schema = self._schema(column, plain, codec, known, modes)
        if not not_null:
            schema = schema.as_optional()
        before = schema if self.strict or column.name in self.key_names else schema.as_optional()
        null: Any = ruled.null
        absent: Any = ruled.null
        if not_null and null is None:
            filler = codec.filler if schema.default is None else ruled.of(schema.default)
            null = fitted(filler, schema) if self.strict else REFUSED
            absent = null if self.strict else None
        if in_key and not self.strict and not self._is_sent(column):
            absent = REFUSED
        unavailable = fitted(codec.unavailable, schema)
        if unavailable is None and not_null:
            unavailable = REFUSED  # Debezium stops there too
        return LayoutColumn(
            index=index, column=column, name=self.options.adjust_field(column.name), codec=codec, schema=schema,
            before_schema=before, in_value=not in_key, variable=f"k{index}" if in_key else str(index), null=null,
            absent=absent, unavailable=unavailable, special=_has_special(codec),
        )  # fmt: skip

    def _schema(
        self, column: Column, plain: Codec, codec: Codec, known: ColumnFacts | None, modes: ValueModes
    ) -> Schema:
        schema = codec.schema
        if known is None:
            return schema
        # Debezium takes the expression of a generated column for a default.
        if known.default is not None and (self.strict or not known.generated):
            pg_type = self.types.get(column.type_oid) or BUILTIN.get(column.type_oid)
            default = (
                NO_DEFAULT if pg_type is None else default_value(known.default, plain, pg_type, modes, column.typmod)
            )
            if default is not NO_DEFAULT:
                schema = schema.replace(default=default)
        if self.options.comments and known.comment:
            schema = schema.replace(doc=known.comment)
        return schema


def _has_special(codec: Codec) -> bool:
    for text in _SPECIAL:
        try:
            if codec.to_value(text) is None:
                return True
        except ValueError:
            continue
    return False


def key_names(relation: Relation, facts: TableFacts, options: LayoutOptions) -> tuple[str, ...]:
    """The columns of a relation's key, in the key's order; empty for no key."""
    present = {column.name for column in relation.columns}
    override = options.key_columns(relation.schema, relation.name)
    if override is not None:
        return tuple(name for name in override if name in present)
    if options.modes.strict:
        return tuple(name for name in facts.primary_key or facts.any_unique_key if name in present)
    identity = tuple(column.name for column in relation.columns if column.key)
    if relation.identity in (ReplicaIdentity.DEFAULT, ReplicaIdentity.INDEX) and identity:
        # The key must be what an UPDATE or DELETE carries. The catalogue only knows its order.
        for names in (facts.primary_key, facts.unique_key):
            if set(names) == set(identity):
                return names
        return identity
    return next((names for names in (facts.primary_key, facts.unique_key) if names and present.issuperset(names)), ())
