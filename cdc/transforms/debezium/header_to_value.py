"""`io.debezium.transforms.HeaderToValue`: headers become fields of the value."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar, Final

from cdc.model.javaerrors import ConfigException, JavaError, SchemaBuilderError
from cdc.model.record import Header, SourceRecord
from cdc.model.schema import Schema, Struct, Type
from cdc.model.validation import validate_value
from cdc.transforms.base import Transform, require_struct
from cdc.transforms.configdef import ConfigDef, Key, Kind, split
from cdc.transforms.debezium.options import (
    is_required,
    listed,
    literal,
    literal_of,
    no_blanks_in_elements,
    no_empty_elements,
)
from cdc.transforms.schemas import field_named, field_pairs, struct_field, struct_like

_OPERATIONS: Final = ("move", "copy")
_ROOT: Final = "payload"  # Debezium's name for the value itself, which a field of that name shares
_NESTED: Final = frozenset({Type.STRUCT, Type.ARRAY, Type.MAP})


@dataclass(frozen=True, slots=True)
class _Entry:
    """One header on its way into the value.

    Attributes:
        path: The field's path, its steps.
        text: The path as configured.
        header: The header.
    """

    path: list[str]
    text: str
    header: Header


class HeaderToValue(Transform):
    """Copies or moves headers into the value, which must be a struct."""

    java_name = "io.debezium.transforms.HeaderToValue"
    reads = frozenset({"value", "headers"})
    config: ClassVar = ConfigDef((
        Key("headers", Kind.LIST, None, "The headers.", late=(no_blanks_in_elements, no_empty_elements, is_required)),
        Key("fields", Kind.LIST, None, "The fields, in the order of the headers; dots lead into structs.",
            late=(no_blanks_in_elements, no_empty_elements, is_required)),
        Key("operation", Kind.STRING, None, "move or copy.", late=(literal_of(_OPERATIONS, required=False), is_required)),
    ))  # fmt: skip

    def configure(self) -> None:
        """Pair headers and fields."""
        self._headers, self._fields = listed(self.texts["headers"]), listed(self.texts["fields"])
        if len(self._headers) != len(self._fields):
            raise ConfigException("'fields' config must have the same number of elements as 'headers' config.")
        self._move = literal(self.texts, "operation", _OPERATIONS, None) == "move"
        self._schemas: dict[Any, tuple[Schema, list[_Entry], Schema]] = {}

    def apply(self, record: SourceRecord) -> SourceRecord:
        """The record with the headers' values in its value."""
        if record.value is None:
            return record
        value = require_struct(record.value, "Header field insertion", record.value_schema)
        entries = [self._entry(header) for header in record.headers if header.name in self._headers]
        if not entries:
            return record
        schema = self._schema(value.schema, entries)
        headers = record.headers
        if self._move:
            headers = tuple(header for header in headers if header.name not in self._headers)
        updated = _value(_ROOT, value, entries, schema, 0)
        return record.replace(value_schema=schema, value=updated, headers=headers)

    def _entry(self, header: Header) -> _Entry:
        text = self._fields[self._headers.index(header.name)]
        return _Entry(split(text, "."), text, header)

    def _schema(self, schema: Schema, entries: list[_Entry]) -> Schema:
        # Debezium remembers what the first record's headers made of a schema, and fails where others come later.
        key: Any = schema
        if not self.surroundings.strict:
            key = (id(schema), tuple((entry.header.name, id(entry.header.schema)) for entry in entries))
        known = self._schemas.get(key)
        if known is None:
            for entry in entries:
                _refuse_primitive_parents(schema, entry)
            if len(self._schemas) >= 64:
                self._schemas.pop(next(iter(self._schemas)))
            known = self._schemas[key] = (schema, entries, _built(_ROOT, schema, entries, 0))
        return known[2]


