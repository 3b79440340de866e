"""`seam verify`: parse, bind options, call one function, print its result."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer
from rich.markup import escape

from cdc.errors import ConfigError, OperatorError, VerificationFailed
from cdc.properties import load
from connectors.console import STDOUT, Output, write_json, write_table
from connectors.pipeline_commands import OutputOption, Servers, Settings
from legacy_db import machine
from legacy_db.bridge import Bridge
from legacy_db.context_commands import bridge_of, progress_line, say, say_what_stands_still, slice_context
from legacy_db.diagnose import diagnose
from legacy_db.repair import Repaired, repair
from legacy_db.shape import TableShape, published_tables, read_shape
from legacy_db.steps.base import Context
from legacy_db.steps.verify import Verify, evidence_of, run_hops
from legacy_db.verify import LegacyVerification
from legacy_db.verify_model import HopResult, Options


def verify(
    file: Annotated[Path, typer.Argument(help="The pipelines' file.")],
    slice_name: Annotated[
        str | None, typer.Argument(metavar="[SLICE]", help="A slice: both hops; without one, legacy = topic of all tables.")
    ] = None,
    only: Annotated[str | None, typer.Option("--only", help="The connector, without a slice.")] = None,
    mend: Annotated[bool, typer.Option("--repair", help="Send corrective reads through the log.")] = False,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
    rate: Annotated[float, typer.Option("--rate", min=0, help="Rows per second read from a database at most; 0: no limit.")] = 0,
    max_snapshot: Annotated[float, typer.Option("--max-snapshot", min=0, help="Seconds after which a snapshot is renewed.")] = 60,
    memory_rows: Annotated[int, typer.Option("--memory-rows", min=1000, help="Records of a topic that are folded in memory.")] = 2_000_000,
    work_dir: Annotated[Path | None, typer.Option("--work-dir", help="Where files go; an interrupted verification goes on there.")] = None,
    show_values: Annotated[bool, typer.Option("--show-values", help="Show the values of differing rows.")] = False,
    settings: Settings = None,
    bootstrap_servers: Servers = None,
    output: OutputOption = Output.table,
) -> None:  # fmt: skip
    """Legacy = topic, and for a slice topic = view, at one exact cut while writers write. Exit 5 when they differ."""
    options = Options(
        rate=rate, snapshot_seconds=max_snapshot, memory_rows=memory_rows, directory=work_dir, values=show_values
    )
    if slice_name is not None:
        hops = _slice(file, slice_name, settings, bootstrap_servers, options, mend=mend, yes=yes)
    else:
        hops = []
        loaded = load(file)
        for name in [only] if only else sorted(loaded.connectors):
            hops.append(_pipeline(file, name, settings, bootstrap_servers, options, mend=mend, yes=yes))
    differences = sum(hop.mismatches for hop in hops)
    if output is Output.json:
        write_json(_document(hops, slice_name, values=show_values))
    else:
        _show(hops, values=show_values)
    if differences:
        raise VerificationFailed(
            f"{differences} rows differ",
            hint=None if mend else "`--repair` sends them through the log again; `--show-values` shows what differs",
        )


def _document(hops: list[HopResult], slice_name: str | None, *, values: bool) -> dict[str, Any]:
    """Per table its figures of the first hop, and under `hops` everything."""
    documents = [hop.as_json(values=values) for hop in hops]
    tables = [table for document in documents for table in document["tables"]] if slice_name is None else [
        {**table, "hop": document["hop"]} for document in documents for table in document["tables"]
    ]  # fmt: skip
    return {
        "equal": all(document["equal"] for document in documents), "slice": slice_name, "tables": tables,
        "hops": documents,
    }  # fmt: skip


def _pipeline(
    file: Path, name: str, settings: list[str] | None, servers: str | None, options: Options, *, mend: bool, yes: bool
) -> HopResult:  # fmt: skip
    _, bridge = bridge_of(file, name, settings, servers)
    catalog = bridge.catalog()
    try:
        types = catalog.types()
        shapes = {
            table: read_shape(catalog, bridge, table, members, types)
            for table, members in published_tables(catalog, bridge).items()
        }
    finally:
        catalog.connection.close()
    if not shapes:
        raise ConfigError(f"{name} captures no table at {bridge.source.address}")
    with progress_line() as progress:
        result = LegacyVerification(bridge, list(shapes.values()), options, progress).run()
        diagnose(bridge, shapes, [result])
        if mend and result.mismatches and _agreed(result, yes=yes):
            _say_repaired(repair(bridge, shapes, result.tables, say))
            result = LegacyVerification(bridge, list(shapes.values()), options, progress).run()
            diagnose(bridge, shapes, [result])
    return result


def _slice(
    file: Path, name: str, settings: list[str] | None, servers: str | None, options: Options, *, mend: bool, yes: bool
) -> list[HopResult]:  # fmt: skip
    with slice_context(file, name, settings, servers, options) as context:
        state = machine.standing(context).recorded
        projected = machine.index_of(state) >= machine.index_of("projected")
        hops = _hops(context, projected=projected)
        differences = sum(hop.mismatches for hop in hops)
        if mend and differences and _agreed(*hops, yes=yes):
            _mend(context.bridge, context.shapes, hops)
            hops = _hops(context, projected=projected)
        if projected:
            with context.ledger.operator():
                entry = context.ledger.intend("evidence", Verify.name, state, state, context.plan_hash())
                context.ledger.confirm(entry, evidence_of(context, hops))
        say_what_stands_still(context, file, state)
        return hops


def _hops(context: Context, *, projected: bool) -> list[HopResult]:
    if projected:
        hops = run_hops(context)
    else:
        say("the slice is not projected: only legacy = topic is compared")
        shapes = list(context.shapes.values())
        hops = [LegacyVerification(context.bridge, shapes, context.options, context.progress).run()]
    diagnose(context.bridge, context.shapes, hops)
    return hops


def _mend(bridge: Bridge, shapes: dict[str, TableShape], hops: list[HopResult]) -> None:
    """The topic is mended for the legacy's sake; a row of the view that differs is sent again through the same topic."""
    for hop in hops:
        if hop.mismatches:
            _say_repaired(repair(bridge, shapes, hop.tables, say))


def _agreed(*hops: HopResult, yes: bool) -> bool:
    count = sum(hop.mismatches for hop in hops)
    if yes or typer.confirm(f"Send corrective records for {count} rows through the log?", err=True):
        return True
    raise typer.Exit(OperatorError.exit_code)


def _say_repaired(done: Repaired) -> None:
    say(f"{done.reads} rows were read again, {done.deletes} deletes were sent")


def _show(hops: list[HopResult], *, values: bool) -> None:
    for hop in hops:
        write_table(
            f"{hop.hop}: {'equal' if not hop.mismatches else f'{hop.mismatches} rows differ'}, {hop.seconds:.1f} s, "
            f"snapshot held {hop.snapshot_age:.1f} s",
            ("table", "rows", "missing", "extra", "different", "equal only by rule"),
            [
                (
                    t.table, f"{t.rows:,}", t.missing or "", t.extra or "", t.different or "",
                    "; ".join(f"{rule}: {count:,}" for rule, count in t.rules.items()),
                )
                for t in hop.tables
            ],
        )  # fmt: skip
        for table in hop.tables:
            for difference in table.differences[:20]:
                shown = difference.as_json(values=values)
                STDOUT.print(
                    f"  [red]{shown['kind']}[/] {escape(table.table)} {escape(str(shown['key']))} "
                    f"{escape(str(shown.get('columns', '')))} [yellow]{escape(', '.join(shown.get('looks_like', ())))}[/]"
                )
