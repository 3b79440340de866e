"""Random values of every type, and what Postgres itself says of them in SQL, by a way that no codec goes.

Each `Oracle` makes values with an expression and asks for the truth with another; a comparison brings the JSON
fragment and the truth together.
"""

from __future__ import annotations

import base64
import json
import struct
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

Compare = Callable[[str, str], bool]


def same(fragment: str, truth: str) -> bool:
    return fragment == truth


def same_json(fragment: str, truth: str) -> bool:
    return bool(json.loads(fragment) == json.loads(truth))


def same_bytes(fragment: str, truth: str) -> bool:
    """A JSON string, and its UTF-8 bytes in hexadecimal."""
    return bool(json.loads(fragment).encode().hex() == truth)


def big_endian(fragment: str, truth: str) -> bool:
    """A Decimal's base64, and its unscaled integer."""
    return fragment == truth or _signed(json.loads(fragment)) == int(truth)


def variable_scale(fragment: str, truth: str) -> bool:
    """A VariableScaleDecimal, and `scale:unscaled`."""
    if fragment == "null":
        return truth == "null"
    value = json.loads(fragment)
    return f"{value['scale']}:{_signed(value['value'])}" == truth


def decimals(fragment: str, truth: str) -> bool:
    """An array of Decimals, and the JSON array of their unscaled integers."""
    return [item and _signed(item) for item in json.loads(fragment)] == [
        item and int(item) for item in json.loads(truth)
    ]


def little_endian(fragment: str, truth: str) -> bool:
    """Bits' base64, and the number that they are."""
    data = base64.b64decode(json.loads(fragment))
    return int.from_bytes(data, "little") == int(truth) and not data.endswith(b"\0")


def double_bits(fragment: str, truth: str) -> bool:
    """A number, and the hexadecimal of its eight bytes."""
    return struct.pack(">d", float(json.loads(fragment))).hex() == truth


def single_bits(fragment: str, truth: str) -> bool:
    """A number, and the hexadecimal of its four bytes."""
    return struct.pack(">f", float(json.loads(fragment))).hex() == truth


def singles(fragment: str, truth: str) -> bool:
    """Two arrays of numbers that are equal as 32-bit floats."""
    return [struct.pack("f", item) for item in json.loads(fragment)] == [
        struct.pack("f", item) for item in json.loads(truth)
    ]


def coordinates(fragment: str, truth: str) -> bool:
    """A point, and `[x, y]`."""
    point = json.loads(fragment)
    x, y = json.loads(truth)
    wkb = struct.pack("<BIdd", 1, 1, x, y)
    return (point["x"], point["y"], base64.b64decode(point["wkb"])) == (x, y, wkb)


def json_text(fragment: str, truth: str) -> bool:
    """A JSON document in a JSON string, and the document."""
    return bool(json.loads(json.loads(fragment)) == json.loads(truth))


def _signed(text: str) -> int:
    return int.from_bytes(base64.b64decode(text), "big", signed=True)


@dataclass(frozen=True, slots=True)
class Oracle:
    """One type in one mode.

    Attributes:
        type: The column's type.
        sample: An expression of a random value.
        truth: An expression over the value `v`.
        compare: Whether fragment and truth are one.
        modes: `ValueModes` arguments.
        version: The Postgres that has the type.
    """

    type: str
    sample: str
    truth: str
    compare: Compare = same
    modes: dict[str, Any] = field(default_factory=dict)
    version: int = 18


_FUNCTIONS = """
-- A whole number between two, both included.
create function rnd(low int8, high int8) returns int8 language sql volatile as
    $$ select floor(random() * (high - low + 1))::int8 + low $$;
create function rnd_text(length int) returns text language sql volatile as $$
    select coalesce(string_agg(
        chr((array[34,92,9,10,1,31,127,228,8364,128024,65,98,44,123,125,32,78,85,76])[rnd(1,19)]), ''), '')
    from generate_series(1, rnd(0, length)) $$;
create function rnd_time() returns time language sql volatile as $$
    select time '00:00' + make_interval(secs => rnd(0, 86399))
        + case when random() < 0.5 then rnd(0, 999999) * interval '1 us' else interval '0' end $$;
create function rnd_stamp(low int8, high int8) returns timestamp language sql volatile as $$
    select timestamp '1970-01-01' + make_interval(days => rnd(low, high)::int) + (rnd_time() - time '00:00') $$;
create function rnd_numeric(digits int, scale int) returns numeric language sql volatile as $$
    select round((random() - 0.5)::numeric * 10::numeric ^ rnd(0, digits) + rnd(0, 9), rnd(0, scale)::int) $$;
"""

_TYPES = """
create type mood as enum ('sad', 'so, "so"', 'happy');
create type pair as (a int, b text);
create domain price as numeric(8,3);
"""

