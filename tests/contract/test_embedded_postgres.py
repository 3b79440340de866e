"""The embedded server: starts, keeps its data, and leaves nothing behind."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import threading
from pathlib import Path

import psycopg
import pytest

from cdc.errors import ConfigError, SourceUnavailable
from cdc.postgres.account import temporary_directory
from cdc.postgres.embedded import EmbeddedPostgres, PostgresServer, StopMode, free_port
from cdc.postgres.installation import Installation
from tests.stack.postgres import VERSIONS, postgres_server
from tests.support.processes import answer, has_ended, python
from tests.support.waiting import wait_until

_OWNER = """
import json, time
from cdc.postgres.embedded import EmbeddedPostgres
server = EmbeddedPostgres()
server.start()
print(json.dumps([server.pid, str(server.directory)]), flush=True)

time.sleep(60)
"""


@pytest.fixture(scope="module")
def server():
    with EmbeddedPostgres() as embedded:
        yield embedded


@pytest.mark.parametrize("version", VERSIONS)
def test_a_server_of_each_version_starts_ready_for_logical_decoding(version):
    with postgres_server(version) as server, psycopg.connect(server.dsn()) as connection:
        assert connection.info.server_version // 10000 == version
        assert connection.execute("SHOW wal_level").fetchone() == ("logical",)


@pytest.mark.parametrize("mode", ["fast", "immediate"])
def test_a_restart_keeps_port_and_rows(server: PostgresServer, mode: StopMode):
    port = server.port
    write(server, mode)
    server.restart(mode)
    assert server.port == port
    assert mode in rows(server)


def test_a_killed_server_recovers_what_was_committed(server: PostgresServer):
    write(server, "killed")
    pid = server.pid
    server.kill()
    assert server.pid is None
    assert has_ended(pid)
    server.start()
    assert "killed" in rows(server)


def test_killing_ends_the_backends_too(server: PostgresServer):
    connection = psycopg.connect(server.dsn())
    backend = connection.info.backend_pid
    server.kill()
    assert has_ended(backend)
    with pytest.raises(psycopg.OperationalError):
        connection.execute("SELECT 1")
    connection.close()
    server.start()


def test_settings_hold_and_are_read_again_at_a_restart(server: PostgresServer):
    server.settings["max_slot_wal_keep_size"] = "64MB"
    server.settings["application_name"] = "it's \\ quoted"
    server.restart()
    with psycopg.connect(server.dsn()) as connection:
        assert connection.execute("SHOW max_slot_wal_keep_size").fetchone() == ("64MB",)
    assert "it''s" in (server.data / "seam.conf").read_text()


def test_a_server_listens_on_the_loopback_interface_only(server: PostgresServer):
    with psycopg.connect(server.dsn()) as connection:
        assert connection.execute("SHOW listen_addresses").fetchone() == ("127.0.0.1",)
        assert connection.execute("SHOW unix_socket_directories").fetchone() == ("",)


def test_nothing_is_left_after_the_end():
    with EmbeddedPostgres() as server:
        pid, directory = server.pid, server.directory
        assert directory.exists()
    assert has_ended(pid)
    assert not directory.exists()


def test_nothing_is_left_after_its_owner_was_killed():
    with python(_OWNER) as owner:
        pid, directory = answer(owner)
        assert not has_ended(pid)
        owner.send_signal(signal.SIGKILL)
        wait_until(lambda: has_ended(pid), 10, "the server to end after its owner")
        wait_until(lambda: not Path(directory).exists(), 10, "its directory to go")


def test_a_server_outlives_the_thread_that_started_it():
    server = EmbeddedPostgres()
    starter = threading.Thread(target=server.start)
    starter.start()
    starter.join()
    try:
        with psycopg.connect(server.dsn()) as connection:
            assert connection.execute("SELECT 1").fetchone() == (1,)
    finally:
        server.close()


def test_a_password_is_asked_for_where_one_was_given():
    with EmbeddedPostgres(password="it's \\ secret") as server:
        with psycopg.connect(server.dsn()) as connection:
            assert connection.execute("SELECT 1").fetchone() == (1,)
        with pytest.raises(psycopg.OperationalError, match="password"):
            psycopg.connect(server.dsn().partition(" password=")[0])
        with pytest.raises(psycopg.OperationalError, match="password authentication failed"):
            psycopg.connect(server.dsn(), password="wrong")


def test_rules_of_access_come_before_the_usual_ones():
    with EmbeddedPostgres(hba=["host all mallory 127.0.0.1/32 reject"]) as server:
        write(server, "by the superuser")
        with pytest.raises(psycopg.OperationalError, match=r"pg_hba\.conf rejects"):
            psycopg.connect(server.dsn(user="mallory"))


def test_a_given_directory_stays_and_is_used_again(make_postgres, stack):
    directory = stack.own_directory("kept")
    with EmbeddedPostgres(directory=directory) as server:
        write(server, "kept")
    assert (directory / "data" / "PG_VERSION").exists()
    with EmbeddedPostgres(directory=directory) as server:
        assert rows(server) == ["kept"]


def test_programs_that_the_account_cannot_reach_are_copied():
    wheel = Installation.of_wheel()
    hidden = temporary_directory("seam-hidden-", None)  # mode 0700, the caller's
    try:
        with PostgresServer(wheel.copied_to(hidden)) as server:
            copied = (server.directory / "programs").exists()
            assert copied == (os.geteuid() == 0)
            write(server, "reached")
    finally:
        shutil.rmtree(hidden)


def test_a_directory_that_the_account_cannot_reach_is_refused_or_used(tmp_path: Path):
    tmp_path.chmod(0o700)
    server = EmbeddedPostgres(directory=tmp_path / "below")
    if os.geteuid() == 0:
        with pytest.raises(SourceUnavailable, match="cannot be used by the account"):
            server.start()
    else:
        with server:
            write(server, "reached")


def test_a_port_in_use_is_named():
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = other.getsockname()[1]
        with pytest.raises(SourceUnavailable, match=f"port {port}"):
            EmbeddedPostgres(port=port).__enter__()


def test_a_setting_that_does_not_exist_is_shown_from_the_log():
    with pytest.raises(SourceUnavailable, match="no_such_setting"):
        EmbeddedPostgres(settings={"no_such_setting": "on"}).__enter__()


def test_a_directory_without_postgres_is_named(tmp_path: Path):
    with pytest.raises(ConfigError, match=str(tmp_path)):
        PostgresServer(Installation.at(tmp_path / "bin")).__enter__()


def test_a_free_port_is_free():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", free_port()))


def write(server: PostgresServer, text: str) -> None:
    with psycopg.connect(server.dsn(), autocommit=True) as connection:
        connection.execute("CREATE TABLE IF NOT EXISTS kept (text text)")
        connection.execute("INSERT INTO kept VALUES (%s)", [text])


def rows(server: PostgresServer) -> list[str]:
    with psycopg.connect(server.dsn()) as connection:
        return [text for (text,) in connection.execute("SELECT text FROM kept")]
