"""Publications: what one holds, creating it for the captured tables, and noticing that it was changed.

A change is silent on the wire: rows of a removed table, rows that a new filter hides, the deletes of a publication that
publishes only inserts are just absent. So what a publication was is recorded, OIDs included: what was dropped and made
again under its name has another one, and rows of the time between are missing.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
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
        oid: Its OID.
        name: Its name.
        all_tables: Whether it is FOR ALL TABLES.
        operations: Those of insert, update, delete, truncate that it publishes.
        via_root: `publish_via_partition_root`.
        tables: `schema.table` -> OID, as `pg_publication_tables` lists them.
        memberships: `schema.table` -> by which row of the catalogue it is a member; a new one means that it was
            removed and added again, or got another row filter or column list.
        comment: Its comment, which holds our mark when we made it.
    """

    oid: int
    name: str
    all_tables: bool
    operations: frozenset[str]
    via_root: bool
    tables: Mapping[str, int]
    memberships: Mapping[str, str]
    comment: str | None

    def recorded(self, captures: Callable[[str], bool]) -> RecordedPublication:
        """What of it is recorded with a position.

        Args:
            captures: Whether a `schema.table` is captured.
        """
        tables = {table: oid for table, oid in self.tables.items() if captures(table)}
        return RecordedPublication(
            tables, self.oid, tuple(sorted(self.operations)), self.via_root,
            {table: self.memberships[table] for table in tables},
        )  # fmt: skip

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


@dataclass(frozen=True, slots=True)
class RecordedPublication:
    """What a publication was when a position was recorded.

    Attributes:
        tables: `schema.table` -> OID of the captured tables.
        oid: Its OID; 0 where only the tables are known.
        operations: What it published.
        via_root: `publish_via_partition_root`.
        memberships: As in `Publication`.
    """

    tables: Mapping[str, int] = field(default_factory=dict)
    oid: int = 0
    operations: Sequence[str] = ()
    via_root: bool = False
    memberships: Mapping[str, str] = field(default_factory=dict)


_PUBLICATIONS = """
select p.oid::int8, p.pubname, p.puballtables, p.pubinsert, p.pubupdate, p.pubdelete, p.pubtruncate, p.pubviaroot,
       obj_description(p.oid, 'pg_publication')
  from pg_publication p
"""

_TABLES = """
select t.schemaname, t.tablename, c.oid::int8, coalesce('table ' || r.oid, 'schema ' || s.oid, 'all')
  from pg_publication_tables t join pg_publication p on p.pubname = t.pubname
  join pg_namespace n on n.nspname = t.schemaname join pg_class c on c.relnamespace = n.oid and c.relname = t.tablename
  left join pg_publication_rel r on r.prpubid = p.oid and r.prrelid = c.oid
  left join pg_publication_namespace s on s.pnpubid = p.oid and s.pnnspid = n.oid
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
    operations = frozenset(word for word, published in zip(words, row[3:7], strict=True) if published)
    members = catalog.rows(_TABLES, (row[1],))
    return Publication(
        row[0], row[1], row[2], operations, row[7],
        {f"{schema}.{table}": oid for schema, table, oid, _ in members},
        {f"{schema}.{table}": membership for schema, table, _, membership in members}, row[8],
    )  # fmt: skip


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


def standing(catalog: Catalog, tables: Mapping[str, int]) -> dict[str, int]:
    """The tables that have one of these names or OIDs now: `schema.table` -> OID."""
    query = """
    select n.nspname || '.' || c.relname, c.oid::int8 from pg_class c join pg_namespace n on n.oid = c.relnamespace
     where c.relkind in ('r', 'p') and (c.oid = any (%s::oid[]) or n.nspname || '.' || c.relname = any (%s))
    """
    return {str(name): int(oid) for name, oid in catalog.rows(query, (list(tables.values()), list(tables)))}


def check_unchanged(
    publication: Publication | None,
    name: str,
    recorded: RecordedPublication,
    now: Mapping[str, int],
    captures: Callable[[str], bool],
) -> None:
    """Compare a publication with what was recorded of it.

    A table that was dropped and not created again has no more rows to lose.

    Args:
        publication: As it stands, None when it is gone.
        name: Its name.
        recorded: What it was.
        now: `schema.table` -> OID of the tables that have one of the recorded names or OIDs.
        captures: Whether a `schema.table` is captured.

    Raises:
        PublicationChanged: Gone, made anew, narrowed, with a replaced table, or with one renamed out of the captured.
    """
    if publication is None:
        raise PublicationChanged(
            f"publication {name!r} is gone",
            hint="changes since then cannot be decoded: see docs/operations.md, 'A changed publication'",
        )
    complaints = [*_changed_as_a_whole(publication, recorded)]
    names = {oid: table for table, oid in publication.tables.items()}
    for table, oid in sorted(recorded.tables.items()):
        if oid in names:
            held, membership = names[oid], recorded.memberships.get(table)
            if held != table and not captures(held):
                complaints.append(f"{table} was renamed to {held}, which is not captured")
            elif membership is not None and membership != publication.memberships[held]:
                complaints.append(f"{table} was removed and added again, or its row filter or column list was changed")
        elif oid in now.values():
            complaints.append(f"{table} is no member any more")
        elif table in now and publication.memberships.get(table, "table").startswith("table"):
            complaints.append(f"{table} was dropped and created again (OID {oid} became {now[table]})")
    if complaints:
        raise PublicationChanged(
            f"publication {name!r}: {'; '.join(complaints)}",
            hint="rows of the time between are missing: see docs/operations.md, 'A changed publication'; "
            "`seam publications accept FILE` takes the publication as it stands now",
        )


def _changed_as_a_whole(publication: Publication, recorded: RecordedPublication) -> list[str]:
    if not recorded.oid:
        return []
    if publication.oid != recorded.oid:
        return ["it was dropped and created again"]
    complaints = []
    missing = sorted(set(recorded.operations) - publication.operations)
    if missing:
        complaints.append(f"it does not publish {', '.join(missing)} any more")
    if publication.via_root != recorded.via_root:
        complaints.append(f"publish_via_partition_root became {str(publication.via_root).lower()}")
    return complaints
