"""The common types of a table, in every mode that touches them."""

from __future__ import annotations

from typing import Any

import pytest

from cdc.converters.json import JsonConverter
from cdc.model.relation import PgType
from cdc.values.builtin import BUILTIN
from cdc.values.registry import IDENTITY, Codec, ValueModes, resolve

OIDS = {pg_type.name: oid for oid, pg_type in BUILTIN.items()}


def typmod_of_numeric(precision: int, scale: int) -> int:
    return ((precision << 16) | (scale & 0x7FF)) + 4


def codec(name: str, typmod: int = -1, **modes: Any) -> Codec:
    found = resolve(OIDS[name], typmod, {}, ValueModes(**modes))
    assert found is not None
    return found


def written(found: Codec, text: str) -> str:
    """The JSON fragment, after the fast and the plain path have agreed on it."""
    raw = text.encode()
    fragment = found.to_json(raw).decode()
    schema = found.schema.as_optional()
    assert fragment == JsonConverter().payload(schema, found.values_of(schema)(raw))
    return fragment


@pytest.mark.parametrize(
    "name, typmod, modes, text, expected",
    [
        ("bool", -1, {}, "t", "true"),
        ("bool", -1, {}, "f", "false"),
        ("int2", -1, {}, "-32768", "-32768"),
        ("int4", -1, {}, "2147483647", "2147483647"),
        ("int8", -1, {}, "-9223372036854775808", "-9223372036854775808"),
        ("oid", -1, {}, "4294967295", "4294967295"),
        ("float4", -1, {}, "1.1", "1.1"),
        ("float4", -1, {}, "1.6777216e+07", "1.6777216E7"),
        ("float8", -1, {}, "100", "100.0"),
        ("float8", -1, {}, "1e+20", "1.0E20"),
        ("float8", -1, {}, "0.0001", "1.0E-4"),
        ("float8", -1, {}, "-0", "-0.0"),
        ("float8", -1, {}, "12345678.5", "1.23456785E7"),
        ("float8", -1, {}, "NaN", '"NaN"'),
        ("float8", -1, {}, "-Infinity", '"-Infinity"'),
        ("text", -1, {}, 'say "hi"\n', '"say \\"hi\\"\\n"'),
        ("bpchar", 9, {}, "ab   ", '"ab   "'),
        ("uuid", -1, {}, "b68a35a7-17ad-35b3-af2a-ae46edb4545a", '"b68a35a7-17ad-35b3-af2a-ae46edb4545a"'),
        ("jsonb", -1, {}, '{"a": 1}', '"{\\"a\\": 1}"'),
        ("inet", -1, {}, "192.168.1.5/24", '"192.168.1.5/24"'),
        ("bytea", -1, {}, "\\x00ff10", '"AP8Q"'),
        ("bytea", -1, {"binary": "hex"}, "\\x00ff10", '"00ff10"'),
        ("bytea", -1, {"binary": "base64-url-safe"}, "\\xfbff", '"-_8="'),
        ("numeric", typmod_of_numeric(10, 2), {}, "1234.50", '"AeI6"'),
        ("numeric", typmod_of_numeric(5, 0), {}, "99", '"Yw=="'),
        ("numeric", typmod_of_numeric(3, -2), {}, "12300", '"ew=="'),
        ("numeric", typmod_of_numeric(10, 2), {}, "-0.01", '"/w=="'),
        ("numeric", typmod_of_numeric(10, 2), {}, "NaN", "null"),
        ("numeric", -1, {}, "12345.678900", '{"scale":4,"value":"B1vNFQ=="}'),
        ("numeric", -1, {}, "0", '{"scale":0,"value":"AA=="}'),
        ("numeric", -1, {}, "Infinity", "null"),
        ("numeric", -1, {"decimal": "string"}, "12345.678900", '"12345.678900"'),
        ("numeric", -1, {"decimal": "string"}, "NaN", '"NaN"'),
        ("numeric", -1, {"decimal": "string", "strict": True}, "-Infinity", '"NEGATIVE_INFINITY"'),
        ("numeric", typmod_of_numeric(10, 2), {"decimal": "double"}, "1234.50", "1234.5"),
        ("numeric", -1, {"decimal": "double"}, "NaN", '"NaN"'),
        ("date", -1, {}, "2024-02-29", "19782"),
        ("date", -1, {}, "0044-03-15 BC", "-735160"),
        ("date", -1, {}, "infinity", "null"),
        ("date", -1, {"strict": True}, "infinity", "-2147472692"),
        ("date", -1, {"time_precision": "connect"}, "2024-02-29", "19782"),
        ("date", -1, {"time_precision": "isostring"}, "2024-02-29", '"2024-02-29Z"'),
        ("time", 3, {}, "13:14:15.123", "47655123"),
        ("time", -1, {}, "13:14:15.123456", "47655123456"),
        ("time", -1, {}, "24:00:00", "86400000000"),
        ("time", 3, {"time_precision": "adaptive_time_microseconds"}, "13:14:15.12", "47655120000"),
        ("time", -1, {"time_precision": "connect"}, "13:14:15.123456", "47655123"),
        ("time", -1, {"time_precision": "nanoseconds"}, "00:00:00.000001", "1000"),
        ("time", -1, {"time_precision": "isostring"}, "13:14:15.123456", '"13:14:15.123456Z"'),
        ("timestamp", 3, {}, "2024-01-01 00:00:00.5", "1704067200500"),
        ("timestamp", -1, {}, "2024-01-01 00:00:00", "1704067200000000"),
        ("timestamp", -1, {}, "1969-12-31 23:59:59.999999", "-1"),
        ("timestamp", -1, {}, "infinity", "9223372036825200000"),
        ("timestamp", -1, {"strict": True}, "294276-12-31 23:59:59.999999", "-9223372036853775810"),
        ("timestamp", -1, {"time_precision": "connect"}, "2024-01-01 00:00:00.123456", "1704067200123"),
        ("timestamp", -1, {"time_precision": "nanoseconds"}, "1970-01-01 00:00:01", "1000000000"),
        ("timestamp", -1, {"time_precision": "nanoseconds"}, "-infinity", "-9223372036854775808"),
        ("timetz", -1, {}, "13:14:15.123456+02", '"11:14:15.123456Z"'),
        ("timetz", -1, {}, "22:14:15.5+05:30", '"16:44:15.5Z"'),
        ("timetz", -1, {}, "24:00:00+00", '"00:00:00Z"'),
        ("timestamptz", -1, {}, "2024-01-01 00:00:00+00", '"2024-01-01T00:00:00.000000Z"'),
        ("timestamptz", 3, {}, "2024-01-01 13:14:15.12+00", '"2024-01-01T13:14:15.120Z"'),
        ("timestamptz", 0, {}, "2024-01-01 13:14:15+00", '"2024-01-01T13:14:15Z"'),
        ("timestamptz", -1, {}, "infinity", '"infinity"'),
        ("timestamptz", -1, {}, "0044-03-15 10:00:00+00 BC", '"-0043-03-15T10:00:00.000000Z"'),
        ("timestamptz", -1, {}, "294276-12-31 23:59:59.999999+00", '"+294276-12-31T23:59:59.999999Z"'),
        ("_int4", -1, {}, "{1,NULL,3}", "[1,null,3]"),
        ("_int4", -1, {}, "[0:1]={1,2}", "[1,2]"),
        ("_int4", -1, {}, "{}", "[]"),
        ("_text", -1, {}, '{a,"b,c","NULL",NULL,"x\\"y\\\\"}', '["a","b,c","NULL",null,"x\\"y\\\\"]'),
        ("_numeric", typmod_of_numeric(10, 2), {}, "{1234.50,NaN}", '["AeI6",null]'),
    ],
)
def test_a_value_is_written_as_the_table_says(name, typmod, modes, text, expected):
    assert written(codec(name, typmod, **modes), text) == expected


