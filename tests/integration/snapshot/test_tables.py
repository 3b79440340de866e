"""Tables of every kind: without a key, partitioned, filtered, protected, with keys of all sorts."""

from __future__ import annotations

from collections import Counter

import pytest

from cdc.errors import AuthFailed, ConfigError, OperatorError
from connectors.postgres import read
from tests.support.chunks import before_mark, one_page_each
from tests.support.consume import topics
from tests.support.engine import RunningEngine, pipeline, properties, run_once
from tests.support.fold import data_events, events, fold_bag, fold_rows, rows_of

every_version = pytest.mark.parametrize(
    "postgres",
    (15, 18, pytest.param(16, marks=pytest.mark.soak), pytest.param(17, marks=pytest.mark.soak)),
    indirect=True,
)


def initial(database, kafka, prefix, **more):
    return pipeline(database, kafka.bootstrap, prefix, snapshot__mode="initial", **more)


@pytest.mark.parametrize("support", ("requested", "required"))
def test_rows_without_a_key_are_read_whole_and_told_apart_by_nothing(database, kafka, prefix, support):
    database.execute(
        "create table log (line text)", "alter table log replica identity full",
        "insert into log select 'line ' || n % 100 from generate_series(1, 5000) n",
        "create table item (id int primary key)", "insert into item select generate_series(1, 3000)",
    )  # fmt: skip
    config = initial(database, kafka, prefix, exactly__once__support=support)
    run_once(config)
    database.execute("insert into log values ('line 1')", "delete from log where line = 'line 2'")
    run_once(config)
    found = events(kafka.bootstrap, f"{prefix}.public.log")
    assert fold_bag(found) == fold_bag_of(database)
    assert len([each for each in found if each.op == "r"]) == 5000
    assert len(events(kafka.bootstrap, f"{prefix}.public.item")) == 3000


def fold_bag_of(database):
    return Counter(
        dict(database.rows("select json_build_object('line', line)::jsonb::text, count(*) from log group by line"))
    )


def test_a_table_whose_records_have_keys_that_are_not_unique_loses_no_row(database, kafka, prefix, monkeypatch):
    # Two rows with one record key: a change of the one must not take the other out of its chunk.
    database.execute(
        "create table item (id int primary key, customer int, name text)",
        "insert into item select n, n % 10, 'old' from generate_series(1, 1000) n",
    )
    before_mark(monkeypatch, lambda n: database.execute("update item set name = 'new' where id = 5"))
    run_once(initial(database, kafka, prefix, message__key__columns="public.item:customer"))
    latest = {each.after["id"]: each.after for each in data_events(kafka.bootstrap, f"{prefix}.public.item")}
    assert sorted(latest.values(), key=lambda row: row["id"]) == [
        {"id": n, "customer": n % 10, "name": "new" if n == 5 else "old"} for n in range(1, 1001)
    ]


def test_partitions_are_tables_of_their_own(database, kafka, prefix):
    partitioned(database)
    config = initial(database, kafka, prefix)
    run_once(config)
    database.execute("insert into part values (3, 'new'), (1003, 'new')")
    run_once(config)
    assert topics(kafka.bootstrap, prefix) == [f"{prefix}.public.part_{n}" for n in (1, 2)]
    for n in (1, 2):
        assert fold_rows(events(kafka.bootstrap, f"{prefix}.public.part_{n}")) == rows_of(database, f"part_{n}")


@pytest.mark.parametrize("postgres", (15, 18), indirect=True)
@pytest.mark.parametrize("include", [r"public\..*", r"public\.part"])
def test_partitions_are_read_under_the_name_of_their_root(database, kafka, prefix, include):
    partitioned(database)
    config = initial(database, kafka, prefix, publish__via__partition__root="true", table__include__list=include)
    run_once(config)
    database.execute("insert into part values (3, 'new'), (1003, 'new')", "update part set id = 1004 where id = 1")
    run_once(config)
    assert topics(kafka.bootstrap, prefix) == [f"{prefix}.public.part"]
    assert fold_rows(events(kafka.bootstrap, f"{prefix}.public.part")) == rows_of(database, "part")


