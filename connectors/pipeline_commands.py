"""`seam run`, `check`, `status`, `slots`, `publications`: parse, bind options, call one function, print its result."""

from __future__ import annotations

import gc
import signal
import threading
import time
from contextlib import ExitStack, closing
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from cdc.errors import ConfigError, OperatorError
from cdc.kafka.positions import read_positions
from cdc.postgres.catalog import Catalog
from cdc.postgres.connection import connect
from cdc.postgres.preflight import captured, check_database, role_script
from cdc.postgres.publication import (
    Publication,
    create_publication,
    drop_publication,
    read_publication,
    read_publications,
)
from cdc.postgres.slot import create_slot, drop_slot, read_slots
from cdc.postgres.walsender import Walsender
from cdc.properties import load, override
from cdc.report import blocking
from connectors.additions import Run, carried
from connectors.console import STDERR, STDOUT, Output, bytes_text, tell, write_findings, write_json, write_table
from connectors.first_start import recorded_form
from connectors.kafka_check import kafka_findings
from connectors.postgres import PipelineConfig, read
from connectors.postgres_options import OPTIONS
from connectors.retire import retire as take_back
from connectors.retire import write_record
from connectors.run_display import RunDisplay
from connectors.snapshot_progress import SnapshotProgress
from connectors.status import pipeline_status
from connectors.topic_forms import form_findings
from connectors.worker import Worker

COLLECTOR_THRESHOLDS: Final = (50_000, 20, 100)

if TYPE_CHECKING:
    from connectors.metrics import MetricsServer

File = Annotated[Path, typer.Argument(help="A connector configuration: JSON, .properties or seam.toml.")]
Only = Annotated[str | None, typer.Option("--only", help="The connector, of a file with several.")]
Settings = Annotated[list[str] | None, typer.Option("--set", help="name=value, over file and environment; may repeat.")]
Servers = Annotated[
    str | None,
    typer.Option("--bootstrap-servers", envvar="SEAM_BOOTSTRAP_SERVERS", help="Kafka brokers, host:port,..."),
]
OutputOption = Annotated[Output, typer.Option("--output", help="A table for people or JSON for programs.")]
RefuseSecrets = Annotated[
    bool, typer.Option("--refuse-literal-secrets", help="A secret that stands in the file itself is an error.")
]


def read_config(
    file: Path, only: str | None, settings: list[str] | None, servers: str | None, *, refuse_secrets: bool = False
) -> PipelineConfig:
    """The pipeline of a file, with environment and settings laid over it.

    Raises:
        ConfigError: Every problem at once.
    """
    name, properties = load(file).connector(only)
    declared = [(option.name, option.environment_name) for option in OPTIONS.options.values()]
    merged = override(properties, declared=declared, settings=settings or ())
    config = read(name, merged, bootstrap_servers=servers, origin=str(file))
    secrets = [finding for finding in config.findings if finding.code == "LITERAL_SECRET"]
    if refuse_secrets and secrets:
        raise ConfigError(
            f"{file}: literal secrets: {', '.join(finding.subject for finding in secrets)}", hint=secrets[0].remedy
        )
    return config


def _catalog(config: PipelineConfig) -> Catalog:
    return Catalog(connect(config.source), config.source)


