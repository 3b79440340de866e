"""What a real server's catalogue and text output say, as the codecs take them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import psycopg

PINNED = (
    "set datestyle = 'ISO'; set intervalstyle = 'postgres'; set timezone = 'UTC'; set bytea_output = 'hex'; "
    "set extra_float_digits = 3; set lc_monetary = 'C'; set client_encoding = 'UTF8'"
)
"""The settings of every connection that values are read from."""

Connection = psycopg.Connection[Any]


def types_behind(connection: Connection, oids: Sequence[int]) -> list[dict[str, Any]]:
    """`PgType` fields of the columns' types and of what they consist of."""
    found: dict[int, dict[str, Any]] = {}
    wanted = set(oids)
    while wanted:
        rows = connection.execute(
            "select t.oid::int8, typname, nspname, typtype::text, typcategory::text, typelem::int8, typbasetype::int8, "
            "typtypmod, coalesce((select array_agg(enumlabel::text order by enumsortorder) from pg_enum "
            "where enumtypid = t.oid), '{}') "
            "from pg_type t join pg_namespace n on n.oid = typnamespace where t.oid = any(%s)",
            [list(wanted)],
        ).fetchall()
        wanted = set()
        for oid, name, schema, kind, category, element, base, typmod, labels in rows:
            found[oid] = {
                "oid": oid, "name": name, "schema": schema, "kind": kind, "category": category, "element": element,
                "base": base, "base_typmod": typmod, "labels": labels,
            }  # fmt: skip
            wanted |= {part for part in (element, base) if part and part not in found}
    return list(found.values())


def column_facts(connection: Connection, table: str) -> list[dict[str, Any]]:
    """The columns of a table, in order."""
    rows = connection.execute(
        "select attname, atttypid::int8, atttypmod, attndims, format_type(atttypid, atttypmod), attnotnull, "
        "pg_get_expr(adbin, adrelid) from pg_attribute left join pg_attrdef on adrelid = attrelid and adnum = attnum "
        "where attrelid = %s::regclass and attnum > 0 order by attnum",
        [table],
    ).fetchall()
    names = ("name", "oid", "typmod", "dimensions", "type", "not_null", "default")
    return [dict(zip(names, row, strict=True)) for row in rows]


def texts(connection: Connection, query: str) -> list[dict[str, bytes | None]]:
    """A query's rows, each value as the server writes it."""
    with psycopg.RawCursor(connection) as cursor:
        cursor.execute(query)
        result = cursor.pgresult
        assert result is not None
        names = [result.fname(column).decode() for column in range(result.nfields)]
        return [
            {name: result.get_value(row, column) for column, name in enumerate(names)} for row in range(result.ntuples)
        ]
