"""Whether a latest topic holds the last record of each key of its history, checked while both go on, and mended."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from cdc.errors import OperatorError
from cdc.kafka.client import ClientOptions
from cdc.kafka.log import TopicLog
from cdc.kafka.producer import Producer
from cdc.versions import LogRecord
from connectors.topic_forms import LATEST_SUFFIX

REPAIRS: Final = 5

_Digest = bytes | None


def _digest(value: bytes | None) -> _Digest:
    return None if value is None else hashlib.blake2b(value, digest_size=16).digest()


@dataclass(slots=True)
class LatestCheck:
    """What a check found.

    Attributes:
        topic: The history.
        keys: How many keys the history holds.
        wrong: Keys whose latest record is another one than the history's last.
        ahead: Keys that only the latest topic holds.
        cut: Whether the history no longer holds its beginning; then nobody can say what is ahead.
        repaired: How many were written again.
    """

    topic: str
    keys: int = 0
    wrong: set[bytes] = field(default_factory=set)
    ahead: set[bytes] = field(default_factory=set)
    cut: bool = False
    repaired: int = 0

    def as_json(self) -> dict[str, Any]:
        """The check as a JSON object."""
        examples = [key.decode("utf-8", "replace") for key in sorted(self.wrong | self.ahead)[:20]]
        return {
            "topic": self.topic, "keys": self.keys, "wrong": len(self.wrong), "ahead": len(self.ahead),
            "complete": not self.cut, "repaired": self.repaired, "examples": examples,
        }  # fmt: skip


def check_latest(options: ClientOptions, topic: str) -> LatestCheck:
    """Compare `topic.latest` with the history.

    The history is read, then the latest topic, then what the history got meanwhile: what the latest topic holds must
    have been the last record of its key at some moment in between.

    Raises:
        ConfigError: One of the topics does not exist.
    """
    history, latest = TopicLog(options, topic), TopicLog(options, topic + LATEST_SUFFIX)
    try:
        starts = {partition: history.bounds(partition)[0] for partition in history.partitions}
        last: dict[bytes, _Digest] = {}
        ends = dict(starts)
        for record in history.read(starts):
            ends[record.partition] = record.offset + 1
            if record.key is not None:
                last[record.key] = _digest(record.value)
        held = {r.key: _digest(r.value) for r in _all(latest) if r.key is not None}
        allowed: dict[bytes, set[_Digest]] = {}
        for record in history.read(ends):
            if record.key is not None:
                allowed.setdefault(record.key, {last.get(record.key)}).add(_digest(record.value))
    finally:
        history.close()
        latest.close()
    found = LatestCheck(topic, len(last.keys() | allowed.keys()), cut=any(starts.values()))
    for key, value in last.items():
        if held.get(key) not in allowed.get(key, {value}):
            found.wrong.add(key)
    if not found.cut:
        found.ahead = {k for k, value in held.items() if value is not None and k not in last and k not in allowed}
    return found


def _all(log: TopicLog) -> Iterator[LogRecord]:
    return log.read({partition: log.bounds(partition)[0] for partition in log.partitions})


def repair_latest(options: ClientOptions, topic: str) -> LatestCheck:
    """Write the last record of each wrong key again, until a check finds none.

    A key that the history changes meanwhile is seen by the next check, and written once more.

    Raises:
        OperatorError: It is still wrong after some turns: something else writes to the latest topic.
    """
    repaired = 0
    for _ in range(REPAIRS):
        found = check_latest(options, topic)
        if not found.wrong:
            found.repaired = repaired
            return found
        log = TopicLog(options, topic)
        try:
            records = {r.key: r for r in _all(log) if r.key in found.wrong and r.key is not None}
        finally:
            log.close()
        _write(options, topic + LATEST_SUFFIX, records)
        repaired += len(records)
    raise OperatorError(
        f"{topic}{LATEST_SUFFIX} is still wrong after {REPAIRS} repairs", hint="does another program write to it?"
    )


def _write(options: ClientOptions, topic: str, records: Mapping[bytes, LogRecord]) -> None:
    producer = Producer(options)
    failures: list[Any] = []

    def delivered(error: Any, _message: Any) -> None:
        if error is not None:
            failures.append(error)

    for key, record in records.items():
        # Both topics have the same number of partitions: a key stays in the one of the history's number.
        while not producer.send(
            topic, record.value, key, partition=record.partition, headers=list(record.headers), on_delivery=delivered
        ):
            producer.poll(0.05)
    producer.client.flush(60.0)
    unsent = producer.in_queue()
    producer.close(purge=True)
    if failures or unsent:
        raise OperatorError(f"{topic}: not every record was written; run the repair again")
