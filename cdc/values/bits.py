"""bit and varbit: one bit is a boolean, more are Debezium's Bits, little-endian without trailing zero bytes."""

from __future__ import annotations

from typing import Any, Final

from cdc.model.schema import BOOLEAN, Schema, Type
from cdc.values.binary import base64_json
from cdc.values.codec import Codec, ValueModes

_UNBOUNDED: Final = 2_147_483_647


def schema(length: int) -> Schema:
    """Debezium's Bits of a declared length."""
    return Schema(Type.BYTES, name="io.debezium.data.Bits", version=1, parameters={"length": str(length)})


def _number(text: bytes) -> int:
    if text.strip(b"01"):
        raise ValueError("text is not a bit string")
    return int(text, 2) if text else 0


def _bytes(text: bytes) -> bytes:
    number = _number(text)
    return number.to_bytes((number.bit_length() + 7) // 8, "little")


def _flag(text: bytes) -> bool | None:
    # An empty varbit(1) has no bit to be true or false.
    return None if not text else _number(text) != 0


_FLAGS: Final = {b"1": b"true", b"0": b"false", b"": b"null"}


def _flag_json(text: bytes) -> bytes:
    fragment = _FLAGS.get(text)
    if fragment is None:
        raise ValueError("text is not one bit")
    return fragment


def resolve(typmod: int, modes: ValueModes) -> Codec:
    """The codec of bit(n) and varbit(n); -1 is an unbounded varbit."""
    if typmod == 1:
        return Codec(BOOLEAN, _flag_json, _flag, filler=False)
    length = typmod if typmod > 0 else _UNBOUNDED
    marker = None if modes.strict else modes.unavailable
    return Codec(schema(length), lambda text: base64_json(_bytes(text)), _bytes, unavailable=marker, filler=b"")


def lost_array(typmod: int) -> Codec:
    """`bit(n)[]` as Debezium has it: the schema of its element, and null for every value."""

    def nothing(_text: bytes) -> Any:
        return None

    return Codec(BOOLEAN if typmod <= 1 else schema(typmod), lambda _text: b"null", nothing)
