"""vector, halfvec and sparsevec of pgvector."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from cdc.model.schema import FLOAT32, FLOAT64, INT16, Schema, Struct, Type, array_schema, map_schema
from cdc.values.codec import Codec, ValueModes
from cdc.values.floats import double, double_json, single, single_json
from cdc.values.integers import integer
from cdc.values.javahash import hash_order

DOUBLES: Final = array_schema(FLOAT64, name="io.debezium.data.DoubleVector", version=1)
FLOATS: Final = array_schema(FLOAT32, name="io.debezium.data.FloatVector", version=1)
SPARSE: Final = Schema(
    Type.STRUCT,
    name="io.debezium.data.SparseDoubleVector",
    version=1,
    doc="Sparse double vector",
    fields=[("dimensions", INT16), ("vector", map_schema(INT16, FLOAT64))],
)
_SHORT_MAX: Final = 32_767


def _elements(text: bytes) -> list[bytes]:
    if text[:1] != b"[" or text[-1:] != b"]":
        raise ValueError("text is not a vector")
    return text[1:-1].split(b",")


def _dense(schema: Schema, write: Callable[[bytes], bytes], read: Callable[[bytes], float], modes: ValueModes) -> Codec:
    return Codec(
        schema,
        lambda text: b"[" + b",".join([write(element) for element in _elements(text)]) + b"]",
        lambda text: [read(element) for element in _elements(text)],
        unavailable=None if modes.strict else [float(byte) for byte in modes.unavailable],
        filler=[],
    )


def _sparse_parts(text: bytes) -> tuple[int, dict[int, bytes]]:
    body, slash, dimensions_text = text.partition(b"/")
    if not slash or body[:1] != b"{" or body[-1:] != b"}":
        raise ValueError("text is not a sparse vector")
    dimensions = integer(dimensions_text)
    if dimensions > _SHORT_MAX:
        raise ValueError(f"sparse vector has {dimensions} dimensions where its schema ends at {_SHORT_MAX}")
    if body == b"{}":
        return dimensions, {}
    pairs = [element.partition(b":") for element in body[1:-1].split(b",")]
    values = {integer(index): value for index, _, value in pairs}
    # Debezium's HashMap of shorts, made with as many places as there are elements.
    order = hash_order(list(values), list(values), len(values))
    return dimensions, {index: values[index] for index in order}


def _sparse_json(text: bytes) -> bytes:
    dimensions, values = _sparse_parts(text)
    pairs = b",".join([b"[%d,%b]" % (index, double_json(value)) for index, value in values.items()])
    return b'{"dimensions":%d,"vector":[%b]}' % (dimensions, pairs)


def _sparse_values(schema: Schema) -> Callable[[bytes], Struct]:
    def to_value(text: bytes) -> Struct:
        dimensions, values = _sparse_parts(text)
        return Struct(schema, [dimensions, {index: double(value) for index, value in values.items()}])

    return to_value


def vector(modes: ValueModes) -> Codec:
    """The codec of vector."""
    return _dense(DOUBLES, double_json, double, modes)


def halfvec(modes: ValueModes) -> Codec:
    """The codec of halfvec."""
    return _dense(FLOATS, single_json, single, modes)


def sparsevec(modes: ValueModes) -> Codec:
    """The codec of sparsevec; it has no filler: Debezium's own does not fit its schema."""
    codes = {index: float(byte) for index, byte in enumerate(modes.unavailable, 1)}
    marker = None if modes.strict else Struct(SPARSE, [len(codes), codes])
    return Codec(SPARSE, _sparse_json, _sparse_values(SPARSE), unavailable=marker, bind=_sparse_values)
