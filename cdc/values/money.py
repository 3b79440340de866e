"""money under `lc_monetary = C`: `$1,234.56`, by `decimal.handling.mode` and `money.fraction.digits`."""

from __future__ import annotations

import re
from decimal import ROUND_HALF_UP, Decimal
from typing import Final

from cdc.model.schema import FLOAT64, STRING
from cdc.values.binary import base64_json
from cdc.values.codec import Codec, ValueModes
from cdc.values.javatext import double_text
from cdc.values.numeric import WIDE, at_scale, decimal_schema, integer_bytes

_MONEY: Final = re.compile(rb"(-?)\$([\d,]+)\.(\d\d)")
_LARGEST: Final = 2**63


def cents(text: bytes) -> int:
    """The amount in hundredths.

    Raises:
        ValueError: The text is no amount of that locale.
    """
    match = _MONEY.fullmatch(text)
    if match is None:
        raise ValueError("text is not an amount of money of the locale C")
    amount = int(match[2].replace(b",", b"") + match[3])
    if amount > _LARGEST:
        raise ValueError("amount is out of the range of money")
    return -amount if match[1] else amount


def _decimal(text: bytes) -> Decimal:
    return at_scale(cents(text), 2)


def _double(text: bytes) -> float:
    return float(_decimal(text))


def resolve(modes: ValueModes) -> Codec:
    """The codec of money."""
    digits = modes.money_fraction_digits
    zero = at_scale(0, digits)
    if modes.decimal == "double":
        return Codec(FLOAT64, lambda text: double_text(_double(text)).encode(), _double, filler=0.0)
    if modes.decimal == "string":
        return Codec(
            STRING,
            lambda text: b'"%b"' % str(_decimal(text)).encode(),
            lambda text: str(_decimal(text)),
            filler=str(zero),
        )

    def to_value(text: bytes) -> Decimal:
        return _decimal(text).quantize(zero, rounding=ROUND_HALF_UP, context=WIDE)

    def to_json(text: bytes) -> bytes:
        value = to_value(text)
        if modes.decimal_numeric:
            return str(value).encode()
        return base64_json(integer_bytes(int(value.scaleb(digits, WIDE))))

    return Codec(decimal_schema(digits, None), to_json, to_value, filler=zero)
