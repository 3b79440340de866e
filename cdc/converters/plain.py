"""Connect's converters without structure: text, bytes and numbers, with their texts of errors."""

from __future__ import annotations

import struct
from typing import Any, Final

from cdc.model.javaerrors import DataError
from cdc.model.javatypes import class_name
from cdc.model.schema import (
    OPTIONAL_BOOLEAN,
    OPTIONAL_BYTES,
    OPTIONAL_FLOAT32,
    OPTIONAL_FLOAT64,
    OPTIONAL_INT16,
    OPTIONAL_INT32,
    OPTIONAL_INT64,
    OPTIONAL_STRING,
    Schema,
    Type,
)
from cdc.values.javastring import java_string


class StringConverter:
    """`org.apache.kafka.connect.storage.StringConverter`: the text form of any value, as Java prints it.

    Args:
        encoding: `converter.encoding`.
    """

    def __init__(self, encoding: str = "utf-8") -> None:
        self.encoding = encoding

    def from_connect(self, schema: Schema | None, value: Any) -> bytes | None:
        """The text's bytes; None for null."""
        return None if value is None else java_string(value, schema).encode(self.encoding, "replace")

    def to_connect(self, data: bytes | None) -> tuple[Schema, str | None]:
        """The text."""
        return OPTIONAL_STRING, None if data is None else data.decode(self.encoding, "replace")


class ByteArrayConverter:
    """`org.apache.kafka.connect.converters.ByteArrayConverter`: bytes as they are."""

    def from_connect(self, schema: Schema | None, value: Any) -> bytes | None:
        """The bytes; None for null.

        Raises:
            DataError: The value or its schema is something else.
        """
        if schema is not None and schema.type is not Type.BYTES:
            raise DataError(f"Invalid schema type for ByteArrayConverter: {schema.type.name}")
        if value is None or isinstance(value, (bytes, bytearray, memoryview)):
            return None if value is None else bytes(value)
        raise DataError(f"ByteArrayConverter is not compatible with objects of type class {class_name(value, schema)}")

    def to_connect(self, data: bytes | None) -> tuple[Schema, bytes | None]:
        """The bytes."""
        return OPTIONAL_BYTES, data


class NumberConverter:
    """The converters of one primitive type: big-endian, fixed size.

    Args:
        kind: short, integer, long, float, double or boolean, as in the names of Connect's classes.
    """

    def __init__(self, kind: str) -> None:
        self._kind = kind
        self._schema, self._form, self._fits = _NUMBERS[kind]

    def from_connect(self, schema: Schema | None, value: Any) -> bytes | None:
        """The bytes; None for null.

        Raises:
            DataError: The value is of another type.
        """
        if value is None:
            return None
        java_class = class_name(value, schema)
        if java_class != self._fits:
            raise DataError(f"Failed to serialize to {self._kind} (was class {java_class}): ")
        return struct.pack(self._form, value)

    def to_connect(self, data: bytes | None) -> tuple[Schema, Any]:
        """The number.

        Raises:
            DataError: The data have another size.
        """
        if data is None:
            return self._schema, None
        if len(data) != struct.calcsize(self._form) or (self._kind == "boolean" and data not in (b"\0", b"\1")):
            raise DataError(f"Failed to deserialize {self._kind}: ")
        return self._schema, struct.unpack(self._form, data)[0]


_NUMBERS: Final[dict[str, tuple[Schema, str, str]]] = {
    "short": (OPTIONAL_INT16, ">h", "java.lang.Short"), "integer": (OPTIONAL_INT32, ">i", "java.lang.Integer"),
    "long": (OPTIONAL_INT64, ">q", "java.lang.Long"), "float": (OPTIONAL_FLOAT32, ">f", "java.lang.Float"),
    "double": (OPTIONAL_FLOAT64, ">d", "java.lang.Double"), "boolean": (OPTIONAL_BOOLEAN, ">?", "java.lang.Boolean"),
}  # fmt: skip
