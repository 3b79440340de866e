"""`io.debezium.transforms.SchemaChangeEventFilter`: drops kinds of schema change events."""

from __future__ import annotations

from typing import ClassVar, Final

from cdc.model.javaerrors import JavaError
from cdc.model.record import SourceRecord
from cdc.model.schema import Type
from cdc.transforms.base import Transform, require_struct
from cdc.transforms.configdef import ConfigDef, Key, Kind, split, trim
from cdc.transforms.debezium.envelopes import null_pointer, typed_member
from cdc.transforms.debezium.options import is_required
from cdc.transforms.schemas import struct_field

_TYPES: Final = frozenset({"CREATE", "ALTER", "DROP", "TRUNCATE", "DATABASE"})


def _type(word: str | None) -> str:
    if word is None:
        raise null_pointer("Name is null")
    if word not in _TYPES:
        raise JavaError(
            f"No enum constant io.debezium.schema.SchemaChangeEvent.SchemaChangeEventType.{word}",
            "IllegalArgumentException",
        )
    return word


class SchemaChangeEventFilter(Transform):
    """Looks at the first table change; the Postgres connector sends no such events."""

    java_name = "io.debezium.transforms.SchemaChangeEventFilter"
    reads = frozenset({"value"})
    config: ClassVar = ConfigDef((
        Key("schema.change.event.exclude.list", Kind.STRING, None, "CREATE, ALTER, DROP, TRUNCATE, DATABASE.",
            late=(is_required,)),
    ))  # fmt: skip

    def configure(self) -> None:
        """Read the types."""
        listed = split(self.texts["schema.change.event.exclude.list"], ",")
        self._excluded = frozenset(_type(trim(word)) for word in listed)

    def apply(self, record: SourceRecord) -> SourceRecord | None:
        """The record, or None where its kind is excluded."""
        name = None if record.value_schema is None else record.value_schema.name
        if record.value is None or name is None or not name.endswith((".SchemaChangeValue", ".SchemaChangeKey")):
            return record
        event = require_struct(record.value, "Read schema change event to filter")
        changes = typed_member(event, "tableChanges", Type.ARRAY)
        if changes is None:
            return None
        kind = "DATABASE"
        if changes:
            struct_field(changes[0], "type")
            kind = _type(changes[0].get("type"))
        return None if kind in self._excluded else record