SETUP = {
    18: (_FUNCTIONS, _TYPES, "create extension vector"),
    15: (_FUNCTIONS, _TYPES, *(f"create extension {name}" for name in ("hstore", "citext", "ltree", "cube"))),
}
"""Statements before the first sample, by Postgres version."""

_TEXT = "encode(convert_to(v::text, 'UTF8'), 'hex')"
_AS_TEXT = "to_json(v::text)::text"
_MICROS = "(extract(epoch from v) * 1000000)::numeric(30,0)::text"
_MILLIS = "floor(extract(epoch from v) * 1000)::int8::text"
_DAYS = "-2440000, 2932896"  # 4713 BC to 9999
_MODERN = "-719162, 2932896"  # years 1 to 9999
_INTERVAL_MICROS = (
    "((extract(year from v) * 12 + extract(month from v)) * 2629800000000 + extract(day from v) * 86400000000 + "
    "(extract(hour from v) * 60 + extract(minute from v)) * 60000000 + extract(microseconds from v))::numeric(30,0)::text"
)
_ISO = '\'""YYYY-MM-DD"T"HH24:MI:SS.US"Z""\''


def _unnested(item: str) -> str:
    return f"array_to_json(array(select {item} from unnest(v) u))::text"


def _array(item: str) -> str:
    return f"array(select case when random() < 0.1 then null else {item} end from generate_series(1, rnd(0 * i, 5)))"


