"""`seam demo --story migration`: a slice of an old wholesaler's database, to verified and back, on embedded parts."""

from __future__ import annotations

import tempfile
import threading
import time
from collections import Counter
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
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
from legacy_db.context_commands import make_bridge
from legacy_db.diagnose import diagnose
from legacy_db.ledger import Ledger
from legacy_db.projection import connect_target
from legacy_db.repair import repair
from legacy_db.risks import find_risks
from legacy_db.sample import wholesaler
from legacy_db.sample.load import Load
from legacy_db.slices import Slice
from legacy_db.steps.base import Context, GateClosed
from legacy_db.steps.capture import catalogue_state
from legacy_db.steps.verify import run_hops

PREFIX: Final = "wholesaler"
DEVICE: Final = "service.device"
TABLES: Final = ("service.technician", "service.ticket", "service.ticket_note", "service.visit")
PROOFS: Final = 6
_CHAPTERS: Final = {
    "planned": "types mapped, statements written down, nothing changed yet",
    "captured": "publication and slot, after proving that UPDATE and DELETE go on working",
    "bootstrapped": "the rows that are there, into the topics",
    "projected": "the new service's tables, by an Alembic revision",
}


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


@dataclass(slots=True)
class _Teller:
    """Writes the story down; with JSON wanted it is silent."""

    quiet: bool
    proven: list[str] = field(default_factory=list)

    def chapter(self, text: str) -> None:
        if not self.quiet:
            STDOUT.print(f"\n[bold]{text}[/]")

    def say(self, text: str, style: str = "") -> None:
        if not self.quiet:
            STDOUT.print(f"   {escape(text)}", style=style)

    def proves(self, text: str) -> None:
        self.say(f"✓ {text}", "green")
        self.proven.append(text)


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
    teller = _Teller(quiet=output is Output.json)
    started = time.monotonic()
    with ExitStack() as stack:
        teller.say(
            "starting an embedded Postgres and an embedded broker; building a wholesaler's database of 1998", "dim"
        )
        server = stack.enter_context(EmbeddedPostgres(settings={"max_prepared_transactions": 20}))
        broker = stack.enter_context(EmbeddedBroker())
        legacy = wholesaler.create_database(server.dsn(), "legacy")
        wholesaler.create(legacy, size)
        wholesaler.create_database(server.dsn(), "service", encoding="UTF8")
        directory = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="seam-demo-")))
        config = _config(server, broker)

        def run(stop: threading.Event, once: bool, _rows: bool) -> None:
            worker = Worker(config, lambda _finding: None, manage_topics=False, take_requests=True)
            worker.stop = stop
            worker.run(once=once)

        bridge = make_bridge(config, run, administered=False)
        target = f"postgresql+psycopg://postgres@{server.host}:{server.port}/service"
        one = Slice(
            "service", PREFIX, (*TABLES, DEVICE), target=make_url(target),
            ledger=make_url(f"sqlite:///{directory / 'ledger.sqlite'}"), accept_loss=True, directory=directory / "service",
        )  # fmt: skip
        ledger = stack.enter_context(Ledger(one.ledger, one.name))
        context = Context(one, bridge, ledger)
        stack.callback(context.close)
        summary = _Story(context, legacy, teller, seed).tell()
    summary["seconds"] = round(time.monotonic() - started, 1)
    summary["proven"] = teller.proven
    if teller.quiet:
        write_json(summary)
    else:
        STDOUT.print()
        STDOUT.rule(f"proven in {summary['seconds']:.0f} s")
        for text in teller.proven:
            STDOUT.print(f"[green]✓[/] {escape(text)}")
    if len(teller.proven) != PROOFS:
        raise VerificationFailed(f"{len(teller.proven)} of {PROOFS} things that the story proves were proven")
    return summary


