"""What `seam migrate` says: documents for programs, SQL for administrators, a ledger in either database."""

from __future__ import annotations

from pathlib import Path

import orjson
import pytest

from cdc.properties import load
from legacy_db.context_commands import slice_context
from legacy_db.ledger import Ledger
from legacy_db.projection import Contracted
from legacy_db.sample import wholesaler
from legacy_db.slices import read_slice
from legacy_db.steps.project import Project
from tests.support.migration import Migration, seam, seam_json, url_of


def _tables(migration: Migration) -> list[str]:
    return [name for (name,) in migration.target.rows("select tablename from pg_tables where schemaname = 'service' order by 1")]  # fmt: skip


def test_discover_gives_one_document_and_changes_nothing_but_the_ledger(migration: Migration):
    document = seam_json("migrate", "discover", str(migration.file), "--suggest")
    assert len({table["table"] for table in document["tables"]} & set(wholesaler.SERVICE_TABLES)) == 5
    assert document["slices"]["service"]["tables"] == list(wholesaler.SERVICE_TABLES)
    assert [one["name"] for one in document["slices"]["service"]["crossings"] if one["blocks"]] == [
        "device_part_no_fkey"
    ]
    assert {"code", "subject", "why", "shows"} <= set(document["risks"][0])
    assert document["database"]["encoding"] == "UTF8"
    assert "roles" in document
    assert document["suggestions"]
    assert migration.status()["state"] == "discovered"
    assert migration.legacy.rows("select pubname from pg_publication") == []


def test_a_plan_is_one_document_under_a_hash_that_names_what_is_in_it(migration: Migration):
    plan = seam_json("migrate", "plan", str(migration.file), "service")
    assert plan["topics"]["service.ticket"] == f"{migration.name}.service.ticket"
    assert [statement.split()[0] for statement in plan["capture"]] == ["CREATE", "SELECT"]
    assert plan["steps"] == ["capture", "bootstrap", "project", "verify"]
    assert set(plan["gates"]) == set(plan["steps"])
    assert any("timetz" in loss for table in plan["target"] for loss in table["losses"])
    assert any("leaves the slice" in note for table in plan["target"] for note in table["notes"])
    assert seam_json("migrate", "plan", str(migration.file), "service")["hash"] == plan["hash"]
    migration.write(tables=["service.ticket"], accept_open=True)
    assert seam_json("migrate", "plan", str(migration.file), "service")["hash"] != plan["hash"]


def test_an_administrator_may_create_the_target(migration: Migration):
    expand = migration.migrate("plan", "--sql").stdout
    with migration.target.connect() as connection:
        connection.execute(expand)
    migration.to("projected")  # the step sees that its revision is there
    assert "ticket_note" in _tables(migration)
    assert "cannot change under it" in migration.migrate("plan", "--sql", expect=4).stderr


def test_keys_wait_in_the_contract_branch_until_the_slice_is_verified(migration: Migration):
    constraints = (
        "select count(*) from pg_constraint where contype in ('f', 'u') and connamespace = 'service'::regnamespace"
    )
    planned = migration.migrate("plan", "--sql", "--of", "contract").stdout
    assert 'FOREIGN KEY ("ticket_id")' in planned
    assert "visit_reference_key" in planned
    migration.to("projected")
    assert migration.target.value(constraints) == 0
    assert "was verified" in migration.migrate("contract", "--yes", expect=4).stderr
    with migration.target.connect() as connection:  # an administrator may know better
        connection.execute(planned)
    assert migration.target.value(constraints) == 5
    assert migration.status()["state"] == "projected"
    with migration.target.connect() as connection:
        connection.execute(migration.migrate("contract", "--back", "--sql").stdout)
    assert migration.target.value(constraints) == 0
    migration.to("verified")
    migration.write(max_evidence_age="0s")
    assert "0 s are allowed" in migration.migrate("contract", "--yes", expect=4).stderr  # expired evidence
    migration.write()
    migration.target.execute("insert into service.visit (id, ticket_id) values (-1, -1)")
    assert "violates foreign key" in migration.migrate("contract", "--yes", expect=4).stderr
    assert migration.target.value(constraints) == 0
    migration.target.execute("delete from service.visit where id = -1")
    document = orjson.loads(migration.migrate("contract", "--yes", "--output", "json").stdout)
    assert document == {"slice": "service", "contracted": True, "changed": True}
    assert migration.target.value(constraints) == 5
    assert "as before" in migration.migrate("contract", "--yes").stdout
    assert migration.status()["state"] == "verified"
    with (
        slice_context(migration.file, "service", None, None) as context,
        pytest.raises(Contracted, match="would violate"),
    ):
        Project.catch_up(context)
    migration.migrate("contract", "--back", "--yes")
    assert migration.target.value(constraints) == 0
    assert "as before" in migration.migrate("contract", "--back", "--yes").stdout
    migration.migrate("contract", "--yes")
    assert "contract contract" in migration.migrate("history").stdout
    migration.back()  # with its keys
    assert _tables(migration) == []


