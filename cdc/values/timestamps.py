"""timestamp without time zone, read as UTC, by `time.precision.mode` and the column's precision."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Final

from cdc.model.schema import TIMESTAMP, JavaDate, Schema, Type
from cdc.values.calendar import MICROS_PER_DAY, iso_date, midnight, minutes, timestamp
from cdc.values.codec import Codec, ValueModes
from cdc.values.times import clock_text

MILLIS: Final = Schema(Type.INT64, name="io.debezium.time.Timestamp", version=1)
MICROS: Final = Schema(Type.INT64, name="io.debezium.time.MicroTimestamp", version=1)
NANOS: Final = Schema(Type.INT64, name="io.debezium.time.NanoTimestamp", version=1)
ISO: Final = Schema(Type.STRING, name="io.debezium.time.IsoTimestamp", version=1)
CONNECT: Final = Schema(Type.INT64, name=TIMESTAMP, version=1)

_LONG_MAX: Final = 2**63 - 1
# The driver's own numbers for the infinities, in milliseconds.
_INFINITE_MILLIS: Final = {b"infinity": 9223372036825200, b"-infinity": -9223372036832400}
_INFINITE_MICROS: Final = {text: millis * 1000 for text, millis in _INFINITE_MILLIS.items()}
_INFINITE_NANOS: Final = {b"infinity": _LONG_MAX, b"-infinity": -_LONG_MAX - 1}


def _fits(value: int) -> int:
    if not -_LONG_MAX - 1 <= value <= _LONG_MAX:
        raise ValueError("timestamp is out of the mode's range")
    return value


def _wrap(value: int) -> int:
    return (value + 2**63) % 2**64 - 2**63


def _strict_micros(micros: int) -> int:
    """Java's sum of the seconds, clamped to a long, and the fraction, wrapped."""
    if -_LONG_MAX - 1 <= micros <= _LONG_MAX:
        return micros
    seconds, fraction = divmod(micros, 1_000_000)
    clamped = max(-_LONG_MAX - 1, min(_LONG_MAX, seconds * 1_000_000))
    return _wrap(clamped + fraction)


def _number(text: bytes, infinite: dict[bytes, int], scale: Callable[[int], int]) -> int:
    special = infinite.get(text)
    return scale(timestamp(text)) if special is None else special


def _codec(schema: Schema, infinite: dict[bytes, int], scale: Callable[[int], int], wrap: type[int] = int) -> Codec:
    def to_value(text: bytes) -> int:
        number = _number(text, infinite, scale)
        return number if wrap is int else wrap(number)

    def to_json(text: bytes) -> bytes:
        return b"%d" % _number(text, infinite, scale)

    # In nanoseconds Debezium has no stand-in for a value that was not sent.
    return Codec(schema, to_json, to_value, filler=None if schema is NANOS else wrap(0))


def _millis(schema: Schema, wrap: type[int] = int) -> Codec:
    plain = _codec(schema, _INFINITE_MILLIS, lambda micros: micros // 1000, wrap)

    def to_json(text: bytes) -> bytes:
        if text[10:11] == b" ":
            return b"%d" % (timestamp(text) // 1000)
        return plain.to_json(text)

    return replace(plain, to_json=to_json)


def _micros(modes: ValueModes) -> Codec:
    scale = _strict_micros if modes.strict else _fits

    def to_value(text: bytes) -> int:
        return _number(text, _INFINITE_MICROS, scale)

    def to_json(text: bytes) -> bytes:
        # The usual text, all six digits there, without a further call; `timestamp` reads the others.
        if len(text) == 26 and text[10] == 32 and text[16] == 58 and text[19] == 46:
            digits = text[17:19] + text[20:]
            if digits.isdigit():
                return b"%d" % (midnight(text[:10]) + minutes(text[11:16]) + int(digits))
        return b"%d" % _number(text, _INFINITE_MICROS, scale)

    return Codec(MICROS, to_json, to_value, filler=0)


def iso_timestamp(micros: int) -> str:
    """Microseconds since the epoch as `2024-02-29T13:14:15.123`, without a zone."""
    day, rest = divmod(micros, MICROS_PER_DAY)
    return f"{iso_date(day)}T{clock_text(rest)}"


def _iso(text: bytes) -> str:
    return iso_timestamp(_number(text, _INFINITE_MICROS, int)) + "Z"


def _iso_json(text: bytes) -> bytes:
    return b'"' + _iso(text).encode() + b'"'


def resolve(typmod: int, modes: ValueModes) -> Codec:
    """The codec of timestamp with a precision, -1 for the full six digits."""
    match modes.time_precision:
        case "isostring":
            return Codec(ISO, _iso_json, _iso, filler="1970-01-01T00:00:00Z")
        case "connect":
            return _millis(CONNECT, JavaDate)
        case "nanoseconds":
            return _codec(NANOS, _INFINITE_NANOS, lambda micros: _fits(micros * 1000))
        case "adaptive" | "adaptive_time_microseconds" if 0 <= typmod <= 3:
            return _millis(MILLIS)
        case _:
            return _micros(modes)