def test_two_dimensions_are_nested_where_the_column_declares_them():
    found = resolve(OIDS["_int4"], -1, {}, ValueModes(), dimensions=2)
    assert found is not None
    assert written(found, "{{1,2},{NULL,4}}") == "[[1,2],[null,4]]"


def test_dimensions_that_the_column_does_not_declare_are_refused():
    with pytest.raises(ValueError, match="array has 2 dimensions where its column declares 1"):
        codec("_int4").to_json(b"{{1,2},{3,4}}")


def test_integers_pass_through_a_function_that_a_renderer_can_leave_out():
    assert codec("int8").to_json is IDENTITY


def test_a_domain_is_its_base_with_the_domains_modifier():
    types = {90001: PgType(90001, "price", kind="d", base=1700, base_typmod=typmod_of_numeric(8, 3))}
    found = resolve(90001, -1, types, ValueModes())
    assert found is not None
    assert found.schema.parameters == {"scale": "3", "connect.decimal.precision": "8"}


def test_an_enum_carries_its_labels():
    types = {90002: PgType(90002, "mood", kind="e", category="E", labels=("sad", "ok"))}
    found = resolve(90002, -1, types, ValueModes())
    assert found is not None
    assert (found.schema.name, found.schema.parameters) == ("io.debezium.data.Enum", {"allowed": "sad,ok"})


