"""One script through one engine: what lies in the topics afterwards."""

from __future__ import annotations

import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from confluent_kafka.admin import AdminClient, NewTopic

from cdc.report import Finding
from connectors.postgres import read
from connectors.worker import Worker
from tests.differential.script import Script, Sessions
from tests.stack.connect import ConnectWorker
from tests.stack.postgres import Database
from tests.support.consume import Record, read_topics, topics
from tests.support.waiting import wait_until

PREFIX = "srv"
"""`topic.prefix` of both engines: it is part of topics, schema names and `source`."""

END_TABLE = "zz_end"
DEBEZIUM = "io.debezium.connector.postgresql.PostgresConnector"
_JSON = "org.apache.kafka.connect.json.JsonConverter"
_INCLUDED = {"table.include.list": rf"public\.{END_TABLE}", "schema.include.list": "public",
             "column.include.list": rf"public\.{END_TABLE}\..*"}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Case:
    """A script whose statements have run, with a slot for each engine that was made before its stream.

    Attributes:
        script: The script.
        database: Where it ran.
        publication: The publication of both engines.
        slots: Engine -> slot.
        end_xid: The transaction that ends the stream.
    """

    script: Script
    database: Database
    publication: str
    slots: Mapping[str, str]
    end_xid: int

    def config(self, engine: str) -> dict[str, str]:
        """The connector's configuration, the same for both engines but for the slot."""
        server = self.database.server
        options = {
            "connector.class": DEBEZIUM,
            "database.hostname": "127.0.0.1",
            "database.port": str(server.port),
            "database.user": "postgres",
            "database.password": "x",
            "database.dbname": self.database.name,
            "database.sslmode": "disable",
            "topic.prefix": PREFIX,
            "plugin.name": "pgoutput",
            "slot.name": self.slots[engine],
            "publication.name": self.publication,
            "publication.autocreate.mode": "disabled",
            "snapshot.mode": "no_data",
            "key.converter": _JSON,
            "value.converter": _JSON,
            "header.converter": "org.apache.kafka.connect.storage.SimpleHeaderConverter",
            **self.script.options,
        }
        for option, ours in _INCLUDED.items():
            if option in options:
                options[option] += "," + ours
        return options


def prepare(script: Script, database: Database, engines: tuple[str, ...]) -> Case:
    """Run a script: its setup, then publication and slots, then its stream and the row that ends it."""
    name = database.name
    publication, slots = f"pub_{name}", {engine: f"{engine}_{name}" for engine in engines}
    with Sessions(database) as sessions:
        sessions.run(script.setup)
        database.execute(f"create table public.{END_TABLE} (id int primary key)")
        clause = script.publication
        if script.options.get("publish.via.partition.root") == "true":
            clause += " with (publish_via_partition_root = true)"
        database.execute(f'create publication "{publication}" {clause}')
        if "all tables" not in clause:
            database.execute(f'alter publication "{publication}" add table public.{END_TABLE}')
        for slot in slots.values():
            database.execute(f"select pg_create_logical_replication_slot('{slot}', 'pgoutput')")
        sessions.run(script.stream)
    with database.connect(autocommit=False) as connection:  # two operations, as one of them may be left out
        connection.execute(f"insert into public.{END_TABLE} values (1)")
        connection.execute(f"update public.{END_TABLE} set id = id")
        xid = connection.execute("select pg_current_xact_id()::text::int8").fetchone()[0]
    return Case(script, database, publication, slots, int(str(xid)))


def by_debezium(case: Case, connect: ConnectWorker, bootstrap: str) -> list[Record]:
    """Let Debezium capture a case, and take its topics away."""
    name = f"{PREFIX}-{case.database.name}"
    _clear(bootstrap)
    config = {
        **case.config("debezium"),
        "name": name,
        "tasks.max": "1",
        "poll.interval.ms": "10",
        "topic.creation.default.replication.factor": "1",
        "topic.creation.default.partitions": str(case.script.partitions),
    }
    try:
        connect.run(name, config)

        def finished() -> list[Record]:
            connect.running(name)  # a failed task ends the wait with its trace
            return _when_ended(case, _read(bootstrap))

        wait_until(finished, 60, f"Debezium to capture {case.script.name}", every=0.1)
        connect.delete(name)  # only now is all sent that came before the end: there is no order between topics
        return _when_ended(case, _read(bootstrap))
    finally:
        connect.delete(name)
        _clear(bootstrap)


