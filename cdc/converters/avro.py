"""Connect schemas and values as Avro, in the form of Confluent's AvroConverter.

A message is a zero byte, the schema's id in the registry (four bytes, big-endian), and Avro's binary encoding. The
writer is composed once per schema: one function per field that appends bytes, and no look-ups per record.

Source: Avro 1.11 specification, "Binary Encoding"; `io.confluent.connect.avro.AvroData` 7.0 for the mapping.
"""

from __future__ import annotations

import json
import re
import struct
from collections.abc import Callable, Mapping
from decimal import Decimal
from typing import Any, Final, Protocol

from cdc.converters.json import MILLIS_PER_DAY, decimal_bytes
from cdc.model.javaerrors import DataError
from cdc.model.schema import DATE, DECIMAL, TIME, TIMESTAMP, JavaDate, Schema, Struct, Type

Append = Callable[[bytearray, Any], None]

_PLAIN: Final = {
    Type.INT8: "int", Type.INT16: "int", Type.INT32: "int", Type.INT64: "long", Type.FLOAT32: "float",
    Type.FLOAT64: "double", Type.BOOLEAN: "boolean", Type.STRING: "string", Type.BYTES: "bytes",
}  # fmt: skip
_LOGICAL: Final = {DECIMAL: "decimal", DATE: "date", TIME: "time-millis", TIMESTAMP: "timestamp-millis"}
_NAME: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_DEFAULT_PRECISION: Final = 64
_MAP_ENTRY: Final = "MapEntry"
_NAMESPACE: Final = "io.confluent.connect.avro"


class Registry(Protocol):
    """Where schemas get their ids."""

    def register(self, subject: str, schema: str) -> int:
        """The id of a schema under a subject."""


class AvroSchemas:
    """Connect schemas as Avro schemas.

    Args:
        scrub: `scrub.invalid.names`: illegal characters in names become `_` instead of an error.
    """

    def __init__(self, *, scrub: bool = False) -> None:
        self.scrub = scrub

    def text(self, schema: Schema) -> str:
        """The Avro schema as JSON.

        Raises:
            DataError: A name that Avro does not allow.
        """
        return json.dumps(self._of(schema, {}), separators=(",", ":"), ensure_ascii=False)

    def _of(self, schema: Schema, named: dict[str, Schema]) -> Any:
        inner = self._inner(schema, named)
        if not schema.optional:
            return inner
        return [inner, "null"] if schema.default is not None else ["null", inner]

    def _inner(self, schema: Schema, named: dict[str, Schema]) -> Any:
        if schema.type is Type.STRUCT:
            return self._record(schema, named)
        document: dict[str, Any]
        if schema.type is Type.ARRAY:
            assert schema.value_schema is not None
            document = {"type": "array", "items": self._of(schema.value_schema, named)}
        elif schema.type is Type.MAP:
            document = self._map(schema, named)
        else:
            document = {"type": _PLAIN[schema.type]}
            if schema.type in (Type.INT8, Type.INT16):
                document["connect.type"] = schema.type.value
        self._describe(document, schema)
        return document["type"] if set(document) == {"type"} else document

    def _describe(self, document: dict[str, Any], schema: Schema) -> None:
        if schema.name == DECIMAL:
            document["scale"] = int(schema.parameters.get("scale", "0"))
            document["precision"] = int(schema.parameters.get("connect.decimal.precision", _DEFAULT_PRECISION))
        if schema.version is not None:
            document["connect.version"] = schema.version
        if schema.parameters:
            document["connect.parameters"] = schema.parameters
        if schema.default is not None:
            document["connect.default"] = _json_default(schema)
        if schema.doc is not None:
            document["connect.doc"] = schema.doc
        if schema.name is not None:
            document["connect.name"] = schema.name
        if schema.name in _LOGICAL:
            document["logicalType"] = _LOGICAL[schema.name]

    def _map(self, schema: Schema, named: dict[str, Schema]) -> dict[str, Any]:
        assert schema.key_schema is not None
        assert schema.value_schema is not None
        if schema.key_schema.type is Type.STRING and not schema.key_schema.optional:
            return {"type": "map", "values": self._of(schema.value_schema, named)}
        entry = {
            "type": "record", "name": _MAP_ENTRY, "namespace": _NAMESPACE,
            "fields": [
                {"name": "key", "type": self._of(schema.key_schema, named)},
                {"name": "value", "type": self._of(schema.value_schema, named)},
            ],
            "connect.internal.type": "MapEntry",
        }  # fmt: skip
        return {"type": "array", "items": entry}

    def _record(self, schema: Schema, named: dict[str, Schema]) -> Any:
        full = self._full_name(schema.name or f"{_NAMESPACE}.ConnectDefault")
        known = named.get(full)
        if known is not None and known.as_required() == schema.as_required():
            return full
        while full in named:
            # The same name with other fields (a `before` whose columns are all optional) needs one of its own.
            full += "_"
        named[full] = schema
        namespace, _, name = full.rpartition(".")
        document: dict[str, Any] = {"type": "record", "name": name}
        if namespace:
            document["namespace"] = namespace
        document["fields"] = [self._field(field.name, field.schema, named) for field in schema.fields]
        if schema.version is not None:
            document["connect.version"] = schema.version
        if schema.parameters:
            document["connect.parameters"] = schema.parameters
        if schema.name is not None:
            document["connect.name"] = schema.name
        return document

    def _field(self, name: str, schema: Schema, named: dict[str, Schema]) -> dict[str, Any]:
        field: dict[str, Any] = {"name": self._legal(name), "type": self._of(schema, named)}
        if schema.default is not None:
            field["default"] = _json_default(schema)
        elif schema.optional:
            field["default"] = None
        return field

    def _full_name(self, name: str) -> str:
        return ".".join(self._legal(part) for part in name.split("."))

    def _legal(self, name: str) -> str:
        if _NAME.fullmatch(name):
            return name
        if not self.scrub:
            raise DataError(
                f"{name!r} is no Avro name; set schema.name.adjustment.mode and field.name.adjustment.mode to avro"
            )
        clean = re.sub(r"[^A-Za-z0-9_]", "_", name)
        return clean if _NAME.match(clean) else "_" + clean


