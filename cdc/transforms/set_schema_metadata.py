"""`org.apache.kafka.connect.transforms.SetSchemaMetadata`: another name or version for a schema."""

from __future__ import annotations

from typing import Any, ClassVar

from cdc.model.javaerrors import ConfigException, DataError
from cdc.model.record import SourceRecord
from cdc.model.schema import Schema, Struct
from cdc.transforms.base import PartTransform, PerSchema
from cdc.transforms.configdef import REPLACE_NULL_WITH_DEFAULT, ConfigDef, Key, Kind
from cdc.transforms.schemas import Read, field_pairs, values_of


class SetSchemaMetadata(PartTransform):
    """Renames STRUCT schemas; Kafka 4.3 refuses every other type, and so does this."""

    config: ClassVar = ConfigDef((
        Key("schema.name", Kind.STRING, None, "The name to set."),
        Key("schema.version", Kind.INT, None, "The version to set."),
        REPLACE_NULL_WITH_DEFAULT,
    ))  # fmt: skip

    def configure(self) -> None:
        """Read name and version."""
        self._name: str | None = self.options["schema.name"]
        self._version: int | None = self.options["schema.version"]
        self._replace_null: bool = self.options["replace.null.with.default"]
        if self._name is None and self._version is None:
            raise ConfigException("Neither schema name nor version configured")
        self._plans = PerSchema(self._plan)

    def convert(self, record: SourceRecord, schema: Schema | None, value: Any) -> tuple[Schema | None, Any]:
        """The value on the renamed schema."""
        if schema is None:
            if value is None:
                return None, None
            raise DataError("Schema required for [updating schema metadata]")
        updated, read = self._plans(schema)
        if not isinstance(value, Struct):
            return updated, value
        return updated, Struct(updated, read(value.values))

    def _plan(self, schema: Schema) -> tuple[Schema, Read]:
        field_pairs(schema)
        changes: dict[str, Any] = {}
        if self._name is not None:
            changes["name"] = self._name
        if self._version is not None:
            changes["version"] = self._version
        return schema.replace(**changes), values_of(schema.fields, replace_null=self._replace_null)


class SetSchemaMetadataKey(SetSchemaMetadata):
    """SetSchemaMetadata on keys."""

    java_name = "org.apache.kafka.connect.transforms.SetSchemaMetadata$Key"
    part = "key"


class SetSchemaMetadataValue(SetSchemaMetadata):
    """SetSchemaMetadata on values."""

    java_name = "org.apache.kafka.connect.transforms.SetSchemaMetadata$Value"
    part = "value"
