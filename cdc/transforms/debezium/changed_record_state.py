"""`io.debezium.transforms.ExtractChangedRecordState`: which columns an update changed, in headers."""

from __future__ import annotations

from typing import ClassVar

from cdc.model.record import Header, SourceRecord
from cdc.model.schema import OPTIONAL_STRING, Schema, Type
from cdc.transforms.base import Transform, require_struct
from cdc.transforms.configdef import ConfigDef, Key, Kind
from cdc.transforms.debezium.envelopes import is_change_event
from cdc.transforms.debezium.javahash import java_equals
from cdc.transforms.debezium.options import blank
from cdc.transforms.debezium.shared_headers import SharedHeaders
from cdc.transforms.schemas import struct_field


class ExtractChangedRecordState(Transform):
    """Adds the lists; they are empty where one side of the event is missing."""

    java_name = "io.debezium.transforms.ExtractChangedRecordState"
    reads = frozenset({"value", "headers"})
    config: ClassVar = ConfigDef((
        Key("header.changed.name", Kind.STRING, None, "Header for the changed columns."),
        Key("header.unchanged.name", Kind.STRING, None, "Header for the others."),
    ))  # fmt: skip

    def configure(self) -> None:
        """Read the names."""
        self._changed = self._head("header.changed.name")
        self._unchanged = self._head("header.unchanged.name")
        self._shared = SharedHeaders() if self.surroundings.strict else None

    def _head(self, option: str) -> tuple[str, Schema] | None:
        name = self.texts.get(option)
        if name is None or blank(name):
            return None
        return name, Schema(Type.ARRAY, value_schema=OPTIONAL_STRING, optional=True, name=name)

    def apply(self, record: SourceRecord) -> SourceRecord:
        """The record with the headers."""
        if self._shared is not None:
            record = self._shared.of(record)
        if record.value is None or not is_change_event(record):
            return record
        event = require_struct(record.value, "Record value should be struct.")
        struct_field(event, "after")
        struct_field(event, "before")
        after, before = event.get("after"), event.get("before")
        changed: list[str] = []
        unchanged: list[str] = []
        if after is not None and before is not None:
            for field, value in zip(after.schema.fields, after.values, strict=True):
                old = before.values[struct_field(before, field.name).index]
                (unchanged if java_equals(value, old) else changed).append(field.name)
        heads = [(self._changed, changed), (self._unchanged, unchanged)]
        added = [Header(head[0], head[1], names) for head, names in heads if head is not None]
        headers = (*record.headers, *added)
        if self._shared is not None:
            self._shared.keep(record, headers)
        return record.replace(headers=headers) if added else record
