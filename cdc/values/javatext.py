"""Numbers as Java prints them (`Double.toString`, `Float.toString` of JDK 19 and later: the shortest digits).

Plain notation for 1e-3 <= |x| < 1e7, otherwise `d.dE±n`, always with one fraction digit. JDK 17 prints one digit more
for a few doubles (2e23); the shortest form is the one that reads back to the same number with the fewest digits.
"""

from __future__ import annotations

import math
import struct


def double_text(value: float) -> str:
    """A FLOAT64 as Java text; `NaN`, `Infinity` and `-Infinity` without quotes."""
    if value != value:  # noqa: PLR0124 - the definition of NaN
        return "NaN"
    if math.isinf(value):
        return "Infinity" if value > 0 else "-Infinity"
    text = repr(value)
    # Java prints two digits at least, and of those the two nearest: it shows where a subnormal has less than two.
    if -1e-300 < value < 1e-300 and "." not in text and value:
        text = f"{value:.1e}"
    return from_shortest(text)


def float_text(value: float) -> str:
    """A FLOAT32, held in a Python float, as Java text."""
    if value != value:  # noqa: PLR0124 - the definition of NaN
        return "NaN"
    if math.isinf(value):
        return "Infinity" if value > 0 else "-Infinity"
    return from_shortest(shortest_float32(value))


def shortest_float32(value: float) -> str:
    """The fewest decimal digits that read back to the same 32-bit float, two at least for a subnormal."""
    for precision in range(2 if -1e-37 < value < 1e-37 else 1, 10):
        text = f"{value:.{precision}g}"
        if to_float32(float(text)) == value:
            return text
    return repr(value)


def to_float32(value: float) -> float:
    """Java's `(float)` cast: nearest 32-bit float, overflow to infinity."""
    try:
        return float(struct.unpack("f", struct.pack("f", value))[0])
    except OverflowError:
        return math.copysign(math.inf, value)


def from_shortest(text: str) -> str:
    """Java's layout for digits that are the shortest already, as Postgres' and Python's are (`1e+20`, `0.001`)."""
    sign = ""
    if text[0] == "-":
        sign, text = "-", text[1:]
    mantissa, _, exponent_text = text.partition("e")
    whole, _, fraction = mantissa.partition(".")
    exponent = int(exponent_text) if exponent_text else 0
    digits = (whole + fraction).lstrip("0")
    if not digits:
        return sign + "0.0"
    # The value is 0.DIGITS x 10^point.
    point = len(whole) + exponent - (len(whole + fraction) - len(digits))
    digits = digits.rstrip("0") or "0"
    if -3 < point <= 7:
        if point <= 0:
            return f"{sign}0.{'0' * -point}{digits}"
        if len(digits) <= point:
            return f"{sign}{digits}{'0' * (point - len(digits))}.0"
        return f"{sign}{digits[:point]}.{digits[point:]}"
    return f"{sign}{digits[0]}.{digits[1:] or '0'}E{point - 1}"
