"""The tables that Debezium's results were recorded for: one a type family, edge values in each column."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Family:
    """A table, one column a type, one row a value.

    Attributes:
        columns: The column's definition -> its values as SQL expressions; row n holds every column's value n.
        version: The Postgres that has the types.
        setup: Statements before the table.
        without: Modes that cannot carry the family because its connector would end.
    """

    columns: dict[str, Sequence[str]]
    version: int = 18
    setup: Sequence[str] = ()
    without: Sequence[str] = ()


MODES: dict[str, dict[str, str]] = {
    "default": {},
    "text": {
        "decimal.handling.mode": "string",
        "time.precision.mode": "isostring",
        "interval.handling.mode": "string",
        "hstore.handling.mode": "map",
        "binary.handling.mode": "hex",
        "include.unknown.datatypes": "true",
    },
    "connect": {
        "decimal.handling.mode": "double",
        "time.precision.mode": "connect",
        "binary.handling.mode": "base64",
        "include.unknown.datatypes": "true",
    },
    "micros": {
        "time.precision.mode": "microseconds",
        "binary.handling.mode": "base64-url-safe",
        "money.fraction.digits": "4",
        "include.unknown.datatypes": "true",
    },
    "nanos": {"time.precision.mode": "nanoseconds", "value.converter.decimal.format": "NUMERIC"},
    "adaptive_micros": {
        "time.precision.mode": "adaptive_time_microseconds",
        "include.unknown.datatypes": "true",
        "money.fraction.digits": "1",
    },
}

_TEXTS = ("'plain'", "''", "'quote \" back \\ slash / tab\t newline\n'", "'ünïcödé 🐘'", "chr(1) || chr(31)")
_NUMERICS = ("0", "1234.50", "-0.01", "99999.99", "-99999.99", "1.28", "-1.28", "'NaN'")
_TIMES = (
    "'13:14:15.123456'", "'00:00:00'", "'23:59:59.999999'", "'13:14:15.5'", "'13:14:15.12'", "'13:14:15.000001'",
    "'13:14:00'",
)  # fmt: skip
_TIMESTAMPS = (
    "'2024-02-29 13:14:15.123456'", "'1970-01-01'", "'1969-12-31 23:59:59.999999'", "'2024-01-01 00:00:00.5'",
    "'0044-03-15 10:00:00 BC'", "'12345-06-07 08:09:10'", "'0001-01-01'", "'1969-12-31 23:59:59.5'",
    "'4713-11-24 BC'", "'1600-01-01 00:00:00.25'", "'2262-04-11 23:47:16.854775'",
)  # fmt: skip
_EDGES = ("'infinity'", "'-infinity'", "'294276-12-31 23:59:59.999999'", "'294247-01-10 04:00:54.775807'")

FAMILIES: dict[str, Family] = {
    "numbers": Family(
        {
            "int2": ("0", "-32768", "32767"),
            "int4": ("0", "-2147483648", "2147483647"),
            "int8": ("0", "-9223372036854775808", "9223372036854775807"),
            "oid": ("0", "4294967295"),
            "bool": ("true", "false"),
            "float4": (
                "0", "1.1", "100", "1e20", "1.6777216e7", "0.001", "0.0001", "'-0'", "'NaN'", "'Infinity'",
                "'-Infinity'", "1.5e-38", "3.4028235e38", "123456.7", "9999999", "1e7",
            ),
            "float8": (
                "0", "1.1", "100", "1e20", "16777216", "0.001", "0.0001", "'-0'", "'NaN'", "'Infinity'", "'-Infinity'",
                "2.2250738585072014e-308", "1.7976931348623157e308", "123456.789", "9999999.5", "1e7", "1e15", "1e16",
                "0.1", "5e-324",
            ),
        }
    ),
    "numerics": Family(
        {
            "numeric(10,2)": _NUMERICS,
            "numeric(5)": ("0", "99", "-99999", "127", "128", "-128", "-129"),
            "numeric(38,10)": ("0", "1234567890123456789012345678.0123456789", "-0.0000000001", "'NaN'"),
            "numeric(8,8)": ("0", "0.00000001", "-0.99999999"),
            "numeric": (
                "12345.678900", "0", "0.000", "1e20", "-1e-20", "100.00", "'NaN'", "'Infinity'", "'-Infinity'",
                "123456789012345678901234567890.123456789", "1e-7", "1200", "0.0000001",
            ),
            "numeric(3,-2)": ("12300", "-45600", "0"),
            "numeric(3,5)": ("0.00123", "-0.00999"),
            "money": ("'$1,234.56'", "'-$0.01'", "0", "'-92233720368547758.08'", "'92233720368547758.07'"),
        }
    ),
    "texts": Family(
        {
            "text": _TEXTS,
            "varchar": _TEXTS,
            "varchar(20)": ("'plain'", "''", "'ünï'"),
            "char(5)": ("'ab'", "''", "'ünï'"),
            "bpchar": ("'ab  '", "''"),
            "name": ("'a name'", "''"),
            '"char"': ("'x'", "''"),
            "uuid": ("'b68a35a7-17ad-35b3-af2a-ae46edb4545a'",),
            "json": ("'{\"a\":  [1, \"x\"] }'", "'null'", "'\"ü\"'"),
            "jsonb": ("'{\"b\":  1, \"a\": [1.50, \"x\"] }'", "'null'"),
            "tsvector": ("'a:1A fat:2B'", "''"),
            "inet": ("'192.168.1.5/24'", "'10.0.0.1'", "'::1'", "'2001:db8::/32'"),
            "cidr": ("'192.168.1.0/24'", "'10/8'"),
            "macaddr": ("'08:00:2b:01:02:03'",),
            "macaddr8": ("'08:00:2b:01:02:03:04:05'",),
            "int4range": ("'[1,10)'", "'empty'", "'(,)'"),
            "int8range": ("'[1,10]'",),
            "numrange": ("'(1.5,2.5]'",),
            "tsrange": ("'[2024-01-01,2024-01-02)'",),
            "tstzrange": ("'[2024-01-01 00:00+00,2024-01-02 00:00+00)'", "'[-infinity,infinity]'"),
            "daterange": ("'[2024-01-01,2024-01-02)'",),
            "mood": ("'happy'", "'so, so'"),
        },
        setup=["create type mood as enum ('sad', 'so, so', 'happy')"],
    ),
    "binaries": Family(
        {
            "bytea": ("'\\x00ff10'", "''", "'\\xfbff'", "'\\x01'"),
            "bit(1)": ("B'1'", "B'0'"),
            "varbit(1)": ("B'1'", "B'0'", "B''"),
            "bit(8)": ("B'10110001'", "B'00000101'", "B'00000000'"),
            "bit(16)": ("B'1000000000000001'", "B'0000000000000001'", "B'1000000000000000'"),
            "varbit(33)": ("B'101'", "B''", "B'000'", "repeat('1', 33)::varbit"),
            "varbit": ("B'101'", "B''", "B'0000000100000000'"),
        }
    ),
    "temporal": Family(
        {
            "date": ("'2024-02-29'", "'1970-01-01'", "'1969-12-31'", "'0001-01-01'", "'0044-03-15 BC'", "'12345-06-07'"),
            "time": _TIMES,
            "time(0)": _TIMES,
            "time(2)": _TIMES,
            "time(3)": _TIMES,
            "time(6)": _TIMES,
            "timestamp": _TIMESTAMPS,
            "timestamp(0)": _TIMESTAMPS,
            "timestamp(3)": _TIMESTAMPS,
            "timestamp(4)": _TIMESTAMPS,
            "timetz": (
                "'13:14:15.123456+02'", "'22:14:15.5+05:30'", "'00:00:00+00'", "'01:00+02'", "'23:00-02'",
                "'10:00:00.000001-07:30'", "'13:14:15.12+00'",
            ),
            "timetz(2)": ("'13:14:15.123456+02'", "'22:14:15.5+05:30'"),
            "timestamptz": _TIMESTAMPS,
            "timestamptz(0)": _TIMESTAMPS,
            "timestamptz(1)": _TIMESTAMPS,
            "timestamptz(3)": _TIMESTAMPS,
            "interval": (
                "'1 year 2 mons 3 days 04:05:06.789'", "'0'", "'-1 mon'", "'1 day 02:03:04.5'", "'-00:00:00.000001'",
                "'-1 year -2 mons +3 days -04:05:06.789'", "'178000000 years'", "'1 mon -1 day'", "'100:00:00'",
                "'2147483647 days'", "'00:00:59.999999'", "'7 days 23:59:59.123456'", "'-14 mons 5 secs'",
            ),
            "interval year to month": ("'1 year 2 mons'",),
            "interval(0)": ("'1.5 secs'",),
        }
    ),
    "temporal_edges": Family(
        {
            "date": ("'infinity'", "'-infinity'", "'5874897-12-31'", "'4713-11-24 BC'"),
            "timestamp": _EDGES,
            "timestamp(3)": _EDGES,
            "timestamptz": _EDGES[:3],
            "interval": ("'infinity'", "'-infinity'"),
        }
    ),
    "midnight": Family(
        {"time": ("'24:00'",), "time(3)": ("'24:00'",), "timetz": ("'24:00+00'", "'24:00+02'", "'24:00-07'")},
    ),
    "geometric": Family(
        {
            "point": ("'(1.5,-2)'", "'(0,0)'", "'(1e20,0.0001)'", "'(NaN,Infinity)'"),
            "lseg": ("'[(0,0),(1,1)]'",),
            "line": ("'{1,2,3}'",),
            "box": ("'(1,1),(0,0)'",),
            "path": ("'[(0,0),(1,1)]'", "'((0,0),(1,1))'"),
            "polygon": ("'((0,0),(1,1),(1,0))'",),
            "circle": ("'<(1.5,2),3>'",),
        }
    ),
    "others": Family(
        {
            "tsquery": ("'fat & rat'",),
            "pg_lsn": ("'16/B374D848'",),
            "xid": ("'7'",),
            "xid8": ("'7'",),
            "cid": ("'7'",),
            "tid": ("'(0,1)'",),
            "txid_snapshot": ("'10:20:10,14'",),
            "pg_snapshot": ("'10:20:10,14'",),
            "regclass": ("'pg_class'",),
            "regproc": ("'now'",),
            "regtype": ("'int4'",),
            "regnamespace": ("'pg_catalog'",),
            "jsonpath": ("'$.a'",),
            "refcursor": ("'c'",),
            "int4multirange": ("'{[1,3),[5,7)}'",),
            "datemultirange": ("'{}'",),
            "pair": ("'(1,\"a b\")'",),
            "price": ("12.345",),
            "dear_price": ("12.345",),
            "tags": ("'{a,b}'",),
            "short_text": ("'abc'",),
            "precise_moment": ("'2024-01-01 00:00:00.123'",),
            "my_range": ("'[1.5,2.5)'",),
            "int2vector": ("'1 2'",),
            "oidvector": ("'1 2'",),
        },
        setup=[
            "create type pair as (a int, b text)",
            "create domain price as numeric(8,3)",
            "create domain dear_price as price check (value > 1)",
            "create domain tags as text[]",
            "create domain short_text as varchar(10)",
            "create domain precise_moment as timestamp(3)",
            "create type my_range as range (subtype = float8)",
        ],
    ),
    "arrays": Family(
        {
            "int2[]": ("'{1,NULL,3}'", "'{}'", "'[0:1]={5,6}'"),
            "int4[]": ("'{1,NULL,3}'", "'{}'"),
            "int8[]": ("'{1,NULL,9223372036854775807}'",),
            "oid[]": ("'{1,4294967295}'",),
            "bool[]": ("'{t,f,NULL}'",),
            "float4[]": ("'{1.1,NULL,1e20,NaN}'",),
            "float8[]": ("'{1.1,NULL,1e20,-Infinity}'",),
            "text[]": ("'{a,\"b,c\",NULL,\"NULL\",\"x\\\"y\\\\\\\\z\",\"\",\" sp \"}'",),
            "varchar(3)[]": ("'{abc,NULL}'",),
            "char(5)[]": ("'{ab,NULL}'",),
            "bpchar[]": ("'{\"ab \",NULL}'",),
            '"char"[]': ("'{a,b}'",),
            "numeric(10,2)[]": ("'{1234.50,NULL,-0.01}'",),
            "numeric[]": ("'{12345.678900,NULL,0}'",),
            "date[]": ("'{2024-02-29,NULL,1969-12-31}'",),
            "time[]": ("'{13:14:15.123456,NULL}'",),
            "time(3)[]": ("'{13:14:15.123}'",),
            "timetz[]": ("'{13:14:15.123456+02,NULL}'",),
            "timestamp[]": ("'{2024-02-29 13:14:15.123456,NULL,1969-12-31 23:59:59.999999}'",),
            "timestamp(3)[]": ("'{2024-02-29 13:14:15.123}'",),
            "timestamptz[]": ("'{2024-02-29 13:14:15.123456+00,NULL}'", "'{2024-02-29 13:14:15.12+00}'"),
            "timestamptz(3)[]": ("'{2024-02-29 13:14:15.12+00}'",),
            "uuid[]": ("'{b68a35a7-17ad-35b3-af2a-ae46edb4545a,NULL}'",),
            "json[]": ("array['{\"a\": 1}', null]::json[]",),
            "jsonb[]": ("array['{\"a\": 1}', null]::jsonb[]",),
            "bytea[]": ("array['\\x00ff', null]::bytea[]",),
            "inet[]": ("'{10.0.0.1,NULL}'",),
            "cidr[]": ("'{10.0.0.0/8}'",),
            "macaddr[]": ("'{08:00:2b:01:02:03}'",),
            "macaddr8[]": ("'{08:00:2b:01:02:03:04:05}'",),
            "int4range[]": ("array['[1,10)', null]::int4range[]",),
            "tstzrange[]": ("array['[2024-01-01 00:00+00,2024-01-02 00:00+00)']::tstzrange[]",),
            "mood[]": ("'{happy,\"so, so\"}'",),
            "tsvector[]": ("array['a:1A']::tsvector[]",),
            "price[]": ("'{1.5}'",),
            "pair[]": ("array['(1,a)']::pair[]",),
            "money[]": ("'{1.5}'",),
            "interval[]": ("'{1 day}'",),
            "point[]": ("array['(1,2)']::point[]",),
            "box[]": ("array['(1,1),(0,0)', '(3,3),(2,2)']::box[]",),
            "name[]": ("'{a}'",),
            "varbit[]": ("'{101}'",),
            "bit(3)[]": ("'{101}'",),
            "bit[]": ("'{1}'",),
            "int4multirange[]": ("array['{[1,3)}']::int4multirange[]",),
            "int4[][]": ("'{{1,2},{3,4}}'",),
            "text[][]": ("'{}'",),
        },
        setup=[
            "create type mood as enum ('sad', 'so, so', 'happy')",
            "create type pair as (a int, b text)",
            "create domain price as numeric(8,3)",
        ],
    ),
    "array_edges": Family(
        {
            "date[]": ("'{infinity,-infinity}'", "'{0044-03-15 BC,12345-06-07,1582-10-10}'"),
            "timestamp[]": (
                "'{infinity,-infinity}'", "'{0044-03-15 10:00:00 BC,12345-06-07 08:09:10.5}'",
                "'{294276-12-31 23:59:59.999999}'", "'{1582-10-10 00:00:00.000001}'",
            ),
            "timestamp(3)[]": ("'{infinity,-infinity}'", "'{0044-03-15 10:00:00 BC}'"),
            "timestamptz[]": (
                "'{infinity,-infinity}'", "'{0044-03-15 10:00:00+00 BC}'", "'{12345-06-07 08:09:10.5+00}'",
                "'{1582-10-10 00:00:00.000001+00}'",
            ),
            "timestamptz(0)[]": ("'{2024-01-01 00:00+00}'",),
            "time[]": ("'{00:00:00.9999,23:59:59.999999}'", "'{24:00}'"),
            "time(3)[]": ("'{24:00}'",),
            "timetz[]": ("'{13:14:15.5+05:30,00:30+02,23:59:59.999999+00}'", "'{24:00+00}'"),
            "numeric(10,2)[]": ("'{NaN,1}'", "'{{1.5,2.5}}'"),
            "numeric[]": ("'{NaN,1}'", "'{Infinity}'"),
            "float4[]": ("'{1e-45,3.4028235e38,123456.7,1e7}'", "'{{1,2},{3,4}}'"),
            "float8[]": ("'{5e-324,1e7,123456789.125}'", "'{{1,2},{3,4}}'"),
            "bool[]": ("'{{t,f}}'",),
            "int8[]": ("'{{1,2},{3,4}}'", "'{{{1},{2}},{{3},{4}}}'"),
            "date[][]": ("'{{2024-01-01}}'",),
            "timestamp[][]": ("'{{2024-01-01}}'",),
            "timestamptz[][]": ("'{{2024-01-01}}'",),
            "time[][]": ("'{{10:00}}'",),
            "bytea[]": ("array[array['\\x00', '\\x01']]::bytea[]", "'{}'"),
        },
    ),
    "vectors": Family(
        {
            "vector(3)": ("'[1,2.5,-3]'", "'[1e20,0.0001,0]'"),
            "vector": ("'[0.1]'",),
            "halfvec(3)": ("'[1,2.5,-3]'", "'[0.1,0.0001,60000]'"),
            "sparsevec(5)": ("'{1:1.5,5:2}/5'", "'{}/5'"),
        },
        setup=["create extension vector"],
    ),
    "extensions": Family(
        {
            "hstore": (
                "'k1=>v1, k2=>NULL'", "''", "'\"a b\"=>\"x\\\"y\", \"ü\"=>\"\\\\\", e=>\"\"'",
                "'b=>1, a=>2, c=>3, dd=>4, zz=>5, key10=>6, key11=>7, name=>8, id=>9, Aa=>10, BB=>11, x=>12, y=>13, q=>14'",
            ),
            "citext": _TEXTS,
            "ltree": ("'Top.Science'", "''"),
            "lquery": ("'Top.*'",),
            "isbn": ("'978-0-393-04002-9'",),
            "isbn13": ("'978-0-393-04002-9'",),
            "issn": ("'1436-4522'",),
            "ean13": ("'978-0-393-04002-9'",),
            "xml": ("'<a b=\"c\">x</a>'",),
            "xml[]": ("array['<a/>']::xml[]",),
            "cube": ("'(1,2),(3,4)'",),
            "seg": ("'1 .. 2'",),
            "citext[]": ("'{a,NULL}'",),
            "ltree[]": ("'{Top.Science,Top}'", "'{Top,NULL}'", "'{}'"),
            "hstore[]": ("array['a=>1', null]::hstore[]",),
            "isbn[]": ("array['978-0-393-04002-9']::isbn[]",),
        },
        version=15,
        setup=[f"create extension {name}" for name in ("hstore", "citext", "ltree", "isn", "cube", "seg")],
    ),
    "postgis": Family(
        {
            "geometry": (
                "'POINT(1 2)'", "'SRID=4326;POINT(1 2)'", "'POINT EMPTY'", "'SRID=4326;LINESTRING(0 0,1 1)'",
                "'POINT ZM (1 2 3 4)'", "'GEOMETRYCOLLECTION(POINT(1 2),LINESTRING(0 0,1 1))'",
            ),
            "geometry(point,4326)": ("'SRID=4326;POINT(1 2)'",),
            "geography": ("'POINT(1 2)'", "'SRID=4326;POLYGON((0 0,1 0,1 1,0 0))'"),
            "geometry[]": ("array['POINT(1 2)'::geometry, null]",),
            "geography[]": ("array['POINT(1 2)'::geography]",),
            "box2d": ("'BOX(1 2,3 4)'",),
        },
        version=15,
        setup=["create extension postgis"],
    ),
}  # fmt: skip

_WIDE_TEXT = "(select string_agg(md5(i::text), '') from generate_series(1, 300) i)"
_WIDE_INTS = "(select array_agg(i * 7919 % 100003) from generate_series(1, 3000) i)"

TOASTED: dict[str, Family] = {
    "unavailable": Family(
        {
            "text": (_WIDE_TEXT,),
            "varchar": (_WIDE_TEXT,),
            "bpchar": (_WIDE_TEXT,),
            "json": (f"to_json({_WIDE_TEXT})",),
            "jsonb": (f"to_jsonb({_WIDE_TEXT})",),
            "bytea": (f"{_WIDE_TEXT}::bytea",),
            "numeric": ("repeat('123456789', 3000)::numeric",),
            "varbit": ("repeat('1001', 20000)::varbit",),
            "tsvector": ("(select string_agg(md5(i::text), ' ') from generate_series(1, 300) i)::tsvector",),
            "text[]": (f"array[{_WIDE_TEXT}]",),
            "varchar[]": (f"array[{_WIDE_TEXT}]",),
            "bpchar[]": (f"array[{_WIDE_TEXT}]",),
            "json[]": (f"array[to_json({_WIDE_TEXT})]",),
            "jsonb[]": (f"array[to_jsonb({_WIDE_TEXT})]",),
            "int2[]": ("(select array_agg(i::int2) from generate_series(1, 3000) i)",),
            "int4[]": (_WIDE_INTS,),
            "int8[]": (_WIDE_INTS,),
            "oid[]": (f"{_WIDE_INTS}::oid[]",),
            "date[]": ("(select array_agg(date '2024-01-01' + i) from generate_series(1, 3000) i)",),
            "uuid[]": ("(select array_agg(md5(i::text)::uuid) from generate_series(1, 1000) i)",),
            "bytea[]": (f"array[{_WIDE_TEXT}::bytea]",),
            "numeric[]": (f"{_WIDE_INTS}::numeric[]",),
            "float8[]": (f"{_WIDE_INTS}::float8[]",),
            "bool[]": ("(select array_agg(i % 3 = 0) from generate_series(1, 9000) i)",),
            "time[]": ("(select array_agg(time '00:00' + i * interval '1 s') from generate_series(1, 3000) i)",),
            "timestamp[]": ("(select array_agg(timestamp '2024-01-01' + i * interval '1 s') from generate_series(1, 3000) i)",),
            "timestamptz[]": ("(select array_agg(timestamptz '2024-01-01' + i * interval '1 s') from generate_series(1, 3000) i)",),
            "inet[]": ("(select array_agg('10.0.0.0'::inet + i) from generate_series(1, 3000) i)",),
            "mood[]": ("(select array_agg('happy'::mood) from generate_series(1, 3000) i)",),
            "wide_domain": (_WIDE_TEXT,),
            "int4range[]": ("(select array_agg(int4range(i, i + 5)) from generate_series(1, 3000) i)",),
        },
        setup=["create type mood as enum ('sad', 'so, so', 'happy')", "create domain wide_domain as text"],
    ),
    "unavailable_extensions": Family(
        {
            "hstore": (f"hstore('k', {_WIDE_TEXT})",),
            "citext": (_WIDE_TEXT,),
            "xml": (f"{_WIDE_TEXT}::xml",),
            "ltree": ("(select string_agg(md5(i::text), '.') from generate_series(1, 200) i)::ltree",),
            "citext[]": (f"array[{_WIDE_TEXT}]::citext[]",),
            "hstore[]": (f"array[hstore('k', {_WIDE_TEXT})]",),
            "geometry": ("(select st_makeline(array_agg(st_makepoint(i, sqrt(i)))) from generate_series(1, 500) i)",),
        },
        version=15,
        setup=[f"create extension {name}" for name in ("hstore", "citext", "ltree", "postgis")],
    ),
    "unavailable_vectors": Family(
        {
            "vector": ("(select array_agg(sqrt(i)) from generate_series(1, 1500) i)::vector",),
            "halfvec": ("(select array_agg(sqrt(i)) from generate_series(1, 3000) i)::vector::halfvec",),
        },
        setup=["create extension vector"],
    ),
}  # fmt: skip
"""Values that lie outside the row; an UPDATE of another column leaves them out of the message."""

REQUIRED: dict[str, Sequence[str]] = {
    "fillers": (
        "int2", "int4", "int8", "oid", "bool", "float4", "float8", "numeric(10,2)", "numeric", "numeric(3,-2)", "money",
        "text", "varchar(20)", "char(5)", "name", '"char"', "uuid", "json", "jsonb", "tsvector", "inet", "cidr",
        "macaddr", "macaddr8", "int4range", "tstzrange", "mood", "bytea", "bit(1)", "varbit(1)", "bit(8)", "varbit",
        "date", "time", "time(3)", "timetz", "timestamptz", "timestamptz(3)",
        "timestamptz(0)", "interval", "point", "int4[]", "text[]", "numeric(10,2)[]", "mood[]", "price", "vector",
        "halfvec(3)",
    ),
    "fillers_timestamp": ("timestamp", "timestamp(3)"),
    "fillers_extensions": ("hstore", "citext", "ltree", "xml", "isbn", "geometry", "geography", "citext[]"),
}  # fmt: skip
"""Types of NOT NULL columns; a DELETE sends none of them, and Debezium makes values up.