def _json_default(schema: Schema) -> Any:
    value = schema.default
    if isinstance(value, Decimal):
        value = decimal_bytes(value)
    if isinstance(value, (bytes, bytearray)):
        return bytes(value).decode("latin-1")
    if isinstance(value, JavaDate):
        return int(value) // MILLIS_PER_DAY if schema.name == DATE else int(value)
    if isinstance(value, Struct):
        return {
            f.name: _json_default(f.schema.replace(default=item)) for f, item in zip(value.schema.fields, value.values, strict=True)
        }  # fmt: skip
    return value


# -- values ------------------------------------------------------------------------------------------------------------


def _long(out: bytearray, value: int) -> None:
    """Zig-zag, then seven bits a byte."""
    number = (value << 1) ^ (value >> 63)
    while number > 0x7F:
        out.append((number & 0x7F) | 0x80)
        number >>= 7
    out.append(number)


def _integer(out: bytearray, value: Any) -> None:
    if not isinstance(value, int) or isinstance(value, bool):
        raise DataError(f"Invalid type for an integer: {type(value).__name__}")
    _long(out, value)


def _string(out: bytearray, value: Any) -> None:
    data = value.encode("utf-8", "replace")
    _long(out, len(data))
    out += data


def _bytes(out: bytearray, value: Any) -> None:
    _long(out, len(value))
    out += value


def _boolean(out: bytearray, value: Any) -> None:
    out.append(1 if value else 0)


_pack_double = struct.Struct("<d").pack
_pack_float = struct.Struct("<f").pack


def _double(out: bytearray, value: Any) -> None:
    out += _pack_double(value)


def _float(out: bytearray, value: Any) -> None:
    out += _pack_float(value)


def _decimal(out: bytearray, value: Any) -> None:
    _bytes(out, decimal_bytes(value))


