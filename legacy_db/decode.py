"""From the topic's JSON values back to Postgres text: what a projection writes, and what the way back loses."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Any, Final

from cdc.model.relation import Column, PgType
from cdc.model.schema import DATE, DECIMAL, TIME, TIMESTAMP, Schema
from cdc.values.calendar import MICROS_PER_DAY, civil_from_days
from cdc.values.registry import Codec, ValueModes, resolve
from legacy_db.expected import base_type, unscaled

Decode = Callable[[Any], str]

_WORDS: Final = {"NAN": "NaN", "POSITIVE_INFINITY": "Infinity", "NEGATIVE_INFINITY": "-Infinity"}
_INFINITE: Final = {
    9223372036825200000: "infinity", -9223372036832400000: "-infinity", 9223372036825200: "infinity",
    -9223372036832400: "-infinity", 2**63 - 1: "infinity", -(2**63): "-infinity",
    -2147472692: "infinity", -2147472691: "-infinity",
}  # fmt: skip
# Types of the server itself: every Postgres has them, so that the target's column has the legacy's type.
_BUILT_IN: Final = frozenset({
    "bool", "int2", "int4", "int8", "float4", "float8", "numeric", "text", "varchar", "bpchar", "name", "char", "uuid",
    "json", "jsonb", "xml", "bytea", "bit", "varbit", "date", "time", "timetz", "timestamp", "timestamptz", "interval",
    "inet", "cidr", "macaddr", "macaddr8", "int4range", "int8range", "numrange", "tsrange", "tstzrange", "daterange",
    "tsvector", "point",
})  # fmt: skip


@dataclass(frozen=True, slots=True)
class Mapped:
    """How one column arrives in the target.

    Attributes:
        type: The target column's type as SQL.
        decode: JSON value -> Postgres text.
        notes: What changes without loss.
        losses: What is lost: a slice with any is refused unless that is accepted.
    """

    type: str
    decode: Decode
    notes: tuple[str, ...] = ()
    losses: tuple[str, ...] = ()


def map_column(
    column: Column, type_name: str, codec: Codec, types: Mapping[int, PgType], modes: ValueModes
) -> Mapped:  # fmt: skip
    """Map a column to the target.

    Args:
        column: The legacy column.
        type_name: `format_type` of it.
        codec: How its values are published.
        types: The catalogue's types by OID.
        modes: How values look.
    """
    pg_type, typmod = base_type(column, types)
    declared = types.get(column.type_oid)
    notes: list[str] = []
    losses: list[str] = []
    target = type_name
    if declared is not None and declared.kind == "d":
        notes.append(f"the domain {type_name} becomes its base type, its checks are not carried over")
        target = _bare(pg_type, typmod)
    if pg_type.name == "oid":
        return Mapped("bigint", str, ("oid becomes bigint: a large object's content is not carried over",))
    if pg_type.name == "money":
        target = f"numeric(19,{modes.money_fraction_digits})"
        notes.append("money becomes numeric")
        if modes.money_fraction_digits < 2:
            losses.append(f"money.fraction.digits={modes.money_fraction_digits} rounds")
    elif pg_type.category == "A":
        decode = _array(pg_type, typmod, codec, types, modes, losses)
        return Mapped(target if decode is not _as_json else "text", decode, tuple(notes), tuple(losses))
    elif pg_type.kind != "e" and pg_type.name not in _BUILT_IN:
        losses.append(f"{type_name} is no type of the server itself: its text is kept")
        return Mapped("text", _as_json, tuple(notes), tuple(losses))
    decode = _scalar(pg_type, typmod, codec, modes, losses)
    return Mapped(target, decode, tuple(notes), tuple(losses))


def _bare(pg_type: PgType, typmod: int) -> str:
    names = {"varchar": "character varying", "bpchar": "character", "numeric": "numeric"}
    if pg_type.name in ("varchar", "bpchar") and typmod > 4:
        return f"{names[pg_type.name]}({typmod - 4})"
    if pg_type.name == "numeric" and typmod >= 4:
        return f"numeric({(typmod - 4) >> 16},{(typmod - 4) & 0x7FF})"
    return pg_type.name


def _as_json(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def _scalar(pg_type: PgType, typmod: int, codec: Codec, modes: ValueModes, losses: list[str]) -> Decode:
    schema, name = codec.schema, pg_type.name
    if name == "bool" or (name in ("bit", "varbit") and schema.type.value == "boolean"):
        true, false = ("t", "f") if name == "bool" else ("1", "0")
        return lambda value: true if value else false
    if name in ("numeric", "money"):
        return _numeric(schema, name, modes, losses)
    if name in ("float4", "float8"):
        return lambda value: value if isinstance(value, str) else repr(float(value))
    if name == "bytea":
        return _bytea(modes)
    if name in ("bit", "varbit"):
        if name == "varbit":
            losses.append("a varbit's leading zeros are not published")
        return lambda value: _bits(value, typmod)
    if name == "interval" and schema.name == "io.debezium.time.MicroDuration":
        losses.append("interval.handling.mode=numeric turns months and days into microseconds")
        return lambda value: f"{value} microseconds"
    if name == "point":
        return lambda value: f"({value['x']!r},{value['y']!r})"
    temporal = _temporal(schema, name, typmod, losses)
    return temporal if temporal is not None else _as_json


def _numeric(schema: Schema, name: str, modes: ValueModes, losses: list[str]) -> Decode:
    if schema.name == DECIMAL and schema.parameters:
        scale = int(schema.parameters["scale"])
        if modes.decimal_numeric:
            losses.append("decimal.format=NUMERIC is read as a double")
            return str
        return lambda value: format(Decimal(unscaled(value)).scaleb(-scale), "f")
    if schema.name == "io.debezium.data.VariableScaleDecimal":
        return _variable_scale
    if modes.decimal == "double":
        losses.append(f"decimal.handling.mode=double rounds {name}")
        return lambda value: value if isinstance(value, str) else repr(float(value))
    return lambda value: str(_WORDS.get(value, value))


def _variable_scale(value: Any) -> str:
    if isinstance(value, str):
        return _WORDS.get(value, value)
    return format(Decimal(unscaled(value["value"])).scaleb(-value["scale"]), "f")


def _bytea(modes: ValueModes) -> Decode:
    if modes.binary == "hex":
        return lambda value: "\\x" + value
    decode = base64.urlsafe_b64decode if modes.binary == "base64-url-safe" else base64.b64decode
    return lambda value: "\\x" + decode(value).hex()


def _bits(value: str, length: int) -> str:
    number = int.from_bytes(base64.b64decode(value), "little")
    return format(number, f"0{max(length, 1)}b")


# -- dates and times -----------------------------------------------------------------------------------------------------


def pg_date(day: int) -> str:
    """A day since 1970-01-01 as Postgres reads it."""
    year, month, day_of_month = civil_from_days(day)
    era = " BC" if year <= 0 else ""
    return f"{1 - year if year <= 0 else year:04d}-{month:02d}-{day_of_month:02d}{era}"


def pg_clock(micros: int) -> str:
    """Microseconds since midnight as a time of day."""
    seconds, fraction = divmod(micros, 1_000_000)
    return f"{seconds // 3600:02d}:{seconds // 60 % 60:02d}:{seconds % 60:02d}.{fraction:06d}"


def pg_timestamp(micros: int) -> str:
    """Microseconds since 1970-01-01 as a timestamp."""
    day, rest = divmod(micros, MICROS_PER_DAY)
    date = pg_date(day)
    if date.endswith(" BC"):
        return f"{date[:-3]} {pg_clock(rest)} BC"
    return f"{date} {pg_clock(rest)}"


_MICROS: Final = {
    "io.debezium.time.Timestamp": (1000, 1), "io.debezium.time.MicroTimestamp": (1, 1),
    "io.debezium.time.NanoTimestamp": (1, 1000), TIMESTAMP: (1000, 1), "io.debezium.time.Time": (1000, 1),
    "io.debezium.time.MicroTime": (1, 1), "io.debezium.time.NanoTime": (1, 1000), TIME: (1000, 1),
}  # fmt: skip


def _temporal(schema: Schema, name: str, typmod: int, losses: list[str]) -> Decode | None:
    if schema.name in ("io.debezium.time.Date", DATE):
        return lambda value: _INFINITE.get(value) or pg_date(value)
    if name in ("time", "timestamp") and schema.name in _MICROS:
        times, divisor = _MICROS[schema.name]
        if times == 1000 and not 0 <= typmod <= 3:
            losses.append(f"{schema.name} keeps milliseconds only")
        write = pg_timestamp if name == "timestamp" else pg_clock
        return lambda value: _INFINITE.get(value) or write(value * times // divisor)
    if name == "timetz" and schema.name == "io.debezium.time.ZonedTime":
        losses.append("timetz is published in UTC: its own zone is lost")
        return _as_json
    if name in ("timestamptz", "timestamp", "date") and schema.type.value == "string":
        return _iso
    return None


def _iso(value: str) -> str:
    """An ISO text as Postgres reads it: years before Christ have an era there, not a sign."""
    text = value.removeprefix("+")
    if not text.startswith("-") or text == "-infinity":
        return text
    year, rest = text[1:].split("-", 1)
    return f"{int(year) + 1:04d}-{rest} BC"


# -- arrays --------------------------------------------------------------------------------------------------------------


def _array(
    pg_type: PgType, typmod: int, codec: Codec, types: Mapping[int, PgType], modes: ValueModes, losses: list[str]
) -> Decode:  # fmt: skip
    element = resolve(pg_type.element, typmod, types, modes)
    if element is None or codec.schema.type.value != "array" or modes.strict:
        losses.append("this array is not published whole")
        return _as_json
    inner, inner_typmod = base_type(Column("", pg_type.element, typmod), types)
    if inner.kind != "e" and inner.name not in _BUILT_IN:
        losses.append("its elements are of no type of the server itself: its text is kept")
        return _as_json
    decode = _scalar(inner, inner_typmod, element, modes, losses)

    def write(items: list[Any]) -> str:
        parts = []
        for item in items:
            if item is None:
                parts.append("NULL")
            elif isinstance(item, list):
                parts.append(write(item))
            else:
                text = decode(item).replace("\\", "\\\\").replace('"', '\\"')
                parts.append(f'"{text}"')
        return "{" + ",".join(parts) + "}"

    return write
