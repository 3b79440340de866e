"""A topic as an event store: partitions read from anywhere, groups rewound, records copied exactly once."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, Final

import confluent_kafka
from confluent_kafka import ConsumerGroupTopicPartitions, KafkaError, TopicPartition

from cdc.errors import BrokerUnavailable, ConfigError, OperatorError
from cdc.kafka.admin import Admin
from cdc.kafka.client import ClientOptions
from cdc.kafka.consumer import consumer_config, partitions_of
from cdc.kafka.faults import translate
from cdc.versions import LogRecord

_BATCH: Final = 500


def _record(message: Any) -> LogRecord:
    return LogRecord(
        message.topic(), message.partition(), message.offset(), message.timestamp()[1], message.key(), message.value(),
        tuple(message.headers() or ()),
    )  # fmt: skip


class TopicLog:
    """Reads one topic without a group.

    Args:
        options: How Kafka is reached.
        topic: The topic.
        committed: Whether records of open and aborted transactions are left out.
        seconds: How long each call may take.

    Raises:
        ConfigError: There is no such topic.
    """

    def __init__(self, options: ClientOptions, topic: str, *, committed: bool = True, seconds: float = 30.0) -> None:
        self.topic = topic
        self.seconds = seconds
        self._consumer: Any = confluent_kafka.Consumer(consumer_config(options, committed=committed))
        self.partitions = partitions_of(self._consumer, topic, seconds)
        if not self.partitions:
            self._consumer.close()
            raise ConfigError(f"there is no topic {topic!r} at {options.bootstrap_servers}")

    def close(self) -> None:
        """Close the consumer."""
        self._consumer.close()

    def bounds(self, partition: int) -> tuple[int, int]:
        """First offset and end offset of a partition."""
        try:
            low, high = self._consumer.get_watermark_offsets(
                TopicPartition(self.topic, partition), timeout=self.seconds
            )
        except confluent_kafka.KafkaException as error:
            raise translate(error, where=f"asking for the bounds of {self.topic}/{partition}") from error
        return int(low), int(high)

    def offset_at(self, partition: int, millis: int) -> int:
        """The first offset whose record is not older than a time; the end when there is none."""
        try:
            found = self._consumer.offsets_for_times(
                [TopicPartition(self.topic, partition, millis)], timeout=self.seconds
            )[0]
        except confluent_kafka.KafkaException as error:
            raise translate(error, where=f"asking for an offset of {self.topic}/{partition}") from error
        return int(found.offset) if found.offset >= 0 else self.bounds(partition)[1]

    def read(
        self, starts: Mapping[int, int], *, key: bytes | None = None, follow: Callable[[], bool] | None = None
    ) -> Iterator[LogRecord]:
        """Read partitions from their given offsets to the ends that they have now.

        Args:
            starts: Partition -> offset.
            key: Only records with this key; None for all.
            follow: Go on for new records while it returns true.

        Raises:
            BrokerUnavailable: No progress in time.
        """
        ends = {partition: self.bounds(partition)[1] for partition in starts}
        self._consumer.assign([TopicPartition(self.topic, partition, offset) for partition, offset in starts.items()])
        progress = time.monotonic()
        waiting = {partition for partition, end in ends.items() if starts[partition] < end}
        while waiting or (follow is not None and follow()):
            batch = self._consumer.consume(_BATCH, 0.05)
            for message in batch:
                error = message.error()
                if error is not None:
                    raise translate(error, where=f"reading {self.topic}")
                if key is not None and message.key() != key:
                    continue
                if follow is not None or message.offset() < ends[message.partition()]:
                    yield _record(message)
            places = self._consumer.position([TopicPartition(self.topic, partition) for partition in waiting])
            waiting -= {place.partition for place in places if place.offset >= ends[place.partition]}
            if batch:
                progress = time.monotonic()
            elif waiting and time.monotonic() - progress > self.seconds:
                raise BrokerUnavailable(f"reading {self.topic}: no progress for {self.seconds:.0f} s")


def group_state(admin: Admin, group: str) -> tuple[str, int]:
    """State and number of members of a consumer group.

    Raises:
        OperatorError: There is no such group.
    """
    try:
        found = admin.client.describe_consumer_groups([group], request_timeout=admin.seconds)[group].result(
            admin.seconds
        )
    except confluent_kafka.KafkaException as error:
        raise translate(error, where=f"asking for group {group}") from error
    return found.state.name, len(found.members)


def group_offsets(admin: Admin, group: str) -> dict[tuple[str, int], int]:
    """What a group has committed: `(topic, partition)` -> offset."""
    try:
        future = admin.client.list_consumer_group_offsets([ConsumerGroupTopicPartitions(group)])[group]
        found = future.result(admin.seconds)
    except confluent_kafka.KafkaException as error:
        raise translate(error, where=f"asking for the offsets of group {group}") from error
    return {(tp.topic, tp.partition): tp.offset for tp in found.topic_partitions}


def set_group_offsets(admin: Admin, group: str, offsets: Mapping[tuple[str, int], int]) -> None:
    """Move a group that has no members.

    Raises:
        OperatorError: It has members, which would overwrite the offsets.
    """
    partitions = [TopicPartition(topic, partition, offset) for (topic, partition), offset in offsets.items()]
    request = ConsumerGroupTopicPartitions(group, partitions)
    try:
        admin.client.alter_consumer_group_offsets([request])[group].result(admin.seconds)
    except confluent_kafka.KafkaException as error:
        inner = error.args[0]
        if isinstance(inner, KafkaError) and inner.code() in (KafkaError.UNKNOWN_MEMBER_ID, KafkaError.NON_EMPTY_GROUP):
            raise OperatorError(f"group {group} has members; stop them first") from error
        raise translate(error, where=f"moving group {group}") from error


class Copier:
    """Copies a topic into another exactly once: records and source offsets in one Kafka transaction.

    Args:
        options: How Kafka is reached.
        source: Copied from.
        target: Copied to; a key stays in the partition of its number.
        group: Holds the offsets.
        change: Turns a record into what is written, or None to leave it out.
        failpoint: Called with the name of each step; tests kill the process there.

    Raises:
        ConfigError: One of the topics does not exist.
        OperatorError: They differ in partitions.
    """

    def __init__(
        self,
        options: ClientOptions,
        source: str,
        target: str,
        *,
        group: str,
        change: Callable[[LogRecord], tuple[bytes | None, bytes | None] | None] = lambda r: (r.key, r.value),
        failpoint: Callable[[str], None] = lambda _name: None,
    ) -> None:
        from cdc.kafka.producer import Producer

        self.source, self.target, self.group, self.change = source, target, group, change
        self.failpoint = failpoint
        config = {**consumer_config(options), "group.id": group, "auto.offset.reset": "earliest"}
        self._consumer: Any = confluent_kafka.Consumer(config)
        self.partitions = partitions_of(self._consumer, source, 30.0)
        into = partitions_of(self._consumer, target, 30.0)
        for topic, found in ((source, self.partitions), (target, into)):
            if not found:
                self._consumer.close()
                raise ConfigError(f"there is no topic {topic!r}")
        if len(self.partitions) != len(into):
            self._consumer.close()
            raise OperatorError(
                f"{source} has {len(self.partitions)} partitions and {target} {len(into)}: keys would change theirs",
                hint=f"create {target} with {len(self.partitions)} partitions",
            )
        self._producer = Producer(options, **{"transactional.id": f"seam.copy.{group}"})
        self._producer.client.init_transactions(60.0)

    def close(self) -> None:
        """Close consumer and producer."""
        self._consumer.close()
        self._producer.close(purge=True)

    def run(
        self, stop: Callable[[], bool], *, to_end: bool = True, on_batch: Callable[[int], None] = lambda _n: None
    ) -> int:
        """Copy until stopped; with `to_end`, until the ends that the source has now.

        Returns:
            How many records were copied.
        """
        places = [TopicPartition(self.source, partition) for partition in self.partitions]
        committed = self._consumer.committed(places, timeout=30.0)
        starts = []
        ends = {}
        for place in committed:
            low, high = self._consumer.get_watermark_offsets(place, timeout=30.0)
            starts.append(TopicPartition(self.source, place.partition, max(low, place.offset)))
            ends[place.partition] = high
        self._consumer.assign(starts)
        begun = {start.partition: start.offset for start in starts}
        count = 0
        while not stop():
            batch = [m for m in self._consumer.consume(2000, 0.1) if m.error() is None]
            if batch:
                self._copy(batch)
                count += len(batch)
                on_batch(count)
            # Without a position there is none yet: nothing was read since the start.
            positions = {p.partition: max(p.offset, begun[p.partition]) for p in self._consumer.position(places)}
            if to_end and not batch and all(positions[p] >= end or end == 0 for p, end in ends.items()):
                return count
        return count

    def _copy(self, batch: Sequence[Any]) -> None:
        client = self._producer.client
        client.begin_transaction()
        for message in batch:
            changed = self.change(_record(message))
            if changed is None:
                continue
            key, value = changed
            while not self._producer.send(
                self.target, value, key, partition=message.partition(), headers=message.headers(),
                timestamp=message.timestamp()[1],
                on_delivery=lambda _error, _message: None,
            ):  # fmt: skip
                self._producer.poll(0.05)
        self.failpoint("copied")
        positions = self._consumer.position([TopicPartition(self.source, p) for p in self.partitions])
        client.send_offsets_to_transaction(
            [p for p in positions if p.offset >= 0], self._consumer.consumer_group_metadata(), 60.0
        )
        self.failpoint("offsets sent")
        try:
            client.commit_transaction(60.0)
            self.failpoint("copy committed")
        except confluent_kafka.KafkaException as error:
            raise translate(error, where=f"copying {self.source} to {self.target}") from error
