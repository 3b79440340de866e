"""What people and programs see: tables and colour on a terminal, one JSON document for programs.

With `--output json` standard output is exactly one document, and everything else goes to standard error.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable, Sequence
from enum import StrEnum
from typing import Any, Final

import orjson
from rich.console import Console
from rich.markup import escape

from cdc.report import Finding, Severity

# In a pipe no line is folded to the width of a terminal that is not there: SQL must stay SQL.
STDOUT: Final = Console(highlight=False, width=None if sys.stdout.isatty() else 1000)
STDERR: Final = Console(stderr=True, highlight=False, width=None if sys.stderr.isatty() else 1000)


class Output(StrEnum):
    """The form of a command's result."""

    table = "table"
    json = "json"


_COLOURS: Final = {
    Severity.BLOCKS: "bold red", Severity.WARNING: "yellow", Severity.NOTE: "cyan", Severity.UNKNOWN: "magenta",
    Severity.OK: "green",
}  # fmt: skip


def write_json(document: Any, *, line: bool = False) -> None:
    """The one document of a command; with `line` one of several, each a line."""
    option = None if line else orjson.OPT_INDENT_2
    sys.stdout.write(orjson.dumps(document, option=option, default=str).decode() + "\n")
    sys.stdout.flush()


def write_table(title: str, columns: Sequence[str], rows: Iterable[Sequence[Any]]) -> None:
    """A table for people; "nothing" where there are no rows."""
    from rich.table import Table  # only where there is one to print

    table = Table(title=title, title_justify="left", header_style="bold", expand=False)
    for column in columns:
        table.add_column(column, overflow="fold")
    count = 0
    for row in rows:
        table.add_row(*(escape("" if cell is None else str(cell)) for cell in row))
        count += 1
    if count:
        STDOUT.print(table)
    else:
        STDOUT.print(f"{title}: nothing")


def finding_line(finding: Finding) -> str:
    """A finding as one line with markup."""
    colour = _COLOURS[finding.severity]
    return f"[{colour}]{finding.severity.value:<8}[/] {finding.code} [bold]{escape(finding.subject)}[/]: {escape(finding.evidence)}"


def tell(finding: Finding) -> None:
    """A finding on standard error, while something runs."""
    STDERR.print(finding_line(finding))


def write_findings(findings: Sequence[Finding], output: Output) -> None:
    """All findings of a check, the ones that block first."""
    order = list(_COLOURS)
    ranked = sorted(findings, key=lambda finding: order.index(finding.severity))
    if output is Output.json:
        write_json({"findings": [finding.as_json() for finding in ranked]})
        return
    for finding in ranked:
        STDOUT.print(finding_line(finding))
        if finding.remedy:
            STDOUT.print(f"           [dim]{escape(finding.remedy)}[/]")


def bytes_text(count: float | None) -> str:
    """A size for people: `1.5 MB`."""
    if count is None:
        return "-"
    for unit in ("B", "kB", "MB", "GB"):
        if abs(count) < 1000:
            return f"{count:.0f} {unit}" if unit == "B" else f"{count:.1f} {unit}"
        count /= 1000
    return f"{count:.1f} TB"
