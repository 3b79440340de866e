"""`io.debezium.transforms.ExtractNewRecordState`: the row alone, out of a change event."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar, Final

from cdc.model.javaerrors import ConfigException, JavaError
from cdc.model.javatypes import class_name
from cdc.model.record import Header, SourceRecord
from cdc.model.schema import OPTIONAL_STRING, STRING, Schema, Struct, Type
from cdc.model.validation import validate_value
from cdc.transforms.base import PerSchema, Surroundings, Transform, require_struct
from cdc.transforms.configdef import ConfigDef, Key, Kind, split, trim
from cdc.transforms.debezium.envelopes import is_change_event, null_pointer, typed_member
from cdc.transforms.debezium.options import blank, literal, literal_checked_by_worker
from cdc.transforms.debezium.shared_headers import SharedHeaders
from cdc.transforms.replace_field import ReplaceField, ReplaceFieldKey, ReplaceFieldValue
from cdc.transforms.schemas import Read, field_named, field_pairs, struct_field, struct_like, values_of

MODES: Final = ("drop", "tombstone", "rewrite-with-tombstone", "rewrite", "delete-to-tombstone")
REWRITE: Final = frozenset({"rewrite", "rewrite-with-tombstone"})
_TRANSACTION_FIELDS: Final = frozenset({"id", "data_collection_order", "total_order"})
_EVENT_FIELDS: Final = frozenset({"op", "ts_ms", "ts_us", "ts_ns"})
_NESTED: Final = frozenset({Type.STRUCT, Type.MAP})
DELETED: Final = "__deleted"
_PURPOSE: Final = "source field insertion"


@dataclass(frozen=True, slots=True)
class FieldReference:
    """One entry of `add.fields` or `add.headers`.

    Attributes:
        struct: The struct of the event that the field is looked for in first; None for the event itself.
        field: The field.
        new_name: What it is called in the result.
    """

    struct: str | None
    field: str
    new_name: str

    @classmethod
    def parse(cls, prefix: str, text: str) -> FieldReference:
        """Read `field`, `struct.field` or either with `:name`.

        Raises:
            JavaError: There is more than one name.
        """
        parts = split(text, ":")
        steps = split(parts[0], ".") if parts else []
        if not steps:
            raise JavaError("Index 0 out of bounds for length 0", "ArrayIndexOutOfBoundsException")
        if len(parts) > 2:
            raise JavaError(f"Unexpected field name: {text}", "IllegalArgumentException")
        nested = len(steps) > 1
        field = steps[1] if nested else steps[0]
        struct = steps[0] if nested else _struct_of(field)
        if len(parts) == 2:
            return cls(struct, field, prefix + parts[1])
        return cls(struct, field, prefix + (f"{struct}_{field}" if nested else field))

    def schema_in(self, event: Schema) -> Schema | None:
        """The schema of the added field, optional; None where the event has no such field.

        Raises:
            JavaError: The event has no such struct (NullPointerException), or it is none.
        """
        parent = event
        if self.struct is not None:
            holder = event.field(self.struct)
            if holder is None:
                raise null_pointer()
            parent = holder.schema
        found = field_named(parent, self.field) or event.field(self.field)
        if found is None:
            return None
        source = found.schema
        items = source.value_schema if source.type is Type.ARRAY else None
        return Schema(
            source.type, name=source.name, version=source.version, doc=source.doc, parameters=source.parameters,
            optional=True, value_schema=items,
        )  # fmt: skip

    def value_in(self, event: Struct) -> Any:
        """The field's value, without defaults; null where its struct is null."""
        parent = event if self.struct is None else event.get_without_default(self.struct)
        if parent is None:
            return None
        holder = parent if parent.schema.field(self.field) is not None else event
        return holder.get_without_default(self.field)


def _struct_of(field: str) -> str | None:
    if field in _TRANSACTION_FIELDS:
        return "transaction"
    if field in _EVENT_FIELDS:
        return None
    return "updateDescription" if field == "updateDescription" else "source"


def _references(prefix: str, text: str) -> tuple[FieldReference, ...]:
    return tuple(FieldReference.parse(prefix, trim(entry)) for entry in split(text, ",")) if text else ()


@dataclass(frozen=True, slots=True)
class Unwrap:
    """What the renderer must know to write the row without building the event.

    Attributes:
        mode: `delete.tombstone.handling.mode`, lower case.
        add_fields: In order.
        add_headers: In order.
        replace_null_with_default: As the option, which counts in the rewrite modes only.
        real_tombstones: Whether a delete in mode tombstone becomes null bytes (safe) or null with a schema (strict).
    """

    mode: str
    add_fields: tuple[FieldReference, ...]
    add_headers: tuple[FieldReference, ...]
    replace_null_with_default: bool
    real_tombstones: bool


