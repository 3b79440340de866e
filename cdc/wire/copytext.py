r"""Rows of `COPY ... TO STDOUT` in text format.

Source: PostgreSQL documentation, COPY, "Text Format": tab between columns, `\N` for null, backslash escapes.
"""

from __future__ import annotations

import re
from typing import Final

from cdc.errors import ProtocolError

_ESCAPE: Final = re.compile(rb"\\(.)", re.DOTALL)
_SPECIAL: Final = {b"b": b"\b", b"f": b"\f", b"n": b"\n", b"r": b"\r", b"t": b"\t", b"v": b"\v"}


def _plain(match: re.Match[bytes]) -> bytes:
    return _SPECIAL.get(match[1], match[1])


def split_row(line: bytes, columns: int) -> list[bytes | None]:
    """The columns of one row.

    Args:
        line: One CopyData message, its newline included.
        columns: How many there must be.

    Raises:
        ProtocolError: Another number of columns, or no newline at the end.
    """
    if line[-1:] != b"\n":
        raise ProtocolError("a row without its newline", tag="d", offset=len(line), length=len(line))
    fields: list[bytes | None] = line[:-1].split(b"\t")  # type: ignore[assignment] # widened below
    if columns == 0 and line == b"\n":
        return []
    if len(fields) != columns:
        raise ProtocolError(f"a row of {len(fields)} columns instead of {columns}", tag="d", length=len(line))
    if b"\\" in line:
        for index, field in enumerate(fields):
            if field == b"\\N":
                fields[index] = None
            elif field is not None and b"\\" in field:
                fields[index] = _ESCAPE.sub(_plain, field)
    return fields
