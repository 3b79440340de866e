"""Avro read back as Connect schemas and values: the reverse of `cdc.converters.avro`, composed once per schema.

Source: Avro 1.11 specification, "Binary Encoding"; `io.confluent.connect.avro.AvroData` 7.0 for the mapping.
"""

from __future__ import annotations

import json
import struct
from collections.abc import Callable, Mapping
from decimal import Context, Decimal
from typing import Any, Final, NamedTuple, Protocol

from cdc.converters.json import MILLIS_PER_DAY
from cdc.model.javaerrors import DataError
from cdc.model.schema import DATE, DECIMAL, TIME, TIMESTAMP, JavaDate, Schema, Struct, Type

_PLAIN: Final = {
    "int": Type.INT32, "long": Type.INT64, "float": Type.FLOAT32, "double": Type.FLOAT64, "boolean": Type.BOOLEAN,
    "string": Type.STRING, "bytes": Type.BYTES, "enum": Type.STRING, "fixed": Type.BYTES,
}  # fmt: skip
_SMALL: Final = {"int8": Type.INT8, "int16": Type.INT16}
_LOGICAL: Final = {"decimal": DECIMAL, "date": DATE, "time-millis": TIME, "timestamp-millis": TIMESTAMP}
_NAMESPACE: Final = "io.confluent.connect.avro"
_WIDE: Final = Context(prec=150_000, Emax=999_999, Emin=-999_999)


class SchemaTexts(Protocol):
    """Where a schema is looked up by its id."""

    def schema(self, identity: int) -> str:
        """The schema's text."""


class _Bytes:
    """Walks over one value; every step is checked."""

    __slots__ = ("data", "offset")

    def __init__(self, data: bytes, offset: int) -> None:
        self.data = data
        self.offset = offset

    def take(self, count: int) -> bytes:
        end = self.offset + count
        if count < 0 or end > len(self.data):
            raise DataError(f"the Avro value is cut off at byte {self.offset} of {len(self.data)}")
        piece = self.data[self.offset : end]
        self.offset = end
        return piece

    def long(self) -> int:
        number = shift = 0
        while True:
            byte = self.take(1)[0]
            number |= (byte & 0x7F) << shift
            if byte < 0x80:
                return (number >> 1) ^ -(number & 1)
            shift += 7
            if shift > 63:
                raise DataError(f"the Avro value holds a number of more than 64 bits at byte {self.offset}")

    def block(self) -> int:
        """How many items follow; 0 at the end. Each takes a byte at least, unless it is an empty record or a null."""
        count = self.long()
        if count < 0:
            self.long()  # their size, for readers that skip them
            count = -count
        if count > len(self.data):
            raise DataError(f"the Avro value counts {count} items at byte {self.offset} of {len(self.data)}")
        return count


Take = Callable[[_Bytes], Any]


class _Read(NamedTuple):
    """A Connect schema, and what reads its values."""

    schema: Schema
    take: Take


class AvroReader:
    """Bytes in the form of Confluent's AvroConverter to Connect.

    Args:
        registry: Gives schemas by their ids.
    """

    def __init__(self, registry: SchemaTexts) -> None:
        self._registry = registry
        self._known: dict[int, _Read] = {}

    def to_connect(self, data: bytes | None) -> tuple[Schema | None, Any]:
        """The schema and value of a key or value.

        Raises:
            DataError: It cannot be read.
            SeamError: The registry does not know the schema, or cannot be reached.
        """
        if data is None:
            return None, None
        if len(data) < 5 or data[0] != 0:
            raise DataError("there is no schema id before the value, as AvroConverter writes it")
        identity = int.from_bytes(data[1:5], "big")
        read = self._known.get(identity)
        if read is None:
            read = self._known[identity] = compose_reader(self._registry.schema(identity))
        walk = _Bytes(data, 5)
        value = read.take(walk)
        if walk.offset != len(data):
            raise DataError(f"{len(data) - walk.offset} bytes stand behind the Avro value")
        return read.schema, value


