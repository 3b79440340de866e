"""`seam migrate`: parse, bind options, call one function, print its result."""

from __future__ import annotations

from datetime import UTC, datetime
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.markup import escape

from cdc.errors import OperatorError
from cdc.properties import ConfigFile, load
from connectors.console import STDERR, STDOUT, Output, write_json, write_table
from connectors.pipeline_commands import OutputOption, Servers, Settings
from legacy_db import machine
from legacy_db.borders import crossings, suggest, written_together
from legacy_db.context_commands import bridge_of, say, say_what_stands_still, slice_context
from legacy_db.contract import contract as contract_target
from legacy_db.contract import contract_sql, expand_again
from legacy_db.inventory import Inventory, read_inventory
from legacy_db.ledger import Ledger
from legacy_db.report_html import html_report
from legacy_db.risks import Risk, find_risks
from legacy_db.slices import Slice, read_slice, read_slices
from legacy_db.steps.base import Context
from legacy_db.steps.discover import Discover
from legacy_db.steps.plan import Plan
from legacy_db.target import CONTRACT, EXPAND, revisions
from legacy_db.transactions import transactions_of

app = typer.Typer(no_args_is_help=True, help="Move a slice of the legacy schema, state by state, each behind its gate.")

File = Annotated[Path, typer.Argument(help="seam.toml with \\[connectors.NAME] and \\[slices.NAME].")]
SliceName = Annotated[str, typer.Argument(help="The slice.")]
_NOWHERE = "unused:0"
Yes = Annotated[bool, typer.Option("--yes", help="Do not ask.")]


class Part(StrEnum):
    """Whose SQL: the legacy's capture, or a branch of the new service's schema."""

    legacy = "legacy"
    expand = EXPAND
    contract = CONTRACT


# -- discover ------------------------------------------------------------------------------------------------------------


@app.command()
def discover(
    file: File,
    suggest_slices: Annotated[bool, typer.Option("--suggest", help="Propose slices.")] = False,
    html: Annotated[Path | None, typer.Option("--html", help="Write a self-contained report there.")] = None,
    only: Annotated[str | None, typer.Option("--only", help="The connector, of a file with several.")] = None,
    settings: Settings = None,
    bootstrap_servers: Servers = None,
    output: OutputOption = Output.table,
) -> None:
    """Read what the legacy database holds, without changing anything: tables, borders, risks."""
    loaded = load(file)
    slices = read_slices(loaded) if loaded.slices else {}
    connector = _connector(loaded, slices, only)
    known = bootstrap_servers or loaded.connector(connector)[1].get("bootstrap.servers")
    # Kafka is not needed to look at a database.
    servers = None if known and not bootstrap_servers else bootstrap_servers or _NOWHERE
    _, bridge = bridge_of(file, connector, settings, servers)
    inventory = read_inventory(bridge)
    risks = find_risks(inventory)
    mine = {name: one for name, one in slices.items() if one.connector == bridge.name}
    borders = {name: crossings(inventory, one.tables) for name, one in mine.items()}
    proposals = []
    if suggest_slices:
        together = written_together(transactions_of(bridge, inventory)) if known else {}
        proposals = suggest(inventory, together)
    _record(file, mine, settings, servers, inventory)
    if html is not None:
        html.write_text(
            html_report(inventory, risks, {name: one.tables for name, one in mine.items()}, borders), encoding="utf-8"
        )
        say(f"written: {html}")
    if output is Output.json:
        write_json(
            {
                **inventory.as_json(), "risks": [risk.as_json() for risk in risks],
                "slices": {
                    name: {"tables": list(one.tables), "crossings": [c.as_json() for c in borders[name]]}
                    for name, one in mine.items()
                },
                "suggestions": [proposal.as_json() for proposal in proposals],
            }
        )  # fmt: skip
        return
    _show_tables(inventory, mine)
    _show_risks(risks)
    for name, found in borders.items():
        write_table(
            f"What crosses the border of {name}", ("kind", "from", "to", "name", "meaning"),
            [(("! " if c.blocks else "") + c.kind, c.source, c.target, c.name, c.why) for c in found],
        )  # fmt: skip
    for proposal in proposals:
        STDOUT.print(f"[bold]\\[slices.{escape(proposal.name)}][/]", highlight=False)
        STDOUT.print(f"tables = {list(proposal.tables)!r}".replace("'", '"'), markup=False)
        for reason in proposal.reasons:
            STDOUT.print(f"# {reason}", markup=False, style="dim")
        for crossing in proposal.open:
            STDOUT.print(
                f"# crosses: {crossing.kind} {crossing.source} -> {crossing.target}", markup=False, style="dim"
            )


def _connector(loaded: ConfigFile, slices: dict[str, Slice], only: str | None) -> str | None:
    used = {one.connector for one in slices.values()}
    return only if only is not None else next(iter(used)) if len(used) == 1 and len(loaded.connectors) > 1 else None


