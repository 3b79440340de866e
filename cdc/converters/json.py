"""Connect's JsonConverter, writing side.

Composed once per schema: a schema becomes one function from value to JSON text, so that a record costs calls and no
look-ups. The texts of errors are those of `org.apache.kafka.connect.json.JsonConverter` (Kafka 4.3).
"""

from __future__ import annotations

import base64
from collections.abc import Callable
from decimal import Decimal
from functools import partial
from typing import Any, Final

from cdc.model.javaerrors import DataError, JavaError
from cdc.model.javatypes import Float, class_name, wrap_integer
from cdc.model.schema import DATE, DECIMAL, TIME, TIMESTAMP, JavaDate, Schema, Struct, Type
from cdc.values.javatext import double_text, float_text
from cdc.values.jsontext import quote_text

MILLIS_PER_DAY: Final = 86_400_000
SCHEMAS_KEPT: Final = 20_000
"""Schemas remembered by a converter, nested ones counted too; transforms may make new ones without end."""

Write = Callable[[Any], str]


def decimal_bytes(value: Decimal) -> bytes:
    """The big-endian two's-complement bytes of a decimal's unscaled integer, as `BigInteger.toByteArray`."""
    sign, digits, _ = value.as_tuple()
    unscaled = int("".join(map(str, digits)) or "0")
    if sign:
        unscaled = -unscaled
    return integer_bytes(unscaled)


def integer_bytes(value: int) -> bytes:
    """The fewest big-endian two's-complement bytes of an integer, at least one."""
    length = (value + (value < 0)).bit_length() // 8 + 1
    return value.to_bytes(length, "big", signed=True)


