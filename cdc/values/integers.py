"""int2, int4, int8, oid: the digits of the server are the digits of JSON."""

from __future__ import annotations

from typing import Final

from cdc.model.schema import INT16, INT32, INT64
from cdc.values.codec import IDENTITY, Codec


def integer(text: bytes) -> int:
    """An integer's text as a number.

    Raises:
        ValueError: It is no integer.
    """
    try:
        return int(text)
    except ValueError:
        raise ValueError("text is not an integer") from None


INT2: Final = Codec(INT16, IDENTITY, integer, filler=0)
INT4: Final = Codec(INT32, IDENTITY, integer, filler=0)
INT8: Final = Codec(INT64, IDENTITY, integer, filler=0)
OID: Final = Codec(INT64, IDENTITY, integer, filler=0)
