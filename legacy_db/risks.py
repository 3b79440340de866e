"""What in a legacy schema makes its capture or its move harder, each with the reason and the SQL that shows it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from psycopg import sql

from legacy_db.inventory import Inventory, TableInfo


@dataclass(frozen=True, slots=True)
class Risk:
    """One trait of the schema that somebody will trip over.

    Attributes:
        code: Stable upper-case word.
        subject: Table, column, trigger, sequence or setting.
        why: What happens because of it, and what it needs.
        shows: The SQL that shows it.
        remedy: The SQL that mends it, None where there is none.
        blocks: Whether the table cannot be captured as it is.
    """

    code: str
    subject: str
    why: str
    shows: str
    remedy: str | None = None
    blocks: bool = False

    def as_json(self) -> dict[str, Any]:
        """The risk as a JSON object."""
        return {
            "code": self.code, "subject": self.subject, "why": self.why, "shows": self.shows, "remedy": self.remedy,
            "blocks": self.blocks,
        }  # fmt: skip


def find_risks(inventory: Inventory) -> list[Risk]:
    """All risks, those that block first."""
    found = [*_database(inventory), *_sequences(inventory), *_foreign_keys(inventory), *_code(inventory)]
    for table in inventory.tables.values():
        found += _table(table)
        found += _columns(table)
    return sorted(found, key=lambda risk: (not risk.blocks, risk.code, risk.subject))


def _quoted(table: TableInfo) -> str:
    return sql.Identifier(table.schema, table.name).as_string()


def _regclass(table: TableInfo) -> str:
    return f"{sql.Literal(_quoted(table)).as_string()}::regclass"


def _class(table: TableInfo, columns: str) -> str:
    return f"SELECT {columns} FROM pg_class WHERE oid = {_regclass(table)};"


def _table(table: TableInfo) -> Iterator[Risk]:
    name, quoted, regclass = table.qualified, _quoted(table), _regclass(table)
    identity_sql = _class(table, "relreplident, relhasindex, relpersistence")
    full = f"ALTER TABLE {quoted} REPLICA IDENTITY FULL; -- or add a primary key"
    if table.persistence == "unlogged":
        yield Risk("UNLOGGED", name, "the log never holds its rows: it cannot be captured", identity_sql,
                   f"ALTER TABLE {quoted} SET LOGGED;", blocks=True)  # fmt: skip
    elif table.kind == "foreign":
        yield Risk("FOREIGN_TABLE", name, "its rows live elsewhere: it cannot be captured", identity_sql, blocks=True)
    elif not table.identity_usable and table.kind in ("table", "partition"):
        why = {
            "deferrable": "its primary key is deferrable, which is no replica identity",
            "nullable": "it has no primary key, and a unique index alone may be nullable",
            "none": "it has no key",
        }.get(table.key_trouble, "its replica identity is NOTHING or its index is gone")
        if table.parents and table.key_trouble == "none":
            why = "it inherits columns, not keys: it has no key of its own"
        yield Risk("NO_IDENTITY", name, f"{why}: once it is published, UPDATE and DELETE fail in the application",
                   identity_sql, full, blocks=True)  # fmt: skip
    if table.kind in ("table", "partitioned") and not table.primary_key and table.key_trouble == "none":
        yield Risk("NO_KEY", name, "rows cannot be told apart: events have no key, and it is verified as a multiset",
                   f"SELECT conname FROM pg_constraint WHERE conrelid = {regclass} AND contype IN ('p', 'u');")  # fmt: skip
    if table.kind == "partitioned":
        yield Risk("PARTITIONED", name, "events bear the partitions' names unless publish.via.partition.root is true; "
                   "attaching a filled partition sends nothing", f"SELECT inhrelid::regclass FROM pg_inherits WHERE inhparent = {regclass};")  # fmt: skip
    elif table.children:
        yield Risk("INHERITANCE", name, "children's rows show up in its SELECTs and not among its events; the same key may "
                   "stand in parent and child", f"SELECT tableoid::regclass, count(*) FROM {quoted} GROUP BY 1;")  # fmt: skip
    if table.row_security:
        yield Risk("ROW_SECURITY", name, "the log ignores policies, a reader under them sees less: snapshot and verification need a role that bypasses them",
                   f"SELECT * FROM pg_policy WHERE polrelid = {regclass};")  # fmt: skip
    for rule in table.rules:
        yield Risk("RULE", f"{name} ({rule})", "a rewrite rule changes statements before triggers or the log see them",
                   f"SELECT pg_get_ruledef(oid) FROM pg_rewrite WHERE ev_class = {regclass};")  # fmt: skip
    if len(table.columns) > 100:
        yield Risk("WIDE", name, f"{len(table.columns)} columns", f"SELECT count(*) FROM pg_attribute WHERE attrelid = {regclass} AND attnum > 0;")  # fmt: skip
    odd = [n for n in (table.schema, table.name, *(c.name for c in table.columns)) if not n.isascii() or n != n.lower() or " " in n]  # fmt: skip
    if odd:
        yield Risk("QUOTED_NAMES", name, f"{', '.join(repr(n) for n in odd[:3])}: must be quoted in SQL, and topics replace such characters by _",
                   _class(table, "relname"))  # fmt: skip


def _columns(table: TableInfo) -> Iterator[Risk]:
    quoted, regclass = _quoted(table), _regclass(table)
    for column in table.columns:
        name = f"{table.qualified}.{column.name}"
        identifier = sql.Identifier(column.name).as_string()
        if column.type.startswith("character("):
            yield Risk("PADDED", name, "the stream pads it with blanks, ::text strips them: compare it padded",
                       f"SELECT {identifier}::text, octet_length({identifier}) FROM {quoted} LIMIT 5;")  # fmt: skip
        elif column.type == "money":
            yield Risk("MONEY", name, "its text depends on lc_monetary", f"SELECT {identifier} FROM {quoted} LIMIT 5;")
        elif column.type.startswith("timestamp") and "without" in column.type:
            yield Risk("LOCAL_TIME", name, "no zone is stored: one hour a year stands for two instants, another for none",
                       f"SELECT min({identifier}), max({identifier}) FROM {quoted};")  # fmt: skip
        elif column.type in ("oid", "lo"):
            yield Risk("LARGE_OBJECT", name, "the log holds the reference, never the object",
                       f"SELECT count(*) FROM pg_largeobject_metadata WHERE oid IN (SELECT {identifier} FROM {quoted});")  # fmt: skip
        elif column.type == "numeric":
            yield Risk("UNBOUNDED_NUMERIC", name, "any scale, and NaN; the default decimal.handling.mode=precise strips trailing zeros",
                       f"SELECT DISTINCT scale({identifier}) FROM {quoted} LIMIT 10;")  # fmt: skip
        if column.generated:
            yield Risk("GENERATED", name, "is absent from the stream: the new side computes it again",
                       f"SELECT attname, attgenerated FROM pg_attribute WHERE attrelid = {regclass} AND attgenerated <> '';")  # fmt: skip


def _sequences(inventory: Inventory) -> Iterator[Risk]:
    for sequence, users in inventory.sequences.items():
        if len(users) > 1:
            yield Risk("SHARED_SEQUENCE", sequence, f"{', '.join(users)} draw from it: sequences are not streamed, and moving one table splits it",
                       f"SELECT last_value FROM {sequence};")  # fmt: skip


def _foreign_keys(inventory: Inventory) -> Iterator[Risk]:
    for key in inventory.foreign_keys:
        shows = f"SELECT pg_get_constraintdef(oid) FROM pg_constraint WHERE conname = '{key.name}';"
        if not key.validated:
            yield Risk(
                "NOT_VALID",
                f"{key.table} ({key.name})",
                "rows from before it may refer to nothing: a target that enforces it refuses them",
                shows,
            )
        if key.deferrable:
            yield Risk(
                "DEFERRABLE",
                f"{key.table} ({key.name})",
                "inside a transaction the order of rows may violate it: apply whole transactions, or leave it out",
                shows,
            )


def _code(inventory: Inventory) -> Iterator[Risk]:
    for trigger in inventory.triggers:
        shows = f"SELECT pg_get_functiondef(to_regproc('{trigger.function}'));"
        others = [table for table in trigger.writes if table != trigger.table]
        if others:
            yield Risk("TRIGGER_WRITES", f"{trigger.table} ({trigger.name})",
                       f"writes {', '.join(others)} in the same transaction{' as its owner' if trigger.security_definer else ''}: these belong together", shows)  # fmt: skip
        if trigger.timing == "INSTEAD OF":
            yield Risk(
                "INSTEAD_OF",
                f"{trigger.table} ({trigger.name})",
                "applications write through a view: its base tables change",
                shows,
            )
    for view in inventory.views:
        if view.materialized:
            yield Risk(
                "MATERIALIZED_VIEW",
                view.name,
                "is never streamed: rebuild it on the new side",
                f"SELECT definition FROM pg_matviews WHERE schemaname || '.' || matviewname = '{view.name}';",
            )


def _database(inventory: Inventory) -> Iterator[Risk]:
    database = inventory.database
    if database["wal_level"] != "logical":
        yield Risk("WAL_LEVEL", "wal_level", f"is {database['wal_level']}: nothing can be decoded", "SHOW wal_level;",
                   "ALTER SYSTEM SET wal_level = 'logical'; -- and restart", blocks=True)  # fmt: skip
    if database["max_slot_wal_keep_size"] == "-1":
        yield Risk("WAL_UNBOUNDED", "max_slot_wal_keep_size", "a pipeline that stands still fills the disk", "SHOW max_slot_wal_keep_size;",
                   "ALTER SYSTEM SET max_slot_wal_keep_size = '10GB'; SELECT pg_reload_conf();")  # fmt: skip
    if database["encoding"] == "SQL_ASCII":
        yield Risk(
            "ENCODING",
            "database",
            "SQL_ASCII holds any bytes: a text that is not UTF-8 stops the stream",
            "SHOW server_encoding;",
        )
    if database["prepared_transactions"]:
        yield Risk(
            "PREPARED",
            "pg_prepared_xacts",
            f"{database['prepared_transactions']} prepared transactions: creating a slot waits for them",
            "SELECT * FROM pg_prepared_xacts;",
        )
    if database["oldest_transaction_seconds"] > 300:
        yield Risk("LONG_TRANSACTION", "pg_stat_activity", f"one is open for {database['oldest_transaction_seconds']:.0f} s: creating a slot waits for it",
                   "SELECT pid, xact_start, query FROM pg_stat_activity ORDER BY xact_start LIMIT 5;")  # fmt: skip
    if inventory.large_objects:
        yield Risk(
            "LARGE_OBJECTS",
            "pg_largeobject",
            f"{inventory.large_objects} large objects: these are not streamed",
            "SELECT count(*) FROM pg_largeobject_metadata;",
        )
