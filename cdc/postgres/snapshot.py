"""Reading existing rows: chunk by chunk under snapshots of their own, or whole tables under an exported one.

Without locks of its own and bounded: a chunk is one short REPEATABLE READ transaction, so that xmin is held back for its
time only. Chunks are ranges of physical places (`ctid`), which need no key and no index; with a statement of the user's
own they are ranges of the key.
"""

from __future__ import annotations

import select
import threading
from collections.abc import Generator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Final

import psycopg
from psycopg import pq, sql

from cdc.errors import OperatorError, SourceUnavailable
from cdc.lsn import LSN
from cdc.postgres.catalog import Catalog
from cdc.postgres.connection import Source, connect, next_result
from cdc.postgres.faults import by_state
from cdc.postgres.snapshot_tables import SHAPE, SnapshotTable
from cdc.visibility import Snapshot

MARK_PREFIX: Final = "seam.mark"

ITEMS: Final = 2048
"""Places of one page: more than the 1169 rows that the largest page can hold."""

POLL_SECONDS: Final = 1.0
CANCEL_SECONDS: Final = 5.0


@dataclass(frozen=True, slots=True)
class Extent:
    """What of a table is read.

    Attributes:
        first: From this place on.
        end: Up to before this one; None for all that follow.
        after_key: With an override: keys above this one, as texts; None for the beginning.
        limit: With an override: how many rows; more where their keys are equal.
        keys: Only these keys, as texts.
    """

    first: int = 0
    end: int | None = None
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
        filenode: The table's file as the snapshot shows it: another one means that it was rewritten and rows moved.
        pages: Its size.
    """

    snapshot: Snapshot
    lsn: LSN
    clock_micros: int
    filenode: int
    pages: int


_MOMENT: Final = """
select pg_current_snapshot()::text, pg_current_wal_lsn()::text, (extract(epoch from clock_timestamp()) * 1000000)::int8,
       c.relfilenode::int8, (pg_relation_size(c.oid) / current_setting('block_size')::int)::int8, n.nspname, c.relname, {shape}
  from pg_class c join pg_namespace n on n.oid = c.relnamespace where c.oid = {oid}
"""

# Who writes a table holds this lock until after its transaction has left the list of running ones.
_WRITERS: Final = """
select virtualtransaction from pg_locks
 where locktype = 'relation' and database = (select oid from pg_database where datname = current_database())
   and relation = %s and granted and pid is distinct from pg_backend_pid()
   and mode in ('RowExclusiveLock', 'ShareRowExclusiveLock', 'ExclusiveLock', 'AccessExclusiveLock')
