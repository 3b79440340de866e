"""numeric, by `decimal.handling.mode`: Connect's Decimal, a double, or the text.

A column with a type modifier has a fixed scale and becomes Connect's Decimal; one without becomes Debezium's
VariableScaleDecimal, trailing zeros stripped.
"""

from __future__ import annotations

from binascii import b2a_base64
from collections.abc import Callable
from decimal import Context, Decimal, InvalidOperation
from typing import Final

from cdc.model.schema import BYTES, DECIMAL, FLOAT64, INT32, STRING, Schema, Struct, Type
from cdc.values.codec import Codec, ValueModes, decode, placeholder_text
from cdc.values.javatext import double_text

VARIABLE: Final = Schema(
    Type.STRUCT,
    name="io.debezium.data.VariableScaleDecimal",
    version=1,
    doc="Variable scaled decimal",
    fields=[("scale", INT32), ("value", BYTES)],
)

# numeric holds up to 131072 digits before the point and 16383 behind it.
WIDE: Final = Context(prec=150_000, Emax=999_999, Emin=-999_999)
_MAX_DIGITS: Final = 131_072 + 16_383
_MAX_SCALE: Final = 1000
_SPECIAL: Final = {b"NaN", b"Infinity", b"-Infinity"}
_STRICT_WORDS: Final = {b"NaN": b"NAN", b"Infinity": b"POSITIVE_INFINITY", b"-Infinity": b"NEGATIVE_INFINITY"}


