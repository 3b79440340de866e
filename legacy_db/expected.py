"""What Postgres itself says a column's values should look like in the topic.

For each column the database renders the value in the form that the pipeline's options promise, by SQL and without our
codecs: an independent judge. Where the bytes agree nothing more is done. Where they do not, both sides are brought to
one canonical form; a form that hides something is a rule, and rules are named and counted. Types without such an SQL
are rendered by the pipeline's own codec, which is a weaker check and is said so.
"""

from __future__ import annotations

import base64
import json
import math
import struct
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Any, Final

from cdc.model.relation import Column, PgType
from cdc.model.schema import DATE, DECIMAL, TIME, TIMESTAMP
from cdc.values.builtin import BUILTIN
from cdc.values.registry import Codec, ValueModes

Form = Callable[[Any], Any]

AS_NULL: Final = "NaN and infinity are published as null"
TRAILING_ZEROS: Final = "trailing zeros of numeric are ignored"
DOUBLE: Final = "numeric is compared as a double"
CUT: Final = "digits beyond the mode's precision are cut"
DEFAULT_FOR_NULL: Final = "NULL is published as the column's default"

FOREVER: Final = 2**63 - 1
"""Stands for infinity where a time is a number; the database renders it so, since JSON has none."""


@dataclass(frozen=True, slots=True)
class Expectation:
    """How one column is compared.

    Attributes:
        sql: The database's expression; `{}` is the quoted column.
        topic: The topic's JSON value -> canonical form.
        legacy: The database's JSON value -> canonical form.
        rule: What the canonical form hides; "" where it hides nothing.
        hides: Whether the rule was needed for this value of the database.
        special: Values of the database that have no form of their own in the topic.
        own_codec: Whether the pipeline's own codec stands in for the database.
        literal: Whether equal values always have equal bytes on both sides.
        alike: Whether they mostly have.
        number: Whether the expression is an integer, whose text is its JSON.
    """

    sql: str
    topic: Form = lambda value: value
    legacy: Form = lambda value: value
    rule: str = ""
    hides: Callable[[Any], bool] = lambda _value: True
    special: frozenset[Any] = frozenset()
    own_codec: bool = False
    literal: bool = False
    alike: bool = False
    number: bool = False

    def same(self, topic: Any, legacy: Any) -> str | None:
        """Compare one value.

        Returns:
            "" when they are equal, the rule under which they are, None when they differ.
        """
        if legacy is None or topic is None:
            if legacy is None and topic is None:
                return ""
            return AS_NULL if topic is None and legacy in self.special else None
        if legacy in self.special and self.topic(topic) in _INFINITE_NUMBERS:
            return ""
        try:
            if self.topic(topic) != self.legacy(legacy):
                return None
        except (ValueError, TypeError, ArithmeticError, KeyError, AttributeError):
            return None  # not a value of that type at all
        return self.rule if self.rule and self.hides(legacy) else ""


# The driver's numbers for infinite dates and timestamps, which strict mode publishes, in each unit.
_INFINITE_NUMBERS: Final = frozenset(
    {
        9223372036825200, -9223372036832400, 9223372036825200000, -9223372036832400000, FOREVER, -FOREVER - 1,
        -2147472692, -2147472691, -622191234, -625821272,
    }
)  # fmt: skip
_LITERALS: Final = frozenset({"bool", "int2", "int4", "int8", "text", "varchar", "bpchar", "name", "char", "citext", "uuid", "xml", "ltree", "tsvector",
                           "inet", "cidr", "macaddr", "macaddr8", "isbn", "int4range", "int8range", "numrange",
                           "tsrange", "tstzrange", "daterange"})  # fmt: skip
_PLAIN_ARRAYS: Final = frozenset({"int2", "int4", "int8", "bool", "text", "varchar", "uuid"})
_SPECIAL_NUMBERS: Final = frozenset({"NaN", "Infinity", "-Infinity"})
_DECIMAL_WORDS: Final = {"NAN": "NaN", "POSITIVE_INFINITY": "Infinity", "NEGATIVE_INFINITY": "-Infinity"}

LITERAL: Final = Expectation("{}", literal=True)
INTEGER: Final = Expectation("{}", literal=True, number=True)


def base_type(column: Column, types: Mapping[int, PgType]) -> tuple[PgType, int]:
    """The type behind all domains, and the modifier that holds for it."""
    pg_type = types.get(column.type_oid) or BUILTIN[column.type_oid]
    typmod = column.typmod
    while pg_type.kind == "d":
        typmod = pg_type.base_typmod if pg_type.base_typmod >= 0 else typmod
        pg_type = types.get(pg_type.base) or BUILTIN[pg_type.base]
    return pg_type, typmod


def expectation(column: Column, codec: Codec, types: Mapping[int, PgType], modes: ValueModes) -> Expectation:
    """How values of a column are compared.

    Args:
        column: The column.
        codec: The pipeline's, whose schema is the promise.
        types: The catalogue's types by OID.
        modes: How the pipeline's values look.
    """
    pg_type, typmod = base_type(column, types)
    return _expectation(pg_type, typmod, codec, types, modes)


