"""float4 and float8: Postgres' shortest digits in Java's layout."""

from __future__ import annotations

from typing import Final

from cdc.model.schema import FLOAT32, FLOAT64
from cdc.values.codec import Codec
from cdc.values.javatext import double_text, float_text, from_shortest, to_float32

_SPECIAL: Final = {b"NaN": b'"NaN"', b"Infinity": b'"Infinity"', b"-Infinity": b'"-Infinity"'}


def double(text: bytes) -> float:
    """A float8's text as a number.

    Raises:
        ValueError: It is no number.
    """
    try:
        return float(text)
    except ValueError:
        raise ValueError("text is not a floating-point number") from None


def single(text: bytes) -> float:
    """A float4's text as the nearest 32-bit float.

    Raises:
        ValueError: It is no number.
    """
    return to_float32(double(text))


def double_json(text: bytes) -> bytes:
    """A float8's text as Java prints the number.

    Raises:
        ValueError: The text is no number.
    """
    # Java prints 1e-3 <= x < 1e7 plainly, and so does Postgres: a leading digit 1-9 with at most seven before the point.
    if 0 < text.find(b".") <= 7 and 48 < text[0] < 58 and b"e" not in text:
        return text
    special = _SPECIAL.get(text)
    if special is not None:
        return special
    value = double(text)
    if b"e" in text:
        # Postgres' digits are not Java's for a subnormal, nor where a shorter number lies exactly between two doubles.
        return double_text(value).encode()
    return from_shortest(text.decode()).encode()


def single_json(text: bytes) -> bytes:
    """A float4's text as Java prints the number.

    Raises:
        ValueError: The text is no number.
    """
    if b"e" in text:
        return float_text(single(text)).encode()
    return double_json(text)


FLOAT4: Final = Codec(FLOAT32, single_json, single, filler=0.0)
FLOAT8: Final = Codec(FLOAT64, double_json, double, filler=0.0)
