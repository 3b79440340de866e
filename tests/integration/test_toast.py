"""Values that an UPDATE left alone and the server did not send: never null, never lost, never a wrong key."""

from __future__ import annotations

import pytest

from tests.support.engine import pipeline, run_once
from tests.support.fold import data_events, events, fold_rows, rows_of

PLACEHOLDER = "__debezium_unavailable_value"
every_version = pytest.mark.parametrize("postgres", (15, 16, 17, 18), indirect=True)
LONG = "repeat('x', 100000)"


@every_version
def test_an_unchanged_long_value_is_marked_and_not_null(database, kafka, prefix):
    database.execute(
        "create table doc (id int primary key, seen int, body text)",
        "alter table doc alter body set storage external",
    )
    config = pipeline(database, kafka.bootstrap, prefix)
    run_once(config)
    database.execute(
        f"insert into doc values (1, 0, {LONG}), (2, 0, null), (3, 0, '')",
        "update doc set seen = 1",
        "update doc set body = null where id = 1",
    )
    run_once(config)
    found = [
        (each.op, each.key["id"], each.after["body"]) for each in data_events(kafka.bootstrap, f"{prefix}.public.doc")
    ]
    in_order = [each for key in (1, 2, 3) for each in found if each[1] == key]
    assert in_order == [
        ("c", 1, "x" * 100_000), ("u", 1, PLACEHOLDER), ("u", 1, None),
        ("c", 2, None), ("u", 2, None),
        ("c", 3, ""), ("u", 3, ""),
    ]  # fmt: skip


@every_version
def test_under_full_identity_an_unchanged_long_value_comes_from_the_old_row(database, kafka, prefix):
    database.execute(
        "create table doc (id int primary key, seen int, body text)",
        "alter table doc alter body set storage external",
        "alter table doc replica identity full",
    )
    config = pipeline(database, kafka.bootstrap, prefix)
    run_once(config)
    database.execute(f"insert into doc values (1, 0, {LONG})", "update doc set seen = 1")
    run_once(config)
    _, update = data_events(kafka.bootstrap, f"{prefix}.public.doc")
    assert update.after["body"] == update.before["body"] == "x" * 100_000


@every_version
def test_a_long_key_is_never_taken_for_changed_nor_replaced_by_the_marker(database, kafka, prefix):
    # A key of more than 2,000 bytes is stored out of line too, and an UPDATE of another column leaves it out.
    database.execute(
        "create table doc (name text primary key, seen int)", "alter table doc alter name set storage external"
    )
    config = pipeline(database, kafka.bootstrap, prefix)
    run_once(config)
    database.execute(
        "insert into doc values (repeat('k', 2600), 0)",
        "update doc set seen = 1",
        "update doc set seen = 2",
    )
    run_once(config)
    found = events(kafka.bootstrap, f"{prefix}.public.doc")
    assert [each.op for each in found] == ["c", "u", "u"]
    assert {each.key["name"] for each in found} == {"k" * 2600}
    assert {each.after["name"] for each in found} == {"k" * 2600}
    assert fold_rows(found) == rows_of(database, "doc")


def test_the_long_part_of_a_key_survives_a_change_of_its_other_part(database, kafka, prefix):
    database.execute(
        "create table doc (part int, name text, seen int, primary key (part, name))",
        "alter table doc alter name set storage external",
    )
    config = pipeline(database, kafka.bootstrap, prefix)
    run_once(config)
    database.execute("insert into doc values (1, repeat('k', 2600), 0)", "update doc set part = 2")
    run_once(config)
    found = events(kafka.bootstrap, f"{prefix}.public.doc")
    assert [(each.op, each.key["part"], len(each.key["name"])) for each in sorted(found, key=lambda each: each.record.timestamp)] == [
        ("c", 1, 2600), ("d", 1, 2600), ("tombstone", 1, 2600), ("c", 2, 2600),
    ]  # fmt: skip
    assert fold_rows(found) == rows_of(database, "doc")
