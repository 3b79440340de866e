"""`seam replay`: parse, bind options, call one function, print its result."""

from __future__ import annotations

import signal
import threading
from typing import Annotated, Self

import typer
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeRemainingColumn

from cdc.errors import ConfigError, Problem
from cdc.kafka.admin import Admin
from cdc.kafka.log import Copier
from cdc.requests import Request, State
from connectors.console import STDERR, STDOUT, Output, bytes_text, tell, write_json
from connectors.log_commands import change_of, create_copy, load_upcasters
from connectors.pipeline_commands import File, Only, OutputOption, Servers, Settings, read_config
from connectors.postgres import PipelineConfig
from connectors.replay import Replay


def replay(
    file: File,
    table: Annotated[
        str | None, typer.Option("--table", help="schema.table whose rows are put into Kafka again.")
    ] = None,
    where: Annotated[str | None, typer.Option("--where", help="SQL condition of the rows.")] = None,
    rate: Annotated[int, typer.Option("--rate", min=0, help="Rows per second at most; 0 for no limit.")] = 0,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Say rows, bytes and time; write nothing.")] = False,
    from_topic: Annotated[
        str | None, typer.Option("--from-topic", help="Copy this history topic instead of reading a table.")
    ] = None,
    into: Annotated[str | None, typer.Option("--into", help="With --from-topic: the new topic.")] = None,
    upcast: Annotated[
        list[str] | None, typer.Option("--upcast", help="SCHEMA:VERSION=package.module:function.")
    ] = None,
    only: Only = None,
    settings: Settings = None,
    bootstrap_servers: Servers = None,
    output: OutputOption = Output.table,
) -> None:
    """Put a table, or the part that --where selects, into its topic again, in order with the live changes.

    Through the engine that reads the slot; when none does, in this process. Interrupted, it goes on with the next call.
    """
    config = read_config(file, only, settings, bootstrap_servers)
    if (table is None) == (from_topic is None):
        raise ConfigError([Problem("--table", "name a table, or a topic with --from-topic; one of the two")])
    if from_topic is not None:
        _from_topic(config, from_topic, into, upcast, output, dry_run=dry_run)
        return
    assert table is not None
    one = Replay(config, table, where, rate)
    try:
        if dry_run:
            found = one.dry_run()
            if output is Output.json:
                write_json({**found.as_json(), "dry_run": True})
            else:
                STDOUT.print(
                    f"{found.table}: {found.rows} rows, about {bytes_text(found.bytes)} in Kafka, about {found.seconds:.0f} s; "
                    "nothing was written"
                )
            return
        _run(one, output)
    finally:
        one.close()


def _run(one: Replay, output: Output) -> None:
    request, resumed = one.request()
    if resumed:
        STDERR.print(f"going on with {request.id}, which asked for the same rows")
    if not one.engine_runs:
        STDERR.print(f"no engine reads slot {one.config.wanted.slot}: running it here until the replay is done")
    stop = threading.Event()
    before = signal.signal(signal.SIGINT, lambda *_: stop.set())
    try:
        with _Bar(one.table) as bar:
            ended = one.run(request, bar.show, tell, stop)
    finally:
        signal.signal(signal.SIGINT, before)
    if output is Output.json:
        write_json({"id": ended.id, "table": one.table, "state": ended.state.value, "rows": ended.rows})
    elif ended.state.ended:
        STDOUT.print(f"{one.table}: {ended.state.value}, {ended.rows} rows read")
    else:
        STDERR.print(f"{ended.id} is {ended.state.value}; the engine goes on with it, or the same command does")
    if not ended.state.ended and ended.state is not State.PAUSED:
        raise typer.Exit(130)


class _Bar:
    """A progress bar on standard error, when that is a terminal."""

    def __init__(self, table: str) -> None:
        self.table = table
        self._progress = Progress(
            TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn(), console=STDERR,
            disable=not STDERR.is_terminal,
        )  # fmt: skip
        self._task: TaskID = self._progress.add_task(table, total=None)

    def show(self, request: Request) -> None:
        """How far it has come."""
        total = max(request.estimate, request.rows) or None
        self._progress.update(self._task, completed=request.rows, total=total)

    def __enter__(self) -> Self:
        self._progress.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._progress.stop()


def _from_topic(
    config: PipelineConfig, topic: str, into: str | None, upcast: list[str] | None, output: Output, *, dry_run: bool
) -> None:
    target = into or f"{topic}.replayed"
    if dry_run:
        from cdc.kafka.log import TopicLog

        log = TopicLog(config.kafka, topic)
        try:
            records = sum(high - low for low, high in map(log.bounds, log.partitions))
        finally:
            log.close()
        document = {"source": topic, "target": target, "records": records, "dry_run": True}
    else:
        create_copy(Admin(config.kafka), topic, target, compacted=False)
        copier = Copier(
            config.kafka, topic, target, group=f"seam-copy-{target}", change=change_of(load_upcasters(upcast))
        )
        try:
            document = {"source": topic, "target": target, "records": copier.run(lambda: False)}
        finally:
            copier.close()
    if output is Output.json:
        write_json(document)
    else:
        STDOUT.print(f"{document['records']} records {'would be ' if dry_run else ''}copied from {topic} to {target}")
