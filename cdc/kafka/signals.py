"""`__seam.signals`: requests to a running engine. One partition, compacted, key = `pipeline/request id`."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any, Final

import confluent_kafka
from confluent_kafka import OFFSET_BEGINNING, KafkaError, TopicPartition

from cdc.errors import BrokerUnavailable
from cdc.kafka.client import ClientOptions
from cdc.kafka.consumer import consumer_config, partitions_of, read_to_end
from cdc.kafka.faults import delivery_error, translate
from cdc.kafka.producer import Producer
from cdc.requests import Request, RequestBook

SIGNALS_TOPIC: Final = "__seam.signals"
PARTITION: Final = 0
WRITE_SECONDS: Final = 30.0
_BATCH: Final = 500
_TRY_AGAIN_SECONDS: Final = 5.0
_ABSENT: Final = (KafkaError.UNKNOWN_TOPIC_OR_PART, KafkaError._UNKNOWN_TOPIC, KafkaError._UNKNOWN_PARTITION)  # noqa: SLF001


def read_requests(options: ClientOptions, pipeline: str, *, seconds: float = 30.0) -> RequestBook:
    """All requests of a pipeline as they stand now.

    Raises:
        BrokerUnavailable: No answer in time.
    """
    book = RequestBook(pipeline)
    read_to_end(options, SIGNALS_TOPIC, lambda m: book.add(m.key(), m.value()), partitions=[PARTITION], seconds=seconds)
    return book


def write_requests(options: ClientOptions, requests: list[Request]) -> None:
    """Write requests, and wait until Kafka holds them.

    Raises:
        SeamError: Kafka does not take them.
    """
    producer = Producer(options)
    outcome: list[tuple[Any, Any]] = []
    try:
        producer.reach(WRITE_SECONDS)
        for request in requests:
            producer.send(
                SIGNALS_TOPIC, request.encode(), request.key, partition=PARTITION,
                on_delivery=lambda error, message: outcome.append((error, message)),
            )  # fmt: skip
        producer.client.flush(WRITE_SECONDS)
        producer.raise_fatal()
    finally:
        producer.close(purge=True)
    for error, message in outcome:
        if error is not None:
            raise delivery_error(error, message, where=producer.where)
    if len(outcome) < len(requests):
        raise BrokerUnavailable(f"{producer.where}: a request was not acknowledged")


class TopicFollower:
    """Reads one partition of a topic that may not exist yet, without ever waiting.

    Args:
        options: How Kafka is reached.
        topic: The topic.
        partition: Its partition.
    """

    def __init__(self, options: ClientOptions, topic: str, partition: int = PARTITION) -> None:
        self.topic = topic
        self.partition = partition
        self._assigned = 0.0
        self._consumer: Any = confluent_kafka.Consumer(consumer_config(options))

    def close(self) -> None:
        """Close the consumer."""
        self._consumer.close()

    def exists(self, seconds: float = 10.0) -> bool:
        """Whether the topic is there."""
        return bool(partitions_of(self._consumer, self.topic, seconds))

    def poll(self, seconds: float = 0.0) -> Iterator[Any]:
        """The messages that have arrived, from the topic's beginning on.

        Args:
            seconds: How long to wait for the first one.

        Raises:
            SeamError: The topic may not be read.
        """
        if not self._assigned:
            if time.monotonic() < -self._assigned:
                return
            self._consumer.assign([TopicPartition(self.topic, self.partition, OFFSET_BEGINNING)])
            self._assigned = time.monotonic()
        for message in self._consumer.consume(_BATCH, seconds):
            error = message.error()
            if error is None:
                yield message
            elif error.code() in _ABSENT:
                # Not there yet: assigned anew later, since librdkafka gives such a partition up.
                if time.monotonic() - self._assigned > _TRY_AGAIN_SECONDS:
                    self._consumer.unassign()
                    self._assigned = 0.0
                return
            elif not error.retriable():
                raise translate(error, where=f"reading {self.topic}")
