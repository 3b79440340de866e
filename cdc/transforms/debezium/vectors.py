"""`io.debezium.transforms.VectorToJsonConverter`: vectors as JSON texts."""

from __future__ import annotations

from typing import Any, Final

from cdc.model.record import SourceRecord
from cdc.model.schema import Schema, Struct, Type
from cdc.model.validation import validate_value
from cdc.transforms.base import PerSchema, Transform, require_struct
from cdc.transforms.debezium.envelopes import typed_member
from cdc.transforms.schemas import field_pairs, struct_like
from cdc.values.javastring import java_string

_JSON: Final = Schema(Type.STRING, name="io.debezium.data.Json", version=1)
_DENSE: Final = frozenset({"io.debezium.data.DoubleVector", "io.debezium.data.FloatVector"})
_SPARSE: Final = "io.debezium.data.SparseDoubleVector"


class VectorToJsonConverter(Transform):
    """Converts vectors in structs at any depth; a null in a field with a default becomes the default on the way."""

    java_name = "io.debezium.transforms.VectorToJsonConverter"
    reads = frozenset({"value"})

    def configure(self) -> None:
        """Nothing to read."""
        self._schemas = PerSchema(self._converted_schema)

    def apply(self, record: SourceRecord) -> SourceRecord:
        """The record with its vectors as texts."""
        if record.value is None:
            return record
        value = self._converted(require_struct(record.value, "Value should be a struct", record.value_schema))
        return record.replace(value_schema=value.schema, value=value)

    def _converted_schema(self, schema: Schema) -> Schema:
        pairs = []
        for name, child in field_pairs(schema):
            if child.name in _DENSE or child.name == _SPARSE:
                pairs.append((name, _JSON.as_optional() if child.optional else _JSON))
            else:
                pairs.append((name, self._schemas(child) if child.type is Type.STRUCT else child))
        return struct_like(schema, pairs, optional=schema.optional)

    def _converted(self, struct: Struct) -> Struct:
        schema = self._schemas(struct.schema)
        values: list[Any] = []
        for field, target, given in zip(struct.schema.fields, schema.fields, struct.values, strict=True):
            value = field.schema.default if given is None else given
            if value is not None:
                if field.schema.name in _DENSE:
                    value = _dense_text(value, field.schema)
                elif field.schema.name == _SPARSE:
                    value = _sparse_text(require_struct(value, "SparseDoubleVector should be a struct."))
                elif field.schema.type is Type.STRUCT:
                    value = self._converted(require_struct(value, "Should be a struct."))
            if value is None:
                validate_value(target.schema, value, f'field: "{field.name}"')
            values.append(value)
        return Struct(schema, values)


def _dense_text(values: list[Any], schema: Schema) -> str:
    return '{ "values": [' + ", ".join(java_string(value, schema.value_schema) for value in values) + "] }"


def _sparse_text(vector: Struct) -> str:
    dimensions = typed_member(vector, "dimensions", Type.INT16)
    entries = typed_member(vector, "vector", Type.MAP)
    text = ", ".join(f'"{key}": {java_string(entries[key])}' for key in sorted(entries))
    return f'{{ "dimensions": {java_string(dimensions)}, "vector": {{ {text} }} }}'
