"""`seam transform FILE < records.jsonl`: a chain tried out without Kafka and without a connector."""

from __future__ import annotations

import sys
from typing import Annotated

import typer
from rich.markup import escape

from cdc.errors import ConfigError, Problem
from cdc.model.javaerrors import JavaError
from cdc.properties import load, override, resolve
from cdc.transforms import Surroundings, compile_chain
from cdc.transforms.dry_run import DryRun, line_text
from connectors.console import STDERR
from connectors.pipeline_commands import File, Only, Settings
from connectors.postgres_options import OPTIONS

_LOOKED_AT = ("transforms", "predicates", "key.converter", "value.converter", "header.converter", "errors.", "seam.")


def transform(
    file: File,
    only: Only = None,
    settings: Settings = None,
    explain: Annotated[bool, typer.Option("--explain", help="What comes out of each step.")] = False,
    diff: Annotated[bool, typer.Option("--diff", help="Each record before and after.")] = False,
) -> None:
    """Run the chain of FILE over records on standard input, one JSON object a line, and print what comes out.

    A line holds topic, key, value, headers, partition, timestamp; key and value are {"schema", "payload"} documents, or
    plain JSON where the file says value.converter.schemas.enable=false. Ends with 4 at the first record that the chain
    refuses; with errors.tolerance=all the refusal is printed as a line and the run goes on.
    """
    if explain and diff:
        raise ConfigError([Problem("--explain, --diff", "are two views of one run; give one of them")])
    name, properties = load(file).connector(only)
    declared = [(option.name, option.environment_name) for option in OPTIONS.options.values()]
    given = override(properties, declared=declared, settings=settings or ())
    # A laptop has no password of the database, and needs none.
    properties = resolve({key: text for key, text in given.items() if key.startswith(_LOOKED_AT)}, source=str(file))
    compat = properties.get("seam.compat", "safe").strip().lower()
    chain = compile_chain(properties, Surroundings(strict=compat == "strict", source={"connector": name}))
    if chain.needs_reader:
        raise ConfigError(
            [Problem("transforms", "a Lookup reads its reference topic from Kafka, and this run has none")],
            hint="leave the step out with --set transforms=..., or run the pipeline",
        )
    for finding in chain.findings:
        STDERR.print(
            f"[yellow]{finding.code}[/] {escape(finding.subject)}: {escape(finding.evidence)}; {escape(finding.remedy or '')}"
        )
    try:
        run = DryRun(chain, properties)
    except JavaError as error:
        raise ConfigError(error.shown, source=str(file)) from error
    view = run.explain if explain else run.diff if diff else run.run
    for line in view(sys.stdin):
        sys.stdout.write(line_text(line) + "\n")
        sys.stdout.flush()
    if run.failed:
        STDERR.print(f"{run.failed} record(s) refused, passed over because of errors.tolerance=all")