def by_seam(
    case: Case,
    bootstrap: str,
    *,
    like: Sequence[Record] = (),
    manage_topics: bool = True,
    options: Mapping[str, str] | None = None,
    findings: list[Finding] | None = None,
) -> list[Record]:
    """Let the native engine capture a case.

    Args:
        case: The case.
        bootstrap: The broker.
        like: What another engine wrote: its topics are made with the same partitions.
        manage_topics: False for a broker that cannot create topics.
        options: Over those of the script.
        findings: Takes what the engine says.
    """
    findings = [] if findings is None else findings
    if manage_topics:
        _clear(bootstrap)
        _create(bootstrap, {record.topic for record in like}, case.script.partitions)
    config = read(
        f"{PREFIX}-{case.database.name}",
        {**case.config("seam"), "seam.compat": "strict", "seam.retry.timeout.ms": "20000", **(options or {})},
        bootstrap_servers=bootstrap,
    )
    worker = Worker(config, findings.append, manage_topics=manage_topics)
    try:
        if "heartbeat.interval.ms" not in case.script.options:
            worker.run(once=True)
            return _when_ended(case, _read(bootstrap))
        return _until_a_heartbeat(worker, case, bootstrap)
    finally:
        if manage_topics:
            _clear(bootstrap)


def _until_a_heartbeat(worker: Worker, case: Case, bootstrap: str) -> list[Record]:
    thread = threading.Thread(target=worker.run, name="engine", daemon=True)
    thread.start()

    def beaten() -> list[Record]:
        records = _when_ended(case, _read(bootstrap))
        return records if any((record.key or b"").find(b"serverName") >= 0 for record in records) else []

    try:
        return wait_until(beaten, 30, "a heartbeat", every=0.1)
    finally:
        worker.stop.set()
        thread.join(40)


def _ours(topic: str) -> bool:
    return topic.startswith((PREFIX, f"__debezium-heartbeat.{PREFIX}"))


def _read(bootstrap: str) -> list[Record]:
    found = read_topics(bootstrap, [topic for topic in topics(bootstrap) if _ours(topic)])
    return [record for records in found.values() for record in records]


def _when_ended(case: Case, records: list[Record]) -> list[Record]:
    """The records without those of the transaction that ends the stream; none when it is not there yet."""
    ends = [r for r in records if _is_end(r)]
    boundaries = [r for r in records if r.value is not None and b'"id":"%d:' % case.end_xid in r.value]
    if not ends:
        return []
    if case.script.options.get("provide.transaction.metadata") == "true" and not any(
        b'"status":"END"' in (r.value or b"") for r in boundaries
    ):
        return []
    return [record for record in records if record not in ends and record not in boundaries]


def _is_end(record: Record) -> bool:
    # A chain may have taken the envelope away; it leaves the end its topic.
    return record.topic.endswith(END_TABLE) or b'"table":"%b"' % END_TABLE.encode() in (record.value or b"")


def _clear(bootstrap: str) -> None:
    admin = AdminClient({"bootstrap.servers": bootstrap, "log_level": 3})

    def gone() -> bool:
        names = [name for name in admin.list_topics(timeout=10).topics if _ours(name)]
        for deletion in admin.delete_topics(names).values() if names else ():
            deletion.result(30)
        return not names

    wait_until(gone, 30, "the topics to go")


def _create(bootstrap: str, names: set[str], partitions: int) -> None:
    if names:
        admin = AdminClient({"bootstrap.servers": bootstrap, "log_level": 3})
        wanted = [NewTopic(name, num_partitions=partitions, replication_factor=1) for name in sorted(names)]
        for creation in admin.create_topics(wanted).values():
            creation.result(30)
