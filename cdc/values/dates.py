"""date, by `time.precision.mode`."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from cdc.model.schema import DATE, JavaDate, Schema, Type
from cdc.values.calendar import days, iso_date
from cdc.values.codec import Codec, ValueModes

DAYS: Final = Schema(Type.INT32, name="io.debezium.time.Date", version=1)
ISO: Final = Schema(Type.STRING, name="io.debezium.time.IsoDate", version=1)
CONNECT: Final = Schema(Type.INT32, name=DATE, version=1)

_MILLIS_PER_DAY: Final = 86_400_000
_CACHED: Final = 8192
# What the driver's LocalDate limits become as days in an int32 (stream).
_STRICT_INFINITY: Final = {b"infinity": -2147472692, b"-infinity": -2147472691}
_INFINITY: Final = {b"infinity": None, b"-infinity": None}


class _Fragments(dict[bytes, bytes]):
    """Date text -> JSON fragment; dates repeat from row to row."""

    def __init__(self, compute: Callable[[bytes], bytes]) -> None:
        super().__init__()
        self._compute = compute

    def __missing__(self, text: bytes) -> bytes:
        if len(self) >= _CACHED:
            self.clear()
        fragment = self[text] = self._compute(text)
        return fragment


def resolve(modes: ValueModes) -> Codec:
    """The codec of date."""
    infinity: dict[bytes, Any] = {**(_STRICT_INFINITY if modes.strict else _INFINITY)}

    def number(text: bytes) -> int | None:
        return infinity[text] if text in infinity else days(text)

    if modes.time_precision == "isostring":
        return _codec(ISO, number, lambda day: iso_date(day) + "Z", lambda day: f'"{iso_date(day)}Z"', "1970-01-01Z")
    if modes.time_precision == "connect":
        return _codec(CONNECT, number, lambda day: JavaDate(day * _MILLIS_PER_DAY), str, JavaDate(0))
    return _codec(DAYS, number, int, str, 0)


def _codec(
    schema: Schema,
    number: Callable[[bytes], int | None],
    value_of: Callable[[int], Any],
    json_of: Callable[[int], str],
    filler: Any,
) -> Codec:
    def to_value(text: bytes) -> Any:
        day = number(text)
        return None if day is None else value_of(day)

    def fragment(text: bytes) -> bytes:
        day = number(text)
        return b"null" if day is None else json_of(day).encode()

    return Codec(schema, _Fragments(fragment).__getitem__, to_value, filler=filler)
