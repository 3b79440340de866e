"""Avro by our writer is what another implementation reads."""

from __future__ import annotations

import io
import json
from decimal import Decimal

import fastavro
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cdc.converters.avro import AvroConverter, AvroSchemas, compose, record_name, topic_name, topic_record_name
from cdc.model.javaerrors import DataError
from cdc.model.schema import (
    BOOLEAN,
    BYTES,
    DECIMAL,
    FLOAT64,
    INT8,
    INT32,
    INT64,
    STRING,
    Schema,
    Struct,
    Type,
    array_schema,
    map_schema,
    struct_schema,
)

DECIMAL_2 = Schema(Type.BYTES, name=DECIMAL, version=1, parameters={"scale": "2", "connect.decimal.precision": "10"})

VALUES = {
    INT8: st.integers(-128, 127),
    INT32: st.integers(-(2**31), 2**31 - 1),
    INT64: st.integers(-(2**63), 2**63 - 1),
    FLOAT64: st.floats(allow_nan=False),
    BOOLEAN: st.booleans(),
    STRING: st.text(st.characters(exclude_categories=["Cs"])),
    BYTES: st.binary(),
    DECIMAL_2: st.integers(-(10**9), 10**9).map(lambda n: Decimal(n).scaleb(-2)),
}


class Ids:
    """A registry that gives each schema the next number."""

    def __init__(self) -> None:
        self.asked: list[tuple[str, str]] = []

    def register(self, subject: str, schema: str) -> int:
        self.asked.append((subject, schema))
        return len(self.asked)


@st.composite
def rows(draw):
    fields, values = [], []
    for n in range(draw(st.integers(1, 5))):
        schema = draw(st.sampled_from(list(VALUES)))
        value = draw(VALUES[schema])
        shape = draw(st.sampled_from(["plain", "optional", "null", "array", "map"]))
        if shape in ("optional", "null"):
            schema = schema.as_optional()
            value = None if shape == "null" else value
        elif shape == "array":
            schema, value = array_schema(schema), [value] * draw(st.integers(0, 3))
        elif shape == "map":
            schema, value = map_schema(STRING, schema), {"k": value}
        fields.append((f"f{n}", schema))
        values.append(value)
    schema = struct_schema(fields, name="shop.public.orders.Value")
    return schema, Struct(schema, values)


@given(rows())
def test_what_we_write_fastavro_reads_back(case):
    schema, value = case
    out = bytearray()
    compose(schema)(out, value)
    text = AvroSchemas().text(schema)
    parsed = fastavro.parse_schema(json.loads(text))
    assert fastavro.schemaless_reader(io.BytesIO(bytes(out)), parsed) == value.as_dict()


def test_a_message_begins_with_a_zero_byte_and_the_schema_id():
    ids = Ids()
    converter = AvroConverter(ids, key=False)
    assert converter.from_connect("t", INT32, 1) == b"\x00\x00\x00\x00\x01\x02"
    assert converter.from_connect("t", INT32, -1) == b"\x00\x00\x00\x00\x01\x01"
    assert ids.asked == [("t-value", '"int"')], "a schema is asked for once"


def test_a_tombstone_is_no_bytes_at_all():
    assert AvroConverter(Ids(), key=False).from_connect("t", None, None) is None


def test_null_in_a_required_field_is_refused():
    schema = struct_schema([("a", INT32)], name="r")
    with pytest.raises(DataError, match="required"):
        AvroConverter(Ids(), key=False).from_connect("t", schema, Struct(schema, [None]))


def test_a_default_stands_first_in_the_union_and_stands_in_for_null_when_asked():
    schema = struct_schema([("a", INT32.replace(optional=True, default=5))], name="r")
    text = json.loads(AvroSchemas().text(schema))
    assert text["fields"][0] == {"name": "a", "type": [{"type": "int", "connect.default": 5}, "null"], "default": 5}
    for null_as_default, expected in ((True, b"\x00\x0a"), (False, b"\x02")):
        out = bytearray()
        compose(schema, null_as_default=null_as_default)(out, Struct(schema, [None]))
        assert bytes(out) == expected


def test_two_records_of_one_name_with_other_fields_keep_apart():
    row = struct_schema([("a", INT32)], name="x.Value", optional=True)
    before = struct_schema([("a", INT32.as_optional())], name="x.Value", optional=True)
    text = AvroSchemas().text(struct_schema([("before", before), ("after", row), ("again", row)], name="x.Envelope"))
    fastavro.parse_schema(json.loads(text))


def test_an_illegal_name_says_what_to_set():
    schema = struct_schema([("with blank", INT32)], name="r")
    with pytest.raises(DataError, match="adjustment"):
        AvroSchemas().text(schema)
    assert json.loads(AvroSchemas(scrub=True).text(schema))["fields"][0]["name"] == "with_blank"


def test_subjects_are_named_by_the_strategy():
    schema = struct_schema([("a", INT32)], name="shop.Value")
    assert topic_name("t", schema, True) == "t-key"
    assert record_name("t", schema, False) == "shop.Value"
    assert topic_record_name("t", schema, False) == "t-shop.Value"
