"""`org.apache.kafka.connect.transforms.ValueToKey`: a key made of fields of the value."""

from __future__ import annotations

from typing import Any, ClassVar, Final

from cdc.model.javaerrors import DataError
from cdc.model.record import SourceRecord
from cdc.model.schema import Schema, Struct, Type
from cdc.transforms.base import PerSchema, Transform, require_map, require_struct
from cdc.transforms.configdef import NO_DEFAULT, REPLACE_NULL_WITH_DEFAULT, ConfigDef, Key, Kind, values_once
from cdc.transforms.schemas import Read, checked_fields, values_of

_PURPOSE: Final = "copying fields from value to key"


class ValueToKey(Transform):
    """Replaces the key by a struct or map of the listed fields, in their order."""

    java_name = "org.apache.kafka.connect.transforms.ValueToKey"
    reads = frozenset({"value"})
    config: ClassVar = ConfigDef((
        Key("fields", Kind.LIST, NO_DEFAULT, "The fields of the key.", (values_once(empty_allowed=False),)),
        REPLACE_NULL_WITH_DEFAULT,
    ))  # fmt: skip

    def configure(self) -> None:
        """Read the names."""
        self._names: list[str] = self.options["fields"]
        self._replace_null: bool = self.options["replace.null.with.default"]
        self._plans = PerSchema(self._plan)

    def apply(self, record: SourceRecord) -> SourceRecord:
        """The record under its new key."""
        value: Any = record.value
        if record.value_schema is None:
            given = require_map(value, _PURPOSE)
            return record.replace(key_schema=None, key={name: given.get(name) for name in self._names})
        struct = require_struct(value, _PURPOSE, record.value_schema)
        schema, read = self._plans(struct.schema)
        return record.replace(key_schema=schema, key=Struct(schema, read(struct.values)), value_schema=struct.schema)

    def _plan(self, schema: Schema) -> tuple[Schema, Read]:
        fields = []
        for name in self._names:
            field = schema.field(name)
            if field is None:
                raise DataError(f"Field does not exist: {name}")
            fields.append(field)
        key = Schema(Type.STRUCT, fields=checked_fields((field.name, field.schema) for field in fields))
        return key, values_of(fields, replace_null=self._replace_null)