def target_expectation(
    type_name: str, column: Column, codec: Codec, types: Mapping[int, PgType], modes: ValueModes
) -> Expectation:  # fmt: skip
    """How values of a column of the new service's database are compared, whose type may be another one.

    Args:
        type_name: The target column's type as SQL.
        column: The legacy column that it came from.
        codec: The pipeline's.
        types: The legacy catalogue's types by OID.
        modes: How the pipeline's values look.
    """
    pg_type, typmod = base_type(column, types)
    if type_name.startswith("numeric") and pg_type.name == "money":
        return _numeric("numeric", codec, modes)
    if type_name == "bigint" and pg_type.name == "oid":
        return LITERAL
    if type_name == "text" and pg_type.name not in ("text", "json", "jsonb"):
        # Kept as the topic's own text.
        if codec.schema.type.value == "string":
            return LITERAL
        return Expectation("{}", legacy=json.loads)
    return _expectation(pg_type, typmod, codec, types, modes)


def _expectation(
    pg_type: PgType, typmod: int, codec: Codec, types: Mapping[int, PgType], modes: ValueModes
) -> Expectation:  # fmt: skip
    name = pg_type.name
    found: Expectation | None = None
    if name in ("int2", "int4", "int8"):
        found = INTEGER
    elif pg_type.kind == "e" or (name in _LITERALS and not (modes.strict and name == "name")):
        found = LITERAL
    elif name == "oid":
        found = Expectation("{}::int8", literal=True, number=True)
    elif name in ("json", "jsonb"):
        found = Expectation("{}::text", literal=True)
    elif name in ("float4", "float8"):
        form = _single if name == "float4" else _double
        # A JSON number has no -0 that a reader would keep.
        found = Expectation("case when {} = 0 then to_json({}::text) else to_json({}) end", form, form, alike=True)
    elif name in ("numeric", "money"):
        found = _numeric(name, codec, modes)
    elif name in _TEMPORAL:
        found = _TEMPORAL[name](codec, typmod)
    elif name == "bytea":
        found = _bytea(modes)
    elif name in ("bit", "varbit"):
        found = _bits(codec)
    elif pg_type.category == "A":
        element = types.get(pg_type.element) or BUILTIN.get(pg_type.element)
        if element is not None and element.name in _PLAIN_ARRAYS and not modes.strict and codec.exact:
            found = Expectation("{}", alike=True)
    return found if found is not None else _own(codec)


def _own(codec: Codec) -> Expectation:
    """The value as Postgres writes it, through the pipeline's own codec."""

    def legacy(text: str) -> Any:
        return json.loads(codec.to_json(text.encode()))

    return Expectation(
        "case when {} is not null then format('%s', {}) end", legacy=legacy, own_codec=True,
        special=frozenset({"infinity", "-infinity"}),
    )  # fmt: skip


# -- numbers -------------------------------------------------------------------------------------------------------------


def _double(value: Any) -> Any:
    number = float(value)
    # A NaN differs from itself and -0 equals 0: neither may decide here.
    return "NaN" if math.isnan(number) else (number, math.copysign(1.0, number))


def _single(value: Any) -> Any:
    number = float(value)
    if math.isnan(number) or math.isinf(number):
        return str(number)
    return struct.pack("<f", number)


def unscaled(text: str) -> int:
    """The integer of a Connect Decimal: base64 of big-endian two's-complement bytes."""
    return int.from_bytes(base64.b64decode(text, validate=True), "big", signed=True)


def _numeric(name: str, codec: Codec, modes: ValueModes) -> Expectation:
    sql = "{}::text" if name == "numeric" else "{}::numeric::text"
    schema = codec.schema
    if schema.name == DECIMAL and schema.parameters:
        scale = int(schema.parameters["scale"])
        if modes.decimal_numeric:
            return Expectation(sql, Decimal, Decimal, special=_SPECIAL_NUMBERS)
        return Expectation(
            sql, lambda text: Decimal(unscaled(text)).scaleb(-scale), Decimal, special=_SPECIAL_NUMBERS,
            rule=CUT if name == "money" and scale < 2 else "",
        )  # fmt: skip
    if schema.name == "io.debezium.data.VariableScaleDecimal":
        return Expectation(
            sql, lambda value: _words(value) or Decimal(unscaled(value["value"])).scaleb(-value["scale"]),
            lambda text: text if text in _SPECIAL_NUMBERS else Decimal(text), TRAILING_ZEROS,
            hides=lambda text: "." in text and text.endswith("0"), special=_SPECIAL_NUMBERS,
        )  # fmt: skip
    if modes.decimal == "double":
        return Expectation(sql, _double, _double, DOUBLE)
    if name == "money":
        return Expectation(sql, Decimal, Decimal)
    return Expectation(sql, lambda text: _DECIMAL_WORDS.get(text, text), literal=not modes.strict, alike=True)


