"""`org.apache.kafka.connect.transforms.Flatten`: nested structs or maps as one level of joined names."""

from __future__ import annotations

from typing import Any, ClassVar, Final

from cdc.model.javaerrors import DataError
from cdc.model.javatypes import LinkedHashMap, class_name, inferred_type
from cdc.model.record import SourceRecord
from cdc.model.schema import Schema, Struct, Type
from cdc.model.validation import null_refused
from cdc.transforms.base import PartTransform, PerSchema, require_map, require_struct
from cdc.transforms.configdef import ConfigDef, Key, Kind
from cdc.transforms.schemas import field_pairs, struct_like, with_default

_PURPOSE: Final = "flattening"


class _Level:
    """How one struct is taken apart.

    Attributes:
        members: `(index, schema, joined name, what it becomes)`: a flat schema, or the level of a nested struct.
        width: How many flat fields come out of it.
    """

    __slots__ = ("members", "width")

    def __init__(self, members: list[tuple[int, Schema, str, Schema | _Level]], width: int) -> None:
        self.members = members
        self.width = width


class Flatten(PartTransform):
    """Joins the names of nested fields."""

    config: ClassVar = ConfigDef((Key("delimiter", Kind.STRING, ".", "What stands between the joined names."),))

    def configure(self) -> None:
        """Read the delimiter."""
        self._delimiter: str = self.options["delimiter"]
        self._plans = PerSchema(self._plan)

    def convert(self, record: SourceRecord, schema: Schema | None, value: Any) -> tuple[Schema | None, Any]:
        """The flat map or struct."""
        if value is None:
            return schema, None
        if schema is None:
            flat: dict[str, Any] = LinkedHashMap()
            self._flatten_map(require_map(value, _PURPOSE), "", flat)
            return None, flat
        struct = require_struct(value, _PURPOSE, schema)
        updated, level = self._plans(schema)
        values: list[Any] = []
        _flatten_struct(level, struct, values)
        return updated, Struct(updated, values)

    def _joined(self, prefix: str, name: str) -> str:
        return f"{prefix}{self._delimiter}{name}" if prefix else name

    def _flatten_map(self, value: dict[str, Any], prefix: str, flat: dict[str, Any]) -> None:
        for key, member in value.items():
            name = self._joined(prefix, key)
            if member is None:
                flat[name] = None
                continue
            kind = inferred_type(member)
            if kind is None:
                raise DataError(
                    f"Flatten transformation was passed a value of type class {class_name(member)} "
                    "which is not supported by Connect's data API"
                )
            if kind is Type.STRUCT:
                raise DataError(
                    f"Flatten transformation does not support class {class_name(member)} "
                    f"for record without schemas (for field {name})."
                )
            if kind is Type.MAP:
                self._flatten_map(member, name, flat)
            else:
                flat[name] = member

    def _plan(self, schema: Schema) -> tuple[Schema, _Level]:
        pairs: list[tuple[str, Schema]] = []
        level = self._level(schema, "", schema.optional, schema.default, pairs)
        return struct_like(schema, pairs), level

    def _level(
        self, schema: Schema, prefix: str, optional: bool, default: Struct | None, pairs: list[tuple[str, Schema]]
    ) -> _Level:
        members: list[tuple[int, Schema, str, Schema | _Level]] = []
        start = len(pairs)
        for index, (name, child) in enumerate(field_pairs(schema)):
            joined = self._joined(prefix, name)
            child_optional = optional or child.optional
            child_default = child.default
            if child_default is None and default is not None:
                child_default = default.get(name)
            if child.type is Type.STRUCT:
                nested = self._level(child, joined, child_optional, child_default, pairs)
                members.append((index, child, joined, nested))
                continue
            if child.type is Type.MAP:
                raise DataError(
                    f"Flatten transformation does not support MAP for record with schemas (for field {joined})."
                )
            flat = child.replace(optional=child_optional, default=None)
            if child_default is not None:
                flat = with_default(flat, child_default)
            pairs.append((joined, flat))
            members.append((index, child, joined, flat))
        return _Level(members, len(pairs) - start)


def _flatten_struct(level: _Level, struct: Struct | None, values: list[Any]) -> None:
    if struct is None:
        values.extend([None] * level.width)
        return
    given = struct.values
    for index, child, name, flat in level.members:
        value = given[index]
        if isinstance(flat, _Level):
            _flatten_struct(flat, value, values)
            continue
        if value is None:
            value = child.default
            if value is None and not flat.optional:
                raise null_refused(f'field: "{name}"', flat)
        values.append(value)


class FlattenKey(Flatten):
    """Flatten on keys."""

    java_name = "org.apache.kafka.connect.transforms.Flatten$Key"
    part = "key"


class FlattenValue(Flatten):
    """Flatten on values."""

    java_name = "org.apache.kafka.connect.transforms.Flatten$Value"
    part = "value"