def integer_bytes(value: int) -> bytes:
    """The fewest big-endian two's-complement bytes of an integer, at least one, as `BigInteger.toByteArray`."""
    return value.to_bytes((value + (value < 0)).bit_length() // 8 + 1, "big", signed=True)


def precision_and_scale(typmod: int) -> tuple[int, int]:
    """The declared precision and scale; the scale is signed (11 bits) since Postgres 15."""
    packed = typmod - 4
    return (packed >> 16) & 0xFFFF, ((packed & 0x7FF) ^ 0x400) - 0x400


def declared_scale(typmod: int, modes: ValueModes) -> int | None:
    """The scale of a numeric's type modifier, None for none; Debezium loses the sign of a negative one."""
    if typmod < 4:
        return None
    scale = precision_and_scale(typmod)[1]
    return scale & 0x7FF if modes.strict else scale


def decimal_schema(scale: int, precision: int | None) -> Schema:
    """Connect's Decimal with Debezium's parameters."""
    parameters = {"scale": str(scale)}
    if precision is not None:
        parameters["connect.decimal.precision"] = str(precision)
    return Schema(Type.BYTES, name=DECIMAL, version=1, parameters=parameters)


def parse_decimal(text: bytes) -> Decimal:
    """A finite number, exactly.

    Raises:
        ValueError: The text is no finite number.
    """
    try:
        value = Decimal(text.decode())
    except (InvalidOperation, UnicodeDecodeError):
        raise ValueError("text is not a number") from None
    if not value.is_finite():
        raise ValueError("number is not finite")
    return value


def _whole_number(digits: bytes) -> int:
    """An integer of any length; Python itself refuses to read more than 4300 digits into an int.

    Raises:
        ValueError: The text is no integer, or has more digits than a numeric: the time they take grows with their square.
    """
    if len(digits) <= 4300:
        return int(digits)
    if len(digits) > _MAX_DIGITS + 1:
        raise ValueError(f"text has {len(digits)} digits where a numeric ends at {_MAX_DIGITS}")
    if not digits.removeprefix(b"-").isdigit():
        raise ValueError("text is not a number")
    return int(Decimal(digits.decode()))


def unscaled(text: bytes, scale: int) -> int:
    """The integer behind a plain decimal text at a scale.

    Raises:
        ValueError: The text is no number, or has digits beyond the scale.
    """
    whole, _, fraction = text.partition(b".")
    try:
        if len(fraction) == scale:
            return _whole_number(whole + fraction)
        number = _whole_number(whole + fraction)
    except ValueError:
        raise ValueError("text is not a number") from None
    shift = scale - len(fraction)
    if shift >= 0:
        return number * int(10**shift)
    number, rest = divmod(number, int(10**-shift))
    if rest:
        raise ValueError(f"number has digits beyond its column's scale {scale}")
    return number


def at_scale(number: int, scale: int) -> Decimal:
    """The Decimal of an unscaled integer."""
    return Decimal(number).scaleb(-scale, WIDE)


def fixed(scale: int, precision: int | None, modes: ValueModes) -> Codec:
    """Connect's Decimal of a known scale."""

    def to_value(text: bytes) -> Decimal | None:
        return None if text in _SPECIAL else at_scale(unscaled(text, scale), scale)

    def to_base64(text: bytes) -> bytes:
        whole, _, fraction = text.partition(b".")
        if len(fraction) == scale:
            try:
                number = int(whole + fraction)
            except ValueError:
                if text in _SPECIAL:
                    return b"null"
                raise ValueError("text is not a number") from None
        elif text in _SPECIAL:
            return b"null"
        else:
            number = unscaled(text, scale)
        data = number.to_bytes((number + (number < 0)).bit_length() // 8 + 1, "big", signed=True)
        return b'"' + b2a_base64(data, newline=False) + b'"'

    def to_number(text: bytes) -> bytes:
        value = to_value(text)
        return b"null" if value is None else str(value).encode()

    to_json = to_number if modes.decimal_numeric else to_base64
    marker = None if modes.strict else at_scale(int.from_bytes(modes.unavailable, "big", signed=True), scale)
    return Codec(decimal_schema(scale, precision), to_json, to_value, unavailable=marker, filler=at_scale(0, scale))


def _stripped(text: bytes) -> tuple[int, int]:
    """Unscaled integer and scale of a plain decimal text without trailing zeros; the scale is never negative."""
    whole, _, fraction = text.partition(b".")
    fraction = fraction.rstrip(b"0")
    try:
        return _whole_number(whole + fraction), len(fraction)
    except ValueError:
        raise ValueError("text is not a number") from None


def _variable_json(text: bytes) -> bytes:
    if text in _SPECIAL:
        return b"null"
    number, scale = _stripped(text)
    return b'{"scale":%d,"value":"%b"}' % (scale, b2a_base64(integer_bytes(number), newline=False))


def variable_struct(number: int, scale: int, schema: Schema = VARIABLE) -> Struct:
    """A VariableScaleDecimal."""
    return Struct(schema, [scale, integer_bytes(number)])


def _variable_values(schema: Schema) -> Callable[[bytes], Struct | None]:
    return lambda text: None if text in _SPECIAL else variable_struct(*_stripped(text), schema)


def _double_json(text: bytes) -> bytes:
    words = double_text(_double(text))
    return words.encode() if words[-1].isdigit() else f'"{words}"'.encode()


def _double(text: bytes) -> float:
    try:
        return float(text)
    except ValueError:
        raise ValueError("text is not a number") from None


def _string_codec(scale: int | None, modes: ValueModes) -> Codec:
    """The server's text.

    Args:
        scale: The declared scale, None for none.
        modes: How values look.
    """
    words = _STRICT_WORDS if modes.strict else {}
    # A scale that Debezium takes for 2046 and the like has all its zeros spelt out.
    zeros = b"." + b"0" * scale if modes.strict and scale is not None and scale > _MAX_SCALE else b""

    def to_text(text: bytes) -> bytes:
        return words[text] if text in words else text + zeros

    filler = "0" if scale is None or scale <= 0 else "0." + "0" * scale
    return Codec(
        STRING,
        (lambda text: b'"' + to_text(text) + b'"') if modes.strict else (lambda text: b'"' + text + b'"'),
        (lambda text: decode(to_text(text))) if modes.strict else decode,
        unavailable=placeholder_text(modes),
        filler=filler,
    )


def resolve(typmod: int, modes: ValueModes) -> Codec:
    """The codec of a numeric with a type modifier, -1 for none."""
    precision = precision_and_scale(typmod)[0]
    scale = declared_scale(typmod, modes)
    if modes.decimal == "double":
        return Codec(FLOAT64, _double_json, _double, filler=0.0)
    if modes.decimal == "string":
        return _string_codec(scale, modes)
    if scale is not None:
        return fixed(scale, precision, modes)
    values = _variable_values(VARIABLE)
    marker = None if modes.strict else Struct(VARIABLE, [0, modes.unavailable])
    return Codec(
        VARIABLE, _variable_json, values, unavailable=marker, filler=variable_struct(0, 0), bind=_variable_values
    )
