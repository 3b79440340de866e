"""In safe mode the defects of Debezium's events are mended; `docs/debezium.md` has a section for each test here."""

from __future__ import annotations

import json
import textwrap
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import pytest

from cdc.errors import ConfigError, DecodeError
from cdc.report import Finding
from tests.differential.capture import by_seam, prepare
from tests.differential.script import parse_script
from tests.stack.postgres import Database, PostgresServer, fresh_database
from tests.support.consume import Record

DEAD = "srv.dead"


@dataclass(frozen=True)
class Event:
    """A record, read."""

    topic: str
    key: Any
    value: Any
    headers: dict[str, str]
    schema: dict[str, Any] = field(default_factory=dict)

    def __str__(self) -> str:
        return f"{self.value['op'] if self.value else 'tombstone'} {self.key}"


@dataclass
class Captured:
    """What the engine wrote."""

    events: list[Event]
    findings: list[Finding]
    dead: list[Record]

    def __iter__(self):
        return iter(self.events)

    def of(self, op: str) -> list[Event]:
        return [event for event in self.events if event.value is not None and event.value["op"] == op]

    def only(self, op: str) -> Event:
        (event,) = self.of(op)
        return event


Capture = Callable[..., Captured]


@pytest.fixture
def capture(database: Database, mock_kafka: str) -> Capture:
    """Run a script and let the engine capture it in safe mode; options over Debezium's defaults as a mapping."""

    return partial(_captured, database, mock_kafka)


def _captured(
    database: Database, kafka: str, script: str, options: Mapping[str, str] | None = None, *, strict: bool = False
) -> Captured:
    case = prepare(parse_script("mended", textwrap.dedent(script)), database, ("seam",))
    findings: list[Finding] = []
    compat = {"seam.compat": "strict" if strict else "safe"}
    records = by_seam(case, kafka, manage_topics=False, options={**compat, **(options or {})}, findings=findings)
    events = [_read(record) for record in records if record.topic != DEAD]
    return Captured(events, findings, [record for record in records if record.topic == DEAD])


def _read(record: Record) -> Event:
    key = None if record.key is None else json.loads(record.key)["payload"]
    value = None if record.value is None else json.loads(record.value)
    headers = {name: (text or b"").decode() for name, text in record.headers}
    if value is None:
        return Event(record.topic, key, None, headers)
    return Event(record.topic, key, value["payload"], headers, value["schema"])


def field_of(event: Event, side: str, name: str) -> dict[str, Any]:
    """The schema of a field of `before` or `after`."""
    struct = next(each for each in event.schema["fields"] if each["field"] == side)
    return next(each for each in struct["fields"] if each["field"] == name)


# -- before --------------------------------------------------------------------------------------------------------


def test_b1_before_of_a_delete_holds_what_was_sent_and_nothing_else(capture):
    deleted = capture("""
        -- setup
        create table t (id int primary key, name text not null, price numeric(8,2) not null default 1.50, day date not null);
        -- stream
        insert into t values (1, 'x', 2, '2024-01-01');
        delete from t;
    """).only("d")
    assert deleted.value["before"] == {"id": 1, "name": None, "price": None, "day": None}
    assert field_of(deleted, "before", "name")["optional"] is True
    assert field_of(deleted, "after", "name")["optional"] is False


def test_b1_strict_invents_the_values_as_debezium_does(capture):
    deleted = capture(
        """
        -- setup
        create table t (id int primary key, name text not null, price numeric(8,2) not null default 1.50);
        -- stream
        insert into t values (1, 'x', 2);
        delete from t;
    """,
        strict=True,
    ).only("d")
    assert deleted.value["before"] == {"id": 1, "name": "", "price": "AJY="}


# -- values without room -------------------------------------------------------------------------------------------

NAN = """
    -- setup
    create table t (id int primary key, required numeric(8,2) not null, free numeric(8,2));
    -- stream
    insert into t values (1, 1, 'NaN');
    insert into t values (2, 'NaN', 2);
    insert into t values (3, 3, 3);
"""


