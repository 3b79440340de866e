"""How many of some records, of which the first one has surely been sent, lie at the ends of their topics."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import Any, Final

import msgspec

from cdc.kafka.client import ClientOptions
from cdc.kafka.reader import TopicReader
from cdc.render import Record

_BEYOND: Final = 1_000
"""Offsets at a partition's end that may be no records of ours: markers of transactions, heartbeats."""
_CLOCK: Final = re.compile(rb'"ts_(ms|us|ns)":\d+')

_Place = tuple[str, bytes | None]


def arrived(options: ClientOptions, records: Sequence[Record], *, xid: int, lsn: int) -> int | None:
    """How many of them Kafka holds, counted from the first on; None where that cannot be told.

    Nobody writes to these topics meanwhile, so for each key they are its last records.

    Args:
        options: How Kafka is reached.
        records: In the order in which they were sent, all of one LSN.
        xid: Their transaction.
        lsn: Their LSN.

    Raises:
        SeamError: Kafka cannot be read.
    """
    wanted: dict[_Place, list[bytes | None]] = defaultdict(list)
    for topic, key, value, _ in records:
        wanted[topic, key].append(value)
    held: dict[_Place, list[bytes | None]] = defaultdict(list)
    for topic in {topic for topic, _ in wanted}:
        _read_end(options, topic, _BEYOND + len(records), held)
    counts = {place: _last_of(held[place], values, xid, lsn) for place, values in wanted.items()}
    return _prefix(records, counts)


def _read_end(options: ClientOptions, topic: str, most: int, held: dict[_Place, list[bytes | None]]) -> None:
    reader = TopicReader(options, topic)
    try:
        low, high = reader.bounds()
        starts = {partition: max(low[partition], end - most) for partition, end in high.items()}
        for batch in reader.batches(starts, high):
            for message in batch:
                held[topic, message.key()].append(message.value())
    finally:
        reader.close()


def _last_of(held: Sequence[bytes | None], wanted: Sequence[bytes | None], xid: int, lsn: int) -> int:
    """How many of the wanted values the held ones end with, beginning with the first."""
    for count in range(min(len(held), len(wanted)), 0, -1):
        if all(_same(a, b, xid, lsn) for a, b in zip(held[-count:], wanted[:count], strict=True)):
            return count
    return 0


def _same(held: bytes | None, wanted: bytes | None, xid: int, lsn: int) -> bool:
    if held is None or wanted is None:
        return held is wanted
    source = _source(held)
    if source is not None:
        return source.get("lsn") == lsn and source.get("txId") == xid
    # Without a source block only what was written tells them apart, the clock aside.
    return _CLOCK.sub(b"", held) == _CLOCK.sub(b"", wanted)


def _source(value: bytes) -> Mapping[str, Any] | None:
    """The source block of an envelope in JSON, with or without its schema; None where there is none."""
    try:
        document = msgspec.json.decode(value)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return None
    for _ in range(2):
        if not isinstance(document, dict):
            return None
        if isinstance(source := document.get("source"), dict) and {"lsn", "txId"} <= source.keys():
            return source
        document = document.get("payload")
    return None


def _prefix(records: Sequence[Record], counts: Mapping[_Place, int]) -> int | None:
    """The length of the stretch from the first record on that is there; None where it is not one stretch."""
    passed: dict[_Place, int] = defaultdict(int)
    there = []
    for topic, key, *_ in records:
        passed[topic, key] += 1
        there.append(passed[topic, key] <= counts[topic, key])
    length = sum(there)
    return length if length and all(there[:length]) else None
