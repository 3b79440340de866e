"""`seam debug`: what the engine makes of a configuration, for those who want to see inside."""

from __future__ import annotations

from typing import Annotated

import typer

from connectors.console import STDOUT, Output, write_json, write_table
from connectors.pipeline_commands import File, Only, OutputOption, Servers, Settings, read_config
from connectors.rendering import COLUMNS, rendering_of

app = typer.Typer(no_args_is_help=True, add_completion=False, help="See how the engine works on a configuration.")


@app.callback()
def _debug() -> None:
    """See how the engine works on a configuration."""


@app.command()
def render(
    file: File,
    table: Annotated[str, typer.Argument(help="The table, schema.table.")],
    only: Only = None,
    settings: Settings = None,
    bootstrap_servers: Servers = None,
    output: OutputOption = Output.table,
) -> None:
    """Show how the rows of a table become records: topic, key, columns, and the code that is composed for them."""
    # Nothing is sent: Kafka need not be named.
    rendering = rendering_of(read_config(file, only, settings, bootstrap_servers or "unused:9092"), table)
    if output is Output.json:
        write_json(rendering.as_json())
        return
    key = ", ".join(rendering.key) or "none"
    write_table(
        f"{rendering.table} -> {rendering.topic}, key: {key}, identity: {rendering.identity}", COLUMNS, rendering.rows
    )
    STDOUT.print(
        rendering.source or "rendered in the plain form: a transform or a converter other than JSON is configured",
        markup=False,
    )
