"""`seam handover`: a running pipeline from one engine to the other, and back."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated

import typer

from cdc.errors import ConfigError
from cdc.properties import load
from connectors.connect_api import ConnectApi
from connectors.connect_settings import connect_settings
from connectors.console import STDERR, STDOUT, Output, write_json
from connectors.desired import read as read_desired
from connectors.engines import connect_only, native_only
from connectors.handover import to_connect, to_native
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
        str | None, typer.Option("--connect-url", envvar="SEAM_CONNECT_URL", help="A worker of the Connect cluster.")
    ] = None,
    wait: Annotated[float, typer.Option("--wait", help="Seconds for each side to stop or start.")] = 60.0,
    output: OutputOption = Output.table,
) -> None:
    """Hand a running pipeline to Debezium on Kafka Connect, or take it back, without a lost row."""
    config = read_config(file, only, settings, bootstrap_servers)
    content = load(file)
    _, properties = content.connector(only)
    desired = read_desired(file).connectors[config.name]
    at_fault = native_only(desired) if to is Engine.connect else connect_only(desired)
    if at_fault:
        other = "Connect" if to is Engine.connect else "the native engine"
        raise ConfigError(f"{file}: {other} cannot run this pipeline: {', '.join(at_fault)}")
    with ConnectApi(connect_settings(content.connect, url=connect_url, source=str(file))) as api:

        def say(text: str) -> None:
            STDERR.print(f"[dim]{text}[/]", highlight=False)

        if to is Engine.connect:
            done = to_connect(config, properties, api, wait_seconds=wait, say=say)
        else:
            done = to_native(config, api, wait_seconds=wait, say=say)
    if output is Output.json:
        write_json(done.as_json())
        return
    pause = "" if done.pause_seconds is None else f", pause {done.pause_seconds:.1f} s"
    STDOUT.print(f"{done.connector}: {done.to} goes on at {done.position} of slot {done.slot}{pause}")
