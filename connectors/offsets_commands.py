"""`seam connectors offsets show, set, reset, copy`."""

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
from connectors.daily_commands import NameArgument, OutputOption, SettleOption, TimeoutOption, UrlOption, open_cluster
from connectors.operate import Operator

offsets_app = typer.Typer(name="offsets", help="Offsets of a connector; it is stopped meanwhile.", no_args_is_help=True)


@offsets_app.command("show")
def offsets_show(name: NameArgument, connect_url: UrlOption = None, output: OutputOption = Output.table) -> None:
    """Show the offsets stored for a connector."""
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
    name: NameArgument,
    file: Annotated[Path, typer.Argument(metavar="FILE", help="JSON as `offsets show --output json` writes it.")],
    connect_url: UrlOption = None,
    output: OutputOption = Output.table,
    timeout: TimeoutOption = 60.0,
    settle: SettleOption = 3.0,
) -> None:
    """Set offsets of a connector; it is stopped for that and then goes on as before."""
    wanted = offset_work.read_offsets(file)
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
    if output is Output.json:
        write_json(change.as_json())
    else:
        show.offset_change(change)
