"""timetz and timestamptz: texts in UTC, whatever the mode."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Final

from cdc.model.schema import Schema, Type
from cdc.values.calendar import MICROS_PER_DAY, clock, iso_date, timestamp
from cdc.values.codec import Codec, ValueModes
from cdc.values.times import clock_text

TIME: Final = Schema(Type.STRING, name="io.debezium.time.ZonedTime", version=1)
TIMESTAMP: Final = Schema(Type.STRING, name="io.debezium.time.ZonedTimestamp", version=1)

_ZONED: Final = re.compile(rb"([^+-]*)([+-])(\d\d)(?::(\d\d))?(?::(\d\d))?")
_INFINITE: Final = {b"infinity": "infinity", b"-infinity": "-infinity"}


def time_micros(text: bytes) -> int:
    """Microseconds since midnight in UTC of a timetz text, within one day.

    Raises:
        ValueError: The text is no time with a zone.
    """
    match = _ZONED.fullmatch(text)
    if match is None:
        raise ValueError("text is not a time with a zone")
    offset = int(match[3]) * 3600 + int(match[4] or 0) * 60 + int(match[5] or 0)
    if match[2] == b"-":
        offset = -offset
    return (clock(match[1]) - offset * 1_000_000) % MICROS_PER_DAY


def _time(text: bytes) -> str:
    return clock_text(time_micros(text)) + "Z"


def _time_json(text: bytes) -> bytes:
    return b'"' + _time(text).encode() + b'"'


TIMETZ: Final = Codec(TIME, _time_json, _time, filler="00:00:00Z")


def instant_micros(text: bytes) -> int:
    """Microseconds since the epoch of a finite timestamptz text of a session in UTC.

    Raises:
        ValueError: The text is no such timestamp.
    """
    era = b" BC" if text[-3:] == b" BC" else b""
    bare = text[: -len(era)] if era else text
    if bare[-3:] != b"+00":
        raise ValueError("text is not a timestamp in UTC")
    return timestamp(bare[:-3] + era)


def instant_text(micros: int, digits: int) -> str:
    """`2024-01-01T00:00:00.000000Z`, the fraction padded to a column's precision."""
    day, rest = divmod(micros, MICROS_PER_DAY)
    seconds, fraction = divmod(rest, 1_000_000)
    padded = f".{fraction:06d}"[: digits + 1] if digits else ""
    return f"{iso_date(day)}T{clock_text(seconds * 1_000_000)}{padded}Z"


def _to_value(digits: int) -> Callable[[bytes], str]:
    def to_value(text: bytes) -> str:
        return _INFINITE.get(text) or instant_text(instant_micros(text), digits)

    return to_value


def timestamptz(typmod: int, _modes: ValueModes) -> Codec:
    """The codec of timestamptz with a precision, -1 for the full six digits."""
    digits = 6 if typmod < 0 else min(typmod, 6)
    to_value = _to_value(digits)
    whole = 19 + (digits + 1 if digits else 0) + 3

    def to_json(text: bytes) -> bytes:
        # A year of four digits and a full fraction: `2024-01-01 13:14:15.123456+00` is rearranged, not computed.
        length = len(text)
        if text[10:11] == b" " and text[-3:] == b"+00":
            if length == whole:
                return b'"' + text[:10] + b"T" + text[11:-3] + b'Z"'
            if 22 < length < whole:
                return b'"' + text[:10] + b"T" + text[11:-3].ljust(whole - 14, b"0") + b'Z"'
            if length == 22:
                return b'"' + text[:10] + b"T" + (text[11:-3] + b".").ljust(whole - 14, b"0") + b'Z"'
        return b'"' + to_value(text).encode() + b'"'

    return Codec(TIMESTAMP, to_json, to_value, filler="1970-01-01T00:00:00Z")
