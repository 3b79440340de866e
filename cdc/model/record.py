"""The record that transforms see and converters turn into bytes: Connect's `SourceRecord`."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, NamedTuple

from cdc.model.schema import Schema


class Header(NamedTuple):
    """One Connect header.

    Attributes:
        name: The header's name; names may repeat.
        schema: The schema of the value, None for schemaless.
        value: The value.
    """

    name: str
    schema: Schema | None
    value: Any


@dataclass(frozen=True, slots=True)
class SourceRecord:
    """One record on its way to Kafka.

    Attributes:
        topic: Where it goes.
        partition: None where the producer's partitioner decides.
        key_schema: None for schemaless.
        key: The key; None for no key.
        value_schema: None for schemaless.
        value: The value; None with no schema is a tombstone.
        timestamp: Milliseconds since the epoch; None where the producer stamps its own clock.
        headers: In order.
        source_partition: Connect's source partition, part of some error messages.
        source_offset: Connect's source offset.
    """

    topic: str
    partition: int | None
    key_schema: Schema | None
    key: Any
    value_schema: Schema | None
    value: Any
    timestamp: int | None = None
    headers: tuple[Header, ...] = ()
    source_partition: dict[str, Any] | None = None
    source_offset: dict[str, Any] | None = None

    def replace(self, **changes: Any) -> SourceRecord:
        """A copy with some attributes changed."""
        return replace(self, **changes)


@dataclass(frozen=True, slots=True)
class SinkRecord(SourceRecord):
    """A record that was read from Kafka, for chains that are tried as a sink connector runs them.

    Attributes:
        kafka_offset: Its offset in its partition.
    """

    kafka_offset: int = 0