def test_b2_nan_in_a_required_column_is_a_named_error(capture):
    with pytest.raises(DecodeError, match=r"column required: a value that its schema has no room for.*public\.t"):
        capture(NAN)


@pytest.mark.parametrize("mode", ["warn", "skip", "ignore"])
def test_b2_with_a_handling_mode_the_row_goes_to_the_dead_letters_and_the_stream_goes_on(capture, mode):
    captured = capture(NAN, {"event.processing.failure.handling.mode": mode, "errors.deadletterqueue.topic.name": DEAD})
    assert [event.key["id"] for event in captured.of("c")] == [1, 3]
    (dead,) = captured.dead
    told = dict(dead.headers)
    assert told["__connect.errors.stage"] == b"DECODE"
    assert told["seam.table"] == b"public.t"
    assert [finding.code for finding in captured.findings].count("DEAD_LETTER") == 1


@pytest.fixture
def capture_ascii(postgres: PostgresServer, prefix: str, mock_kafka: str) -> Iterator[Capture]:
    """As `capture`, of a database in SQL_ASCII, which takes any bytes for a text."""
    with fresh_database(postgres, prefix, encoding="SQL_ASCII") as database:
        yield partial(_captured, database, mock_kafka)


NO_UTF8 = r"""
    -- setup
    create table t (id int primary key, note text);
    -- stream
    insert into t values (1, 'plain');
    insert into t values (2, E'caf\xe9');
    insert into t values (3, 'plain again');
"""


def test_b2_a_text_that_is_not_utf8_is_a_named_error(capture_ascii):
    with pytest.raises(DecodeError, match=r"column note: text is not UTF-8 at byte 3.*public\.t"):
        capture_ascii(NO_UTF8)


def test_b2_a_text_that_is_not_utf8_goes_to_the_dead_letters_when_asked(capture_ascii):
    captured = capture_ascii(
        NO_UTF8, {"event.processing.failure.handling.mode": "warn", "errors.deadletterqueue.topic.name": DEAD}
    )
    assert [event.key["id"] for event in captured.of("c")] == [1, 3]
    (dead,) = captured.dead
    assert dict(dead.headers)["seam.table"] == b"public.t"


def test_b2_a_handling_mode_without_dead_letters_is_refused(capture):
    with pytest.raises(ConfigError, match="records would vanish"):
        capture(NAN, {"event.processing.failure.handling.mode": "skip"})


def test_b2_nan_in_a_nullable_column_is_null_and_a_header_says_which_value_it_was(capture):
    inserted, updated, deleted = capture("""
        -- setup
        create table t (id int primary key, n numeric(8,2), day numeric);
        alter table t replica identity full;
        -- stream
        insert into t values (1, 'NaN', 'Infinity');
        update t set n = 1;
        delete from t;
    """).events[:3]
    assert inserted.value["after"] == {"id": 1, "n": None, "day": None}
    assert json.loads(inserted.headers["seam.special"]) == {"after": {"n": "NaN", "day": "Infinity"}}
    assert json.loads(updated.headers["seam.special"]) == {
        "before": {"n": "NaN", "day": "Infinity"},
        "after": {"day": "Infinity"},
    }
    assert json.loads(deleted.headers["seam.special"]) == {"before": {"day": "Infinity"}}


# -- keys ----------------------------------------------------------------------------------------------------------


def test_b3_rows_of_before_a_rename_keep_their_key(capture):
    events = capture("""
        -- setup
        create table old_name (id int primary key, v text not null);
        -- stream
        insert into old_name values (1, 'a');
        alter table old_name rename to new_name;
        insert into new_name values (2, 'b');
        alter table new_name rename column id to key;
        insert into new_name values (3, 'c');
    """).events
    assert sorted((event.topic, str(event.key)) for event in events) == [
        ("srv.public.new_name", "{'id': 2}"),
        ("srv.public.new_name", "{'key': 3}"),
        ("srv.public.old_name", "{'id': 1}"),
    ]


