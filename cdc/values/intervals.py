"""interval under `IntervalStyle = postgres`, by `interval.handling.mode`: microseconds, or an ISO-8601 duration."""

from __future__ import annotations

import re
from typing import Final, NamedTuple

from cdc.model.schema import Schema, Type
from cdc.values.codec import Codec, ValueModes

DURATION: Final = Schema(Type.INT64, name="io.debezium.time.MicroDuration", version=1)
TEXT: Final = Schema(Type.STRING, name="io.debezium.time.Interval", version=1)

_LONG_MAX: Final = 2**63 - 1
_MICROS_PER_DAY: Final = 86_400_000_000
_MICROS_PER_MONTH: Final = 2_629_800_000_000  # 365.25 / 12 days
_INTERVAL: Final = re.compile(
    rb"(?:([+-]?\d+) years? ?)?(?:([+-]?\d+) mons? ?)?(?:([+-]?\d+) days? ?)?"
    rb"(?:([+-]?)(\d+):(\d\d):(\d\d)(?:\.(\d{1,6}))?)?"
)
_INFINITE: Final = (b"infinity", b"-infinity")


class Parts(NamedTuple):
    """The fields of an interval's text, each with its sign; `micros` are those of the seconds."""

    years: int
    months: int
    days: int
    hours: int
    minutes: int
    micros: int


def parts(text: bytes) -> Parts:
    """An interval's fields.

    Raises:
        ValueError: The text is no finite interval.
    """
    match = _INTERVAL.fullmatch(text)
    if match is None or not text:
        raise ValueError("text is not an interval")
    years, months, days, sign, hours, minutes, seconds, fraction = match.groups()
    factor = -1 if sign == b"-" else 1
    micros = int(seconds or 0) * 1_000_000 + int((fraction or b"").ljust(6, b"0"))
    return Parts(
        int(years or 0), int(months or 0), int(days or 0),
        factor * int(hours or 0), factor * int(minutes or 0), factor * micros,
    )  # fmt: skip


def _exact(text: bytes) -> int | None:
    if text in _INFINITE:
        return None
    found = parts(text)
    micros = (
        (found.years * 12 + found.months) * _MICROS_PER_MONTH
        + found.days * _MICROS_PER_DAY
        + (found.hours * 60 + found.minutes) * 60_000_000
        + found.micros
    )
    if not -_LONG_MAX - 1 <= micros <= _LONG_MAX:
        raise ValueError("interval is out of the range of microseconds in 64 bits")
    return micros


def _as_java(text: bytes) -> int:
    """Debezium's sum in double precision, clamped to a long."""
    if text in _INFINITE:
        return 0
    found = parts(text)
    seconds = int(found.micros / 1_000_000) + (abs(found.micros) % 1_000_000) * (-1 if found.micros < 0 else 1) / 1e6
    days = (found.years * 12 + found.months) * (365.25 / 12.0) + found.days
    total = (((days * 24 + found.hours) * 60) + found.minutes) * 60 + seconds
    return max(-_LONG_MAX - 1, min(_LONG_MAX, int(total * 1e6)))


def iso(text: bytes) -> str:
    """`P1Y2M3DT4H5M6.789S`, always with all parts.

    Raises:
        ValueError: The text is no finite interval.
    """
    found = parts(text)
    whole, fraction = divmod(abs(found.micros), 1_000_000)
    sign = "-" if found.micros < 0 else ""
    seconds = f"{sign}{whole}.{fraction:06d}".rstrip("0") if fraction else f"{sign}{whole}"
    return f"P{found.years}Y{found.months}M{found.days}DT{found.hours}H{found.minutes}M{seconds}S"


ZERO: Final = "P0Y0M0DT0H0M0S"


def resolve(modes: ValueModes) -> Codec:
    """The codec of interval."""
    if modes.interval == "string":
        infinite = ZERO if modes.strict else None

        def to_text(text: bytes) -> str | None:
            return infinite if text in _INFINITE else iso(text)

        def text_json(text: bytes) -> bytes:
            value = to_text(text)
            return b"null" if value is None else b'"' + value.encode() + b'"'

        return Codec(TEXT, text_json, to_text, filler=ZERO)
    to_value = _as_java if modes.strict else _exact

    def to_json(text: bytes) -> bytes:
        value = to_value(text)
        return b"null" if value is None else b"%d" % value

    return Codec(DURATION, to_json, to_value, filler=0)
