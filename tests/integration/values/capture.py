"""Records what Debezium makes of the tables in `families.py`, as golden files.

    python -m tests.integration.values.capture [FAMILY...]

One connector a mode, all at once, each on a slot of its own made before the rows. A golden file holds one JSON object
a line: first the versions and the SQL, then one a column and mode, with the column's schema and payloads cut out of
Debezium's messages as they stand.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from tests.integration.values.catalog import PINNED, column_facts, texts, types_behind
from tests.integration.values.families import DEFAULTS, FAMILIES, MODES, REQUIRED, TOASTED, Family
from tests.stack.postgres import Database, fresh_database
from tests.stack.stack import Stack
from tests.support.consume import read_topic
from tests.support.waiting import wait_until

GOLDEN = Path(__file__).parents[2] / "golden" / "debezium" / "values"
DEBEZIUM = "3.6.3.Final"

_DEFAULT_TYPES = (
    "create sequence counter",
    "create type mood as enum ('sad', 'so, so', 'happy')",
    "create type \"Quoted Mood\" as enum ('ok', 'it''s')",
    "create domain price as numeric(8,3)",
    "create domain short_text as varchar(10)",
    "create domain mood_text as text",
)


def members(text: str, start: int = 0) -> dict[str, str]:
    """The members of a JSON object, each value's text as it stands."""
    decoder = json.JSONDecoder(strict=True)
    found: dict[str, str] = {}
    position = start + 1
    while text[position] != "}":
        name, position = decoder.raw_decode(text, position)
        position += 1  # the colon
        _, end = decoder.raw_decode(text, position)
        found[name] = text[position:end]
        position = end + (text[end] == ",")
    return found


def items(text: str) -> list[str]:
    """The items of a JSON array, each one's text as it stands."""
    decoder = json.JSONDecoder()
    found: list[str] = []
    position = 1
    while text[position] != "]":
        _, end = decoder.raw_decode(text, position)
        found.append(text[position:end])
        position = end + (text[end] == ",")
    return found


class Table:
    """One table of the capture.

    Attributes:
        name: Its name, `public.NAME`.
        definitions: Column name -> its definition.
        statements: What writes the rows, one record each.
        records: How many messages its topic will hold.
    """

    def __init__(self, name: str, definitions: dict[str, str], statements: Sequence[str], records: int) -> None:
        self.name = name
        self.definitions = definitions
        self.statements = list(statements)
        self.records = records

    def create(self) -> str:
        columns = ", ".join(f"{name} {definition}" for name, definition in self.definitions.items())
        return f"create table {self.name} (id int primary key, {columns})"


def rows_of(family: Family) -> tuple[dict[str, str], list[list[str]]]:
    """Column definitions, and the rows' expressions."""
    definitions = {f"c{number}": definition for number, definition in enumerate(family.columns)}
    height = max(len(values) for values in family.columns.values())
    rows = [
        [values[row] if row < len(values) else "null" for values in family.columns.values()] for row in range(height)
    ]
    return definitions, rows


def value_table(name: str, family: Family) -> Table:
    definitions, rows = rows_of(family)
    # A last row of nulls, which every column allows.
    rows.append(["null"] * len(definitions))
    types = list(definitions.values())
    statements = []
    for number, row in enumerate(rows):
        values = ", ".join(f"({value})::{type}" for value, type in zip(row, types, strict=True))
        statements.append(f"insert into {name} values ({number}, {values})")
    return Table(name, definitions, statements, len(statements))


def toast_table(name: str, family: Family) -> Table:
    definitions, rows = rows_of(family)
    definitions["touched"] = "int"
    statements = [f"insert into {name} values (0, {', '.join([*rows[0], '0'])})", f"update {name} set touched = 1"]
    return Table(name, definitions, statements, 2)


def filler_table(name: str, types: Sequence[str], values: dict[str, str]) -> Table:
    definitions = {f"c{number}": f"{type} not null" for number, type in enumerate(types)}
    row = ", ".join(f"({values[type]})::{type}" for type in types)
    return Table(name, definitions, [f"insert into {name} values (0, {row})", f"delete from {name}"], 3)