class _Story:
    """The chapters, in order.

    Args:
        context: The slice, at its beginning.
        legacy: The legacy database.
        teller: Writes them down.
        seed: Of the users' choices.
    """

    def __init__(self, context: Context, legacy: str, teller: _Teller, seed: int) -> None:
        self.context = context
        self.legacy = legacy
        self.teller = teller
        self.load = Load(legacy, seed=seed, pause=0.15, schema_changes=False)

    def tell(self) -> dict[str, Any]:
        """From discovered to verified and back."""
        context, teller = self.context, self.teller
        before = catalogue_state(context)
        with self.load:
            refused = self._discover()
            self._forth()
            rows = self._verified()
            found = self._tampered_with()
            mended = self._mended()
            teller.chapter("9. everything is taken back")
            machine.undo(context, "discovered")
        context.forget()
        same = catalogue_state(context) == before
        if same:
            teller.proves(
                "the legacy's catalogue is as it was before: no slot, no publication, no changed table is left"
            )
        tally = self.load.tally
        if not tally.failures:
            teller.proves(
                f"{tally.committed} transactions of the legacy's users meanwhile, and none failed because of us"
            )
        return {
            "refused": refused.splitlines()[0] if refused else None, "rows": rows, "found": found, "mended": mended,
            "catalogue_as_before": same, "transactions": tally.committed, "legacy_failures": len(tally.failures),
            "tables": list(TABLES),
        }  # fmt: skip

    def _discover(self) -> str:
        context, teller = self.context, self.teller
        teller.chapter("1. discovered: what the legacy holds")
        machine.advance(context, "discovered")
        risks = find_risks(context.inventory)
        teller.say(
            f"{len(context.inventory.tables)} tables, {len(context.inventory.foreign_keys)} foreign keys, "
            f"{len(context.inventory.triggers)} triggers, {len(risks)} risks; eight users write all the time"
        )
        for risk in sorted(risks, key=lambda risk: not risk.blocks)[:4]:
            teller.say(f"{risk.code} {risk.subject}: {risk.why}", "dim")
        teller.chapter(f"2. a plan for {', '.join(context.slice.tables)}")
        refused = ""
        try:
            machine.advance(context, "planned")
        except GateClosed as error:
            refused = error.message
            for line in refused.splitlines():
                teller.say(line.strip(), "yellow")
            teller.proves("the gate refuses a border that the legacy crosses by itself; nothing was changed")
        teller.say(f"so {DEVICE} stays with its parts, and the border is moved")
        context.slice = replace(context.slice, tables=TABLES)
        context.forget()
        return refused

    def _forth(self) -> None:
        context, teller = self.context, self.teller
        for number, (state, what) in enumerate(_CHAPTERS.items(), 3):
            teller.chapter(f"{number}. {state}: {what}")
            step = machine.advance(context, state).steps[-1]
            teller.say(f"{_seen(context, state)} ({step['seconds']:.1f} s)")

    def _verified(self) -> int:
        context, teller = self.context, self.teller
        teller.chapter("7. verified: legacy = topic and topic = view, at exact cuts, while the users write")
        machine.advance(context, "verified")
        for hop in context.hops:
            rules = sum((Counter(table.rules) for table in hop.tables), Counter())
            by_rule = f"; equal only by rule: {dict(rules)}" if rules else ""
            teller.say(f"{hop.hop}: {hop.rows} rows, a snapshot held for {hop.snapshot_age:.2f} s{by_rule}")
        rows = context.hops[0].rows
        if not sum(hop.mismatches for hop in context.hops):
            teller.proves(f"{rows} rows are the same in the legacy, in the topics and in the view, row by row")
        return rows

    def _tampered_with(self) -> list[str]:
        context, teller = self.context, self.teller
        teller.chapter("8. somebody writes straight into the view")
        with connect_target(context.slice.require_target()) as connection:
            connection.execute("update service.technician set name = 'tampered with' where id = 3")
            connection.execute("delete from service.technician where id = 4")
        self.wrong = run_hops(context)
        diagnose(context.bridge, context.shapes, self.wrong)
        found = [(table, one) for hop in self.wrong for table in hop.tables for one in table.differences]
        for table, one in found:
            teller.say(f"{one.kind} {table.table} {one.key} {', '.join(one.columns)}: {', '.join(one.names)}", "red")
        if [one.key["id"] for _, one in found] == [3, 4]:
            teller.proves("both rows were found, with their columns and what they look like")
        return [name for _, one in found for name in one.names]

    def _mended(self) -> bool:
        context, teller = self.context, self.teller
        done = repair(context.bridge, context.shapes, [t for hop in self.wrong for t in hop.tables], lambda _text: None)
        teller.say(f"{done.reads} rows are read again and sent through the log; the view takes them from there")
        left = sum(hop.mismatches for hop in run_hops(context))
        if done.reads and not left:
            teller.proves("mended through the log and never by hand: no difference is left")
        return bool(done.reads) and not left


def _seen(context: Context, state: str) -> str:
    """What a step leaves behind, in a sentence."""
    if state == "planned":
        plan = context.plan()
        assert plan is not None
        notes = sum(len(table["notes"]) + len(table["losses"]) for table in plan["target"])
        return f"plan {plan['hash'][:12]}: {len(plan['capture'])} statements for the legacy, {notes} notes on types and keys"
    entry = context.ledger.evidence({"captured": "capture", "bootstrapped": "bootstrap", "projected": "project"}[state])
    evidence = dict(entry.evidence or {}) if entry is not None else {}
    if state == "captured":
        return f"slot {evidence['slot']} at {evidence['confirmed_flush_lsn']}; UPDATE was tried on {len(evidence['probed'])} tables"
    if state == "bootstrapped":
        return f"{sum(rows or 0 for rows in evidence['rows'].values())} rows read into the topics, between the live changes"
    return f"{sum(evidence['rows'].values())} rows in {len(evidence['rows'])} tables, built from the topics alone"