def run(
    file: File,
    once: Annotated[bool, typer.Option("--once", help="End when all that is committed now is delivered.")] = False,
    only: Only = None,
    settings: Settings = None,
    bootstrap_servers: Servers = None,
    refuse_literal_secrets: RefuseSecrets = False,
    metrics_port: Annotated[
        int | None,
        typer.Option("--metrics-port", min=0, max=65535, help="Answer Prometheus on this port; 0 for a free one."),
    ] = None,
    metrics_host: Annotated[
        str, typer.Option("--metrics-host", help="The address that --metrics-port listens on.")
    ] = "127.0.0.1",
    output: OutputOption = Output.table,
) -> None:
    """Stream a Postgres database into Kafka, in Debezium's format, without a JVM."""
    config = read_config(file, only, settings, bootstrap_servers, refuse_secrets=refuse_literal_secrets)
    for finding in config.findings:
        tell(finding)
    asked = Run(file, config.name, load(file).slices, tuple(settings or ()), bootstrap_servers, once)
    worker = Worker(config, tell)
    # Rows are many small objects without cycles: with Python's own thresholds the collector looks at them all the time.
    gc.set_threshold(*COLLECTOR_THRESHOLDS)
    _stop_on_signals(worker.stop)
    with ExitStack() as stack:
        if metrics_port is not None:
            stack.callback(_serve_metrics(worker, metrics_port, metrics_host).close)
        display = RunDisplay(config.name, worker.meter, STDERR)
        stack.callback(display.end)
        display.start()
        stack.enter_context(carried(asked))
        worker.run(once=once)
    if output is Output.json:
        write_json({"connector": config.name, **worker.meter.as_json()})
    else:
        meter = worker.meter
        STDERR.print(f"{config.name}: stopped after {meter.records} records of {meter.transactions} transactions")


def _serve_metrics(worker: Worker, port: int, host: str) -> MetricsServer:
    from connectors.metrics import MetricsServer, PipelineCollector

    server = MetricsServer(PipelineCollector(worker.config.name, worker.meter), port, host)
    STDERR.print(f"metrics: http://{host}:{server.port}/metrics", markup=False)
    return server


def _stop_on_signals(stop: threading.Event) -> None:
    """The first SIGTERM or SIGINT ends gracefully, a second one at once."""

    def on_signal(number: int, _frame: Any) -> None:
        if stop.is_set():
            raise SystemExit(128 + number)
        STDERR.print("stopping: delivering what was read, then leaving; once more to leave at once")
        stop.set()

    signal.signal(signal.SIGTERM, on_signal)
    signal.signal(signal.SIGINT, on_signal)


def check(
    file: File,
    only: Only = None,
    settings: Settings = None,
    bootstrap_servers: Servers = None,
    role: Annotated[
        str | None, typer.Option("--role", help="Print the script of a role with the least privileges.")
    ] = None,
    refuse_literal_secrets: RefuseSecrets = False,
    output: OutputOption = Output.table,
) -> None:
    """Look before the start: what would stop the stream or the legacy application, and the SQL that mends it."""
    config = read_config(file, only, settings, bootstrap_servers, refuse_secrets=refuse_literal_secrets)
    catalog = _catalog(config)
    with closing(catalog.connection):
        if role is not None:
            script = role_script(catalog, role, config.wanted)
            if output is Output.json:
                write_json({"role": role, "sql": script})
            else:
                STDOUT.print(script, markup=False)
            return
        findings = [
            *config.findings,
            *check_database(catalog, config.wanted),
            *form_findings(config, catalog),
            *kafka_findings(config, catalog),
        ]
    write_findings(findings, output)
    blockers = blocking(findings)
    if blockers:
        raise typer.Exit(OperatorError.exit_code)


def status(
    file: File,
    only: Only = None,
    settings: Settings = None,
    bootstrap_servers: Servers = None,
    watch: Annotated[bool, typer.Option("--watch", help="Again every two seconds, until interrupted.")] = False,
    output: OutputOption = Output.table,
) -> None:
    """Phase, lag, retained log, rate and last error of each pipeline of a file."""
    names = [only] if only else sorted(load(file).connectors)
    while True:
        rows = [pipeline_status(read_config(file, name, settings, bootstrap_servers)) for name in names]
        if output is Output.json:
            write_json({"connectors": [_status_document(row) for row in rows]}, line=watch)
        else:
            if watch:
                STDOUT.clear()
            write_table(
                "Pipelines",
                ("connector", "phase", "lag", "behind", "retained log", "records/s", "last error"),
                [
                    (
                        row["connector"], row["phase"], bytes_text(row["lag_bytes"]),
                        "-" if row["lag_seconds"] is None else f"{row['lag_seconds']:.1f} s",
                        bytes_text(row["retained_bytes"]), "-" if row["rate"] is None else f"{row['rate']:,.0f}",
                        row["last_error"] or "",
                    )
                    for row in rows
                ],
            )  # fmt: skip
            for row in rows:
                _show_snapshot(row["connector"], row["snapshot"])
        if not watch:
            return
        time.sleep(2.0)