def _record(
    file: Path, slices: dict[str, Slice], settings: list[str] | None, servers: str | None, inventory: Inventory
) -> None:
    """Every slice of the file is discovered now; one that stands further on stays there."""
    for name, one in slices.items():
        if any(table not in inventory.tables for table in one.tables):
            continue
        with slice_context(file, name, settings, servers) as context:
            if context.ledger.state() is None:
                machine.advance(context, Discover.state)


def _show_tables(inventory: Inventory, slices: dict[str, Slice]) -> None:
    owner = {table: name for name, one in slices.items() for table in one.tables}
    rows = []
    for name, table in inventory.tables.items():
        rate = table.writes_per_second
        rows.append(
            (
                name, table.kind if table.persistence == "permanent" else table.persistence, f"{table.rows:,}",
                "-" if rate is None else f"{rate:.2f}", ", ".join(table.primary_key) or "none",
                table.identity + ("" if table.identity_usable else " (unusable)"), owner.get(name, ""),
            )
        )  # fmt: skip
    write_table("Tables", ("table", "kind", "rows", "writes/s", "key", "identity", "slice"), rows)


def _show_risks(risks: list[Risk]) -> None:
    write_table(
        "Risks", ("risk", "where", "what happens", "the SQL that shows it"),
        [(("! " if risk.blocks else "") + risk.code, risk.subject, risk.why, risk.shows) for risk in risks],
    )  # fmt: skip


# -- moving --------------------------------------------------------------------------------------------------------------


@app.command()
def plan(
    file: File,
    slice_name: SliceName,
    sql: Annotated[bool, typer.Option("--sql", help="Print SQL for an administrator to run.")] = False,
    of: Annotated[Part, typer.Option("--of", help="With --sql: of which part.")] = Part.expand,
    settings: Settings = None,
    bootstrap_servers: Servers = None,
    output: OutputOption = Output.table,
) -> None:
    """Write down how a slice is captured, mapped and verified; nothing in any database is changed."""
    with slice_context(file, slice_name, settings, bootstrap_servers) as context:
        state = machine.standing(context).recorded
        if machine.index_of(state) > machine.index_of(Plan.state):
            raise OperatorError(
                f"{slice_name} is {state}: its plan cannot change under it",
                hint=f"seam migrate undo FILE {slice_name} --to discovered",
            )
        if state == Plan.state:
            machine.undo(context, Discover.state)
        machine.advance(context, Plan.state)
        document = context.plan()
        assert document is not None
        if sql:
            STDOUT.print(_sql(context, document, of), markup=False)
            return
    if output is Output.json:
        write_json(document)
        return
    _show_plan(document, context)


def _sql(context: Context, document: dict[str, Any], of: Part) -> str:
    if of is Part.legacy:
        return "\n".join(document["capture"])
    context.slice.require_target()
    return revisions(context.slice.directory, context.slice.name).sql(f"{of}@head")


def _show_plan(document: dict[str, Any], context: Context) -> None:
    STDOUT.print(f"plan [bold]{document['hash'][:12]}[/] of {document['slice']}, written to {context.plan_path}")
    for statement in document["capture"]:
        STDOUT.print(f"  {statement}", markup=False)
    for table in document["target"]:
        STDOUT.print(f"[bold]{escape(table['table'])}[/]")
        for note in table["notes"]:
            STDOUT.print(f"  {note}", markup=False, style="dim")
    write_table("Gates", ("step", "asks"), list(document["gates"].items()))


@app.command()
def advance(
    file: File,
    slice_name: SliceName,
    to: Annotated[str | None, typer.Option("--to", help="Take all steps up to this state.")] = None,
    settings: Settings = None,
    bootstrap_servers: Servers = None,
    output: OutputOption = Output.table,
) -> None:
    """Take the next step, or all up to a state, each behind its gate."""
    goal = machine.parse_state(to) if to is not None else None
    with slice_context(file, slice_name, settings, bootstrap_servers) as context:
        moved = machine.advance(context, goal)
        say_what_stands_still(context, file, moved.after)
    _show_moved(slice_name, moved, output)


@app.command()
def undo(
    file: File,
    slice_name: SliceName,
    to: Annotated[str | None, typer.Option("--to", help="Take back all steps above this state.")] = None,
    yes: Yes = False,
    settings: Settings = None,
    bootstrap_servers: Servers = None,
    output: OutputOption = Output.table,
) -> None:
    """Take the last step back, or all above a state, and prove it."""
    goal = machine.parse_state(to) if to is not None else None
    if not yes and not typer.confirm(f"Take {slice_name} back{f' to {to}' if to else ' by one step'}?", err=True):
        raise typer.Exit(OperatorError.exit_code)
    with slice_context(file, slice_name, settings, bootstrap_servers) as context:
        moved = machine.undo(context, goal)
        say_what_stands_still(context, file, moved.after)
    _show_moved(slice_name, moved, output)