class JsonConverter:
    """Values and schemas to JSON bytes.

    Args:
        schemas_enable: Whether the schema stands beside each payload.
        decimal_numeric: `decimal.format=NUMERIC`: logical Decimals as JSON numbers.
        replace_null_with_default: Whether a null in a field with a default is written as the default.
    """

    def __init__(
        self, *, schemas_enable: bool = True, decimal_numeric: bool = False, replace_null_with_default: bool = True
    ) -> None:
        self.schemas_enable = schemas_enable
        self.decimal_numeric = decimal_numeric
        self.replace_null_with_default = replace_null_with_default
        self._writers: dict[int, tuple[Schema, Write]] = {}
        self._schema_texts: dict[int, tuple[Schema, str]] = {}

    def from_connect(self, schema: Schema | None, value: Any) -> bytes | None:
        """The bytes of a key or value; None for a tombstone.

        Raises:
            DataError: The value does not fit the schema.
        """
        if schema is None and value is None:
            return None
        payload = self.payload(schema, value)
        if not self.schemas_enable:
            return payload.encode()
        return f'{{"schema":{self.schema_text(schema)},"payload":{payload}}}'.encode()

    def payload(self, schema: Schema | None, value: Any) -> str:
        """The payload's JSON text.

        Raises:
            DataError: The value does not fit the schema.
        """
        if schema is None:
            return "null" if value is None else _schemaless(value)
        return self.writer(schema)(value)

    def schema_text(self, schema: Schema | None) -> str:
        """The schema's JSON text, members in JsonConverter's order."""
        if schema is None:
            return "null"
        known = self._schema_texts.get(id(schema))
        if known is None or known[0] is not schema:
            if len(self._schema_texts) >= SCHEMAS_KEPT:
                self._schema_texts.clear()
            known = self._schema_texts[id(schema)] = (schema, self._schema_text(schema, None))
        return known[1]

    def _schema_text(self, schema: Schema, field: str | None) -> str:
        members = [f'"type":"{schema.type.value}"']
        if schema.type is Type.STRUCT:
            fields = ",".join([self._schema_text(member.schema, member.name) for member in schema.fields])
            members.append(f'"fields":[{fields}]')
        elif schema.type is Type.ARRAY:
            members.append(f'"items":{self._member_text(schema.value_schema)}')
        elif schema.type is Type.MAP:
            members.append(f'"keys":{self._member_text(schema.key_schema)}')
            members.append(f'"values":{self._member_text(schema.value_schema)}')
        members.append(f'"optional":{"true" if schema.optional else "false"}')
        if schema.name is not None:
            members.append(f'"name":{quote_text(schema.name)}')
        if schema.version is not None:
            members.append(f'"version":{schema.version}')
        if schema.doc is not None:
            members.append(f'"doc":{quote_text(schema.doc)}')
        if schema.parameters:
            pairs = ",".join([f"{quote_text(key)}:{quote_text(text)}" for key, text in schema.parameters.items()])
            members.append(f'"parameters":{{{pairs}}}')
        if schema.default is not None:
            members.append(f'"default":{self._write_present(schema)(schema.default)}')
        if field is not None:
            members.append(f'"field":{quote_text(field)}')
        return "{" + ",".join(members) + "}"

    def _member_text(self, schema: Schema | None) -> str:
        return "null" if schema is None else self._schema_text(schema, None)

    def _member_writer(self, schema: Schema | None) -> Write:
        return _schemaless if schema is None else self.writer(schema)

    def writer(self, schema: Schema) -> Write:
        """The function that writes values of a schema, composed at the first call."""
        known = self._writers.get(id(schema))
        if known is None or known[0] is not schema:
            if len(self._writers) >= SCHEMAS_KEPT:
                self._writers.clear()
            known = self._writers[id(schema)] = (schema, self._compose(schema))
        return known[1]

    def _compose(self, schema: Schema) -> Write:
        write = self._write_present(schema)
        default = schema.default
        if default is not None and self.replace_null_with_default:
            text = write(default)
            return lambda value: text if value is None else write(value)
        if schema.optional:
            return lambda value: "null" if value is None else write(value)

        def required(value: Any) -> str:
            if value is None:
                raise DataError("Conversion error: null value for field that is required and has no default value")
            return write(value)

        return required

    def _write_present(self, schema: Schema) -> Write:
        logical = self._logical(schema)
        if logical is not None:
            return logical
        match schema.type:
            case Type.STRUCT:
                return self._struct(schema)
            case Type.ARRAY:
                return self._array(schema)
            case Type.MAP:
                return self._map(schema)
            case _:
                return _PRIMITIVE[schema.type]

    def _logical(self, schema: Schema) -> Write | None:
        if schema.name == DECIMAL:
            return self._decimal(schema)
        write = _DATES.get(schema.name or "")
        return None if write is None else partial(write, schema)

    def _decimal(self, schema: Schema) -> Write:
        scale = int(schema.parameters.get("scale", "0"))

        def write(value: Any) -> str:
            if not isinstance(value, Decimal):
                raise DataError(
                    f"Invalid type for Decimal, expected BigDecimal but was class {class_name(value, schema)}"
                )
            exponent = value.as_tuple().exponent
            if not isinstance(exponent, int):
                raise DataError(f"{value} is not a finite decimal")
            if self.decimal_numeric:
                return str(value)
            if -exponent != scale:
                raise DataError(
                    "Decimal value has mismatching scale for given Decimal schema. "
                    f"Schema has scale {scale}, value has scale {-exponent}."
                )
            return f'"{base64.b64encode(decimal_bytes(value)).decode()}"'

        return write

    def _struct(self, schema: Schema) -> Write:
        members = [(f"{quote_text(field.name)}:", self.writer(field.schema)) for field in schema.fields]

        def write(value: Any) -> str:
            if not isinstance(value, Struct):
                raise _wrong_type(schema.type, value)
            if value.schema is not schema and value.schema != schema:
                raise DataError("Mismatching schema.")
            return (
                "{"
                + ",".join([name + member(item) for (name, member), item in zip(members, value.values, strict=True)])
                + "}"
            )

        return write

    def _array(self, schema: Schema) -> Write:
        item = self._member_writer(schema.value_schema)

        def write(value: Any) -> str:
            if not isinstance(value, (list, tuple)):
                raise _wrong_type(Type.ARRAY, value)
            return "[" + ",".join([item(member) for member in value]) + "]"

        return write

    def _map(self, schema: Schema) -> Write:
        if schema.key_schema is None:
            return _without_key_schema
        key, item = self.writer(schema.key_schema), self._member_writer(schema.value_schema)
        texts = schema.key_schema.type is Type.STRING

        def write(value: Any) -> str:
            if not isinstance(value, dict):
                raise _wrong_type(Type.MAP, value)
            if texts:
                members = [f"{quote_text('null' if k is None else k)}:{item(v)}" for k, v in value.items()]
                return "{" + ",".join(members) + "}"
            return "[" + ",".join([f"[{key(k)},{item(v)}]" for k, v in value.items()]) + "]"

        return write


