"""The replication connection: `IDENTIFY_SYSTEM`, `START_REPLICATION`, frames in, status updates out.

psycopg has no replication API; its `pq` layer gives libpq's calls, which is all that is needed. Every WARNING on this
connection is an error: Postgres 18 only warns when a publication is missing, and goes on without the rows.
"""

from __future__ import annotations

import select
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Final

import psycopg
from psycopg import pq

from cdc.errors import OperatorError, SeamError, SourceUnavailable
from cdc.lsn import LSN
from cdc.postgres.connection import ANSWER_SECONDS, Source, next_result
from cdc.postgres.faults import by_state, from_text
from cdc.wire.frames import status_update

WAL_SENDER_TIMEOUT_SECONDS: Final = 120
CONNECT_SECONDS: Final = 10.0
_OK = (pq.ExecStatus.TUPLES_OK, pq.ExecStatus.COMMAND_OK)


@dataclass(frozen=True, slots=True)
class SystemIdentity:
    """`IDENTIFY_SYSTEM`.

    Attributes:
        system_id: Of the cluster; two servers with the same one share their log up to a fork.
        timeline: The current timeline.
        xlogpos: The current flush position.
    """

    system_id: int
    timeline: int
    xlogpos: LSN


def quote_identifier(name: str) -> str:
    """An identifier for a replication command, which takes no parameters.

    Raises:
        ValueError: The name holds a NUL, or is longer than the 63 bytes that Postgres keeps.
    """
    if "\0" in name:
        raise ValueError("an identifier cannot hold a NUL character")
    if len(name.encode()) > 63:
        raise ValueError(f"{name!r} is longer than 63 bytes")
    return '"' + name.replace('"', '""') + '"'


def quote_literal(text: str) -> str:
    """A string literal for a replication command.

    Raises:
        ValueError: The text holds a NUL.
    """
    if "\0" in text:
        raise ValueError("a literal cannot hold a NUL character")
    return "'" + text.replace("'", "''") + "'"


