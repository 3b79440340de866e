"""`io.debezium.transforms.EnforceRecordSize`: long texts and bytes cut so that a record stays below a size."""

from __future__ import annotations

import math
from decimal import Decimal
from typing import Any, ClassVar, Final

from cdc.converters.json import decimal_bytes
from cdc.model.javaerrors import JavaError, invalid_value
from cdc.model.javatypes import class_name
from cdc.model.record import SinkRecord, SourceRecord
from cdc.model.schema import Schema, Struct, Type
from cdc.transforms.base import Transform
from cdc.transforms.configdef import NO_DEFAULT, ConfigDef, Key, Kind
from cdc.values.javatext import double_text

_STRUCT, _STRING, _BYTES, _ARRAY, _MAP, _PRIMITIVE, _REFERENCE = 56, 56, 24, 64, 88, 24, 8
_SIDES: Final = ("before", "after")


class EnforceRecordSize(Transform):
    """Cuts the long columns of `before` and `after` in proportion to their lengths."""

    java_name = "io.debezium.transforms.EnforceRecordSize"
    reads = frozenset({"value", "key", "headers"})
    config: ClassVar = ConfigDef((
        Key("max.bytes", Kind.INT, NO_DEFAULT, "The size that a record may have, in bytes, as Debezium estimates it."),
        Key("compression.ratio", Kind.DOUBLE, 1.0, "What the estimate is multiplied by."),
        Key("min.field.size", Kind.INT, 25000, "Fields of this length and below are not cut."),
    ))  # fmt: skip

    def configure(self) -> None:
        """Check the numbers."""
        self._limit: int = self.options["max.bytes"]
        self._ratio: float = self.options["compression.ratio"]
        self._least: int = self.options["min.field.size"]
        if self._limit <= 0:
            raise invalid_value(self._limit, "max.bytes", "Must be a positive integer")
        if self._ratio <= 0:
            raise invalid_value(double_text(self._ratio), "compression.ratio", "Must be a positive number")
        if self._least < 0:
            raise invalid_value(self._least, "min.field.size", "Must be non-negative")

    def apply(self, record: SourceRecord) -> SourceRecord:
        """The record, cut where it is too large."""
        if not isinstance(record.value, Struct) or isinstance(record, SinkRecord):
            return record
        size = math.ceil(_record_size(record) * self._ratio)
        if size <= self._limit:
            return record
        event = record.value
        long = {side: self._long_values(event, side) for side in _SIDES}
        totals = {side: sum(map(len, found.values())) for side, found in long.items()}
        whole = sum(totals.values())
        if whole <= 0:
            return record
        cut = Struct(event.schema, event.values)
        for side in _SIDES:
            excess = math.ceil(totals[side] / whole * (size - self._limit))
            if long[side] and excess > 0:
                field = event.schema.field(side)
                assert field is not None
                cut.values[field.index] = _cut(cut.values[field.index], long[side], totals[side], excess)
        return record.replace(value=cut)

    def _long_values(self, event: Struct, side: str) -> dict[int, Any]:
        """The values of a side that are long enough to be cut, by index."""
        field = event.schema.field(side)
        row = None if field is None else event.values[field.index]
        found: dict[int, Any] = {}
        if not isinstance(row, Struct):
            return found
        for member, given in zip(row.schema.fields, row.values, strict=True):
            value = member.schema.default if given is None else given
            if value is None or member.schema.type not in (Type.STRING, Type.BYTES):
                continue
            if isinstance(value, Decimal):
                if self.surroundings.strict:
                    raise JavaError(
                        "class java.math.BigDecimal cannot be cast to class java.nio.ByteBuffer", "ClassCastException"
                    )
                continue
            if len(value) > self._least:
                found[member.index] = value
        return found


def _cut(row: Struct, long: dict[int, Any], total: int, excess: int) -> Struct:
    cut = Struct(row.schema, row.values)
    for index, value in long.items():
        left = max(0, len(value) - math.ceil(len(value) / total * excess))
        cut.values[index] = value[:left]
    return cut


def _record_size(record: SourceRecord) -> int:
    """Debezium's estimate, in bytes."""
    entries = len(record.source_partition or ()) + len(record.source_offset or ()) + len(record.headers)
    if record.key is not None and not isinstance(record.key, Struct):
        raise JavaError(
            f"class {class_name(record.key, record.key_schema)} cannot be cast to class "
            "org.apache.kafka.connect.data.Struct", "ClassCastException",
        )  # fmt: skip
    key = 0 if record.key is None else _struct_size(record.key)
    return entries * 100 + 8 + key + _struct_size(record.value) + len(record.topic.encode())


def _struct_size(struct: Struct) -> int:
    fields = struct.schema.fields
    return _STRUCT + sum(
        _REFERENCE + _size(field.schema, value) for field, value in zip(fields, struct.values, strict=True)
    )


def _size(schema: Schema, value: Any) -> int:
    if schema.type not in (Type.STRING, Type.BYTES, Type.STRUCT, Type.ARRAY, Type.MAP):
        return _PRIMITIVE
    if value is None:
        return 0
    if schema.type is Type.STRING:
        return _STRING + len(value.encode("utf-8", "replace"))
    if schema.type is Type.BYTES:
        return _BYTES + (len(decimal_bytes(value)) if isinstance(value, Decimal) else len(value))
    if schema.type is Type.STRUCT:
        return _struct_size(value)
    if schema.type is Type.ARRAY:
        assert schema.value_schema is not None
        items = schema.value_schema
        return _ARRAY + sum(_REFERENCE + _size(items, item) for item in value)
    assert schema.key_schema is not None
    assert schema.value_schema is not None
    keys, items = schema.key_schema, schema.value_schema
    return _MAP + sum(2 * _REFERENCE + _size(keys, key) + _size(items, item) for key, item in value.items())
