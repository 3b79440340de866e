"""What our writer writes in Avro is read back as the schema and the value that it had; damaged bytes are refused."""

from __future__ import annotations

import contextlib
import json
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cdc.converters.avro import AvroConverter
from cdc.converters.avro_reading import AvroReader, compose_reader
from cdc.model.javaerrors import DataError
from cdc.model.schema import (
    DATE,
    INT16,
    INT32,
    STRING,
    TIMESTAMP,
    JavaDate,
    Schema,
    Struct,
    Type,
    map_schema,
    struct_schema,
)
from tests.unit.converters.test_avro import DECIMAL_2, rows


class Registry:
    """Holds what was registered."""

    def __init__(self) -> None:
        self.texts: list[str] = []

    def register(self, _subject: str, schema: str) -> int:
        self.texts.append(schema)
        return len(self.texts)

    def schema(self, identity: int) -> str:
        return self.texts[identity - 1]


def written(schema: Schema, value: object) -> tuple[Registry, bytes]:
    registry = Registry()
    data = AvroConverter(registry, key=False, null_as_default=False).from_connect("t", schema, value)
    assert data is not None
    return registry, data


@given(rows())
def test_schema_and_value_come_back(case):
    schema, value = case
    registry, data = written(schema, value)
    assert AvroReader(registry).to_connect(data) == (schema, value)


def test_dates_defaults_nested_rows_and_maps_of_numbers_come_back():
    row = struct_schema(
        [
            ("day", Schema(Type.INT32, name=DATE, version=1, default=JavaDate(86_400_000))),
            ("at", Schema(Type.INT64, name=TIMESTAMP, version=1, optional=True)),
            ("price", DECIMAL_2.replace(default=Decimal("1.50"))),
            ("count", INT32.replace(optional=True, default=5)),
            ("pairs", map_schema(INT16, STRING)),
        ],
        name="x.Value", optional=True,
    )  # fmt: skip
    schema = struct_schema([("before", row), ("after", row), ("op", STRING)], name="x.Envelope", version=2)
    values = [JavaDate(-86_400_000), JavaDate(1), Decimal("-0.01"), None, {1: "a", -2: ""}]
    value = Struct(schema, [None, Struct(row, values), "c"])
    registry, data = written(schema, value)
    found_schema, found = AvroReader(registry).to_connect(data)
    assert found_schema == schema
    assert found == value
    assert AvroReader(registry).to_connect(None) == (None, None)


def test_a_value_cut_at_any_byte_is_refused():
    schema = struct_schema([("a", STRING), ("b", map_schema(STRING, INT32)), ("c", DECIMAL_2)], name="r")
    registry, data = written(schema, Struct(schema, ["text", {"k": 1}, Decimal("12.34")]))
    reader = AvroReader(registry)
    for length in range(len(data)):
        with pytest.raises(DataError):
            reader.to_connect(data[:length])
    with pytest.raises(DataError, match="stand behind"):
        reader.to_connect(data + b"\0")


@given(st.binary(max_size=60))
def test_random_bytes_are_a_value_or_refused(data):
    schema = struct_schema([("a", STRING.as_optional()), ("b", map_schema(STRING, INT32)), ("c", DECIMAL_2)], name="r")
    registry, _ = written(schema, Struct(schema, [None, {}, Decimal("0.00")]))
    with contextlib.suppress(DataError):
        AvroReader(registry).to_connect(b"\0\0\0\0\1" + data)


def test_an_enum_and_a_fixed_of_others_are_texts_and_bytes():
    read = compose_reader(json.dumps({"type": "enum", "name": "mood", "symbols": ["sad", "ok"]}))
    assert read.schema.type is Type.STRING
    fixed = compose_reader(json.dumps({"type": "fixed", "name": "two", "size": 2}))
    assert fixed.schema.type is Type.BYTES


def test_a_union_of_several_types_is_refused():
    with pytest.raises(DataError, match="union"):
        compose_reader('["int", "string"]')
