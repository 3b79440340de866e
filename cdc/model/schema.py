"""Connect's schemas and the values they describe.

The model is Kafka Connect's (`org.apache.kafka.connect.data`): a schema has a type, may be optional and named, and
carries a version, parameters and a default. Values are plain Python ones, one Python type for one Connect type:

    INT8..INT64 int · FLOAT32, FLOAT64 float · BOOLEAN bool · STRING str · BYTES bytes · ARRAY list · MAP dict ·
    STRUCT `Struct` · logical Decimal `decimal.Decimal` · logical Date, Time, Timestamp `JavaDate`
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from enum import Enum
from typing import Any, Final


class Type(Enum):
    """Connect's primitive and structured types; the value is the word that JsonConverter writes."""

    INT8 = "int8"
    INT16 = "int16"
    INT32 = "int32"
    INT64 = "int64"
    FLOAT32 = "float"
    FLOAT64 = "double"
    BOOLEAN = "boolean"
    STRING = "string"
    BYTES = "bytes"
    ARRAY = "array"
    MAP = "map"
    STRUCT = "struct"


DECIMAL: Final = "org.apache.kafka.connect.data.Decimal"
DATE: Final = "org.apache.kafka.connect.data.Date"
TIME: Final = "org.apache.kafka.connect.data.Time"
TIMESTAMP: Final = "org.apache.kafka.connect.data.Timestamp"


class JavaDate(int):
    """A `java.util.Date`: milliseconds since the epoch, the value of Connect's logical Date, Time and Timestamp."""

    __slots__ = ()

    def __repr__(self) -> str:
        return f"JavaDate({int(self)})"


class Field:
    """One member of a STRUCT schema.

    Attributes:
        name: The field's name.
        index: Its place among the fields, from 0.
        schema: The schema of its values.
    """

    __slots__ = ("index", "name", "schema")

    def __init__(self, name: str, index: int, schema: Schema) -> None:
        self.name = name
        self.index = index
        self.schema = schema

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Field):
            return NotImplemented
        return self.name == other.name and self.index == other.index and self.schema == other.schema

    def __hash__(self) -> int:
        return hash((self.name, self.index))

    def __repr__(self) -> str:
        return f"Field({self.name!r}, {self.schema!r})"


class Schema:
    """An immutable Connect schema.

    Args:
        type: The Connect type.
        optional: Whether null is allowed.
        name: The logical or record name.
        version: The schema's version.
        doc: Free text.
        parameters: Ordered string pairs, as `connect.decimal.precision`.
        default: The value that stands in for null; None for no default.
        fields: `(name, schema)` pairs, STRUCT only.
        key_schema: MAP only.
        value_schema: MAP and ARRAY.
    """

    __slots__ = (
        "_by_name", "_hash", "default", "doc", "fields", "key_schema", "name", "optional", "parameters", "type",
        "value_schema", "version",
    )  # fmt: skip

    def __init__(
        self,
        type: Type,
        *,
        optional: bool = False,
        name: str | None = None,
        version: int | None = None,
        doc: str | None = None,
        parameters: Mapping[str, str] | None = None,
        default: Any = None,
        fields: Iterable[tuple[str, Schema]] = (),
        key_schema: Schema | None = None,
        value_schema: Schema | None = None,
    ) -> None:
        self.type = type
        self.optional = optional
        self.name = name
        self.version = version
        self.doc = doc
        self.parameters: dict[str, str] = dict(parameters or {})
        self.default = default
        self.fields: tuple[Field, ...] = tuple(Field(n, i, s) for i, (n, s) in enumerate(fields))
        self.key_schema = key_schema
        self.value_schema = value_schema
        self._by_name = {field.name: field for field in self.fields}
        self._hash: int | None = None

    def field(self, name: str) -> Field | None:
        """The field of that name, or None."""
        return self._by_name.get(name)

    def replace(self, **changes: Any) -> Schema:
        """A copy with some attributes changed; `fields` takes `(name, schema)` pairs."""
        kept: dict[str, Any] = {
            "type": self.type, "optional": self.optional, "name": self.name, "version": self.version, "doc": self.doc,
            "parameters": self.parameters, "default": self.default,
            "fields": [(field.name, field.schema) for field in self.fields],
            "key_schema": self.key_schema, "value_schema": self.value_schema,
        }  # fmt: skip
        kept.update(changes)
        return Schema(kept.pop("type"), **kept)

    def as_optional(self) -> Schema:
        """The same schema, optional."""
        return self if self.optional else self.replace(optional=True)

    def as_required(self) -> Schema:
        """The same schema, required."""
        return self.replace(optional=False) if self.optional else self

    def __eq__(self, other: object) -> bool:
        if self is other:
            return True
        if not isinstance(other, Schema):
            return NotImplemented
        return (
            self.type is other.type
            and self.optional == other.optional
            and self.name == other.name
            and self.version == other.version
            and self.doc == other.doc
            and self.default == other.default
            and self.parameters == other.parameters
            and self.fields == other.fields
            and self.key_schema == other.key_schema
            and self.value_schema == other.value_schema
        )

    def __hash__(self) -> int:
        if self._hash is None:
            names = tuple(field.name for field in self.fields)
            self._hash = hash((self.type, self.optional, self.name, self.version, names))
        return self._hash

    def __repr__(self) -> str:
        named = f" {self.name}" if self.name else ""
        return f"<{self.type.value}{named}{'?' if self.optional else ''}>"


