"""Whether a value fits a schema: `ConnectSchema.validateValue`, with its texts."""

from __future__ import annotations

from decimal import Decimal
from typing import Any, Final

from cdc.model.javaerrors import DataError
from cdc.model.javatypes import class_name
from cdc.model.schema import DATE, DECIMAL, TIME, TIMESTAMP, JavaDate, Schema, Struct, Type

_LOGICAL: Final[dict[str, type]] = {DECIMAL: Decimal, DATE: JavaDate, TIME: JavaDate, TIMESTAMP: JavaDate}
_PYTHON: Final[dict[Type, tuple[type, ...]]] = {
    Type.INT8: (int,), Type.INT16: (int,), Type.INT32: (int,), Type.INT64: (int,), Type.FLOAT32: (float,),
    Type.FLOAT64: (float,), Type.BOOLEAN: (bool,), Type.STRING: (str,), Type.BYTES: (bytes, bytearray, memoryview),
    Type.ARRAY: (list, tuple), Type.MAP: (dict,), Type.STRUCT: (Struct,),
}  # fmt: skip
_INTEGERS: Final = frozenset({Type.INT8, Type.INT16, Type.INT32, Type.INT64})


def fits(schema: Schema, value: Any) -> bool:
    """Whether the value's class is one that the schema takes; members are not looked at."""
    logical = _LOGICAL.get(schema.name or "")
    if logical is not None:
        return isinstance(value, logical)
    if schema.type in _INTEGERS and isinstance(value, (bool, JavaDate)):
        return False
    return isinstance(value, _PYTHON[schema.type])


def null_refused(location: str, schema: Schema) -> DataError:
    """The error of a null that a required schema is given."""
    return DataError(f"Invalid value: null used for required {location}, schema type: {schema.type.name}")


def validate_value(schema: Schema, value: Any, location: str = "value", *, given: Schema | None = None) -> None:
    """Check a value and all its members.

    Args:
        schema: The schema.
        value: The value.
        location: How messages name it, as `field: "id"`.
        given: The schema that the value came with, where that is another one: it tells an Integer from a Long.

    Raises:
        DataError: It does not fit.
    """
    if value is None:
        if not schema.optional:
            raise null_refused(location, schema)
        return
    if not fits(schema, value) or (given is not None and _other_number(schema, given, value)):
        named = f' "{schema.name}"' if schema.name is not None else ""
        raise DataError(
            f"Invalid Java object for schema{named} with type {schema.type.name}: "
            f"class {class_name(value, given)} for {location}"
        )
    if schema.type is Type.STRUCT:
        if value.schema is not schema and value.schema != schema:
            raise DataError("Struct schemas do not match.")
        for field, member in zip(schema.fields, value.values, strict=True):
            if member is None and (field.schema.optional or field.schema.default is not None):
                continue
            validate_value(field.schema, member, f'field: "{field.name}"')
    elif schema.type is Type.ARRAY:
        items = None if given is None else given.value_schema
        element = f"element of array {location}"
        for member in value:
            validate_value(_present(schema.value_schema, element), member, element, given=items)
    elif schema.type is Type.MAP:
        keys = _present(schema.key_schema, f"key of map {location}")
        items = _present(schema.value_schema, f"value of map {location}")
        for key, item in value.items():
            validate_value(keys, key, f"key of map {location}")
            validate_value(items, item, f"value of map {location}")


def _other_number(schema: Schema, given: Schema, value: Any) -> bool:
    """Whether the value is a number of another Java class than the schema takes."""
    number = isinstance(value, (int, float)) and not isinstance(value, (bool, JavaDate))
    return number and given.type is not schema.type


def _present(schema: Schema | None, location: str) -> Schema:
    if schema is None:
        raise DataError(f"No schema defined for {location}")
    return schema
