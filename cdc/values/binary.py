"""bytea, as bytes or as text, by `binary.handling.mode`."""

from __future__ import annotations

import base64
import binascii
from binascii import b2a_base64, hexlify
from collections.abc import Callable
from dataclasses import replace

from cdc.model.schema import BYTES, STRING
from cdc.values.codec import Codec, ValueModes, placeholder_text


def unhex(text: bytes) -> bytes:
    r"""The bytes behind `bytea_output = hex` text, `\x00ff`.

    Raises:
        ValueError: The text has another form.
    """
    if text[:2] != b"\\x":
        raise ValueError("bytea text does not begin with \\x")
    try:
        return binascii.unhexlify(text[2:])
    except binascii.Error:
        raise ValueError("bytea text is not hexadecimal") from None


def base64_json(data: bytes) -> bytes:
    """Bytes as JsonConverter writes them."""
    return b'"' + b2a_base64(data, newline=False) + b'"'


def resolve(modes: ValueModes, raw: Callable[[bytes], bytes] = unhex) -> Codec:
    """The codec of bytes by `binary.handling.mode`.

    Args:
        modes: How values look.
        raw: The server's text -> the bytes.
    """
    placeholder = modes.unavailable
    match modes.binary:
        case "base64":
            return _string(raw, base64.standard_b64encode, None if modes.strict else placeholder)
        case "base64-url-safe":
            return _string(raw, base64.urlsafe_b64encode, None if modes.strict else placeholder)
        case "hex":
            return replace(_string(raw, hexlify, None), unavailable=placeholder_text(modes))
    return Codec(
        BYTES,
        lambda text: b'"' + b2a_base64(raw(text), newline=False) + b'"',
        raw,
        unavailable=placeholder,
        filler=b"",
    )


def _string(raw: Callable[[bytes], bytes], encode: Callable[[bytes], bytes], placeholder: bytes | None) -> Codec:
    return Codec(
        STRING,
        lambda text: b'"' + encode(raw(text)) + b'"',
        lambda text: encode(raw(text)).decode(),
        unavailable=None if placeholder is None else encode(placeholder).decode(),
        filler="",
    )
