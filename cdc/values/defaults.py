"""The default of a column's schema, from the SQL expression that `pg_get_expr` gives.

Debezium carries literals and evaluates nothing: a function call becomes a zero of the type, the first literal of
another expression stands for the whole, and what still does not fit gives no default. Only types that it has a rule
for have one: no arrays, domains, ranges, and no type of an extension.
"""

from __future__ import annotations

import re
from typing import Any, Final

from cdc.model.relation import PgType
from cdc.model.schema import JavaDate, Struct, Type
from cdc.values import dates, times, timestamps
from cdc.values.codec import Codec, ValueModes
from cdc.values.numeric import at_scale, declared_scale, parse_decimal, unscaled


class _NoDefault:
    def __repr__(self) -> str:
        return "NO_DEFAULT"


NO_DEFAULT: Final = _NoDefault()
"""The column's schema carries no default; distinct from a default of null."""

_LITERAL: Final = re.compile(r"'([^']*(?:''[^']*)*)'")
_CALL: Final = re.compile(r"[(]?[A-Za-z0-9_.]+\(.*\)")
_CLOCKS: Final = frozenset({"current_timestamp", "current_time", "current_date", "localtime", "localtimestamp"})
_CAST_TARGET: Final = re.compile(r'(?:(?:"((?:[^"]|"")*)"|([^".]+))\.)?(?:"((?:[^"]|"")*)"|([^".]+))')
_UUID: Final = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}")

# Type -> what stands for a function call, as text of the type.
_ZEROS: Final = {
    "bit": "0", "varbit": "0", "bool": "false", "bpchar": "", "varchar": "", "text": "", "numeric": "0", "float4": "0",
    "float8": "0", "int2": "0", "int4": "0", "int8": "0", "json": "{}", "jsonb": "{}", "xml": "",
    "uuid": "00000000-0000-0000-0000-000000000000", "date": "1970-01-01", "time": "00:00:00",
    "timestamp": "1970-01-01 00:00:00", "timestamptz": "1970-01-01 00:00:00+00", "interval": "00:00:00",
}  # fmt: skip
_TRIMMED: Final = frozenset(_ZEROS) - {"bpchar", "varchar", "text", "json", "jsonb", "xml"}
_INFINITE: Final = ("infinity", "-infinity")
# java.time's LocalDate.MAX and MIN as days cut to 32 bits.
_DATE_LIMITS: Final = {"infinity": 169560311, "-infinity": -170999002}
_DATE_LIMIT_TEXTS: Final = {"infinity": "+999999999-12-31Z", "-infinity": "-999999999-01-01Z"}
_TIMESTAMP_LIMITS: Final = {"infinity": -9223372036853775810, "-infinity": -(2**63)}
_TIMESTAMP_LIMIT_TEXTS: Final = {
    "infinity": "+999999999-12-31T23:59:59.999999999Z", "-infinity": "-999999999-01-01T00:00:00Z",
}  # fmt: skip
_LAST_NANO: Final = 86_399_999_999_999


def default_value(expression: str | None, codec: Codec, pg_type: PgType, modes: ValueModes, typmod: int = -1) -> Any:
    """The Connect value of a column's default.

    Args:
        expression: `pg_get_expr(adbin, adrelid)`, None for a column without a default.
        codec: The column's codec.
        pg_type: The column's own type, a domain unresolved.
        modes: How values look.
        typmod: The column's type modifier, -1 for none.

    Returns:
        `NO_DEFAULT` where Debezium's schema has none.
    """
    if expression is None:
        return NO_DEFAULT
    if pg_type.kind == "e":
        return _enum_label(expression, pg_type)
    if pg_type.kind != "b" or pg_type.name not in _ZEROS:
        return NO_DEFAULT
    text = _text(expression.strip() if pg_type.name in _TRIMMED else expression, pg_type.name)
    if text is None:
        return NO_DEFAULT
    try:
        value = _value(text, codec, pg_type.name, modes, typmod)
    except ValueError:
        return NO_DEFAULT
    # A Struct as a default breaks Kafka's schema builder (KAFKA-12694).
    return NO_DEFAULT if value is None or isinstance(value, Struct) else value


def _text(expression: str, name: str) -> str | None:
    """The literal in an expression, or the zero of a function call; None for an SQL null."""
    if _CALL.match(expression) or expression.lower() in _CLOCKS:
        return _ZEROS[name]
    literal = _LITERAL.search(expression)
    if literal is not None:
        return literal[1].replace("''", "'")
    return None if expression.startswith("NULL::") else expression


def _value(text: str, codec: Codec, name: str, modes: ValueModes, typmod: int) -> Any:
    match name:
        case "bool":
            return text.lower() == "true"
        case "numeric":
            return _numeric(text, codec, modes, typmod)
        case "uuid" if _UUID.fullmatch(text) is None:
            return None
        case "timestamp" | "timestamptz" | "date" | "time" if modes.strict:
            return _as_java(text, codec, name)
    return codec.to_value(text.encode())


def _numeric(text: str, codec: Codec, modes: ValueModes, typmod: int) -> Any:
    """A number at the column's scale; one with digits beyond it is no default, in any mode."""
    number = parse_decimal(text.encode())
    scale = declared_scale(typmod, modes)
    if scale is None or codec.schema.type is Type.STRUCT:
        return codec.to_value(text.encode())
    scaled = at_scale(unscaled(text.encode(), scale), scale)
    match codec.schema.type:
        case Type.FLOAT64:
            return float(number)
        case Type.STRING:
            return f"{scaled:f}"
    return scaled


def _as_java(text: str, codec: Codec, name: str) -> Any:
    """Debezium reads a default's infinity and 24:00 as the limits of java.time, not as the stream's values."""
    schema = codec.schema
    if name == "time" and text == "24:00:00":
        if schema is times.ISO:
            return "23:59:59.999999999Z"
        if schema in (times.MILLIS, times.CONNECT):
            millis = _LAST_NANO // 1_000_000
            return JavaDate(millis) if schema is times.CONNECT else millis
        return _LAST_NANO if schema is times.NANOS else _LAST_NANO // 1000
    if text not in _INFINITE or name == "time":
        return codec.to_value(text.encode())
    if name == "date":
        if schema is dates.ISO:
            return _DATE_LIMIT_TEXTS[text]
        days = _DATE_LIMITS[text]
        return JavaDate(days * 86_400_000) if schema is dates.CONNECT else days
    if schema is timestamps.ISO:
        return _TIMESTAMP_LIMIT_TEXTS[text]
    return _TIMESTAMP_LIMITS[text] if schema is timestamps.MICROS else None


def _enum_label(expression: str, pg_type: PgType) -> Any:
    """The label of `'label'::type`, its quotes as they stand; nothing else is a default."""
    label, cast, target = expression.rpartition("::")
    match = _CAST_TARGET.fullmatch(target)
    if not cast or match is None or not (label.startswith("'") and label.endswith("'") and len(label) > 1):
        return NO_DEFAULT
    quoted_schema, schema, quoted_name, name = match.groups()
    found_name = name if quoted_name is None else quoted_name.replace('""', '"')
    found_schema = schema if quoted_schema is None else quoted_schema.replace('""', '"')
    if found_name != pg_type.name or found_schema not in (None, pg_type.schema):
        return NO_DEFAULT
    return label[1:-1]
