"""`seam demo --story migration`: a slice of an old wholesaler's database, to verified and back, on embedded parts."""

from __future__ import annotations

import tempfile
import threading
import time
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

from rich.markup import escape
from sqlalchemy.engine import make_url

from cdc.errors import VerificationFailed
from cdc.kafka.embedded import EmbeddedBroker
from cdc.postgres.embedded import EmbeddedPostgres
from connectors.console import STDOUT, Output, write_json
from connectors.postgres import PipelineConfig, read
from connectors.worker import Worker
from legacy_db import machine
from legacy_db.commands import make_bridge
from legacy_db.diagnose import diagnose
from legacy_db.ledger import Ledger
from legacy_db.projection import connect_target
from legacy_db.sample import wholesaler
from legacy_db.sample.load import Load
from legacy_db.slices import Slice
from legacy_db.steps.base import Context, GateClosed
from legacy_db.steps.capture import catalogue_state
from legacy_db.steps.verify import run_hops

PREFIX: Final = "wholesaler"
TABLES: Final = ("service.technician", "service.ticket", "service.ticket_note", "service.visit")


def _config(server: EmbeddedPostgres, broker: EmbeddedBroker) -> PipelineConfig:
    return read(
        PREFIX,
        {
            "connector.class": "io.debezium.connector.postgresql.PostgresConnector",
            "database.hostname": server.host, "database.port": str(server.port), "database.user": "postgres",
            "database.dbname": "legacy", "topic.prefix": PREFIX, "slot.name": "seam_demo", "publication.name": "seam_demo",
            "table.include.list": "service.(device|technician|ticket|ticket_note|visit)", "snapshot.mode": "initial",
            "publication.autocreate.mode": "filtered", "interval.handling.mode": "string",
            "key.converter.schemas.enable": "false", "value.converter.schemas.enable": "false",
        },
        bootstrap_servers=broker.bootstrap,
    )  # fmt: skip


def migration_story(output: Output = Output.table, *, size: str = "demo", seed: int = 1998) -> dict[str, Any]:
    """Walk a slice to `verified` and back while eight users write; a gate refuses, a difference is found and mended.

    Args:
        output: The story, or its summary as JSON.
        size: A name of `legacy_db.sample.wholesaler.SIZES`.
        seed: Of the users' choices.

    Returns:
        The summary.

    Raises:
        VerificationFailed: Something that must hold does not.
    """
    quiet = output is Output.json

    def tell(text: str) -> None:
        if not quiet:
            STDOUT.print(text)

    started = time.monotonic()
    with ExitStack() as stack:
        tell("[dim]starting an embedded Postgres and an embedded broker; building a wholesaler's database of 1998[/]")
        server = stack.enter_context(EmbeddedPostgres(settings={"max_prepared_transactions": 20}))
        broker = stack.enter_context(EmbeddedBroker())
        legacy = wholesaler.create_database(server.dsn(), "legacy")
        wholesaler.create(legacy, size)
        wholesaler.create_database(server.dsn(), "service", encoding="UTF8")
        directory = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="seam-demo-")))
        config = _config(server, broker)

        def run(stop: threading.Event, once: bool, _rows: bool) -> None:
            worker = Worker(config, lambda _finding: None, manage_topics=False)
            worker.stop = stop
            worker.run(once=once)

        bridge = make_bridge(config, run, administered=False)
        one = Slice(
            "service", PREFIX, (*TABLES, "service.device"), target=make_url(f"postgresql+psycopg://postgres@{server.host}:{server.port}/service"),
            ledger=make_url(f"sqlite:///{directory / 'ledger.sqlite'}"), accept_loss=True, directory=directory / "service",
        )  # fmt: skip
        ledger = stack.enter_context(Ledger(one.ledger, one.name))
        context = Context(one, bridge, ledger, say=lambda text: tell(f"[dim]  {escape(text)}[/]"))
        stack.callback(context.close)
        summary = _story(context, legacy, tell, seed)
    summary["seconds"] = round(time.monotonic() - started, 1)
    if quiet:
        write_json(summary)
    else:
        STDOUT.rule("summary")
        STDOUT.print(
            f"{summary['transactions']} transactions of the legacy's users meanwhile, {summary['legacy_failures']} failed because of us; "
            f"{summary['rows']} rows verified in two hops; {summary['seconds']} s"
        )
    if summary["legacy_failures"] or not summary["catalogue_as_before"] or not summary["mended"]:
        raise VerificationFailed("the story did not end as it must")
    return summary


def _story(context: Context, legacy: str, tell: Callable[[str], None], seed: int) -> dict[str, Any]:
    before = catalogue_state(context)
    with Load(legacy, seed=seed, pause=0.15, schema_changes=False) as load:
        tell("\n[bold]1. discovered[/], and a plan that is refused: the border is not where the schema ends")
        machine.advance(context, "discovered")
        refused = ""
        try:
            machine.advance(context, "planned")
        except GateClosed as error:
            refused = error.message
            tell(f"[yellow]{escape(refused)}[/]")
        tell("   so service.device stays with its parts, and the border is moved")
        context.slice = _moved(context.slice)
        context.forget()
        for number, state in enumerate(("planned", "captured", "bootstrapped", "projected", "verified"), 2):
            tell(f"\n[bold]{number}. {state}[/]")
            moved = machine.advance(context, state)
            tell(f"[dim]   {moved.steps[-1]['seconds']} s[/]")
        hops = context.hops
        for hop in hops:
            tell(f"   [green]{hop.hop}: equal[/], {hop.rows} rows, at a cut of {hop.snapshot_age:.2f} s")
        tell("\n[bold]7. somebody writes straight into the view[/]")
        with connect_target(context.slice.require_target()) as connection:
            connection.execute("update service.technician set name = 'tampered with' where id = 3")
        found = run_hops(context)
        diagnose(context.bridge, context.shapes, found)
        wrong = [one for hop in found for table in hop.tables for one in table.differences]
        tell(
            f"   [red]{wrong[0].kind}[/] service.technician {wrong[0].key}: {', '.join(wrong[0].names)}"
            if wrong
            else "   not found"
        )
        # The embedded broker carries no requests, which `seam verify --repair` needs: so the whole view is built anew.
        tell("   the view is dropped and built again, from the topic alone")
        machine.undo(context, "bootstrapped")
        machine.advance(context, "projected")
        mended = sum(hop.mismatches for hop in run_hops(context))
        tell(f"   [green]{mended} differences left[/]")
        tell("\n[bold]8. all of it is taken back[/]")
        machine.undo(context, "discovered")
    context.forget()
    after = catalogue_state(context)
    tell(f"   [green]the legacy's catalogue is {'as before' if after == before else 'different'}[/]")
    return {
        "refused": refused.splitlines()[0] if refused else None, "rows": sum(hop.rows for hop in hops),
        "found": [name for one in wrong for name in one.names], "mended": bool(wrong) and not mended,
        "catalogue_as_before": after == before, "transactions": load.tally.committed,
        "legacy_failures": len(load.tally.failures), "tables": list(TABLES),
    }  # fmt: skip


def _moved(one: Slice) -> Slice:
    return replace(one, tables=TABLES)
