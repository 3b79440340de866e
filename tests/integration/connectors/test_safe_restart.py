"""A restart of Debezium's Postgres connector in the middle of a large transaction loses nothing.

From its own offsets it would go on inside the transaction and skip the rest of it (dbz#1554, fixed in 3.7 only).
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path

import pytest
from confluent_kafka import KafkaException, TopicPartition
from confluent_kafka.admin import AdminClient, OffsetSpec

from connectors.commands import app
from connectors.connect_api import ConnectApi
from connectors.connect_settings import ConnectSettings
from tests.stack.connect import ConnectWorker
from tests.stack.kafka import KafkaBroker
from tests.stack.postgres import Database
from tests.support.command_line import run
from tests.support.consume import read_topic
from tests.support.waiting import wait_for, wait_until


class Pipeline:
    """A table, Debezium on it, and what has come out."""

    def __init__(
        self, database: Database, prefix: str, connect: ConnectWorker, kafka: KafkaBroker, directory: Path
    ) -> None:
        self.directory = directory
        self.database, self.prefix, self.connect, self.kafka = database, prefix, connect, kafka
        self.topic = f"{prefix}.public.orders"
        self.api = ConnectApi(ConnectSettings((connect.url,)))

    def start(self, snapshot_mode: str) -> None:
        self.database.execute(
            "CREATE TABLE public.orders (id int PRIMARY KEY, note text)",
            f"CREATE PUBLICATION {self.prefix} FOR TABLE public.orders",
            f"SELECT pg_create_logical_replication_slot('{self.prefix}', 'pgoutput')",
            "INSERT INTO public.orders VALUES (0, 'first')",
        )
        config = {
            "connector.class": "io.debezium.connector.postgresql.PostgresConnector",
            "database.hostname": self.database.server.host,
            "database.port": self.database.server.port,
            "database.user": "postgres",
            "database.password": "unused",
            "database.dbname": self.database.name,
            "topic.prefix": self.prefix,
            "plugin.name": "pgoutput",
            "slot.name": self.prefix,
            "publication.name": self.prefix,
            "publication.autocreate.mode": "disabled",
            "slot.drop.on.stop": "false",
            "snapshot.mode": snapshot_mode,
            # Slow enough to be interrupted: the transaction is on its way for seconds.
            "max.batch.size": 64,
            "max.queue.size": 256,
            "poll.interval.ms": 50,
            "topic.creation.default.partitions": 1,
            "topic.creation.default.replication.factor": 1,
        }
        self.connect.run(self.prefix, config)
        wait_for(lambda: 0 in self.ids(), 60, "the first row", KafkaException)

    def ids(self) -> list[int]:
        return [json.loads(record.key)["id"] for record in read_topic(self.kafka.bootstrap, self.topic)]

    def end(self) -> int:
        admin = AdminClient({"bootstrap.servers": self.kafka.bootstrap, "log_level": 3})
        place = TopicPartition(self.topic, 0)
        return int(admin.list_offsets({place: OffsetSpec.latest()})[place].result().offset)

    def copy(self, first: int, count: int) -> None:
        statement = "COPY public.orders FROM STDIN"
        with self.database.connect() as connection, connection.cursor() as cursor, cursor.copy(statement) as copy:
            for number in range(first, first + count):
                copy.write_row((number, "x"))

    def await_all(self, count: int) -> None:
        wait_until(lambda: set(self.ids()) >= set(range(count)), 60, f"{count} rows")

    def in_the_middle(self, first: int, count: int, deed: Callable[[], None]) -> None:
        before = self.end()
        self.copy(first, count)
        wait_until(lambda: self.end() > before + 100, 60, "the transaction to be on its way")
        deed()

    def restart(self) -> None:
        arguments = ("--everything", "--connect-url", self.connect.url, "--settle", "0.5", "--output", "json")
        result = run(app, "restart", self.prefix, *arguments)
        assert result.code == 0, str(result.error)
        assert result.document["restarts"][0]["form"] == "safe"

    def apply_a_change(self) -> None:
        file = self.directory / f"{self.prefix}.json"
        config = {**(self.api.config(self.prefix) or {}), "max.batch.size": "128"}
        file.write_text(json.dumps({"name": self.prefix, "config": config}))
        result = run(app, "apply", str(file), "--connect-url", self.connect.url, "--settle", "0.5")
        assert result.code == 0, str(result.error)
        assert (self.api.config(self.prefix) or {})["max.batch.size"] == "128"


@pytest.fixture
def pipeline(
    database: Database, prefix: str, connect: ConnectWorker, kafka: KafkaBroker, tmp_path: Path
) -> Iterator[Pipeline]:
    ours = Pipeline(database, prefix, connect, kafka, tmp_path)
    yield ours
    connect.delete(prefix)
    ours.api.close()


def soak(*values: object, id: str | None = None) -> object:
    return pytest.param(*values, marks=pytest.mark.soak, id=id)


@pytest.mark.parametrize(
    ("snapshot_mode", "deeds"),
    [
        ("initial", [Pipeline.restart, Pipeline.apply_a_change]),
        soak("no_data", [Pipeline.restart, Pipeline.apply_a_change], id="no-data"),
        soak("no_data", [Pipeline.restart] * 15, id="restarts-no-data"),
        soak("initial", [Pipeline.restart] * 15, id="restarts-initial"),
        # The first transaction after a snapshot has no commit before it.
        *(soak("initial", [Pipeline.restart], id=f"first-transaction-{turn}") for turn in range(12)),
    ],
)
def test_neither_a_restart_nor_a_change_in_the_middle_of_a_transaction_loses_a_row_or_reads_a_table_again(
    pipeline: Pipeline, snapshot_mode: str, deeds: Sequence[Callable[[Pipeline], None]]
) -> None:
    pipeline.start(snapshot_mode)
    size = 4000 if len(deeds) > 2 else 2000
    for turn, deed in enumerate(deeds):
        pipeline.in_the_middle(1 + turn * size, size, partial(deed, pipeline))
        pipeline.await_all(1 + (turn + 1) * size)
    operations = [
        json.loads(record.value)["op"]
        for record in read_topic(pipeline.kafka.bootstrap, pipeline.topic)
        if record.value
    ]
    assert operations.count("r") == (1 if snapshot_mode == "initial" else 0)