def _without_key_schema(_: Any) -> str:
    raise JavaError(
        'Cannot invoke "org.apache.kafka.connect.data.Schema.type()" because the return value of '
        '"org.apache.kafka.connect.data.Schema.keySchema()" is null',
        "NullPointerException",
    )


def _wrong_type(type: Type, value: Any) -> DataError:
    return DataError(f"Invalid type for {type.name}: class {class_name(value)}")


def _boolean(value: Any) -> str:
    if value is not True and value is not False:
        raise _wrong_type(Type.BOOLEAN, value)
    return "true" if value else "false"


def _integer(type: Type) -> Write:
    def write(value: Any) -> str:
        if not isinstance(value, int) or isinstance(value, (bool, JavaDate)):
            raise _wrong_type(type, value)
        return str(value)

    return write


def _double(value: Any) -> str:
    if not isinstance(value, float):
        raise _wrong_type(Type.FLOAT64, value)
    text = double_text(value)
    return text if text[-1].isdigit() else f'"{text}"'


def _float(value: Any) -> str:
    if not isinstance(value, float):
        raise _wrong_type(Type.FLOAT32, value)
    text = float_text(value)
    return text if text[-1].isdigit() else f'"{text}"'


def _string(value: Any) -> str:
    if not isinstance(value, str):
        raise _wrong_type(Type.STRING, value)
    return quote_text(value)


def _bytes(value: Any) -> str:
    if not isinstance(value, (bytes, bytearray, memoryview)):
        raise DataError(f"Invalid type for bytes type: class {class_name(value)}")
    return f'"{base64.b64encode(value).decode()}"'


_PRIMITIVE: Final[dict[Type, Write]] = {
    Type.BOOLEAN: _boolean, Type.INT8: _integer(Type.INT8), Type.INT16: _integer(Type.INT16),
    Type.INT32: _integer(Type.INT32), Type.INT64: _integer(Type.INT64), Type.FLOAT32: _float,
    Type.FLOAT64: _double, Type.STRING: _string, Type.BYTES: _bytes,
}  # fmt: skip


def _java_date(schema: Schema, value: Any, kind: str) -> int:
    if not isinstance(value, JavaDate):
        raise DataError(f"Invalid type for {kind}, expected Date but was class {class_name(value, schema)}")
    return int(value)


def _date(schema: Schema, value: Any) -> str:
    millis = _java_date(schema, value, "Date")
    if millis % MILLIS_PER_DAY:
        raise DataError("Kafka Connect Date type should not have any time fields set to non-zero values.")
    return str(wrap_integer(millis // MILLIS_PER_DAY, 32))


def _time(schema: Schema, value: Any) -> str:
    millis = _java_date(schema, value, "Time")
    if not 0 <= millis <= MILLIS_PER_DAY:  # Java lets the end of the day pass
        raise DataError("Kafka Connect Time type should not have any date fields set to non-zero values.")
    return str(millis)


def _timestamp(schema: Schema, value: Any) -> str:
    return str(_java_date(schema, value, "Timestamp"))


_DATES: Final = {DATE: _date, TIME: _time, TIMESTAMP: _timestamp}


def _schemaless(value: Any) -> str:
    """A value without a schema, by its own type."""
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, (JavaDate, Decimal)):
        raise _no_schema_type(value)
    if isinstance(value, int):
        return str(value)
    if isinstance(value, float):
        return _float(value) if isinstance(value, Float) else _double(value)
    if isinstance(value, str):
        return quote_text(value)
    if isinstance(value, (bytes, bytearray, memoryview)):
        return _bytes(value)
    if isinstance(value, dict):
        if all(isinstance(key, str) for key in value):
            return "{" + ",".join([f"{quote_text(k)}:{_schemaless(v)}" for k, v in value.items()]) + "}"
        return "[" + ",".join([f"[{_schemaless(k)},{_schemaless(v)}]" for k, v in value.items()]) + "]"
    if isinstance(value, (list, tuple)):
        return "[" + ",".join([_schemaless(item) for item in value]) + "]"
    if isinstance(value, Struct):
        raise JavaError('Cannot invoke "Object.equals(Object)" because "schema" is null', "NullPointerException")
    raise _no_schema_type(value)


def _no_schema_type(value: Any) -> DataError:
    return DataError(f"Java class class {class_name(value)} does not have corresponding schema type.")
