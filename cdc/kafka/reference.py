"""Reference topics for look-ups: read to their end once, then on as records arrive."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import confluent_kafka
from confluent_kafka import TopicPartition

from cdc.errors import ConfigError
from cdc.kafka.client import ClientOptions
from cdc.kafka.consumer import consumer_config, partitions_of, read_to_end
from cdc.kafka.faults import translate

KeyedRecord = tuple[bytes | None, bytes | None]


class ReferenceTopics:
    """What `seam.transforms.Lookup` reads its tables with.

    Args:
        options: How Kafka is reached.
    """

    def __init__(self, options: ClientOptions) -> None:
        self.options = options
        self._followers: dict[str, Any] = {}

    def read_to_end(self, topic: str) -> list[KeyedRecord]:
        """All records up to the ends that the partitions have at the call.

        Raises:
            ConfigError: There is no such topic.
            BrokerUnavailable: No progress in time.
        """
        records: list[KeyedRecord] = []
        places: dict[int, int] = {}

        def keep(message: Any) -> None:
            records.append((message.key(), message.value()))
            places[message.partition()] = message.offset() + 1

        read_to_end(self.options, topic, keep)
        consumer = confluent_kafka.Consumer({**consumer_config(self.options), "auto.offset.reset": "earliest"})
        partitions = partitions_of(consumer, topic, 30.0)
        if not partitions:
            consumer.close()
            raise ConfigError(f"there is no topic {topic!r} to look up in", hint="create it, or mend the transform")
        consumer.assign([TopicPartition(topic, partition, places.get(partition, 0)) for partition in partitions])
        self._followers[topic] = consumer
        return records

    def read_new(self, topic: str) -> Iterator[KeyedRecord]:
        """What has arrived since the last reading; never waits."""
        consumer = self._followers[topic]
        while batch := consumer.consume(500, 0.0):
            for message in batch:
                if message.error() is not None:
                    raise translate(message.error(), where=f"reading {topic}")
                yield message.key(), message.value()

    def close(self) -> None:
        """Close the consumers."""
        for consumer in self._followers.values():
            consumer.close()
        self._followers = {}