def _date(out: bytearray, value: Any) -> None:
    _long(out, int(value) // MILLIS_PER_DAY)


_WRITERS: Final[Mapping[Type, Append]] = {
    Type.INT8: _integer, Type.INT16: _integer, Type.INT32: _integer, Type.INT64: _integer, Type.FLOAT32: _float,
    Type.FLOAT64: _double, Type.BOOLEAN: _boolean, Type.STRING: _string, Type.BYTES: _bytes,
}  # fmt: skip


def compose(schema: Schema, *, null_as_default: bool = True) -> Append:
    """The function that appends values of a schema.

    Args:
        schema: The Connect schema.
        null_as_default: Whether a null in a field with a default is written as the default.
    """
    write = _present(schema, null_as_default=null_as_default)
    if not schema.optional:
        return _required(write, schema)
    has_default = schema.default is not None
    # A union writes the branch's index first: null stands first unless a default does.
    null_branch, value_branch = (b"\x02", b"\x00") if has_default else (b"\x00", b"\x02")
    default = schema.default if null_as_default else None

    def optional(out: bytearray, value: Any) -> None:
        if value is None:
            value = default
        if value is None:
            out += null_branch
        else:
            out += value_branch
            write(out, value)

    return optional


def _required(write: Append, schema: Schema) -> Append:
    default = schema.default

    def required(out: bytearray, value: Any) -> None:
        if value is None:
            value = default
        if value is None:
            raise DataError("Conversion error: null value for field that is required and has no default value")
        write(out, value)

    return required


def _present(schema: Schema, *, null_as_default: bool) -> Append:
    if schema.name == DECIMAL:
        return _decimal
    if schema.name == DATE:
        return _date
    if schema.name in (TIME, TIMESTAMP):
        return _long
    if schema.type is Type.STRUCT:
        members = [compose(field.schema, null_as_default=null_as_default) for field in schema.fields]

        def write_struct(out: bytearray, value: Struct) -> None:
            for member, item in zip(members, value.values, strict=True):
                member(out, item)

        return write_struct
    if schema.type is Type.ARRAY:
        assert schema.value_schema is not None
        item = compose(schema.value_schema, null_as_default=null_as_default)
        return _blocks(item)
    if schema.type is Type.MAP:
        assert schema.key_schema is not None
        assert schema.value_schema is not None
        key = compose(schema.key_schema, null_as_default=null_as_default)
        member = compose(schema.value_schema, null_as_default=null_as_default)

        def entry(out: bytearray, pair: tuple[Any, Any]) -> None:
            key(out, pair[0])
            member(out, pair[1])

        blocks = _blocks(entry)
        return lambda out, value: blocks(out, list(value.items()))
    return _WRITERS[schema.type]


def _blocks(write: Append) -> Append:
    """An array or map: one block with its count, then an empty one."""

    def blocks(out: bytearray, items: Any) -> None:
        if items:
            _long(out, len(items))
            for item in items:
                write(out, item)
        out.append(0)

    return blocks


SubjectName = Callable[[str, Schema, bool], str]
"""Topic, schema, whether it is a key -> subject."""


def topic_name(topic: str, _schema: Schema, key: bool) -> str:
    """TopicNameStrategy."""
    return f"{topic}-{'key' if key else 'value'}"


def record_name(_topic: str, schema: Schema, _key: bool) -> str:
    """RecordNameStrategy."""
    return schema.name or f"{_NAMESPACE}.ConnectDefault"


def topic_record_name(topic: str, schema: Schema, key: bool) -> str:
    """TopicRecordNameStrategy."""
    return f"{topic}-{record_name(topic, schema, key)}"


STRATEGIES: Final[Mapping[str, SubjectName]] = {
    "TopicNameStrategy": topic_name,
    "RecordNameStrategy": record_name,
    "TopicRecordNameStrategy": topic_record_name,
}


class AvroConverter:
    """Values to Avro with a registry.

    Args:
        registry: Gives ids.
        key: Whether it writes keys.
        subject: Names subjects.
        schemas: Makes Avro schemas.
        null_as_default: Whether a null in a field with a default is written as the default.
    """

    def __init__(
        self, registry: Registry, *, key: bool, subject: SubjectName = topic_name, schemas: AvroSchemas | None = None,
        null_as_default: bool = True,
    ) -> None:  # fmt: skip
        self.registry = registry
        self.key = key
        self.subject = subject
        self.schemas = schemas or AvroSchemas()
        self.null_as_default = null_as_default
        self._known: dict[tuple[str, int], tuple[Schema, bytes, Append]] = {}

    def from_connect(self, topic: str, schema: Schema | None, value: Any) -> bytes | None:
        """The bytes of a key or value; None for a tombstone.

        Raises:
            DataError: The value does not fit the schema.
            SeamError: The registry refuses the schema, or cannot be reached.
        """
        if schema is None:
            if value is None:
                return None
            raise DataError("Avro needs a schema, and the record has none")
        known = self._writer(topic, schema)
        out = bytearray(known[1])
        known[2](out, value)
        return bytes(out)

    def head(self, topic: str, schema: Schema) -> bytes:
        """What stands before each value of a schema: a zero byte and the schema's id.

        Raises:
            DataError: A name that Avro does not allow.
            SeamError: The registry refuses the schema, or cannot be reached.
        """
        return self._writer(topic, schema)[1]

    def _writer(self, topic: str, schema: Schema) -> tuple[Schema, bytes, Append]:
        known = self._known.get((topic, id(schema)))
        if known is None or known[0] is not schema:
            known = self._known[topic, id(schema)] = self._compose(topic, schema)
        return known

    def _compose(self, topic: str, schema: Schema) -> tuple[Schema, bytes, Append]:
        identity = self.registry.register(self.subject(topic, schema, self.key), self.schemas.text(schema))
        head = b"\x00" + identity.to_bytes(4, "big")
        return schema, head, compose(schema, null_as_default=self.null_as_default)