def _status_document(row: dict[str, Any]) -> dict[str, Any]:
    snapshot = row["snapshot"]
    return {**row, "snapshot": None if snapshot is None else snapshot.as_json()}


def _show_snapshot(connector: str, snapshot: SnapshotProgress | None) -> None:
    """A line, and one for each table that is not done."""
    if snapshot is None or not snapshot.running:
        return
    STDOUT.print(f"{connector} reads its snapshot: {snapshot.text()}", markup=False)
    for table in snapshot.tables:
        if not table.done:
            expected = "" if table.expected is None else f" of about {table.expected:,}"
            STDOUT.print(f"  {table.name}: {table.rows:,}{expected} rows", markup=False)


slots = typer.Typer(no_args_is_help=True, help="Replication slots of a pipeline's server.")
publications = typer.Typer(no_args_is_help=True, help="Publications of a pipeline's database.")


@slots.command("list")
def list_slots(
    file: File,
    only: Only = None,
    settings: Settings = None,
    bootstrap_servers: Servers = None,
    output: OutputOption = Output.table,
) -> None:
    """All logical slots of the server."""
    found = read_slots(_catalog(read_config(file, only, settings, bootstrap_servers or "unused:0")))
    if output is Output.json:
        write_json({"slots": [slot.as_json() for slot in found]})
        return
    write_table(
        "Replication slots",
        ("slot", "database", "plugin", "read by", "status", "confirmed", "lag", "retained log"),
        [
            (
                s.name, s.database, s.plugin, s.active_pid or "nobody", s.wal_status, s.confirmed_flush_lsn,
                bytes_text(s.lag_bytes), bytes_text(s.retained_bytes),
            )
            for s in found
        ],
    )  # fmt: skip


@slots.command("create")
def create_slot_command(
    file: File, only: Only = None, settings: Settings = None, bootstrap_servers: Servers = None
) -> None:
    """Create the pipeline's slot; waits for the transactions that are open now."""
    config = read_config(file, only, settings, bootstrap_servers or "unused:0")
    catalog = _catalog(config)
    if read_publication(catalog, config.wanted.publication) is None:
        raise OperatorError(
            f"publication {config.wanted.publication!r} does not exist: a slot made before it cannot decode",
            hint="seam publications create FILE",
        )
    walsender = Walsender(config.source)
    try:
        start, _ = create_slot(walsender, config.wanted.slot)
    finally:
        walsender.close()
    STDOUT.print(f"slot {config.wanted.slot} starts at {start}")


@slots.command("drop")
def drop_slot_command(
    file: File,
    only: Only = None,
    settings: Settings = None,
    bootstrap_servers: Servers = None,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
) -> None:
    """Drop the pipeline's slot: changes that were not read are lost to it."""
    config = read_config(file, only, settings, bootstrap_servers or "unused:0")
    _confirm(yes, f"Drop slot {config.wanted.slot}? Changes that were not read are lost to it.")
    there = drop_slot(_catalog(config), config.wanted.slot)
    STDOUT.print(f"slot {config.wanted.slot} {'is dropped' if there else 'was not there'}")


def _confirm(yes: bool, question: str) -> None:
    if not yes and not typer.confirm(question, err=True):
        raise typer.Exit(OperatorError.exit_code)


