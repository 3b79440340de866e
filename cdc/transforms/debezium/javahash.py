"""`Object.hashCode` of Connect values, their `equals`, and Debezium's MurmurHash3 (x64, of 64 bits, seed 9001)."""

from __future__ import annotations

import math
import struct
from decimal import Decimal
from typing import Any, Final

from cdc.model.javatypes import string_hash, wrap_integer
from cdc.model.schema import JavaDate, Schema, Struct, Type

_MASK: Final = (1 << 64) - 1


def java_hash(value: Any, schema: Schema | None = None) -> int:
    """`value.hashCode()`; of a struct a hash of our own, since Java's differs from one JVM run to the next.

    Args:
        value: A value that is not null.
        schema: Its schema, which tells an Integer from a Long and a Float from a Double.
    """
    if isinstance(value, bool):
        return 1231 if value else 1237
    if isinstance(value, str):
        return string_hash(value)
    if isinstance(value, JavaDate) or (isinstance(value, int) and not _is_small(schema)):
        return wrap_integer(int(value) ^ (int(value) & _MASK) >> 32, 32)
    if isinstance(value, int):
        return int(value)
    if isinstance(value, float):
        return _float_hash(value, single=schema is not None and schema.type is Type.FLOAT32)
    if isinstance(value, Decimal):
        return _decimal_hash(value)
    if isinstance(value, (bytes, bytearray, memoryview)):
        result = 1
        for byte in reversed(bytes(value)):
            result = 31 * result + wrap_integer(byte, 8)
        return wrap_integer(result, 32)
    if isinstance(value, (list, tuple)):
        items = None if schema is None else schema.value_schema
        result = 1
        for item in value:
            result = 31 * result + (0 if item is None else java_hash(item, items))
        return wrap_integer(result, 32)
    if isinstance(value, dict):
        keys, items = (None, None) if schema is None else (schema.key_schema, schema.value_schema)
        total = sum(_null_safe(k, keys) ^ _null_safe(v, items) for k, v in value.items())
        return wrap_integer(total, 32)
    assert isinstance(value, Struct)
    return java_hash([_null_safe(v, f.schema) for f, v in zip(value.schema.fields, value.values, strict=True)])


def _null_safe(value: Any, schema: Schema | None) -> int:
    return 0 if value is None else java_hash(value, schema)


def _is_small(schema: Schema | None) -> bool:
    return schema is not None and schema.type in (Type.INT8, Type.INT16, Type.INT32)


def _float_hash(value: float, *, single: bool) -> int:
    if single:
        bits = 0x7FC00000 if math.isnan(value) else struct.unpack(">I", struct.pack(">f", value))[0]
        return wrap_integer(bits, 32)
    bits = 0x7FF8000000000000 if math.isnan(value) else struct.unpack(">Q", struct.pack(">d", value))[0]
    return wrap_integer(bits ^ bits >> 32, 32)


def _decimal_hash(value: Decimal) -> int:
    sign, digits, exponent = value.as_tuple()
    magnitude = int("".join(map(str, digits)) or "0")
    result = 0
    for word in struct.unpack(f">{-(-magnitude.bit_length() // 32)}I", magnitude.to_bytes(-(-magnitude.bit_length() // 32) * 4, "big")):  # fmt: skip
        result = (31 * result + word) & 0xFFFFFFFF
    return wrap_integer(31 * (-result if sign else result) - int(exponent), 32)


def java_equals(one: Any, other: Any) -> bool:
    """`Objects.equals` of two values of one schema: 1.0 and 1.00 differ, 0.0 and -0.0 too, NaN equals itself."""
    if one is None or other is None:
        return one is other
    if isinstance(one, float) and isinstance(other, float):
        if math.isnan(one) or math.isnan(other):
            return math.isnan(one) and math.isnan(other)
        return one == other and math.copysign(1, one) == math.copysign(1, other)
    if isinstance(one, Decimal) and isinstance(other, Decimal):
        return one == other and one.as_tuple().exponent == other.as_tuple().exponent
    if isinstance(one, list) and isinstance(other, list):
        return len(one) == len(other) and all(map(java_equals, one, other))
    if isinstance(one, dict) and isinstance(other, dict):
        return one.keys() == other.keys() and all(java_equals(value, other[key]) for key, value in one.items())
    if isinstance(one, Struct) and isinstance(other, Struct):
        return one.schema == other.schema and all(map(java_equals, one.values, other.values))
    return bool(one == other)


def murmur_hash(value: Any, schema: Schema | None = None) -> int:
    """`MurmurHash3.hash(Object)`: of bytes and texts over their bytes, of everything else over its `hashCode`."""
    if isinstance(value, (bytes, bytearray, memoryview)):
        return _murmur(bytes(value))
    if isinstance(value, str):
        return _murmur(value.encode("utf-8", "replace"))
    return _murmur(struct.pack("<i", java_hash(value, schema)))


def _murmur(data: bytes) -> int:
    h1, h2 = 0x9368E53C2F6AF274 ^ 9001, 0x586DCD208F7CD3FD ^ 9001
    c1, c2 = 0x87C37B91114253D5, 0x4CF5AD432745937F
    whole = len(data) // 16 * 16
    blocks = [struct.unpack_from("<QQ", data, at) for at in range(0, whole, 16)]
    tail = data[whole:]
    if tail:
        blocks.append((_signed_word(tail[:8]), _signed_word(tail[8:])))
    for low, high in blocks:
        h1 = (h1 ^ _rotated(low * c1 & _MASK, 23) * c2 & _MASK) + h2 & _MASK
        h2 = _rotated(h2, 41)
        h2 = (h2 ^ _rotated(high * c2 & _MASK, 23) * c1 & _MASK) + h1 & _MASK
        h1, h2 = h1 * 3 + 0x52DCE729 & _MASK, h2 * 3 + 0x38495AB5 & _MASK
        c1, c2 = c1 * 5 + 0x7B7D159C & _MASK, c2 * 5 + 0x6BCE6396 & _MASK
    h2 ^= len(data)
    h1 = h1 + h2 & _MASK
    h2 = h2 + h1 & _MASK
    h1, h2 = _finished(h1), _finished(h2)
    return wrap_integer(h1 + h2 >> 32, 32)


def _signed_word(data: bytes) -> int:
    """Up to eight bytes as one word; each is widened with its sign before it is shifted and joined, as Java does."""
    word = 0
    for at, byte in enumerate(data):
        word ^= wrap_integer(byte, 8) << 8 * at & _MASK
    return word


def _rotated(word: int, bits: int) -> int:
    return (word << bits | word >> 64 - bits) & _MASK


def _finished(word: int) -> int:
    for factor in (0xFF51AFD7ED558CCD, 0xC4CEB9FE1A85EC53):
        word = (word ^ word >> 33) * factor & _MASK
    return word ^ word >> 33
