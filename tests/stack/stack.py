"""The one set of real servers of a test run: each started when it is first asked for."""

from __future__ import annotations

import contextlib
from pathlib import Path

from cdc.postgres.account import temporary_directory, unprivileged_account
from cdc.postgres.embedded import PostgresServer
from cdc.postgres.owned_process import RemoveWithOwner
from tests.stack.connect import ConnectWorker
from tests.stack.kafka import KafkaBroker
from tests.stack.mariadb import MariaDb
from tests.stack.postgres import postgres_server
from tests.stack.registry import Registry
from tests.support.proxy import Proxy

PROXIED = "PROXIED"


class Stack:
    """Servers under one temporary directory, which goes at the end, also when this process is killed.

    A server that a test left stopped or killed is started again when the next one asks for it.
    """

    def __init__(self) -> None:
        self._account = unprivileged_account()
        self.directory = temporary_directory("seam-stack-", self._account)
        self._janitor = RemoveWithOwner(self.directory)
        self._closing = contextlib.ExitStack()
        self._kafka: KafkaBroker | None = None
        self._kafka_proxy: Proxy | None = None
        self._connect: ConnectWorker | None = None
        self._registry: Registry | None = None
        self._mariadb: MariaDb | None = None
        self._postgres: dict[int, PostgresServer] = {}
        self._names = 0

    def own_directory(self, name: str) -> Path:
        """A directory name that nobody has, for a server of one test."""
        self._names += 1
        return self.directory / f"{name}-{self._names}"

    def postgres(self, version: int = 18) -> PostgresServer:
        """The run's server of this version."""
        if version not in self._postgres:
            server = postgres_server(version, directory=self.directory / f"postgres-{version}")
            self._closing.callback(_end_postgres, server)
            self._postgres[version] = server
        self._postgres[version].start()
        return self._postgres[version]

    def kafka(self) -> KafkaBroker:
        """The run's broker; its listener PROXIED is reached through `kafka_proxy` only."""
        if self._kafka is None:
            proxy = self._closing.enter_context(Proxy())
            broker = KafkaBroker(
                self.directory / "kafka", listeners={PROXIED: "PLAINTEXT"}, advertised={PROXIED: proxy.port}
            )
            proxy.target = broker.ports[PROXIED]
            self._closing.callback(broker.close)
            self._kafka, self._kafka_proxy = broker, proxy
        self._kafka.start()
        return self._kafka

    def kafka_proxy(self) -> Proxy:
        """The proxy before the broker: a client that starts at its port never gets around it."""
        self.kafka()
        assert self._kafka_proxy is not None
        return self._kafka_proxy

    def connect(self) -> ConnectWorker:
        """The run's worker, on the run's broker, with all plugins."""
        broker = self.kafka()
        if self._connect is None:
            self._connect = ConnectWorker(self.directory / "connect", broker.bootstrap)
            self._closing.callback(self._connect.close)
        self._connect.start()
        return self._connect

    def registry(self) -> Registry:
        """The run's schema registry."""
        if self._registry is None:
            self._registry = Registry(self.directory / "registry")
            self._closing.callback(self._registry.close)
        self._registry.start()
        return self._registry

    def mariadb(self) -> MariaDb:
        """The run's MariaDB."""
        if self._mariadb is None:
            self._mariadb = MariaDb(self.directory / "mariadb")
            self._closing.callback(self._mariadb.close)
        self._mariadb.start()
        return self._mariadb

    @property
    def running_kafka(self) -> KafkaBroker | None:
        """The broker if a test has started it and it runs."""
        return self._kafka if self._kafka is not None and self._kafka.pid is not None else None

    def close(self) -> None:
        """End all servers and remove the directory."""
        self._closing.close()
        self._janitor.close()


def _end_postgres(server: PostgresServer) -> None:
    server.kill()
    server.close()