ORACLES = (
    Oracle("int2", "rnd(-32768, 32767)::int2", "v::text"),
    Oracle("int4", "rnd(-2147483648, 2147483647)::int4", "v::text"),
    Oracle("int8", "(rnd(-2147483648, 2147483647) << rnd(0, 31)::int)", "v::text"),
    Oracle("oid", "rnd(0, 4294967295)::oid", "v::text"),
    Oracle("bool", "random() < 0.5", "to_json(v)::text"),
    Oracle("float8", "(random() - 0.5) * 10::float8 ^ rnd(-300, 300)", "encode(float8send(v), 'hex')", double_bits),
    Oracle("float8", "round((random() * 1000)::numeric, 2)::float8", "encode(float8send(v), 'hex')", double_bits),
    Oracle("float8", "(array['NaN', 'Infinity', '-Infinity', '-0'])[rnd(1, 4)]::float8", "encode(float8send(v), 'hex')", double_bits),
    Oracle("float4", "((random() - 0.5) * 10::float8 ^ rnd(-37, 38))::float4", "encode(float4send(v), 'hex')", single_bits),
    Oracle("numeric(20,4)", "rnd_numeric(15, 4)", "(v * 10000)::numeric(40,0)::text", big_endian),
    Oracle("numeric(20,4)", "rnd_numeric(15, 4)", "v::text", modes={"decimal_numeric": True}),
    Oracle("numeric(20,4)", "rnd_numeric(15, 4)", "'\"' || v || '\"'", modes={"decimal": "string"}),
    Oracle("numeric(20,4)", "rnd_numeric(15, 4)", "encode(float8send(v::float8), 'hex')", double_bits, {"decimal": "double"}),
    Oracle("numeric(9,0)", "rnd_numeric(8, 0)", "v::text", big_endian),
    Oracle("numeric(5,-2)", "rnd_numeric(6, 0)", "(v / 100)::numeric(40,0)::text", big_endian),
    Oracle("price", "rnd_numeric(4, 3)", "(v * 1000)::numeric(40,0)::text", big_endian),
    Oracle(
        "numeric",
        "case when random() < 0.1 then (array['NaN', 'Infinity', '-Infinity'])[rnd(1, 3)]::numeric else rnd_numeric(60, 60) end",
        "case when v in ('NaN', 'Infinity', '-Infinity') then 'null' else "
        "scale(trim_scale(v)) || ':' || replace(trim_scale(v)::text, '.', '')::numeric end",
        variable_scale,
    ),
    Oracle("money", "(rnd(-2147483648, 2147483647) * 1000 / 100.0)::numeric::money", "(v::numeric * 100)::int8::text", big_endian),
    Oracle("text", "rnd_text(20)", _TEXT, same_bytes),
    Oracle("varchar(20)", "rnd_text(20)", _TEXT, same_bytes),
    Oracle("char(20)", "rnd_text(20)", "encode(convert_to(rpad(v, 20), 'UTF8'), 'hex')", same_bytes),
    Oracle("name", "rnd_text(15)::name", _TEXT, same_bytes),
    Oracle('"char"', 'chr(rnd(32, 126)::int)::"char"', _TEXT, same_bytes),
    Oracle("mood", "(enum_range(null::mood))[rnd(1, 3)]", _AS_TEXT, same_json),
    Oracle("json", "json_build_object(rnd_text(5), rnd_text(5), 'n', random())", _TEXT, same_bytes),
    Oracle("jsonb", "jsonb_build_object(rnd_text(5), rnd_text(5), 'n', random())", _TEXT, same_bytes),
    Oracle("uuid", "gen_random_uuid()", _AS_TEXT),
    Oracle(
        "inet", "set_masklen(inet '0.0.0.0' + rnd(0, 4294967295), rnd(20, 32)::int)",
        "to_json(host(v) || case masklen(v) when 32 then '' else '/' || masklen(v) end)::text",
    ),
    Oracle("cidr", "set_masklen((inet '0.0.0.0' + rnd(0, 4294967295))::cidr, rnd(0, 32)::int)", _AS_TEXT),
    Oracle("macaddr", "substr(md5(random()::text), 1, 12)::macaddr", _AS_TEXT),
    Oracle("tsvector", "to_tsvector('simple', rnd_text(12))", _TEXT, same_bytes),
    Oracle("bytea", "decode(substr(md5(random()::text), 1, 2 * rnd(0, 16)::int), 'hex')", "'\"' || encode(v, 'base64') || '\"'"),
    Oracle(
        "bytea", "decode(substr(md5(random()::text), 1, 2 * rnd(0, 16)::int), 'hex')", "'\"' || encode(v, 'hex') || '\"'",
        modes={"binary": "hex"},
    ),
    Oracle("bit(1)", "rnd(0, 1)::int::bit(1)", "case v when B'1' then 'true' else 'false' end"),
    Oracle("bit(31)", "rnd(0, 2147483647)::int::bit(31)", "v::int4::text", little_endian),
    Oracle(
        "varbit",
        "substring(rnd(-2147483648, 2147483647)::int8::bit(64), 1, rnd(0, 62)::int)",
        "(select coalesce(sum(get_bit(v, i)::int8 << (length(v) - 1 - i)), 0)::text from generate_series(0, length(v) - 1) i)",
        little_endian,
    ),
    Oracle("date", f"(rnd_stamp({_DAYS}))::date", "(v - date '1970-01-01')::text"),
    Oracle("date", f"(rnd_stamp({_DAYS}))::date", "(v - date '1970-01-01')::text", modes={"time_precision": "connect"}),
    Oracle("date", f"(rnd_stamp({_MODERN}))::date", "to_json(v::text || 'Z')::text", modes={"time_precision": "isostring"}),
    Oracle("time", "rnd_time()", _MICROS),
    Oracle("time(2)", "rnd_time()", _MILLIS),
    Oracle("time", "rnd_time()", _MILLIS, modes={"time_precision": "connect"}),
    Oracle("time", "rnd_time()", f"{_MICROS} || case {_MICROS} when '0' then '' else '000' end", modes={"time_precision": "nanoseconds"}),
    Oracle("time", "rnd_time()", "to_json(v::text || 'Z')::text", modes={"time_precision": "isostring"}),
    Oracle(
        "timetz", "(rnd_time()::text || to_char(rnd(-15, 15), 'SG00') || (array['', ':30', ':45'])[rnd(1, 3)])::timetz",
        "to_json((v at time zone 'UTC')::time::text || 'Z')::text",
    ),
    Oracle("timestamp", f"rnd_stamp({_DAYS})", _MICROS),
    Oracle("timestamp", "rnd_stamp(2932896, 106751900)", _MICROS),
    Oracle("timestamp(3)", f"rnd_stamp({_DAYS})", _MILLIS),
    Oracle("timestamp", f"rnd_stamp({_DAYS})", _MILLIS, modes={"time_precision": "connect"}),
    Oracle(
        "timestamp", "rnd_stamp(-100000, 100000)", f"(({_MICROS})::numeric * 1000)::text",
        modes={"time_precision": "nanoseconds"},
    ),
    Oracle("timestamp", f"rnd_stamp({_MODERN})", "to_json(replace(v::text, ' ', 'T') || 'Z')::text", modes={"time_precision": "isostring"}),
    Oracle("timestamptz", f"rnd_stamp({_MODERN}) at time zone 'UTC'", "to_json(to_char(v, 'YYYY-MM-DD\"T\"HH24:MI:SS.US\"Z\"'))::text"),
    Oracle("timestamptz(3)", f"rnd_stamp({_MODERN}) at time zone 'UTC'", "to_json(to_char(v, 'YYYY-MM-DD\"T\"HH24:MI:SS.MS\"Z\"'))::text"),
    Oracle("timestamptz(0)", f"rnd_stamp({_MODERN}) at time zone 'UTC'", "to_json(to_char(v, 'YYYY-MM-DD\"T\"HH24:MI:SS\"Z\"'))::text"),
    Oracle(
        "interval",
        "make_interval(rnd(-500, 500)::int, rnd(-20, 20)::int, 0, rnd(-1000, 1000)::int, rnd(-30, 30)::int, 0, "
        "round(((random() - 0.5) * 100000)::numeric, 6)::float8)",
        _INTERVAL_MICROS,
    ),
    Oracle("int4range", "int4range(rnd(-9, 0)::int, rnd(0, 9)::int)", _AS_TEXT, same_json),
    Oracle("tstzrange", "tstzrange(now(), now() + make_interval(secs => random() * 1e6))", _AS_TEXT, same_json),
    Oracle("int4multirange", "int4multirange(int4range(rnd(-9, 0)::int, rnd(1, 9)::int))", _AS_TEXT, same_json),
    Oracle("pg_lsn", "pg_lsn '0/0' + rnd(0, 4294967296)", _AS_TEXT),
    Oracle("pair", "row(rnd(0, 9), rnd_text(9))::pair", _TEXT, same_bytes),
    Oracle("box", "box(point(random(), 1), point(0, random()))", _AS_TEXT),
    Oracle("point", "point((random() - 0.5) * 10::float8 ^ rnd(-20, 20), rnd(-9, 9))", "to_json(array[v[0], v[1]])::text", coordinates),
    Oracle("vector(3)", "array[random(), rnd(-9, 9), random() * 1e-5]::vector", "to_json(v::real[])::text", singles),
    Oracle("halfvec(2)", "array[random(), rnd(-9, 9)]::real[]::halfvec", "to_json(v::vector::real[])::text", singles),
    Oracle("int4[]", _array("rnd(-99, 99)"), "array_to_json(v)::text"),
    Oracle("int4[]", "('[' || i || ':' || i + 1 || ']={1,NULL}')::int4[]", "array_to_json(v)::text"),
    Oracle("int4[][]", "array[array[rnd(0, 9), rnd(0, 9)], array[rnd(0, 9), null]]", "array_to_json(v)::text"),
    Oracle("text[][]", "array[array[rnd_text(5)], array[rnd_text(5)]]", "array_to_json(v)::text", same_json),
    Oracle("bool[]", _array("random() < 0.5"), "array_to_json(v)::text"),
    Oracle("text[]", _array("rnd_text(9)"), "array_to_json(v)::text", same_json),
    Oracle("mood[]", _array("(enum_range(null::mood))[rnd(1, 3)]"), "array_to_json(v::text[])::text", same_json),
    Oracle("pair[]", _array("row(rnd(0, 9), rnd_text(9))::pair"), "array_to_json(v::text[])::text", same_json),
    Oracle("jsonb[]", _array("jsonb_build_object(rnd_text(5), 1)"), "array_to_json(v::text[])::text", same_json),
    Oracle("box[]", _array("box(point(random(), 1), point(0, random()))"), "array_to_json(v::text[])::text", same_json),
    Oracle("uuid[]", _array("gen_random_uuid()"), "array_to_json(v)::text"),
    Oracle("numeric(12,2)[]", _array("rnd_numeric(8, 2)"), _unnested("(u * 100)::numeric(40,0)::text"), decimals),
    Oracle("date[]", _array(f"rnd_stamp({_DAYS})::date"), _unnested("u - date '1970-01-01'")),
    Oracle("time[]", _array("rnd_time()"), _unnested("(extract(epoch from u) * 1000000)::int8")),
    Oracle("timestamp[]", _array(f"rnd_stamp({_DAYS})"), _unnested("(extract(epoch from u) * 1000000)::numeric(30,0)")),
    Oracle("timetz[]", _array("(rnd_time()::text || '+03')::timetz"), _unnested("(u at time zone 'UTC')::time::text || 'Z'")),
    Oracle("bytea[]", _array("decode(substr(md5(random()::text), 1, 8), 'hex')"), _unnested("encode(u, 'base64')")),
    Oracle("hstore", "hstore(array['k', rnd_text(6)], array[rnd_text(6), null])", "hstore_to_json(v)::text", json_text, version=15),
    Oracle(
        "hstore", "hstore(array['k', rnd_text(6)], array[rnd_text(6), null])", "hstore_to_json(v)::text", same_json,
        {"hstore": "map"}, 15,
    ),
    Oracle("hstore[]", _array("hstore('k', rnd_text(6))"), "array_to_json(array(select hstore_to_json(u)::text from unnest(v) u))::text",
           lambda fragment, truth: [i and json.loads(i) for i in json.loads(fragment)] == [i and json.loads(i) for i in json.loads(truth)], version=15),
    Oracle("citext", "rnd_text(20)::citext", _TEXT, same_bytes, version=15),
    Oracle("ltree", "('a.b' || rnd(0, 999))::ltree", _AS_TEXT, version=15),
    Oracle("xml", "xmlelement(name x, rnd(0, 9), '<&>')", _TEXT, same_bytes, version=15),
    Oracle("cube", "cube(array[random(), rnd(0, 9)])", _AS_TEXT, version=15),
)  # fmt: skip
