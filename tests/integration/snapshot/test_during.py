"""What happens to a table while its rows are being read: rewrites, new forms, values left out, waiting commits."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator

import pytest

from tests.stack.postgres import Database
from tests.support.chunks import before_copy, before_mark, one_page_each
from tests.support.engine import pipeline, run_once
from tests.support.fold import events, fold_rows, rows_of
from tests.support.waiting import wait_until

ROWS = 3000


@pytest.fixture
def item(database, monkeypatch):
    one_page_each(monkeypatch)
    database.execute(
        "create table item (id int primary key, name text, filler text default repeat('x', 100))",
        f"insert into item select n, 'old' from generate_series(1, {ROWS}) n",
    )
    return database


def initial(database, kafka, prefix, **more):
    return pipeline(database, kafka.bootstrap, prefix, **{"snapshot__mode": "initial", **more})


def assert_same(database, kafka, prefix):
    assert fold_rows(events(kafka.bootstrap, f"{prefix}.public.item")) == rows_of(database, "item")


MOVES = {
    "VACUUM FULL": ("delete from item where id % 3 = 0", "vacuum full item"),
    "CLUSTER": ("update item set name = 'moved' where id % 5 = 0", "cluster item using item_pkey"),
    "a rewrite by ALTER TABLE": ("alter table item alter name type varchar(40) using name || '!'",),
    "TRUNCATE": ("truncate item", "insert into item select n, 'after' from generate_series(1, 50) n"),
    "ADD COLUMN": ("alter table item add added int default 7", "update item set added = 8 where id = 2500"),
    "DROP COLUMN": ("alter table item drop filler",),
    "RENAME COLUMN": ("alter table item rename filler to stuffing",),
    "DROP NOT NULL of nothing": ("alter table item alter name set not null",),
}


def soak(*values):
    """Parameters that say little more than others do."""
    return pytest.param(*values, marks=pytest.mark.soak)


CASES = [
    *[(move, "before its mark", 5) for move in MOVES if move not in ("CLUSTER", "RENAME COLUMN")],
    *[soak(move, "before its mark", 5) for move in ("CLUSTER", "RENAME COLUMN")],
    # One of those that move rows, and those that make the COPY itself fail or see nothing.
    *[(move, "between snapshot and copy", 5) for move in ("VACUUM FULL", "TRUNCATE", "DROP COLUMN")],
    *[
        soak(move, "between snapshot and copy", 5)
        for move in MOVES
        if move not in ("VACUUM FULL", "TRUNCATE", "DROP COLUMN")
    ],
    # The last chunk has none behind it that would see the other file.
    *[(move, "between snapshot and copy", "last") for move in ("VACUUM FULL", "a rewrite by ALTER TABLE")],
]


@pytest.mark.parametrize(("move", "when", "chunk"), CASES)
def test_no_row_is_lost_when_the_table_is_changed_in_the_middle(item, kafka, prefix, monkeypatch, move, when, chunk):
    pages = item.value("select pg_relation_size('item') / 8192")
    number_of_chunk = pages if chunk == "last" else chunk

    def change(number: int) -> None:
        if number == number_of_chunk:
            item.execute(*MOVES[move])

    (before_mark if when == "before its mark" else before_copy)(monkeypatch, change)
    # Truncates are published, as a consumer that folds them needs it.
    run_once(initial(item, kafka, prefix, skipped__operations="none"))
    last: dict[int, dict] = {}
    for each in events(kafka.bootstrap, f"{prefix}.public.item"):
        if each.op == "t":
            last.clear()
        elif each.op == "tombstone" or each.op == "d":
            last.pop(each.key["id"], None)
        else:
            last[each.key["id"]] = each.after
    table = {row["id"]: row for row in rows_of(item, "item")}
    assert last.keys() == table.keys()
    # A row that was out before the change keeps the form that it had; every other one has the new form.
    for key, row in last.items():
        if row.keys() == table[key].keys() and not str(table[key]["name"]).endswith("!"):
            assert row == table[key]


@pytest.mark.parametrize(
    ("threads", "support"),
    [("1", "requested"), ("3", "required"), soak("1", "required"), soak("3", "requested")],
)
def test_values_that_updates_leave_out_are_all_there(database, kafka, prefix, monkeypatch, threads, support):
    one_page_each(monkeypatch)
    database.execute(
        "create table item (id int primary key, name text, body text)", "alter table item alter body set storage external",
        "insert into item select n, 'old', repeat(md5(n::text), 100) from generate_series(1, 1200) n",
    )  # fmt: skip

    def update(number: int) -> None:
        # Rows move from pages that were not read to such that were, through the room that the deletes leave.
        if number % 2:
            database.execute(
                f"delete from item where id % 40 = {number % 40}", "vacuum item",
                f"update item set name = 'u{number}' where id % 20 = {number % 20}",
                f"update item set id = id + 10000 where id = {number * 7}",
            )  # fmt: skip

    before_mark(monkeypatch, update)
    run_once(initial(database, kafka, prefix, snapshot__max__threads=threads, exactly__once__support=support))
    rows: dict[int, dict] = {}
    moved_without = set()
    for each in events(kafka.bootstrap, f"{prefix}.public.item"):
        key = each.key["id"]
        if each.op in ("d", "tombstone"):
            rows.pop(key, None)
            continue
        row = dict(each.after)
        if row["body"] == "__debezium_unavailable_value":
            if key in rows:
                row["body"] = rows[key]["body"]
            elif key > 10000:
                moved_without.add(key)  # the stream alone does not tell more; a row read again does
        rows[key] = row
    table = {row["id"]: row for row in rows_of(database, "item")}
    assert rows.keys() == table.keys()
    wrong = [key for key in table if rows[key] != table[key] and key not in moved_without]
    assert wrong == []


@pytest.fixture
def standby_away(make_postgres) -> Iterator[tuple[Database, Callable[[str], None], Callable[[], None]]]:
    """A server where commits can be made to wait for a standby that never comes: logged, and visible to nobody.

    Gives its database, a function that commits such a statement in the background, and one that ends the wait.
    """
    database = Database(make_postgres(18), "postgres")
    threads: list[threading.Thread] = []

    def commit_and_wait(statement: str) -> None:
        def run() -> None:
            with database.connect() as connection:
                connection.execute("set synchronous_commit = on")
                connection.execute(statement)

        database.execute("alter system set synchronous_standby_names = 'nobody'", "select pg_reload_conf()")
        wait_until(lambda: database.value("show synchronous_standby_names") == "nobody", 10, "the setting")
        threads.append(threading.Thread(target=run, daemon=True))
        threads[-1].start()
        waiting = "select count(*) from pg_stat_activity where wait_event = 'SyncRep'"
        wait_until(lambda: database.value(waiting) == 1, 10, "the commit to wait")

    def release() -> None:
        database.execute("alter system reset synchronous_standby_names", "select pg_reload_conf()")
        for thread in threads:
            thread.join(30)

    # Nothing but the application's commits waits: what the engine and the test commit does not.
    database.execute("alter system set synchronous_commit = local", "select pg_reload_conf()")
    database.execute(
        "create table item (id int primary key, name text)", "insert into item select n, 'old' from generate_series(1, 100) n"
    )  # fmt: skip
    yield database, commit_and_wait, release
    release()


def test_rows_wait_for_a_commit_that_is_streamed_and_not_visible(standby_away, kafka, prefix, start_engine):
    database, commit_and_wait, release = standby_away
    database.execute(
        f"create publication {prefix} for table item",
        f"select pg_create_logical_replication_slot('{prefix}', 'pgoutput')",
    )
    commit_and_wait("update item set name = 'new' where id = 1")
    engine = start_engine(initial(database, kafka, prefix), database)
    topic = f"{prefix}.public.item"
    wait_until(lambda: [each.op for each in events(kafka.bootstrap, topic)] == ["u"], 30, "the update alone")
    wait_until(lambda: [f.code for f in engine.findings].count("SLOT_ADOPTED"), 5, "the finding")
    assert engine.worker.meter.phase == "snapshot"
    release()
    wait_until(lambda: engine.worker.meter.phase == "streaming", 30, "the end of the snapshot")
    engine.stop()
    assert len(events(kafka.bootstrap, topic)) == 101
    assert_same(database, kafka, prefix)


def test_rows_wait_for_a_commit_that_an_earlier_run_has_streamed(standby_away, kafka, prefix, start_engine):
    database, commit_and_wait, release = standby_away
    config = initial(database, kafka, prefix, snapshot__mode="always")
    run_once(config)
    commit_and_wait("update item set name = 'new' where id = 1")
    topic = f"{prefix}.public.item"
    run_once(pipeline(database, kafka.bootstrap, prefix))  # streams the update, and reads no rows
    assert [each.op for each in events(kafka.bootstrap, topic)][-1] == "u"
    engine = start_engine(config, database)
    wait_until(lambda: engine.worker.meter.phase == "snapshot", 30, "the second reading")
    release()
    wait_until(lambda: engine.worker.meter.phase == "streaming", 30, "the end of the snapshot")
    engine.stop()
    assert [each.after["name"] for each in events(kafka.bootstrap, topic) if each.key["id"] == 1] == [
        "old",
        "new",
        "new",
    ]
    assert_same(database, kafka, prefix)
