"""Reading partitions to their end, without a group.

Caught up means: position >= the end offset taken at the start. "Last offset == high watermark - 1" would hang on
transaction markers, aborted tails and the holes of compaction.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from typing import Any, Final

import confluent_kafka
from confluent_kafka import OFFSET_BEGINNING, KafkaError, TopicPartition

from cdc.errors import BrokerUnavailable
from cdc.kafka.client import QUICK, SILENT, ClientOptions
from cdc.kafka.faults import kafka_error, translate

_BATCH: Final = 500
_UNKNOWN = (KafkaError.UNKNOWN_TOPIC_OR_PART, KafkaError._UNKNOWN_TOPIC, KafkaError._UNKNOWN_PARTITION)  # noqa: SLF001


def consumer_config(options: ClientOptions, *, committed: bool = True) -> dict[str, Any]:
    """Librdkafka's configuration of a reader without a group.

    Args:
        options: How Kafka is reached.
        committed: Whether records of open and aborted transactions are left out.
    """
    return {
        "bootstrap.servers": options.bootstrap_servers,
        "client.id": "seam",
        "group.id": "seam-reader-without-group",
        "enable.auto.commit": False,
        "enable.auto.offset.store": False,
        "isolation.level": "read_committed" if committed else "read_uncommitted",
        "auto.offset.reset": "error",
        "enable.partition.eof": False,
        # The default of one second stops a partition for that long each time its queue is full.
        "fetch.queue.backoff.ms": 5,
        "fetch.wait.max.ms": 100,
        "queued.max.messages.kbytes": 16_384,
        "socket.keepalive.enable": True,
        "logger": SILENT,
        **QUICK,
        **options.security,
    }


def partitions_of(consumer: Any, topic: str, seconds: float) -> list[int]:
    """The partitions of a topic; empty when there is no such topic.

    Raises:
        BrokerUnavailable: No answer in time, or the topic has no leader now.
        AuthFailed: We may not see it, which is not the same as that it is not there.
    """
    try:
        metadata = consumer.list_topics(topic, timeout=seconds).topics.get(topic)
    except confluent_kafka.KafkaException as error:
        raise translate(error, where=f"asking for topic {topic}") from error
    if metadata is None or is_missing(metadata.error):
        return []
    if metadata.error is not None:
        raise translate(metadata.error, where=f"asking for topic {topic}")
    return sorted(metadata.partitions)


def read_to_end(
    options: ClientOptions,
    topic: str,
    on_message: Callable[[Any], None],
    *,
    partitions: Sequence[int] | None = None,
    seconds: float = 30.0,
    committed: bool = True,
) -> int:
    """Read partitions from their beginning to the end that they had at the start.

    Args:
        options: How Kafka is reached.
        topic: The topic; a missing one has nothing to read.
        on_message: Called with each message, in partition order.
        partitions: All when left out.
        seconds: How long the reading may take without progress.
        committed: Whether records of open and aborted transactions are left out.

    Returns:
        How many messages there were.

    Raises:
        BrokerUnavailable: No progress in time.
    """
    consumer = confluent_kafka.Consumer(consumer_config(options, committed=committed))
    try:
        wanted = partitions_of(consumer, topic, seconds)
        if partitions is not None:
            wanted = [partition for partition in wanted if partition in partitions]
        ends: dict[int, int] = {}
        starts: list[TopicPartition] = []
        for partition in wanted:
            try:
                low, high = consumer.get_watermark_offsets(TopicPartition(topic, partition), timeout=seconds)
            except confluent_kafka.KafkaException as error:
                raise translate(error, where=f"asking for the end of {topic}/{partition}") from error
            if high > low:
                ends[partition] = high
                starts.append(TopicPartition(topic, partition, low))
        if not starts:
            return 0
        consumer.assign(starts)
        count = 0
        for message in _messages(consumer, topic, ends, seconds):
            on_message(message)
            count += 1
        return count
    finally:
        consumer.close()


def _messages(consumer: Any, topic: str, ends: dict[int, int], seconds: float) -> Iterator[Any]:
    progress = time.monotonic()
    last: dict[int, int] = {}
    while True:
        batch = consumer.consume(_BATCH, 0.05)
        for message in batch:
            error = message.error()
            if error is not None:
                raise translate(error, where=f"reading {topic}")
            if message.offset() < ends[message.partition()]:
                yield message
        positions = {tp.partition: tp.offset for tp in consumer.position([TopicPartition(topic, p) for p in ends])}
        if all(positions.get(partition, OFFSET_BEGINNING) >= end for partition, end in ends.items()):
            return
        if batch or positions != last:
            progress, last = time.monotonic(), positions
        elif time.monotonic() - progress > seconds:
            raise BrokerUnavailable(f"reading {topic}: no progress for {seconds:.0f} s")


def is_missing(error: Any) -> bool:
    """Whether an error says that there is no such topic or partition."""
    inner = kafka_error(error)
    return isinstance(inner, KafkaError) and inner.code() in _UNKNOWN
