"""The real servers: each starts, answers, keeps its data over a restart or a kill, and is gone afterwards."""

from __future__ import annotations

import json
import signal
import uuid
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest
from confluent_kafka import Producer
from confluent_kafka.schema_registry import Schema, SchemaRegistryClient

from cdc.postgres.embedded import PostgresServer
from tests.stack.connect import ConnectWorker
from tests.stack.fixtures import delete_topics
from tests.stack.kafka import KafkaBroker
from tests.stack.mariadb import PASSWORD, USER, MariaDb
from tests.stack.postgres import VERSIONS, Database, fresh_database
from tests.stack.registry import Registry
from tests.stack.stack import Stack
from tests.support.consume import Record, read_topic, topics
from tests.support.processes import answer, has_ended, python
from tests.support.waiting import wait_until

_OWNER = """
import json, time
from tests.stack.stack import Stack
stack = Stack()
servers = [stack.postgres(), stack.kafka(), stack.mariadb()]
print(json.dumps([[server.pid for server in servers], str(stack.directory)]), flush=True)
time.sleep(60)
"""


@pytest.fixture(scope="module")
def broker(stack: Stack) -> Iterator[KafkaBroker]:
    """A broker that these tests may break."""
    directory = stack.own_directory("kafka")
    with KafkaBroker(directory, properties={"message.max.bytes": "2000"}, listeners={"MORE": "PLAINTEXT"}) as broker:
        yield broker


@pytest.mark.parametrize("postgres", VERSIONS, indirect=True, ids=str)
def test_each_postgres_gives_a_test_an_empty_database(postgres: PostgresServer, database: Database):
    assert database.rows("SELECT relname FROM pg_class WHERE relnamespace = 'public'::regnamespace") == []
    database.execute("CREATE TABLE orders (id int PRIMARY KEY)", "INSERT INTO orders VALUES (1), (2)")
    assert database.value("SELECT count(*) FROM orders") == 2
    server_version = database.value("SHOW server_version_num")
    assert int(str(server_version)) // 10000 in VERSIONS


def test_a_database_goes_with_its_slots_connections_and_prepared_transactions(stack: Stack, prefix: str):
    server = stack.postgres()
    with fresh_database(server, prefix) as database:
        database.execute(f"SELECT pg_create_logical_replication_slot('{prefix}_slot', 'pgoutput')")
        database.execute("CREATE TABLE held (id int)")
        prepared = database.connect(autocommit=False)
        prepared.execute("INSERT INTO held VALUES (1)")
        prepared.execute(f"PREPARE TRANSACTION '{prefix}'")
        forgotten = database.connect()
    with psycopg.connect(server.dsn()) as connection:
        for catalog, name in (
            ("pg_database", "datname"),
            ("pg_replication_slots", "database"),
            ("pg_prepared_xacts", "gid"),
            ("pg_stat_activity", "datname"),
        ):
            query = f"SELECT count(*) FROM {catalog} WHERE {name} = '{prefix}'"
            assert connection.execute(query).fetchone() == (0,), catalog
    prepared.close()
    forgotten.close()


def test_two_tests_never_share_a_name(prefix: str, request: pytest.FixtureRequest):
    assert prefix.isalnum()
    assert prefix == prefix.lower()
    assert prefix[0].isalpha()


def test_kafka_keeps_acknowledged_records_over_a_restart_and_a_kill(broker: KafkaBroker):
    produce(broker.bootstrap, "kept", b"before the restart")
    bootstrap = broker.bootstrap
    broker.restart()
    assert broker.bootstrap == bootstrap
    produce(bootstrap, "kept", b"before the kill")
    broker.kill()
    broker.start()
    assert [record.value for record in read_topic(bootstrap, "kept")] == [b"before the restart", b"before the kill"]


def test_kafka_runs_transactions_that_a_committed_read_tells_apart(kafka: KafkaBroker, prefix: str):
    producer = Producer({"bootstrap.servers": kafka.bootstrap, "transactional.id": prefix})
    producer.init_transactions(30)
    for value, end in ((b"committed", producer.commit_transaction), (b"aborted", producer.abort_transaction)):
        producer.begin_transaction()
        producer.produce(f"{prefix}.t", value)
        producer.flush(10)
        end(30)
    committed = read_topic(kafka.bootstrap, f"{prefix}.t")
    everything = read_topic(kafka.bootstrap, f"{prefix}.t", read_committed=False)
    assert [record.value for record in committed] == [b"committed"]
    assert [record.value for record in everything] == [b"committed", b"aborted"]