def compose_reader(text: str) -> _Read:
    """What reads values of an Avro schema.

    Args:
        text: The schema, JSON.

    Raises:
        DataError: It has a form that Connect schemas are not written in.
    """
    return _of(json.loads(text), {}, "")


def _of(node: Any, named: dict[str, _Read], namespace: str) -> _Read:
    if isinstance(node, list):
        return _union(node, named, namespace)
    if isinstance(node, str):
        if node in _PLAIN:
            return _plain({"type": node})
        full = node if "." in node or not namespace else f"{namespace}.{node}"
        if full not in named:
            raise DataError(f"there is no Avro type {node!r}")
        return named[full]
    kind = node["type"]
    if not isinstance(kind, str):
        return _of(kind, named, namespace)
    if kind == "record":
        return _record(node, named, namespace)
    if kind == "array":
        return _array(node, named, namespace)
    if kind == "map":
        item = _of(node["values"], named, namespace)
        return _Read(
            _described(Schema(Type.MAP, key_schema=Schema(Type.STRING), value_schema=item.schema), node),
            _map(item.take),
        )
    if kind not in _PLAIN:
        return _of(kind, named, namespace)
    return _named(_plain(node), node, named, namespace)


def _named(read: _Read, node: Mapping[str, Any], named: dict[str, _Read], namespace: str) -> _Read:
    if "name" in node:
        named[_full(node, namespace)] = read
    return read


def _full(node: Mapping[str, Any], namespace: str) -> str:
    name, space = str(node["name"]), node.get("namespace", namespace)
    return name if "." in name or not space else f"{space}.{name}"


def _union(branches: list[Any], named: dict[str, _Read], namespace: str) -> _Read:
    others = [branch for branch in branches if branch != "null"]
    if len(others) != 1 or len(branches) != 2:
        raise DataError("an Avro union other than of null and one type is not read here")
    inner, null = _of(others[0], named, namespace), branches.index("null")
    optional = inner.schema.as_optional()

    def take(walk: _Bytes) -> Any:
        branch = walk.long()
        if branch not in (0, 1):
            raise DataError(f"the Avro value names branch {branch} of a union of two")
        value = None if branch == null else inner.take(walk)
        return Struct(optional, value.values) if isinstance(value, Struct) else value

    return _Read(optional, take)


def _plain(node: Mapping[str, Any]) -> _Read:
    kind = node["type"]
    logical = node.get("connect.name") or _LOGICAL.get(node.get("logicalType", ""))
    schema = _described(Schema(_SMALL.get(node.get("connect.type", ""), _PLAIN[kind]), name=logical), node)
    take = _fixed(node["size"]) if kind == "fixed" else _symbol(node["symbols"]) if kind == "enum" else _TAKERS[kind]
    if schema.name == DECIMAL:
        scale = int(schema.parameters.get("scale", node.get("scale", 0)))
        return _Read(schema, lambda walk: Decimal(int.from_bytes(take(walk), "big", signed=True)).scaleb(-scale, _WIDE))
    if schema.name == DATE:
        return _Read(schema, lambda walk: JavaDate(take(walk) * MILLIS_PER_DAY))
    if schema.name in (TIME, TIMESTAMP):
        return _Read(schema, lambda walk: JavaDate(take(walk)))
    return _Read(schema, take)


def _described(schema: Schema, node: Mapping[str, Any]) -> Schema:
    """The schema with what Connect has noted beside the Avro type."""
    parameters = {name: str(text) for name, text in (node.get("connect.parameters") or {}).items()}
    described = schema.replace(
        name=node.get("connect.name", schema.name), version=node.get("connect.version"), doc=node.get("connect.doc"),
        parameters=parameters,
    )  # fmt: skip
    if node.get("connect.default") is None:
        return described
    return described.replace(default=_default(described, node["connect.default"]))


