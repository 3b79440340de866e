"""From a column's type to its codec.

A codec is resolved once per relation; per row only its two functions run. Both take the text that Postgres sent
(pgoutput and COPY send the same), so that one codec serves the stream and the snapshot. The connection's settings are
pinned: DateStyle ISO, IntervalStyle postgres, TimeZone UTC, bytea_output hex, extra_float_digits 3, lc_monetary C.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Final

from cdc.model.relation import PgType
from cdc.values import (
    arrays,
    binary,
    bits,
    booleans,
    dates,
    driver_arrays,
    floats,
    geometric,
    hstore,
    integers,
    intervals,
    money,
    named_text,
    numeric,
    postgis,
    times,
    timestamps,
    vectors,
    zoned,
)  # fmt: skip
from cdc.values.arrays import parse_array
from cdc.values.builtin import BUILTIN
from cdc.values.codec import IDENTITY, Codec, ValueModes, fitted, text_codec
from cdc.values.defaults import NO_DEFAULT, default_value

__all__ = ["IDENTITY", "NO_DEFAULT", "Codec", "ValueModes", "default_value", "fitted", "parse_array", "resolve"]

_Resolver = Callable[[int, ValueModes], Codec]


def _text(_typmod: int, modes: ValueModes) -> Codec:
    return text_codec(modes)


def _named(name: str) -> _Resolver:
    return lambda _typmod, modes: named_text.resolve(name, modes)


def _postgis(name: str) -> _Resolver:
    return lambda _typmod, modes: postgis.resolve(name, modes)


_BY_NAME: Final[dict[str, _Resolver]] = {
    "bool": lambda _typmod, _modes: booleans.BOOL,
    "int2": lambda _typmod, _modes: integers.INT2,
    "int4": lambda _typmod, _modes: integers.INT4,
    "int8": lambda _typmod, _modes: integers.INT8,
    "oid": lambda _typmod, _modes: integers.OID,
    "float4": lambda _typmod, _modes: floats.FLOAT4,
    "float8": lambda _typmod, _modes: floats.FLOAT8,
    "numeric": numeric.resolve,
    "money": lambda _typmod, modes: money.resolve(modes),
    "bytea": lambda _typmod, modes: binary.resolve(modes),
    "bit": lambda typmod, modes: bits.resolve(max(typmod, 1), modes),
    "varbit": bits.resolve,
    "date": lambda _typmod, modes: dates.resolve(modes),
    "time": times.resolve,
    "timestamp": timestamps.resolve,
    "timetz": lambda _typmod, _modes: zoned.TIMETZ,
    "timestamptz": zoned.timestamptz,
    "interval": lambda _typmod, modes: intervals.resolve(modes),
    "point": lambda _typmod, _modes: geometric.POINT_CODEC,
    "hstore": lambda _typmod, modes: hstore.resolve(modes),
    "vector": lambda _typmod, modes: vectors.vector(modes),
    "halfvec": lambda _typmod, modes: vectors.halfvec(modes),
    "sparsevec": lambda _typmod, modes: vectors.sparsevec(modes),
    **dict.fromkeys(
        (
            "text", "varchar", "bpchar", "name", "char", "citext", "inet", "cidr", "macaddr", "macaddr8", "isbn",
            "int4range", "int8range", "numrange", "tsrange", "tstzrange", "daterange",
        ),
        _text,
    ),
    **{name: _named(name) for name in named_text.SCHEMAS},
    **{name: _postgis(name) for name in postgis.SCHEMAS},
}  # fmt: skip
# The element types whose array text has another delimiter than the comma.
_DELIMITERS: Final = {"box": b";", "geometry": b":", "geography": b":"}
_VECTORS: Final = frozenset({"int2vector", "oidvector"})


def resolve(
    column_type_oid: int, typmod: int, types: Mapping[int, PgType], modes: ValueModes, dimensions: int = 1
) -> Codec | None:
    """The codec of a column.

    Args:
        column_type_oid: `atttypid`.
        typmod: `atttypmod`, -1 for none.
        types: The catalogue's `pg_type` by OID; the usual built-in types need not be in it.
        modes: How values look.
        dimensions: `attndims` of an array column; 0 counts as 1, and strict mode knows one only.

    Returns:
        None where Debezium leaves the column out (strict mode only).
    """
    pg_type = _type(column_type_oid, types)
    if pg_type is None:
        return _unmapped(modes)
    if pg_type.kind == "d":
        return _domain(pg_type, typmod, types, modes, dimensions)
    if pg_type.kind == "e":
        return named_text.enum(pg_type.labels, modes)
    if pg_type.category == "A" and pg_type.element:
        return _array(pg_type, typmod, types, modes, dimensions)
    if modes.strict and pg_type.name == "name" and not modes.include_unknown:
        return _lost_name(modes)
    known = _BY_NAME.get(pg_type.name)
    return _unmapped(modes, pg_type) if known is None else known(typmod, modes)


def _type(oid: int, types: Mapping[int, PgType]) -> PgType | None:
    return types.get(oid) or BUILTIN.get(oid)


def _domain(
    domain: PgType, typmod: int, types: Mapping[int, PgType], modes: ValueModes, dimensions: int
) -> Codec | None:
    codec = resolve(domain.base, domain.base_typmod if domain.base_typmod >= 0 else typmod, types, modes, dimensions)
    if codec is not None and modes.strict and isinstance(codec.unavailable, list):
        # Debezium knows the arrays that it has markers for by their types' names.
        return replace(codec, unavailable=None)
    return codec


def _lost_name(modes: ValueModes) -> Codec:
    """A `name` column in Debezium's stream: null, whatever was sent."""
    return replace(text_codec(modes), to_json=lambda _text: b"null", to_value=lambda _text: None)


