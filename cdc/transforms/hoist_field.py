"""`org.apache.kafka.connect.transforms.HoistField`: the whole key or value as the one field of a struct or map."""

from __future__ import annotations

from typing import Any, ClassVar

from cdc.model.record import SourceRecord
from cdc.model.schema import Schema, Struct, Type
from cdc.model.validation import validate_value
from cdc.transforms.base import PartTransform, PerSchema
from cdc.transforms.configdef import NO_DEFAULT, ConfigDef, Key, Kind
from cdc.transforms.schemas import checked_fields


class HoistField(PartTransform):
    """Wraps the key or value."""

    config: ClassVar = ConfigDef((Key("field", Kind.STRING, NO_DEFAULT, "The name of the one field."),))

    def configure(self) -> None:
        """Read the name."""
        self._name: str = self.options["field"]
        self._schemas = PerSchema(lambda schema: Schema(Type.STRUCT, fields=checked_fields([(self._name, schema)])))

    def convert(self, record: SourceRecord, schema: Schema | None, value: Any) -> tuple[Schema | None, Any]:
        """The wrapped value."""
        if schema is None:
            return None, {self._name: value}
        updated = self._schemas(schema)
        validate_value(schema, value, f'field: "{self._name}"')
        return updated, Struct(updated, [value])


class HoistFieldKey(HoistField):
    """HoistField on keys."""

    java_name = "org.apache.kafka.connect.transforms.HoistField$Key"
    part = "key"


class HoistFieldValue(HoistField):
    """HoistField on values."""

    java_name = "org.apache.kafka.connect.transforms.HoistField$Value"
    part = "value"