def _show_moved(slice_name: str, moved: machine.Moved, output: Output) -> None:
    if output is Output.json:
        write_json({"slice": slice_name, **moved.as_json()})
        return
    for step in moved.steps:
        STDERR.print(f"  {step['step']}: {step['seconds']:.1f} s", style="dim")
    STDOUT.print(f"{slice_name}: {moved.before or 'undiscovered'} → [bold]{moved.after or 'undiscovered'}[/]")


@app.command()
def contract(
    file: File,
    slice_name: SliceName,
    back: Annotated[bool, typer.Option("--back", help="Take the keys back, so that rows may be projected again.")] = False,
    sql: Annotated[bool, typer.Option("--sql", help="Print the SQL for an administrator; nothing is changed.")] = False,
    yes: Yes = False,
    settings: Settings = None,
    bootstrap_servers: Servers = None,
    output: OutputOption = Output.table,
) -> None:  # fmt: skip
    """Add the unique and foreign keys to a verified slice's target: the contract branch. Nothing is projected under them."""
    with slice_context(file, slice_name, settings, bootstrap_servers) as context:
        if sql:
            STDOUT.print(contract_sql(context, back=back), markup=False)
            return
        what = (
            "Take the keys of the contract branch back"
            if back
            else "Stop projecting, and add the contract branch's keys"
        )
        if not yes and not typer.confirm(f"{what} in the target of {slice_name}?", err=True):
            raise typer.Exit(OperatorError.exit_code)
        changed = expand_again(context) if back else contract_target(context)
    if output is Output.json:
        write_json({"slice": slice_name, "contracted": not back, "changed": changed})
        return
    STDOUT.print(f"{slice_name}: {'without' if back else 'with'} its contract branch{'' if changed else ', as before'}")


# -- looking -------------------------------------------------------------------------------------------------------------


@app.command()
def status(
    file: File,
    slice_name: Annotated[str | None, typer.Argument(help="The slice; all of the file when left out.")] = None,
    settings: Settings = None,
    bootstrap_servers: Servers = None,
    output: OutputOption = Output.table,
) -> None:
    """Where a slice stands, by the world and by the ledger, and how old its evidence is."""
    documents = []
    for name in [slice_name] if slice_name else sorted(read_slices(load(file))):
        with slice_context(file, name, settings, bootstrap_servers) as context:
            documents.append(machine.status(context))
    if output is Output.json:
        write_json(documents[0] if slice_name else {"slices": documents})
        return
    rows = []
    for document in documents:
        newest = list(document["evidence"].items())[-1:]
        age = f"{newest[0][0]}: {newest[0][1]['age_seconds']:.0f} s" if newest else "-"
        rows.append((document["slice"], document["state"] or "undiscovered", document["recorded"] or "-", age, document["reason"] or ""))  # fmt: skip
    write_table("Slices", ("slice", "state", "recorded", "evidence's age", "why they differ"), rows)


@app.command("why-not")
def why_not(
    file: File,
    slice_name: SliceName,
    settings: Settings = None,
    bootstrap_servers: Servers = None,
    output: OutputOption = Output.table,
) -> None:
    """Which gate is next, what it asks for, and what would fulfil it."""
    with slice_context(file, slice_name, settings, bootstrap_servers) as context:
        document = machine.why_not(context)
    if output is Output.json:
        write_json(document)
        return
    if document["next"] is None:
        STDOUT.print(f"{slice_name} is {document['state']}: there is no further step")
        return
    if document["reason"]:
        STDOUT.print(document["reason"], markup=False)
    write_table(
        f"{slice_name}: {document['state'] or 'undiscovered'} → {document['next']} is {'open' if document['open'] else 'closed'}",
        ("demand", "met", "seen", "what would fulfil it"),
        [(d["code"], "yes" if d["met"] else "no", d["evidence"], d["remedy"]) for d in document["demands"]],
    )  # fmt: skip


@app.command()
def history(file: File, slice_name: SliceName, output: OutputOption = Output.table) -> None:
    """All that was intended and confirmed."""
    one = read_slice(load(file), slice_name)
    with Ledger(one.ledger, one.name) as ledger:
        entries = ledger.entries()
    if output is Output.json:
        write_json({"slice": slice_name, "entries": [entry.as_json() for entry in entries]})
        return

    def moment(seconds: float | None) -> str:
        return "-" if seconds is None else datetime.fromtimestamp(seconds, UTC).isoformat(" ", "seconds")

    write_table(
        f"History of {slice_name}", ("when", "what", "from", "to", "done", "by", "plan", "error"),
        [
            (moment(e.intent_at), f"{e.action} {e.step}", e.from_state or "-", e.to_state or "-", moment(e.confirmed_at),
             e.actor, (e.plan_hash or "-")[:12], e.error or "")
            for e in entries
        ],
    )  # fmt: skip
