"""Connect values as `String.valueOf` prints them."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

from cdc.model.javatypes import Float, class_name
from cdc.model.schema import JavaDate, Schema, Struct, Type
from cdc.values.javatext import double_text, float_text

_DAYS = ("Thu", "Fri", "Sat", "Sun", "Mon", "Tue", "Wed")
_MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")


def decimal_text(value: Decimal) -> str:
    """`BigDecimal.toString()`: Python's rule is the same one."""
    return str(value)


def date_text(millis: int) -> str:
    """`java.util.Date.toString()` in UTC: `Thu Jan 01 00:00:00 UTC 1970`."""
    from cdc.values.javacalendar import civil_from_millis  # the calendar is needed for this one form only

    year, month, day, milli_of_day = civil_from_millis(millis)
    seconds = milli_of_day // 1000
    clock = f"{seconds // 3600:02d}:{seconds // 60 % 60:02d}:{seconds % 60:02d}"
    weekday = _DAYS[(millis // 86_400_000) % 7]
    return f"{weekday} {_MONTHS[month - 1]} {day:02d} {clock} UTC {year if year > 0 else 1 - year:04d}"


def java_string(value: Any, schema: Schema | None = None) -> str:
    """`String.valueOf(value)`.

    Args:
        value: A Connect value.
        schema: Its schema, which tells a Float from a Double.
    """
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str):
        return value
    if isinstance(value, JavaDate):
        return date_text(int(value))
    if isinstance(value, int):
        return str(int(value))
    if isinstance(value, float):
        single = isinstance(value, Float) or (schema is not None and schema.type is Type.FLOAT32)
        return float_text(value) if single else double_text(value)
    if isinstance(value, Decimal):
        return decimal_text(value)
    if isinstance(value, Struct):
        members = [
            f"{field.name}={java_string(item, field.schema)}"
            for field, item in zip(value.schema.fields, value.values, strict=True)
            if item is not None
        ]
        return "Struct{" + ",".join(members) + "}"
    if isinstance(value, dict):
        keys = None if schema is None else schema.key_schema
        items = None if schema is None else schema.value_schema
        return "{" + ", ".join(f"{java_string(k, keys)}={java_string(v, items)}" for k, v in value.items()) + "}"
    if isinstance(value, (list, tuple)):
        items = None if schema is None else schema.value_schema
        return "[" + ", ".join(java_string(item, items) for item in value) + "]"
    return f"{class_name(value)}@{id(value) & 0xFFFFFFFF:x}"
