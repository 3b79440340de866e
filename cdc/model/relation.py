"""What Postgres says of a table: the Relation message's view, and what the catalogue adds to it."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import Enum


class ReplicaIdentity(Enum):
    """Which columns of the old row an UPDATE or DELETE carries; the value is the letter on the wire."""

    DEFAULT = "d"
    NOTHING = "n"
    FULL = "f"
    INDEX = "i"


@dataclass(frozen=True, slots=True)
class PgType:
    """A row of `pg_type`, as far as rendering needs it.

    Attributes:
        oid: The type's OID.
        name: `typname`.
        schema: Its namespace.
        kind: `typtype`: b base, c composite, d domain, e enum, m multirange, p pseudo, r range.
        category: `typcategory`, as "A" for arrays.
        element: For arrays the element type's OID, else 0.
        base: For domains the base type's OID, else 0.
        base_typmod: For domains the type modifier that the domain lays on its base, else -1.
        labels: For enums the labels in sort order.
    """

    oid: int
    name: str
    schema: str = "pg_catalog"
    kind: str = "b"
    category: str = "U"
    element: int = 0
    base: int = 0
    base_typmod: int = -1
    labels: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Column:
    """One column of a relation.

    Attributes:
        name: The column's name.
        type_oid: OID of its type.
        typmod: Its type modifier, -1 for none.
        key: Whether it is part of the replica identity (the flag of the Relation message).
    """

    name: str
    type_oid: int
    typmod: int = -1
    key: bool = False


@dataclass(frozen=True, slots=True)
class Relation:
    """A Relation message: a table as it was when the rows that follow were written.

    Attributes:
        oid: The table's OID.
        schema: Its namespace.
        name: Its name.
        identity: Its replica identity.
        columns: In the order of the row data.
    """

    oid: int
    schema: str
    name: str
    identity: ReplicaIdentity
    columns: tuple[Column, ...]

    @property
    def qualified(self) -> str:
        """`schema.table` as Debezium's lists write it."""
        return f"{self.schema}.{self.name}"


@dataclass(frozen=True, slots=True)
class ColumnFacts:
    """What the catalogue knows of a column and the Relation message does not say.

    Attributes:
        not_null: Whether it is declared NOT NULL.
        default: The default's expression as SQL text, None for no default.
        generated: `attgenerated`: "" or "s" (stored) or "v" (virtual).
        type_name: `format_type(atttypid, atttypmod)`.
        comment: `col_description`, None for none.
        dimensions: `attndims`, of arrays.
    """

    not_null: bool = False
    default: str | None = None
    generated: str = ""
    type_name: str = ""
    comment: str | None = None
    dimensions: int = 1


@dataclass(frozen=True, slots=True)
class TableFacts:
    """What the catalogue knows of a table.

    Attributes:
        primary_key: Column names in the key's definition order; empty for none.
        unique_key: Columns of the first usable unique index, in index order; empty for none.
        any_unique_key: The same as Debezium chooses it, usable or not.
        columns: By name.
    """

    primary_key: tuple[str, ...] = ()
    unique_key: tuple[str, ...] = ()
    any_unique_key: tuple[str, ...] = ()
    columns: dict[str, ColumnFacts] = field(default_factory=dict)
