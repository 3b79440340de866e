"""A pipeline that changes hands under writers, and what must be true of its topics afterwards."""

from __future__ import annotations

import json
from collections import Counter, defaultdict
from collections.abc import Hashable, Sequence
from pathlib import Path
from typing import Any

from cli import app
from connectors import health
from connectors.connect_api import ConnectApi
from connectors.connect_settings import ConnectSettings
from tests.stack.connect import ConnectWorker
from tests.stack.kafka import KafkaBroker
from tests.stack.postgres import Database
from tests.support import workload
from tests.support.command_line import Result, run
from tests.support.consume import read_topic
from tests.support.engine import EngineProcess, confirmed, current_lsn, properties, slot_row
from tests.support.waiting import wait_until

SECRET = "c4nary-s3cret"


class HandedOver:
    """One file, two engines.

    Args:
        database: The source; the workload's tables are made in it.
        name: Of the pipeline, its slot, its publication and its topics.
        kafka: The broker.
        connect: The worker.
        directory: For the file and the native engine's output.
        more: Over the file's properties; in its names `__` stands for a dot.
    """

    def __init__(
        self, database: Database, name: str, kafka: KafkaBroker, connect: ConnectWorker, directory: Path, **more: str
    ) -> None:
        database.execute(*workload.TABLES, "create table marks (id bigserial primary key)")
        self.database, self.name, self.kafka, self.directory = database, name, kafka, directory
        self.url = connect.url
        self.config = properties(
            database,
            name,
            **{
                "key__converter": "org.apache.kafka.connect.json.JsonConverter",
                "value__converter": "org.apache.kafka.connect.json.JsonConverter",
                "topic__creation__default__partitions": "1",
                "topic__creation__default__replication__factor": "1",
                "poll__interval__ms": "20",
                "database__password": SECRET,  # the server trusts everybody
                **more,
            },
        )
        self.api = ConnectApi(ConnectSettings((connect.url,)))

    @property
    def file(self) -> Path:
        return self.directory / f"{self.name}.json"

    def native(self) -> EngineProcess:
        """The native engine in a process of its own, once it streams; the caller ends it."""
        engine = EngineProcess(self.database, self.kafka.bootstrap, self.config, self.directory)
        engine.streaming()
        return engine

    def hand(self, to: str, *arguments: str) -> Result:
        if not self.file.exists():
            self.file.write_text(json.dumps({"name": self.name, "config": self.config}))
        where = ["--bootstrap-servers", self.kafka.bootstrap, "--connect-url", self.url]
        result = run(
            app, "handover", str(self.file), "--to", to, *where, "--output", "json", "--settle", "0.5", *arguments
        )
        assert SECRET not in result.everything
        return result

    def done(self, to: str, *arguments: str) -> dict[str, Any]:
        """Hand it over, and see that it was done."""
        result = self.hand(to, *arguments)
        assert result.code == 0, result.everything
        return result.document

    def delivered(self, deadline: float = 60.0) -> None:
        """Wait until the slot was told all that is committed now, by whichever engine."""
        target = current_lsn(self.database)
        self.mark()
        wait_until(
            lambda: confirmed(self.database, self.name) >= target,
            deadline,
            f"the slot to reach {target}; {slot_row(self.database, self.name)}",
        )

    def runs(self) -> bool:
        """Whether the connector runs; its failure is raised."""
        status = self.api.status(self.name)
        assert not health.failures(status), health.failures(status)[0].trace
        return health.state(status) == health.RUNNING

    def mark(self) -> None:
        """Change something that no check looks at: Debezium's slot moves with events only."""
        self.database.execute("insert into marks default values")

    def journal(self) -> list[tuple[int, int]]:
        """(transaction, id) of each event of the journal, in the order of its only partition."""
        found = []
        for record in read_topic(self.kafka.bootstrap, f"{self.name}.public.journal"):
            assert record.partition == 0
            value = json.loads(record.value or b"")
            found.append((value["source"]["txId"], value["after"]["id"]))
        return found

    def events(self) -> list[tuple[int, Hashable]]:
        """(transaction, what tells a record from others) of every record of the workload's tables, tombstones too."""
        found: list[tuple[int, Hashable]] = []
        for topic in (f"{self.name}.public.{table}" for table in ("state", "journal", "batch")):
            last: dict[bytes | None, tuple[int, Hashable]] = {}
            for record in read_topic(self.kafka.bootstrap, topic):
                if record.value is None:
                    xid, deletion = last[record.key]
                    found.append((xid, ("tombstone", deletion)))
                    continue
                value = json.loads(record.value)
                event = (topic, record.key, value["source"]["lsn"], value["op"])
                last[record.key] = value["source"]["txId"], event
                found.append(last[record.key])
        return found

    def close(self) -> None:
        self.api.close()


def stretches_sent_again(sent: list[tuple[int, int]]) -> list[int]:
    """How many rows each stretch holds that was sent again; one begins with a whole transaction and is in order.

    Args:
        sent: (transaction, row) of each event, in the order in which they were sent.

    Raises:
        AssertionError: Something came again in the middle of a transaction, out of order, or with a gap.
    """
    places: dict[tuple[int, int], int] = {}
    for event in sent:
        places.setdefault(event, len(places))
    order = list(places)
    again: list[int] = []
    last = -1
    for event in sent:
        place = places[event]
        if place != last + 1:
            assert place <= last, f"{event} came before what goes before it"
            assert place == 0 or order[place - 1][0] != event[0], f"{event} is sent again from within its transaction"
            again.append(last + 1 - place)
        last = place
    assert last == len(order) - 1, "what was sent again ends before it has caught up"
    return again


def sent_again_in_part(events: Sequence[tuple[int, Hashable]]) -> list[int]:
    """The transactions that were sent again in part: their records did not all come equally often.

    Args:
        events: (transaction, what tells a record from others) of all topics.
    """
    counts: dict[int, Counter[Hashable]] = defaultdict(Counter)
    for transaction, event in events:
        counts[transaction][event] += 1
    return [transaction for transaction, times in counts.items() if len(set(times.values())) > 1]


def sent_again(events: Sequence[tuple[int, Hashable]]) -> int:
    """How many records came that were there already."""
    return len(events) - len(set(events))
