"""Reads tables of a database in their expected form into files, under few and short snapshots.

A process of its own when there is much to read (`python -m legacy_db.spill`), so that the server's rows and the topic's
records are taken in at the same time. A file holds COPY lines of one snapshot; what is written is reported line by line,
so that an interrupted verification goes on where it was.
"""

from __future__ import annotations

import os
import pickle
import select
import sys
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Final

import orjson
import psycopg
from psycopg import pq

from cdc.errors import SeamError, SourceUnavailable
from cdc.postgres.connection import Source, connect, next_result
from cdc.postgres.faults import by_state

RANGE_BLOCKS: Final = 16_384  # 128 MB: between two of them the snapshot may be renewed, and a resumption may begin
PACE_ROWS: Final = 500
WRITE_ROWS: Final = 500
DELIMITER: Final = b"\x01"
"""Between columns on the wire: JSON has no such character, and it is taken out before a line is written."""


@dataclass(frozen=True, slots=True)
class Piece:
    """One table, or a range of its pages, to be read.

    Attributes:
        table: Published name of the table.
        member: `schema.table` whose own rows these are.
        statement: The SELECT, with `{range}` where a condition on pages goes.
        size: SQL for the number of its pages now.
        whole: Whether one snapshot must hold for all of it (a table without key).
    """

    table: str
    member: str
    statement: str
    size: str
    whole: bool = False


@dataclass(frozen=True, slots=True)
class Spilled:
    """One file.

    Attributes:
        table: Published name of the table.
        member: Whose rows.
        file: Its name in the directory.
        snapshot: `pg_current_snapshot()` of its rows.
        filenode: The table's file: when it was rewritten meanwhile, its pages mean something else.
        first: The first page.
        end: The page after the last; None for the end of the table.
        rows: How many.
        seconds: How long the reading took.
    """

    table: str
    member: str
    file: str
    snapshot: str
    filenode: int
    first: int
    end: int | None
    rows: int
    seconds: float


@dataclass(frozen=True, slots=True)
class Order:
    """What is to be read, and how gently.

    Attributes:
        source: The database.
        pieces: In this order.
        directory: Where files go.
        rate: Rows per second at most, 0 for no limit.
        snapshot_seconds: After that long a snapshot is renewed at the next range.
        done: What an interrupted reading has left.
        imported: A snapshot that another connection exported and holds; None for snapshots of its own.
    """

    source: Source
    pieces: tuple[Piece, ...]
    directory: str
    rate: float = 0.0
    snapshot_seconds: float = 60.0
    done: tuple[Spilled, ...] = ()
    imported: str | None = None


Report = Callable[[dict[str, Any]], None]


