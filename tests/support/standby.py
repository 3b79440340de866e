"""A standby of a server, by pg_basebackup: it follows, can be cut off, and can be promoted."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from contextlib import contextmanager

import psycopg

from cdc.postgres.account import give, temporary_directory, unprivileged_account
from cdc.postgres.embedded import SUPERUSER, PostgresServer
from cdc.postgres.owned_process import RemoveWithOwner
from tests.stack.postgres import Database, installation
from tests.support.engine import current_lsn
from tests.support.waiting import wait_until


@contextmanager
def standby_of(primary: PostgresServer, version: int = 18) -> Iterator[PostgresServer]:
    """A running standby; its primary must be of this version."""
    account = unprivileged_account()
    directory = temporary_directory("seam-standby-", account)
    janitor = RemoveWithOwner(directory)
    standby = PostgresServer(installation(version), settings=primary.settings, directory=directory)
    try:
        subprocess.run(
            [
                str(installation(version).bin / "pg_basebackup"), "-h", primary.host, "-p", str(primary.port),
                "-U", SUPERUSER, "-D", str(directory / "data"), "-R", "-c", "fast", "-X", "stream",
            ],
            check=True, capture_output=True, cwd="/",
        )  # fmt: skip
        give(directory, account)
        standby.start()
        yield standby
    finally:
        standby.kill()
        standby.close()
        janitor.close()


def followed(primary: Database, standby: PostgresServer) -> None:
    """Wait until the standby has all that the primary has now."""
    target = current_lsn(primary)

    def replayed() -> bool:
        with psycopg.connect(standby.dsn()) as connection:
            row = connection.execute("select coalesce(pg_last_wal_replay_lsn() - '0/0', 0)::int8").fetchone()
        return row is not None and row[0] >= target

    wait_until(replayed, 30, "the standby to follow")


def cut_off(primary: Database, standby: PostgresServer) -> None:
    """The standby gets nothing from now on."""
    with psycopg.connect(standby.dsn(), autocommit=True) as connection:
        connection.execute("alter system set primary_conninfo = ''")
        connection.execute("select pg_reload_conf()")
    query = "select 1 from pg_stat_replication where application_name = 'walreceiver'"
    wait_until(lambda: not primary.rows(query), 30, "the standby to let go of its primary")


def promote(standby: PostgresServer) -> Database:
    """Make it a primary on a timeline of its own."""
    database = Database(standby, "postgres")
    assert database.value("select pg_promote(true, 30)")
    return database
