"""`seam handover`: a running pipeline from one engine to the other, and back."""

from __future__ import annotations

from contextlib import ExitStack
from enum import StrEnum
from typing import Annotated

import typer

from cdc.errors import ConfigError
from cdc.properties import load
from connectors.console import STDERR, STDOUT, Output, write_json
from connectors.daily_commands import let_sigterm_interrupt, open_cluster
from connectors.desired import read as read_desired
from connectors.engines import connect_only, native_only
from connectors.handover import Handover, HandoverInterrupted, to_connect, to_native
from connectors.kafka_side import exclusive_everywhere
from connectors.lock import exclusive
from connectors.pipeline_commands import File, Only, OutputOption, Servers, Settings, read_config


class Engine(StrEnum):
    """Who runs a pipeline."""

    connect = "connect"
    native = "native"


def handover(
    file: File,
    to: Annotated[Engine, typer.Option("--to", help="The engine that is to run the pipeline.")],
    only: Only = None,
    settings: Settings = None,
    bootstrap_servers: Servers = None,
    connect_url: Annotated[
        str | None,
        typer.Option("--connect-url", help="A worker of the Connect cluster. Or SEAM_CONNECT_URL, or \\[connect] url."),
    ] = None,
    wait: Annotated[float, typer.Option("--wait", min=1, help="Seconds for each side to stop or start.")] = 60.0,
    settle: Annotated[
        float, typer.Option("--settle", min=0, help="Seconds that the connector must run and read without a pause.")
    ] = 3.0,
    connect_is_down: Annotated[
        bool, typer.Option("--connect-is-down", help="With --to native: take the pipeline back without asking Connect.")
    ] = False,
    output: OutputOption = Output.table,
) -> None:
    """Hand a running pipeline to Debezium on Kafka Connect, or take it back, without a lost row."""
    content = load(file)
    name, _ = content.connector(only)
    desired = read_desired(file, settings=settings or ()).connectors[name]
    at_fault = native_only(desired) if to is Engine.connect else connect_only(desired)
    if at_fault:
        other = "Connect" if to is Engine.connect else "the native engine"
        raise ConfigError(f"{file}: {other} cannot run this pipeline: {', '.join(at_fault)}")
    config = read_config(file, only, settings, bootstrap_servers)
    if connect_is_down:
        if to is not Engine.native:
            raise ConfigError("--connect-is-down goes with --to native only")
        done = to_native(config, None, wait_seconds=wait, say=_say)
        _say(f"Connect was not asked: when it answers again, run `seam connectors stop {name}` first of all")
        _tell(done, output)
        return
    with ExitStack() as stack:
        api = stack.enter_context(open_cluster(connect_url, content.connect, str(file)))
        cluster = api.server().kafka_cluster_id

        def waiting() -> None:
            _say("another apply or hand-over works on this cluster; waiting until it has ended")

        stack.enter_context(exclusive(cluster, wait=wait, waiting=waiting))
        stack.enter_context(exclusive_everywhere(config.kafka, cluster, wait=wait, waiting=waiting))
        api.redaction.learn(desired.config)
        let_sigterm_interrupt()
        try:
            if to is Engine.connect:
                done = to_connect(config, desired.config, api, wait_seconds=wait, settle_seconds=settle, say=_say)
            else:
                done = to_native(config, api, wait_seconds=wait, say=_say)
        except KeyboardInterrupt:
            raise HandoverInterrupted(
                f"{name}: interrupted before the hand-over to {to} was done; nothing is lost",
                hint="run the same command again, or the opposite one; what was said above is done",
            ) from None
    _tell(done, output)


def _say(text: str) -> None:
    STDERR.print(text, style="dim", markup=False)


def _tell(done: Handover, output: Output) -> None:
    if output is Output.json:
        write_json(done.as_json())
        return
    if done.pause_seconds == 0.0:
        STDOUT.print(f"{done.connector}: {done.to} runs it already", markup=False)
        return
    pause = "" if done.pause_seconds is None else f", nobody read from the slot for {done.pause_seconds:.1f} s"
    delivers = "" if done.delivers is not False else "; it has stored no position yet"
    STDOUT.print(
        f"{done.connector}: {done.to} goes on at {done.position} of slot {done.slot}{pause}{delivers}", markup=False
    )
