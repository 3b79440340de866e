"""Arrays as Debezium has them (strict): its stream reads them through the JDBC driver, not as it reads single values.

The driver's java.sql classes keep milliseconds of a time, whole seconds of a timetz, and Julian dates before
1582-10-15; it refuses NaN, and an array within an array becomes null or worse.
"""

from __future__ import annotations

import hashlib
import uuid
from collections.abc import Callable
from dataclasses import replace
from typing import Any, Final

from cdc.model.schema import JavaDate, Schema, Type
from cdc.values import dates, times, timestamps, zoned
from cdc.values.arrays import parse_array
from cdc.values.calendar import civil_from_days
from cdc.values.codec import Codec, ValueModes, placeholder_text

# Element types whose arrays have elements that may be null; Debezium builds the others' schemas another way.
_OPTIONAL: Final = frozenset(
    {
        "int2", "int4", "int8", "oid", "char", "varchar", "text", "bpchar", "inet", "cidr", "macaddr", "macaddr8",
        "tsrange", "tstzrange", "daterange", "int4range", "numrange", "int8range", "numeric", "float4", "float8", "bool",
        "date", "uuid", "json", "jsonb", "time", "timetz", "timestamp", "timestamptz", "bytea", "geometry", "geography",
        "citext", "hstore", "ltree",
    }
)  # fmt: skip
NEVER: Final = frozenset({"money", "name", "interval", "varbit", "xml", "point", "refcursor"})
"""Element types whose arrays Debezium leaves out, whatever its options say."""

_CUTOVER: Final = b"1582-10-15"
_LAST_JULIAN: Final = b"1582-10-04"
_NOT_FINITE: Final = frozenset({b"NaN", b"Infinity", b"-Infinity"})
_MILLIS_PER_DAY: Final = 86_400_000


def _julian_days(year: int, month: int, day: int) -> int:
    """Days since 1970-01-01 of a date of the Julian calendar."""
    year -= month <= 2
    return 1461 * year // 4 + (153 * ((month + 9) % 12) + 2) // 5 + day - 719_471


def _fields(date: bytes) -> tuple[int, int, int]:
    year, month, day = date.split(b"-")
    return int(year), int(month), int(day)


def _date_text(days: int) -> tuple[bytes, bytes]:
    """A date as Postgres writes it, and its era."""
    year, month, day = civil_from_days(days)
    era, year = (b" BC", 1 - year) if year <= 0 else (b"", year)
    return b"%04d-%02d-%02d" % (year, month, day), era


def _field_date(date: bytes) -> bytes:
    """A date read back field by field: only one that the calendar reform left out comes out as another."""
    if len(date) == 10 and _LAST_JULIAN < date < _CUTOVER:
        return _date_text(_julian_days(*_fields(date)))[0]
    return date


def _without_era(text: bytes) -> bytes:
    return text.removesuffix(b" BC")


def _date(text: bytes) -> bytes:
    return _field_date(_without_era(text))


def _timestamp(text: bytes) -> bytes:
    """A timestamp whose date, if before the reform, is taken for a Julian one."""
    bare = _without_era(text)
    date, _, clock = bare.partition(b" ")
    if bare is text and (len(date) > 10 or date >= _CUTOVER):
        return text
    year, month, day = _fields(date)
    shifted, era = _date_text(_julian_days(year if bare is text else 1 - year, month, day))
    return shifted + b" " + clock + era


def _timestamptz(text: bytes) -> bytes:
    date, _, clock = _without_era(text).partition(b" ")
    return _field_date(date) + b" " + clock


def _time(text: bytes) -> bytes:
    return b"00:00:00" if text == b"24:00:00" else text[:12]


def _timetz(text: bytes) -> bytes:
    return text[:8] + text[8:].lstrip(b".0123456789")


def _rewritten(codec: Codec, rewrite: Callable[[bytes], bytes], infinite: dict[bytes, tuple[Any, bytes]]) -> Codec:
    """The codec after a rewriting of the text; what it cannot express is null.

    Args:
        codec: The codec of a single value.
        rewrite: The server's text -> a text that the codec reads as Debezium reads the first.
        infinite: Texts -> value and JSON fragment.
    """

    def to_value(text: bytes) -> Any:
        if text in infinite:
            return infinite[text][0]
        try:
            return codec.to_value(rewrite(text))
        except ValueError:
            return None

    def to_json(text: bytes) -> bytes:
        if text in infinite:
            return infinite[text][1]
        try:
            return codec.to_json(rewrite(text))
        except ValueError:
            return b"null"

    return replace(codec, to_value=to_value, to_json=to_json)


