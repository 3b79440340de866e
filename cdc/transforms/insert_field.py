"""`org.apache.kafka.connect.transforms.InsertField`: where a record goes, when it was, or a fixed text, as fields."""

from __future__ import annotations

from collections.abc import Callable, Sequence
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
from cdc.transforms.schemas import Columns, Read, columns_of, field_pairs, struct_like, values_of

_PURPOSE: Final = "field insertion"
_TIMESTAMP: Final = Schema(Type.INT64, name=TIMESTAMP, version=1)
_OPTIONAL_TIMESTAMP: Final = _TIMESTAMP.as_optional()
_NAMED: Final = "Suffix ! makes it required, ? (the default) optional."


def _parse(spec: str | None) -> tuple[str, bool] | None:
    """A field's name and whether it is optional."""
    if spec is None:
        return None
    return (spec[:-1], spec[-1] == "?") if spec.endswith(("!", "?")) else (spec, True)


Get = Callable[[SourceRecord], Any]


def _topic(record: SourceRecord) -> str:
    return record.topic


def _partition(record: SourceRecord) -> int | None:
    return record.partition


def _boxed_partition(record: SourceRecord) -> int | None:
    return None if record.partition is None else Integer(record.partition)


def _timestamp(record: SourceRecord) -> int | None:
    return record.timestamp


def _date(record: SourceRecord) -> JavaDate | None:
    return None if record.timestamp is None else JavaDate(record.timestamp)


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
        text: str | None = self.options["static.value"]
        self._replace_null: bool = self.options["replace.null.with.default"]
        sources: tuple[tuple[str, Schema, Schema, Get, Get], ...] = (
            ("topic", STRING, OPTIONAL_STRING, _topic, _topic),
            ("partition", INT32, OPTIONAL_INT32, _partition, _boxed_partition),
            ("offset", INT64, OPTIONAL_INT64, _kafka_offset, _kafka_offset),
            ("timestamp", _TIMESTAMP, _OPTIONAL_TIMESTAMP, _date, _timestamp),
            ("static", STRING, OPTIONAL_STRING, lambda _: text, lambda _: text),
        )
        self._fields: list[tuple[str, Schema, Get, Get]] = []
        for name, required, optional, get, get_schemaless in sources:
            spec = _parse(self.options[f"{name}.field"])
            if spec is not None:
                self._fields.append((spec[0], optional if spec[1] else required, get, get_schemaless))
        if not self._fields:
            raise ConfigException("No field insertion configured")
        if self.options["static.field"] is not None and text is None:
            raise invalid_value(
                None, "static.value",
                "No value specified for static field: org.apache.kafka.connect.transforms.InsertField$InsertionSpec@*",
            )  # fmt: skip
        self._getters = [get for _, _, get, _ in self._fields]
        # A null partition or timestamp stays unset even where the field is required, and fails in the converter.
        self._topic_required = any(get is _topic and schema is STRING for _, schema, get, _ in self._fields)
        self._plans = PerSchema(self._plan)

    def convert(self, record: SourceRecord, schema: Schema | None, value: Any) -> tuple[Schema | None, Any]:
        """The value with the fields behind its own."""
        if value is None:
            return schema, None
        if schema is None:
            return None, self._schemaless(record, require_map(value, _PURPOSE))
        if type(value) is not Struct:
            require_struct(value, _PURPOSE, schema)
        updated, read = self._plans(value.schema)
        values = read(value.values)
        for get in self._getters:
            values.append(get(record))
        if self._topic_required and record.topic is None:
            raise null_refused(f'field: "{self._fields[0][0]}"', STRING)
        return updated, Struct(updated, values)

    def columns(self, schema: Schema) -> tuple[Schema, Columns, Sequence[Callable[[SourceRecord], Any]]] | None:
        """The step field by field."""
        updated, read = self._plans(schema)
        columns = columns_of(read)
        return None if columns is None else (updated, columns, self._getters)

    def _schemaless(self, record: SourceRecord, value: dict[str, Any]) -> dict[str, Any]:
        updated = dict(value)
        for name, schema, _, get in self._fields:
            inserted = get(record)
            if inserted is not None or schema.type is Type.STRING:
                updated[name] = inserted
        return updated

    def _plan(self, schema: Schema) -> tuple[Schema, Read]:
        added = [(name, field_schema) for name, field_schema, _, _ in self._fields]
        updated = struct_like(schema, [*field_pairs(schema), *added])
        return updated, values_of(schema.fields, replace_null=self._replace_null)


class InsertFieldKey(InsertField):
    """InsertField on keys."""

    java_name = "org.apache.kafka.connect.transforms.InsertField$Key"
    part = "key"


class InsertFieldValue(InsertField):
    """InsertField on values."""

    java_name = "org.apache.kafka.connect.transforms.InsertField$Value"
    part = "value"