def default_table(name: str) -> Table:
    definitions = {}
    for type, expressions in DEFAULTS[name].items():
        for expression in expressions:
            quoted = f'"{type}"' if type[0].isupper() else type
            definitions[f"c{len(definitions)}"] = f"{quoted} default {expression}"
    return Table(name, definitions, [f"insert into {name} (id) values (0)"], 1)


class Capture:
    """All connectors on one database, and what they wrote."""

    def __init__(self, stack: Stack, database: Database, prefix: str) -> None:
        self._stack = stack
        self._database = database
        self._prefix = prefix

    def run(self, tables: Sequence[Table], modes: dict[str, dict[str, str]]) -> dict[str, dict[str, list[str]]]:
        """Mode -> table -> its messages' texts."""
        worker, bootstrap = self._stack.connect(), self._stack.kafka().bootstrap
        for mode, settings in modes.items():
            worker.run(f"{self._prefix}-{mode}", self._config(mode, settings), deadline=120)
        for mode in modes:
            slot = self._slot(mode)
            wait_until(
                lambda slot=slot: self._database.value(
                    "select coalesce(bool_or(active), false) from pg_replication_slots where slot_name = %s", slot
                ),
                60,
                f"slot {slot} to become active",
            )
        with self._database.connect() as connection:
            connection.execute(PINNED)
            for table in tables:
                for statement in table.statements:
                    connection.execute(statement)

        def read(mode: str, table: Table) -> list[str]:
            topic = f"{self._prefix}_{mode}.public.{table.name}"

            def arrived() -> list[str] | None:
                worker.running(f"{self._prefix}-{mode}")
                records = read_topic(bootstrap, topic)
                return [r.value.decode() if r.value else "" for r in records] if len(records) >= table.records else None

            return wait_until(arrived, 120, f"{table.records} records in {topic}", every=0.3)

        found = {mode: {table.name: read(mode, table) for table in tables} for mode in modes}
        for mode in modes:
            worker.delete(f"{self._prefix}-{mode}")
        return found

    def _slot(self, mode: str) -> str:
        return f"{self._prefix}_{mode}"

    def _config(self, mode: str, settings: dict[str, str]) -> dict[str, str]:
        return {
            "connector.class": "io.debezium.connector.postgresql.PostgresConnector",
            "database.hostname": "127.0.0.1",
            "database.port": str(self._database.server.port),
            "database.user": "postgres",
            "database.password": "unused",
            "database.dbname": self._database.name,
            "topic.prefix": f"{self._prefix}_{mode}",
            "plugin.name": "pgoutput",
            "slot.name": self._slot(mode),
            "publication.name": "captured",
            "publication.autocreate.mode": "disabled",
            "snapshot.mode": "no_data",
            "poll.interval.ms": "20",
            "value.converter": "org.apache.kafka.connect.json.JsonConverter",
            "value.converter.schemas.enable": "true",
            "value.converter.replace.null.with.default": "false",
            **settings,
        }


def after_fields(message: str) -> tuple[dict[str, str], dict[str, str], dict[str, str]]:
    """Schemas of a row's fields, and the fields of `before` and `after`."""
    whole = members(message)
    schema = members(whole["schema"])
    row = members(items(schema["fields"])[0])
    schemas = {json.loads(members(field)["field"]): field for field in items(row["fields"])}
    payload = members(whole["payload"])
    before, after = ({} if payload[name] == "null" else members(payload[name]) for name in ("before", "after"))
    return schemas, before, after


def lines(
    kind: str, facts: list[dict[str, Any]], rows: list[dict[str, str | None]], captured: dict[str, list[str]]
) -> Iterator[dict[str, Any]]:
    """One object a mode and column."""
    for mode, messages in captured.items():
        parsed = [after_fields(message) for message in messages if message]
        for fact in facts:
            name = fact["name"]
            schemas, before, after = parsed[-1]
            line = {"kind": kind, "mode": mode, "column": fact, "schema": schemas.get(name)}
            if kind == "values":
                pairs = [[row[name], after.get(name)] for row, (_, _, after) in zip(rows, parsed, strict=True)]
                line["values"] = [
                    pair for number, pair in enumerate(pairs) if pair[0] is not None or number == len(pairs) - 1
                ]
            elif kind == "unavailable":
                line["payload"] = after.get(name)
            elif kind == "filler":
                line["payload"] = before.get(name)
            yield line