class Walsender:
    """A replication connection.

    Args:
        source: The server.

    Attributes:
        where: Server and task, for messages.
        get_copy_data: libpq's own, for the hot loop; raises `driver_error`, which `lost` translates.

    Raises:
        SourceUnavailable: It cannot be reached.
        AuthFailed: It refuses us.
    """

    driver_error: Final = psycopg.Error

    def __init__(self, source: Source) -> None:
        self.source = source
        self.where = f"replication from {source.address}"
        self._warning: SeamError | None = None
        conninfo = source.conninfo(
            settings={"wal_sender_timeout": f"{WAL_SENDER_TIMEOUT_SECONDS}s"}, replication="database"
        )
        self._pg = pq.PGconn.connect_start(conninfo.encode())
        self._connect()
        self._pg.notice_handler = self._notice
        self._fd = self._pg.socket
        self.get_copy_data = self._pg.get_copy_data
        if self._pg.parameter_status(b"server_encoding") == b"SQL_ASCII":
            # With UTF8 the server ends the stream at a text that is none, and names neither table nor column.
            self.execute("set client_encoding to SQL_ASCII")

    def _connect(self) -> None:
        # libpq's blocking calls would hold up every other thread of this process, and signals.
        deadline = time.monotonic() + CONNECT_SECONDS
        text = f"the server did not answer within {CONNECT_SECONDS:.0f} s"
        while (left := deadline - time.monotonic()) > 0 and self._pg.status != pq.ConnStatus.BAD:
            step = self._pg.connect_poll()
            if step == pq.PollingStatus.OK:
                return
            if step == pq.PollingStatus.FAILED:
                break
            end = [self._pg.socket]
            writing = step == pq.PollingStatus.WRITING
            select.select([] if writing else end, end if writing else [], [], min(left, 1.0))
        text = " ".join(self._pg.error_message.decode("utf-8", "replace").split()) or text
        self._pg.finish()
        raise from_text(text, where=self.where)

    def _run(self, command: str, seconds: float | None) -> Any:
        """Send a command and wait for its first result."""
        with self._translated():
            self._pg.send_query(command.encode())
            # A command fits into the socket's buffer: this does not wait.
            while self._pg.flush():
                select.select([], [self._fd], [], 1.0)
            result = next_result(self._pg, seconds, f"answer {command.split(maxsplit=1)[0]}")
        if result is None:
            raise SourceUnavailable(f"{self.where}: the connection was lost")
        return result

    def _notice(self, result: Any) -> None:
        severity = result.error_field(pq.DiagnosticField.SEVERITY_NONLOCALIZED)
        if severity != b"WARNING":
            return
        state = (result.error_field(pq.DiagnosticField.SQLSTATE) or b"01000").decode()
        text = (result.error_field(pq.DiagnosticField.MESSAGE_PRIMARY) or b"").decode("utf-8", "replace")
        self._warning = by_state(state, f"the server warns: {text}", where=self.where)

    def lost(self, error: BaseException) -> SeamError:
        """The error of ours for one of the driver's; the caller raises it `from` the original."""
        return SourceUnavailable(f"{self.where}: {' '.join(str(error).split()) or 'the connection was lost'}")

    @contextmanager
    def _translated(self) -> Iterator[None]:
        try:
            yield
        except psycopg.Error as error:
            raise self.lost(error) from error

    def execute(self, command: str, *, seconds: float | None = ANSWER_SECONDS) -> list[list[str | None]]:
        """Run a replication command or a query, and return its rows as text.

        Args:
            command: The command.
            seconds: How long the answer may take; None for any time.

        Raises:
            SourceUnavailable: No answer in time, or the connection is gone.
            SeamError: As `cdc.postgres.faults` translates the server's error.
        """
        result = self._run(command, seconds)
        with self._translated():
            while next_result(self._pg) is not None:
                pass
        self._check(result)
        return [
            [self._text(result.get_value(row, column)) for column in range(result.nfields)]
            for row in range(result.ntuples)
        ]

    @staticmethod
    def _text(value: bytes | None) -> str | None:
        return None if value is None else value.decode("utf-8", "replace")

    def _check(self, result: Any) -> None:
        if result.status in _OK or result.status == pq.ExecStatus.COPY_BOTH:
            return
        raise self._error_of(result)

    def _error_of(self, result: Any) -> SeamError:
        state = result.error_field(pq.DiagnosticField.SQLSTATE)
        text = " ".join(result.error_message.decode("utf-8", "replace").split())
        if state is None:
            return SourceUnavailable(f"{self.where}: {text or 'the connection was lost'}")
        return by_state(state.decode(), text, where=self.where)

    def identify(self) -> SystemIdentity:
        """Which server this is."""
        row = self.execute("IDENTIFY_SYSTEM")[0]
        return SystemIdentity(int(row[0] or 0), int(row[1] or 0), LSN.parse(row[2] or "0/0"))

    def fork_point(self, recorded_timeline: int, current_timeline: int) -> LSN | None:
        """Where the recorded timeline was left, by the history of the current one; None if it is no ancestor."""
        if recorded_timeline == current_timeline:
            return None
        history = self.execute(f"TIMELINE_HISTORY {current_timeline}")[0][1] or ""
        for line in history.splitlines():
            parts = line.split()
            if len(parts) >= 2 and parts[0].isdigit() and int(parts[0]) == recorded_timeline:
                return LSN.parse(parts[1])
        return LSN(0)

    def start(self, slot: str, publication: str, start: LSN, *, messages: bool = True) -> None:
        """`START_REPLICATION`. The server never refuses a wrong position: check it before.

        Args:
            slot: The slot's name.
            publication: The publication's name.
            start: 0/0 for the slot's confirmed position.
            messages: Whether logical messages are sent.

        Raises:
            SlotInUse, SlotLost, PublicationChanged: As the server says.
        """
        options = f"proto_version '1', publication_names {quote_literal(quote_identifier(publication))}"
        if messages:
            options += ", messages 'true'"
        command = f"START_REPLICATION SLOT {quote_identifier(slot)} LOGICAL {start} ({options})"
        result = self._run(command, ANSWER_SECONDS)
        if result.status != pq.ExecStatus.COPY_BOTH:
            raise self._error_of(result)
        self._pg.nonblocking = 1

    def wait(self, seconds: float) -> bool:
        """Wait for bytes of the server, and take them in.

        Returns:
            Whether there were any.

        Raises:
            SourceUnavailable: The connection is gone.
            SeamError: The server sent a warning.
        """
        readable, _, _ = select.select([self._fd], [], [], max(0.0, seconds))
        # Also when the socket has nothing: bytes that TLS has taken from it already do not make it readable.
        self.consume()
        return bool(readable)

    def consume(self) -> None:
        """Take in what the socket holds.

        Raises:
            SourceUnavailable: The connection is gone.
            SeamError: The server sent a warning.
        """
        with self._translated():
            self._pg.consume_input()
        self.raise_warning()

    def raise_warning(self) -> None:
        """Raise what the server warned of since the last call.

        Raises:
            SeamError: As `cdc.postgres.faults` translates the warning.
        """
        if self._warning is not None:
            raise self._warning

    def send_status(self, flushed: int, received: int, *, reply: bool = False) -> None:
        """Tell the server what is durable.

        Args:
            flushed: Durable up to here; the slot moves to it.
            received: Received up to here.
            reply: Whether a keepalive is asked for.

        Raises:
            SourceUnavailable: The connection is gone.
        """
        update = status_update(max(received, flushed), flushed, flushed, time.time_ns() // 1000, reply=reply)
        with self._translated():
            self._pg.put_copy_data(update)
            self._flush()

    def _flush(self) -> None:
        deadline = time.monotonic() + WAL_SENDER_TIMEOUT_SECONDS / 2
        while self._pg.flush():
            # A walsender that waits for us to read does not read: take in what it sent while our update is queued.
            readable, _, _ = select.select([self._fd], [self._fd], [], max(0.0, deadline - time.monotonic()))
            if readable:
                self._pg.consume_input()
            if time.monotonic() >= deadline:
                raise SourceUnavailable(f"{self.where}: the server does not take our status updates")

    def end_of_stream(self) -> SeamError:
        """Why the server ended the COPY: an error of its own, or a shutdown."""
        with self._translated():
            result = next_result(self._pg)
            while result is not None and result.status in (*_OK, pq.ExecStatus.COPY_IN, pq.ExecStatus.COPY_OUT):
                result = next_result(self._pg)
        if result is None or result.status == pq.ExecStatus.COPY_BOTH:
            return SourceUnavailable(f"{self.where}: the server ended the stream (it is shutting down)")
        return self._error_of(result)

    def stop(self, seconds: float = 5.0) -> None:
        """End the COPY and read to the server's end, so that the last status update arrives.

        Args:
            seconds: How long the server may take.
        """
        deadline = time.monotonic() + seconds
        try:
            self._pg.put_copy_end()
            self._flush()
            while time.monotonic() < deadline:
                size, _ = self._pg.get_copy_data(1)
                if size == -1:
                    while next_result(self._pg, max(0.0, deadline - time.monotonic())) is not None:
                        pass
                    return
                if size == 0:
                    self.wait(min(0.2, deadline - time.monotonic()))
        except (OperatorError, SourceUnavailable):
            return
        except Exception:  # noqa: BLE001 - the stream is over either way; psycopg raises its own error for a closed one
            return

    def close(self) -> None:
        """Close the connection; the slot becomes free."""
        self._pg.finish()
