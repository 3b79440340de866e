"""A table whose rows count their changes, writers of it, and what must hold of its topic: no key goes back in time."""

from __future__ import annotations

import random
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from tests.stack.postgres import Database
from tests.support.fold import Event, fold_rows, rows_of

WRITERS = 8


def table(rows: int) -> tuple[str, ...]:
    """The statements that make `item` with so many rows, each of version 0."""
    return (
        "create table item (id int primary key, version int not null, note text)",
        "alter table item replica identity full",
        f"insert into item select n, 0, repeat('x', 100) from generate_series(1, {rows}) n",
    )


@contextmanager
def writers(database: Database, rows: int, *, seed: int = 1) -> Iterator[None]:
    """Eight writers of disjoint keys: updates, deletes and inserts, in transactions of one to thirty rows."""
    end = threading.Event()
    errors: list[BaseException] = []
    threads = [
        threading.Thread(target=_write, args=(database, rows, number, seed, end, errors), daemon=True)
        for number in range(WRITERS)
    ]
    for thread in threads:
        thread.start()
    try:
        yield
    finally:
        end.set()
        for thread in threads:
            thread.join(30)
    if errors:
        raise errors[0]


def _write(
    database: Database, rows: int, number: int, seed: int, end: threading.Event, errors: list[BaseException]
) -> None:
    chosen = random.Random(f"{seed}/{number}")
    versions: dict[int, tuple[int, bool]] = {}
    try:
        with database.connect(autocommit=False) as connection:
            while not end.wait(0.03):
                planned = dict(versions)
                for _ in range(chosen.choice((1, 1, 3, 30))):
                    key = chosen.randrange(rows // WRITERS) * WRITERS + number + 1
                    version, there = planned.get(key, (0, True))
                    version += 1
                    if not there:
                        connection.execute("insert into item values (%s, %s, 'new')", [key, version])
                        there = True
                    elif chosen.random() < 0.2:
                        connection.execute("delete from item where id = %s", [key])
                        there = False
                    else:
                        connection.execute("update item set version = %s where id = %s", [version, key])
                    planned[key] = (version, there)
                if chosen.random() < 0.1:
                    connection.rollback()
                else:
                    connection.commit()
                    versions = planned
    except BaseException as error:
        errors.append(error)


def faults(found: Sequence[Event], database: Database) -> list[str]:
    """What must not be: a key that goes back in time, and a fold that is not the table."""
    wrong = []
    versions: dict[int, tuple[int, str]] = {}
    for event in found:
        if event.op == "tombstone" or event.key is None:
            continue
        key = event.key["id"]
        before, op = versions.get(key, (-1, ""))
        if event.op == "d":
            version = event.before["version"] + 1 if event.before is not None else before
        else:
            assert event.after is not None
            version = event.after["version"]
        if version < before or (version == before and "r" not in (op, event.op)):
            wrong.append(f"key {key} goes from version {before} ({op}) to {version} ({event.op})")
        versions[key] = (version, event.op)
    if fold_rows(found) != rows_of(database, "item"):
        wrong.append("the fold of the topic is not the table")
    return wrong