class Struct:
    """A value of a STRUCT schema.

    Args:
        schema: The schema.
        values: One value a field, in field order; all null when left out.
    """

    __slots__ = ("schema", "values")

    def __init__(self, schema: Schema, values: Sequence[Any] | None = None) -> None:
        self.schema = schema
        self.values: list[Any] = [None] * len(schema.fields) if values is None else list(values)

    def get(self, name: str) -> Any:
        """The field's value, the default standing in for null as in Java's `Struct.get`.

        Raises:
            KeyError: There is no such field.
        """
        field = self.schema._by_name[name]  # noqa: SLF001 - the two classes are one thing
        value = self.values[field.index]
        return field.schema.default if value is None else value

    def get_without_default(self, name: str) -> Any:
        """The field's value as it was put.

        Raises:
            KeyError: There is no such field.
        """
        return self.values[self.schema._by_name[name].index]  # noqa: SLF001 - the two classes are one thing

    def put(self, name: str, value: Any) -> Struct:
        """Set one field and return the struct itself.

        Raises:
            KeyError: There is no such field.
        """
        self.values[self.schema._by_name[name].index] = value  # noqa: SLF001 - the two classes are one thing
        return self

    def as_dict(self) -> dict[str, Any]:
        """Field names to values, nested structs left as they are."""
        return {field.name: value for field, value in zip(self.schema.fields, self.values, strict=True)}

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Struct):
            return NotImplemented
        return self.schema == other.schema and self.values == other.values

    __hash__ = None  # type: ignore[assignment] # a Struct is mutable

    def __repr__(self) -> str:
        return f"Struct({self.as_dict()!r})"


def _primitive(type: Type) -> tuple[Schema, Schema]:
    return Schema(type), Schema(type, optional=True)


INT8, OPTIONAL_INT8 = _primitive(Type.INT8)
INT16, OPTIONAL_INT16 = _primitive(Type.INT16)
INT32, OPTIONAL_INT32 = _primitive(Type.INT32)
INT64, OPTIONAL_INT64 = _primitive(Type.INT64)
FLOAT32, OPTIONAL_FLOAT32 = _primitive(Type.FLOAT32)
FLOAT64, OPTIONAL_FLOAT64 = _primitive(Type.FLOAT64)
BOOLEAN, OPTIONAL_BOOLEAN = _primitive(Type.BOOLEAN)
STRING, OPTIONAL_STRING = _primitive(Type.STRING)
BYTES, OPTIONAL_BYTES = _primitive(Type.BYTES)


def struct_schema(
    fields: Iterable[tuple[str, Schema]], *, name: str | None = None, version: int | None = None, optional: bool = False
) -> Schema:
    """A STRUCT schema of `(name, schema)` pairs."""
    return Schema(Type.STRUCT, fields=fields, name=name, version=version, optional=optional)


def array_schema(
    items: Schema, *, optional: bool = False, name: str | None = None, version: int | None = None
) -> Schema:
    """An ARRAY schema."""
    return Schema(Type.ARRAY, value_schema=items, optional=optional, name=name, version=version)


def map_schema(keys: Schema, values: Schema, *, optional: bool = False) -> Schema:
    """A MAP schema."""
    return Schema(Type.MAP, key_schema=keys, value_schema=values, optional=optional)
