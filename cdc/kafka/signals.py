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
_TRY_AGAIN_SECONDS: Final = 3.0
_METADATA_SECONDS: Final = 1.0


def read_requests(options: ClientOptions, pipeline: str, *, seconds: float = 30.0) -> RequestBook:
    """All requests of a pipeline as they stand now.

    Raises:
        BrokerUnavailable: No answer in time.
    """
    book = RequestBook(pipeline)

    def add(message: Any) -> None:
        book.add(message.key(), message.value())

    read_to_end(options, SIGNALS_TOPIC, add, partitions=[PARTITION], seconds=seconds)
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
    """Reads a topic from its beginning, without waiting; the topic may not exist yet.

    Args:
        options: How Kafka is reached.
        topic: The topic.
    """

    def __init__(self, options: ClientOptions, topic: str) -> None:
        self.topic = topic
        self._assigned = False
        self._not_before = 0.0
        self._consumer: Any = confluent_kafka.Consumer(consumer_config(options))

    def close(self) -> None:
        """Close the consumer."""
        self._consumer.close()

    def _assign(self) -> None:
        """Look for the topic, now and then."""
        if time.monotonic() < self._not_before:
            return
        self._not_before = time.monotonic() + _TRY_AGAIN_SECONDS
        try:
            partitions = partitions_of(self._consumer, self.topic, _METADATA_SECONDS)
        except BrokerUnavailable:
            return
        if partitions:
            self._consumer.assign([TopicPartition(self.topic, number, OFFSET_BEGINNING) for number in partitions])
            self._assigned = True

    def poll(self, seconds: float = 0.0) -> Iterator[Any]:
        """The messages that have arrived.

        Args:
            seconds: How long to wait for the first one.

        Raises:
            SeamError: The topic may not be read.
        """
        if not self._assigned:
            self._assign()
            if not self._assigned:
                time.sleep(seconds)
                return
        for message in self._consumer.consume(_BATCH if not seconds else 1, seconds):
            error = message.error()
            if error is None:
                yield message
            elif not error.retriable() and error.code() != KafkaError._PARTITION_EOF:  # noqa: SLF001
                raise translate(error, where=f"reading {self.topic}")