def test_kafka_takes_properties_and_listeners_of_one_test(broker: KafkaBroker):
    more = f"127.0.0.1:{broker.ports['MORE']}"
    produce(more, "small", b"x")
    failures = []
    producer = Producer({"bootstrap.servers": more})
    producer.produce("small", b"x" * 5000, on_delivery=lambda error, _: failures.append(error))
    producer.flush(20)
    assert failures[0].name() == "MSG_SIZE_TOO_LARGE"


def test_a_frozen_broker_answers_again_when_thawed(broker: KafkaBroker):
    broker.freeze()
    producer = Producer({"bootstrap.servers": broker.bootstrap})
    producer.produce("late", b"x")
    assert producer.flush(1) == 1
    broker.thaw()
    assert producer.flush(20) == 0


def test_the_topics_of_a_test_go_with_it(stack: Stack, kafka: KafkaBroker):
    name = f"t{uuid.uuid4().hex[:8]}"
    produce(kafka.bootstrap, f"{name}.orders", b"x")
    assert topics(kafka.bootstrap, name) == [f"{name}.orders"]
    delete_topics(kafka.bootstrap, name)
    wait_until(lambda: topics(kafka.bootstrap, name) == [], 10, "the topics to go")


def test_debezium_captures_a_row_and_goes_on_after_a_kill(
    connect: ConnectWorker, kafka: KafkaBroker, database: Database, prefix: str
):
    database.execute("CREATE TABLE orders (id int PRIMARY KEY, note text)", "INSERT INTO orders VALUES (1, 'old')")
    connect.run(prefix, debezium(database, prefix))
    topic = f"{prefix}.public.orders"
    await_ids(kafka, topic, [1])
    database.execute("INSERT INTO orders VALUES (2, 'new')")
    await_ids(kafka, topic, [1, 2])
    connect.kill()
    connect.start()
    database.execute("INSERT INTO orders VALUES (3, 'new')")
    await_ids(kafka, topic, [1, 2, 3])
    last = json.loads(read_topic(kafka.bootstrap, topic)[-1].value or b"")
    assert last["after"] == {"id": 3, "note": "new"}
    assert last["source"]["version"] == "3.6.3.Final"


def test_a_second_worker_joins_the_first(connect: ConnectWorker, make_connect, database: Database, prefix: str):
    database.execute("CREATE TABLE orders (id int PRIMARY KEY)")
    second: ConnectWorker = make_connect(group=connect.group)
    connect.run(prefix, debezium(database, prefix))
    wait_until(lambda: prefix in second.connectors(), 20, "the second worker to know the connector")
    second.delete(prefix)
    wait_until(lambda: prefix not in connect.connectors(), 20, "the first worker to know that it is gone")


def test_the_jdbc_sink_writes_what_debezium_reads(
    connect: ConnectWorker, postgres: PostgresServer, database: Database, prefix: str
):
    database.execute("CREATE TABLE orders (id int PRIMARY KEY, note text)", "INSERT INTO orders VALUES (1, 'one')")
    schemas = {"key.converter.schemas.enable": "true", "value.converter.schemas.enable": "true"}
    converters = dict.fromkeys(("key.converter", "value.converter"), "org.apache.kafka.connect.json.JsonConverter")
    connect.run(f"{prefix}-source", {**debezium(database, prefix), **converters, **schemas})
    connect.run(
        f"{prefix}-sink",
        {
            "connector.class": "io.debezium.connector.jdbc.JdbcSinkConnector",
            "topics": f"{prefix}.public.orders",
            "connection.url": f"jdbc:postgresql://{postgres.host}:{postgres.port}/{database.name}",
            "connection.username": "postgres",
            "connection.password": "unused",
            "insert.mode": "upsert",
            "delete.enabled": "true",
            "primary.key.mode": "record_key",
            "schema.evolution": "basic",
            "collection.name.format": "copied",
            **converters,
            **schemas,
        },
    )
    database.execute("INSERT INTO orders VALUES (2, 'two')", "DELETE FROM orders WHERE id = 1")
    wait_until(
        lambda: (
            database.value("SELECT to_regclass('copied') IS NOT NULL")
            and database.rows("SELECT id, note FROM copied") == [(2, "two")]
        ),
        30,
        "the copy to equal the table",
    )


