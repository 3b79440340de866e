r"""JSON strings as Jackson writes them: compact, UTF-8, upper-case hexadecimal in `\u` escapes.

Characters up to U+FFFF stand raw; one beyond them is written as the escapes of its surrogate pair, which is what
Jackson's UTF-8 generator does. Its character generator, which Debezium uses for JSON inside a string, does not.
"""

from __future__ import annotations

import re
from typing import Final

_SPECIAL: Final = re.compile(rb'["\\\x00-\x1f]|[\xf0-\xf4][\x80-\xbf]{3}')
_SPECIAL_RAW: Final = re.compile(rb'["\\\x00-\x1f]')
_ESCAPES: Final = {b"%c" % code: b"\\u%04X" % code for code in range(32)} | {
    b"\b": b"\\b", b"\t": b"\\t", b"\n": b"\\n", b"\f": b"\\f", b"\r": b"\\r", b'"': b'\\"', b"\\": b"\\\\",
}  # fmt: skip
# One class is found faster than the alternatives of `_SPECIAL`.
_find_special = re.compile(rb'["\\\x00-\x1f\xf0-\xf4]').search
_find_rare = re.compile(rb"[\x00-\x08\x0b\x0c\x0e-\x1f\xf0-\xf4]").search


def _escape(match: re.Match[bytes]) -> bytes:
    found = match[0]
    if len(found) == 1:
        return _ESCAPES[found]
    code = ord(found.decode("utf-8", "replace")[0]) - 0x10000
    if code < 0:
        return found  # no UTF-8 after all: the bytes of a database that promises no encoding
    return b"\\u%04X\\u%04X" % (0xD800 + (code >> 10), 0xDC00 + (code & 0x3FF))


def quote(text: bytes) -> bytes:
    """A JSON string of UTF-8 bytes."""
    if _find_special(text) is None:
        return b'"' + text + b'"'
    if _find_rare(text) is None:
        # What documents and prose are full of; the backslash first, since the others bring new ones.
        return b'"%b"' % text.replace(b"\\", b"\\\\").replace(b'"', b'\\"').replace(b"\n", b"\\n").replace(
            b"\r", b"\\r"
        ).replace(b"\t", b"\\t")
    return b'"' + _SPECIAL.sub(_escape, text) + b'"'


def quote_raw(text: bytes) -> bytes:
    """A JSON string that will itself stand in a string, every character beyond ASCII raw."""
    return b'"' + _SPECIAL_RAW.sub(_escape, text) + b'"'


def quote_text(text: str) -> str:
    r"""A JSON string of a text; half of a surrogate pair becomes its `\u` escape."""
    try:
        return quote(text.encode()).decode()
    except UnicodeEncodeError:
        pieces = re.split("([\ud800-\udfff])", text)
        return (
            '"' + "".join(quote_text(p)[1:-1] if i % 2 == 0 else f"\\u{ord(p):04X}" for i, p in enumerate(pieces)) + '"'
        )
