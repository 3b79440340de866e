"""How we connect: one conninfo for plain and for replication connections, with every setting pinned that changes text."""

from __future__ import annotations

import os
import select
import socket
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from typing import Any, Final

import psycopg
from psycopg.conninfo import make_conninfo

from cdc.postgres.faults import translate

ANSWER_SECONDS: Final = 60.0
"""How long the rest of an answer may take whose beginning has come."""

TEXT_SETTINGS: Final[dict[str, str]] = {
    "DateStyle": "ISO,\\ YMD",
    "IntervalStyle": "postgres",
    "TimeZone": "UTC",
    "bytea_output": "hex",
    "extra_float_digits": "3",
    "lc_monetary": "C",
    "client_encoding": "UTF8",
}
"""The settings that the text of values depends on; the same on every connection, replication included."""

_SESSION: Final[dict[str, str]] = {
    "search_path": "pg_catalog",
    "lock_timeout": "10s",
    "idle_in_transaction_session_timeout": "0",
}


@dataclass(frozen=True, slots=True)
class Source:
    """Where the legacy database is, and as whom we connect.

    Attributes:
        host: Host name or address.
        port: TCP port.
        dbname: Database.
        user: Role.
        password: Its password; never shown.
        parameters: Further libpq parameters, as `sslmode`.
        application_name: Shown in `pg_stat_activity`.
    """

    host: str
    port: int
    dbname: str
    user: str
    password: str | None = field(default=None, repr=False)
    parameters: Mapping[str, str] = field(default_factory=dict)
    application_name: str = "seam"

    @property
    def address(self) -> str:
        """`host:port/database`, for messages."""
        return f"{self.host}:{self.port}/{self.dbname}"

    def conninfo(self, *, settings: Mapping[str, str] | None = None, **more: Any) -> str:
        """A libpq conninfo string. Holds the password: never log it.

        Args:
            settings: Server settings of this session.
            **more: Further libpq parameters.
        """
        pinned = {**TEXT_SETTINGS, **_SESSION, **(settings or {})}
        parameters: dict[str, Any] = {
            "host": self.host, "port": self.port, "dbname": self.dbname, "user": self.user, "password": self.password,
            "application_name": self.application_name, "connect_timeout": 10, "client_encoding": "UTF8",
            "keepalives_idle": 20, "keepalives_interval": 5, "keepalives_count": 4, "tcp_user_timeout": 60000,
            "options": " ".join(f"-c {name}={value}" for name, value in pinned.items()),
            **self.parameters, **more,
        }  # fmt: skip
        return make_conninfo(**{name: value for name, value in parameters.items() if value is not None})


@contextmanager
def translated(source: Source, task: str) -> Iterator[None]:
    """Turn psycopg's errors into ours.

    Args:
        source: The server, for the message.
        task: What was being done, as `reading the catalogue of`.
    """
    try:
        yield
    except psycopg.Error as error:
        raise translate(error, where=f"{task} {source.address}") from error


@contextmanager
def bounded(connection: psycopg.Connection[Any], seconds: float) -> Iterator[None]:
    """End the connection when what is done on it takes longer: `statement_timeout` is the server's, who may be frozen.

    Args:
        connection: Raises `OperationalError` in whoever waits for it.
        seconds: How long it may take.
    """
    end = socket.socket(fileno=os.dup(connection.fileno()))

    def give_up() -> None:
        with suppress(OSError):
            end.shutdown(socket.SHUT_RDWR)

    timer = threading.Timer(seconds, give_up)
    timer.daemon = True
    timer.start()
    try:
        yield
    finally:
        timer.cancel()
        timer.join()
        end.close()


def next_result(connection: Any, seconds: float | None = ANSWER_SECONDS, what: str = "end its answer") -> Any:
    """The next result of a libpq connection, or None at the answer's end.

    `PQgetResult` itself waits inside of libpq with the interpreter locked: a server that falls silent there would stop
    every thread of this process, and its signals.

    Args:
        connection: A `psycopg.pq.PGconn`.
        seconds: How long it may take; None for any time.
        what: What the server did not do, where it takes longer.

    Raises:
        psycopg.OperationalError: The time is up, or the connection is gone.
    """
    deadline = None if seconds is None else time.monotonic() + seconds
    while connection.is_busy():
        left = None if deadline is None else deadline - time.monotonic()
        if left is not None and left <= 0:
            raise psycopg.OperationalError(f"the server did not {what} within {seconds:.0f} s")
        select.select([connection.socket], [], [], left)
        connection.consume_input()
    return connection.get_result()


def connect(source: Source, *, statement_timeout: str = "60s", **more: Any) -> psycopg.Connection[Any]:
    """A plain connection in autocommit mode.

    Raises:
        SourceUnavailable: The server cannot be reached.
        AuthFailed: It refuses us.
    """
    with translated(source, "connecting to"):
        return psycopg.connect(
            source.conninfo(settings={"statement_timeout": statement_timeout}), autocommit=True, **more
        )