class ExtractNewRecordState(Transform):
    """Unwraps change events; deletes as the mode says, truncates are dropped, everything else passes."""

    java_name = "io.debezium.transforms.ExtractNewRecordState"
    reads = frozenset({"value"})
    config: ClassVar = ConfigDef(
        (
            Key("add.fields", Kind.LIST, "", "Fields of the event to append, as `op,source.ts_ms,lsn:ALIAS`."),
            Key("add.fields.prefix", Kind.STRING, "__", "Prefix of their names."),
            Key("add.headers", Kind.LIST, "", "Fields of the event to put into headers."),
            Key("add.headers.prefix", Kind.STRING, "__", "Prefix of their names."),
            Key("delete.tombstone.handling.mode", Kind.STRING, "tombstone", "What becomes of deletes and tombstones.",
                (literal_checked_by_worker(*MODES),)),
            Key("drop.fields.from.key", Kind.BOOLEAN, False, "Whether the fields are dropped from the key too."),
            Key("drop.fields.header.name", Kind.STRING, None, "Header that lists fields to drop."),
            Key("drop.fields.keep.schema.compatible", Kind.BOOLEAN, True, "Whether only optional fields are dropped."),
            Key("route.by.field", Kind.STRING, "", "Column whose value becomes the topic."),
            Key("replace.null.with.default", Kind.BOOLEAN, True, "Whether rewrites read a null as the column's default."),
        )
    )  # fmt: skip

    def configure(self) -> None:
        """Read the options."""
        texts = self.texts
        self._mode = literal(texts, "delete.tombstone.handling.mode", MODES, "tombstone") or "tombstone"
        self._add_fields = _references(texts.get("add.fields.prefix", "__"), texts.get("add.fields", ""))
        self._add_headers = _references(texts.get("add.headers.prefix", "__"), texts.get("add.headers", ""))
        self._route_by = texts.get("route.by.field") or None
        self.routes = self._route_by is not None
        self._drop_header = texts.get("drop.fields.header.name")
        self._drop_from_key: bool = self.options["drop.fields.from.key"]
        self._drop_compatible: bool = self.options["drop.fields.keep.schema.compatible"]
        self._replace_null: bool = self.options["replace.null.with.default"]
        self._marked = PerSchema(self._marked_schema)
        self._appended: dict[tuple[int, int], tuple[Schema, Schema, _Appended]] = {}
        self._heads = PerSchema(self._head_schemas)
        self._shared: SharedHeaders | None = None
        if self._add_headers:
            self.reads = frozenset({"value", "headers"})
            if self.surroundings.strict:
                self._shared = SharedHeaders()

    @property
    def unwrap(self) -> Unwrap | None:
        """The options, where the renderer can carry them out; None where rows or headers steer the result."""
        if self._route_by is not None or not blank(self._drop_header) or self._shared is not None:
            return None
        return Unwrap(self._mode, self._add_fields, self._add_headers, self._replace_null, not self.surroundings.strict)

    def apply(self, record: SourceRecord) -> SourceRecord | None:
        """The unwrapped record."""
        if self._shared is not None:
            record = self._shared.of(record)
        event = record.value
        if event is None:
            if self._mode != "rewrite-with-tombstone":
                return None
            tombstone = [Header(ref.new_name, STRING, "d") for ref in self._add_headers if ref.field == "op"]
            return record.replace(headers=(*record.headers, *tombstone)) if tombstone else record
        if not is_change_event(record):
            return record
        event = require_struct(event, _PURPOSE)
        headers = record.headers
        if self._add_headers:
            found = self._heads(event.schema)
            headers = (*headers, *[Header(ref.new_name, schema, ref.value_in(event)) for ref, schema in found])
            if self._shared is not None:
                self._shared.keep(record, headers)
        if _row_of(event, "after") is not None:
            return self._changed(record, event, headers)
        return None if _row_of(event, "before") is None else self._deleted(record, event, headers)

    def _changed(self, record: SourceRecord, event: Struct, headers: tuple[Header, ...]) -> SourceRecord:
        row = self._row(event, "after", "false")
        topic = record.topic if self._route_by is None else _routed(row, self._route_by, record.topic)
        value = self._with_fields(row, event)
        changed = record.replace(topic=topic, value_schema=value.schema, value=value, headers=headers)
        return self._without_dropped(changed) if self._drop_header else changed

    def _deleted(self, record: SourceRecord, event: Struct, headers: tuple[Header, ...]) -> SourceRecord | None:
        if self._mode == "drop":
            return None
        value = self._row(event, "before", "true") if self._mode in REWRITE else None
        schema = None if value is None else value.schema
        if self._mode == "tombstone" and self.surroundings.strict:
            schema = struct_field(event, "after").schema  # Debezium's null has a schema, so that JSON writes `null`
        topic = record.topic
        if self._route_by is not None:
            topic = _routed(typed_member(event, "before", Type.STRUCT), self._route_by, topic)
        deleted = record.replace(topic=topic, value_schema=schema, value=value, headers=headers)
        if self._drop_header and not blank(self._drop_header):
            deleted = self._without_dropped(deleted)
        if deleted.value is None:
            return deleted
        value = self._with_fields(deleted.value, event)
        return deleted.replace(value_schema=value.schema, value=value)

    def _row(self, event: Struct, part: str, deleted: str) -> Struct:
        """The row of one side of the event, in the rewrite modes with `__deleted`."""
        row = require_struct(_row_of(event, part), _PURPOSE)
        if self._mode not in REWRITE:
            return row
        schema, read = self._marked(row.schema)
        return Struct(schema, [*read(row.values), deleted])

    def _marked_schema(self, row: Schema) -> tuple[Schema, Read]:
        marked = struct_like(row, [*field_pairs(row), (DELETED, OPTIONAL_STRING)])
        return marked, values_of(row.fields, replace_null=self._replace_null)

    def _with_fields(self, row: Struct, event: Struct) -> Struct:
        """The row on its new schema, with the added fields behind its columns."""
        typed_member(event, "op", Type.STRING)  # Debezium's cache goes by it too, so that an event without one fails
        key = (id(row.schema), id(event.schema))
        known = self._appended.get(key)
        if known is None:
            if len(self._appended) >= 256:
                self._appended.pop(next(iter(self._appended)))
            made = _Appended(row.schema, event.schema, self._add_fields)
            known = self._appended[key] = (row.schema, event.schema, made)
        return known[2].value(row, event)

    def _head_schemas(self, event: Schema) -> list[tuple[FieldReference, Schema]]:
        found = [(reference, reference.schema_in(event)) for reference in self._add_headers]
        return [(reference, schema) for reference, schema in found if schema is not None]

    def _without_dropped(self, record: SourceRecord) -> SourceRecord:
        """The record without the fields that its header names."""
        header = next((header for header in record.headers if header.name == self._drop_header), None)
        if header is None or header.value is None:
            return record
        if not isinstance(header.value, list):
            raise JavaError(
                f"class {class_name(header.value, header.schema)} cannot be cast to class java.util.List",
                "ClassCastException",
            )
        if not header.value:
            return record
        if self._drop_from_key and record.key is not None:
            names = self._droppable(record.key_schema, header.value)
            record = record if not names else _excluding(ReplaceFieldKey, names).apply(record) or record
        names = self._droppable(record.value_schema, header.value)
        return record if not names else _excluding(ReplaceFieldValue, names).apply(record) or record

    def _droppable(self, schema: Schema | None, names: list[str]) -> list[str]:
        if not self._drop_compatible:
            return names
        if schema is None:
            raise null_pointer()
        return [name for name, member in field_pairs(schema) if member.optional and name in names]


