"""hstore, by `hstore.handling.mode`: a JSON text or a map, the keys in the order of Debezium's HashMap."""

from __future__ import annotations

import re
from typing import Final

from cdc.model.schema import OPTIONAL_STRING, STRING, Schema, map_schema
from cdc.values.codec import Codec, ValueModes, decode, placeholder_text
from cdc.values.javahash import hash_order, string_hash
from cdc.values.jsontext import quote, quote_raw
from cdc.values.named_text import JSON

MAP: Final[Schema] = map_schema(STRING, OPTIONAL_STRING)

_PAIR: Final = re.compile(rb'"((?:[^"\\]|\\.)*)"=>(?:NULL|"((?:[^"\\]|\\.)*)")(?:, |$)', re.DOTALL)
_UNESCAPE: Final = re.compile(rb"\\(.)", re.DOTALL)


def parse(text: bytes) -> dict[str, str | None]:
    """The pairs, in the HashMap's order.

    Raises:
        ValueError: The text is no hstore.
    """
    pairs: dict[str, str | None] = {}
    position = 0
    while position < len(text):
        match = _PAIR.match(text, position)
        if match is None:
            raise ValueError("text is not an hstore")
        position = match.end()
        key, value = match.groups()
        pairs[_unescaped(key)] = None if value is None else _unescaped(value)
    keys = list(pairs)
    if len(keys) < 2:
        return pairs
    return {key: pairs[key] for key in hash_order(keys, [string_hash(key) for key in keys])}


def _unescaped(text: bytes) -> str:
    return decode(_UNESCAPE.sub(rb"\1", text) if b"\\" in text else text)


def _document(text: bytes) -> bytes:
    members = [
        quote_raw(key.encode()) + b":" + (b"null" if value is None else quote_raw(value.encode()))
        for key, value in parse(text).items()
    ]
    return b"{" + b",".join(members) + b"}"


def _document_json(text: bytes) -> bytes:
    return quote(_document(text))


def _document_value(text: bytes) -> str:
    return _document(text).decode()


def _map_json(text: bytes) -> bytes:
    members = [
        quote(key.encode()) + b":" + (b"null" if value is None else quote(value.encode()))
        for key, value in parse(text).items()
    ]
    return b"{" + b",".join(members) + b"}"


def resolve(modes: ValueModes) -> Codec:
    """The codec of hstore."""
    placeholder = placeholder_text(modes)
    if modes.hstore == "map":
        return Codec(MAP, _map_json, parse, unavailable={placeholder: placeholder}, filler={})
    quoted = quote_raw(placeholder.encode()).decode()
    return Codec(JSON, _document_json, _document_value, unavailable=f"{{{quoted}:{quoted}}}", filler="{}")