@publications.command("list")
def list_publications(
    file: File,
    only: Only = None,
    settings: Settings = None,
    bootstrap_servers: Servers = None,
    output: OutputOption = Output.table,
) -> None:
    """All publications of the database."""
    found = read_publications(_catalog(read_config(file, only, settings, bootstrap_servers or "unused:0")))
    if output is Output.json:
        write_json({"publications": [publication.as_json() for publication in found]})
        return

    def tables(publication: Publication) -> str:
        return "all" if publication.all_tables else ", ".join(sorted(publication.tables))

    write_table(
        "Publications",
        ("publication", "tables", "publishes", "made by seam"),
        [(p.name, tables(p), ", ".join(sorted(p.operations)), "yes" if p.ours else "no") for p in found],
    )


@publications.command("create")
def create_publication_command(
    file: File, only: Only = None, settings: Settings = None, bootstrap_servers: Servers = None
) -> None:
    """Create the pipeline's publication, after the same preflight as a start."""
    config = read_config(file, only, settings, bootstrap_servers or "unused:0")
    catalog = _catalog(config)
    if read_publication(catalog, config.wanted.publication) is not None:
        raise OperatorError(f"publication {config.wanted.publication!r} exists already")
    blockers = [f for f in blocking(check_database(catalog, config.wanted)) if f.code != "PUBLICATION_MISSING"]
    if blockers:
        write_findings(blockers, Output.table)
        raise typer.Exit(OperatorError.exit_code)
    tables = captured(catalog.tables(), config.wanted.selection)
    create_publication(
        catalog, config.wanted.publication, tables, sorted(config.wanted.operations),
        via_root=config.options["publish.via.partition.root"], connector=config.name,
    )  # fmt: skip
    STDOUT.print(f"publication {config.wanted.publication} holds {len(tables)} tables")


@publications.command("drop")
def drop_publication_command(
    file: File,
    only: Only = None,
    settings: Settings = None,
    bootstrap_servers: Servers = None,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
) -> None:
    """Drop the pipeline's publication: a slot that still needs it can never be read again."""
    config = read_config(file, only, settings, bootstrap_servers or "unused:0")
    _confirm(yes, f"Drop publication {config.wanted.publication}? A slot that still needs it can never be read again.")
    there = drop_publication(_catalog(config), config.wanted.publication)
    STDOUT.print(f"publication {config.wanted.publication} {'is dropped' if there else 'was not there'}")


@publications.command("accept")
def accept(file: File, only: Only = None, settings: Settings = None, bootstrap_servers: Servers = None) -> None:
    """Take the publication's tables as they stand now, after a change that stopped the pipeline."""
    config = read_config(file, only, settings, bootstrap_servers)
    record = read_positions(config.kafka).get(config.name)
    publication = read_publication(_catalog(config), config.wanted.publication)
    if record is None or publication is None:
        raise OperatorError(f"there is no {'position record' if record is None else 'publication'} to accept")
    captures = config.wanted.selection.captures
    form = recorded_form(publication, lambda table: captures(*table.split(".", 1)))
    write_record(config, replace(record, **form))
    STDOUT.print(f"recorded: {', '.join(sorted(form['tables'])) or 'no tables'}")


@slots.command("retire")
@publications.command("retire")
def retire(
    file: File,
    only: Only = None,
    settings: Settings = None,
    bootstrap_servers: Servers = None,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
    force: Annotated[bool, typer.Option("--force", help="Also what was made by hand under these names.")] = False,
    output: OutputOption = Output.table,
) -> None:
    """Take back all that seam made in that database, and prove it."""
    config = read_config(file, only, settings, bootstrap_servers)
    _confirm(yes, f"Take back slot {config.wanted.slot} and publication {config.wanted.publication}?")
    retired = take_back(config, _catalog(config), force=force)
    if output is Output.json:
        write_json(retired.as_json())
        return
    STDOUT.print(
        f"slot {'dropped' if retired.slot else 'not ours or not there'}, "
        f"publication {'dropped' if retired.publication else 'not ours or not there'}, "
        f"record {'taken back' if retired.record else 'not there'}; nothing of ours is left in the catalogue"
    )
