"""What a text stands for: `org.apache.kafka.connect.data.Values.parseString` and `convertToString`.

Header literals and the header converter of a worker read texts this way. It is generous and surprising (`1,2` is the
number 1, `1e3` an INT16, a null element makes the whole array a text), and reproduced as it is.
"""

from __future__ import annotations

import base64
from collections.abc import Iterable
from datetime import UTC, tzinfo
from decimal import Decimal
from typing import Any, Final

from cdc.model.javaerrors import DataError
from cdc.model.javatypes import LONG_MAX, LONG_MIN, LinkedHashMap, double_value, float_value, is_big_decimal
from cdc.model.schema import (
    BOOLEAN,
    DATE,
    DECIMAL,
    FLOAT32,
    FLOAT64,
    INT8,
    INT16,
    INT32,
    INT64,
    STRING,
    TIME,
    TIMESTAMP,
    JavaDate,
    Schema,
    Struct,
    Type,
)
from cdc.values.javacalendar import MILLIS_PER_DAY
from cdc.values.javastring import java_string
from cdc.values.simpledateformat import SimpleDateFormat

Typed = tuple[Schema | None, Any]

_TEMPORAL: Final = {
    13: (Schema(Type.INT32, name=TIME, version=1), "HH:mm:ss.SSS'Z'"),
    24: (Schema(Type.INT64, name=TIMESTAMP, version=1), "yyyy-MM-dd'T'HH:mm:ss.SSS'Z'"),
    10: (Schema(Type.INT32, name=DATE, version=1), "yyyy-MM-dd"),
}  # fmt: skip
_RANKS: Final = [Type.INT8, Type.INT16, Type.INT32, Type.INT64, Type.FLOAT32, Type.FLOAT64]
_BLANKS: Final = "".join(map(chr, range(33)))
_DELIMITERS: Final = frozenset(':,{}[]"')


def infer(text: str | None, zone: tzinfo = UTC) -> Typed:
    """The schema and value that a text stands for; (None, None) for null.

    Args:
        text: The text.
        zone: The JVM's default zone, in which dates and times are read.
    """
    if text is None:
        return None, None
    if not text:
        return STRING, text
    found = _Reader(text, zone).read(embedded=False)
    return (None, None) if found is None else found


