"""Connect's JsonConverter, reading side: JSON documents to schemas and values, coercions and all.

A schema document becomes one `Schema` object, the same for the same document, and one function that reads values of
it. The texts of errors are those of `org.apache.kafka.connect.json.JsonConverter` (Kafka 4.3).
"""

from __future__ import annotations

import base64
import binascii
import json
import re
from collections.abc import Callable
from decimal import Decimal
from typing import Any, Final, NoReturn

from cdc.converters.json import SCHEMAS_KEPT
from cdc.model.javaerrors import DataError, SchemaBuilderError
from cdc.model.javatypes import double_value, float_value, int_value, long_value, wrap_integer
from cdc.model.schema import DATE, DECIMAL, TIME, TIMESTAMP, JavaDate, Schema, Struct, Type
from cdc.model.validation import null_refused, validate_value
from cdc.values.javacalendar import MILLIS_PER_DAY

Read = Callable[[Any], Any]

_WORDS: Final = {type.value: type for type in Type}
_LEADING_ZEROS: Final = re.compile(rb'"(?:[^"\\]|\\.)*"|(?<![0-9.eE+\-])(-?)0+(?=[0-9])')
_ENVELOPE_REFUSED: Final = (
    'JsonConverter with schemas.enable requires "schema" and "payload" fields and may not contain additional fields. '
    "If you are trying to deserialize plain JSON data, set schemas.enable=false in your converter configuration."
)
_UNREADABLE: Final = "Converting byte[] to Kafka Connect data failed due to serialization error: "


def parse_json(data: bytes) -> Any:
    """One JSON document as Jackson reads it there: leading zeros pass, what follows the document is ignored.

    Fractions come as `Decimal`.

    Raises:
        DataError: It is not JSON.
    """
    text = data
    if re.search(rb"(?<![0-9.eE+])0[0-9]", data):
        text = _LEADING_ZEROS.sub(lambda found: found[1] or b"" if found[0][:1] != b'"' else found[0], data)
    try:
        return _DECODER.raw_decode(text.decode("utf-8").lstrip("\ufeff \t\r\n"))[0]
    except (ValueError, RecursionError) as error:
        raise DataError(_UNREADABLE) from error


def _refuse_constant(word: str) -> NoReturn:
    raise ValueError(f"{word} is not JSON")


_DECODER: Final = json.JSONDecoder(parse_float=Decimal, parse_constant=_refuse_constant)


