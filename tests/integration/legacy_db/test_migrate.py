"""A slice of the wholesaler's schema, from discovered to verified and back, by the command line."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import psycopg
import pytest

from cdc.postgres import connection
from cdc.properties import load
from legacy_db.ledger import Ledger
from legacy_db.sample import wholesaler
from legacy_db.sample.load import Load
from legacy_db.slices import read_slice
from tests.stack.kafka import KafkaBroker
from tests.stack.postgres import Database, fresh_database
from tests.stack.stack import Stack
from tests.support.consume import topics
from tests.support.migration import (
    Migration,
    schema_dump,
    seam,
    seam_json,
    seam_toml,
    serving,
    streams,
    tables_of,
    url_of,
)


def _view(document: Any, table: str) -> Any:
    return tables_of(document, "topic = view")[table]


def test_a_slice_is_verified_and_taken_back_while_the_legacy_writes(migration: Migration):
    before = schema_dump(migration.legacy)
    with Load(migration.legacy.dsn, writers=4, pause=0.2, schema_changes=False) as load:
        migration.to("verified")
        status = migration.status()
        assert status["state"] == "verified"
        assert status["evidence"]["verified"]["evidence"]["differences"] == 0
        assert 0 <= status["evidence"]["verified"]["age_seconds"] < 60
        migration.write(max_evidence_age="0s")  # old evidence does not count
        aged = migration.status()
        assert (aged["state"], aged["recorded"]) == ("projected", "verified")
        assert "0 s are allowed" in aged["reason"]
        migration.write()
        migration.target.execute(
            "update service.technician set name = 'written straight into the view' where id = 3",
            "delete from service.technician where id = 4",
            "insert into service.technician (id, name) values (99, 'nobody')",
        )
        wrong = seam_json("verify", str(migration.file), "service", expect=5)
        view = _view(wrong, "service.technician")
        assert (view["missing"], view["extra"], view["different"]) == (1, 1, 1)
        named = sorted((one["key"]["id"], one["looks_like"]) for one in view["keys"])
        assert named == [(3, ["FOREIGN_WRITE"]), (4, ["ROW_LOST"]), (99, ["FOREIGN_WRITE"])]
        assert all(not t["missing"] + t["different"] for t in tables_of(wrong, "legacy = topic").values())
        assert seam_json("verify", str(migration.file), "service", "--repair", "--yes")["equal"]
        migration.back()
    assert load.tally.failures == []
    assert migration.status()["state"] == "discovered"
    assert schema_dump(migration.legacy) == before
    assert migration.legacy.rows("select 1 from pg_replication_slots where database = current_database()") == []
    assert migration.target.rows("select 1 from pg_tables where schemaname in ('service', 'seam')") == []
    assert topics(migration.bootstrap, migration.name) == []


@pytest.mark.soak
@pytest.mark.parametrize("version", [15, 16, 17])
def test_it_is_the_same_on_every_version(version: int, stack: Stack, kafka: KafkaBroker, prefix: str, tmp_path: Path):
    server = stack.postgres(version)
    with fresh_database(server, prefix) as legacy, fresh_database(server, f"{prefix}_target") as target:
        wholesaler.create(legacy.dsn)
        before = schema_dump(legacy)
        migration = Migration(tmp_path / "seam.toml", legacy, target, kafka.bootstrap, prefix)
        migration.write()
        with Load(legacy.dsn, pause=0.1, schema_changes=False) as load:
            migration.to("verified")
            assert seam_json("verify", str(migration.file), "service")["equal"]
            migration.back()
            migration.to("verified")  # forward again, without a trace of the first time
            migration.back()
        assert load.tally.failures == []
        assert schema_dump(legacy) == before


def test_only_the_rows_of_the_predicate_are_moved(migration: Migration):
    migration.write(tables=["service.ticket"], where={"service.ticket": "state <> 'done'"})
    migration.to("projected")
    wanted = migration.legacy.value("select count(*) from service.ticket where state <> 'done'")
    assert migration.target.value("select count(*) from service.ticket") == wanted > 0
    migration.legacy.execute(
        "update service.ticket set state = 'done' where id = 4", "update service.ticket set state = 'new' where id = 3"
    )
    seam("run", str(migration.file), "--once", apart=True)
    assert migration.target.rows("select id from service.ticket where id in (3, 4)") == [(3,)]
    # Out, and in again: its long report is in none of these records.
    migration.legacy.execute("update service.ticket set state = 'done' where id = 6")
    seam("run", str(migration.file), "--once", apart=True)
    migration.legacy.execute("update service.ticket set state = 'new' where id = 6")
    assert seam_json("verify", str(migration.file), "service")["equal"]


def test_long_values_follow_their_row_to_a_new_key(migration: Migration):
    migration.write(tables=["service.ticket_note"])
    long = "(select string_agg(md5(g::text), '') from generate_series(1, 400) g)"
    migration.legacy.execute(f"update service.ticket_note set body = {long} where ticket_id <= 40")
    migration.to("projected")
    migration.legacy.execute("update service.ticket_note set no = no + 70 where ticket_id <= 40")
    assert seam_json("verify", str(migration.file), "service")["equal"]
    assert migration.target.value("select min(length(body)) from service.ticket_note where no > 70") == 12800


def test_a_running_engine_serves_the_commands_and_keeps_undo_from_its_slot(migration: Migration):
    migration.to("planned")
    with serving(migration.file):
        streams(migration)
        migration.to("verified")
        refused = migration.migrate("undo", "--to", "planned", "--yes", expect=4)
        assert "stop `seam run` first" in refused.stderr
    migration.back()
    assert migration.status()["state"] == "discovered"


# -- gates and bad input -------------------------------------------------------------------------------------------------


def test_what_crosses_the_border_by_itself_closes_the_gate(migration: Migration):
    migration.write(accept_open=False)
    migration.to("discovered")
    refused = migration.migrate("plan", expect=4)
    assert "device_part_no_fkey" in refused.stderr
    assert "accept_open" in refused.stderr
    why = seam_json("migrate", "why-not", str(migration.file), "service")
    assert (why["state"], why["next"], why["open"]) == ("discovered", "planned", False)
    assert [demand["code"] for demand in why["demands"] if not demand["met"]] == ["BORDER"]


def test_a_mapping_that_loses_information_closes_the_gate(migration: Migration):
    migration.write(accept_loss=False)
    assert "shift_from: timetz" in migration.migrate("plan", expect=4).stderr


def test_a_table_whose_writes_would_fail_is_never_published(migration: Migration):
    migration.to("planned")
    migration.legacy.execute("alter table service.visit replica identity nothing")
    assert "REPLICA_IDENTITY" in migration.migrate("advance", expect=4).stderr
    assert migration.legacy.rows("select pubname from pg_publication") == []
    assert migration.status()["state"] == "planned"


def test_a_schema_that_was_changed_since_the_plan_closes_the_gate(migration: Migration):
    migration.to("captured")
    migration.legacy.execute("alter table service.ticket add column later text")
    assert "changed since plan" in migration.migrate("advance", expect=4).stderr
    assert migration.status()["state"] == "captured"


def test_a_step_out_of_order_is_refused(migration: Migration):
    migration.to("captured")
    assert "lies behind" in migration.migrate("advance", "--to", "planned", expect=4).stderr
    assert "lies ahead" in migration.migrate("undo", "--to", "verified", "--yes", expect=4).stderr
    assert "cannot change under it" in migration.migrate("plan", expect=4).stderr
    assert "there is no state" in migration.migrate("advance", "--to", "retired", expect=2).stderr
    assert migration.status()["state"] == "captured"


def test_a_second_operator_is_refused(migration: Migration):
    one = read_slice(load(migration.file), "service")
    with Ledger(one.ledger, one.name) as ledger, ledger.operator():
        assert "is being worked on by" in migration.migrate("advance", expect=4).stderr


def test_the_world_is_believed_before_the_ledger(migration: Migration):
    migration.to("captured")
    migration.legacy.execute(f"drop publication {migration.name}")
    assert "DIVERGED" in migration.migrate("advance", expect=4).stderr
    assert migration.status()["state"] == "planned"
    migration.back()
    assert migration.status()["state"] == "discovered"


def test_a_target_that_holds_such_tables_is_left_alone(migration: Migration):
    migration.target.execute("create schema service", "create table service.ticket (mine integer)")
    migration.to("bootstrapped")
    assert "already" in migration.migrate("advance", expect=4).stderr
    columns = "select column_name from information_schema.columns where table_name = 'ticket'"
    assert migration.target.rows(columns) == [("mine",)]


def _twins(database: Database, target: Database, kafka: KafkaBroker, prefix: str, path: Path) -> Path:
    database.execute(
        "create table twins (a integer, b text)", "insert into twins select 1, 'x' from generate_series(1, 4)"
    )
    entry = {"tables": ["public.twins"], "target": url_of(target), "replica_identity": "full"}
    return seam_toml(path, database, kafka.bootstrap, prefix, {"one": entry}, snapshot__mode="initial")


def test_a_lock_that_cannot_be_had_is_refused(
    database: Database, kafka: KafkaBroker, prefix: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setitem(connection._SESSION, "lock_timeout", "300ms")
    with fresh_database(database.server, f"{prefix}_target") as target:
        file = _twins(database, target, kafka, prefix, tmp_path / "seam.toml")
        seam("migrate", "advance", str(file), "one", "--to", "planned")
        with psycopg.connect(database.dsn) as holder:
            holder.execute("lock table twins in share update exclusive mode")
            refused = seam("migrate", "advance", str(file), "one", expect=None)
        assert refused.returncode in (3, 4)
        assert "lock" in refused.stderr.lower()
        assert database.value("select relreplident::text from pg_class where relname = 'twins'") == "d"


def test_rows_without_a_key_are_moved_with_an_identity_that_is_taken_back(
    database: Database, kafka: KafkaBroker, prefix: str, tmp_path: Path
):
    with fresh_database(database.server, f"{prefix}_target") as target:
        file = _twins(database, target, kafka, prefix, tmp_path / "seam.toml")
        before = schema_dump(database)
        seam("migrate", "advance", str(file), "one", "--to", "verified")
        database.execute(
            "update twins set a = 2 where ctid = (select min(ctid) from twins)", "insert into twins values (3, null)"
        )
        assert seam_json("verify", str(file), "one")["equal"]
        assert sorted(target.rows("select a, b from twins")) == [(1, "x"), (1, "x"), (1, "x"), (2, "x"), (3, None)]
        seam("migrate", "undo", str(file), "one", "--to", "discovered", "--yes")
    assert schema_dump(database) == before