def test_an_unmapped_type_is_text_in_safe_mode_and_left_out_in_strict_mode():
    found = codec("pg_lsn")
    assert (written(found, "16/B374D848"), found.exact) == ('"16/B374D848"', False)
    assert resolve(OIDS["pg_lsn"], -1, {}, ValueModes(strict=True)) is None


@pytest.mark.parametrize(
    "name, text",
    [
        ("bool", "maybe"), ("float8", "secret"), ("numeric", "secret"), ("date", "secret"), ("time", "secret-time"),
        ("timestamp", "2024-01-01 secret:00"), ("timestamptz", "secret"), ("timetz", "secret"), ("bytea", "secret"),
        ("bytea", "\\xse"), ("_int4", "secret"), ("_int4", "{secret"), ("_text", '{"secret}'), ("_text", '{{"secret"}'),
    ],
)  # fmt: skip
def test_malformed_text_is_refused_without_showing_it(name, text):
    for convert in (codec(name).to_json, codec(name).to_value):
        with pytest.raises(ValueError) as caught:
            convert(text.encode())
        assert "secret" not in str(caught.value)


@pytest.mark.parametrize(
    ("strict", "unknown", "text", "expected"),
    [
        (False, True, "{NULL,NULL}", "[null,null]"),
        (True, True, "{NULL,NULL}", "null"),
        (False, True, '{"(1,a)",NULL}', '["KDEsYSk=",null]'),
        (True, True, '{"(1,a)",NULL}', "null"),
        (True, True, '{"(1,a)"}', '["KDEsYSk="]'),
        (False, False, '{"(1,a)",NULL}', '["(1,a)",null]'),
    ],
)
def test_a_null_among_composites_stays_one_and_debezium_gives_up_the_value(strict, unknown, text, expected):
    types = {90001: PgType(90001, "pair", kind="c"), 90002: PgType(90002, "_pair", category="A", element=90001)}
    codec = resolve(90002, -1, types, ValueModes(strict=strict, include_unknown=unknown))
    assert codec.to_json(text.encode()).decode() == expected


@pytest.mark.parametrize("text", (b"9" * 5_000_000, b"." + b"9" * 5_000_000, b"-" + b"9" * 160_000 + b".5"))
@pytest.mark.parametrize("typmod", (-1, typmod_of_numeric(10, 2)))
def test_digits_without_end_are_refused_at_once(typmod, text):
    # To read them would take minutes: the time grows with the square of their number.
    codec = resolve(1700, typmod, {}, ValueModes())
    for convert in (codec.to_json, codec.to_value):
        with pytest.raises(ValueError, match="text is not a number"):
            convert(text)


def test_the_longest_numeric_that_there_is_is_read():
    text = b"-" + b"9" * 131_072 + b"." + b"9" * 16_383
    assert resolve(1700, -1, {}, ValueModes()).to_value(text).values[0] == 16_383


def test_an_amount_beyond_money_is_refused():
    codec = resolve(790, -1, {}, ValueModes())
    with pytest.raises(ValueError, match="range of money"):
        codec.to_json(b"$" + b"9" * 40 + b".00")


def test_bytes_that_are_no_utf8_are_refused_where_the_database_promises_nothing():
    with pytest.raises(ValueError, match="text is not UTF-8 at byte 1"):
        codec("text", verify_encoding=True).to_json(b"a\xff")