def _refuse_primitive_parents(schema: Schema, entry: _Entry) -> None:
    current = schema
    for step in entry.path[:-1]:
        field = field_named(current, step)
        if field is None:
            return
        if field.schema.type not in _NESTED:
            raise JavaError(
                f"Field '{step}' is a primitive type, not a struct. Cannot add nested field '{entry.text}'.",
                "DebeziumException",
            )
        current = field.schema


def _leads_into(name: str, entries: list[_Entry]) -> bool:
    """Whether a path leads through a field, as Debezium finds it: by the text alone."""
    return any("." in entry.text and f"{name}." in entry.text for entry in entries)


def _placed(entry: _Entry, parent: str, level: int) -> str | None:
    """The name under which an entry goes right into the struct of that name and level; None where it does not."""
    if len(entry.path) == 1 and parent == _ROOT:
        return entry.path[0]
    if len(entry.path) != level + 1 or entry.path[max(level - 1, 0)] != parent:
        return None
    return entry.path[level]


def _new_parents(name: str, schema: Schema, entries: list[_Entry], level: int) -> list[str]:
    """Structs that a path needs at this level and that are not there."""
    found: list[str] = []
    for entry in entries:
        path = entry.path
        if "." not in entry.text or level >= len(path) - 1:
            continue
        here = (level == 0 and name == _ROOT) or (level > 0 and path[level - 1] == name)
        if here and schema.field(path[level]) is None and path[level] not in found:
            found.append(path[level])
    return found


def _in_new_parent(entry: _Entry, parent: str, name: str, level: int) -> str | None:
    """The name under which an entry goes into a struct that is new at this level."""
    path = entry.path
    if level == 0 and name == _ROOT:
        return path[1] if len(path) > 1 and path[0] == parent else None
    if level > 0 and ".".join(path[: level + 1]) == parent and level + 1 < len(path):
        return path[level + 1]
    return None


def _header_schema(name: str, header: Header) -> Schema:
    if header.schema is None:
        raise SchemaBuilderError(f"fieldSchema for field {name} cannot be null.")
    return header.schema


def _built(name: str, schema: Schema, entries: list[_Entry], level: int) -> Schema:
    if schema.type not in _NESTED:
        return schema
    pairs = [
        (field, _built(field, child, entries, level + 1) if _leads_into(field, entries) else child)
        for field, child in field_pairs(schema)
    ]
    names = {pair[0] for pair in pairs}
    for entry in entries:
        added = _placed(entry, name, level)
        if added is not None and added not in names:
            names.add(added)
            pairs.append((added, _header_schema(added, entry.header)))
    for parent in _new_parents(name, schema, entries, level):
        members = [
            (member, _header_schema(member, entry.header))
            for entry in entries
            if (member := _in_new_parent(entry, parent, name, level)) is not None
        ]
        pairs.append((parent, struct_like(Schema(Type.STRUCT), members, optional=True)))
    return struct_like(schema, pairs)


def _value(name: str, value: Struct, entries: list[_Entry], schema: Schema, level: int) -> Struct:
    updated = Struct(schema)
    for field in value.schema.fields:
        member = value.get(field.name)
        if member is None:
            continue
        if _leads_into(field.name, entries):
            nested = require_struct(member, "Nested field", field.schema)
            member = _value(field.name, nested, entries, struct_field(updated, field.name).schema, level + 1)
        _put(updated, field.name, member)
    for entry in entries:
        added = _placed(entry, name, level)
        if added is not None:
            _put(updated, added, entry.header.value, entry.header.schema)
    for parent in _new_parents(name, value.schema, entries, level):
        field_of_parent = schema.field(parent)
        if field_of_parent is None:
            continue
        created = Struct(field_of_parent.schema)
        for entry in entries:
            member_name = _in_new_parent(entry, parent, name, level)
            if member_name is not None:
                _put(created, member_name, entry.header.value, entry.header.schema)
        _put(updated, parent, created)
    return updated


def _put(struct: Struct, name: str, value: Any, given: Schema | None = None) -> None:
    field = struct_field(struct, name)
    validate_value(field.schema, value, f'field: "{name}"', given=given)
    struct.put(name, value)
