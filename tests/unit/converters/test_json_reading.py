"""JsonConverter's reading side: coercions, and the texts of what it refuses."""

from __future__ import annotations

import json
from decimal import Decimal

import pytest

from cdc.converters.json import JsonConverter
from cdc.converters.json_reading import JsonReader
from cdc.model.javaerrors import DataError
from cdc.model.schema import JavaDate, Schema, Type


def read(schema, payload, **options):
    return JsonReader(**options).to_connect(json.dumps({"schema": schema, "payload": payload}).encode())[1]


def field(type, **more):
    return {"type": "struct", "fields": [{"type": type, "field": "a", **more}]}


CONNECT = "org.apache.kafka.connect.data."


@pytest.mark.parametrize(
    ("schema", "payload", "value"),
    [
        ({"type": "int8"}, 300, 44),
        ({"type": "int32"}, "1", 0),
        ({"type": "int32"}, 1.9, 1),
        ({"type": "string", "optional": True}, 1, None),
        ({"type": "boolean"}, "true", False),
        ({"type": "double"}, "NaN", 0.0),
        ({"type": "bytes"}, "AAE=", b"\x00\x01"),
        ({"type": "array", "items": {"type": "int32"}}, {"x": 1}, [1]),
        ({"type": "array", "items": {"type": "int32"}}, 7, []),
        ({"type": "bytes", "name": CONNECT + "Decimal", "parameters": {"scale": "2"}}, "AJw=", Decimal("1.56")),
        ({"type": "bytes", "name": CONNECT + "Decimal", "parameters": {"scale": "2"}}, 1.5, Decimal("1.5")),
        ({"type": "int32", "name": CONNECT + "Date"}, 1, JavaDate(86_400_000)),
        ({"type": "map", "keys": {"type": "int32"}, "values": {"type": "string"}}, [[1, "x"]], {1: "x"}),
    ],
)
def test_values_are_coerced_silently_as_jackson_does(schema, payload, value):
    assert read(schema, payload) == value


@pytest.mark.parametrize(
    ("schema", "payload", "text"),
    [
        ({}, 1, "Schema must contain 'type' field"),
        ({"type": "weird"}, 1, "Unknown schema type: weird"),
        ({"type": "array"}, [], "Array schema did not specify the element type"),
        ({"type": "map", "values": {"type": "int32"}}, {}, "Map schema did not specify the key type"),
        ({"type": "struct"}, {}, 'Struct schema\'s "fields" argument is not an array.'),
        ({"type": "struct", "fields": [{"type": "int32"}]}, {}, "Struct schema's field name not specified properly"),
        ({"type": "int32", "parameters": {"a": 1}}, 1, "Schema parameters must have string values."),
        ({"type": "int32"}, None, "Invalid null value for required INT32 field"),
        (field("int32"), 3, "Structs should be encoded as JSON objects, but found NUMBER"),
        (field("string"), {"a": 1}, 'Invalid value: null used for required field: "a", schema type: STRING'),
        ({"type": "bytes"}, "*", "Invalid bytes field"),
        ({"type": "int32", "name": CONNECT + "Date"}, "x",
         "Invalid type for Date, underlying representation should be integer but was STRING"),
        ({"type": "map", "keys": {"type": "int32"}, "values": {"type": "int32"}}, [[1]],
         "Found invalid map entry, expected length 2 but found :1"),
    ],
)  # fmt: skip
def test_what_does_not_fit_is_refused_in_kafkas_words(schema, payload, text):
    with pytest.raises(DataError) as refused:
        read(schema, payload)
    assert str(refused.value) == text


@pytest.mark.parametrize("document", [b"null", b"", b"7", b'{"schema":null}', b'{"schema":null,"payload":1,"x":2}'])
def test_with_schemas_on_a_document_is_schema_and_payload(document):
    with pytest.raises(DataError, match='requires "schema" and "payload" fields'):
        JsonReader().to_connect(document)


def test_without_schemas_numbers_are_longs_and_doubles_and_leading_zeros_pass():
    reader = JsonReader(schemas_enable=False)
    assert reader.to_connect(b'{"a":01,"b":1e400,"c":"01"}') == (None, {"a": 1, "b": float("inf"), "c": "01"})
    assert reader.to_connect(b"") == (None, None)
    assert reader.to_connect(b"9223372036854775808") == (None, -9223372036854775808)
    assert reader.to_connect(b"1 2") == (None, 1)


def test_a_default_stands_in_for_null_unless_it_is_turned_off():
    schema = field("int32", optional=True, default=5)
    assert read(schema, {"a": None}).get_without_default("a") == 5
    assert read(schema, {}, replace_null_with_default=False).get_without_default("a") is None


def test_equal_schema_documents_are_one_schema():
    reader = JsonReader()
    document = json.dumps({"schema": field("int32"), "payload": {"a": 1}}).encode()
    assert reader.to_connect(document)[0] is reader.to_connect(document)[0]


def test_a_fixed_schema_takes_the_whole_text_as_payload():
    reader = JsonReader(schema_content=b'{"type":"int32","optional":true}')
    assert reader.to_connect(b"7")[1] == 7
    assert reader.to_connect(b"null")[1] is None


def test_what_is_written_reads_back():
    schema = {"type": "struct", "optional": True, "name": "R", "version": 2, "doc": "d", "parameters": {"p": "q"},
              "fields": [{"type": "float", "optional": False, "field": "f"}]}  # fmt: skip
    document = json.dumps({"schema": schema, "payload": {"f": 1.5}}).encode()
    read_schema, value = JsonReader().to_connect(document)
    assert json.loads(JsonConverter().from_connect(read_schema, value)) == json.loads(document)


def test_a_converter_forgets_schemas_beyond_its_bound(monkeypatch):
    monkeypatch.setattr("cdc.converters.json.SCHEMAS_KEPT", 10)
    writer = JsonConverter()
    for number in range(100):
        schema = Schema(Type.INT32, version=number)
        assert json.loads(writer.from_connect(schema, 7)) == {
            "schema": {"type": "int32", "optional": False, "version": number},
            "payload": 7,
        }
        assert len(writer._writers) <= 10
