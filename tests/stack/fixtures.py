"""Fixtures: the real servers, and what belongs to one test alone.

kafka, connect, registry, mariadb          the run's servers
postgres                                   the run's Postgres 18; parametrize it indirectly with 15, 16, 17, 18
database                                   an empty database on `postgres`, gone after the test
prefix                                     a name that no other test has, for topics, slots, publications
kafka_proxy, postgres_proxy                healed after the test
make_postgres, make_kafka, make_connect    servers of one test, with settings of their own
"""

from __future__ import annotations

import contextlib
import secrets
from collections.abc import Callable, Iterator, Mapping, Sequence

import pytest
from confluent_kafka.admin import AdminClient

from cdc.postgres.embedded import PostgresServer
from tests.stack.connect import ConnectWorker
from tests.stack.kafka import KafkaBroker
from tests.stack.mariadb import MariaDb
from tests.stack.postgres import Database, fresh_database, postgres_server
from tests.stack.registry import Registry
from tests.stack.stack import Stack
from tests.support.proxy import Proxy

MakePostgres = Callable[..., PostgresServer]
MakeKafka = Callable[..., KafkaBroker]
MakeConnect = Callable[..., ConnectWorker]


@pytest.fixture(scope="session")
def stack() -> Iterator[Stack]:
    servers = Stack()
    try:
        yield servers
    finally:
        servers.close()


@pytest.fixture
def prefix(stack: Stack) -> Iterator[str]:
    """Lower-case letters and digits: a topic prefix, and the begin of slot and database names."""
    name = f"t{secrets.token_hex(4)}"
    yield name
    if stack.running_kafka is not None:
        delete_topics(stack.running_kafka.bootstrap, name)


@pytest.fixture
def kafka(stack: Stack) -> KafkaBroker:
    return stack.kafka()


@pytest.fixture
def kafka_proxy(stack: Stack) -> Iterator[Proxy]:
    proxy = stack.kafka_proxy()
    proxy.heal()
    yield proxy
    proxy.heal()
    proxy.cut()


@pytest.fixture
def connect(stack: Stack) -> Iterator[ConnectWorker]:
    worker = stack.connect()
    before = set(worker.connectors())
    yield worker
    worker.start()  # a test of faults may have left it down
    for name in set(worker.connectors()) - before:
        worker.delete(name)


@pytest.fixture
def registry(stack: Stack) -> Registry:
    return stack.registry()


@pytest.fixture
def mariadb(stack: Stack) -> MariaDb:
    return stack.mariadb()


@pytest.fixture
def postgres(request: pytest.FixtureRequest, stack: Stack) -> PostgresServer:
    return stack.postgres(getattr(request, "param", 18))


@pytest.fixture
def database(postgres: PostgresServer, prefix: str) -> Iterator[Database]:
    with fresh_database(postgres, prefix) as fresh:
        yield fresh


@pytest.fixture
def postgres_proxy(postgres: PostgresServer) -> Iterator[Proxy]:
    with Proxy(postgres.port) as proxy:
        yield proxy


@pytest.fixture
def make_postgres(stack: Stack) -> Iterator[MakePostgres]:
    """Start a server of this test: `make_postgres(17, settings={"max_slot_wal_keep_size": "16MB"})`."""
    with contextlib.ExitStack() as closing:

        def make(
            version: int = 18,
            *,
            settings: Mapping[str, str | int] | None = None,
            password: str | None = None,
            hba: Sequence[str] = (),
        ) -> PostgresServer:
            server = postgres_server(version, settings=settings, password=password, hba=hba)
            return closing.enter_context(server)

        yield make


@pytest.fixture
def make_connect(stack: Stack) -> Iterator[MakeConnect]:
    """Start a worker of this test on the run's broker; with `group=connect.group` it joins the run's worker."""
    with contextlib.ExitStack() as closing:

        def make(**arguments: object) -> ConnectWorker:
            bootstrap = stack.kafka().bootstrap
            return closing.enter_context(ConnectWorker(stack.own_directory("connect"), bootstrap, **arguments))

        yield make


@pytest.fixture
def make_kafka(stack: Stack) -> Iterator[MakeKafka]:
    """Start a broker of this test; the arguments are `KafkaBroker`'s without the directory."""
    with contextlib.ExitStack() as closing:

        def make(**arguments: object) -> KafkaBroker:
            return closing.enter_context(KafkaBroker(stack.own_directory("kafka"), **arguments))

        yield make


def delete_topics(bootstrap: str, prefix: str) -> None:
    """Delete every topic that begins so."""
    admin = AdminClient({"bootstrap.servers": bootstrap, "log_level": 3})
    names = [name for name in admin.list_topics(timeout=10).topics if name.startswith(prefix)]
    if names:
        for deletion in admin.delete_topics(names).values():
            deletion.result(30)