class _Reader:
    """Reads one text token by token; delimiters are tokens, a backslash protects one."""

    def __init__(self, text: str, zone: tzinfo) -> None:
        self.text = text
        self.zone = zone
        self.index = 0
        self.peeked: str | None = None
        self.previous: str | None = None

    def read(self, *, embedded: bool) -> Typed | None:
        if not self._more():
            return None
        if embedded and self._take('"'):
            return self._quoted()
        for literal, meaning in (("null", None), ("true", (BOOLEAN, True)), ("false", (BOOLEAN, False))):
            if self._take_alone(literal, embedded):
                return meaning
        start = self._mark()
        try:
            if self._take("["):
                return self._array()
            if self._take("{"):
                return self._map()
        except DataError:
            self._rewind(start)
        token = self._next()
        if not token.strip(_BLANKS):
            return STRING, token
        return self._literal(token.strip(_BLANKS), embedded)

    def _literal(self, token: str, embedded: bool) -> Typed:
        digit = token[0].isdigit()
        if digit:
            position = self._mark()
            rest = self._next_tokens(4)
            temporal = None if rest is None else self._temporal(token + rest)
            if temporal is None:
                self._rewind(position)
                temporal = self._temporal(token)
            if temporal is not None:
                return temporal
        if (digit or token[0] in "+-") and is_big_decimal(token):
            return infer_number(Decimal(token))
        if embedded:
            raise DataError("Failed to parse embedded value")
        return STRING, self.text

    def _quoted(self) -> Typed:
        parts: list[str] = []
        while self._more() and not self._take('"'):
            parts.append(self._next())
        content = "".join(parts)
        return self._temporal(content) or (STRING, content)

    def _array(self) -> Typed:
        items: list[Any] = []
        merged = _Merger()
        while self._more():
            if self._take("]"):
                if merged.common is None:
                    return Schema(Type.ARRAY), items
                return Schema(Type.ARRAY, value_schema=merged.common), [align(merged.common, item) for item in items]
            if self._take(","):
                raise DataError(f"Unable to parse an empty array element: {self.text}")
            item = self.read(embedded=True)
            merged.add(item)
            items.append(None if item is None else item[1])
            position = self._mark()
            if self._take("]"):
                self._rewind(position)
            elif not self._take(","):
                raise DataError("Array elements missing ',' delimiter")
        raise DataError(f"Array is missing terminating ']': {self.text}")

    def _map(self) -> Typed:
        entries: dict[Any, Any] = LinkedHashMap()
        keys, values = _Merger(), _Merger()
        while self._more():
            if self._take("}"):
                return _map_of(entries, keys.common, values.common)
            if self._take(","):
                raise DataError(f"Unable to parse a map entry with no key or value: {self.text}")
            key = self.read(embedded=True)
            if key is None or key[1] is None:
                raise DataError(f"Map entry may not have a null key: {self.text}")
            if not self._take(":"):
                raise DataError(f"Map entry is missing ':' at {self.index} in {self.text}")
            value = self.read(embedded=True)
            entries[_hashable(key[1])] = None if value is None else value[1]
            self._take(",")
            keys.add(key)
            values.add(value)
        raise DataError(f"Map is missing terminating '}}': {self.text}")

    def _temporal(self, token: str) -> Typed | None:
        token = token.replace("\\:", ":")
        known = _TEMPORAL.get(len(token.encode("utf-16-le", "surrogatepass")) // 2)
        if known is None:
            return None
        millis = SimpleDateFormat(known[1], self.zone).parse(token)
        return None if millis is None else (known[0], JavaDate(millis))

    # -- tokens, with Java's one token of look-ahead

    def _mark(self) -> int:
        return self.index - len(self.peeked or "")

    def _rewind(self, position: int) -> None:
        self.index = position
        self.peeked = self.previous = None

    def _more(self) -> bool:
        return self.peeked is not None or self.index < len(self.text)

    def _next(self) -> str:
        token = self.peeked if self.peeked is not None else self._scan()
        self.peeked = None
        self.previous = token
        return token

    def _next_tokens(self, count: int) -> str | None:
        start = self._mark()
        for _ in range(count):
            if not self._more():
                self._rewind(start)
                return None
            self._next()
        return self.text[start : self.index]

    def _scan(self) -> str:
        start, escaped = self.index, False
        while self.index < len(self.text):
            char = self.text[self.index]
            if char in _DELIMITERS and not escaped:
                if start < self.index:
                    return self.text[start : self.index]
                self.index += 1
                return char
            escaped = not escaped if char == "\\" else False
            self.index += 1
        return self.text[start:]

    def _take(self, expected: str) -> bool:
        if self.peeked is None:
            if not self._more():
                return False
            self.peeked = self._scan()
        while not self.peeked.strip(_BLANKS) and self.index < len(self.text):
            self.peeked = self._scan()
        if self.peeked.strip(_BLANKS) != expected:
            return False
        self.peeked = None
        return True

    def _take_alone(self, literal: str, embedded: bool) -> bool:
        start = self._mark()
        if self._take(literal) and (embedded or not self._more()):
            return True
        self._rewind(start)
        return False


def infer_number(number: Decimal) -> tuple[Schema, Any]:
    """The smallest type of a number: INT8 to INT64 where it is whole, else FLOAT32 in its range, FLOAT64, Decimal."""
    whole = number == number.to_integral_value() if abs(number.adjusted()) < 400 else number.as_tuple().exponent >= 0  # type: ignore[operator] # finite
    if whole and LONG_MIN <= number <= LONG_MAX:
        value = int(number)
        for bits, schema in ((8, INT8), (16, INT16), (32, INT32)):
            if -(1 << (bits - 1)) <= value < 1 << (bits - 1):
                return schema, value
        return INT64, value
    scale = -int(number.as_tuple().exponent)
    if scale:
        single = float_value(number)
        if single not in (float("inf"), float("-inf")):
            return FLOAT32, single
        double = double_value(number)
        if double not in (float("inf"), float("-inf")):
            return FLOAT64, double
    return Schema(Type.BYTES, name=DECIMAL, version=1, parameters={"scale": str(scale)}), number


class _Merger:
    """The common schema of members; kept when they stop agreeing, as Java keeps none and stops looking."""

    def __init__(self) -> None:
        self.common: Schema | None = None
        self.compatible = True

    def add(self, member: Typed | None) -> None:
        if member is None or member[0] is None or not self.compatible:
            return
        self.common = member[0] if self.common is None else _merged(self.common, member[0])
        self.compatible = self.common is not None


def _merged(one: Schema, other: Schema) -> Schema | None:
    if one.type is not other.type:
        if one.type in _RANKS and other.type in _RANKS:
            return max(one, other, key=lambda schema: _RANKS.index(schema.type))
        return None
    if one.optional == other.optional:
        return one if one.optional else other
    return one if one == other else None


def _map_of(entries: dict[Any, Any], keys: Schema | None, values: Schema | None) -> Typed:
    if keys is None:
        return Schema(Type.MAP), entries
    if values is None:
        kept = LinkedHashMap((_hashable(align(keys, key)), value) for key, value in entries.items())
        return Schema(Type.MAP, key_schema=keys), kept
    aligned = LinkedHashMap((_hashable(align(keys, key)), align(values, value)) for key, value in entries.items())
    return Schema(Type.MAP, key_schema=keys, value_schema=values), aligned


def _hashable(value: Any) -> Any:
    """A key of a Python dict; lists and maps as keys of a map are a curiosity that is kept as text."""
    return java_string(value) if isinstance(value, (list, dict)) else value


def align(schema: Schema, value: Any) -> Any:
    """A member in the common type of its siblings, as `Values.convertTo` makes it.

    Raises:
        DataError: It cannot be.
    """
    if value is None:
        if schema.optional:
            return None
        raise DataError("Unable to convert a null value to a schema that requires a value")
    if schema.type is Type.FLOAT32 and isinstance(value, (int, Decimal)):
        return float_value(double_value(value))
    if schema.type is Type.FLOAT64 and isinstance(value, (int, Decimal)):
        return double_value(value)
    if schema.type is Type.STRING:
        return value if isinstance(value, str) else connect_text(value)
    return value


def connect_text(value: Any, zone: tzinfo = UTC, *, embedded: bool = False) -> str:
    """`Values.convertToString`: texts raw at the top and quoted inside, maps and arrays like JSON, bytes as base64."""
    if value is None:
        return "null"
    if isinstance(value, bool) or (isinstance(value, (int, float, Decimal)) and not isinstance(value, JavaDate)):
        return java_string(value)
    if isinstance(value, str):
        return _quoted(value) if embedded else value
    if isinstance(value, (bytes, bytearray, memoryview)):
        encoded = base64.b64encode(value).decode()
        return f'"{encoded}"' if embedded else encoded
    if isinstance(value, (list, tuple)):
        return "[" + ",".join(connect_text(item, zone, embedded=True) for item in value) + "]"
    if isinstance(value, dict):
        return "{" + ",".join(_entries(value.items(), zone)) + "}"
    if isinstance(value, Struct):
        return "{" + ",".join(_entries(((f.name, value.get(f.name)) for f in value.schema.fields), zone)) + "}"
    if isinstance(value, JavaDate):
        return date_text(int(value), zone)
    raise DataError(f"Failed to serialize unexpected value type {type(value).__name__}: {value}")


def date_text(millis: int, zone: tzinfo = UTC) -> str:
    """A Date, Time or Timestamp as Connect prints it: the form follows from the value alone.

    Args:
        millis: Milliseconds since the epoch.
        zone: The JVM's default zone.
    """
    if millis < MILLIS_PER_DAY:
        pattern = "HH:mm:ss.SSS'Z'"
    elif millis % MILLIS_PER_DAY == 0:
        pattern = "yyyy-MM-dd"
    else:
        pattern = "yyyy-MM-dd'T'HH:mm:ss.SSS'Z'"
    return SimpleDateFormat(pattern, zone).format(millis)


def _entries(pairs: Iterable[tuple[Any, Any]], zone: tzinfo) -> Iterable[str]:
    for key, value in pairs:
        yield f"{connect_text(key, zone, embedded=True)}:{connect_text(value, zone, embedded=True)}"


def _quoted(text: str) -> str:
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'
