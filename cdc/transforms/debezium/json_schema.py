"""Debezium's inference of a Connect schema from a JSON text (`JsonSchemaData`), for outbox payloads and WAL messages."""

from __future__ import annotations

import json
from typing import Any, Final, NoReturn

from cdc.model.javaerrors import DataError, JavaError
from cdc.model.javatypes import INT_MAX, INT_MIN, LONG_MAX, LONG_MIN
from cdc.model.schema import (
    OPTIONAL_BOOLEAN,
    OPTIONAL_BYTES,
    OPTIONAL_FLOAT64,
    OPTIONAL_INT32,
    OPTIONAL_INT64,
    OPTIONAL_STRING,
    Schema,
    Struct,
    Type,
)
from cdc.transforms.debezium.names import Adjust
from cdc.transforms.debezium.options import blank
from cdc.transforms.schemas import checked_fields


class NotJson(ValueError):
    """The text is not JSON."""


def _refuse_constant(word: str) -> NoReturn:
    raise ValueError(word)


_DECODER: Final = json.JSONDecoder(parse_constant=_refuse_constant)


def parse(text: str) -> Any:
    """The JSON document that a text begins with.

    Raises:
        NotJson: There is none.
    """
    try:
        return _DECODER.raw_decode(text)[0]
    except (ValueError, RecursionError) as error:
        raise NotJson from error


class JsonSchemas:
    """Infers schemas and reads documents by them.

    Args:
        null_bytes: Whether a null member is kept as an optional BYTES field, or left out.
        adjust: Adjusts field names.
    """

    LIMIT: Final = 10_000

    def __init__(self, *, null_bytes: bool, adjust: Adjust) -> None:
        self._null_bytes = null_bytes
        self._adjust = adjust
        self._known: dict[Schema, Schema] = {}

    def schema_of(self, name: str | None, node: Any) -> Schema | None:
        """The schema of a document, the same object for equal schemas; None where nothing can be said.

        Raises:
            JavaError: An array's members do not agree.
        """
        schema = self._infer(name, node)
        if schema is None:
            return None
        if len(self._known) >= self.LIMIT:
            self._known.clear()
        return self._known.setdefault(schema, schema)

    def _infer(self, name: str | None, node: Any) -> Schema | None:
        if node is None:
            return OPTIONAL_BYTES if self._null_bytes else None
        if isinstance(node, dict):
            fields: dict[str, Schema] = {}
            for member, value in node.items():
                field = self._adjust(member)
                schema = self._infer(field if blank(name) else f"{name}.{field}", value)
                if schema is not None and field not in fields:
                    fields[field] = schema
            return Schema(Type.STRUCT, name=name, optional=True, fields=checked_fields(fields.items()))
        if isinstance(node, list):
            if not node:
                return None
            return Schema(Type.ARRAY, value_schema=self._items(name, node), optional=True)
        return _primitive(node)

    def _items(self, name: str | None, nodes: list[Any]) -> Schema:
        sample = _sample(nodes)
        if isinstance(sample, dict):
            distinct = dict.fromkeys(self._infer(name, node) for node in nodes if isinstance(node, dict))
            merged: Schema | None = None
            for schema in distinct:
                assert schema is not None
                merged = schema if merged is None else _merged(merged, schema)
            assert merged is not None
            return merged
        schema = self._infer(None, sample)
        if schema is None:
            raise JavaError("Array '' has unrecognized member schema.", "ConnectException")
        return schema

    def read(self, node: Any, schema: Schema | None) -> Struct:
        """A document as a struct of its schema.

        Raises:
            DataError: It is no object, or a member does not fit.
        """
        if schema is None or schema.type is not Type.STRUCT:
            raise DataError(f"Not a struct schema: {schema}")
        return self._struct(node, schema)

    def _struct(self, node: Any, schema: Schema) -> Struct:
        if schema.type is not Type.STRUCT:
            raise DataError(f"Not a struct schema: {schema}")
        values = [
            self._value(node[field.name], field.schema) if field.name in node else None for field in schema.fields
        ]
        return Struct(schema, values)

    def _value(self, node: Any, schema: Schema) -> Any:
        if node is None:
            return None
        if isinstance(node, dict):
            return self._struct(node, schema)
        if isinstance(node, list):
            if schema.type is not Type.ARRAY or schema.value_schema is None:
                raise DataError("Cannot look up value schema on non-array and non-map type")
            return [self._value(member, schema.value_schema) for member in node]
        fitting = _primitive(node).type is schema.type and not _beyond_long(node)
        if not fitting:
            raise DataError(f"Invalid Java object for schema with type {schema.type.name}")
        return node


def _beyond_long(node: Any) -> bool:
    return isinstance(node, int) and not isinstance(node, bool) and not LONG_MIN <= node <= LONG_MAX


def _primitive(node: Any) -> Schema:
    if isinstance(node, str):
        return OPTIONAL_STRING
    if isinstance(node, bool):
        return OPTIONAL_BOOLEAN
    if isinstance(node, int):
        if INT_MIN <= node <= INT_MAX:
            return OPTIONAL_INT32
        return OPTIONAL_FLOAT64 if _beyond_long(node) else OPTIONAL_INT64
    return OPTIONAL_FLOAT64


def _kind(node: Any) -> str:
    if isinstance(node, bool):
        return "BOOLEAN"
    if isinstance(node, (int, float)):
        return "NUMBER"
    return {dict: "OBJECT", list: "ARRAY"}.get(type(node), "STRING")  # type: ignore[call-overload,no-any-return] # keyed by class


def _sample(nodes: list[Any]) -> Any:
    """The first member that is not null, once all members are of its kind."""
    sample = None
    for node in nodes:
        if node is None:
            continue
        if sample is None:
            sample = node
        if _kind(node) != _kind(sample):
            raise JavaError(f"Field is not a homogenous array ({sample} x {_kind(node)}).", "ConnectException")
        if _kind(sample) == "NUMBER" and _primitive(node) is not _primitive(sample):
            raise JavaError(
                f"Field is not a homogenous array ({sample} x {node}), different number types", "ConnectException"
            )
    return sample


def _merged(left: Schema, right: Schema) -> Schema:
    fields = {field.name: field.schema for field in left.fields}
    for field in right.fields:
        old = fields.get(field.name)
        if old is None or (old != field.schema and old.type is Type.BYTES and field.schema.type is not Type.BYTES):
            fields[field.name] = field.schema
    return Schema(Type.STRUCT, name=left.name, fields=fields.items())