def _default(schema: Schema, value: Any) -> Any:
    """A default as JSON holds it, as the schema's value."""
    if schema.type is Type.BYTES:
        data = value.encode("latin-1")
        if schema.name != DECIMAL:
            return data
        return Decimal(int.from_bytes(data, "big", signed=True)).scaleb(
            -int(schema.parameters.get("scale", "0")), _WIDE
        )
    if schema.name == DATE:
        return JavaDate(value * MILLIS_PER_DAY)
    if schema.name in (TIME, TIMESTAMP):
        return JavaDate(value)
    if schema.type is Type.STRUCT:
        return Struct(
            schema, [None if value[f.name] is None else _default(f.schema, value[f.name]) for f in schema.fields]
        )
    return float(value) if schema.type in (Type.FLOAT32, Type.FLOAT64) else value


def _record(node: Mapping[str, Any], named: dict[str, _Read], namespace: str) -> _Read:
    full = _full(node, namespace)
    inside = full.rpartition(".")[0]
    fields: list[tuple[str, Schema]] = []
    takers: list[Take] = []
    for each in node["fields"]:
        read = _of(each["type"], named, inside)
        schema = read.schema
        if schema.default is None and each.get("default") is not None:
            schema = schema.replace(default=_default(schema, each["default"]))
        fields.append((each["name"], schema))
        takers.append(read.take)
    name = None if full == f"{_NAMESPACE}.ConnectDefault" else full
    schema = _described(Schema(Type.STRUCT, name=name, fields=fields), node)

    def take(walk: _Bytes) -> Struct:
        return Struct(schema, [taker(walk) for taker in takers])

    read = named[full] = _Read(schema, take)
    return read


def _array(node: Mapping[str, Any], named: dict[str, _Read], namespace: str) -> _Read:
    item = _of(node["items"], named, namespace)
    entry = node["items"]
    if isinstance(entry, dict) and entry.get("connect.internal.type") == "MapEntry":
        keys, values = (item.schema.fields[place].schema for place in (0, 1))
        pairs = _items(item.take)
        schema = Schema(Type.MAP, key_schema=keys, value_schema=values)
        return _Read(_described(schema, node), lambda walk: {pair.values[0]: pair.values[1] for pair in pairs(walk)})
    return _Read(_described(Schema(Type.ARRAY, value_schema=item.schema), node), _items(item.take))


def _items(take: Take) -> Callable[[_Bytes], list[Any]]:
    def items(walk: _Bytes) -> list[Any]:
        found: list[Any] = []
        while count := walk.block():
            found += [take(walk) for _ in range(count)]
        return found

    return items


def _map(take: Take) -> Take:
    pairs = _items(lambda walk: (_string(walk), take(walk)))
    return lambda walk: dict(pairs(walk))


def _fixed(size: int) -> Take:
    return lambda walk: walk.take(size)


def _symbol(symbols: list[str]) -> Take:
    def symbol(walk: _Bytes) -> str:
        place = walk.long()
        if not 0 <= place < len(symbols):
            raise DataError(f"the Avro value names symbol {place} of {len(symbols)}")
        return symbols[place]

    return symbol


def _string(walk: _Bytes) -> str:
    data = walk.take(walk.long())
    try:
        return data.decode()
    except UnicodeDecodeError:
        raise DataError(f"the Avro value holds a text that is not UTF-8 before byte {walk.offset}") from None


_unpack_double: Final = struct.Struct("<d").unpack
_unpack_float: Final = struct.Struct("<f").unpack

_TAKERS: Final[Mapping[str, Take]] = {
    "int": _Bytes.long, "long": _Bytes.long, "string": _string,
    "bytes": lambda walk: walk.take(walk.long()),
    "boolean": lambda walk: walk.take(1) != b"\0",
    "float": lambda walk: _unpack_float(walk.take(4))[0],
    "double": lambda walk: _unpack_double(walk.take(8))[0],
}  # fmt: skip