def test_b3_a_key_is_that_of_the_table_that_the_row_was_in_and_not_of_its_namesake(capture):
    events = capture("""
        -- setup
        create table t (id int primary key, v text);
        -- stream
        insert into t values (1, 'a');
        drop table t;
        create table t (code text primary key, id int);
        insert into t values ('k', 5);
    """).events
    assert sorted(str(event.key) for event in events) == ["{'code': 'k'}", "{'id': 1}"]


def test_b3_a_null_of_before_the_column_became_not_null_stays_a_null(capture):
    first, *_ = capture("""
        -- setup
        create table t (id int primary key, v text);
        -- stream
        insert into t values (1, null);
        update t set v = 'x';
        alter table t alter v set not null;
        insert into t values (2, 'y');
    """).of("c")
    assert first.value["after"] == {"id": 1, "v": None}
    assert field_of(first, "after", "v")["optional"] is True


def test_b4_the_key_is_the_replica_identity_when_that_is_another_index(capture):
    captured = capture("""
        -- setup
        create table seats (id int primary key, place text not null, guest text);
        create unique index seats_place on seats (place);
        alter table seats replica identity using index seats_place;
        -- stream
        insert into seats values (1, 'A1', 'Ann');
        update seats set place = 'B1';
        delete from seats;
    """)
    assert sorted(str(event) for event in captured) == [
        "c {'place': 'A1'}", "c {'place': 'B1'}", "d {'place': 'A1'}", "d {'place': 'B1'}",
        "tombstone {'place': 'A1'}", "tombstone {'place': 'B1'}",
    ]  # fmt: skip


def test_b4_a_key_that_the_change_does_not_carry_is_refused_and_said_beforehand(capture, database):
    options = {
        "message.key.columns": "public.t:code",
        "event.processing.failure.handling.mode": "warn",
        "errors.deadletterqueue.topic.name": DEAD,
    }
    captured = capture(
        """
        -- setup
        create table t (id int primary key, code text not null);
        -- stream
        insert into t values (1, 'a');
        delete from t;
    """,
        options,
    )
    assert [str(event) for event in captured] == ["c {'code': 'a'}"]
    (dead,) = captured.dead
    assert (
        b"column code: is part of the key and not of the replica identity"
        in dict(dead.headers)["__connect.errors.exception.message"]
    )
    (finding,) = [each for each in captured.findings if each.code == "KEY_NOT_IN_IDENTITY"]
    assert finding.remedy == 'ALTER TABLE "public"."t" REPLICA IDENTITY FULL;'


def test_k1_a_partial_unique_index_is_no_key_and_included_columns_are_none(capture):
    events = capture("""
        -- setup
        create table partial (a int, b text);
        create unique index on partial (a) where a > 0;
        create table included (a int, b text);
        create unique index on included (b) include (a);
        -- stream
        insert into partial values (-1, 'x'), (-1, 'y');
        insert into included values (1, 'x');
    """).events
    assert sorted(str(event.key) for event in events) == ["None", "None", "{'b': 'x'}"]


def test_k2_a_key_column_that_values_leave_out_stays_required(capture, mock_kafka):
    captured = capture(
        """
        -- setup
        create table t (id int primary key, v text);
        -- stream
        insert into t values (1, 'a');
    """,
        {"column.exclude.list": "public.t.id"},
    )
    assert captured.events[0].value["after"] == {"v": "a"}
    assert captured.events[0].key == {"id": 1}


# -- values --------------------------------------------------------------------------------------------------------


def test_b5_name_columns_have_their_values(capture):
    inserted = capture("""
        -- setup
        create table t (id int primary key, n name not null);
        -- stream
        insert into t values (1, 'a name');
    """).only("c")
    assert inserted.value["after"] == {"id": 1, "n": "a name"}