def test_debezium_reads_mariadb(connect: ConnectWorker, kafka: KafkaBroker, mariadb: MariaDb, prefix: str):
    mariadb.execute(f"CREATE DATABASE {prefix}; CREATE TABLE {prefix}.orders (id int PRIMARY KEY)")
    connect.run(
        prefix,
        {
            "connector.class": "io.debezium.connector.mariadb.MariaDbConnector",
            "topic.prefix": prefix,
            "database.hostname": "127.0.0.1",
            "database.port": mariadb.port,
            "database.user": USER,
            "database.password": PASSWORD,
            "database.server.id": 5701,
            "database.include.list": prefix,
            "database.ssl.mode": "disable",
            "schema.history.internal.kafka.bootstrap.servers": kafka.bootstrap,
            "schema.history.internal.kafka.topic": f"{prefix}.history",
        },
    )
    mariadb.execute(f"INSERT INTO {prefix}.orders VALUES (7)")
    await_ids(kafka, f"{prefix}.{prefix}.orders", [7])
    mariadb.execute(f"DROP DATABASE {prefix}")


def test_mariadb_keeps_rows_over_a_restart_and_a_kill(mariadb: MariaDb, prefix: str):
    mariadb.execute(f"CREATE DATABASE {prefix}; CREATE TABLE {prefix}.t (a int PRIMARY KEY)")
    mariadb.execute(f"INSERT INTO {prefix}.t VALUES (1)")
    mariadb.restart()
    mariadb.execute(f"INSERT INTO {prefix}.t VALUES (2)")
    mariadb.kill()
    mariadb.start()
    assert mariadb.execute(f"SELECT a FROM {prefix}.t ORDER BY a") == [["1"], ["2"]]
    mariadb.execute(f"DROP DATABASE {prefix}")


def test_the_registry_takes_and_gives_schemas(registry: Registry, prefix: str):
    schema = Schema('{"type": "record", "name": "Order", "fields": [{"name": "id", "type": "int"}]}', "AVRO")
    with SchemaRegistryClient({"url": registry.url}) as client:
        number = client.register_schema(f"{prefix}-value", schema)
        assert json.loads(client.get_schema(number).schema_str or "")["name"] == "Order"


def test_nothing_is_left_after_the_owner_of_all_servers_was_killed():
    with python(_OWNER) as owner:
        pids, directory = answer(owner)
        assert not any(has_ended(pid) for pid in pids)
        owner.send_signal(signal.SIGKILL)
        wait_until(lambda: all(has_ended(pid) for pid in pids), 15, "all servers to end after their owner")
        wait_until(lambda: not Path(directory).exists(), 15, "their directory to go")


def debezium(database: Database, prefix: str) -> dict[str, object]:
    return {
        "connector.class": "io.debezium.connector.postgresql.PostgresConnector",
        "topic.prefix": prefix,
        "database.hostname": database.server.host,
        "database.port": database.server.port,
        "database.user": "postgres",
        "database.password": "unused",
        "database.dbname": database.name,
        "plugin.name": "pgoutput",
        "slot.name": prefix,
        "publication.name": prefix,
        "publication.autocreate.mode": "filtered",
        "table.include.list": "public.orders",
    }


def await_ids(kafka: KafkaBroker, topic: str, ids: list[int]) -> None:
    """Wait for these rows; one may come again, since a connector that was killed delivers at least once."""

    def arrived() -> bool:
        found = [row_id(record) for record in read_topic(kafka.bootstrap, topic)]
        return sorted(set(found)) == ids

    wait_until(arrived, 30, f"the rows {ids} in {topic}", every=0.2)


def row_id(record: Record) -> int:
    return json.loads(record.value or b"")["after"]["id"]


def produce(bootstrap: str, topic: str, value: bytes) -> None:
    producer = Producer({"bootstrap.servers": bootstrap})
    producer.produce(topic, value)
    assert producer.flush(20) == 0
