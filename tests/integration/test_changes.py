"""Every change of a table becomes the event that it should, on every version of Postgres."""

from __future__ import annotations

import pytest

from tests.support.engine import pipeline, run_once
from tests.support.fold import events

VERSIONS = (15, 16, 17, 18)
every_version = pytest.mark.parametrize("postgres", VERSIONS, indirect=True)


@every_version
def test_insert_update_delete_and_truncate(database, kafka, prefix):
    database.execute("create table item (id int primary key, name text, price numeric(10, 2))")
    config = pipeline(database, kafka.bootstrap, prefix, skipped__operations="none")
    run_once(config)
    database.execute(
        "insert into item values (1, 'pen', 1.20)",
        "update item set name = 'pencil' where id = 1",
        "delete from item where id = 1",
        "insert into item values (2, null, null)",
        "truncate item",
    )
    run_once(config)
    found = events(kafka.bootstrap, f"{prefix}.public.item")
    assert [(each.op, each.key) for each in found] == [
        ("c", {"id": 1}),
        ("u", {"id": 1}),
        ("d", {"id": 1}),
        ("tombstone", {"id": 1}),
        ("c", {"id": 2}),
        ("t", None),
    ]
