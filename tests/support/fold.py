"""What change events say: read from topics, and folded into the state that they lead to."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from psycopg import sql

from tests.stack.postgres import Database
from tests.support.consume import Record, read_topic


@dataclass(frozen=True, slots=True)
class Event:
    """One record of a table's topic, read.

    Attributes:
        op: c, u, d, r, t; "tombstone" for a record without value.
        key: The key's fields, None for no key.
        value: The envelope, None for a tombstone.
        record: As it lies in the topic.
    """

    op: str
    key: dict[str, Any] | None
    value: dict[str, Any] | None
    record: Record

    @property
    def after(self) -> dict[str, Any] | None:
        return self.value["after"] if self.value else None

    @property
    def before(self) -> dict[str, Any] | None:
        return self.value["before"] if self.value else None

    @property
    def headers(self) -> dict[str, str]:
        return {name: (value or b"").decode() for name, value in self.record.headers}


def event(record: Record) -> Event:
    key = None if record.key is None else json.loads(record.key)
    if record.value is None:
        return Event("tombstone", key, None, record)
    value = json.loads(record.value)
    if isinstance(value, dict) and set(value) == {"schema", "payload"}:
        key, value = None if key is None else key["payload"], value["payload"]
    return Event(value["op"], key, value, record)


def events(bootstrap: str, topic: str) -> list[Event]:
    """Every event of a topic, partition by partition."""
    return [event(record) for record in read_topic(bootstrap, topic)]


def data_events(bootstrap: str, topic: str) -> list[Event]:
    """The same without tombstones."""
    return [each for each in events(bootstrap, topic) if each.op != "tombstone"]


def fold(found: Sequence[Event]) -> dict[str, dict[str, Any]]:
    """Key (as JSON) -> row, after all events of a keyed topic."""
    rows: dict[str, dict[str, Any]] = {}
    for each in found:
        key = json.dumps(each.key, sort_keys=True)
        if each.op == "t":
            rows.clear()
        elif each.op in ("d", "tombstone"):
            rows.pop(key, None)
        else:
            assert each.after is not None
            rows[key] = each.after
    return rows


def fold_rows(found: Sequence[Event]) -> list[dict[str, Any]]:
    """The rows that remain, in an order that depends on nothing but themselves."""
    return in_order(list(fold(found).values()))


def fold_bag(found: Sequence[Event]) -> Counter[str]:
    """The same for a table without a key, whose old rows are whole: the multiset of rows."""
    bag: Counter[str] = Counter()
    for each in found:
        if each.before is not None:
            bag[json.dumps(each.before, sort_keys=True)] -= 1
        if each.after is not None:
            bag[json.dumps(each.after, sort_keys=True)] += 1
    return +bag


def in_order(rows: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    return sorted(rows, key=lambda row: json.dumps(row, sort_keys=True))


def rows_of(database: Database, table: str) -> list[dict[str, Any]]:
    """What a table holds now, of types whose JSON in Postgres is that of the events: integers, texts, booleans."""
    query = sql.SQL("select to_jsonb(t) from {} t").format(sql.Identifier(*table.split(".")))
    with database.connect() as connection:
        return in_order([row[0] for row in connection.execute(query)])
