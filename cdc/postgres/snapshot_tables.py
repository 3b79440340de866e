"""What the catalogue says of a table whose rows are read: columns as the stream has them, and what identifies a row."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from psycopg import sql

from cdc.model.relation import Column, Relation, ReplicaIdentity
from cdc.postgres.catalog import Catalog

GENERATED_STREAMED: Final = 180_000
"""From 18 on a publication may hold stored generated columns."""


@dataclass(frozen=True, slots=True)
class SnapshotTable:
    """A table whose rows are read.

    Attributes:
        oid: Its own OID.
        physical: Its own schema and name.
        relation: How its rows are published; of a partition published through its root, the root's name.
        key: The columns that identify a row in the log; empty for none.
        key_types: Their types as SQL.
        override: The user's SELECT in place of the table, None for the table itself.
        rows: The planner's estimate.
        filter: The publication's row filter as SQL, None for none: the stream carries no other rows either.
        shape: A digest of columns and keys: another one means that the table was altered.
    """

    oid: int
    physical: tuple[str, str]
    relation: Relation
    key: tuple[str, ...]
    key_types: tuple[str, ...]
    override: str | None
    rows: int
    filter: str | None = None
    shape: str = ""

    @property
    def name(self) -> str:
        """`schema.table` of the table itself."""
        return ".".join(self.physical)


@dataclass(frozen=True, slots=True)
class Described:
    """A table as the catalogue describes it.

    Attributes:
        relation: As a Relation message would describe it.
        types: Column -> type as SQL.
        key: The columns that identify a row in the log; empty for none.
        filter: The publication's row filter as SQL.
    """

    relation: Relation
    types: dict[str, str]
    key: tuple[str, ...]
    filter: str | None


_RELATION: Final = """
select c.oid::int8, n.nspname, c.relname, c.relreplident::text from pg_class c join pg_namespace n on n.oid = c.relnamespace
 where c.oid = %s
"""

_COLUMNS: Final = """
select a.attname, a.atttypid::int8, a.atttypmod,
       case c.relreplident when 'f' then true
            when 'd' then coalesce(a.attnum = any (p.indkey), false) when 'i' then coalesce(a.attnum = any (r.indkey), false) else false end,
       format_type(a.atttypid, a.atttypmod), a.attgenerated::text
  from pg_attribute a join pg_class c on c.oid = a.attrelid
  left join pg_index p on p.indrelid = c.oid and p.indisprimary
  left join pg_index r on r.indrelid = c.oid and r.indisreplident
 where a.attrelid = %s and a.attnum > 0 and not a.attisdropped
 order by a.attnum
"""

_PUBLISHED: Final = """
select attnames::text[], rowfilter from pg_publication_tables where pubname = %s and schemaname = %s and tablename = %s
"""

# Of several, the primary key first. A nullable column cannot tell rows apart.
_KEYS: Final = """
select i.indisprimary, i.indisreplident,
       array(select a.attname::text from unnest(i.indkey) with ordinality k(attnum, place)
               join pg_attribute a on a.attrelid = i.indrelid and a.attnum = k.attnum
              where k.place <= i.indnkeyatts order by k.place)
  from pg_index i join pg_class x on x.oid = i.indexrelid
 where i.indrelid = %s and i.indisunique and i.indisvalid and i.indimmediate and i.indpred is null and not (0 = any (i.indkey))
   and not exists (select 1 from pg_attribute a, unnest(i.indkey) with ordinality k(attnum, place)
                    where a.attrelid = i.indrelid and a.attnum = k.attnum and k.place <= i.indnkeyatts and not a.attnotnull)
 order by i.indisprimary desc, x.relname
"""

SHAPE: Final = """
md5(concat_ws('/', c.relreplident,
  (select string_agg(concat_ws(',', a.attname, a.atttypid, a.atttypmod, a.attnotnull, a.attgenerated), ';' order by a.attnum)
     from pg_attribute a where a.attrelid = c.oid and a.attnum > 0 and not a.attisdropped),
  (select string_agg(concat_ws(',', i.indexrelid, i.indkey, i.indisprimary, i.indisreplident), ';' order by i.indexrelid)
     from pg_index i where i.indrelid = c.oid and (i.indisprimary or i.indisreplident))))
"""
"""An expression over `pg_class c`: a digest of what makes the schema of a table's records and the identity of its rows."""


def describe(catalog: Catalog, oid: int, publication: str | None) -> Described | None:
    """A table as the stream would describe it; None when it is gone.

    Args:
        catalog: Where.
        oid: The table.
        publication: Its publication, None for none: then all columns count but generated ones.
    """
    found = catalog.rows(_RELATION, (oid,))
    if not found:
        return None
    _, schema, name, letter = found[0]
    published = catalog.rows(_PUBLISHED, (publication, schema, name)) if publication is not None else []
    names, row_filter = published[0] if published else (None, None)
    generated = published and catalog.version() >= GENERATED_STREAMED
    rows = [
        row
        for row in catalog.rows(_COLUMNS, (oid,))
        if (names is None or row[0] in names) and (not row[5] or generated)
    ]
    columns = tuple(Column(*row[:4]) for row in rows)
    relation = Relation(oid, schema, name, ReplicaIdentity(letter), columns)
    key = row_identity(catalog, oid)
    if not {column.name for column in columns}.issuperset(key):
        key = ()
    return Described(relation, {row[0]: row[4] for row in rows}, key, row_filter)


def row_identity(catalog: Catalog, oid: int) -> tuple[str, ...]:
    """The columns that tell the rows of a table apart and that every change of a row carries in the log."""
    letter = catalog.value("select relreplident::text from pg_class where oid = %s", (oid,))
    for primary, identity, names in catalog.rows(_KEYS, (oid,)):
        # FULL sends the whole old row, so any key will do; the others send what the identity names.
        if letter == "f" or (letter == "d" and primary) or (letter == "i" and identity):
            return tuple(names)
    return ()


def shape_of(catalog: Catalog, oid: int) -> str:
    """The digest of a table's form."""
    query = sql.SQL("select {} from pg_class c where c.oid = {}").format(sql.SQL(SHAPE), sql.Literal(oid))
    return str(catalog.value(query.as_string(catalog.connection)))
