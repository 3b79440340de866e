"""Checks before the first row: what would stop the stream, or stop the legacy application, and the SQL that mends it.

The one that matters most: publishing a table without a usable replica identity makes its UPDATE and DELETE fail *in
the application*.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import psycopg
from psycopg import sql

from cdc.model.relation import ReplicaIdentity
from cdc.postgres.catalog import Catalog, Table
from cdc.postgres.publication import Publication, read_publication
from cdc.postgres.slot import read_slot, read_slots
from cdc.report import Finding, Severity
from cdc.selection import Selection

MINIMUM_VERSION = 150_000


@dataclass(frozen=True, slots=True)
class Wanted:
    """What a pipeline asks of the database.

    Attributes:
        selection: Its tables.
        slot: Its slot's name.
        publication: Its publication's name.
        autocreate: `publication.autocreate.mode`.
        operations: What it publishes of insert, update, delete, truncate.
        literal_tables: Names that the include list writes out.
    """

    selection: Selection
    slot: str
    publication: str
    autocreate: str
    operations: frozenset[str]
    literal_tables: Sequence[str] = ()


def captured(tables: Iterable[Table], selection: Selection) -> list[Table]:
    """The tables that a selection captures, leaving out what the log never holds."""
    return [t for t in tables if selection.captures(t.schema, t.name) and t.persistence == "p"]


def check_database(catalog: Catalog, wanted: Wanted) -> list[Finding]:
    """All findings, what is well included.

    Raises:
        SeamError: The server went away meanwhile; a finding is not an error of the check.
    """
    tables = catalog.tables()
    publication = read_publication(catalog, wanted.publication)
    return [
        *_server(catalog),
        *_role(catalog, wanted, captured(tables, wanted.selection), publication),
        *_slot(catalog, wanted),
        *_publication(wanted, tables, publication),
        *_tables(catalog, wanted, tables, publication),
    ]


def _ok(code: str, subject: str, evidence: str) -> Finding:
    return Finding(code, Severity.OK, subject, evidence)


def _server(catalog: Catalog) -> list[Finding]:
    version = catalog.version()
    text = str(catalog.value("show server_version"))
    settings = {str(name): (str(value), unit) for name, value, unit in catalog.rows(
        "select name, setting, unit from pg_settings where name = any(%s)",
        (["wal_level", "max_replication_slots", "max_wal_senders", "max_slot_wal_keep_size", "idle_replication_slot_timeout"],),
    )}  # fmt: skip
    findings = []
    if version < MINIMUM_VERSION:
        findings.append(
            Finding("SERVER_VERSION", Severity.BLOCKS, "server", f"Postgres {text}: 15 is the oldest that is supported")
        )
    else:
        findings.append(_ok("SERVER_VERSION", "server", f"Postgres {text}"))
    wal_level = settings["wal_level"][0]
    if wal_level == "logical":
        findings.append(_ok("WAL_LEVEL", "wal_level", "logical"))
    else:
        findings.append(
            Finding(
                "WAL_LEVEL",
                Severity.BLOCKS,
                "wal_level",
                f"is {wal_level}",
                "ALTER SYSTEM SET wal_level = 'logical'; -- and restart",
            )
        )
    findings += _free(
        catalog,
        int(settings["max_replication_slots"][0]),
        "max_replication_slots",
        "pg_replication_slots",
        "FREE_SLOTS",
    )
    findings += _free(
        catalog, int(settings["max_wal_senders"][0]), "max_wal_senders", "pg_stat_replication", "FREE_WALSENDERS"
    )
    keep = int(settings["max_slot_wal_keep_size"][0])
    if keep < 0:
        findings.append(
            Finding("WAL_UNBOUNDED", Severity.WARNING, "max_slot_wal_keep_size", "is not limited: a pipeline that stands still fills the disk",
                    "ALTER SYSTEM SET max_slot_wal_keep_size = '10GB'; SELECT pg_reload_conf(); -- then a slot that lags further is lost")
        )  # fmt: skip
    else:
        findings.append(
            Finding(
                "WAL_BOUNDED",
                Severity.WARNING,
                "max_slot_wal_keep_size",
                f"is {keep} MB: a slot that lags further is lost",
            )
        )
    idle = settings.get("idle_replication_slot_timeout", ("0", None))[0]
    if idle != "0":
        findings.append(
            Finding(
                "SLOT_TIMEOUT",
                Severity.WARNING,
                "idle_replication_slot_timeout",
                f"is {idle} s: a pipeline that stands still longer loses its slot",
            )
        )
    encoding = catalog.encoding()
    if encoding == "SQL_ASCII":
        findings.append(
            Finding(
                "ENCODING",
                Severity.WARNING,
                "database",
                "has encoding SQL_ASCII: texts that are not UTF-8 stop the stream, naming the column",
            )
        )
    return findings


def _free(catalog: Catalog, limit: int, setting: str, view: str, code: str) -> list[Finding]:
    used = int(catalog.value(f"select count(*) from {view}"))  # noqa: S608 - one of two constants
    if used >= limit:
        return [
            Finding(
                code,
                Severity.BLOCKS,
                setting,
                f"all {limit} are used",
                f"ALTER SYSTEM SET {setting} = {limit + 5}; -- and restart",
            )
        ]
    return [_ok(code, setting, f"{used} of {limit} are used")]


def _role(catalog: Catalog, wanted: Wanted, tables: list[Table], publication: Publication | None) -> list[Finding]:
    user, replication, superuser = catalog.rows(
        "select current_user, rolreplication, rolsuper from pg_roles where rolname = current_user"
    )[0]
    findings = []
    if replication or superuser:
        findings.append(_ok("ROLE_REPLICATION", user, "may read the log"))
    else:
        findings.append(
            Finding(
                "ROLE_REPLICATION",
                Severity.BLOCKS,
                user,
                "has no REPLICATION attribute",
                _sql(catalog, sql.SQL("ALTER ROLE {} REPLICATION;").format(sql.Identifier(user))),
            )
        )
    if publication is None and wanted.autocreate == "filtered" and not superuser:
        owners = {
            row[0] for row in catalog.rows("select rolname from pg_roles where pg_has_role(current_user, oid, 'usage')")
        }
        foreign = sorted(table.qualified for table in tables if table.owner not in owners)
        if foreign:
            findings.append(
                Finding("ROLE_OWNERSHIP", Severity.BLOCKS, user, f"does not own {_some(foreign)}, so it cannot publish them",
                        f"{publication_sql(wanted, tables)} -- as the owner, and set publication.autocreate.mode=disabled")
            )  # fmt: skip
        if not catalog.value("select has_database_privilege(current_database(), 'create')"):
            findings.append(
                Finding("ROLE_CREATE", Severity.BLOCKS, user, "may not create a publication in this database",
                        f"{publication_sql(wanted, tables)} -- as the owner, and set publication.autocreate.mode=disabled")
            )  # fmt: skip
    if publication is None and wanted.autocreate == "all_tables" and not superuser:
        findings.append(
            Finding(
                "ROLE_SUPERUSER",
                Severity.BLOCKS,
                user,
                "is no superuser, which FOR ALL TABLES needs",
                "-- use publication.autocreate.mode=filtered",
            )
        )
    return findings


def _some(names: Sequence[str], most: int = 5) -> str:
    return ", ".join(names[:most]) + (f" and {len(names) - most} more" if len(names) > most else "")


def _slot(catalog: Catalog, wanted: Wanted) -> list[Finding]:
    slot = read_slot(catalog, wanted.slot)
    findings = []
    if slot is None:
        findings.append(_ok("SLOT", wanted.slot, "does not exist yet; it is created at the first start"))
    elif slot.plugin != "pgoutput":
        findings.append(
            Finding(
                "SLOT_PLUGIN",
                Severity.BLOCKS,
                wanted.slot,
                f"was made for plugin {slot.plugin}",
                "-- choose another slot.name",
            )
        )
    elif slot.database != catalog.value("select current_database()"):
        findings.append(
            Finding(
                "SLOT_DATABASE",
                Severity.BLOCKS,
                wanted.slot,
                f"belongs to database {slot.database}",
                "-- choose another slot.name",
            )
        )
    elif slot.lost:
        findings.append(
            Finding(
                "SLOT_INVALID",
                Severity.BLOCKS,
                wanted.slot,
                f"was invalidated (wal_status {slot.wal_status})",
                f"SELECT pg_drop_replication_slot('{wanted.slot}'); -- the changes since its position are gone",
            )
        )
    elif slot.wal_status == "unreserved":
        findings.append(
            Finding(
                "SLOT_AT_RISK",
                Severity.WARNING,
                wanted.slot,
                "may be lost at the next checkpoint: it lags beyond max_slot_wal_keep_size",
            )
        )
    else:
        findings.append(_ok("SLOT", wanted.slot, f"lags {slot.lag_bytes} bytes, retains {slot.retained_bytes} bytes"))
    findings += [
        Finding("SLOT_WITHOUT_READER", Severity.WARNING, other.name, f"nobody reads it, and it retains {other.retained_bytes >> 20} MB of the log",
                f"SELECT pg_drop_replication_slot('{other.name}'); -- if it is not needed")
        for other in read_slots(catalog)
        if other.name != wanted.slot and other.active_pid is None and other.retained_bytes > 1 << 30
    ]  # fmt: skip
    old = catalog.rows(
        "select pid, extract(epoch from now() - xact_start)::int from pg_stat_activity where xact_start < now() - interval '5 minutes' and backend_type = 'client backend' order by 2 desc limit 1"
    )
    if old and slot is None:
        findings.append(
            Finding(
                "LONG_TRANSACTION",
                Severity.WARNING,
                f"process {old[0][0]}",
                f"a transaction is open for {old[0][1]} s: creating the slot waits for it",
            )
        )
    return findings


def _publication(wanted: Wanted, tables: list[Table], publication: Publication | None) -> list[Finding]:
    if publication is None:
        if wanted.autocreate in ("disabled", "no_tables"):
            return [
                Finding(
                    "PUBLICATION_MISSING",
                    Severity.BLOCKS,
                    wanted.publication,
                    f"does not exist, and publication.autocreate.mode is {wanted.autocreate}",
                    publication_sql(wanted, captured(tables, wanted.selection)),
                )
            ]
        return [_ok("PUBLICATION", wanted.publication, "does not exist yet; it is created at the first start")]
    missing = sorted(
        t.qualified
        for t in captured(tables, wanted.selection)
        if t.qualified not in publication.tables and not t.partition
    )
    findings = []
    absent = sorted(wanted.operations - publication.operations)
    if absent:
        findings.append(Finding("PUBLICATION_OPERATIONS", Severity.BLOCKS, wanted.publication, f"does not publish {', '.join(absent)}",
                                f"ALTER PUBLICATION \"{wanted.publication}\" SET (publish = '{', '.join(sorted(wanted.operations))}');"))  # fmt: skip
    if missing and not publication.all_tables:
        if wanted.autocreate == "filtered":
            findings.append(
                Finding(
                    "PUBLICATION_TABLES",
                    Severity.NOTE,
                    wanted.publication,
                    f"{_some(missing)} will be added; rows that they hold already are not sent",
                )
            )
        else:
            findings.append(
                Finding(
                    "PUBLICATION_TABLES",
                    Severity.WARNING,
                    wanted.publication,
                    f"does not hold {_some(missing)}",
                    f'ALTER PUBLICATION "{wanted.publication}" ADD TABLE {_some(missing, 1000)};',
                )
            )
    return findings or [_ok("PUBLICATION", wanted.publication, f"holds {len(publication.tables)} tables")]


def publication_sql(wanted: Wanted, tables: Sequence[Table]) -> str:
    """The statement that creates the publication, for an owner to run."""
    names = ", ".join(f'"{table.schema}"."{table.name}"' for table in tables) or "..."
    return f"CREATE PUBLICATION \"{wanted.publication}\" FOR TABLE {names} WITH (publish = '{', '.join(sorted(wanted.operations))}');"


def _tables(catalog: Catalog, wanted: Wanted, tables: list[Table], publication: Publication | None) -> list[Finding]:
    chosen = [table for table in tables if wanted.selection.captures(table.schema, table.name)]
    findings = []
    known = {table.qualified.lower() for table in tables}
    findings += [
        Finding("TABLE_MISSING", Severity.WARNING, name, "is in table.include.list and does not exist")
        for name in wanted.literal_tables
        if name.lower() not in known
    ]
    if not captured(tables, wanted.selection):
        findings.append(Finding("NO_TABLES", Severity.BLOCKS, "table.include.list", "no table is captured"))
    everything = wanted.autocreate == "all_tables" or (publication is not None and publication.all_tables)
    for table in tables if everything else chosen:
        findings += _one_table(
            catalog, wanted, table, published=publication is not None and table.qualified in publication.tables
        )
    return findings


def _one_table(catalog: Catalog, wanted: Wanted, table: Table, *, published: bool) -> list[Finding]:
    name = table.qualified
    if table.persistence == "u":
        return [
            Finding(
                "TABLE_UNLOGGED",
                Severity.WARNING,
                name,
                "is unlogged: the log never holds its rows, so it is not captured",
                f'ALTER TABLE "{table.schema}"."{table.name}" SET LOGGED;',
            )
        ]
    findings = []
    changes = wanted.operations & {"update", "delete"}
    if table.identity is ReplicaIdentity.NOTHING and changes:
        findings.append(_identity(table, "has REPLICA IDENTITY NOTHING", published=published))
    elif not table.identity_usable and changes and table.kind == "r":
        why = "has no primary key" if table.identity is ReplicaIdentity.DEFAULT else "its identity index is gone"
        if table.inherits:
            why = "is an inheritance child without a primary key of its own"
        elif catalog.value(
            "select exists (select 1 from pg_index where indrelid = %s and indisprimary and not indimmediate)",
            (table.oid,),
        ):
            why = "has a deferrable primary key, which is no identity"
        findings.append(_identity(table, why, published=published))
    if table.identity is ReplicaIdentity.FULL:
        findings += _full_identity(catalog, table, published=published)
    if table.row_security:
        findings.append(
            Finding(
                "ROW_SECURITY",
                Severity.NOTE,
                name,
                "has row-level security, which the log ignores: all rows are published",
            )
        )
    if catalog.value(
        "select exists (select 1 from pg_inherits h join pg_class p on p.oid = h.inhparent where h.inhparent = %s and p.relkind = 'r')",
        (table.oid,),
    ):
        findings.append(
            Finding(
                "INHERITANCE",
                Severity.NOTE,
                name,
                "has inheritance children: their rows are published under the children's names, if these are captured",
            )
        )
    return findings or [_ok("TABLE", name, "can be published: UPDATE and DELETE keep working")]


def _identity(table: Table, why: str, *, published: bool) -> Finding:
    # A start on a publication that holds the table changes nothing for the application: it only inserts, or fails.
    severity = Severity.WARNING if published else Severity.BLOCKS
    what = "it is published, so that" if published else "once it is published,"
    return Finding(
        "REPLICA_IDENTITY", severity, table.qualified, f"{why}: {what} UPDATE and DELETE fail in the application",
        f'ALTER TABLE "{table.schema}"."{table.name}" REPLICA IDENTITY FULL; -- or add a primary key, or exclude the table',
    )  # fmt: skip


def _full_identity(catalog: Catalog, table: Table, *, published: bool) -> list[Finding]:
    if catalog.version() >= 180_000 and catalog.value(
        "select exists (select 1 from pg_attribute where attrelid = %s and attgenerated <> '' and not attisdropped)",
        (table.oid,),
    ):
        return [
            Finding("REPLICA_IDENTITY", Severity.WARNING if published else Severity.BLOCKS, table.qualified,
                    "has REPLICA IDENTITY FULL and generated columns, which are not published: on 18 its UPDATE and DELETE would fail",
                    f'ALTER TABLE "{table.schema}"."{table.name}" REPLICA IDENTITY DEFAULT; -- with a primary key')
        ]  # fmt: skip
    return []


def role_script(catalog: Catalog, role: str, wanted: Wanted) -> str:
    """The statements that make a role with the least privileges that a pipeline needs.

    Args:
        catalog: The database.
        role: The role's name.
        wanted: The pipeline.
    """
    tables = captured(catalog.tables(), wanted.selection)
    name = sql.Identifier(role)
    database = sql.Identifier(str(catalog.value("select current_database()")))
    lines = [
        sql.SQL("-- Reads the log. REPLICATION can read every published row, whatever SELECT grants say: treat it so."),
        sql.SQL("CREATE ROLE {} LOGIN REPLICATION CONNECTION LIMIT 12;  -- set its password with \\password").format(
            name
        ),
        sql.SQL("GRANT CONNECT ON DATABASE {} TO {};").format(database, name),
    ]
    for schema in sorted({table.schema for table in tables}):
        lines.append(sql.SQL("GRANT USAGE ON SCHEMA {} TO {};").format(sql.Identifier(schema), name))
    lines += [
        sql.SQL("GRANT SELECT ON {} TO {};  -- for snapshot, replay and verify").format(
            sql.Identifier(t.schema, t.name), name
        )
        for t in tables
    ]
    lines.append(sql.SQL("ALTER ROLE {} SET row_security = off;").format(name))
    lines.append(sql.SQL("-- The publication belongs to the owner of the tables, not to this role:"))
    texts = [_sql(catalog, line) for line in lines]
    return "\n".join([*texts, publication_sql(wanted, tables), "-- and set publication.autocreate.mode=disabled"])


def _sql(catalog: Catalog, composed: sql.Composable) -> str:
    return composed.as_string(catalog.connection)


def could_not_check(error: psycopg.Error) -> Finding:
    """The finding of a check that could not be made, which is not the same as a problem that was found."""
    return Finding("NOT_CHECKED", Severity.UNKNOWN, "database", " ".join(str(error).split()))
