"""Reading whole topics in batches, from given offsets to given ends: the fast way, for readers that fold.

As in `cdc.kafka.consumer`, a partition is at its end when the position has reached the end offset, so that transaction
markers and the holes of compaction are no obstacle.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from operator import methodcaller
from typing import Any, Final

import confluent_kafka
from confluent_kafka import TopicPartition

from cdc.errors import BrokerUnavailable
from cdc.kafka.client import ClientOptions
from cdc.kafka.consumer import consumer_config, partitions_of
from cdc.kafka.faults import translate

BATCH: Final = 1_000
BUFFER_KBYTES: Final = 65_536

_error_of = methodcaller("error")

Offsets = dict[int, int]
"""Partition -> offset."""


class TopicReader:
    """Reads one topic, without a group.

    Args:
        options: How Kafka is reached.
        topic: The topic; a missing one has no partitions.
        seconds: How long an answer, or the next record, may take.
    """

    def __init__(self, options: ClientOptions, topic: str, *, seconds: float = 30.0) -> None:
        self.topic = topic
        self.seconds = seconds
        self._consumer: Any = confluent_kafka.Consumer(
            {**consumer_config(options), "queued.max.messages.kbytes": BUFFER_KBYTES, "fetch.queue.backoff.ms": 1}
        )
        self._begun: list[tuple[int, int]] = []
        self.partitions: Sequence[int] = partitions_of(self._consumer, topic, seconds)

    def close(self) -> None:
        """Leave."""
        self._consumer.close()

    def bounds(self) -> tuple[Offsets, Offsets]:
        """The first and the end offsets now; the ends are those of read_committed, an open transaction aside.

        Raises:
            BrokerUnavailable: No answer in time.
        """
        low: Offsets = {}
        high: Offsets = {}
        for partition in self.partitions:
            try:
                low[partition], high[partition] = self._consumer.get_watermark_offsets(
                    TopicPartition(self.topic, partition), timeout=self.seconds
                )
            except confluent_kafka.KafkaException as error:
                raise translate(error, where=f"asking for the end of {self.topic}/{partition}") from error
        return low, high

    def begin(self, starts: Mapping[int, int], ends: Mapping[int, int]) -> None:
        """Have records fetched into the reader's buffer already, for the next `batches` of the same places."""
        self._begun = [(p, starts.get(p, 0)) for p, end in ends.items() if starts.get(p, 0) < end]
        self._consumer.assign([TopicPartition(self.topic, partition, offset) for partition, offset in self._begun])

    def batches(self, starts: Mapping[int, int], ends: Mapping[int, int]) -> Iterator[list[Any]]:
        """Messages from `starts` up to `ends`, none beyond; each batch in the order of its partitions.

        Raises:
            BrokerUnavailable: No progress in time.
            OperatorError: A start is not there any more.
        """
        left = {partition: end for partition, end in ends.items() if starts.get(partition, 0) < end}
        if not left:
            return
        consumer = self._consumer
        if self._begun != [(partition, starts.get(partition, 0)) for partition in left]:
            self.begin(starts, ends)
        self._begun = []
        progress = time.monotonic()
        last: Offsets = {}
        # Asking for no more than there can be returns at once when it is there.
        remaining = sum(end - starts.get(partition, 0) for partition, end in left.items())
        while left:
            messages = consumer.consume(min(BATCH, remaining), 0.1)
            for error in filter(None, map(_error_of, messages)):
                raise translate(error, where=f"reading {self.topic}")
            asked = [TopicPartition(self.topic, partition) for partition in left]
            reached = {place.partition: place.offset for place in consumer.position(asked)}
            remaining = max(1, sum(end - max(0, reached[partition]) for partition, end in left.items()))
            beyond = [partition for partition, end in left.items() if reached[partition] > end]
            if beyond:
                messages = [m for m in messages if m.offset() < ends[m.partition()]]
            if messages:
                yield messages
            done = [partition for partition, end in left.items() if reached[partition] >= end]
            if done:
                consumer.incremental_unassign([TopicPartition(self.topic, partition) for partition in done])
                for partition in done:
                    del left[partition]
            if messages or reached != last:
                progress, last = time.monotonic(), reached
            elif time.monotonic() - progress > self.seconds:
                raise BrokerUnavailable(f"reading {self.topic}: no progress for {self.seconds:.0f} s")
        consumer.unassign()
