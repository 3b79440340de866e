"""`seam debug`: how a pipeline does what it does."""

from __future__ import annotations

from typing import Annotated

import typer

from cdc.converters.json import JsonConverter
from cdc.errors import ConfigError, Problem
from cdc.layout import make_layout
from cdc.postgres.catalog import Catalog
from cdc.postgres.connection import connect
from cdc.postgres.preflight import captured
from cdc.postgres.snapshot_tables import describe
from cdc.render import ComposedRender
from connectors.console import STDOUT, Output, write_json, write_table
from connectors.emit import layout_options
from connectors.pipeline_commands import File, Only, OutputOption, Servers, Settings, read_config

app = typer.Typer(no_args_is_help=True, help="How a pipeline does what it does.")


@app.callback()
def _debug() -> None:
    """How a pipeline does what it does."""


@app.command()
def render(
    file: File,
    table: Annotated[str, typer.Argument(help="SCHEMA.TABLE.")],
    only: Only = None,
    settings: Settings = None,
    bootstrap_servers: Servers = None,
    output: OutputOption = Output.table,
) -> None:
    """How a table's rows become records: topic, key, schemas, and the source of the composed renderer."""
    config = read_config(file, only, settings, bootstrap_servers or "unused:0")
    catalog = Catalog(connect(config.source), config.source)
    try:
        tables = {found.qualified: found for found in captured(catalog.tables(), config.wanted.selection)}
        if table not in tables:
            near = tuple(name for name in tables if name.endswith("." + table.rpartition(".")[2]))
            raise ConfigError([Problem(table, f"is no table that {config.name!r} captures", near)])
        described = describe(catalog, tables[table].oid, config.wanted.publication)
        assert described is not None
        facts = catalog.table_facts(tables[table].oid)
        layout = make_layout(described.relation, facts, catalog.types(), layout_options(config, catalog))
    finally:
        catalog.connection.close()
    source = ComposedRender(layout, config.render).source
    schemas = JsonConverter(schemas_enable=False)
    keys = {column.name for column in layout.key}
    columns = [
        {
            "column": column.column.name, "type": described.types[column.column.name], "key": column.name in keys,
            "schema": schemas.schema_text(column.schema), "mapped": column.codec.exact,
        }
        for column in layout.columns
    ]  # fmt: skip
    if output is Output.json:
        write_json({"table": table, "topic": layout.topic, "columns": columns, "source": source})
        return
    write_table(
        f"{table} → {layout.topic}",
        ("column", "type", "key", "schema"),
        [(c["column"], c["type"], "key" if c["key"] else "", c["schema"]) for c in columns],
    )
    STDOUT.print(source, markup=False)