class Spiller:
    """Carries out one order.

    Args:
        order: The order.
        report: Told of each snapshot (`{"snapshot": text, "table": name}`) and each file (`{"file": Spilled}`).
    """

    def __init__(self, order: Order, report: Report) -> None:
        self.order = order
        self.report = report
        self.connection: psycopg.Connection[Any] = connect(order.source, statement_timeout="0")
        self._snapshot: str | None = None
        self._taken = 0.0
        self._files = len(order.done)
        self._paced, self._unpaced, self._pace_time = 0, 0, time.monotonic()

    def run(self) -> None:
        """Read everything.

        Raises:
            SeamError: As `cdc.postgres.faults` translates the server's error.
        """
        try:
            # A silent filter would be a missing row; a plan with an index is no plan for a whole table.
            for statement in ("set row_security = off", "set jit = off"):
                self._run(statement)
            for piece in self.order.pieces:
                self._piece(piece)
            self._end()
        finally:
            self.connection.close()

    def _piece(self, piece: Piece) -> None:
        done = [one for one in self.order.done if one.member == piece.member and one.table == piece.table]
        first = 0
        if done:
            if done[-1].end is None:
                return
            first = done[-1].end
        while True:
            self._begin(piece.table, renew=not piece.whole)
            filenode, blocks = self._value(piece.size)
            last = piece.whole or first + RANGE_BLOCKS * 2 >= blocks
            end = None if last else first + RANGE_BLOCKS
            self._range(piece, filenode, first, end)
            if end is None:
                return
            first = end

    def _range(self, piece: Piece, filenode: int, first: int, end: int | None) -> None:
        conditions = [f"ctid >= '({first},0)'::tid"] if first else []
        conditions += [f"ctid < '({end},0)'::tid"] if end is not None else []
        statement = piece.statement.replace("{range}", " and ".join(conditions) or "true")
        self._files += 1
        name = f"{self._files:06d}.copy"
        path = Path(self.order.directory) / name
        started = time.monotonic()
        with path.open("wb", buffering=1 << 20) as file:
            rows = self._copy(f"copy ({statement}) to stdout (delimiter E'\\x01', null 'null')", file.write)
        assert self._snapshot is not None
        spilled = Spilled(
            piece.table, piece.member, name, self._snapshot, filenode, first, end, rows, time.monotonic() - started
        )
        self.report({"file": asdict(spilled)})

    # -- snapshots ---------------------------------------------------------------------------------------------------

    def _begin(self, table: str, *, renew: bool) -> None:
        age = time.monotonic() - self._taken
        if self._snapshot is not None and renew and age > self.order.snapshot_seconds:
            self._end()
        if self._snapshot is None:
            self._run("begin isolation level repeatable read read only")
            if self.order.imported is not None:
                self._run(f"set transaction snapshot '{self.order.imported}'")
            self._snapshot = str(self._value("select pg_current_snapshot()::text")[0])
            self._taken = time.monotonic()
        self.report({"table": table, "snapshot": self._snapshot})

    def _end(self) -> None:
        if self._snapshot is not None:
            self._run("rollback")
            self.report({"ended": self._snapshot, "age": time.monotonic() - self._taken})
            self._snapshot = None

    # -- libpq -------------------------------------------------------------------------------------------------------

    def _run(self, statement: str) -> None:
        result = self.connection.pgconn.exec_(statement.encode())
        if result.status not in (pq.ExecStatus.COMMAND_OK, pq.ExecStatus.TUPLES_OK):
            raise self._error(result)

    def _value(self, query: str) -> tuple[Any, ...]:
        row = self.connection.execute(query.encode()).fetchone()
        assert row is not None
        return tuple(row)

    def _error(self, result: Any) -> SeamError:
        state = result.error_field(pq.DiagnosticField.SQLSTATE)
        text = " ".join(result.error_message.decode("utf-8", "replace").split())
        where = f"reading rows from {self.order.source.address}"
        return SourceUnavailable(f"{where}: {text}") if state is None else by_state(state.decode(), text, where=where)

    def _copy(self, statement: str, write: Callable[[Any], Any]) -> int:
        connection = self.connection.pgconn
        result = connection.exec_(statement.encode())
        if result.status != pq.ExecStatus.COPY_OUT:
            raise self._error(result)
        get_copy_data, descriptor, rate = connection.get_copy_data, connection.socket, self.order.rate
        rows = 0
        unpaced = self._unpaced
        lines: list[Any] = []
        while True:
            size, line = get_copy_data(1)
            if size > 0:
                lines.append(line)
                rows += 1
                if len(lines) == WRITE_ROWS:
                    write(b"".join(lines).replace(DELIMITER, b""))
                    lines.clear()
                if rate and (rows + unpaced) % PACE_ROWS == 0:
                    self._pace()
            elif size == 0:
                select.select([descriptor], [], [])
                connection.consume_input()
            else:
                break
        write(b"".join(lines).replace(DELIMITER, b""))
        self._unpaced = (rows + unpaced) % PACE_ROWS
        while (final := next_result(connection)) is not None:
            if final.status == pq.ExecStatus.FATAL_ERROR:
                raise self._error(final)
        return rows

    def _pace(self) -> None:
        self._paced += PACE_ROWS
        ahead = self._paced / self.order.rate - (time.monotonic() - self._pace_time)
        if ahead > 0:
            time.sleep(ahead)


@dataclass(slots=True)
class Progress:
    """What a reader has said so far, for whoever waits for it."""

    files: list[Spilled] = field(default_factory=list)
    snapshots: dict[str, str] = field(default_factory=dict)
    oldest_seconds: float = 0.0
    taken: int = 0

    def take(self, message: dict[str, Any]) -> None:
        """Take a report."""
        if "file" in message:
            self.files.append(Spilled(**message["file"]))
        elif "age" in message:
            self.oldest_seconds = max(self.oldest_seconds, message["age"])
            self.taken += 1
        elif "snapshot" in message:
            self.snapshots.setdefault(message["table"], message["snapshot"])


def main() -> int:
    """The process: an order on standard input, reports as JSON lines on standard output."""
    order: Order = pickle.load(sys.stdin.buffer)  # noqa: S301 - from the process that started us
    out = os.fdopen(os.dup(1), "wb", buffering=0)

    def report(message: dict[str, Any]) -> None:
        out.write(orjson.dumps(message) + b"\n")

    try:
        Spiller(order, report).run()
    except SeamError as error:
        report({"error": pickle.dumps(error).hex()})
        return error.exit_code
    return 0


if __name__ == "__main__":
    sys.exit(main())
