"""Java's view of Connect values: classes, number arithmetic and `toString`.

Where a schema stands beside a value, the schema says which Java class it has. Without one the Python type says it, and
plain Python means what JsonConverter makes of JSON: `int` is a Long, `float` a Double. The smaller Java numbers, which
transforms produce and look at, have a small type of their own each; they compare and print as ordinary numbers.
"""

from __future__ import annotations

import math
import re
import struct
from collections.abc import Iterable
from decimal import Decimal
from fractions import Fraction
from typing import Any, Final

from cdc.model.schema import DATE, DECIMAL, TIME, TIMESTAMP, JavaDate, Schema, Struct, Type


class Byte(int):
    """A `java.lang.Byte` without a schema."""

    __slots__ = ()


class Short(int):
    """A `java.lang.Short` without a schema."""

    __slots__ = ()


class Integer(int):
    """A `java.lang.Integer` without a schema."""

    __slots__ = ()


class Float(float):
    """A `java.lang.Float` without a schema."""

    __slots__ = ()


class LinkedHashMap(dict[Any, Any]):
    """A map whose order counts in Java too; only its class name differs."""

    __slots__ = ()


_FLOAT_DIGITS: Final = 400  # decimal exponents beyond this are zero or infinite in every binary type
BYTE_MIN, BYTE_MAX = -(1 << 7), (1 << 7) - 1
INT_MIN, INT_MAX = -(1 << 31), (1 << 31) - 1
LONG_MIN, LONG_MAX = -(1 << 63), (1 << 63) - 1

_BIG_DECIMAL: Final = re.compile(r"[+-]?(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE]([+-]?[0-9]+))?")
_SCHEMA_CLASSES: Final = {
    Type.INT8: "java.lang.Byte", Type.INT16: "java.lang.Short", Type.INT32: "java.lang.Integer",
    Type.INT64: "java.lang.Long", Type.FLOAT32: "java.lang.Float", Type.FLOAT64: "java.lang.Double",
}  # fmt: skip
_CLASSES: Final[tuple[tuple[type, str], ...]] = (
    (bool, "java.lang.Boolean"), (JavaDate, "java.util.Date"), (Byte, "java.lang.Byte"), (Short, "java.lang.Short"),
    (Integer, "java.lang.Integer"), (int, "java.lang.Long"), (Float, "java.lang.Float"), (float, "java.lang.Double"),
    (str, "java.lang.String"), (bytes, "[B"), (bytearray, "[B"), (memoryview, "[B"), (Decimal, "java.math.BigDecimal"),
    (LinkedHashMap, "java.util.LinkedHashMap"), (Struct, "org.apache.kafka.connect.data.Struct"), (dict, "java.util.HashMap"), (list, "java.util.ArrayList"),
    (tuple, "java.util.ArrayList"),
)  # fmt: skip
_SCHEMALESS_TYPES: Final = {
    "java.lang.Boolean": Type.BOOLEAN, "java.lang.Byte": Type.INT8, "java.lang.Short": Type.INT16,
    "java.lang.Integer": Type.INT32, "java.lang.Long": Type.INT64, "java.lang.Float": Type.FLOAT32,
    "java.lang.Double": Type.FLOAT64, "java.lang.String": Type.STRING, "[B": Type.BYTES,
    "org.apache.kafka.connect.data.Struct": Type.STRUCT, "java.util.HashMap": Type.MAP, "java.util.LinkedHashMap": Type.MAP,
    "java.util.ArrayList": Type.ARRAY,
}  # fmt: skip
_WRAPPERS: Final[dict[Type, type]] = {Type.INT8: Byte, Type.INT16: Short, Type.INT32: Integer, Type.FLOAT32: Float}


def class_name(value: Any, schema: Schema | None = None) -> str:
    """The name of the value's Java class, as `Class.getName()`; `null` for null.

    Args:
        value: A Connect value.
        schema: Its schema; it decides among the number classes when the value is a plain Python number.
    """
    if value is None:
        return "null"
    if schema is not None and type(value) in (int, float):
        named = _SCHEMA_CLASSES.get(schema.type)
        if named is not None and (type(value) is float) == (schema.type in (Type.FLOAT32, Type.FLOAT64)):
            return named
    for python_type, name in _CLASSES:
        if isinstance(value, python_type):
            return name
    return f"{type(value).__module__}.{type(value).__qualname__}"