def write(
    name: str,
    database: Database,
    table: Table,
    setup: Sequence[str],
    kind: str,
    rows: list[dict[str, str | None]],
    captured: dict[str, list[str]],
) -> None:
    with database.connect() as connection:
        facts = [fact for fact in column_facts(connection, table.name) if fact["name"] not in ("id", "touched")]
        types = types_behind(connection, [fact["oid"] for fact in facts])
    head = {
        "debezium": DEBEZIUM,
        "connect": "4.3.0",
        "postgres": database.value("select current_setting('server_version')"),
        "modes": {mode: MODES[mode] for mode in captured},
        "sql": [*setup, table.create(), *table.statements],
        "types": types,
    }
    GOLDEN.mkdir(parents=True, exist_ok=True)
    with (GOLDEN / f"{name}.jsonl").open("w") as file:
        for line in [head, *lines(kind, facts, rows, captured)]:
            file.write(json.dumps(line, ensure_ascii=False) + "\n")


def _decoded(row: dict[str, bytes | None]) -> dict[str, str | None]:
    return {name: None if raw is None else raw.decode() for name, raw in row.items()}


def main(wanted: Sequence[str]) -> None:
    stack = Stack()
    try:
        for version in (18, 15):
            capture_version(stack, version, wanted)
    finally:
        stack.close()


def capture_version(stack: Stack, version: int, wanted: Sequence[str]) -> None:
    values: dict[str, str] = {}
    for family in FAMILIES.values():
        for type, expressions in family.columns.items():
            values.setdefault(type, expressions[0])
    plans: list[tuple[Table, Sequence[str], str, Sequence[str]]] = []
    for name, family in FAMILIES.items():
        if family.version == version:
            plans.append((value_table(name, family), family.setup, "values", family.without))
    for name, family in TOASTED.items():
        if family.version == version:
            plans.append((toast_table(name, family), family.setup, "unavailable", ()))
    for filler in ("fillers", "fillers_timestamp") if version == 18 else ("fillers_extensions",):
        without = ("nanos",) if filler == "fillers_timestamp" else ()
        plans.append((filler_table(filler, REQUIRED[filler], values), (), "filler", without))
    default = "defaults" if version == 18 else "defaults_extensions"
    plans.append((default_table(default), _DEFAULT_TYPES, "default", ()))
    plans = [plan for plan in plans if not wanted or plan[0].name in wanted]
    if not plans:
        return
    with fresh_database(stack.postgres(version), f"cap{version}") as database:
        done: set[str] = set()
        for _, setup, _, _ in plans:
            for statement in setup:
                if statement not in done:
                    database.execute(statement)
                    done.add(statement)
        for table, *_ in plans:
            database.execute(table.create())
            for column in table.definitions if table.name.startswith("unavailable") else ():
                if column != "touched":
                    database.execute(f"alter table {table.name} alter column {column} set storage external")
        database.execute("create publication captured for all tables")
        groups: dict[tuple[str, ...], list[Table]] = {}
        for table, _, _, without in plans:
            groups.setdefault(tuple(without), []).append(table)
        captured: dict[str, dict[str, list[str]]] = {table.name: {} for table, *_ in plans}
        for number, (without, tables) in enumerate(groups.items()):
            modes = {mode: settings for mode, settings in MODES.items() if mode not in without}
            for mode, found in Capture(stack, database, f"cap{version}_{number}").run(tables, modes).items():
                for name, messages in found.items():
                    captured[name][mode] = messages
        for table, setup, kind, _ in plans:
            with database.connect() as connection:
                connection.execute(PINNED)
                query = f"select * from {table.name} order by id"
                rows = [_decoded(row) for row in texts(connection, query)] if kind == "values" else []
            write(table.name, database, table, setup, kind, rows, captured[table.name])


if __name__ == "__main__":
    main(sys.argv[1:])
