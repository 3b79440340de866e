"""A MariaDB server with a row-based binary log: a foreign source for the connectors."""

from __future__ import annotations

import subprocess
from collections.abc import Sequence
from pathlib import Path

from cdc.postgres.account import give, run_as, unprivileged_account
from cdc.postgres.embedded import free_port
from tests.stack.missing import program
from tests.stack.server import HOST, Server

_INSTALL = "apt-get install --no-install-recommends mariadb-server"
_SYSTEM = ("/usr/sbin", "/usr/libexec", "/usr/local/sbin")
USER = "seam"
PASSWORD = "seam"

# What Debezium's MariaDB connector asks of an account, and the right to make databases for the tests.
_ACCOUNT = f"""
CREATE USER IF NOT EXISTS '{USER}'@'%' IDENTIFIED BY '{PASSWORD}';
GRANT ALL ON *.* TO '{USER}'@'%';
"""


class MariaDb(Server):
    """MariaDB on a loopback port; as root it runs under an account without rights.

    Args:
        directory: Holds the data; where the account can reach it.
    """

    name = "MariaDB"

    def __init__(self, directory: Path) -> None:
        super().__init__(directory)
        self.port = free_port()
        self._account = unprivileged_account()
        give(directory, self._account)

    def execute(self, statements: str, database: str = "") -> list[list[str]]:
        """Run statements as the client program does; the rows of their answers, each value as text.

        Raises:
            RuntimeError: One failed.
        """
        client = program("mariadb", _INSTALL)
        command = [client, "--no-defaults", "-h", HOST, "-P", str(self.port), "-u", "root", "-B", "-N"]
        command += ["--skip-ssl", "-e", statements, *([database] if database else [])]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode != 0:
            raise RuntimeError(f"MariaDB: {done.stderr.strip()}")
        return [line.split("\t") for line in done.stdout.splitlines()]

    def _command(self) -> Sequence[str]:
        return [
            program("mariadbd", _INSTALL, also_in=_SYSTEM),
            "--no-defaults",
            f"--datadir={self.directory / 'data'}",
            f"--socket={self.directory / 'socket'}",
            f"--pid-file={self.directory / 'pid'}",
            f"--bind-address={HOST}",
            f"--port={self.port}",
            "--server-id=1",
            "--log-bin=binlog",
            "--binlog-format=ROW",
            "--binlog-row-image=FULL",
            "--binlog-row-metadata=FULL",
            "--gtid-strict-mode=ON",
            "--innodb-buffer-pool-size=32M",
            "--innodb-flush-log-at-trx-commit=2",
            "--skip-name-resolve",
        ]

    def _answers(self) -> bool:
        try:
            return self.execute("SELECT 1") == [["1"]]
        except RuntimeError:
            return False

    def _prepare(self) -> None:
        data = self.directory / "data"
        if data.exists():
            return
        install = program("mariadb-install-db", _INSTALL)
        arguments = ["--no-defaults", f"--datadir={data}", "--auth-root-authentication-method=normal", "--skip-test-db"]
        done = subprocess.run(
            [install, *arguments],
            capture_output=True,
            text=True,
            check=False,
            cwd=self.directory,
            **run_as(self._account),
        )
        if done.returncode != 0:
            raise RuntimeError(f"mariadb-install-db failed:\n{done.stdout}{done.stderr}")

    def start(self) -> None:
        fresh = not (self.directory / "data").exists()
        super().start()
        if fresh:
            self.execute(_ACCOUNT)
