"""The versions of one key, as its events tell them: what each changed, when, and at which position."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

import orjson

from cdc.source import POSITION_HEADER

Upcast = Callable[[dict[str, Any]], dict[str, Any]]

_WORDS: Final = {"c": "create", "u": "update", "d": "delete", "r": "read", "t": "truncate", "m": "message"}


@dataclass(frozen=True, slots=True)
class LogRecord:
    """One record of a topic.

    Attributes:
        topic: The topic.
        partition: Its partition.
        offset: Its offset.
        timestamp: Milliseconds since the Unix epoch.
        key: Its key.
        value: Its value, None for a tombstone.
        headers: In order.
    """

    topic: str
    partition: int
    offset: int
    timestamp: int
    key: bytes | None
    value: bytes | None
    headers: tuple[tuple[str, bytes | None], ...] = ()

    def header(self, name: str) -> str | None:
        """The first header of that name as text."""
        return next(
            (value.decode("utf-8", "replace") for key, value in self.headers if key == name and value is not None), None
        )


@dataclass(frozen=True, slots=True)
class Version:
    """One version of a key.

    Attributes:
        record: The record.
        operation: create, update, delete, read, tombstone, or value for a plain value.
        row: The row after it, None when there is none.
        changed: Field -> (before, after) of what differs from the version before; all fields of the first one.
        time: Commit time, milliseconds since the Unix epoch; the record's own where the value holds none.
        position: The position header, or `lsn` of the source block, as text.
        transaction: The transaction's id.
    """

    record: LogRecord
    operation: str
    row: dict[str, Any] | None
    changed: Mapping[str, tuple[Any, Any]]
    time: int
    position: str | None
    transaction: str | None

    def as_json(self) -> dict[str, Any]:
        """The version as a JSON object."""
        return {
            "partition": self.record.partition, "offset": self.record.offset, "operation": self.operation,
            "time": self.time, "position": self.position, "transaction": self.transaction, "row": self.row,
            "changed": {name: {"before": before, "after": after} for name, (before, after) in self.changed.items()},
        }  # fmt: skip


@dataclass(slots=True)
class History:
    """Turns the records of one key into versions.

    Attributes:
        upcasters: Schema name and version -> functions that bring an old event to the next version, in order.
        row: The row as the last record left it.
    """

    upcasters: Mapping[tuple[str, int], Upcast] = field(default_factory=dict)
    row: dict[str, Any] | None = None

    def add(self, record: LogRecord) -> Version:
        """The version that a record makes.

        Raises:
            ValueError: The value is not JSON.
        """
        if record.value is None:
            before, self.row = self.row, None
            return Version(
                record,
                "tombstone",
                None,
                difference(before, None),
                record.timestamp,
                record.header(POSITION_HEADER),
                None,
            )
        document = orjson.loads(record.value)
        schema, value = _opened(document)
        value = self._upcast(schema, value)
        if not _is_envelope(value):
            row = value if isinstance(value, dict) else {"value": value}
            version = Version(
                record, "value", row, difference(self.row, row), record.timestamp, record.header(POSITION_HEADER), None
            )
            self.row = row
            return version
        source = value.get("source") or {}
        row = value.get("after")
        position = record.header(POSITION_HEADER) or (str(source["lsn"]) if source.get("lsn") is not None else None)
        block = value.get("transaction") or {}
        transaction = block.get("id") or (str(source["txId"]) if source.get("txId") is not None else None)
        version = Version(
            record, _WORDS.get(value["op"], value["op"]), row, difference(self.row, row),
            source.get("ts_ms") or record.timestamp, position, transaction,
        )  # fmt: skip
        self.row = row
        return version

    def upcast_document(self, value: bytes) -> bytes:
        """A whole record's value, brought up to date; its schema stays as it was.

        Raises:
            ValueError: It is not JSON.
        """
        document = orjson.loads(value)
        schema, event = _opened(document)
        changed = self._upcast(schema, event)
        return orjson.dumps(changed if schema is None else {"schema": schema, "payload": changed})

    def _upcast(self, schema: Mapping[str, Any] | None, value: Any) -> Any:
        if not self.upcasters or not isinstance(value, dict):
            return value
        name, version = _identity(schema, value)
        while (step := self.upcasters.get((name, version))) is not None:
            value = step(value)
            version += 1
        return value


def _identity(schema: Mapping[str, Any] | None, value: Mapping[str, Any]) -> tuple[str, int]:
    """Name and version of an event: of its schema, or of its members `schema_name` and `schema_version`."""
    if schema is not None:
        return str(schema.get("name") or ""), int(schema.get("version") or 1)
    return str(value.get("schema_name") or ""), int(value.get("schema_version") or 1)


def _opened(document: Any) -> tuple[Mapping[str, Any] | None, Any]:
    if isinstance(document, dict) and set(document) == {"schema", "payload"}:
        return document["schema"], document["payload"]
    return None, document


def _is_envelope(value: Any) -> bool:
    return isinstance(value, dict) and "op" in value and "source" in value and "after" in value


def difference(before: Mapping[str, Any] | None, after: Mapping[str, Any] | None) -> dict[str, tuple[Any, Any]]:
    """Field -> (before, after), of the fields that differ."""
    old, new = before or {}, after or {}
    return {
        name: (old.get(name), new.get(name))
        for name in dict.fromkeys([*new, *old])
        if name not in old or name not in new or old[name] != new[name]
    }


def key_candidates(text: str, sample: bytes | None) -> list[bytes]:
    """The key bytes that a person may mean.

    Args:
        text: JSON of the whole key, or the value of its only field.
        sample: A key of the topic, which shows the form of its keys; None when there is none.

    Returns:
        Most likely first.
    """
    try:
        value = orjson.loads(text)
    except orjson.JSONDecodeError:
        value = text
    candidates: list[bytes] = []
    if sample is not None:
        candidates += _like(sample, value)
    candidates += [orjson.dumps(value), text.encode()]
    return list(dict.fromkeys(candidates))


def _like(sample: bytes, value: Any) -> list[bytes]:
    try:
        shape = orjson.loads(sample)
    except orjson.JSONDecodeError:
        return []
    if not isinstance(shape, dict):
        return []
    payload = shape["payload"] if set(shape) == {"schema", "payload"} else shape
    if not isinstance(payload, dict):
        return [orjson.dumps(value)]
    if isinstance(value, dict):
        if set(value) != set(payload):
            return []
        filled = {name: value[name] for name in payload}
    elif len(payload) == 1:
        filled = dict.fromkeys(payload, value)
    else:
        return []
    if payload is shape:
        return [orjson.dumps(filled)]
    # The schema's own bytes stand before the payload; only that is replaced.
    place = sample.rfind(b',"payload":')
    return [sample[:place] + b',"payload":' + orjson.dumps(filled) + b"}"]


def as_of(versions: Sequence[Version], millis: int) -> Version | None:
    """The last version that was committed at a time or before."""
    found = None
    for version in versions:
        if version.time <= millis:
            found = version
    return found