class JsonReader:
    """JSON bytes to schemas and values.

    Args:
        schemas_enable: Whether each document is `{"schema", "payload"}`.
        replace_null_with_default: Whether a null in a field with a default is read as the default.
        schema_content: `schema.content`: the schema of every document, whose whole text then is the payload.
    """

    def __init__(
        self,
        *,
        schemas_enable: bool = True,
        replace_null_with_default: bool = True,
        schema_content: bytes | None = None,
    ) -> None:
        self.schemas_enable = schemas_enable
        self.replace_null_with_default = replace_null_with_default
        self._schemas: dict[str, Schema] = {}
        self._readers: dict[int, tuple[Schema, Read]] = {}
        self._fixed = None if schema_content is None else self.schema(parse_json(schema_content))

    def to_connect(self, data: bytes | None) -> tuple[Schema | None, Any]:
        """The schema and value of a key, value or header.

        Raises:
            DataError: It cannot be read.
        """
        if data is None:
            return None, None
        if not data and not self.schemas_enable:
            return None, None
        if not data.strip():
            raise DataError(_ENVELOPE_REFUSED)
        document = parse_json(data)
        if not self.schemas_enable:
            return None, schemaless(document)
        if self._fixed is not None:
            return self._fixed, self.reader(self._fixed)(document)
        return self.from_document(document)

    def from_document(self, document: Any) -> tuple[Schema | None, Any]:
        """The schema and value of a parsed `{"schema", "payload"}` document.

        Raises:
            DataError: It cannot be read.
        """
        if not isinstance(document, dict) or document.keys() != {"schema", "payload"}:
            raise DataError(_ENVELOPE_REFUSED)
        schema = self.schema(document["schema"])
        return schema, self.value(schema, document["payload"])

    def value(self, schema: Schema | None, payload: Any) -> Any:
        """The value of a parsed payload.

        Raises:
            DataError: It does not fit the schema.
        """
        return schemaless(payload) if schema is None else self.reader(schema)(payload)

    def schema(self, document: Any) -> Schema | None:
        """The schema that a parsed schema document describes; None for null.

        Raises:
            DataError: It describes none.
        """
        if document is None:
            return None
        text = json.dumps(document, sort_keys=True, default=str)
        known = self._schemas.get(text)
        if known is None:
            if len(self._schemas) >= SCHEMAS_KEPT:
                self._schemas.clear()
            known = self._schemas[text] = self._schema(document)
        return known

    def reader(self, schema: Schema) -> Read:
        """The function that reads values of a schema, composed at the first call."""
        known = self._readers.get(id(schema))
        if known is None or known[0] is not schema:
            if len(self._readers) >= SCHEMAS_KEPT:
                self._readers.clear()
            known = self._readers[id(schema)] = (schema, self._compose(schema))
        return known[1]

    def _schema(self, document: Any) -> Schema:
        word = document.get("type") if isinstance(document, dict) else None
        if not isinstance(word, str):
            raise DataError("Schema must contain 'type' field")
        type = _WORDS.get(word)
        if type is None:
            raise DataError(f"Unknown schema type: {word}")
        parts: dict[str, Any] = {}
        if type is Type.ARRAY:
            if document.get("items") is None:
                raise DataError("Array schema did not specify the element type")
            parts["value_schema"] = self.schema(document["items"])
        elif type is Type.MAP:
            parts |= self._map_parts(document)
        elif type is Type.STRUCT:
            parts["fields"] = self._fields(document.get("fields"))
        parts["optional"] = document.get("optional") is True
        for name in ("name", "doc"):
            if isinstance(document.get(name), str):
                parts[name] = document[name]
        version = document.get("version")
        if isinstance(version, int) and not isinstance(version, bool):
            parts["version"] = wrap_integer(version, 32)
        parameters = document.get("parameters")
        if isinstance(parameters, dict):
            if not all(isinstance(text, str) for text in parameters.values()):
                raise DataError("Schema parameters must have string values.")
            parts["parameters"] = parameters
        schema = Schema(type, **parts)
        if "default" not in document:
            return schema
        default = self._compose(schema)(document["default"])
        try:
            validate_value(schema, default)
        except DataError as error:
            raise SchemaBuilderError("Invalid default value") from error
        return schema.replace(default=default)

    def _map_parts(self, document: dict[str, Any]) -> dict[str, Schema]:
        parts: dict[str, Schema] = {}
        for member, part in (("keys", "key"), ("values", "value")):
            if member not in document:
                raise DataError(f"Map schema did not specify the {part} type")
        for member, part in (("keys", "key"), ("values", "value")):
            schema = self.schema(document[member])
            if schema is None:
                raise SchemaBuilderError(f"{part}Schema cannot be null.")
            parts[f"{part}_schema"] = schema
        return parts

    def _fields(self, documents: Any) -> list[tuple[str, Schema]]:
        if not isinstance(documents, list):
            raise DataError('Struct schema\'s "fields" argument is not an array.')
        fields: dict[str, Schema] = {}
        for document in documents:
            name = document.get("field") if isinstance(document, dict) else None
            if not isinstance(name, str):
                raise DataError("Struct schema's field name not specified properly")
            schema = self.schema({key: member for key, member in document.items() if key != "field"})
            assert schema is not None
            if not name:
                raise SchemaBuilderError("fieldName cannot be null.")
            if name in fields:
                raise SchemaBuilderError(f"Cannot create field because of field name duplication {name}")
            fields[name] = schema
        return list(fields.items())

    def _compose(self, schema: Schema) -> Read:
        read = self._present(schema)
        default, optional = schema.default, schema.optional
        if default is not None and self.replace_null_with_default:
            return lambda node: default if node is None else read(node)
        if optional:
            return lambda node: None if node is None else read(node)
        type = schema.type.name

        def required(node: Any) -> Any:
            if node is None:
                raise DataError(f"Invalid null value for required {type} field")
            return read(node)

        return required

    def _present(self, schema: Schema) -> Read:
        logical = _LOGICAL.get(schema.name or "")
        if logical is not None:
            return logical(schema)
        match schema.type:
            case Type.STRUCT:
                return self._struct(schema)
            case Type.ARRAY:
                return self._array(schema)
            case Type.MAP:
                return self._map(schema)
            case _:
                return _PRIMITIVE[schema.type]

    def _struct(self, schema: Schema) -> Read:
        members = [(field.name, self.reader(field.schema), field.schema) for field in schema.fields]
        nested = {field.name for field in schema.fields if field.schema.type in (Type.ARRAY, Type.MAP)}

        def read(node: Any) -> Struct:
            if not isinstance(node, dict):
                raise DataError(f"Structs should be encoded as JSON objects, but found {_node_type(node)}")
            values = []
            for name, member, member_schema in members:
                value = member(node.get(name))
                if value is None:
                    if not member_schema.optional:
                        raise null_refused(f'field: "{name}"', member_schema)
                elif name in nested:
                    validate_value(member_schema, value, f'field: "{name}"')
                values.append(value)
            return Struct(schema, values)

        return read

    def _array(self, schema: Schema) -> Read:
        assert schema.value_schema is not None
        item = self.reader(schema.value_schema)

        def read(node: Any) -> list[Any]:
            members = node if isinstance(node, list) else list(node.values()) if isinstance(node, dict) else []
            return [item(member) for member in members]

        return read

    def _map(self, schema: Schema) -> Read:
        assert schema.key_schema is not None
        assert schema.value_schema is not None
        key, item = self.reader(schema.key_schema), self.reader(schema.value_schema)
        texts = schema.key_schema.type is Type.STRING

        def read(node: Any) -> dict[Any, Any]:
            if texts:
                if not isinstance(node, dict):
                    raise DataError(
                        f"Maps with string fields should be encoded as JSON objects, but found {_node_type(node)}"
                    )
                return {name: item(member) for name, member in node.items()}
            if not isinstance(node, list):
                raise DataError(
                    "Maps with non-string fields should be encoded as JSON array of tuples, "
                    f"but found {_node_type(node)}"
                )
            entries: dict[Any, Any] = {}
            for entry in node:
                if not isinstance(entry, list):
                    raise DataError(f"Found invalid map entry instead of array tuple: {_node_type(entry)}")
                if len(entry) != 2:
                    raise DataError(f"Found invalid map entry, expected length 2 but found :{len(entry)}")
                entries[key(entry[0])] = item(entry[1])
            return entries

        return read