def _unmapped(modes: ValueModes, pg_type: PgType | None = None) -> Codec | None:
    """A type that Debezium does not map: opaque bytes where asked for, else left out (strict) or its text."""
    if modes.include_unknown:
        shape = pg_type is not None and pg_type.name in geometric.SHAPES
        return binary.resolve(modes, geometric.driver_text if shape else bytes)
    return None if modes.strict else text_codec(modes, exact=False)


def _array(array: PgType, typmod: int, types: Mapping[int, PgType], modes: ValueModes, dimensions: int) -> Codec | None:
    element_type = _type(array.element, types)
    if element_type is None:
        return _unmapped(modes)
    name = element_type.name
    delimiter = _DELIMITERS.get(name, b",")
    if array.name in _VECTORS:
        numbers = integers.OID if array.name == "oidvector" else integers.INT2
        return driver_arrays.space_separated(numbers) if modes.strict else arrays.vector_of(numbers)
    foreign = element_type.kind != "e" and (element_type.kind == "d" or name not in _BY_NAME)
    opaque = foreign and modes.include_unknown
    element = _unmapped(modes, element_type) if opaque else None
    if modes.strict:
        if element is not None:
            return driver_arrays.array("", replace(element, unavailable=None), None, delimiter)
        return _driver_array(element_type, typmod, types, modes, delimiter)
    element = element or resolve(array.element, typmod, types, modes)
    assert element is not None
    marker = arrays.marker(element, modes.unavailable)
    if name == "uuid":
        marker = [driver_arrays.uuid_marker(modes.unavailable)]
    return arrays.array(element, marker, max(dimensions, 1), delimiter)


def _driver_array(
    element_type: PgType, typmod: int, types: Mapping[int, PgType], modes: ValueModes, delimiter: bytes
) -> Codec | None:
    name = element_type.name
    if name in driver_arrays.NEVER or element_type.kind == "d":
        return None
    if name == "bit":
        return bits.lost_array(typmod)
    element = driver_arrays.temporal(name, typmod, modes) or resolve(element_type.oid, typmod, types, modes)
    if element is None:
        return None
    return driver_arrays.array(name, element, driver_arrays.unavailable(name, element, modes), delimiter)
