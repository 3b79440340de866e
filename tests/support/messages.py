"""Kafka messages without Kafka: what the client hands out, made by hand."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import orjson


@dataclass(frozen=True, slots=True)
class FakeMessage:
    """Answers as `confluent_kafka.Message` does."""

    at_topic: str
    at_partition: int
    at_offset: int
    has_key: bytes | None
    has_value: bytes | None
    has_headers: tuple[tuple[str, bytes], ...] | None = None

    def topic(self) -> str:
        return self.at_topic

    def partition(self) -> int:
        return self.at_partition

    def offset(self) -> int:
        return self.at_offset

    def key(self) -> bytes | None:
        return self.has_key

    def value(self) -> bytes | None:
        return self.has_value

    def headers(self) -> list[tuple[str, bytes]] | None:
        return None if self.has_headers is None else list(self.has_headers)

    def error(self) -> None:
        return None


class FakeLog:
    """Topics in memory: appends messages with the next offset of their partition."""

    def __init__(self) -> None:
        self.messages: list[FakeMessage] = []
        self._next: dict[tuple[str, int], int] = {}

    def append(
        self,
        topic: str,
        key: bytes | None,
        value: bytes | None,
        *,
        partition: int = 0,
        headers: Iterable[tuple[str, bytes]] | None = None,
    ) -> FakeMessage:
        offset = self._next.get((topic, partition), 0)
        self._next[topic, partition] = offset + 1
        packed = None if headers is None else tuple(headers)
        message = FakeMessage(topic, partition, offset, key, value, packed)
        self.messages.append(message)
        return message

    def skip(self, topic: str, partition: int = 0, count: int = 1) -> None:
        """Offsets without records, as compaction and transactions leave them."""
        self._next[topic, partition] = self._next.get((topic, partition), 0) + count


def envelope(op: str, before: Mapping[str, Any] | None, after: Mapping[str, Any] | None) -> bytes:
    """A change event as the engine writes it."""
    source = {"version": "3.6.3.Final", "connector": "postgresql", "name": "shop", "schema": "public", "table": "t"}
    return orjson.dumps({"before": before, "after": after, "source": source, "transaction": None, "op": op, "ts_ms": 1})


def position(commit: int, ordinal: int = 0, *, system: int = 7, timeline: int = 1) -> list[tuple[str, bytes]]:
    """The headers that tell a record's position in the database."""
    text = f"{system}/{timeline}/{commit >> 32:X}/{commit & 0xFFFFFFFF:X}/{ordinal}"
    return [("__debezium.context.connectorLogicalName", b"shop"), ("seam.position", text.encode())]
