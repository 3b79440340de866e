"""Publications: what one holds, creating it for the captured tables, and noticing that it was changed."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from psycopg import sql

from cdc.errors import PublicationChanged
from cdc.postgres.catalog import Catalog, Table
from cdc.postgres.connection import translated

OWNERSHIP_MARK = "made by seam for connector "


@dataclass(frozen=True, slots=True)
class Publication:
    """A row of `pg_publication` with its tables.

    Attributes:
        name: Its name.
        all_tables: Whether it is FOR ALL TABLES.
        operations: Those of insert, update, delete, truncate that it publishes.
        via_root: `publish_via_partition_root`.
        tables: `schema.table` -> OID, as `pg_publication_tables` lists them.
        comment: Its comment, which holds our mark when we made it.
    """

    name: str
    all_tables: bool
    operations: frozenset[str]
    via_root: bool
    tables: Mapping[str, int]
    comment: str | None

    @property
    def ours(self) -> bool:
        """Whether `seam` made it."""
        return (self.comment or "").startswith(OWNERSHIP_MARK)

    def as_json(self) -> dict[str, Any]:
        """The publication as a JSON object."""
        return {
            "publication": self.name, "all_tables": self.all_tables, "operations": sorted(self.operations),
            "publish_via_partition_root": self.via_root, "tables": sorted(self.tables), "made_by_seam": self.ours,
        }  # fmt: skip


_PUBLICATIONS = """
select p.pubname, p.puballtables, p.pubinsert, p.pubupdate, p.pubdelete, p.pubtruncate, p.pubviaroot,
       obj_description(p.oid, 'pg_publication')
  from pg_publication p
"""

_TABLES = """
select t.schemaname, t.tablename, c.oid::int8
  from pg_publication_tables t
  join pg_namespace n on n.nspname = t.schemaname join pg_class c on c.relnamespace = n.oid and c.relname = t.tablename
 where t.pubname = %s
"""


def read_publications(catalog: Catalog) -> list[Publication]:
    """All publications of the database, by name."""
    return [_publication(catalog, row) for row in catalog.rows(_PUBLICATIONS + " order by p.pubname")]


def read_publication(catalog: Catalog, name: str) -> Publication | None:
    """One publication, or None when there is none of that name."""
    rows = catalog.rows(_PUBLICATIONS + " where p.pubname = %s", (name,))
    return _publication(catalog, rows[0]) if rows else None


def _publication(catalog: Catalog, row: tuple[Any, ...]) -> Publication:
    words = ("insert", "update", "delete", "truncate")
    operations = frozenset(word for word, published in zip(words, row[2:6], strict=True) if published)
    tables = {f"{schema}.{table}": oid for schema, table, oid in catalog.rows(_TABLES, (row[0],))}
    return Publication(row[0], row[1], operations, row[6], tables, row[7])


def create_publication(
    catalog: Catalog,
    name: str,
    tables: Sequence[Table] | None,
    operations: Sequence[str],
    *,
    via_root: bool,
    connector: str,
) -> None:
    """Create a publication and mark it as ours.

    Args:
        catalog: Where.
        name: Its name.
        tables: The tables; None for ALL TABLES (superuser only), empty for none.
        operations: What is published.
        via_root: `publish_via_partition_root`.
        connector: Whose it is, for the mark.

    Raises:
        AuthFailed: The role may not; FOR TABLE needs ownership of each table.
    """
    what: sql.Composable = sql.SQL("")
    if tables is None:
        what = sql.SQL(" for all tables")
    elif tables:
        what = sql.SQL(" for table ") + _names(tables)
    options = sql.SQL(" with (publish = {}, publish_via_partition_root = {})").format(
        sql.Literal(", ".join(operations)), sql.Literal(via_root)
    )
    identifier = sql.Identifier(name)
    with translated(catalog.source, f"creating publication {name!r} in"), catalog.connection.transaction():
        catalog.connection.execute(sql.SQL("create publication {}").format(identifier) + what + options)
        catalog.connection.execute(
            sql.SQL("comment on publication {} is {}").format(identifier, sql.Literal(OWNERSHIP_MARK + connector))
        )


def add_tables(catalog: Catalog, name: str, tables: Sequence[Table]) -> None:
    """Add tables to a publication; rows that they hold already are not sent."""
    with translated(catalog.source, f"adding tables to publication {name!r} in"):
        catalog.connection.execute(
            sql.SQL("alter publication {} add table ").format(sql.Identifier(name)) + _names(tables)
        )


def drop_publication(catalog: Catalog, name: str) -> bool:
    """Drop a publication.

    Returns:
        Whether there was one.
    """
    if read_publication(catalog, name) is None:
        return False
    with translated(catalog.source, f"dropping publication {name!r} in"):
        catalog.connection.execute(sql.SQL("drop publication {}").format(sql.Identifier(name)))
    return True


def _names(tables: Sequence[Table]) -> sql.Composed:
    return sql.SQL(", ").join(sql.Identifier(table.schema, table.name) for table in tables)


def existing(catalog: Catalog, oids: Sequence[int]) -> set[int]:
    """Those OIDs that still are tables."""
    return {row[0] for row in catalog.rows("select oid::int8 from pg_class where oid = any(%s::oid[])", (list(oids),))}


def check_unchanged(
    publication: Publication | None,
    name: str,
    recorded: Mapping[str, int],
    alive: set[int],
    captures: Callable[[str], bool],
) -> None:
    """Compare a publication with the tables that were recorded for it.

    A change of members is silent on the wire: rows of a removed table are just absent, and a table that was dropped
    and created again under its name is not a member any more, or is one with another OID. A table that was dropped and
    not created again has no more rows to lose.

    Args:
        publication: As it stands, None when it is gone.
        name: Its name.
        recorded: `schema.table` -> OID of the captured tables.
        alive: OIDs among these that still are tables.
        captures: Whether a `schema.table` is captured.

    Raises:
        PublicationChanged: Gone, narrowed, with a replaced table, or with one renamed out of the captured ones.
    """
    if publication is None:
        raise PublicationChanged(
            f"publication {name!r} is gone",
            hint="changes since then cannot be decoded: see docs/operations.md, 'A changed publication'",
        )
    names = {oid: table for table, oid in publication.tables.items()}
    complaints = []
    for table, oid in sorted(recorded.items()):
        if oid in names:
            if names[oid] != table and not captures(names[oid]):
                complaints.append(f"{table} was renamed to {names[oid]}, which is not captured")
        elif oid in alive:
            complaints.append(f"{table} is no member any more")
        elif table in publication.tables and not publication.all_tables:
            complaints.append(f"{table} was dropped and created again (OID {oid} became {publication.tables[table]})")
    if complaints:
        raise PublicationChanged(
            f"publication {name!r}: {'; '.join(complaints)}",
            hint="rows of the time between are missing: see docs/operations.md, 'A changed publication'; "
            "`seam publications accept FILE` takes the publication as it stands now",
        )
