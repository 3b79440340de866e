"""From a column's type to its codec.

A codec is resolved once per relation; per row only its two functions run. Both take the text that Postgres sent
(pgoutput and COPY send the same), so that one codec serves the stream and the snapshot.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Final

from cdc.model.relation import PgType
from cdc.values import arrays, binary, booleans, dates, floats, integers, named_text, numeric, times, timestamps, zoned
from cdc.values.arrays import parse_array
from cdc.values.builtin import BUILTIN
from cdc.values.codec import IDENTITY, Codec, ValueModes, text_codec

__all__ = ["IDENTITY", "Codec", "ValueModes", "parse_array", "resolve"]

_Resolver = Callable[[int, ValueModes], Codec]


def _text(_typmod: int, modes: ValueModes) -> Codec:
    return text_codec(modes)


def _named(name: str) -> _Resolver:
    return lambda _typmod, modes: named_text.resolve(name, modes)


_BY_NAME: Final[dict[str, _Resolver]] = {
    "bool": lambda _typmod, _modes: booleans.BOOL,
    "int2": lambda _typmod, _modes: integers.INT2,
    "int4": lambda _typmod, _modes: integers.INT4,
    "int8": lambda _typmod, _modes: integers.INT8,
    "oid": lambda _typmod, _modes: integers.OID,
    "float4": lambda _typmod, _modes: floats.FLOAT4,
    "float8": lambda _typmod, _modes: floats.FLOAT8,
    "numeric": numeric.resolve,
    "bytea": lambda _typmod, modes: binary.resolve(modes),
    "date": lambda _typmod, modes: dates.resolve(modes),
    "time": times.resolve,
    "timestamp": timestamps.resolve,
    "timetz": lambda _typmod, _modes: zoned.TIMETZ,
    "timestamptz": zoned.timestamptz,
    **dict.fromkeys(
        (
            "text", "varchar", "bpchar", "name", "char", "citext", "inet", "cidr", "macaddr", "macaddr8",
            "int4range", "int8range", "numrange", "tsrange", "tstzrange", "daterange", "isbn",
        ),
        _text,
    ),
    **{name: _named(name) for name in named_text.SCHEMAS},
}  # fmt: skip


def resolve(
    column_type_oid: int, typmod: int, types: Mapping[int, PgType], modes: ValueModes, dimensions: int = 1
) -> Codec | None:
    """The codec of a column.

    Args:
        column_type_oid: `atttypid`.
        typmod: `atttypmod`, -1 for none.
        types: The catalogue's `pg_type` by OID; the built-in types need not be in it.
        modes: How values look.
        dimensions: `attndims`, of arrays only.

    Returns:
        None where Debezium leaves the column out (strict mode only).
    """
    pg_type = types.get(column_type_oid) or BUILTIN.get(column_type_oid)
    if pg_type is None:
        return _unmapped(modes)
    if pg_type.kind == "d":
        modifier = pg_type.base_typmod if pg_type.base_typmod >= 0 else typmod
        return resolve(pg_type.base, modifier, types, modes, dimensions)
    if pg_type.kind == "e":
        return named_text.enum(pg_type.labels, modes)
    if pg_type.category == "A" and pg_type.element:
        element = resolve(pg_type.element, typmod, types, modes)
        if element is None:
            return None
        delimiter = b";" if pg_type.element == 603 else b","
        return arrays.array(element, max(dimensions, 1), delimiter)
    known = _BY_NAME.get(pg_type.name)
    return _unmapped(modes) if known is None else known(typmod, modes)


def _unmapped(modes: ValueModes) -> Codec | None:
    return None if modes.strict else text_codec(modes, exact=False)