def partitioned(database) -> None:
    database.execute(
        "create table part (id int primary key, name text) partition by range (id)",
        "create table part_1 partition of part for values from (0) to (1000)",
        "create table part_2 (name text, id int not null)",  # its columns stand in another order
        "alter table part attach partition part_2 for values from (1000) to (2000)",
        "insert into part select n, 'old' from generate_series(1, 1999, 7) n",
    )


@every_version
def test_row_security_that_would_hide_rows_is_a_named_error(database, kafka, prefix):
    role = f"r_{prefix}"
    database.execute(
        "create table item (id int primary key, owner text)", "insert into item values (1, 'a'), (2, 'b')",
        "alter table item enable row level security", f"create role {role} login replication",
        f"grant select on item to {role}", f"create policy own on item to {role} using (owner = 'a')",
        f"create publication {prefix} for table item",
    )  # fmt: skip
    try:
        with pytest.raises(AuthFailed, match=r"row-level security.*item|item.*row-level security"):
            run_once(initial(database, kafka, prefix, database__user=role))
        assert topics(kafka.bootstrap, prefix) == []
    finally:
        database.execute(f"drop owned by {role}", f"drop role {role}")


@every_version
def test_a_reader_with_the_least_privileges_and_read_only_transactions_is_enough(database, kafka, prefix):
    role = f"r_{prefix}"
    database.execute(
        "create table item (id int primary key, name text, secret text)", "insert into item values (1, 'a', 'x')",
        f"create role {role} login replication", f"grant select (id, name) on item to {role}",
        f"alter role {role} set default_transaction_read_only = on",
        f"create publication {prefix} for table item (id, name)",
    )  # fmt: skip
    try:
        run_once(initial(database, kafka, prefix, database__user=role))
        assert [each.after for each in data_events(kafka.bootstrap, f"{prefix}.public.item")] == [
            {"id": 1, "name": "a"}
        ]
    finally:
        database.execute(f"drop owned by {role}", f"drop role {role}")


@every_version
def test_rows_and_columns_that_the_publication_leaves_out_are_not_read(database, kafka, prefix):
    database.execute(
        "create table item (id int primary key, name text, secret text)",
        "insert into item select n, 'n' || n, 'x' from generate_series(1, 100) n",
        f"create publication {prefix} for table item (id, name) where (id > 90)",
    )
    config = initial(database, kafka, prefix)
    run_once(config)
    database.execute("insert into item values (1001, 'new', 'x')", "update item set name = 'u' where id = 95")
    run_once(config)
    found = data_events(kafka.bootstrap, f"{prefix}.public.item")
    assert len(found) == 12
    assert {frozenset(each.after) for each in found} == {frozenset({"id", "name"})}


def test_generated_columns_are_in_the_rows_that_are_read_as_in_the_stream(database, kafka, prefix):
    database.execute(
        "create table item (id int primary key, twice int generated always as (id * 2) stored)",
        "insert into item values (1)",
        f"create publication {prefix} for table item with (publish_generated_columns = stored)",
    )
    config = initial(database, kafka, prefix)
    run_once(config)
    database.execute("insert into item values (2)")
    run_once(config)
    assert [each.after for each in data_events(kafka.bootstrap, f"{prefix}.public.item")] == [
        {"id": 1, "twice": 2}, {"id": 2, "twice": 4},
    ]  # fmt: skip


KEYS = {
    "composite": ("a int, b text, primary key (b, a)", "select n % 7, 'k' || n / 7 from generate_series(1, 2000) n"),
    "text": ("a text primary key", "select 'ä\t' || chr(92) || n || E'\\n' from generate_series(1, 2000) n"),
    "uuid": ("a uuid primary key", "select gen_random_uuid() from generate_series(1, 2000) n"),
    "numeric": ("a numeric primary key", "select n / 7.0 from generate_series(1, 2000) n"),
    "char": ("a char(8) primary key", "select 'c' || n from generate_series(1, 2000) n"),
    "timestamp": ("a timestamptz primary key", "select '2024-01-01'::timestamptz + n * interval '1.7s' from generate_series(1, 2000) n"),
    "bytea": ("a bytea primary key", "select decode(md5(n::text), 'hex') from generate_series(1, 2000) n"),
    "unique index": ("a int not null, v int", "select n, n from generate_series(1, 2000) n"),
}  # fmt: skip