def test_t1_every_value_that_was_not_sent_is_marked_and_named_in_a_header(capture):
    updated = capture("""
        -- setup
        create table t (id int primary key, n int, big text, num numeric not null);
        alter table t alter big set storage external, alter num set storage external;
        -- stream
        insert into t values (1, 1, repeat('x', 9000), repeat('9', 9000)::numeric);
        update t set n = 2;
    """).only("u")
    assert updated.value["after"]["big"] == "__debezium_unavailable_value"
    assert updated.value["after"]["num"] is not None
    assert json.loads(updated.headers["seam.unavailable"]) == ["big", "num"]


def test_t1_under_full_the_old_value_stands_and_nothing_is_missing(capture):
    updated = capture("""
        -- setup
        create table t (id int primary key, n int, num numeric not null);
        alter table t alter num set storage external;
        alter table t replica identity full;
        -- stream
        insert into t values (1, 1, repeat('9', 9000)::numeric);
        update t set n = 2;
    """).only("u")
    assert updated.value["after"]["num"] == updated.value["before"]["num"]
    assert "seam.unavailable" not in updated.headers


def test_t7_a_domain_over_an_enum_is_an_enum(capture):
    inserted = capture("""
        -- setup
        create type mood as enum ('sad', 'ok');
        create domain feeling as mood;
        create table t (id int primary key, f feeling);
        -- stream
        insert into t values (1, 'ok');
    """).only("c")
    assert inserted.value["after"] == {"id": 1, "f": "ok"}


def test_n1_null_stays_null_where_the_column_has_a_default(capture):
    inserted = capture("""
        -- setup
        create table t (id int primary key, n int default 5, v text default 'd');
        -- stream
        insert into t values (1, null, null);
    """).only("c")
    assert inserted.value["after"] == {"id": 1, "n": None, "v": None}
    assert field_of(inserted, "after", "n")["default"] == 5
    assert inserted.value["source"]["snapshot"] == "false"


def test_n1_who_asks_for_defaults_in_place_of_nulls_gets_them(capture):
    inserted = capture(
        """
        -- setup
        create table t (id int primary key, n int default 5);
        -- stream
        insert into t values (1, null);
    """,
        {"value.converter.replace.null.with.default": "true"},
    ).only("c")
    assert inserted.value["after"] == {"id": 1, "n": 5}


def test_n2_the_expression_of_a_generated_column_is_no_default(capture):
    inserted = capture("""
        -- publication: for all tables with (publish_generated_columns = stored)
        -- setup
        create table t (id int primary key, label text generated always as ('no ' || id::text) stored);
        -- stream
        insert into t values (1);
    """).only("c")
    assert inserted.value["after"] == {"id": 1, "label": "no 1"}
    assert "default" not in field_of(inserted, "after", "label")


# -- transactions and positions --------------------------------------------------------------------------------------

TRANSACTION = """
    -- option: provide.transaction.metadata=true
    -- setup
    create table t (id int primary key, v text);
    -- stream
    begin;
    insert into t values (1, 'a'), (2, 'b');
    select pg_logical_emit_message(true, 'p', 'content');
    update t set id = 3 where id = 1;
    commit;
"""


def test_x1_all_records_of_a_transaction_have_one_id(capture):
    events = capture(TRANSACTION).events
    boundaries = [event for event in events if event.topic == "srv.transaction"]
    rows = [event for event in events if event.topic != "srv.transaction" and event.value is not None]
    (identifier,) = {event.value["transaction"]["id"] for event in rows}
    assert {event.key["id"] for event in boundaries} == {identifier}
    assert {event.value["id"] for event in boundaries} == {identifier}
    end = next(event for event in boundaries if event.value["status"] == "END")
    counts = {each["data_collection"]: each["event_count"] for each in end.value["data_collections"]}
    assert counts == {"public.t": 4, "srv.message": 1}
    assert sorted(event.value["transaction"]["total_order"] for event in rows) == [1, 2, 3, 4, 5]


