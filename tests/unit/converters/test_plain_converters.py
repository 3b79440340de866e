"""Converters without structure, and of headers."""

from __future__ import annotations

from decimal import Decimal

import pytest

from cdc.converters.header import SimpleHeaderConverter
from cdc.converters.plain import ByteArrayConverter, NumberConverter, StringConverter
from cdc.model.javaerrors import DataError
from cdc.model.javatypes import Integer
from cdc.model.schema import (
    BYTES,
    FLOAT32,
    INT8,
    INT32,
    INT64,
    OPTIONAL_BYTES,
    OPTIONAL_INT32,
    OPTIONAL_STRING,
    STRING,
    JavaDate,
    Struct,
    struct_schema,
)

ROW = struct_schema([("a", INT32), ("b", OPTIONAL_STRING), ("c", FLOAT32)])


@pytest.mark.parametrize(
    ("schema", "value", "text"),
    [
        (ROW, Struct(ROW, [1, None, 0.1]), b"Struct{a=1,c=0.1}"),
        (None, {"a": [1, 2.5, None]}, b"{a=[1, 2.5, null]}"),
        (None, True, b"true"),
        (None, Decimal("1E+3"), b"1E+3"),
        (None, JavaDate(1_700_000_000_123), b"Tue Nov 14 22:13:20 UTC 2023"),
        (STRING, "Žluť", "Žluť".encode()),
        (STRING, None, None),
    ],
)
def test_a_string_converter_writes_what_java_prints(schema, value, text):
    assert StringConverter().from_connect(schema, value) == text


def test_a_string_converter_reads_texts_the_empty_one_too():
    assert StringConverter().to_connect(b"") == (OPTIONAL_STRING, "")
    assert StringConverter().to_connect(None) == (OPTIONAL_STRING, None)


def test_a_byte_array_converter_takes_bytes_alone():
    converter = ByteArrayConverter()
    assert converter.from_connect(BYTES, b"\x00\x01") == b"\x00\x01"
    assert converter.to_connect(b"x") == (OPTIONAL_BYTES, b"x")
    with pytest.raises(DataError, match="Invalid schema type for ByteArrayConverter: STRING"):
        converter.from_connect(STRING, "x")
    with pytest.raises(DataError, match=r"objects of type class java\.lang\.String"):
        converter.from_connect(None, "x")


def test_number_converters_are_big_endian_and_of_fixed_size():
    converter = NumberConverter("integer")
    assert converter.from_connect(INT32, 258) == b"\x00\x00\x01\x02"
    assert converter.from_connect(None, Integer(-1)) == b"\xff\xff\xff\xff"
    assert converter.to_connect(b"\x00\x00\x01\x02") == (OPTIONAL_INT32, 258)
    with pytest.raises(DataError, match="Failed to deserialize integer: "):
        converter.to_connect(b"\x01")
    with pytest.raises(DataError, match=r"was class java\.lang\.Long"):
        converter.from_connect(INT64, 1)


@pytest.mark.parametrize(
    ("schema", "value", "text"),
    [
        (STRING, 'a "b"', b'a "b"'),
        (None, ["x", 1], b'["x",1]'),
        (None, {"a": 'q"'}, rb'{"a":"q\""}'),
        (BYTES, b"\x01\xff", b"Af8="),
        (FLOAT32, 0.10000000149011612, b"0.1"),
        (ROW, Struct(ROW, [1, None, 0.5]), b'{"a":1,"b":null,"c":0.5}'),
        (STRING, None, None),
    ],
)
def test_header_values_are_written_as_texts(schema, value, text):
    assert SimpleHeaderConverter().from_connect(schema, value) == text


def test_a_header_text_is_read_as_what_it_looks_like():
    assert SimpleHeaderConverter().to_connect(b"1") == (INT8, 1)
    assert SimpleHeaderConverter().to_connect(b"abc") == (STRING, "abc")
