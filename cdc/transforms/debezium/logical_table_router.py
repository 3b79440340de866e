"""`io.debezium.transforms.ByLogicalTableRouter`: many physical tables into one topic."""

from __future__ import annotations

from typing import Any, ClassVar

from cdc.model.javaerrors import JavaError
from cdc.model.record import SourceRecord
from cdc.model.schema import STRING, Schema, Struct, Type
from cdc.model.validation import null_refused, validate_value
from cdc.transforms.base import PerSchema, Transform, require_struct
from cdc.transforms.configdef import ConfigDef, Key, Kind, trim
from cdc.transforms.debezium.envelopes import is_change_event, null_pointer
from cdc.transforms.debezium.names import ADJUSTMENT_MODES, adjuster
from cdc.transforms.debezium.options import is_regex, is_required, literal, literal_of
from cdc.transforms.javaregex import JavaPattern
from cdc.transforms.schemas import checked_fields, field_pairs, struct_field, values_of

_PURPOSE = "Updating schema"


def _renamed(source: Schema, name: str, pairs: list[tuple[str, Schema]]) -> Schema:
    """The schema under another name; optional stays, a default does not."""
    return Schema(
        Type.STRUCT, name=name, version=source.version, doc=source.doc, parameters=source.parameters,
        optional=source.optional, fields=checked_fields(pairs),
    )  # fmt: skip


class ByLogicalTableRouter(Transform):
    """Rewrites topic, key and the names of the schemas."""

    java_name = "io.debezium.transforms.ByLogicalTableRouter"
    routes = True
    reads = frozenset({"topic", "key", "value"})
    config: ClassVar = ConfigDef((
        Key("topic.regex", Kind.STRING, None, "What the topic must match.", late=(is_regex, is_required)),
        Key("topic.replacement", Kind.STRING, None, "The new topic.", late=(is_required,)),
        Key("key.enforce.uniqueness", Kind.BOOLEAN, True, "Whether the key gets a field that names the table."),
        Key("key.field.regex", Kind.STRING, None, "What the topic must match to make that field.", late=(is_regex,)),
        Key("logical.table.cache.size", Kind.INT, 16, "Has no effect here."),
        Key("schema.name.adjustment.mode", Kind.STRING, "none", "none, avro or avro_unicode.",
            late=(literal_of(ADJUSTMENT_MODES, required=True),)),
    ), reasons_logged=True, undeclared=("key.field.name", "key.field.replacement"))  # fmt: skip

    def configure(self) -> None:
        """Compile the expressions."""
        texts = self.texts
        key_regex, key_replacement = texts.get("key.field.regex"), texts.get("key.field.replacement")
        if key_regex is not None and trim(key_regex) and not trim(key_replacement or ""):
            raise JavaError(
                "Unable to validate config.", "ConnectException",
                shown="key.field.replacement must be non-empty if key.field.regex is set.",
            )  # fmt: skip
        self._regex = JavaPattern(texts["topic.regex"])
        self._replacement = texts["topic.replacement"]
        self._key_regex = JavaPattern(key_regex) if key_regex is not None and trim(key_regex) else None
        self._key_replacement = key_replacement or ""
        self._key_field = texts.get("key.field.name", "__dbz__physicalTableIdentifier")
        self._unique: bool = self.options["key.enforce.uniqueness"]
        self._adjust = adjuster(literal(texts, "schema.name.adjustment.mode", ADJUSTMENT_MODES, "none"), dots=True)
        self._topics: dict[str, str | None] = {}
        self._tables: dict[str, str] = {}
        self._schemas: dict[Any, tuple[Schema, Schema]] = {}
        self._reads = PerSchema(lambda schema: values_of(schema.fields, replace_null=False))

    def apply(self, record: SourceRecord) -> SourceRecord:
        """The record of the logical table."""
        if record.topic not in self._topics:
            matches = self._regex.matches(record.topic)
            self._topics[record.topic] = self._regex.replace_first(record.topic, self._replacement) if matches else None
        topic = self._topics[record.topic]
        if not topic:
            return record
        key_schema, key = None, None
        if record.key is not None:
            key = self._key(require_struct(record.key, _PURPOSE, record.key_schema), record.topic, topic)
            key_schema = key.schema
        value_schema, value = record.value_schema, record.value
        if value is not None and is_change_event(record):
            value = self._event(require_struct(value, _PURPOSE), topic)
            value_schema = value.schema
        return record.replace(topic=topic, key_schema=key_schema, key=key, value_schema=value_schema, value=value)

    def _remembered(self, schema: Schema, topic: str) -> Schema | None:
        known = self._schemas.get(self._schema_key(schema, topic))
        return None if known is None else known[1]

    def _schema_key(self, schema: Schema, topic: str) -> Any:
        """Debezium goes by the schema alone, so that one that stands in two topics keeps the first one's name."""
        return schema if self.surroundings.strict else (id(schema), topic)

    def _remember(self, schema: Schema, topic: str, made: Schema) -> Schema:
        if len(self._schemas) >= 1024:
            self._schemas.pop(next(iter(self._schemas)))
        self._schemas[self._schema_key(schema, topic)] = (schema, made)
        return made

    def _key(self, key: Struct, physical: str, topic: str) -> Struct:
        schema = self._remembered(key.schema, topic)
        if schema is None:
            pairs = field_pairs(key.schema)
            if self._unique:
                pairs.append((self._key_field, STRING))
            schema = self._remember(key.schema, topic, _renamed(key.schema, self._adjust(topic + ".Key"), pairs))
        values = self._reads(key.schema)(key.values)
        if self._unique:
            values.append(self._table(physical))
        return Struct(schema, values)

    def _table(self, physical: str) -> str:
        if self._key_regex is None:
            return physical
        known = self._tables.get(physical)
        if known is None:
            matches = self._key_regex.matches(physical)
            known = self._key_regex.replace_first(physical, self._key_replacement) if matches else physical
            self._tables[physical] = known
        return known

    def _row(self, rows: Struct, schema: Schema) -> Struct:
        """A side's row on the schema that was made of `before`'s, where the other side may have lost or won fields."""
        if [field.schema for field in rows.schema.fields] == [field.schema for field in schema.fields]:
            return Struct(schema, self._reads(rows.schema)(rows.values))
        row = Struct(schema)
        for field, value in zip(rows.schema.fields, rows.values, strict=True):
            target = struct_field(row, field.name)
            validate_value(target.schema, value, f'field: "{field.name}"', given=field.schema)
            row.put(field.name, value)
        return row

    def _event(self, event: Struct, topic: str) -> Struct:
        schema = self._remembered(event.schema, topic)
        if schema is None:
            before = event.schema.field("before")
            if before is None:
                raise null_pointer()
            row = _renamed(before.schema, self._adjust(topic + ".Value"), field_pairs(before.schema))
            pairs = [(f.name, row if f.name in ("before", "after") else f.schema) for f in event.schema.fields]
            renamed = _renamed(event.schema, self._adjust(topic + ".Envelope"), pairs)
            schema = self._remember(event.schema, topic, renamed)
        values: list[object] = []
        for field, old, new in zip(event.schema.fields, event.values, schema.fields, strict=True):
            value = field.schema.default if old is None else old
            if value is None and not new.schema.optional:
                raise null_refused(f'field: "{field.name}"', new.schema)
            if value is not None and field.name in ("before", "after"):
                rows = require_struct(value, _PURPOSE)
                value = self._row(rows, new.schema)
            values.append(value)
        return Struct(schema, values)