def test_x1_every_record_of_a_table_has_a_position_of_its_own(capture):
    events = [event for event in capture(TRANSACTION) if event.topic == "srv.public.t"]
    positions = [event.headers["seam.position"] for event in events]
    assert len(set(positions)) == len(positions) == 5
    assert len({position.rpartition("/")[0] for position in positions}) == 1


def test_x1_position_headers_go_off_with_the_extended_headers(capture):
    events = capture(TRANSACTION, {"extended.headers.enabled": "false"}).events
    assert {name for event in events for name in event.headers} <= {"__debezium.newkey", "__debezium.oldkey"}


# -- masks -----------------------------------------------------------------------------------------------------------

SECRETS = """
    -- setup
    create table t (id int primary key, secret text, free text, n int);
    alter table t alter secret set storage external;
    -- stream
    insert into t values (1, 'clear', 'clear', 5), (2, null, null, null);
"""


@pytest.mark.parametrize("rule", ["column.mask.hash.v2.SHA-256.with.salt.s", "column.mask.with.3.chars"])
def test_m1_a_propagated_type_does_not_hide_a_mask(capture, rule):
    captured = capture(SECRETS, {"column.propagate.source.type": ".*", rule: "public.t.secret"})
    first = next(event for event in captured.of("c") if event.key == {"id": 1})
    assert first.value["after"]["secret"] not in ("clear", None)
    parameters = field_of(first, "after", "secret")["parameters"]
    assert parameters["__debezium.source.column.type"] == "TEXT"
    assert parameters["masked"] == "true"
    assert all("clear" not in str(event.value["after"]["secret"]) for event in captured.of("c"))


def test_m1_a_truncation_does_not_hide_a_mask(capture):
    options = {"column.truncate.to.2.chars": ".*", "column.mask.with.3.chars": "public.t.secret"}
    first = next(event for event in capture(SECRETS, options).of("c") if event.key == {"id": 1})
    assert (first.value["after"]["secret"], first.value["after"]["free"]) == ("***", "cl")


def test_m2_a_masked_null_stays_null(capture):
    captured = capture(SECRETS, {"column.mask.with.3.chars": "public.t.(secret|free)"})
    second = next(event for event in captured.of("c") if event.key == {"id": 2})
    assert second.value["after"] == {"id": 2, "secret": None, "free": None, "n": None}


@pytest.mark.parametrize("rule", ["column.mask.with.3.chars", "column.mask.hash.SHA-256.with.salt.s"])
def test_m2_a_mask_that_cannot_apply_is_refused(capture, rule):
    with pytest.raises(ConfigError, match=r"public\.t\.n, a int4: only character columns can be masked"):
        capture(SECRETS, {rule: "public.t.n"})


def test_m3_a_truncation_never_cuts_a_character_in_two(capture):
    inserted = capture(
        """
        -- setup
        create table t (id int primary key, v text);
        -- stream
        insert into t values (1, 'ab😀c');
    """,
        {"column.truncate.to.3.chars": "public.t.v"},
    ).only("c")
    assert inserted.value["after"]["v"] == "ab"


def test_m4_a_hash_reaches_the_key_and_asterisks_for_a_key_are_refused(capture):
    sql = """
        -- setup
        create table t (email text primary key, v text);
        -- stream
        insert into t values ('ann@example.org', 'a');
    """
    inserted = capture(sql, {"column.mask.hash.v2.SHA-256.with.salt.s": "public.t.email"}).only("c")
    assert inserted.key["email"] == inserted.value["after"]["email"] != "ann@example.org"


def test_m4_a_key_of_asterisks_is_refused(capture):
    with pytest.raises(ConfigError, match="part of the key: all keys would be equal"):
        capture(
            """
            -- setup
            create table t (email text primary key);
            -- stream
            insert into t values ('ann@example.org');
        """,
            {"column.mask.with.3.chars": "public.t.email"},
        )