def schemaless(node: Any) -> Any:
    """A parsed JSON value as Connect takes it without a schema: whole numbers are Longs, others Doubles."""
    if isinstance(node, dict):
        return {name: schemaless(member) for name, member in node.items()}
    if isinstance(node, list):
        return [schemaless(member) for member in node]
    if isinstance(node, Decimal):
        return double_value(node)
    if isinstance(node, int) and not isinstance(node, bool):
        return long_value(node)
    return node


def _node_type(node: Any) -> str:
    if isinstance(node, bool):
        return "BOOLEAN"
    if node is None:
        return "NULL"
    if isinstance(node, dict):
        return "OBJECT"
    if isinstance(node, list):
        return "ARRAY"
    return "STRING" if isinstance(node, str) else "NUMBER"


def _number(node: Any) -> Any:
    """The node as a number; everything else counts as 0, as in Jackson."""
    return node if isinstance(node, (int, Decimal)) and not isinstance(node, bool) else 0


def _bytes_of(node: Any) -> bytes | None:
    if not isinstance(node, str):
        return None
    try:
        return base64.b64decode("".join(node.split()), validate=True)
    except (binascii.Error, ValueError) as error:
        raise DataError("Invalid bytes field") from error


def _decimal(schema: Schema) -> Read:
    def read(node: Any) -> Any:
        if isinstance(node, (int, Decimal)) and not isinstance(node, bool):
            return Decimal(node)
        if not isinstance(node, str):
            raise DataError(
                "Invalid type for Decimal, underlying representation should be numeric or bytes "
                f"but was {_node_type(node)}"
            )
        try:
            unscaled = base64.b64decode("".join(node.split()), validate=True)
            scale = int(schema.parameters["scale"])
        except (binascii.Error, ValueError, KeyError) as error:
            raise DataError("Invalid bytes for Decimal field") from error
        if not unscaled:
            raise DataError("Invalid bytes for Decimal field")
        return decimal_of(int.from_bytes(unscaled, "big", signed=True), scale)

    return read


def decimal_of(unscaled: int, scale: int) -> Decimal:
    """The decimal of an unscaled integer, scale kept."""
    return Decimal((unscaled < 0, tuple(map(int, str(abs(unscaled)))), -scale))


def _is_int(node: Any, bits: int) -> bool:
    return isinstance(node, int) and not isinstance(node, bool) and -(1 << (bits - 1)) <= node < 1 << (bits - 1)


def _date(_: Schema) -> Read:
    def read(node: Any) -> JavaDate:
        if not _is_int(node, 32):
            raise DataError(
                f"Invalid type for Date, underlying representation should be integer but was {_node_type(node)}"
            )
        return JavaDate(node * MILLIS_PER_DAY)

    return read


def _time(_: Schema) -> Read:
    def read(node: Any) -> JavaDate:
        if not _is_int(node, 32):
            raise DataError(
                f"Invalid type for Time, underlying representation should be integer but was {_node_type(node)}"
            )
        if not 0 <= node <= MILLIS_PER_DAY:
            raise DataError("Time values must use number of milliseconds greater than 0 and less than 86400000")
        return JavaDate(node)

    return read


def _timestamp(_: Schema) -> Read:
    def read(node: Any) -> JavaDate:
        if not isinstance(node, int) or isinstance(node, bool):
            raise DataError(
                f"Invalid type for Timestamp, underlying representation should be integral but was {_node_type(node)}"
            )
        return JavaDate(wrap_integer(node, 64))

    return read


_LOGICAL: Final[dict[str, Callable[[Schema], Read]]] = {
    DECIMAL: _decimal, DATE: _date, TIME: _time, TIMESTAMP: _timestamp,
}  # fmt: skip
_PRIMITIVE: Final[dict[Type, Read]] = {
    Type.BOOLEAN: lambda node: node if isinstance(node, bool) else False,
    Type.INT8: lambda node: wrap_integer(int_value(_number(node)), 8),
    Type.INT16: lambda node: wrap_integer(int_value(_number(node)), 16),
    Type.INT32: lambda node: int_value(_number(node)),
    Type.INT64: lambda node: long_value(_number(node)),
    Type.FLOAT32: lambda node: float_value(_number(node)),
    Type.FLOAT64: lambda node: double_value(_number(node)),
    Type.STRING: lambda node: node if isinstance(node, str) else None,
    Type.BYTES: _bytes_of,
}