def _words(value: Any) -> str | None:
    return _DECIMAL_WORDS.get(value, value) if isinstance(value, str) else None


# -- dates and times -----------------------------------------------------------------------------------------------------

# Seconds as a double are exact to the microsecond until 2038, and three times as quick as numeric.
_MICROS: Final = (
    "case when {0} >= '1910-01-01' and {0} < '2038-01-01' then (date_part('epoch', {0}) * 1e6)::int8 "
    "when isfinite({0}) then (extract(epoch from {0}) * 1000000)::int8 "
    f"when {{0}} > '2000-01-01' then {FOREVER} else -{FOREVER} - 1 end"
).replace("{0}", "{}")
_FOREVER: Final = frozenset({FOREVER, -FOREVER - 1})
_UNITS: Final = {
    "io.debezium.time.Timestamp": -1000, "io.debezium.time.MicroTimestamp": 1, "io.debezium.time.NanoTimestamp": 1000,
    TIMESTAMP: -1000, "io.debezium.time.Time": -1000, "io.debezium.time.MicroTime": 1,
    "io.debezium.time.NanoTime": 1000, TIME: -1000,
}  # fmt: skip


def _in_unit(sql: str, unit: int, *, special: frozenset[Any] = frozenset()) -> Expectation:
    """Microseconds of the database against a number of another unit: factor, or negative divisor."""
    if unit == 1:
        return Expectation(sql, special=special, literal=True, number=True)
    if unit > 0:
        return Expectation(sql, legacy=lambda micros: micros * unit, special=special, number=True)
    return Expectation(
        sql,
        legacy=lambda micros: micros // -unit,
        rule=CUT,
        hides=lambda micros: bool(micros % -unit),
        special=special,
        number=True,
    )


def _timestamp(codec: Codec, _typmod: int) -> Expectation | None:
    unit = _UNITS.get(codec.schema.name or "")
    return None if unit is None else _in_unit(_MICROS, unit, special=_FOREVER)


def _time(codec: Codec, _typmod: int) -> Expectation | None:
    unit = _UNITS.get(codec.schema.name or "")
    return None if unit is None else _in_unit("(date_part('epoch', {}) * 1e6)::int8", unit)


def _date(codec: Codec, _typmod: int) -> Expectation | None:
    if codec.schema.name not in ("io.debezium.time.Date", DATE):
        return None
    sql = f"case when isfinite({{}}) then {{}} - date '1970-01-01' when {{}} > '2000-01-01' then {FOREVER} else -{FOREVER} - 1 end"
    return Expectation(sql, special=_FOREVER, literal=True, number=True)


def _timestamptz(codec: Codec, typmod: int) -> Expectation | None:
    formats = {-1: ".US", 6: ".US", 3: ".MS", 0: ""}
    if typmod not in formats:
        return None
    sql = (
        "case when {} >= '0001-01-01+00' and {} < '10000-01-01+00' "
        f'then to_char({{}}, \'YYYY-MM-DD"T"HH24:MI:SS{formats[typmod]}"Z"\') else {{}}::text end'
    )

    def legacy(text: str) -> Any:
        # Outside of the four-digit years the database's own spelling goes through our codec.
        return text if text.endswith("Z") else json.loads(codec.to_json(text.encode()))

    return Expectation(sql, legacy=legacy, literal=True)


def _interval(codec: Codec, _typmod: int) -> Expectation | None:
    if codec.schema.name != "io.debezium.time.MicroDuration":
        return None
    # Debezium's month has 365.25 / 12 days.
    sql = (
        "case when isfinite({}) then (date_part('year', {}) * 12 + date_part('month', {}))::int8 * 2629800000000 "
        "+ date_part('day', {})::int8 * 86400000000 "
        "+ (date_part('hour', {})::int8 * 3600 + date_part('minute', {})::int8 * 60) * 1000000 "
        "+ date_part('microseconds', {})::int8 end"
    )
    return Expectation(sql, literal=True)


_TEMPORAL: Final[dict[str, Callable[[Codec, int], Expectation | None]]] = {
    "date": _date, "time": _time, "timestamp": _timestamp, "timestamptz": _timestamptz, "interval": _interval,
}  # fmt: skip


# -- bytes ---------------------------------------------------------------------------------------------------------------


def _bytea(modes: ValueModes) -> Expectation:
    if modes.binary == "hex":
        return Expectation("encode({}, 'hex')", literal=True)
    decode: Form = base64.urlsafe_b64decode if modes.binary == "base64-url-safe" else base64.b64decode
    return Expectation("encode({}, 'hex')", decode, bytes.fromhex)


def _bits(codec: Codec) -> Expectation:
    if codec.schema.name != "io.debezium.data.Bits":
        return Expectation("({}::text = '1')", literal=True)

    def legacy(text: str) -> bytes:
        number = int(text, 2) if text else 0
        return number.to_bytes((number.bit_length() + 7) // 8, "little")

    return Expectation("{}::text", base64.b64decode, legacy)
