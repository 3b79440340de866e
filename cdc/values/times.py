"""time without time zone, by `time.precision.mode` and the column's precision."""

from __future__ import annotations

from typing import Any, Final

from cdc.model.schema import TIME, JavaDate, Schema, Type
from cdc.values.calendar import MICROS_PER_DAY, clock
from cdc.values.codec import Codec, ValueModes

MILLIS: Final = Schema(Type.INT32, name="io.debezium.time.Time", version=1)
MICROS: Final = Schema(Type.INT64, name="io.debezium.time.MicroTime", version=1)
NANOS: Final = Schema(Type.INT64, name="io.debezium.time.NanoTime", version=1)
ISO: Final = Schema(Type.STRING, name="io.debezium.time.IsoTime", version=1)
CONNECT: Final = Schema(Type.INT32, name=TIME, version=1)


def _micros_json(text: bytes) -> bytes:
    return b"%d" % clock(text)


def _millis(text: bytes) -> int:
    return clock(text) // 1000


def _millis_json(text: bytes) -> bytes:
    return b"%d" % (clock(text) // 1000)


def _connect(text: bytes) -> JavaDate:
    return JavaDate(clock(text) // 1000)


def _connect_json(text: bytes) -> bytes:
    return b"%d" % _connect(text)


def _nanos(text: bytes) -> int:
    return clock(text) * 1000


def _nanos_json(text: bytes) -> bytes:
    return b"%d" % (clock(text) * 1000)


def clock_text(micros: int) -> str:
    """`HH:MM:SS` with the digits of the fraction that are there, as java.time's ISO formatters print a time."""
    seconds, fraction = divmod(micros, 1_000_000)
    minutes, second = divmod(seconds, 60)
    hour, minute = divmod(minutes, 60)
    text = f"{hour:02d}:{minute:02d}:{second:02d}"
    return f"{text}.{fraction:06d}".rstrip("0") if fraction else text


def _iso(text: bytes) -> str:
    return clock_text(clock(text) % MICROS_PER_DAY) + "Z"


def _iso_json(text: bytes) -> bytes:
    return b'"' + _iso(text).encode() + b'"'


def resolve(typmod: int, modes: ValueModes) -> Codec:
    """The codec of time with a precision, -1 for the full six digits."""
    zero: Any = 0
    match modes.time_precision:
        case "isostring":
            return Codec(ISO, _iso_json, _iso, filler="00:00:00Z")
        case "connect":
            return Codec(CONNECT, _connect_json, _connect, filler=JavaDate(0))
        case "nanoseconds":
            return Codec(NANOS, _nanos_json, _nanos, filler=zero)
        case "adaptive" if 0 <= typmod <= 3:
            return Codec(MILLIS, _millis_json, _millis, filler=zero)
        case _:
            return Codec(MICROS, _micros_json, clock, filler=zero)