def _infinite_dates(schema: Schema) -> dict[bytes, tuple[Any, bytes]]:
    if schema is dates.ISO:
        texts = {b"infinity": "+292278994-08-16Z", b"-infinity": "+292269055-12-02Z"}
        return {name: (text, b'"%b"' % text.encode()) for name, text in texts.items()}
    numbers = {b"infinity": -622191234, b"-infinity": -625821272}
    wrap = (lambda days: JavaDate(days * _MILLIS_PER_DAY)) if schema is dates.CONNECT else int
    return {name: (wrap(days), b"%d" % days) for name, days in numbers.items()}


def temporal(name: str, typmod: int, modes: ValueModes) -> Codec | None:
    """The elements' codec of an array of dates or times; None for other types."""
    match name:
        case "date":
            codec = dates.resolve(modes)
            return _rewritten(codec, _date, _infinite_dates(codec.schema))
        case "time":
            return _rewritten(times.resolve(typmod, modes), _time, {})
        case "timetz":
            return _rewritten(zoned.TIMETZ, _timetz, {})
        case "timestamp":
            codec = timestamps.resolve(typmod, modes)
            infinite = {text: (codec.to_value(text), codec.to_json(text)) for text in (b"infinity", b"-infinity")}
            return _rewritten(codec, _timestamp, infinite)
        case "timestamptz":
            codec = zoned.timestamptz(typmod, modes)
            digits = "" if typmod == 0 else "." + "0" * (6 if typmod < 0 else typmod)
            texts = {b"infinity": "infinity", b"-infinity": f"+292269055-12-02T23:00:00{digits}Z"}
            return _rewritten(
                codec, _timestamptz, {name: (text, b'"%b"' % text.encode()) for name, text in texts.items()}
            )
    return None


def unavailable(name: str, element: Codec, modes: ValueModes) -> list[Any] | None:
    """What Debezium publishes for an unchanged TOAST value of an array; it knows some element types only."""
    placeholder = modes.unavailable
    match name:
        case "text" | "varchar" | "bpchar" | "json" | "jsonb":
            return [placeholder_text(modes)]
        case "bytea" if element.schema.type is Type.BYTES:
            return [placeholder]
        case "int4" | "int8":
            return list(placeholder)
        case "date" if element.schema is dates.DAYS:
            return list(placeholder)
        case "uuid":
            return [uuid_marker(placeholder)]
    return None


def uuid_marker(placeholder: bytes) -> str:
    """Java's `UUID.nameUUIDFromBytes`: version 3 without a namespace."""
    digest = bytearray(hashlib.md5(placeholder, usedforsecurity=False).digest())
    digest[6] = digest[6] & 0x0F | 0x30
    digest[8] = digest[8] & 0x3F | 0x80
    return str(uuid.UUID(bytes=bytes(digest)))


def array(name: str, element: Codec, marker: list[Any] | None, delimiter: bytes) -> Codec:
    """The codec of an array.

    Args:
        name: The element type's.
        element: The codec of the elements.
        marker: What stands for an unchanged TOAST value.
        delimiter: The element type's `typdelim`.
    """
    items_schema = element.schema.as_optional() if name in _OPTIONAL else element.schema
    schema = Schema(Type.ARRAY, value_schema=items_schema)
    element_json, element_value = element.to_json, element.values_of(items_schema)

    def parse(text: bytes) -> list[Any] | None:
        items = parse_array(text, delimiter)
        if name == "numeric" and any(item in _NOT_FINITE for item in items if isinstance(item, bytes)):
            return None
        if None not in items and not any(isinstance(item, list) for item in items):
            return items
        if name == "ltree" or not items_schema.optional:
            return None  # a null where the schema allows none: Debezium gives up the whole value, with a warning
        return [item if isinstance(item, bytes) else None for item in items]

    def to_value(text: bytes) -> list[Any] | None:
        items = parse(text)
        return None if items is None else [None if item is None else element_value(item) for item in items]

    def to_json(text: bytes) -> bytes:
        items = parse(text)
        if items is None:
            return b"null"
        return b"[" + b",".join([b"null" if item is None else element_json(item) for item in items]) + b"]"

    return Codec(schema, to_json, to_value, unavailable=marker, filler=[])


def space_separated(element: Codec) -> Codec:
    """The codec of int2vector and oidvector: Debezium takes their text for an array's and finds nothing in it."""
    return Codec(Schema(Type.ARRAY, value_schema=element.schema), lambda _text: b"[]", lambda _text: [], filler=[])
