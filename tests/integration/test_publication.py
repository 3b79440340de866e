"""A publication that is not as recorded stops the engine by name, and nothing of that stretch is acknowledged.

Each of these changes is silent on the wire: the rows are just absent.
"""

from __future__ import annotations

import pytest

from cdc.errors import PublicationChanged
from tests.support.engine import confirmed, current_lsn, pipeline, run_once
from tests.support.fold import data_events

every_version = pytest.mark.parametrize("postgres", (15, 16, 17, 18), indirect=True)

TABLES = (
    "create table item (id int primary key, name text)",
    "create table other (id int primary key, name text)",
)

CHANGES = {
    "dropped": ["drop publication {name}"],
    "narrowed by a table": ["alter publication {name} drop table item"],
    "narrowed to inserts": ["alter publication {name} set (publish = 'insert')"],
    "narrowed by a row filter": ["alter publication {name} set table item where (id > 100), other"],
    "narrowed by a column list": ["alter publication {name} set table item (id), other"],
    "table removed and added again": [
        "alter publication {name} drop table item",
        "alter publication {name} add table item",
    ],
    "table created anew": ["drop table item", "create table item (id int primary key, name text)"],
    "table created anew and added": [
        "drop table item",
        "create table item (id int primary key, name text)",
        "alter publication {name} add table item",
    ],
    "table renamed out of what is captured": ["alter table item rename to hidden"],
    "publication created anew": [
        "drop publication {name}",
        "create publication {name} for table item, other",
    ],
}
each_change = pytest.mark.parametrize("statements", CHANGES.values(), ids=CHANGES.keys())


@pytest.fixture
def config(database, kafka, prefix):
    database.execute(*TABLES)
    return pipeline(database, kafka.bootstrap, prefix, table__include__list=r"public\.(item|other)")


@each_change
def test_a_changed_publication_ends_a_running_engine(config, database, prefix, start_engine, statements):
    engine = start_engine(config, database)
    database.execute("insert into item values (1, 'a')")
    engine.caught_up()
    database.execute(*(statement.format(name=prefix) for statement in statements))
    error = engine.ended()
    assert isinstance(error, PublicationChanged), error
    assert prefix in error.message or "hidden" in error.message


@each_change
def test_a_publication_changed_meanwhile_refuses_the_next_start(config, database, prefix, kafka, statements):
    run_once(config)
    before = confirmed(database, prefix)
    database.execute(*(statement.format(name=prefix) for statement in statements))
    with pytest.raises(PublicationChanged, match=prefix):
        run_once(config)
    assert confirmed(database, prefix) == before


@every_version
def test_rows_without_a_publication_are_not_acknowledged(config, database, prefix, kafka, start_engine, monkeypatch):
    # The catalogue is not looked at here: the server's own word must do. 18 only warns, and goes on without the rows.
    monkeypatch.setattr("connectors.watch.WATCH_SECONDS", 3600.0)
    engine = start_engine(config, database)
    database.execute("insert into item values (1, 'a')")
    engine.caught_up()
    database.execute(f"drop publication {prefix}")
    lost = current_lsn(database)
    with database.connect() as connection:
        for number in range(2, 2000):
            connection.execute("insert into item values (%s, 'lost')", [number])
    error = engine.ended()
    assert isinstance(error, PublicationChanged), error
    assert confirmed(database, prefix) <= lost
    assert [each.key["id"] for each in data_events(kafka.bootstrap, f"{prefix}.public.item")] == [1]


def test_a_table_that_is_gone_for_good_has_no_more_rows_to_lose(config, database, prefix, kafka, start_engine):
    engine = start_engine(config, database)
    database.execute("drop table other", "insert into item values (1, 'a')")
    engine.caught_up()
    engine.stop()
    run_once(config)


def test_a_table_renamed_within_what_is_captured_is_said_and_goes_on_under_its_new_name(
    database, kafka, prefix, start_engine
):
    database.execute(*TABLES)
    engine = start_engine(pipeline(database, kafka.bootstrap, prefix), database)
    database.execute("insert into item values (1, 'a')")
    engine.caught_up()
    database.execute("alter table item rename to thing", "insert into thing values (2, 'b')")
    engine.caught_up()
    assert [each.key["id"] for each in data_events(kafka.bootstrap, f"{prefix}.public.thing")] == [2]
    assert "TABLE_RENAMED" in [finding.code for finding in engine.findings]
