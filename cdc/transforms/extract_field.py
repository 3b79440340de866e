"""`org.apache.kafka.connect.transforms.ExtractField`: one field in the place of the whole key or value."""

from __future__ import annotations

from typing import Any, ClassVar

from cdc.model.javaerrors import JavaError
from cdc.model.record import SourceRecord
from cdc.model.schema import Schema
from cdc.transforms.base import PartTransform, PerSchema, require_map, require_struct
from cdc.transforms.configdef import NO_DEFAULT, REPLACE_NULL_WITH_DEFAULT, ConfigDef, Key, Kind, one_of_any_case
from cdc.transforms.field_path import FieldPath

_PURPOSE = "field extraction"


class ExtractField(PartTransform):
    """Replaces the key or value by one of its fields, nested ones under syntax V2."""

    config: ClassVar = ConfigDef((
        Key("field", Kind.STRING, NO_DEFAULT, "The field, or the path to it."),
        Key("field.syntax.version", Kind.STRING, "V1", "V1: dots belong to the name. V2: dots separate steps.",
            (one_of_any_case("V1", "V2"),)),
        REPLACE_NULL_WITH_DEFAULT,
    ))  # fmt: skip

    def configure(self) -> None:
        """Read the path."""
        self._text: str = self.options["field"]
        self._path = FieldPath(self._text, nested=self.options["field.syntax.version"].upper() == "V2")
        self._replace_null: bool = self.options["replace.null.with.default"]
        self._schemas = PerSchema(self._field_schema)

    def _field_schema(self, schema: Schema) -> Schema:
        field = self._path.field_of(schema)
        if field is None:
            raise JavaError(f"Unknown field: {self._text}", "IllegalArgumentException")
        return field.schema

    def convert(self, record: SourceRecord, schema: Schema | None, value: Any) -> tuple[Schema | None, Any]:
        """The field's schema and value."""
        if schema is None:
            return None, None if value is None else self._path.value_of_map(require_map(value, _PURPOSE))
        struct = None if value is None else require_struct(value, _PURPOSE, schema)
        return self._schemas(schema), self._path.value_of_struct(struct, replace_null=self._replace_null)


class ExtractFieldKey(ExtractField):
    """ExtractField on keys."""

    java_name = "org.apache.kafka.connect.transforms.ExtractField$Key"
    part = "key"


class ExtractFieldValue(ExtractField):
    """ExtractField on values."""

    java_name = "org.apache.kafka.connect.transforms.ExtractField$Value"
    part = "value"
