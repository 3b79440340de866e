"""The built-in types whose OIDs are fixed in Postgres' own catalogue, so that they need no look-up."""

from __future__ import annotations

from typing import Final

from cdc.model.relation import PgType

# name, oid, category, oid of its array type
_SCALARS: Final = (
    ("bool", 16, "B", 1000), ("bytea", 17, "U", 1001), ("char", 18, "Z", 1002), ("name", 19, "S", 1003),
    ("int8", 20, "N", 1016), ("int2", 21, "N", 1005), ("int4", 23, "N", 1007), ("text", 25, "S", 1009),
    ("oid", 26, "N", 1028), ("json", 114, "U", 199), ("xml", 142, "U", 143), ("point", 600, "G", 1017),
    ("lseg", 601, "G", 1018), ("path", 602, "G", 1019), ("box", 603, "G", 1020), ("polygon", 604, "G", 1027),
    ("line", 628, "G", 629), ("cidr", 650, "I", 651), ("float4", 700, "N", 1021), ("float8", 701, "N", 1022),
    ("circle", 718, "G", 719), ("macaddr8", 774, "U", 775), ("money", 790, "N", 791), ("macaddr", 829, "U", 1040),
    ("inet", 869, "I", 1041), ("bpchar", 1042, "S", 1014), ("varchar", 1043, "S", 1015), ("date", 1082, "D", 1182),
    ("time", 1083, "D", 1183), ("timestamp", 1114, "D", 1115), ("timestamptz", 1184, "D", 1185),
    ("interval", 1186, "T", 1187), ("timetz", 1266, "D", 1270), ("bit", 1560, "V", 1561), ("varbit", 1562, "V", 1563),
    ("numeric", 1700, "N", 1231), ("uuid", 2950, "U", 2951), ("pg_lsn", 3220, "U", 3221), ("tsvector", 3614, "U", 3643),
    ("tsquery", 3615, "U", 3645), ("jsonb", 3802, "U", 3807),
)  # fmt: skip
_RANGES: Final = (
    ("int4range", 3904, 3905), ("numrange", 3906, 3907), ("tsrange", 3908, 3909), ("tstzrange", 3910, 3911),
    ("daterange", 3912, 3913), ("int8range", 3926, 3927),
)  # fmt: skip


def _types() -> dict[int, PgType]:
    known: dict[int, PgType] = {}
    rows = [(name, oid, "b", category, array) for name, oid, category, array in _SCALARS]
    rows += [(name, oid, "r", "R", array) for name, oid, array in _RANGES]
    for name, oid, kind, category, array in rows:
        known[oid] = PgType(oid, name, kind=kind, category=category)
        known[array] = PgType(array, "_" + name, category="A", element=oid)
    return known


BUILTIN: Final = _types()
