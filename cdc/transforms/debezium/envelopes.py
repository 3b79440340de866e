"""What Debezium's transforms ask of a record: is it a change event, and what stands in it."""

from __future__ import annotations

from typing import Any

from cdc.model.javaerrors import DataError, JavaError
from cdc.model.record import SourceRecord
from cdc.model.schema import Schema, Struct, Type
from cdc.transforms.schemas import struct_field


def is_envelope(schema: Schema | None) -> bool:
    """Whether it is the schema of a change event, which the name tells."""
    return schema is not None and schema.name is not None and schema.name.endswith(".Envelope")


def is_change_event(record: SourceRecord) -> bool:
    """Whether the record's value is a change event."""
    return is_envelope(record.value_schema)


def typed_member(struct: Struct, name: str, type: Type) -> Any:
    """`Struct.getString` and its sisters: the value as put, the type checked by the schema.

    Raises:
        DataError: There is no such field, or it is of another type.
    """
    field = struct_field(struct, name)
    if field.schema.type is not type:
        raise DataError(f"Field '{name}' is not of type {type.name}")
    return struct.values[field.index]


def null_pointer(message: str = "null") -> JavaError:
    """A NullPointerException."""
    return JavaError(message, "NullPointerException")