def inferred_type(value: Any) -> Type | None:
    """The Connect type of a schemaless value by its class, as `ConnectSchema.schemaType`; None for dates and decimals."""
    return _SCHEMALESS_TYPES.get(class_name(value))


def boxed(value: Any, type: Type) -> Any:
    """A number that a schema described, as it stands without one."""
    wrapper = _WRAPPERS.get(type)
    return value if wrapper is None or value is None else wrapper(value)


def wrap_integer(value: int, bits: int) -> int:
    """Java's narrowing of an integer: the low bits, signed."""
    value &= (1 << bits) - 1
    return value - (1 << bits) if value >> (bits - 1) else value


def saturate(value: float, bits: int) -> int:
    """Java's cast of a floating-point number to int (32 bits) or long (64): truncated, clamped, NaN is 0."""
    if value != value:  # noqa: PLR0124 - the definition of NaN
        return 0
    low, high = -(1 << (bits - 1)), (1 << (bits - 1)) - 1
    if math.isinf(value):
        return high if value > 0 else low
    return max(low, min(high, int(value)))


def long_value(value: Any) -> int:
    """`Number.longValue()`."""
    if isinstance(value, float):
        return saturate(value, 64)
    return wrap_integer(int(value), 64)


def int_value(value: Any) -> int:
    """`Number.intValue()`."""
    if isinstance(value, float):
        return saturate(value, 32)
    return wrap_integer(int(value), 32)


def double_value(value: Any) -> float:
    """`Number.doubleValue()`; overflow is an infinity."""
    try:
        return float(value)
    except OverflowError:
        return math.copysign(math.inf, value)


def is_big_decimal(text: str) -> bool:
    """Whether `new BigDecimal(text)` takes the text; exponents beyond an int are refused."""
    match = _BIG_DECIMAL.fullmatch(text)
    return match is not None and len((match[1] or "").lstrip("+-0")) <= 9


def float_value(value: Any) -> float:
    """`Number.floatValue()`: the nearest 32-bit float, rounded once."""
    if isinstance(value, float):
        return _pack_float32(value)
    if isinstance(value, Decimal) and abs(value.adjusted()) > _FLOAT_DIGITS:
        return math.copysign(math.inf if value and value.adjusted() > 0 else 0.0, value)
    double = double_value(value)
    if math.isinf(double) or not isinstance(value, (int, Decimal)):
        return _pack_float32(double)
    return _pack_float32(_off_the_tie(double, Fraction(value)))


def parse_float32(text: str) -> float:
    """The 32-bit float nearest to a decimal text that `float` accepts."""
    double = float(text)
    if math.isfinite(double) and double:
        double = _off_the_tie(double, Fraction(Decimal(text)))
    return _pack_float32(double)


def _off_the_tie(double: float, exact: Fraction) -> float:
    """Keep the rounding to 64 bits from landing on a tie of the rounding to 32 bits that the exact value is not on."""
    bits = struct.unpack(">q", struct.pack(">d", double))[0]
    if bits & 0x1FFFFFFF != 0x10000000:
        return double
    rounded = Fraction(double)
    if exact == rounded:
        return double
    return math.nextafter(double, math.inf if exact > rounded else -math.inf)


def _pack_float32(value: float) -> float:
    try:
        return float(struct.unpack("f", struct.pack("f", value))[0])
    except OverflowError:
        return math.copysign(math.inf, value)


def string_hash(text: str) -> int:
    """`String.hashCode()`, over UTF-16 units."""
    result = 0
    for unit in struct.unpack(f">{len(text.encode('utf-16-be', 'surrogatepass')) // 2}H", text.encode("utf-16-be", "surrogatepass")):  # fmt: skip
        result = (31 * result + unit) & 0xFFFFFFFF
    return wrap_integer(result, 32)


def hash_map_order(keys: Iterable[str]) -> list[str]:
    """Texts in the order in which a `java.util.HashMap` that they were put into, one after the other, lists them."""
    distinct = list(dict.fromkeys(keys))
    buckets = 16
    while len(distinct) > buckets * 3 // 4:
        buckets *= 2

    def bucket(text: str) -> int:
        code = string_hash(text) & 0xFFFFFFFF
        return (code ^ (code >> 16)) & (buckets - 1)

    return sorted(distinct, key=bucket)


EXPECTED_CLASSES: Final = {
    DECIMAL: "java.math.BigDecimal", DATE: "java.util.Date", TIME: "java.util.Date", TIMESTAMP: "java.util.Date",
}  # fmt: skip
