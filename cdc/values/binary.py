"""bytea, as bytes or as text, by `binary.handling.mode`."""

from __future__ import annotations

import base64
import binascii
from binascii import b2a_base64, hexlify
from collections.abc import Callable

from cdc.model.schema import BYTES, STRING
from cdc.values.codec import Codec, ValueModes


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


def _bytes_json(text: bytes) -> bytes:
    return b'"' + b2a_base64(unhex(text), newline=False) + b'"'


def _string_codec(encode: Callable[[bytes], bytes], placeholder: str) -> Codec:
    return Codec(
        STRING,
        lambda text: b'"' + encode(unhex(text)) + b'"',
        lambda text: encode(unhex(text)).decode(),
        unavailable=placeholder,
        filler="",
    )


def resolve(modes: ValueModes) -> Codec:
    """The codec of bytea."""
    placeholder = modes.unavailable
    match modes.binary:
        case "base64":
            return _string_codec(base64.standard_b64encode, base64.standard_b64encode(placeholder).decode())
        case "base64-url-safe":
            return _string_codec(base64.urlsafe_b64encode, base64.urlsafe_b64encode(placeholder).decode())
        case "hex":
            return _string_codec(hexlify, placeholder.decode())
        case _:
            return Codec(BYTES, _bytes_json, unhex, unavailable=placeholder, filler=b"")
