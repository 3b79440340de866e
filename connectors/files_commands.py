"""`seam connectors template, export`: from a system or a live cluster to files."""

from __future__ import annotations

import sys
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from connectors import export as exporting
from connectors import show
from connectors.cluster import observe
from connectors.console import Output, write_json
from connectors.daily_commands import OutputOption, UrlOption, open_cluster
from connectors.operate import Operator
from connectors.overview import learn_plugins
from connectors.templates import PRESETS
from connectors.templates import kinds as template_kinds
from connectors.templates import template as make_template

files = typer.Typer(add_completion=False)


class Format(StrEnum):
    """A form of configuration file."""

    TOML = "toml"
    PROPERTIES = "properties"


@files.command()
def export(
    directory: Annotated[Path, typer.Argument(metavar="DIR", help="Where one file per connector is written.")],
    names: Annotated[list[str] | None, typer.Argument(metavar="[NAME]...", help="Default: all.")] = None,
    connect_url: UrlOption = None,
    output: OutputOption = Output.table,
    force: Annotated[bool, typer.Option("--force", help="Replace files that are there.")] = False,
) -> None:
    """Write a live cluster into files, with references in place of secrets."""
    with open_cluster(connect_url) as api:
        observed = observe(api)
        learn_plugins(api, observed)
        operator = Operator(api)
        for name in names or ():
            operator.existing(name)
        chosen = [exporting.exported(name, observed[name].config, api.redaction) for name in sorted(names or observed)]
    written = exporting.write_files(chosen, directory, force=force)
    if output is Output.json:
        documents = [
            {"name": one.name, "file": str(written[one.name]), "variables": dict(one.variables)} for one in chosen
        ]
        write_json({"connectors": documents})
        return
    for one in chosen:
        show.say_result(f"{one.name}: {written[one.name]}")
        for variable, key in one.variables.items():
            show.say(f"    {variable} must hold the value of {key} on every worker (config.providers=env)")


@files.command()
def template(
    kind: Annotated[str | None, typer.Argument(metavar="[KIND]", help="The system; default: list them.")] = None,
    name: Annotated[str | None, typer.Option("--name", help="The connector's name (default: the kind).")] = None,
    preset: Annotated[
        list[str] | None, typer.Option("--preset", help=f"Transforms: {', '.join(PRESETS)}; may be repeated.")
    ] = None,
    format: Annotated[
        Format, typer.Option("--format", help="Of the file that is written to standard output.")
    ] = Format.TOML,
    output: OutputOption = Output.table,
) -> None:
    """Write a complete, commented configuration for a system, with a check list for the system's own side."""
    if kind is None:
        titles = template_kinds()
        if output is Output.json:
            write_json(
                {"kinds": [{"kind": kind, "title": title} for kind, title in titles.items()], "presets": PRESETS}
            )
        else:
            show.plain_table(("kind", "what it is"), titles.items())
        return
    made = make_template(kind, name=name, presets=preset or ())
    if output is Output.json:
        write_json({"name": made.name, "config": made.config})
        for entry in made.checklist:
            show.say(f"[ ] {entry}")
    else:
        sys.stdout.write(made.properties() if format is Format.PROPERTIES else made.text)
