"""Following topics from numeric offsets, without a group: to the end that they had, and on from there.

Caught up means: position >= the end offset that was asked for, control records and the holes of compaction counted in.
"""

from __future__ import annotations

import time
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Final, Self

import confluent_kafka
from confluent_kafka import KafkaError, TopicPartition

from cdc.errors import BrokerUnavailable, OperatorError, SeamError
from cdc.kafka.client import ClientOptions
from cdc.kafka.consumer import consumer_config
from cdc.kafka.faults import CONNECTION_TROUBLE, translate

Place = tuple[str, int]

BATCH: Final = 500

# `offsets_for_times` answers the ends of all partitions in one request for these two "times": they are ListOffsets'
# own words for latest and earliest, and latest is the last stable offset for a reader of committed records.
_LATEST: Final = -1
_EARLIEST: Final = -2

# A response is held until its last record was read: smaller ones keep the reader's memory small. The queue is what comes
# in while the reader imports or works on a batch.
_FETCH: Final[dict[str, Any]] = {
    "fetch.max.bytes": 8_000_000,
    "fetch.message.max.bytes": 262_144,
    "queued.max.messages.kbytes": 16_384,
}

_GONE: Final = frozenset(
    {
        KafkaError._AUTO_OFFSET_RESET,  # noqa: SLF001 - librdkafka's local codes have no other name
        KafkaError.OFFSET_OUT_OF_RANGE,
    }
)
_UNKNOWN: Final = frozenset(
    {
        KafkaError.UNKNOWN_TOPIC_OR_PART,
        KafkaError._UNKNOWN_TOPIC,  # noqa: SLF001
        KafkaError._UNKNOWN_PARTITION,  # noqa: SLF001
    }
)


class OffsetGone(OperatorError):
    """The offset to go on from is not in the topic any more."""

    code = "OFFSET_GONE"

    def __init__(self, topic: str, partition: int, reason: str) -> None:
        self.topic = topic
        self.partition = partition
        super().__init__(f"{topic}/{partition}: {reason}")


@dataclass(frozen=True, slots=True)
class Bounds:
    """What a partition holds.

    Attributes:
        begin: Its first offset.
        end: The offset after its last committed record.
    """

    begin: int
    end: int