class _Appended:
    """A row schema with the fields that an event schema has to add."""

    __slots__ = ("_added", "_checked", "_read", "schema")

    def __init__(self, row: Schema, event: Schema, references: tuple[FieldReference, ...]) -> None:
        found = [(reference, reference.schema_in(event)) for reference in references]
        added = [(reference, schema) for reference, schema in found if schema is not None]
        self._added = [reference for reference, _ in added]
        # A nested value's schema loses its members on the way, so that Java's check of it fails.
        self._checked = [(at, schema) for at, (_, schema) in enumerate(added) if schema.type in _NESTED]
        self.schema = struct_like(row, [*field_pairs(row), *[(ref.new_name, schema) for ref, schema in added]])
        self._read = values_of(row.fields, replace_null=False)

    def value(self, row: Struct, event: Struct) -> Struct:
        """The row with the event's fields behind its own."""
        values = self._read(row.values)
        added = [reference.value_in(event) for reference in self._added]
        for at, schema in self._checked:
            validate_value(schema, added[at], f'field: "{self._added[at].new_name}"')
        return Struct(self.schema, values + added)


def _row_of(event: Struct, part: str) -> Any:
    """A side of the event.

    Raises:
        JavaError: The event has no such field.
    """
    field = event.schema.field(part)
    if field is None:
        raise JavaError(f"Unknown field: {part}", "IllegalArgumentException")
    value = event.values[field.index]
    return field.schema.default if value is None else value


def _routed(row: Struct, name: str, topic: str) -> str:
    """The column's text as topic; a null or blank one changes nothing."""
    text: str | None = typed_member(row, name, Type.STRING)
    return topic if text is None or blank(text) else text


def _excluding(transform: type[ReplaceField], names: list[str]) -> ReplaceField:
    text = ",".join(map(str, names))
    values, problems = transform.config.parse({"exclude": text}, "")
    if problems:
        raise ConfigException("Configuration 'exclude' values must not be empty.")
    return transform(values, Surroundings())
