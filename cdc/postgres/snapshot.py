"""Reading existing rows: chunk by chunk under snapshots of their own, or whole tables under an exported one.

Lock-free and bounded: a chunk is one short REPEATABLE READ transaction, so that xmin is held back for its time only.
Chunks are ranges of pages (`ctid`), which need no key and no index; with a statement of the user's own they are ranges
of the key.
"""

from __future__ import annotations

import select
from collections.abc import Generator, Sequence
from dataclasses import dataclass
from typing import Any

import psycopg
from psycopg import pq, sql

from cdc.errors import SourceUnavailable
from cdc.lsn import LSN
from cdc.model.relation import Column, Relation, ReplicaIdentity
from cdc.postgres.catalog import Catalog
from cdc.postgres.connection import Source, connect
from cdc.postgres.faults import by_state
from cdc.visibility import Snapshot

MARK_PREFIX = "seam.mark"


@dataclass(frozen=True, slots=True)
class SnapshotTable:
    """A table whose rows are read.

    Attributes:
        physical: Its own schema and name.
        relation: How its rows are published; of a partition published through its root, the root's name.
        key: Key columns in key order; empty for none.
        key_types: Their types as SQL.
        override: The user's SELECT in place of the table, None for the table itself.
        rows: The planner's estimate.
    """

    physical: tuple[str, str]
    relation: Relation
    key: tuple[str, ...]
    key_types: tuple[str, ...]
    override: str | None
    rows: int

    @property
    def name(self) -> str:
        """`schema.table` of the table itself."""
        return ".".join(self.physical)


@dataclass(frozen=True, slots=True)
class Extent:
    """What of a table is read.

    Attributes:
        first_block: From this page on.
        blocks: How many pages; None for all that follow.
        after_key: With an override: keys above this one, as texts; None for the beginning.
        limit: With an override: how many rows.
        keys: Only these keys, as texts.
    """

    first_block: int = 0
    blocks: int | None = None
    after_key: tuple[str, ...] | None = None
    limit: int | None = None
    keys: tuple[tuple[str, ...], ...] | None = None


@dataclass(frozen=True, slots=True)
class Moment:
    """When a chunk was read.

    Attributes:
        snapshot: What it saw.
        lsn: The end of the log just after the snapshot was taken.
        clock_micros: Server time, microseconds since the Unix epoch.
        filenode: The table's file: another one means that it was rewritten and pages moved.
        blocks: Its size in pages.
    """

    snapshot: Snapshot
    lsn: LSN
    clock_micros: int
    filenode: int
    blocks: int


_RELATION = """
select c.oid::int8, n.nspname, c.relname, c.relreplident::text from pg_class c join pg_namespace n on n.oid = c.relnamespace
 where c.oid = %s
"""

_COLUMNS = """
select a.attname, a.atttypid::int8, a.atttypmod,
       case c.relreplident when 'f' then true
            when 'd' then coalesce(a.attnum = any (p.indkey), false) when 'i' then coalesce(a.attnum = any (r.indkey), false) else false end,
       format_type(a.atttypid, a.atttypmod)
  from pg_attribute a join pg_class c on c.oid = a.attrelid
  left join pg_index p on p.indrelid = c.oid and p.indisprimary
  left join pg_index r on r.indrelid = c.oid and r.indisreplident
 where a.attrelid = %s and a.attnum > 0 and not a.attisdropped and a.attgenerated = ''
 order by a.attnum
"""

_MOMENT = """
select pg_current_snapshot()::text, pg_current_wal_lsn()::text,
       (extract(epoch from clock_timestamp()) * 1000000)::int8,
       coalesce(pg_relation_filenode(to_regclass({name})), 0)::int8,
       (pg_relation_size(to_regclass({name})) / current_setting('block_size')::int)::int8
"""


def describe(catalog: Catalog, oid: int) -> tuple[Relation, dict[str, str]] | None:
    """A table as a Relation message would describe it, and its columns' types as SQL; None when it is gone.

    Generated columns are left out: the stream does not carry them, and one table has one schema in both phases.
    """
    found = catalog.rows(_RELATION, (oid,))
    if not found:
        return None
    columns = catalog.rows(_COLUMNS, (oid,))
    described = tuple(Column(name, type_oid, typmod, key) for name, type_oid, typmod, key, _ in columns)
    relation = Relation(found[0][0], found[0][1], found[0][2], ReplicaIdentity(found[0][3]), described)
    return relation, {row[0]: row[4] for row in columns}