class Follower:
    """Reads partitions from given offsets.

    Args:
        options: How Kafka is reached.
        committed: Whether records of open and aborted transactions are left out.
        more: Further librdkafka options.

    Attributes:
        trouble: librdkafka's last complaint about the connection; None while all is well.
        assigned: The partitions that are read.
    """

    def __init__(
        self, options: ClientOptions, *, committed: bool = True, more: Mapping[str, Any] | None = None
    ) -> None:
        self.options = options
        self.trouble: SeamError | None = None
        self.assigned: set[Place] = set()
        try:
            self._consumer: Any = confluent_kafka.Consumer(
                {**consumer_config(options, committed=committed), **_FETCH, **(more or {}), "error_cb": self._on_error}
            )
        except (confluent_kafka.KafkaException, TypeError, ValueError) as error:
            raise translate(error, where="the consumer's options") from error
        self._consume = self._consumer.consume
        self._poll = self._consumer.poll

    def _on_error(self, error: Any) -> None:
        if error.code() in CONNECTION_TROUBLE or not error.retriable():
            self.trouble = translate(error, where=f"reading from {self.options.bootstrap_servers}")

    # -- what is there -----------------------------------------------------------------------------------------------

    def partitions(self, topics: Iterable[str], *, seconds: float = 20.0) -> dict[str, list[int]]:
        """The partitions of topics; a missing topic is left out.

        Raises:
            BrokerUnavailable: No answer in time.
        """
        found = {}
        for topic in topics:
            try:
                metadata = self._consumer.list_topics(topic, timeout=seconds).topics.get(topic)
            except confluent_kafka.KafkaException as error:
                raise self._failed(error, f"asking for topic {topic}") from error
            if metadata is not None and metadata.error is None and metadata.partitions:
                found[topic] = sorted(metadata.partitions)
        return found

    def bounds(self, places: Collection[Place], *, seconds: float = 20.0) -> dict[Place, Bounds]:
        """First offset and end of partitions, in one request each.

        Raises:
            BrokerUnavailable: No answer in time.
        """
        begins, ends = self._offsets(places, _EARLIEST, seconds), self._offsets(places, _LATEST, seconds)
        return {place: Bounds(begins[place], ends[place]) for place in places}

    def ends(self, places: Collection[Place], *, seconds: float = 20.0) -> dict[Place, int]:
        """The ends of partitions as they are now.

        Raises:
            BrokerUnavailable: No answer in time.
        """
        return self._offsets(places, _LATEST, seconds)

    def _offsets(self, places: Collection[Place], which: int, seconds: float) -> dict[Place, int]:
        if not places:
            return {}
        deadline = time.monotonic() + seconds
        asked = [TopicPartition(topic, partition, which) for topic, partition in places]
        while True:
            try:
                answers = self._consumer.offsets_for_times(asked, timeout=max(0.1, deadline - time.monotonic()))
            except confluent_kafka.KafkaException as error:
                raise self._failed(error, "asking for the ends of partitions") from error
            failed = next((a.error for a in answers if a.error is not None), None)
            if failed is None:
                return {(a.topic, a.partition): a.offset for a in answers}
            # A topic that was just made has no leader for a moment.
            if time.monotonic() > deadline or not failed.retriable():
                raise self._failed(failed, "asking for the ends of partitions")
            time.sleep(0.02)

    def _failed(self, error: Any, what: str) -> SeamError:
        if self.trouble is not None and self.trouble.exit_code != BrokerUnavailable.exit_code:
            return self.trouble
        return translate(error, where=f"{what} at {self.options.bootstrap_servers}")

    # -- reading -----------------------------------------------------------------------------------------------------

    def assign(self, offsets: Mapping[Place, int]) -> None:
        """Read these partitions from these offsets, and no others."""
        self.assigned = set(offsets)
        self._consumer.assign([TopicPartition(topic, p, offset) for (topic, p), offset in offsets.items()])

    def add(self, offsets: Mapping[Place, int]) -> None:
        """Read these partitions too."""
        self.assigned |= set(offsets)
        self._consumer.incremental_assign([TopicPartition(topic, p, offset) for (topic, p), offset in offsets.items()])

    def read(self, most: int = BATCH, seconds: float = 0.1) -> Sequence[Any]:
        """What has arrived, in the order of each partition.

        Args:
            most: How many records at most.
            seconds: How long to wait for the first one.

        Returns:
            Messages; one without a key may be an error: see `check`.
        """
        first = self._poll(seconds)
        if first is None:
            return ()
        self.trouble = None
        if most == 1:
            return (first,)
        messages = self._consume(most - 1, 0)
        messages.insert(0, first)
        return messages

    def read_many(self, most: int, seconds: float = 0.05) -> Sequence[Any]:
        """As `read`, for a backlog: waits until there are `most` or the time is up."""
        return self._consume(most, seconds)

    def check(self, message: Any) -> bool:
        """Whether a message is a record.

        Returns:
            False for trouble that librdkafka goes on trying to overcome.

        Raises:
            OffsetGone: The partition does not hold the offset to go on from.
            SeamError: Kafka refuses the reading.
        """
        error = message.error()
        if error is None:
            return True
        topic, partition = message.topic(), message.partition()
        if error.code() in _GONE:
            raise OffsetGone(topic, partition, "the offset to go on from is not there any more")
        if error.code() in _UNKNOWN:
            raise OffsetGone(topic, partition, "the topic or partition is gone")
        translated = translate(error, where=f"reading {topic}/{partition}")
        if translated.exit_code != BrokerUnavailable.exit_code or error.fatal():
            raise translated
        self.trouble = translated
        return False

    def positions(self) -> dict[Place, int]:
        """The next offset of each partition that something was read from or passed over."""
        asked = [TopicPartition(topic, partition) for topic, partition in self.assigned]
        return {(t.topic, t.partition): t.offset for t in self._consumer.position(asked) if t.offset >= 0}

    def close(self) -> None:
        """End the consumer."""
        self._consumer.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
