"""Reading what lies in topics, from their start to the end that they have now."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, field

from confluent_kafka import Consumer, IsolationLevel, KafkaError, KafkaException, TopicPartition
from confluent_kafka.admin import AdminClient, OffsetSpec


@dataclass(frozen=True, slots=True)
class Record:
    """One record as it lies in its partition.

    Attributes:
        timestamp: Milliseconds since the epoch.
    """

    topic: str
    partition: int
    offset: int
    key: bytes | None
    value: bytes | None
    headers: tuple[tuple[str, bytes | None], ...] = ()
    timestamp: int = field(default=0, compare=False)


def topics(bootstrap: str, prefix: str = "") -> list[str]:
    """The names of all topics that begin so."""
    listed = AdminClient({"bootstrap.servers": bootstrap, "log_level": 3}).list_topics(timeout=10).topics
    return sorted(name for name in listed if name.startswith(prefix))


def read_topic(bootstrap: str, topic: str, *, read_committed: bool = True, deadline: float = 60.0) -> list[Record]:
    """Every record of a topic, in the order of its partitions and their offsets; a missing topic holds none."""
    return read_topics(bootstrap, [topic], read_committed=read_committed, deadline=deadline)[topic]


def read_topics(
    bootstrap: str, names: Sequence[str], *, read_committed: bool = True, deadline: float = 60.0
) -> dict[str, list[Record]]:
    """Every record of several topics up to the ends that they have at the call.

    Args:
        bootstrap: The broker.
        names: The topics.
        read_committed: Leave out what belongs to open and aborted Kafka transactions.
        deadline: Seconds.

    Raises:
        AssertionError: The ends were not reached in time.
    """
    found: dict[str, dict[int, list[Record]]] = {name: {} for name in names}
    starts, ends = _bounds(bootstrap, names, read_committed=read_committed)
    missing = {place for place, end in ends.items() if starts[place] < end}
    consumer = Consumer(
        {
            "bootstrap.servers": bootstrap,
            "group.id": "unused",  # the client wants one, nothing is committed
            "enable.auto.commit": False,
            "isolation.level": "read_committed" if read_committed else "read_uncommitted",
            "enable.partition.eof": True,  # the end of a partition whose last offsets are no records
            "fetch.wait.max.ms": 20,
            "fetch.queue.backoff.ms": 5,
        }
    )
    try:
        consumer.assign([TopicPartition(topic, partition, starts[topic, partition]) for topic, partition in missing])
        stop = time.monotonic() + deadline
        while missing:
            if time.monotonic() > stop:
                raise AssertionError(f"not read to their ends within {deadline:g} s: {sorted(missing)}")
            for message in consumer.consume(500, 0.05):
                place = (message.topic(), message.partition())
                error = message.error()
                if error is not None and error.code() != KafkaError._PARTITION_EOF:
                    raise KafkaException(error)
                reached = message.offset() + (0 if error else 1)
                if error is None and message.offset() < ends[place]:
                    found[place[0]].setdefault(place[1], []).append(_record(message))
                if reached >= ends[place]:
                    missing.discard(place)
    finally:
        consumer.close()
    return {name: [record for _, records in sorted(held.items()) for record in records] for name, held in found.items()}


def _bounds(
    bootstrap: str, names: Sequence[str], *, read_committed: bool
) -> tuple[dict[tuple[str, int], int], dict[tuple[str, int], int]]:
    admin = AdminClient({"bootstrap.servers": bootstrap, "log_level": 3})
    listed = admin.list_topics(timeout=10).topics
    places = [TopicPartition(name, p) for name in names if name in listed for p in listed[name].partitions]
    level = IsolationLevel.READ_COMMITTED if read_committed else IsolationLevel.READ_UNCOMMITTED

    def offsets(spec: OffsetSpec) -> dict[tuple[str, int], int]:
        asked = dict.fromkeys(places, spec)
        answers = admin.list_offsets(asked, isolation_level=level, request_timeout=10) if asked else {}
        return {(place.topic, place.partition): answer.result().offset for place, answer in answers.items()}

    return offsets(OffsetSpec.earliest()), offsets(OffsetSpec.latest())


def _record(message) -> Record:
    return Record(
        topic=message.topic(),
        partition=message.partition(),
        offset=message.offset(),
        key=message.key(),
        value=message.value(),
        headers=tuple(message.headers() or ()),
        timestamp=message.timestamp()[1],
    )