QUICK = ("composite", "text", "numeric", "unique index")


@pytest.mark.parametrize("kind", [*QUICK, *[pytest.param(k, marks=pytest.mark.soak) for k in KEYS if k not in QUICK]])
def test_tables_with_keys_of_any_sort_are_read_beside_changes(database, kafka, prefix, kind, monkeypatch):
    columns, rows = KEYS[kind]
    database.execute(f"create table item ({columns}, filler text default repeat('x', 200))", f"insert into item {rows}")
    if kind == "unique index":
        database.execute("create unique index u on item (a)", "alter table item replica identity using index u")
    one_page_each(monkeypatch)

    def change(_number):
        database.execute(
            "update item set filler = 'changed' where ctid in (select ctid from item order by random() limit 5)",
            "delete from item where ctid in (select ctid from item order by random() limit 3)",
        )

    before_mark(monkeypatch, change)
    run_once(initial(database, kafka, prefix, decimal__handling__mode="string"))
    found = events(kafka.bootstrap, f"{prefix}.public.item")
    assert len(fold_rows(found)) == database.value("select count(*) from item")
    changed = len([row for row in fold_rows(found) if row["filler"] == "changed"])
    assert changed == database.value("select count(*) from item where filler = 'changed'")


def override(text: str) -> dict[str, str]:
    return {
        "snapshot__select__statement__overrides": "public.item",
        "snapshot__select__statement__overrides__public__item": text,
    }


@pytest.fixture
def item(database):
    database.execute(
        "create table item (id int primary key, name text)", "insert into item select n, 'n' || n from generate_series(1, 3000) n"
    )  # fmt: skip
    return database


def test_a_statement_of_the_users_own_stands_in_for_the_table(item, kafka, prefix, monkeypatch):
    monkeypatch.setattr("cdc.snapshot_state.CHUNK_ROWS", 100)
    config = initial(item, kafka, prefix, **override("select * from public.item where id % 2 = 0 -- even ones"))
    run_once(config)
    item.execute("insert into item values (3001, 'new')")
    run_once(config)
    found = data_events(kafka.bootstrap, f"{prefix}.public.item")
    assert sorted(each.key["id"] for each in found if each.op == "r") == list(range(2, 3001, 2))
    assert [each.key["id"] for each in found if each.op == "c"] == [3001]


@pytest.mark.parametrize(
    ("statement", "message", "place"),
    [
        ("select * from public.item where nme = 1", 'column "nme" does not exist', 33),
        ("select * frm public.item", "syntax error", 10),
        ("select id, name from public.item where 1 / (id - 1500) > -2", "division by zero", None),
    ],
)
def test_a_statement_that_fails_gives_the_servers_words_and_the_place(item, kafka, prefix, statement, message, place):
    with pytest.raises(OperatorError) as caught:
        run_once(initial(item, kafka, prefix, **override(statement)))
    assert message in str(caught.value)
    assert "snapshot.select.statement.overrides.public.item" in str(caught.value)
    if place is not None:
        assert f"at character {place} of the statement" in str(caught.value)


def test_a_statement_that_is_missing_is_a_configuration_error(item, kafka, prefix):
    content = properties(item, prefix, snapshot__mode="initial", snapshot__select__statement__overrides="public.item")
    with pytest.raises(ConfigError, match="statement"):
        run_once(read(prefix, content, bootstrap_servers=kafka.bootstrap))


def test_large_values_are_cut_into_chunks_down_to_the_row(database, kafka, prefix, monkeypatch):
    monkeypatch.setattr("cdc.snapshotter.CHUNK_BYTES", 300_000)
    database.execute(
        "create table item (id int primary key, body text)",
        "insert into item select n, repeat(md5(n::text), 4000) from generate_series(1, 60) n",
    )
    engine = RunningEngine(initial(database, kafka, prefix), database, once=True)
    engine._thread.join(60)
    engine.raise_error()
    assert fold_rows(events(kafka.bootstrap, f"{prefix}.public.item")) == rows_of(database, "item")
    assert len(events(kafka.bootstrap, f"{prefix}.public.item")) == 60
