"""A reference topic as a table in memory, bounded, for look-ups.

The reader is handed in, so that this room knows nothing of Kafka.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Sequence
from typing import Any, Protocol

from cdc.converters.json_reading import parse_json
from cdc.errors import OperatorError
from cdc.model.javaerrors import DataError
from cdc.values.javastring import java_string

_OVERHEAD_BYTES = 200  # of one entry in a dict, measured with sys.getsizeof over typical rows

KeyedRecord = tuple[bytes | None, bytes | None]


class ReferenceReader(Protocol):
    """Reads a topic's records in order, partition by partition."""

    def read_to_end(self, topic: str) -> Iterable[KeyedRecord]:
        """All records up to the ends that the partitions have at the call."""

    def read_new(self, topic: str) -> Iterable[KeyedRecord]:
        """What has arrived since the last reading; never waits."""


class ReferenceTable:
    """Some fields of the newest value of each key.

    Keys and values are JSON, with a schema beside them or without; of a change event the row is taken. A key is its one
    field, or the text itself.

    Args:
        reader: Reads the topic.
        topic: The topic.
        fields: The fields to keep.
        max_bytes: How much memory the table may take.
        refresh_seconds: How old the table may be before new records are read.

    Raises:
        OperatorError: The topic does not fit, or holds what is not JSON.
    """

    def __init__(
        self, reader: ReferenceReader, topic: str, fields: Sequence[str], max_bytes: int, refresh_seconds: float
    ) -> None:
        self._reader = reader
        self._topic = topic
        self._fields = tuple(fields)
        self._max_bytes = max_bytes
        self._refresh_seconds = refresh_seconds
        self._rows: dict[str, tuple[str | None, ...]] = {}
        self._bytes = 0
        self._take(reader.read_to_end(topic))
        self._read_at = time.monotonic()

    @property
    def size(self) -> int:
        """The bytes that the rows take, as counted against the bound."""
        return self._bytes

    def __len__(self) -> int:
        return len(self._rows)

    def get(self, key: str) -> tuple[str | None, ...] | None:
        """The kept fields of a key's row, as texts; None for an unknown key."""
        if time.monotonic() - self._read_at >= self._refresh_seconds:
            self._take(self._reader.read_new(self._topic))
            self._read_at = time.monotonic()
        return self._rows.get(key)

    def _take(self, records: Iterable[KeyedRecord]) -> None:
        for key_bytes, value_bytes in records:
            if key_bytes is None:
                continue
            key = self._key(key_bytes)
            old = self._rows.pop(key, None)
            if old is not None:
                self._bytes -= _entry_bytes(key, old)
            row = None if value_bytes is None else self._row(value_bytes)
            if row is None:
                continue
            self._rows[key] = row
            self._bytes += _entry_bytes(key, row)
            if self._bytes > self._max_bytes:
                raise OperatorError(
                    f"the reference topic {self._topic} takes more than {self._max_bytes} bytes of memory",
                    hint="raise max.bytes of the Lookup, keep fewer fields, or join in a view instead",
                )

    def _key(self, data: bytes) -> str:
        key = _payload(self._parsed(data))
        if isinstance(key, dict):
            if len(key) != 1:
                raise OperatorError(f"the reference topic {self._topic} has keys of {len(key)} fields; one is needed")
            (key,) = key.values()
        return java_string(key)

    def _row(self, data: bytes) -> tuple[str | None, ...] | None:
        row = _payload(self._parsed(data))
        if isinstance(row, dict) and "op" in row and "after" in row:
            row = row["after"]
        if row is None:
            return None
        if not isinstance(row, dict):
            raise OperatorError(f"the reference topic {self._topic} has values that are no JSON objects")
        return tuple(_text(row.get(field)) for field in self._fields)

    def _parsed(self, data: bytes) -> Any:
        try:
            return parse_json(data)
        except DataError as error:
            raise OperatorError(f"the reference topic {self._topic} holds a record that is not JSON") from error


def _payload(document: Any) -> Any:
    if isinstance(document, dict) and document.keys() == {"schema", "payload"}:
        return document["payload"]
    return document


def _text(value: Any) -> str | None:
    return None if value is None else java_string(value)


def _entry_bytes(key: str, row: tuple[str | None, ...]) -> int:
    return _OVERHEAD_BYTES + len(key) + sum(len(text) for text in row if text is not None)
