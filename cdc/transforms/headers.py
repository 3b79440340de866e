"""Kafka's transforms of headers: DropHeaders, InsertHeader, HeaderFrom."""

from __future__ import annotations

from typing import Any, ClassVar, Final

from cdc.converters.inference import infer
from cdc.model.javaerrors import ConfigException, DataError, JavaError
from cdc.model.record import Header, SourceRecord
from cdc.model.schema import Field, Schema, Struct
from cdc.transforms.base import Parts, PartTransform, PerSchema, Transform, require_map, require_struct
from cdc.transforms.configdef import (
    NO_DEFAULT,
    REPLACE_NULL_WITH_DEFAULT,
    ConfigDef,
    Key,
    Kind,
    non_empty_list,
    non_null,
    one_of,
    values_once,
)
from cdc.transforms.schemas import Read, field_pairs, struct_like, values_of

_HEADERS: Final[Parts] = frozenset({"headers"})


class DropHeaders(Transform):
    """Removes every header of the listed names."""

    java_name = "org.apache.kafka.connect.transforms.DropHeaders"
    reads = _HEADERS
    steady = True
    config: ClassVar = ConfigDef((
        Key("headers", Kind.LIST, NO_DEFAULT, "The headers to remove.", (values_once(empty_allowed=False),)),
    ))  # fmt: skip

    def configure(self) -> None:
        """Read the names."""
        self._names = frozenset(self.options["headers"])

    def apply(self, record: SourceRecord) -> SourceRecord:
        """The record without these headers."""
        kept = tuple([header for header in record.headers if header.name not in self._names])
        return record if len(kept) == len(record.headers) else record.replace(headers=kept)


class InsertHeader(Transform):
    """Appends a header whose value is inferred from a literal."""

    java_name = "org.apache.kafka.connect.transforms.InsertHeader"
    reads = _HEADERS
    steady = True
    config: ClassVar = ConfigDef((
        Key("header", Kind.STRING, NO_DEFAULT, "The header's name.", (non_null,)),
        Key("value.literal", Kind.STRING, NO_DEFAULT, "Its value, whose type is inferred from the text.", (non_null,)),
    ))  # fmt: skip

    def configure(self) -> None:
        """Infer the value."""
        schema, value = infer(self.options["value.literal"], self.surroundings.zone)
        self._header = Header(self.options["header"], schema, value)

    def apply(self, record: SourceRecord) -> SourceRecord:
        """The record with the header behind the others."""
        return record.replace(headers=(*record.headers, self._header))


class HeaderFrom(PartTransform):
    """Copies or moves fields into headers."""

    reads = _HEADERS
    joinable = False  # headers change too
    config: ClassVar = ConfigDef((
        Key("fields", Kind.LIST, NO_DEFAULT, "The fields.", (non_empty_list,)),
        Key("headers", Kind.LIST, NO_DEFAULT, "The headers, in the order of the fields.", (non_empty_list,)),
        Key("operation", Kind.STRING, NO_DEFAULT, "move or copy.", (one_of("move", "copy"),)),
        REPLACE_NULL_WITH_DEFAULT,
    ))  # fmt: skip

    def configure(self) -> None:
        """Pair fields and headers."""
        self._names: list[str] = self.options["fields"]
        self._headers: list[str] = self.options["headers"]
        if len(self._names) != len(self._headers):
            raise ConfigException("'fields' config must have the same number of elements as 'headers' config.")
        self._move = self.options["operation"] == "move"
        self._purpose = f"header {self.options['operation']}"
        self._replace_null: bool = self.options["replace.null.with.default"]
        self._plans = PerSchema(self._plan)

    def convert(self, record: SourceRecord, schema: Schema | None, value: Any) -> tuple[Schema | None, Any]:
        """The part alone, for callers that have no use for the headers."""
        if schema is None:
            return None, self._schemaless(value)[0]
        return self._struct(schema, value)[:2]

    def apply(self, record: SourceRecord) -> SourceRecord:
        """The record with the headers appended."""
        schema, value = (record.value_schema, record.value) if self.part == "value" else (record.key_schema, record.key)
        updated: Any
        if schema is None:
            updated, added = self._schemaless(value)
        else:
            schema, updated, added = self._struct(schema, value)
        headers = (*record.headers, *added)
        if self.part == "value":
            return record.replace(value_schema=schema, value=updated, headers=headers)
        return record.replace(key_schema=schema, key=updated, headers=headers)

    def _schemaless(self, value: Any) -> tuple[dict[str, Any], list[Header]]:
        given = require_map(value, self._purpose)
        updated = dict(given)
        added: list[Header] = []
        for name, header in zip(self._names, self._headers, strict=True):
            added.append(Header(header, None, given.get(name)))
            if self._move:
                updated.pop(name, None)
        return updated, added

    def _struct(self, schema: Schema, value: Any) -> tuple[Schema, Struct, list[Header]]:
        struct = require_struct(value, self._purpose, schema)
        moved, heads = self._plans(schema)
        updated = struct if moved is None else Struct(moved[0], moved[1](struct.values))
        added: list[Header] = []
        for header, field in heads:
            if field is None:
                raise JavaError(
                    'Cannot invoke "org.apache.kafka.connect.data.Field.schema()" because the return value of '
                    '"org.apache.kafka.connect.data.Schema.field(String)" is null',
                    "NullPointerException",
                    shown="a field that is to become a header is not in the schema",
                )
            member = struct.values[field.index]
            if member is None and self._replace_null:
                member = field.schema.default
            added.append(checked_header(header, field.schema, member))
        return updated.schema if moved is not None else schema, updated, added

    def _plan(self, schema: Schema) -> tuple[tuple[Schema, Read] | None, list[tuple[str, Field | None]]]:
        """What is left of a struct that fields move out of, and the field of each header."""
        pairs = field_pairs(schema)
        heads = [(header, schema.field(name)) for name, header in zip(self._names, self._headers, strict=True)]
        if not self._move:
            return None, heads
        kept = [field for field in schema.fields if field.name not in self._names]
        updated = struct_like(schema, [pair for pair in pairs if pair[0] not in self._names])
        return (updated, values_of(kept, replace_null=self._replace_null)), heads


def checked_header(name: str, schema: Schema, value: Any) -> Header:
    """A header, its value checked against its schema as `ConnectHeaders.add` does.

    Raises:
        DataError: A null under a required schema.
    """
    if value is None and not schema.optional:
        raise DataError(f"A null value requires an optional schema but was {schema_text(schema)}")
    return Header(name, schema, value)


def schema_text(schema: Schema) -> str:
    """A schema as Connect prints it."""
    return f"Schema{{{schema.name}:{schema.type.name}}}" if schema.name is not None else f"Schema{{{schema.type.name}}}"


class HeaderFromKey(HeaderFrom):
    """HeaderFrom on keys."""

    java_name = "org.apache.kafka.connect.transforms.HeaderFrom$Key"
    part = "key"


class HeaderFromValue(HeaderFrom):
    """HeaderFrom on values."""

    java_name = "org.apache.kafka.connect.transforms.HeaderFrom$Value"
    part = "value"
