"""`discover` finds the traits of a legacy schema, changes nothing, and shows each risk by an SQL that runs."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from legacy_db import commands
from legacy_db.borders import crossings, suggest
from legacy_db.inventory import Inventory, read_inventory
from legacy_db.risks import find_risks
from legacy_db.sample import wholesaler
from tests.stack.kafka import KafkaBroker
from tests.stack.postgres import Database
from tests.support.command_line import run
from tests.support.engine import pipeline, run_once
from tests.support.migration import bridge_of, schema_dump, seam_toml


@pytest.fixture(scope="module")
def inventory(wholesaler_template: Database) -> Inventory:
    return read_inventory(bridge_of(pipeline(wholesaler_template, "unused:0", "inventory")))


@pytest.mark.parametrize(
    ("code", "subject"),
    [
        ("NO_IDENTITY", "sales.order_log"), ("NO_IDENTITY", "sales.prospect"), ("NO_IDENTITY", "stock.Lieferant"),
        ("NO_KEY", "sales.order_log"), ("UNLOGGED", "sales.basket"), ("PARTITIONED", "stock.movement"),
        ("INHERITANCE", "sales.party"), ("WIDE", "service.archive_of_the_questionnaires"),
        ("QUOTED_NAMES", "stock.Lieferant"), ("PADDED", "stock.part.part_no"), ("MONEY", "stock.part.price"),
        ("LOCAL_TIME", "stock.part.created_at"), ("UNBOUNDED_NUMERIC", "sales.payment.amount"),
        ("LARGE_OBJECT", "service.technician.badge"), ("GENERATED", "sales.invoice.gross"),
        ("SHARED_SEQUENCE", "sales.party_seq"), ("NOT_VALID", "sales.payment (payment_invoice_fk)"),
        ("DEFERRABLE", "sales.invoice (invoice_order_id_fkey)"), ("TRIGGER_WRITES", "sales.order_line (line_changed)"),
        ("INSTEAD_OF", "sales.open_orders (take_order)"), ("MATERIALIZED_VIEW", "stock.part_search"),
        ("RULE", "sales.basket (no_basket_delete)"), ("WAL_UNBOUNDED", "max_slot_wal_keep_size"),
    ],
)  # fmt: skip
def test_a_trait_is_found(inventory: Inventory, code: str, subject: str):
    assert (code, subject) in {(risk.code, risk.subject) for risk in find_risks(inventory)}


def test_every_risk_is_shown_by_an_sql_that_runs(legacy: Database, inventory: Inventory):
    risks = find_risks(inventory)
    with legacy.connect() as connection:
        for risk in risks:
            connection.execute(risk.shows)
    assert len(risks) > 30


def test_the_sql_that_mends_an_identity_makes_the_risk_go(legacy: Database, inventory: Inventory, prefix: str):
    mends = [risk for risk in find_risks(inventory) if risk.code in ("NO_IDENTITY", "UNLOGGED")]
    legacy.execute(*[risk.remedy for risk in mends if risk.remedy])
    again = read_inventory(bridge_of(pipeline(legacy, "unused:0", prefix)))
    assert [risk.subject for risk in find_risks(again) if risk.code in ("NO_IDENTITY", "UNLOGGED")] == ["sales.basket"]


def test_what_crosses_the_border_is_found_and_what_acts_by_itself_blocks(inventory: Inventory):
    found = crossings(inventory, wholesaler.SERVICE_TABLES)
    assert [(c.kind, c.source, c.target) for c in found if c.blocks] == [("ACTION", "service.device", "stock.part")]
    assert {(c.kind, c.target) for c in found if not c.blocks} == {("FOREIGN_KEY", "sales.customer"), ("FOREIGN_KEY", "stock.part")}  # fmt: skip
    orders = crossings(inventory, ["sales.customer_order", "sales.order_line"])
    assert ("TRIGGER", "sales.order_line", "stock.stock_level") in {
        (c.kind, c.source, c.target) for c in orders if c.blocks
    }


def test_slices_are_proposed_along_what_must_not_be_parted(inventory: Inventory):
    proposals = suggest(inventory, {})
    together = next(set(p.tables) for p in proposals if "sales.order_line" in p.tables)
    assert {"sales.customer_order", "stock.stock_level", "stock.part"} <= together
    assert not any(crossing.blocks for proposal in proposals for crossing in proposal.open)


def test_tables_that_are_written_together_are_learned_from_the_stream(
    legacy: Database, kafka: KafkaBroker, prefix: str, tmp_path: Path
):
    chosen = {"table__include__list": "stock.(counter|attribute|warehouse)"}
    file = seam_toml(tmp_path / "seam.toml", legacy, kafka.bootstrap, prefix, {}, **chosen)
    config = pipeline(legacy, kafka.bootstrap, prefix, **chosen)
    run_once(config)
    with legacy.connect(autocommit=False) as connection:
        for number in range(5):
            connection.execute("update stock.counter set last_value = last_value + 1 where name = 'order'")
            connection.execute("insert into stock.attribute values ('order', %s, 'x', 'y')", [str(number)])
            connection.commit()
        connection.execute("update stock.warehouse set name = 'allein'")
    run_once(config)
    document = run(commands.app, "discover", str(file), "--suggest", "--output", "json").document
    tables = [set(one["tables"]) for one in document["suggestions"]]
    assert any({"stock.counter", "stock.attribute"} <= one for one in tables)
    assert {"stock.warehouse"} in tables


def test_the_report_is_one_file_with_a_picture_of_the_slices(legacy: Database, prefix: str, tmp_path: Path):
    slices = {"service": {"tables": list(wholesaler.SERVICE_TABLES)}}
    file = seam_toml(tmp_path / "seam.toml", legacy, "unused:0", prefix, slices)
    before = schema_dump(legacy)
    report = tmp_path / "report.html"
    assert run(commands.app, "discover", str(file), "--html", str(report)).code == 0
    text = report.read_text()
    assert "<svg" in text
    assert "ON UPDATE CASCADE" in text
    assert not re.search(r"(src|href)\s*=", text), "the page loads something"
    assert schema_dump(legacy) == before
    assert legacy.rows("select slot_name from pg_replication_slots where database = current_database()") == []
