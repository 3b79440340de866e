"""Postgres' own geometric types: point as a struct; the others have no schema of Debezium's."""

from __future__ import annotations

import re
import struct
from collections.abc import Callable
from typing import Final

from cdc.model.schema import FLOAT64, OPTIONAL_BYTES, OPTIONAL_INT32, Schema, Struct, Type
from cdc.values.binary import base64_json
from cdc.values.codec import Codec
from cdc.values.floats import double, double_json
from cdc.values.javatext import double_text

POINT: Final = Schema(
    Type.STRUCT,
    name="io.debezium.data.geometry.Point",
    version=1,
    doc="Geometry (POINT)",
    fields=[("x", FLOAT64), ("y", FLOAT64), ("wkb", OPTIONAL_BYTES), ("srid", OPTIONAL_INT32)],
)
SHAPES: Final = frozenset({"lseg", "line", "box", "path", "polygon", "circle"})

_NUMBER: Final = re.compile(rb"-?(?:\d[\d.]*(?:e[+-]?\d+)?|Infinity)|NaN")


def _coordinates(text: bytes) -> tuple[bytes, bytes]:
    x, comma, y = text[1:-1].partition(b",")
    if not comma or text[:1] != b"(" or text[-1:] != b")":
        raise ValueError("text is not a point")
    return x, y


def wkb_point(x: float, y: float) -> bytes:
    """A two-dimensional point as little-endian well-known binary."""
    return struct.pack("<BIdd", 1, 1, x, y)


def _to_json(text: bytes) -> bytes:
    x, y = _coordinates(text)
    wkb = base64_json(wkb_point(double(x), double(y)))
    return b'{"x":%b,"y":%b,"wkb":%b,"srid":null}' % (double_json(x), double_json(y), wkb)


def _values(schema: Schema) -> Callable[[bytes], Struct]:
    def to_value(text: bytes) -> Struct:
        x, y = (double(part) for part in _coordinates(text))
        return Struct(schema, [x, y, wkb_point(x, y), None])

    return to_value


POINT_CODEC: Final = Codec(
    POINT, _to_json, _values(POINT), filler=Struct(POINT, [0.0, 0.0, wkb_point(0.0, 0.0), None]), bind=_values
)


def driver_text(text: bytes) -> bytes:
    """A shape as Debezium's driver prints it: every number as a Java double."""
    return _NUMBER.sub(lambda match: double_text(float(match[0])).encode(), text)
