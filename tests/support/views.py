"""Views under test, the topics below them, and the fold that they must equal."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from confluent_kafka import Producer, TopicPartition
from confluent_kafka.admin import AdminClient, NewPartitions, NewTopic

from cdc.kafka.client import ClientOptions
from cdc.kafka.progress import ProgressFeed
from cdc.report import Finding
from tests.support.consume import Record, read_topic
from tests.support.waiting import wait_until
from views.options import ViewConfig
from views.runner import View

Rows = dict[bytes, bytes]


class Topic:
    """A topic of plain rows.

    Args:
        bootstrap: The broker.
        name: Its name.
        partitions: How many.
        config: Topic options.
    """

    def __init__(self, bootstrap: str, name: str, *, partitions: int = 3, **config: str) -> None:
        self.bootstrap = bootstrap
        self.name = name
        self.partitions = partitions
        self.config = {option.replace("_", "."): value for option, value in config.items()}
        self.create()
        self._producer = Producer(
            {"bootstrap.servers": bootstrap, "partitioner": "murmur2_random", "linger.ms": 1, "log_level": 2}
        )

    @classmethod
    def existing(cls, bootstrap: str, name: str) -> Topic:
        """A topic that is there, to be read."""
        topic = cls.__new__(cls)
        topic.bootstrap, topic.name = bootstrap, name
        return topic

    def create(self) -> None:
        admin = AdminClient({"bootstrap.servers": self.bootstrap, "log_level": 3})
        new = NewTopic(self.name, num_partitions=self.partitions, replication_factor=1, config=self.config)
        admin.create_topics([new])[self.name].result(30)

    def recreate(self) -> None:
        """Delete it and make it anew, empty."""
        admin = AdminClient({"bootstrap.servers": self.bootstrap, "log_level": 3})
        admin.delete_topics([self.name])[self.name].result(30)
        wait_until(lambda: self.name not in admin.list_topics(timeout=10).topics, 20, "the topic to go")
        wait_until(self._created, 20, "the topic to be made anew")

    def _created(self) -> bool:
        try:
            self.create()
        except Exception:
            return False
        return True

    def add_partitions(self, count: int) -> None:
        admin = AdminClient({"bootstrap.servers": self.bootstrap, "log_level": 3})
        admin.create_partitions([NewPartitions(self.name, count)])[self.name].result(30)

    def drop_below(self, offsets: Mapping[int, int]) -> None:
        """Delete records below offsets, as retention would."""
        admin = AdminClient({"bootstrap.servers": self.bootstrap, "log_level": 3})
        places = [TopicPartition(self.name, partition, offset) for partition, offset in offsets.items()]
        for deletion in admin.delete_records(places).values():
            deletion.result(30)

    def put(self, rows: Iterable[tuple[bytes | None, bytes | None]] | Mapping[Any, Any], **more: Any) -> None:
        """Write key-value pairs and wait until they are acknowledged; None as value is a tombstone."""
        pairs = rows.items() if isinstance(rows, Mapping) else rows
        for key, value in pairs:
            self._producer.produce(self.name, value, key, **more)
            self._producer.poll(0)
        assert self._producer.flush(30) == 0

    def records(self) -> list[Record]:
        return read_topic(self.bootstrap, self.name)

    def fold(self, below: Mapping[int, int] | None = None) -> Rows:
        """The last value of each key, up to the given offsets."""
        rows: Rows = {}
        for record in self.records():
            if below is not None and record.offset >= below.get(record.partition, 0):
                continue
            if record.key is None:
                continue
            if record.value is None:
                rows.pop(record.key, None)
            else:
                rows[record.key] = record.value
        return rows


def view_config(kind: str, topics: Iterable[Topic | str], bootstrap: str, path: Path | None, **more: Any) -> ViewConfig:
    names = tuple(topic if isinstance(topic, str) else topic.name for topic in topics)
    return ViewConfig("v", kind, names, ClientOptions(bootstrap), path=path, **more)


class RunningView(View):
    """A view with what it said."""

    def __init__(self, config: ViewConfig, **more: Any) -> None:
        self.findings: list[Finding] = []
        super().__init__(config, on_finding=self.findings.append, **more)

    def codes(self) -> list[str]:
        return [finding.code for finding in self.findings]

    def rows(self, topic: str | None = None) -> Rows:
        with self.reading() as store:
            return {row.key: row.value for row in store.scan(topic)}

    def shows(self, expected: Rows, topic: str | None = None, deadline: float = 20.0) -> None:
        wait_until(lambda: self._same(expected, topic), deadline, f"the view to show {len(expected)} rows")

    def _same(self, expected: Rows, topic: str | None) -> bool:
        if self.error is not None:
            raise self.error
        return self.rows(topic) == expected


@contextlib.contextmanager
def running_view(
    config: ViewConfig, *, waits: bool = False, complete: bool = True, **more: Any
) -> Iterator[RunningView]:
    """A view that is complete when the block begins, and stopped at its end."""
    feed = ProgressFeed(config.kafka) if waits else None
    view = RunningView(config, feed=feed, **more)
    view.start()
    try:
        if complete:
            view.wait_complete(30)
        yield view
    finally:
        view.stop()
        if feed is not None:
            feed.close()
