"""`seam connectors offsets show, set, reset, copy`; with `--native` those of the native engine."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Annotated

import typer

from cdc.errors import ConfigError
from connectors import offsets as offset_work
from connectors import show
from connectors.connect_types import Offset
from connectors.console import Output, write_json
from connectors.daily_commands import (
    NameArgument,
    OutputOption,
    ServersOption,
    SettleOption,
    TimeoutOption,
    UrlOption,
    open_cluster,
)
from connectors.operate import Operator

offsets_app = typer.Typer(name="offsets", help="Offsets of a connector; it is stopped meanwhile.", no_args_is_help=True)

NameOrFile = Annotated[str, typer.Argument(metavar="NAME|FILE", help="The connector; with --native its file.")]
NativeOption = Annotated[
    bool, typer.Option("--native", help="The native engine's position, in the shape of Debezium's offsets.")
]
OnlyOption = Annotated[str | None, typer.Option("--only", help="With --native: the connector, of a file with several.")]
SettingsOption = Annotated[
    list[str] | None, typer.Option("--set", help="With --native: name=value, over file and environment; may repeat.")
]


@offsets_app.command("show")
def offsets_show(
    name: NameOrFile,
    native: NativeOption = False,
    only: OnlyOption = None,
    settings: SettingsOption = None,
    bootstrap_servers: ServersOption = None,
    connect_url: UrlOption = None,
    output: OutputOption = Output.table,
) -> None:
    """Show the offsets stored for a connector, or with --native where the native engine stands.

    What --native --output json writes is what `offsets set NAME FILE` takes: Debezium on Connect then goes on there.
    """
    if native:
        from connectors.native_offsets import findings, read_native, to_debezium
        from connectors.pipeline_commands import read_config

        config = read_config(Path(name), only, settings, bootstrap_servers)
        record = read_native(config)
        show.findings(findings(record))
        name, documents = config.name, offset_work.as_documents(to_debezium(record, config.options["topic.prefix"]))
    else:
        _only_with_native(only, settings)
        with open_cluster(connect_url) as api:
            operator = Operator(api)
            operator.existing(name)
            documents = offset_work.as_documents(api.offsets(name))
    if output is Output.json:
        write_json({"connector": name, "offsets": documents})
    else:
        show.offsets(documents)


@offsets_app.command("set")
def offsets_set(
    name: NameOrFile,
    file: Annotated[Path, typer.Argument(metavar="OFFSETS", help="JSON as `offsets show --output json` writes it.")],
    native: NativeOption = False,
    only: OnlyOption = None,
    settings: SettingsOption = None,
    bootstrap_servers: ServersOption = None,
    connect_url: UrlOption = None,
    output: OutputOption = Output.table,
    timeout: TimeoutOption = 60.0,
    settle: SettleOption = 3.0,
) -> None:
    """Set offsets of a connector; it is stopped for that and then goes on as before.

    With --native, Debezium's offsets become the native engine's position; neither of the two may run meanwhile.
    """
    wanted = offset_work.read_offsets(file)
    if native:
        from connectors.native_offsets import set_native
        from connectors.pipeline_commands import read_config

        _show_change(set_native(read_config(Path(name), only, settings, bootstrap_servers), wanted), output)
        return
    _only_with_native(only, settings)
    _change_offsets(name, connect_url, output, (settle, timeout), lambda _operator: lambda _before: wanted)


@offsets_app.command("reset")
def offsets_reset(
    name: NameArgument,
    connect_url: UrlOption = None,
    output: OutputOption = Output.table,
    timeout: TimeoutOption = 60.0,
    settle: SettleOption = 3.0,
) -> None:
    """Forget all offsets of a connector; it starts as its snapshot.mode or auto.offset.reset says."""
    _change_offsets(name, connect_url, output, (settle, timeout), lambda _operator: lambda _before: None)


@offsets_app.command("copy")
def offsets_copy(
    source: Annotated[str, typer.Argument(metavar="FROM", help="The connector whose offsets are read.")],
    target: Annotated[str, typer.Argument(metavar="TO", help="The connector that gets them.")],
    connect_url: UrlOption = None,
    output: OutputOption = Output.table,
    timeout: TimeoutOption = 60.0,
    settle: SettleOption = 3.0,
) -> None:
    """Give a connector the offsets of another one, under its own topic prefix."""

    def prepare(operator: Operator) -> Callable[[list[Offset]], Sequence[Offset]]:
        configs = operator.existing(source), operator.existing(target)
        stored = operator.api.offsets(source)
        if not stored:
            raise ConfigError(f"{source} has no offsets that could be copied")
        return lambda _before: offset_work.translated(stored, *configs)

    _change_offsets(target, connect_url, output, (settle, timeout), prepare)


def _change_offsets(
    name: str,
    connect_url: str | None,
    output: Output,
    patience: tuple[float, float],
    prepare: Callable[[Operator], Callable[[list[Offset]], Sequence[Offset] | None]],
) -> None:
    with open_cluster(connect_url) as api:
        operator = Operator(api, settle=patience[0], timeout=patience[1])
        change = offset_work.change(operator, name, prepare(operator))
    _show_change(change, output)


def _only_with_native(only: str | None, settings: list[str] | None) -> None:
    if only or settings:
        raise ConfigError("--only and --set choose from a file, which only --native reads", hint="add --native")


def _show_change(change: offset_work.OffsetChange, output: Output) -> None:
    if output is Output.json:
        write_json(change.as_json())
    else:
        show.offset_change(change)