class SnapshotReader:
    """A connection that reads chunks. One thread uses it.

    Args:
        source: The server.
        query_timeout: Limit of one chunk, milliseconds.

    Raises:
        SourceUnavailable: It cannot be reached.
    """

    def __init__(self, source: Source, *, query_timeout: int = 600_000) -> None:
        self.source = source
        self.connection: psycopg.Connection[Any] = connect(source, statement_timeout=f"{query_timeout}ms")
        self.catalog = Catalog(self.connection, source)
        # A silent filter would be a lost row: with row security off, a role that is subject to it gets an error.
        self.catalog.connection.execute("set row_security = off")
        self.catalog.connection.execute("set synchronous_commit = on")

    def close(self) -> None:
        """Close the connection."""
        self.connection.close()

    def begin(self, table: SnapshotTable, *, imported: str | None = None) -> Moment:
        """Open a chunk's transaction; its snapshot is taken now, or is the exported one.

        Args:
            table: The table that will be read.
            imported: Name of an exported snapshot.

        Raises:
            SeamError: As `cdc.postgres.faults` translates the server's error.
        """
        # pg_class is read by name inside the transaction: a table that was rewritten has another file by now.
        name = sql.Literal(sql.Identifier(*table.physical).as_string(self.connection))
        self._run("begin isolation level repeatable read read only")
        if imported is not None:
            self._run(f"set transaction snapshot '{imported}'")
        row = self.catalog.rows(sql.SQL(_MOMENT).format(name=name).as_string(self.connection))[0]
        return Moment(Snapshot.parse(row[0]), LSN.parse(row[1]), row[2], row[3], row[4] or 0)

    def end(self) -> None:
        """Close a chunk's transaction."""
        self._run("rollback")

    def _run(self, statement: str) -> None:
        result = self.connection.pgconn.exec_(statement.encode())
        if result.status not in (pq.ExecStatus.COMMAND_OK, pq.ExecStatus.TUPLES_OK):
            raise self._error(result)

    def _error(self, result: Any) -> Exception:
        state = result.error_field(pq.DiagnosticField.SQLSTATE)
        text = " ".join(result.error_message.decode("utf-8", "replace").split())
        where = f"reading a snapshot from {self.source.address}"
        if state is None:
            return SourceUnavailable(f"{where}: {text or 'the connection was lost'}")
        error = by_state(state.decode(), text, where=where)
        place = result.error_field(pq.DiagnosticField.STATEMENT_POSITION)
        if place is not None:
            error.message += f", at character {place.decode()} of the statement"
        return error

    def rows(self, table: SnapshotTable, extent: Extent) -> Generator[bytes, None, None]:
        """The rows of an extent as COPY lines, inside the transaction that `begin` opened.

        Raises:
            SeamError: As `cdc.postgres.faults` translates the server's error.
        """
        connection = self.connection.pgconn
        result = connection.exec_(self.copy_statement(table, extent).encode())
        if result.status != pq.ExecStatus.COPY_OUT:
            raise self._error(result)
        get_copy_data, descriptor = connection.get_copy_data, connection.socket
        ended = False
        try:
            while not ended:
                size, line = get_copy_data(1)
                if size > 0:
                    yield bytes(line)
                elif size == 0:
                    select.select([descriptor], [], [])
                    connection.consume_input()
                else:
                    ended = True
        finally:
            if not ended:
                self._abandon()
        failed = self._results()
        if failed is not None:
            raise self._error(failed)

    def _abandon(self) -> None:
        """End a COPY that nobody wants the rest of."""
        connection = self.connection.pgconn
        connection.get_cancel().cancel()
        while (size := connection.get_copy_data(1)[0]) != -1:
            if size == 0:
                select.select([connection.socket], [], [])
                connection.consume_input()
        self._results()

    def _results(self) -> Any:
        """Read results to their end; returns the first that is an error."""
        failed = None
        while (result := self.connection.pgconn.get_result()) is not None:
            if failed is None and result.status == pq.ExecStatus.FATAL_ERROR:
                failed = result
        return failed

    def copy_statement(self, table: SnapshotTable, extent: Extent) -> str:
        """The COPY of an extent."""
        columns = sql.SQL(", ").join(sql.Identifier(column.name) for column in table.relation.columns)
        source: sql.Composable
        if table.override is None:
            source = sql.SQL("only {}").format(sql.Identifier(*table.physical))
        else:
            source = sql.SQL("({}) s").format(sql.SQL(table.override.rstrip().rstrip(";")))  # the user's own SELECT
        conditions: list[sql.Composable] = []
        if extent.first_block:
            conditions.append(sql.SQL("ctid >= {}::tid").format(sql.Literal(f"({extent.first_block},0)")))
        if extent.blocks is not None:
            conditions.append(
                sql.SQL("ctid < {}::tid").format(sql.Literal(f"({extent.first_block + extent.blocks},0)"))
            )
        if extent.after_key is not None:
            conditions.append(sql.SQL("({}) > ({})").format(self._key(table), self._values(table, extent.after_key)))
        if extent.keys is not None:
            keys = sql.SQL(", ").join(sql.SQL("({})").format(self._values(table, key)) for key in extent.keys)
            conditions.append(sql.SQL("({}) in ({})").format(self._key(table), keys))
        query = sql.SQL("select {} from {}").format(columns, source)
        if conditions:
            query += sql.SQL(" where ") + sql.SQL(" and ").join(conditions)
        if extent.limit is not None:
            query += sql.SQL(" order by {} limit {}").format(self._key(table), sql.Literal(extent.limit))
        return sql.SQL("copy ({}) to stdout").format(query).as_string(self.connection)

    @staticmethod
    def _key(table: SnapshotTable) -> sql.Composable:
        return sql.SQL(", ").join(sql.Identifier(name) for name in table.key)

    @staticmethod
    def _values(table: SnapshotTable, key: Sequence[str]) -> sql.Composable:
        return sql.SQL(", ").join(
            sql.SQL("{}::{}").format(sql.Literal(text), sql.SQL(kind))  # format_type's own text
            for text, kind in zip(key, table.key_types, strict=True)
        )

    def mark(self, mark: str) -> None:
        """Write a mark into the log, flushed, so that the stream carries it without delay."""
        self.catalog.rows("select pg_logical_emit_message(true, %s, %s)::text", (MARK_PREFIX, mark))
