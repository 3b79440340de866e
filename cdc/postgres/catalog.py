"""What the catalogue says: types, tables, and the facts of a table that a Relation message leaves out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

import psycopg

from cdc.model.relation import ColumnFacts, PgType, ReplicaIdentity, TableFacts
from cdc.postgres.connection import Source, bounded, translated

QUERY_SECONDS: Final = 90.0
"""Longer than the `statement_timeout` of our connections: only a server that does not keep it is given up."""


@dataclass(frozen=True, slots=True)
class Table:
    """A row of `pg_class` that could be captured.

    Attributes:
        oid: Its OID.
        schema: Namespace.
        name: Name.
        kind: `relkind`: r table, p partitioned.
        persistence: `relpersistence`: p permanent, u unlogged, t temporary.
        identity: Replica identity.
        identity_usable: Whether an UPDATE or DELETE still works once the table is published.
        partition: Whether it is a partition of another one.
        inherits: Whether it has a parent by inheritance that is not partitioning.
        row_security: Whether row-level security is enabled.
        owner: Its owner.
        rows: The planner's estimate.
        bytes: Size on disk.
    """

    oid: int
    schema: str
    name: str
    kind: str
    persistence: str
    identity: ReplicaIdentity
    identity_usable: bool
    partition: bool
    inherits: bool
    row_security: bool
    owner: str
    rows: int
    bytes: int

    @property
    def qualified(self) -> str:
        """`schema.table`."""
        return f"{self.schema}.{self.name}"


_TYPES = """
select t.oid::int8, t.typname, n.nspname, t.typtype::text, t.typcategory::text,
       case when t.typcategory = 'A' then t.typelem::int8 else 0 end, t.typbasetype::int8, t.typtypmod,
       coalesce((select array_agg(e.enumlabel::text order by e.enumsortorder) from pg_enum e where e.enumtypid = t.oid), '{}')
  from pg_type t join pg_namespace n on n.oid = t.typnamespace
"""

# An UPDATE of a published table works when the identity is FULL, or its index exists, is valid and immediate.
_TABLES = """
select c.oid::int8, n.nspname, c.relname, c.relkind::text, c.relpersistence::text, c.relreplident::text,
       c.relreplident = 'f' or exists (
         select 1 from pg_index i
          where i.indrelid = c.oid and i.indisvalid and i.indimmediate
            and ((c.relreplident = 'd' and i.indisprimary) or (c.relreplident = 'i' and i.indisreplident))),
       c.relispartition,
       exists (select 1 from pg_inherits h where h.inhrelid = c.oid) and not c.relispartition,
       c.relrowsecurity, pg_get_userbyid(c.relowner), greatest(c.reltuples, 0)::int8,
       case when c.relkind = 'r' then pg_table_size(c.oid) else 0 end
  from pg_class c join pg_namespace n on n.oid = c.relnamespace
 where c.relkind in ('r', 'p') and n.nspname not in ('pg_catalog', 'information_schema', 'pg_toast')
   and n.nspname !~ '^pg_(toast_)?temp_' and c.relpersistence <> 't'
 order by n.nspname, c.relname
"""

_COLUMNS = """
select a.attname, a.attnotnull, pg_get_expr(d.adbin, d.adrelid), a.attgenerated::text,
       format_type(a.atttypid, a.atttypmod), col_description(a.attrelid, a.attnum), a.attndims
  from pg_attribute a left join pg_attrdef d on d.adrelid = a.attrelid and d.adnum = a.attnum
 where a.attrelid = %s and a.attnum > 0 and not a.attisdropped
 order by a.attnum
"""

# A unique index over an expression cannot be a key: indkey holds 0 there.
_INDEXES = """
select i.indisprimary, i.indisvalid and i.indpred is null,
       array(select a.attname::text from unnest(i.indkey) with ordinality k(attnum, place)
               join pg_attribute a on a.attrelid = i.indrelid and a.attnum = k.attnum order by k.place),
       i.indnkeyatts
  from pg_index i join pg_class x on x.oid = i.indexrelid
 where i.indrelid = %s and i.indisunique and not (0 = any (i.indkey))
 order by i.indisprimary desc, x.relname
"""


class Catalog:
    """Reads the catalogue over a plain connection.

    Args:
        connection: In autocommit mode.
        source: The server, for messages.
    """

    def __init__(self, connection: psycopg.Connection[Any], source: Source) -> None:
        self.connection = connection
        self.source = source

    def rows(self, query: str, parameters: Sequence[Any] = ()) -> list[tuple[Any, ...]]:
        """Run a query and return all rows.

        Raises:
            SeamError: As `cdc.postgres.faults` translates the error.
        """
        with (
            translated(self.source, "reading the catalogue of"),
            bounded(self.connection, QUERY_SECONDS),
        ):
            return self.connection.execute(query, parameters or None).fetchall()

    def run(self, statement: str) -> None:
        """Run a statement of the configuration, whether it gives rows or not.

        Raises:
            SeamError: As `cdc.postgres.faults` translates the error.
        """
        with translated(self.source, "running heartbeat.action.query in"):
            self.connection.execute(statement.encode())

    def value(self, query: str, parameters: Sequence[Any] = ()) -> Any:
        """The only value of a query's only row, None for no row."""
        rows = self.rows(query, parameters)
        return rows[0][0] if rows else None

    def types(self) -> dict[int, PgType]:
        """All types by OID."""
        return {
            row[0]: PgType(row[0], row[1], row[2], row[3], row[4], row[5], row[6], row[7], tuple(row[8]))
            for row in self.rows(_TYPES)
        }

    def tables(self) -> list[Table]:
        """All tables of users, by schema and name."""
        return [
            Table(row[0], row[1], row[2], row[3], row[4], ReplicaIdentity(row[5]), *row[6:13])
            for row in self.rows(_TABLES)
        ]

    def table_facts(self, oid: int) -> TableFacts:
        """Keys, nullability and defaults of a table as they are now; empty when the table is gone."""
        columns = {row[0]: ColumnFacts(*row[1:]) for row in self.rows(_COLUMNS, (oid,))}
        primary: tuple[str, ...] = ()
        unique: tuple[str, ...] = ()
        any_unique: tuple[str, ...] = ()
        for is_primary, usable, names, width in self.rows(_INDEXES, (oid,)):
            if is_primary:
                primary = tuple(names[:width])
                continue
            # Debezium takes the first by name: partial ones, and the columns of INCLUDE, count there.
            any_unique = any_unique or tuple(names)
            if usable and not unique:
                unique = tuple(names[:width])
        return TableFacts(primary, unique, any_unique, columns)

    def named_table_facts(self, schema: str, name: str) -> TableFacts:
        """The same of the table that has this name now; empty when there is none."""
        oid = self.value(
            "select c.oid::int8 from pg_class c join pg_namespace n on n.oid = c.relnamespace where n.nspname = %s and c.relname = %s",
            (schema, name),
        )
        return TableFacts() if oid is None else self.table_facts(oid)

    def version(self) -> int:
        """`server_version_num`."""
        return int(self.value("select current_setting('server_version_num')::int"))

    def encoding(self) -> str:
        """The database's encoding."""
        return str(
            self.value("select pg_encoding_to_char(encoding) from pg_database where datname = current_database()")
        )

    def current_lsn(self) -> str:
        """`pg_current_wal_lsn()` as text."""
        return str(self.value("select pg_current_wal_lsn()::text"))
