"""Real Postgres servers by version number, and databases of one test on them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import psycopg
from psycopg import sql

from cdc.postgres.embedded import PostgresServer
from cdc.postgres.installation import Installation
from tests.stack import maven
from tests.stack.missing import MissingPart

VERSIONS = (15, 16, 17, 18)


def installation(version: int) -> Installation:
    """Where the programs of this version come from: 16 and 18 the wheel, 17 Maven, 15 the system."""
    if version in (16, 18):
        return Installation.of_wheel(version)
    if version == 17:
        return Installation.at(maven.postgres_17() / "bin")
    # Debian's programs find their other parts by absolute paths: nothing is ever copied from there.
    for bin in (Path(f"/usr/lib/postgresql/{version}/bin"), Path(f"/usr/pgsql-{version}/bin")):
        if (bin / "postgres").exists():
            return Installation.at(bin)
    raise MissingPart(f"Postgres {version}", f"apt-get install postgresql-{version}")


def postgres_server(
    version: int = 18,
    *,
    settings: Mapping[str, str | int] | None = None,
    directory: Path | None = None,
    password: str | None = None,
    hba: Sequence[str] = (),
) -> PostgresServer:
    """A server of this version, not yet started; the arguments are `PostgresServer`'s."""
    # A slot that a test forgot must not fill the disk, nor a long transaction of one test hold the others.
    ours = {"max_connections": 200, "max_prepared_transactions": 20, **(settings or {})}
    return PostgresServer(installation(version), settings=ours, directory=directory, password=password, hba=hba)


@dataclass(frozen=True, slots=True)
class Database:
    """A database of one test on a server that others use too.

    Attributes:
        server: The server.
        name: Its name, unique on the server.
    """

    server: PostgresServer
    name: str

    @property
    def dsn(self) -> str:
        return self.server.dsn(self.name)

    def connect(self, *, autocommit: bool = True) -> psycopg.Connection:
        """A new connection; the caller closes it."""
        return psycopg.connect(self.dsn, autocommit=autocommit)

    def execute(self, *statements: str) -> None:
        """Run statements one after the other, each committed by itself."""
        with self.connect() as connection:
            for statement in statements:
                connection.execute(statement)

    def rows(self, query: str, *parameters: object) -> list[tuple]:
        with self.connect() as connection:
            return connection.execute(query, parameters or None).fetchall()

    def value(self, query: str, *parameters: object) -> object:
        """The first column of the first row."""
        return self.rows(query, *parameters)[0][0]


@contextmanager
def fresh_database(
    server: PostgresServer, name: str, *, template: str | None = None, encoding: str | None = None
) -> Iterator[Database]:
    """A database that goes again with its connections and its replication slots.

    Args:
        server: A running server.
        name: Unique on the server.
        template: A database to copy, which nobody may be connected to.
        encoding: Of its texts, with locale C; the server's when left out.
    """
    copied = sql.SQL("TEMPLATE {}").format(sql.Identifier(template)) if template else sql.SQL("")
    if encoding:
        copied = sql.SQL("TEMPLATE template0 ENCODING {} LOCALE 'C'").format(sql.Literal(encoding))
    with psycopg.connect(server.dsn(), autocommit=True) as connection:
        connection.execute(sql.SQL("CREATE DATABASE {} {}").format(sql.Identifier(name), copied))
    try:
        yield Database(server, name)
    finally:
        server.start()  # a test of faults may have left it down
        with psycopg.connect(server.dsn(), autocommit=True) as connection:
            _drop(connection, name)


def _drop(connection: psycopg.Connection, name: str) -> None:
    # A slot in use goes only after its walsender, which needs a moment to end.
    connection.execute("SELECT pg_terminate_backend(pid, 10000) FROM pg_stat_activity WHERE datname = %s", [name])
    connection.execute(
        "SELECT pg_terminate_backend(active_pid, 10000) FROM pg_replication_slots "
        "WHERE database = %s AND active_pid IS NOT NULL",
        [name],
    )
    connection.execute(
        "SELECT pg_drop_replication_slot(slot_name) FROM pg_replication_slots WHERE database = %s", [name]
    )
    with psycopg.ClientCursor(connection) as cursor:
        prepared = cursor.execute("SELECT gid FROM pg_prepared_xacts WHERE database = %s", [name]).fetchall()
    if prepared:
        with psycopg.connect(connection.info.dsn, dbname=name, autocommit=True) as inside:
            for (gid,) in prepared:
                inside.execute(sql.SQL("ROLLBACK PREPARED {}").format(sql.Literal(gid)))
    connection.execute(sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(sql.Identifier(name)))