Left out is what ends the connector: sparsevec in every mode, timestamp in the mode nanoseconds.
"""

DEFAULTS: dict[str, dict[str, Sequence[str]]] = {
    "defaults": {
    "int2": ("5", "(-5)", "NULL", "'7'"),
    "int4": ("5", "-5", "'0'", "(1)", "1 + 1", "nextval('counter')", "NULL", "(length('abc'))", "'12'::int4"),
    "int8": ("5", "9223372036854775807", "-9223372036854775808"),
    "oid": ("5",),
    "bool": ("true", "false", "NULL", "(not true)", "'t'"),
    "float4": ("1.5", "'NaN'", "random()", "1e20"),
    "float8": ("'-Infinity'", "1.5", "-1.5", "1e20", "'Infinity'", "pi()"),
    "numeric(10,2)": ("1.5", "1", "-1.234", "'NaN'", "0", "random()::numeric"),
    "numeric": ("1.5", "1e3", "'100.00'"),
    "numeric(3,-2)": ("12300",),
    "money": ("1.5",),
    "text": (
        "'plain'", "'it''s'", "''", "'a' || 'b'", "upper('a')", "NULL", "current_user", "'x''y'", "E'a\\nb'", "'''q'''",
        "'ü'", "current_setting('x', true)", "'{}'::jsonb::text",
    ),
    "varchar(20)": ("'abc'", "' padded '", "('a' || 'b')::varchar", "('it''s' || 'b')"),
    "char(5)": ("'ab'",),
    "name": ("'n'",),
    '"char"': ("'c'",),
    "uuid": ("gen_random_uuid()", "'b68a35a7-17ad-35b3-af2a-ae46edb4545a'"),
    "json": ("'{}'", "'{\"a\": \"it''s\"}'", "json_build_object()"),
    "jsonb": ("'[]'", "'{\"a\": 1}'", "jsonb_build_array(1)"),
    "tsvector": ("'a'",),
    "inet": ("'10.0.0.1'",),
    "int4range": ("'[1,2)'",),
    "mood": ("'happy'", "'so, so'", "NULL"),
    "bytea": ("'\\x00'",),
    "bit(1)": ("B'1'", "B'0'"),
    "bit(8)": ("B'10110001'", "B'00000000'"),
    "varbit": ("B'101'", "B''"),
    "varbit(1)": ("B'1'",),
    "date": ("'2024-02-29'", "current_date", "now()", "'infinity'", "'-infinity'", "'0044-03-15 BC'", "('now'::text)::date"),
    "time": ("'13:14:15.123456'", "current_time", "localtime"),
    "time(3)": ("'13:14:15.123'", "'24:00'"),
    "time(6)": ("'24:00'",),
    "timestamp": (
        "'-infinity'", "'0044-03-15 10:00 BC'", "'12345-06-07 08:09:10.5'", "'294276-12-31 23:59:59.999999'",
        "'2024-02-29 13:14:15.123456'", "now()", "current_timestamp", "localtimestamp", "'2024-02-29'", "'infinity'",
        "(now() at time zone 'utc')", "clock_timestamp()", "'1969-12-31 23:59:59.5'",
    ),
    "timestamp(3)": ("'infinity'", "'-infinity'", "'2024-02-29 13:14:15.12'", "now()"),
    "timetz": ("'13:14:15+02'", "current_time"),
    "timestamptz": ("'2024-02-29 13:14:15.12+02'", "now()", "current_timestamp", "'infinity'", "'-infinity'", "'0044-03-15 10:00+00 BC'"),
    "timestamptz(3)": ("'2024-02-29 13:14:15.12+02'", "now()"),
    "timestamptz(0)": ("'2024-02-29 13:14:15+00'",),
    "interval": ("make_interval(1)", "'-1 day'", "'infinity'", "'1 day'", "'1 year 2 mons'", "'00:00:01.5'"),
    "point": ("'(1,2)'",),
    "int4[]": ("'{1,2}'", "'{}'", "array[1]"),
    "text[]": ("'{}'",),
    "price": ("1.5",),
    "short_text": ("'abc'",),
    "mood_text": ("'x'",),
    "pg_lsn": ("'0/0'",),
    "Quoted Mood": ("'ok'", "'it''s'"),
},
    "defaults_extensions": {
    "xml": ("'<a/>'",),
    "hstore": ("'a=>1'", "''"),
    "citext": ("'a'",),
    "ltree": ("'a.b'",),
    "isbn": ("'978-0-393-04002-9'",),
    "geometry": ("'POINT(1 2)'",),
},
}  # fmt: skip
"""Column defaults, by table and type."""
