"""Arrays: Postgres' array text, taken apart, and its elements' codecs."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any, Final

from cdc.model.schema import JavaDate, Schema, Type
from cdc.values.codec import IDENTITY, Codec, fitted

_ITEM: Final = rb'(?:"([^"\\]*+(?:\\.[^"\\]*+)*+)"|([^"\\{}%b]++))'
_FLAT: Final = {
    delimiter: re.compile(b"%b(?:%b%b)*" % (_ITEM % delimiter, delimiter, _ITEM % delimiter), re.DOTALL)
    for delimiter in (b",", b";", b":")
}
_ITEMS: Final = {delimiter: re.compile(_ITEM % delimiter, re.DOTALL) for delimiter in (b",", b";", b":")}

Item = bytes | list[Any] | None

_BOUNDS: Final = re.compile(rb"(?:\[[+-]?\d+:[+-]?\d+\])+=")
_UNESCAPE: Final = re.compile(rb"\\(.)", re.DOTALL)
_TOKENS: Final = {
    delimiter: re.compile(rb'"((?:[^"\\]|\\.)*)"|([{}%b])|([^"\\{}%b]+)' % (delimiter, delimiter), re.DOTALL)
    for delimiter in (b",", b";", b":")
}


def parse_array(text: bytes, delimiter: bytes = b",") -> list[Item]:
    """The elements of an array text, nested as they stand; lower bounds are dropped.

    Args:
        text: As `array_out` writes it.
        delimiter: The element type's `typdelim`.

    Raises:
        ValueError: The text is no array.
    """
    if text[:1] == b"[":
        bounds = _BOUNDS.match(text)
        if bounds is None:
            raise ValueError("array text has broken bounds")
        text = text[bounds.end() :]
    if text[:1] != b"{" or text[-1:] != b"}":
        raise ValueError("array text is not in braces")
    inner = text[1:-1]
    if b'"' not in inner and b"{" not in inner and b"\\" not in inner:
        if not inner:
            return []
        if b"}" in inner:
            raise ValueError("array text has unbalanced braces")
        return [None if item == b"NULL" else item for item in inner.split(delimiter)]
    if _FLAT[delimiter].fullmatch(inner) is not None:
        return [_item(quoted, bare) for quoted, bare in _ITEMS[delimiter].findall(inner)]
    return _parse_nested(text, delimiter)


def _parse_nested(text: bytes, delimiter: bytes) -> list[Item]:
    top: list[Item] = []
    stack = [top]
    position = 0
    expecting = True
    next_token = _TOKENS[delimiter].match
    while (token := next_token(text, position)) is not None:
        position = token.end()
        quoted, mark, bare = token.groups()
        if mark == b"{":
            if not expecting:
                raise ValueError("array text lacks a delimiter")
            level: list[Item] = []
            stack[-1].append(level)
            stack.append(level)
            continue
        if mark == b"}":
            if len(stack) == 1 or (expecting and stack[-1]):
                raise ValueError("array text has unbalanced braces")
            stack.pop()
            expecting = False
        elif mark is not None:
            if expecting or len(stack) == 1:
                raise ValueError("array text has a stray delimiter")
            expecting = True
        else:
            if not expecting or len(stack) == 1:
                raise ValueError("array text lacks a delimiter")
            stack[-1].append(_item(quoted or b"", bare or b""))
            expecting = False
    if position != len(text) or len(stack) != 1 or len(top) != 1:
        raise ValueError("array text has unbalanced braces")
    root = top[0]
    assert isinstance(root, list)
    return root


def _item(quoted: bytes, bare: bytes) -> bytes | None:
    if bare:
        return None if bare == b"NULL" else bare
    return _UNESCAPE.sub(rb"\1", quoted) if b"\\" in quoted else quoted


def depth(items: list[Item]) -> int:
    """How many dimensions a parsed array has; 0 for an empty one."""
    levels = 0
    level: Item = items
    while isinstance(level, list) and level:
        levels += 1
        level = level[0]
    return levels


def _write(items: list[Item], element: Callable[[bytes], bytes]) -> bytes:
    return b"[" + b",".join(
        [
            b"null" if item is None else _write(item, element) if isinstance(item, list) else element(item)
            for item in items
        ]
    ) + b"]"  # fmt: skip


def _read(items: list[Item], element: Callable[[bytes], Any]) -> list[Any]:
    return [
        None if item is None else _read(item, element) if isinstance(item, list) else element(item) for item in items
    ]


def array(element: Codec, marker: list[Any] | None, dimensions: int = 1, delimiter: bytes = b",") -> Codec:
    """The codec of an array whose column is declared with a number of dimensions.

    A value with another number of dimensions has no place in the schema, and is refused.

    Args:
        element: The codec of the elements, which may be null.
        marker: What stands for an unchanged TOAST value, in one dimension.
        dimensions: As declared.
        delimiter: The element type's `typdelim`.
    """
    schema = items_schema = element.schema.as_optional()
    for _ in range(dimensions - 1):
        schema = Schema(Type.ARRAY, value_schema=schema, optional=True)
        marker = None if marker is None else [marker]
    schema = Schema(Type.ARRAY, value_schema=schema)

    def parse(text: bytes) -> list[Item]:
        items = parse_array(text, delimiter)
        found = depth(items)
        if found not in (dimensions, 0):
            raise ValueError(f"array has {found} dimensions where its column declares {dimensions}")
        return items

    element_json, element_value = element.to_json, element.values_of(items_schema)

    def to_json(text: bytes) -> bytes:
        if dimensions == 1 and b'"' not in text and b"\\" not in text and text[:1] == b"{" and b"{" not in text[1:]:
            # The usual array, of elements that need no quotes.
            if text == b"{}":
                return b"[]"
            if text[-1:] == b"}" and b"}" not in text[:-1]:
                if element_json is IDENTITY:
                    return b"[" + text[1:-1].replace(b"NULL", b"null") + b"]"
                items = text[1:-1].split(delimiter)
                written = [b"null" if item == b"NULL" else element_json(item) for item in items]
                return b"[" + b",".join(written) + b"]"
        return _write(parse(text), element_json)

    def to_value(text: bytes) -> list[Any]:
        return _read(parse(text), element_value)

    return Codec(schema, to_json, to_value, unavailable=marker, exact=element.exact, filler=[])


def vector_of(element: Codec) -> Codec:
    """The codec of int2vector and oidvector, whose text is not an array's: `1 2 3`."""
    schema = Schema(Type.ARRAY, value_schema=element.schema)
    return Codec(
        schema,
        lambda text: b"[" + b",".join([element.to_json(item) for item in text.split()]) + b"]",
        lambda text: [element.to_value(item) for item in text.split()],
        filler=[],
    )


def marker(element: Codec, placeholder: bytes) -> list[Any] | None:
    """What stands for an unchanged TOAST value of an array: the placeholder in the elements' own type.

    Numbers are the placeholder's bytes, booleans its bits; None where its elements have no such value.
    """
    if element.unavailable is not None:
        return [fitted(element.unavailable, element.schema.as_optional())]
    match element.schema.name, element.schema.type:
        case "org.apache.kafka.connect.data.Date", _:
            return [JavaDate(byte * 86_400_000) for byte in placeholder]
        case "org.apache.kafka.connect.data.Time" | "org.apache.kafka.connect.data.Timestamp", _:
            return [JavaDate(byte) for byte in placeholder]
        case _, Type.INT16 | Type.INT32 | Type.INT64:
            return list(placeholder)
        case _, Type.FLOAT32 | Type.FLOAT64:
            return [float(byte) for byte in placeholder]
        case _, Type.BOOLEAN:
            return [bool(byte >> bit & 1) for byte in placeholder for bit in range(7, -1, -1)]
        case _, Type.STRING:
            return [placeholder.decode("utf-8", "replace")]
    return None