def test_the_capture_can_be_made_by_an_administrator(migration: Migration):
    migration.legacy.execute(*migration.migrate("plan", "--sql", "--of", "legacy").stdout.strip().split(";\n"))
    slot = "select slot_name from pg_replication_slots where database = current_database()"
    assert migration.legacy.rows(slot) == [(migration.name,)]
    migration.to("captured")
    migration.back()
    # It was there before us, and stays.
    assert migration.legacy.rows(slot) == [(migration.name,)]
    migration.legacy.execute(f"drop publication {migration.name}")


def test_history_tells_who_did_what_when(migration: Migration):
    migration.to("planned")
    migration.back()
    entries = seam_json("migrate", "history", str(migration.file), "service")["entries"]
    assert [(one["action"], one["step"], one["to_state"]) for one in entries] == [
        ("advance", "discover", "discovered"), ("advance", "plan", "planned"), ("undo", "plan", "discovered"),
    ]  # fmt: skip
    assert all(one["intent_at"] <= one["confirmed_at"] and "@" in one["actor"] for one in entries)
    assert "undo plan" in migration.migrate("history").stdout


def test_a_ledger_in_postgres_keeps_the_state_and_the_second_operator_away(migration: Migration):
    migration.write(ledger=url_of(migration.target))
    migration.to("planned")
    assert migration.target.value("select count(*) from seam_ledger where confirmed_at is not null") == 2
    one = read_slice(load(migration.file), "service")
    with Ledger(one.ledger, one.name) as ledger, ledger.operator():
        assert "is being worked on by" in migration.migrate("advance", expect=4).stderr
    assert migration.status()["state"] == "planned"


def test_status_of_a_file_lists_its_slices(migration: Migration):
    assert [one["state"] for one in seam_json("migrate", "status", str(migration.file))["slices"]] == [None]
    assert "undiscovered" in migration.migrate("status").stdout


def test_a_slice_that_the_file_does_not_hold_is_refused_with_the_nearest(migration: Migration):
    refused = seam("migrate", "status", str(migration.file), "servise", expect=2)
    assert "did you mean service?" in refused.stderr


@pytest.mark.parametrize(
    "command",
    [["migrate", "discover"], ["migrate", "why-not", "service"], ["migrate", "advance", "service"], ["verify"], ["verify", "service"]],
    ids=" ".join,
)  # fmt: skip
def test_a_server_that_is_away_is_exit_3_and_names_itself(command: list[str], tmp_path: Path):
    file = tmp_path / "seam.toml"
    file.write_text(_AWAY)
    place = 2 if command[0] == "migrate" else 1
    ended = seam(*command[:place], str(file), *command[place:], "--output", "json", expect=3)
    assert "127.0.0.1:1/legacy" in ended.stderr
    assert ended.stdout == ""


_AWAY = """
[worker]
"bootstrap.servers" = "127.0.0.1:1"
[connectors.desk]
"connector.class" = "io.debezium.connector.postgresql.PostgresConnector"
"database.hostname" = "127.0.0.1"
"database.port" = "1"
"database.user" = "postgres"
"database.dbname" = "legacy"
"topic.prefix" = "desk"
[slices.service]
tables = ["service.ticket"]
target = "postgresql://postgres@127.0.0.1:1/desk"
"""


def test_a_command_says_what_stands_still_after_it(migration: Migration):
    told = migration.migrate("advance", "--to", "captured").stderr
    assert f"nobody runs {migration.name} now" in told
    assert f"`seam run {migration.file}` goes on" in told


@pytest.mark.parametrize("answer", ["n\n", ""])
def test_undo_asks_first(migration: Migration, answer: str):
    from legacy_db import commands
    from tests.support.command_line import run

    migration.to("planned")
    assert run(commands.app, "undo", str(migration.file), "service", answers=answer).code in (1, 4)
    assert migration.status()["state"] == "planned"
