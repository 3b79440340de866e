"""Topics: what is there, and creating ours."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import confluent_kafka
from confluent_kafka import KafkaError, TopicCollection, TopicPartition
from confluent_kafka.admin import (  # type: ignore[attr-defined] # re-exported without a mark
    AdminClient,
    ConfigResource,
    NewTopic,
    OffsetSpec,
    ResourceType,
)

from cdc.kafka.client import QUICK, SILENT, ClientOptions
from cdc.kafka.faults import kafka_error, translate


class Admin:
    """Topic administration.

    Args:
        options: How Kafka is reached.
        seconds: How long each call may take.
    """

    def __init__(self, options: ClientOptions, *, seconds: float = 30.0) -> None:
        self.options = options
        self.seconds = seconds
        self.client: Any = AdminClient(
            {
                "bootstrap.servers": options.bootstrap_servers,
                "client.id": "seam",
                "logger": SILENT,
                **QUICK,
                **options.security,
            }
        )

    def _where(self, what: str) -> str:
        return f"{what} at {self.options.bootstrap_servers}"

    def partitions(self) -> dict[str, int]:
        """Topic -> number of partitions, of every topic.

        Raises:
            BrokerUnavailable: No answer in time.
        """
        return {name: len(topic.partitions) for name, topic in self._metadata().topics.items()}

    def brokers(self) -> int:
        """How many brokers there are."""
        return len(self._metadata().brokers)

    def _metadata(self) -> Any:
        try:
            return self.client.list_topics(timeout=self.seconds)
        except confluent_kafka.KafkaException as error:
            raise translate(error, where=self._where("asking for topics")) from error

    def topic_ids(self, topics: list[str]) -> dict[str, str]:
        """Topic -> the broker's id of it, which a topic that was made anew does not share; missing topics are left out.

        Raises:
            SeamError: The broker refuses.
        """
        found: dict[str, str] = {}
        if not topics:
            return found
        described = self.client.describe_topics(TopicCollection(topics), request_timeout=self.seconds)
        for topic, future in described.items():
            try:
                found[topic] = str(future.result(self.seconds + 5).topic_id)
            except (confluent_kafka.KafkaException, TimeoutError) as error:
                inner = kafka_error(error)
                if isinstance(inner, KafkaError) and inner.code() == KafkaError.UNKNOWN_TOPIC_OR_PART:
                    continue
                raise translate(error, where=self._where(f"describing topic {topic}")) from error
        return found

    def create(self, topic: str, *, partitions: int, replication: int, config: Mapping[str, str]) -> bool:
        """Create a topic.

        Args:
            topic: Its name.
            partitions: How many; -1 for the broker's default.
            replication: Copies; -1 for the broker's default.
            config: Topic options.

        Returns:
            Whether it was created; False when it was there.

        Raises:
            SeamError: The broker refuses.
        """
        return self.create_all([topic], partitions=partitions, replication=replication, config=config) == [topic]

    def create_all(
        self, topics: Sequence[str], *, partitions: int, replication: int, config: Mapping[str, str]
    ) -> list[str]:
        """Create topics of one form in one request; returns those that were not there.

        Raises:
            SeamError: The broker refuses one.
        """
        created: list[str] = []
        if not topics:
            return created
        new = [
            NewTopic(topic, num_partitions=partitions, replication_factor=replication, config=dict(config))
            for topic in topics
        ]
        asked = self.client.create_topics(new, operation_timeout=self.seconds, request_timeout=self.seconds)
        for topic, future in asked.items():
            try:
                future.result(self.seconds + 5)
            except (confluent_kafka.KafkaException, TimeoutError) as error:
                inner = kafka_error(error)
                if isinstance(inner, KafkaError) and inner.code() == KafkaError.TOPIC_ALREADY_EXISTS:
                    continue
                raise translate(error, where=self._where(f"creating topic {topic}")) from error
            created.append(topic)
        return created

    def delete(self, topics: list[str]) -> None:
        """Delete topics; those that are not there are no error.

        Raises:
            SeamError: The broker refuses.
        """
        if not topics:
            return
        for topic, future in self.client.delete_topics(topics, operation_timeout=self.seconds).items():
            try:
                future.result(self.seconds + 5)
            except (confluent_kafka.KafkaException, TimeoutError) as error:
                inner = kafka_error(error)
                if isinstance(inner, KafkaError) and inner.code() == KafkaError.UNKNOWN_TOPIC_OR_PART:
                    continue
                raise translate(error, where=self._where(f"deleting topic {topic}")) from error

    def configs(self, topics: list[str]) -> dict[str, dict[str, str]]:
        """Topic -> its effective options.

        Raises:
            SeamError: The broker refuses.
        """
        resources = [ConfigResource(ResourceType.TOPIC, topic) for topic in topics]
        found: dict[str, dict[str, str]] = {}
        if not resources:
            return found
        for resource, future in self.client.describe_configs(resources, request_timeout=self.seconds).items():
            try:
                entries = future.result(self.seconds + 5)
            except (confluent_kafka.KafkaException, TimeoutError) as error:
                raise translate(error, where=self._where(f"reading the options of {resource.name}")) from error
            found[resource.name] = {name: entry.value for name, entry in entries.items()}
        return found

    def ends(self, places: Sequence[tuple[str, int]]) -> dict[tuple[str, int], int]:
        """(topic, partition) -> the offset after its last record, without those that are gone.

        Raises:
            SeamError: The broker refuses.
        """
        latest = OffsetSpec.latest()  # type: ignore[no-untyped-call]
        asked = {TopicPartition(topic, partition): latest for topic, partition in places}
        found: dict[tuple[str, int], int] = {}
        if not asked:
            return found
        for place, future in self.client.list_offsets(asked, request_timeout=self.seconds).items():
            try:
                found[place.topic, place.partition] = future.result(self.seconds + 5).offset
            except (confluent_kafka.KafkaException, TimeoutError) as error:
                inner = kafka_error(error)
                if isinstance(inner, KafkaError) and inner.code() == KafkaError.UNKNOWN_TOPIC_OR_PART:
                    continue
                raise translate(error, where=self._where(f"asking for the end of {place.topic}")) from error
        return found
