"""Records in the form that is compared: texts, schemas apart from payloads, clocks masked.

Live, both engines decode the same log, so that everything but the clock of the engine and its run id must be the same.
A golden capture comes from another run: there positions, transaction ids and commit times are numbered anew, each kind
for itself, so that what is equal, different or ordered in one capture must be so in the other.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from tests.support.consume import Record

RUN_ID = "__debezium.context.runId"

_SPLIT = json.JSONDecoder()
_PROCESSED = re.compile(r'("op":"[crudtm]"),"ts_ms":\d+(,"ts_us":\d+,"ts_ns":\d+)?')
_HEARTBEAT = re.compile(r'^\{"ts_ms":\d+\}$')


@dataclass(frozen=True, slots=True)
class Canonical:
    """One record, comparable.

    Attributes:
        topic: Its topic.
        partition: Its partition.
        key: The key's payload as text, None for null bytes.
        key_schema: The key's schema as text, None where the message has none.
        value: The value's payload as text, None for a tombstone.
        value_schema: The value's schema as text.
        headers: Names and texts, in order.
    """

    topic: str
    partition: int
    key: str | None
    key_schema: str | None
    value: str | None
    value_schema: str | None
    headers: tuple[tuple[str, str | None], ...]


def canonical(records: Iterable[Record]) -> list[Canonical]:
    """Records with the engine's own clock and run id masked."""
    return [_masked(_split(record)) for record in records]


def _split(record: Record) -> Canonical:
    key_schema, key = _message(record.key)
    value_schema, value = _message(record.value)
    headers = tuple((name, None if data is None else _text(data)) for name, data in record.headers)
    return Canonical(record.topic, record.partition, key, key_schema, value, value_schema, headers)


def _text(data: bytes) -> str:
    try:
        return data.decode()
    except UnicodeDecodeError:
        return "hex:" + data.hex()


def _message(data: bytes | None) -> tuple[str | None, str | None]:
    """Schema and payload of a message, each as its own text; no schema where it is not JsonConverter's envelope."""
    if data is None:
        return None, None
    text = _text(data)
    opening, between = '{"schema":', ',"payload":'
    if text.startswith(opening):
        _, end = _SPLIT.raw_decode(text, len(opening))
        if text.startswith(between, end):
            return text[len(opening) : end], text[end + len(between) : -1]
    return None, text


def _masked(record: Canonical) -> Canonical:
    value = record.value
    if value is not None:
        value = _PROCESSED.sub(
            lambda match: f'{match[1]},"ts_ms":0' + (',"ts_us":0,"ts_ns":0' if match[2] else ""), value
        )
        value = _HEARTBEAT.sub('{"ts_ms":0}', value)
    headers = tuple((name, "run id" if name == RUN_ID else text) for name, text in record.headers)
    return replace(record, value=value, headers=headers)


# Texts that hold positions and times, in the forms in which Debezium and its transforms write them. The groups name the kind of each.
_NUMBERS: Sequence[tuple[re.Pattern[str], str]] = (
    (re.compile(r'("(?:source_)?sequence":"\[\\")(?P<commit>\d+)'), "commit"),
    (re.compile(r'("(?:source_)?sequence":"\[(?:null|\\"[^"]*\\"),\\")(?P<lsn>\d+)'), "lsn"),
    (re.compile(r'("(?:source_)?lsn":)(?P<lsn>\d+)'), "lsn"),
    (re.compile(r'("(?:source_)?origin_lsn":)(?P<origin>\d+)'), "origin"),
    (re.compile(r'("(?:source_)?txId":)(?P<xid>\d+)'), "xid"),
    (re.compile(r'("id":")(?P<xid>\d+)(?=:\d+")'), "xid"),
    (re.compile(r'("status":"END","id":"[^:"]*:)(?P<end>\d+)'), "end"),
    (re.compile(r'("transaction":\{"id":"[^:"]*:)(?P<lsn>\d+)'), "lsn"),
    (re.compile(r'("status":"BEGIN","id":"[^:"]*:)(?P<begin>\d+)'), "begin"),
)
_BOUNDARY_KEY = re.compile(r'(\{"id":"[^:"]*:)\d+("\})')
_TIMES = (
    (re.compile(r'"ts_ms":\d+(?=,"snapshot")'), '"ts_ms":0'),
    (re.compile(r'"ts_us":\d+,"ts_ns":\d+(?=,"schema")'), '"ts_us":0,"ts_ns":0'),
    (re.compile(r'("status":"(?:BEGIN|END)".*"ts_ms":)\d+'), r"\g<1>0"),
    (re.compile(r'("(?:source_)?db":)"[^"]*"'), r'\g<1>"db"'),
    # Rows whose source was flattened, or stands beside them.
    (re.compile(r'("source_ts_[mun]s":|"__committed":)\d+'), r"\g<1>0"),
)


def renumbered(records: Sequence[Canonical]) -> list[Canonical]:
    """Records whose positions and transaction ids are replaced by their ranks, so that two runs can be compared."""
    found: dict[str, set[int]] = {}
    for record in records:
        for text in (record.value, record.key):
            if text is not None:
                for pattern, group in _NUMBERS:
                    numbers = found.setdefault(_kind(group, text), set())
                    numbers.update(int(match[group]) for match in pattern.finditer(text))
    ranks = {kind: {number: rank for rank, number in enumerate(sorted(numbers), 1)} for kind, numbers in found.items()}
    return [
        replace(
            record,
            key=None if record.key is None else _BOUNDARY_KEY.sub(r"\g<1>0\g<2>", _ranked(record.key, ranks)),
            value=None if record.value is None else _ranked(record.value, ranks),
            headers=tuple((name, "db" if name == "__db" else text) for name, text in record.headers),
        )
        for record in records
    ]


def _kind(group: str, text: str) -> str:
    # The position of a message is the end of its log record: whether a row begins there is a matter of page borders.
    return group + " of a message" if text.startswith('{"op":"m"') and group != "xid" else group


def _ranked(text: str, ranks: Mapping[str, Mapping[int, int]]) -> str:
    for pattern, group in _NUMBERS:
        text = pattern.sub(_replacing(group, ranks.get(_kind(group, text), {})), text)
    for pattern, instead in _TIMES:
        text = pattern.sub(instead, text)
    return text


def _replacing(group: str, ranks: Mapping[int, int]) -> Callable[[re.Match[str]], str]:
    return lambda match: match[1] + str(ranks[int(match[group])])


def parsed(text: str | None) -> Any:
    """A text as JSON, members in order; the text itself where it is none."""
    if text is None:
        return None
    try:
        return json.loads(text)
    except ValueError:
        return text
