"""What Debezium's driver says of a column: its type's name, its length and scale, and whether it holds characters.

Debezium cuts hashes to a column's length, truncates only columns that are longer, masks only character columns, and
writes length and scale into schemas. The figures are those of the PostgreSQL JDBC driver (`TypeInfoCache`:
`getPrecision`, `getDisplaySize`, `getScale`).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from cdc.model.relation import Column, PgType
from cdc.values.builtin import BUILTIN

UNKNOWN_LENGTH: Final = 2**31 - 1

_PRECISION: Final = {
    "int2": 5, "oid": 10, "int4": 10, "int8": 19, "float4": 8, "float8": 17, "char": 1, "bool": 1, "date": 13, "interval": 49,
}  # fmt: skip
# Characters of the longest text, fraction aside.
_CLOCK_WIDTHS: Final = {"time": 8, "timetz": 14, "timestamp": 22, "timestamptz": 28}
_SCALES: Final = {"float4": 8, "float8": 17}
_CHARACTER: Final = frozenset({"text", "varchar", "bpchar", "char", "name"})
_NUMERIC_WITHOUT_MODIFIER: Final = 131089


@dataclass(frozen=True, slots=True)
class JdbcColumn:
    """A column as the driver describes it.

    Attributes:
        type_name: Its own type, in upper case.
        length: In characters or digits; 2147483647 where it has none.
        scale: Digits after the point, or of a second.
        character: Whether its JDBC type is one of characters, which is where masks apply.
    """

    type_name: str
    length: int
    scale: int
    character: bool


def describe(column: Column, types: Mapping[int, PgType]) -> JdbcColumn:
    """Describe a column of a relation."""
    own = _type(column.type_oid, types)
    base, typmod = own, column.typmod
    while base.kind == "d":
        typmod = base.base_typmod if base.base_typmod >= 0 else typmod
        base = _type(base.base, types)
    character = base.kind == "e" or base.name in _CHARACTER
    if base.element:
        base = _type(base.element, types)
    return JdbcColumn(own.name.upper(), _length(base.name, typmod), _scale(base.name, typmod), character)


def _type(oid: int, types: Mapping[int, PgType]) -> PgType:
    return types.get(oid) or BUILTIN.get(oid) or PgType(oid, "unknown")


def _length(name: str, typmod: int) -> int:
    if name in _PRECISION:
        return _PRECISION[name]
    if name in _CLOCK_WIDTHS:
        # A fraction has its digits and the point; one digit needs two, says the driver.
        digits = {-1: 7, 0: 0, 1: 3}.get(typmod, typmod + 1)
        return _CLOCK_WIDTHS[name] + digits
    if name == "numeric":
        return _NUMERIC_WITHOUT_MODIFIER if typmod == -1 else ((typmod - 4) >> 16) & 0xFFFF
    if name in ("bpchar", "varchar"):
        return UNKNOWN_LENGTH if typmod == -1 else typmod - 4
    if name in ("bit", "varbit"):
        return UNKNOWN_LENGTH if typmod == -1 else typmod
    return UNKNOWN_LENGTH


def _scale(name: str, typmod: int) -> int:
    if name == "numeric":
        return 0 if typmod == -1 else (typmod - 4) & 0xFFFF
    if name in _CLOCK_WIDTHS:
        return 6 if typmod == -1 else typmod
    if name == "interval":
        return 6 if typmod == -1 else typmod & 0xFFFF
    return _SCALES.get(name, 0)