"""

# undefined_table, undefined_column, datatype_mismatch: not as it was planned any more.
_CHANGED: Final = (b"42P01", b"42703", b"42804")

_SETTINGS: Final = (
    # A silent filter would be a lost row: with row security off, a role that is subject to it gets an error.
    "set row_security = off",
    # A mark need not wait for standbys.
    "set synchronous_commit = local",
    # Ranges of places are read in their order, and by one process.
    "set enable_seqscan = off",
    "set max_parallel_workers_per_gather = 0",
)


class SnapshotReader:
    """A connection that reads chunks. One thread uses it; any may cancel.

    Args:
        source: The server.
        query_timeout: Limit of one statement, milliseconds; 0 for none.

    Raises:
        SourceUnavailable: It cannot be reached.
    """

    def __init__(self, source: Source, *, query_timeout: int = 600_000) -> None:
        self.source = source
        self.connection: psycopg.Connection[Any] = connect(source, statement_timeout=f"{query_timeout}ms")
        self.catalog = Catalog(self.connection, source)
        self._cancelled = threading.Event()
        self._where = f"reading a snapshot from {source.address}"
        for statement in _SETTINGS:
            self._run(statement)

    def close(self) -> None:
        """Close the connection."""
        self.connection.close()

    def cancel(self) -> None:
        """End what is being read, from another thread."""
        self._cancelled.set()
        with suppress(psycopg.Error):
            self.connection.cancel_safe(timeout=CANCEL_SECONDS)

    # -- a chunk's transaction ---------------------------------------------------------------------------------------

    def begin(self, table: SnapshotTable, *, imported: str | None = None) -> Moment:
        """Open a chunk's transaction; its snapshot is taken now, or is the exported one.

        Args:
            table: The table that will be read.
            imported: Name of an exported snapshot.

        Raises:
            SourceUnavailable: The table was altered, renamed or dropped since it was planned: plan again.
            SeamError: As `cdc.postgres.faults` translates the server's error.
        """
        moment = sql.SQL(_MOMENT).format(shape=sql.SQL(SHAPE), oid=sql.Literal(table.oid)).as_string(self.connection)
        statement = "begin isolation level repeatable read read only; "
        if imported is not None:
            statement += f"set transaction snapshot {sql.Literal(imported).as_string(self.connection)}; "
        result = self._run(statement + moment)
        if not result.ntuples:
            raise SourceUnavailable(f"{table.name} was dropped while its rows were being read")
        values = [(result.get_value(0, column) or b"").decode() for column in range(result.nfields)]
        if (values[5], values[6]) != table.physical:
            raise SourceUnavailable(
                f"{table.name} was renamed to {values[5]}.{values[6]} while its rows were being read"
            )
        if table.shape and values[7] != table.shape:
            raise SourceUnavailable(
                f"{table.name} was altered while its rows were being read; reading on in its new form"
            )
        return Moment(
            Snapshot.parse(values[0]), LSN.parse(values[1]), int(values[2]), int(values[3]), int(values[4] or 0)
        )

    def end(self, table: SnapshotTable, moment: Moment) -> bool:
        """Close a chunk's transaction after its rows were read.

        Returns:
            Whether the rows were read from the file that the snapshot shows. A rewrite in between may have moved
            them, and one by ALTER TABLE or TRUNCATE hides them from older snapshots.
        """
        # The lock that COPY took is held until the end of the transaction, so the file cannot change after this.
        file = self._run(f"select coalesce(pg_relation_filenode({table.oid}), 0)")
        same = int(file.get_value(0, 0) or 0) == moment.filenode
        self.abandon()
        return same

    def abandon(self) -> None:
        """Close a chunk's transaction."""
        self._run("rollback")

    def writers(self, table: SnapshotTable) -> frozenset[str]:
        """The transactions that have written the table and are open, or have committed and are not visible yet."""
        return frozenset(row[0] for row in self.catalog.rows(_WRITERS, (table.oid,)))

    def mark(self, mark: str) -> None:
        """Write a mark into the log, flushed, so that the stream carries it without delay."""
        self._run(
            sql.SQL("select pg_logical_emit_message(true, {}, {})")
            .format(sql.Literal(MARK_PREFIX), sql.Literal(mark))
            .as_string(self.connection)
        )

    # -- rows --------------------------------------------------------------------------------------------------------

    def rows(self, table: SnapshotTable, extent: Extent) -> Generator[bytes, None, None]:
        """The rows of an extent as COPY lines, inside the transaction that `begin` opened.

        Raises:
            SeamError: As `cdc.postgres.faults` translates the server's error.
        """
        statement = self.copy_statement(table, extent)
        connection = self.connection.pgconn
        result = self._execute(statement)
        if result.status != pq.ExecStatus.COPY_OUT:
            raise self._error(result, table)
        get_copy_data, descriptor = connection.get_copy_data, connection.socket
        ended = False
        try:
            while not ended:
                size, line = get_copy_data(1)
                if size > 0:
                    yield bytes(line)
                elif size == 0:
                    self._wait(descriptor)
                else:
                    ended = True
        except psycopg.Error as error:
            ended = True
            raise self._lost(error) from error
        finally:
            if not ended:
                self._leave()
        failed = self._results()
        if failed is not None:
            raise self._error(failed, table)

    def _wait(self, descriptor: int) -> None:
        """Wait for bytes; what cannot come any more is ended by TCP keepalives or the statement's limit."""
        select.select([descriptor], [], [], POLL_SECONDS)
        if self._cancelled.is_set():
            raise SourceUnavailable(f"{self._where}: stopped")
        self.connection.pgconn.consume_input()

    def _leave(self) -> None:
        """End a COPY that nobody wants the rest of."""
        connection = self.connection.pgconn
        with suppress(psycopg.Error, SourceUnavailable):
            self.connection.cancel_safe(timeout=CANCEL_SECONDS)
            while (size := connection.get_copy_data(1)[0]) != -1:
                if size == 0:
                    select.select([connection.socket], [], [], POLL_SECONDS)
                    connection.consume_input()
            self._results()

    def _results(self) -> Any:
        """Read results to their end; returns the first that is an error."""
        failed = None
        try:
            while (result := next_result(self.connection.pgconn)) is not None:
                if failed is None and result.status == pq.ExecStatus.FATAL_ERROR:
                    failed = result
        except psycopg.Error as error:
            raise self._lost(error) from error
        return failed

    def copy_statement(self, table: SnapshotTable, extent: Extent) -> str:
        """The COPY of an extent."""
        columns = sql.SQL(", ").join(sql.Identifier(column.name) for column in table.relation.columns)
        source: sql.Composable
        if table.override is None:
            source = sql.SQL("only {}").format(sql.Identifier(*table.physical))
        else:
            # On lines of its own, so that a comment at its end hides nothing. It is the user's own SELECT.
            source = sql.SQL("(\n{}\n) s").format(sql.SQL(_plain(table.override)))
        conditions: list[sql.Composable] = []
        if extent.first:
            conditions.append(sql.SQL("ctid >= {}").format(_place(extent.first)))
        if extent.end is not None:
            conditions.append(sql.SQL("ctid < {}").format(_place(extent.end)))
        if extent.after_key is not None:
            conditions.append(sql.SQL("({}) > ({})").format(self._key(table), self._values(table, extent.after_key)))
        if extent.keys is not None:
            keys = sql.SQL(", ").join(sql.SQL("({})").format(self._values(table, key)) for key in extent.keys)
            conditions.append(sql.SQL("({}) in ({})").format(self._key(table), keys))
        if table.filter is not None and table.override is None:
            conditions.append(sql.SQL("({})").format(sql.SQL(table.filter)))  # the server's own text
        query = sql.SQL("select {} from {}").format(columns, source)
        if conditions:
            query += sql.SQL(" where ") + sql.SQL(" and ").join(conditions)
        if extent.limit is not None:
            query += sql.SQL(" order by {} fetch first {} rows with ties").format(
                self._key(table), sql.Literal(extent.limit)
            )
        # Any other encoding makes the server end the COPY at a text that is not of it, without naming the column.
        unchecked = self.connection.info.parameter_status("server_encoding") == "SQL_ASCII"
        options = sql.SQL(" with (encoding 'SQL_ASCII')" if unchecked else "")
        return sql.SQL("copy ({}) to stdout{}").format(query, options).as_string(self.connection)

    @staticmethod
    def _key(table: SnapshotTable) -> sql.Composable:
        return sql.SQL(", ").join(sql.Identifier(name) for name in table.key)

    @staticmethod
    def _values(table: SnapshotTable, key: Sequence[str]) -> sql.Composable:
        return sql.SQL(", ").join(
            sql.SQL("{}::{}").format(sql.Literal(text), sql.SQL(kind))  # format_type's own text
            for text, kind in zip(key, table.key_types, strict=True)
        )

    # -- errors ------------------------------------------------------------------------------------------------------

    def _execute(self, statement: str) -> Any:
        try:
            return self.connection.pgconn.exec_(statement.encode())
        except psycopg.Error as error:
            raise self._lost(error) from error

    def _run(self, statement: str) -> Any:
        result = self._execute(statement)
        if result.status not in (pq.ExecStatus.COMMAND_OK, pq.ExecStatus.TUPLES_OK):
            raise self._error(result, None)
        return result

    def _lost(self, error: Exception) -> SourceUnavailable:
        return SourceUnavailable(f"{self._where}: {' '.join(str(error).split()) or 'the connection was lost'}")

    def _error(self, result: Any, table: SnapshotTable | None) -> Exception:
        state = result.error_field(pq.DiagnosticField.SQLSTATE)
        primary = result.error_field(pq.DiagnosticField.MESSAGE_PRIMARY)
        text = " ".join((primary or result.error_message).decode("utf-8", "replace").split())
        if state is None:
            return SourceUnavailable(f"{self._where}: {text or 'the connection was lost'}")
        where = self._where if table is None else f"{self._where}, table {table.name}"
        if table is not None and table.override is not None and state[:2] not in (b"57", b"08", b"53"):
            return self._override_error(result, table, text, state.decode())
        if table is not None and state in _CHANGED:
            return SourceUnavailable(
                f"{table.name} was altered while its rows were being read: {text}; reading on in its new form"
            )
        return by_state(state.decode(), text, where=where)

    def _override_error(self, result: Any, table: SnapshotTable, text: str, state: str) -> OperatorError:
        """The server's words on the user's statement, with the place in that statement."""
        assert table.override is not None
        place = result.error_field(pq.DiagnosticField.STATEMENT_POSITION)
        where = ""
        if place is not None:
            position = int(place) - self.copy_statement(table, Extent()).find(_plain(table.override))
            if 1 <= position <= len(_plain(table.override)):
                where = f", at character {position} of the statement"
        return OperatorError(
            f"snapshot.select.statement.overrides.{table.name}: {text} (SQLSTATE {state}){where}",
            hint="mend the statement, or take the table out of snapshot.select.statement.overrides",
        )


def _plain(statement: str) -> str:
    return statement.strip().rstrip(";")


def _place(place: int) -> sql.Composable:
    return sql.SQL("{}::tid").format(sql.Literal(f"({place // ITEMS},{place % ITEMS})"))
