"""`io.debezium.transforms.partitions.PartitionRouting`: the partition by a hash of some fields of the event."""

from __future__ import annotations

from typing import Any, ClassVar, Final

from cdc.model.javaerrors import JavaError
from cdc.model.javatypes import wrap_integer
from cdc.model.record import SinkRecord, SourceRecord
from cdc.model.schema import Schema, Struct, Type
from cdc.transforms.base import Transform, require_struct
from cdc.transforms.configdef import ConfigDef, Key, Kind, split, trim
from cdc.transforms.debezium.envelopes import is_change_event
from cdc.transforms.debezium.javahash import java_hash, murmur_hash
from cdc.transforms.debezium.options import is_positive_integer, is_required, listed, no_empty_elements
from cdc.values.javastring import java_string

_INT_MAX: Final = (1 << 31) - 1


class _Unprocessable(Exception):
    """A null struct stands in the way."""


def _operation(record: SourceRecord, event: Struct) -> str | None:
    if isinstance(record, SinkRecord):
        raise _Unprocessable
    field = event.schema.field("op")
    if field is not None and field.schema.type is not Type.STRING:
        raise _Unprocessable
    operation: str | None = None if field is None else event.get_without_default("op")
    return operation


class PartitionRouting(Transform):
    """Sets the partition of change events; truncates and messages pass."""

    java_name = "io.debezium.transforms.partitions.PartitionRouting"
    reads = frozenset({"value"})
    config: ClassVar = ConfigDef((
        Key("partition.payload.fields", Kind.LIST, None, "Paths as `change.id` or `source.table`.",
            late=(no_empty_elements, is_required)),
        Key("partition.topic.num", Kind.INT, None, "The topic's number of partitions.",
            late=(is_positive_integer, is_required)),
        Key("partition.hash.function", Kind.STRING, "java", "java or murmur; anything else means java."),
    ))  # fmt: skip

    def configure(self) -> None:
        """Read the paths."""
        self._paths = [
            [trim(step) for step in split(path, ".")] for path in listed(self.texts["partition.payload.fields"])
        ]
        self._count: int = self.options["partition.topic.num"]
        murmur = trim(self.texts.get("partition.hash.function", "java")).lower() == "murmur"
        self._hash = murmur_hash if murmur else java_hash

    def apply(self, record: SourceRecord) -> SourceRecord:
        """The record with its partition set; unchanged where none of the fields is there."""
        if record.value is None or not is_change_event(record):
            return record
        event = require_struct(record.value, "partition routing")
        try:
            operation = _operation(record, event)
            if operation in ("t", "m"):
                return record
            found = [value for path in self._paths if (value := self._value(event, path, operation)) is not None]
        except _Unprocessable:
            raise JavaError(
                f"Unprocessable message {java_string(event)}", "DebeziumException",
                shown="a path of partition.payload.fields leads through a struct that is null",
            ) from None  # fmt: skip
        if not found:
            return record
        total = wrap_integer(sum(self._hash(value, schema) for value, schema in found), 32) & _INT_MAX
        partition = (0 if total == _INT_MAX else total) % self._count
        return record if partition == record.partition else record.replace(partition=partition)

    def _value(self, event: Struct, path: list[str], operation: str | None) -> tuple[Any, Schema] | None:
        """A field's value and schema, or None where there is no such field or it is null."""
        if "change" in path[:-1] and event.schema.field("op") is None:
            return None
        current: Struct | None = event
        for step in path[:-1]:
            if current is None:
                raise _Unprocessable
            name = ("before" if operation == "d" else "after") if step == "change" else step
            field = current.schema.field(name)
            if field is None or field.schema.type is not Type.STRUCT:
                return None
            current = current.values[field.index]
        if current is None:
            raise _Unprocessable
        last = current.schema.field(path[-1]) if path else None
        if last is None:
            return None
        value = current.get(last.name)
        return None if value is None else (value, last.schema)
