"""JSON strings as Jackson writes them: compact, UTF-8, non-ASCII raw, escapes with upper-case hexadecimal digits."""

from __future__ import annotations

import re
from typing import Final

_SPECIAL: Final = re.compile(rb'["\\\x00-\x1f]')
_ESCAPES: Final = {code: b"\\u%04X" % code for code in range(32)} | {
    0x08: b"\\b", 0x09: b"\\t", 0x0A: b"\\n", 0x0C: b"\\f", 0x0D: b"\\r", 0x22: b'\\"', 0x5C: b"\\\\",
}  # fmt: skip
_find_special = _SPECIAL.search


def _escape(match: re.Match[bytes]) -> bytes:
    return _ESCAPES[match[0][0]]


def quote(text: bytes) -> bytes:
    """A JSON string of UTF-8 bytes."""
    if _find_special(text) is None:
        return b'"' + text + b'"'
    return b'"' + _SPECIAL.sub(_escape, text) + b'"'


def quote_text(text: str) -> str:
    """A JSON string of a text; a lone surrogate becomes `?` as in Java's UTF-8 encoder."""
    return quote(text.encode("utf-8", "replace")).decode("utf-8")
