"""`org.apache.kafka.connect.transforms.InsertField`: where a record goes, when it was, or a fixed text, as fields."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, ClassVar, Final

from cdc.model.javaerrors import ConfigException, DataError, invalid_value
from cdc.model.javatypes import Integer
from cdc.model.record import SinkRecord, SourceRecord
from cdc.model.schema import (
    INT32,
    INT64,
    OPTIONAL_INT32,
    OPTIONAL_INT64,
    OPTIONAL_STRING,
    STRING,
    TIMESTAMP,
    JavaDate,
    Schema,
    Struct,
    Type,
)
from cdc.model.validation import null_refused
from cdc.transforms.base import PartTransform, PerSchema, require_map, require_struct
from cdc.transforms.configdef import REPLACE_NULL_WITH_DEFAULT, ConfigDef, Key, Kind
from cdc.transforms.schemas import Read, field_pairs, struct_like, values_of

_PURPOSE: Final = "field insertion"
_TIMESTAMP: Final = Schema(Type.INT64, name=TIMESTAMP, version=1)
_OPTIONAL_TIMESTAMP: Final = _TIMESTAMP.as_optional()
_NAMED: Final = "Suffix ! makes it required, ? (the default) optional."


def _parse(spec: str | None) -> tuple[str, bool] | None:
    """A field's name and whether it is optional."""
    if spec is None:
        return None
    return (spec[:-1], spec[-1] == "?") if spec.endswith(("!", "?")) else (spec, True)


def _kafka_offset(record: SourceRecord) -> int:
    if not isinstance(record, SinkRecord):
        raise DataError(
            f"Only SinkRecord supported for [{_PURPOSE}], found: org.apache.kafka.connect.source.SourceRecord"
        )
    return record.kafka_offset


class InsertField(PartTransform):
    """Appends fields to a struct or map."""

    config: ClassVar = ConfigDef((
        Key("offset.field", Kind.STRING, None, f"Field for the Kafka offset, sinks only. {_NAMED}"),
        Key("partition.field", Kind.STRING, None, f"Field for the Kafka partition. {_NAMED}"),
        REPLACE_NULL_WITH_DEFAULT,
        Key("static.field", Kind.STRING, None, f"Field for the fixed text. {_NAMED}"),
        Key("static.value", Kind.STRING, None, "The fixed text."),
        Key("timestamp.field", Kind.STRING, None, f"Field for the record's timestamp. {_NAMED}"),
        Key("topic.field", Kind.STRING, None, f"Field for the topic. {_NAMED}"),
    ))  # fmt: skip

    def configure(self) -> None:
        """Collect the fields in the order in which Java appends them."""
        self._text: str | None = self.options["static.value"]
        self._replace_null: bool = self.options["replace.null.with.default"]
        sources: tuple[tuple[str, Schema, Schema, Callable[[SourceRecord], Any], Callable[[Any], Any]], ...] = (
            ("topic", STRING, OPTIONAL_STRING, lambda record: record.topic, _same),
            ("partition", INT32, OPTIONAL_INT32, lambda record: record.partition, Integer),
            ("offset", INT64, OPTIONAL_INT64, _kafka_offset, _same),
            ("timestamp", _TIMESTAMP, _OPTIONAL_TIMESTAMP, lambda record: record.timestamp, _same),
            ("static", STRING, OPTIONAL_STRING, lambda _: self._text, _same),
        )
        self._fields: list[tuple[str, Schema, Callable[[SourceRecord], Any], Callable[[Any], Any]]] = []
        for name, required, optional, get, box in sources:
            spec = _parse(self.options[f"{name}.field"])
            if spec is not None:
                self._fields.append((spec[0], optional if spec[1] else required, get, box))
        if not self._fields:
            raise ConfigException("No field insertion configured")
        if self.options["static.field"] is not None and self._text is None:
            raise invalid_value(
                None, "static.value",
                "No value specified for static field: org.apache.kafka.connect.transforms.InsertField$InsertionSpec@*",
            )  # fmt: skip
        self._plans = PerSchema(self._plan)

    def convert(self, record: SourceRecord, schema: Schema | None, value: Any) -> tuple[Schema | None, Any]:
        """The value with the fields behind its own."""
        if value is None:
            return schema, None
        if schema is None:
            updated = dict(require_map(value, _PURPOSE))
            for name, field_schema, get, box in self._fields:
                inserted = get(record)
                if inserted is not None or field_schema.type is Type.STRING:
                    updated[name] = box(inserted)
            return None, updated
        plan, read = self._plans(require_struct(value, _PURPOSE, schema).schema)
        values = read(value.values)
        for name, field_schema, get, _ in self._fields:
            inserted = get(record)
            if inserted is None:
                if field_schema is STRING:
                    raise null_refused(f'field: "{name}"', field_schema)
            elif field_schema.name is not None:
                inserted = JavaDate(inserted)
            values.append(inserted)
        return plan, Struct(plan, values)

    def _plan(self, schema: Schema) -> tuple[Schema, Read]:
        added = [(name, field_schema) for name, field_schema, _, _ in self._fields]
        updated = struct_like(schema, [*field_pairs(schema), *added])
        return updated, values_of(schema.fields, replace_null=self._replace_null)


def _same(value: Any) -> Any:
    return value


class InsertFieldKey(InsertField):
    """InsertField on keys."""

    java_name = "org.apache.kafka.connect.transforms.InsertField$Key"
    part = "key"


class InsertFieldValue(InsertField):
    """InsertField on values."""

    java_name = "org.apache.kafka.connect.transforms.InsertField$Value"
    part = "value"
