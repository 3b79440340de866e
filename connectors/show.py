"""What the commands of `seam connectors` show to people: tables and coloured lines on standard output or error."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any, Final

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from cdc.report import Finding, Severity
from connectors.apply import Outcome, Step
from connectors.offsets import OffsetChange, as_documents
from connectors.plan import Change, Plan
from connectors.redact import Redaction

_SIGNS: Final = {"create": "[green]+[/]", "change": "[yellow]~[/]", "delete": "[red]-[/]", "none": " "}
_STATES: Final = {"RUNNING": "green", "PAUSED": "yellow", "STOPPED": "yellow", "FAILED": "red", "DEGRADED": "red"}
_SEVERITIES: Final = {Severity.BLOCKS: "red", Severity.WARNING: "yellow"}


def out() -> Console:
    """Where results go; in a pipe no line is folded to the width of a terminal that is not there."""
    return Console(highlight=False, soft_wrap=True, width=None if sys.stdout.isatty() else 1000)


def err() -> Console:
    """Where everything else goes."""
    return Console(stderr=True, highlight=False, soft_wrap=True)


def line(content: Any) -> None:
    """One JSON line of a command that writes many."""
    sys.stdout.write(json.dumps(content, ensure_ascii=False) + "\n")
    sys.stdout.flush()


def say(text: str) -> None:
    """A remark, on standard error."""
    err().print(escape(text))


def findings(found: Iterable[Finding]) -> None:
    """Findings that belong to no connector, on standard error."""
    for finding in found:
        err().print(_finding(finding, lambda text: text))


def plan(content: Plan, redaction: Redaction) -> None:
    """A plan, connector by connector; what is left alone is only counted."""
    console = out()
    for change in content.changes:
        if change.action == "none" and not (change.findings or change.problems):
            continue
        console.print(f"{_SIGNS[change.action]} {escape(change.connector)}  [dim]{change.action}[/]")
        for text in _change_lines(change, redaction):
            console.print(f"    {text}")
    counts = {action: sum(1 for c in content.changes if c.action == action) for action in _SIGNS}
    console.print(
        f"{counts['create']} to create, {counts['change']} to change, {counts['delete']} to delete, "
        f"{counts['none']} as they should be"
    )


def _change_lines(change: Change, redaction: Redaction) -> Iterable[str]:
    for key in change.keys if change.action != "delete" else ():
        before, after = (
            "absent" if value is None else escape(redaction.value(key.key, value)) + (" (default)" if default else "")
            for value, default in ((key.before, key.before_default), (key.after, key.after_default))
        )
        yield f"{escape(key.key)}: {after}" if change.action == "create" else f"{escape(key.key)}: {before} → {after}"
        if key.key in change.risks:
            yield f"    [yellow]risk: {escape(change.risks[key.key])}[/]"
    yield from (f"[dim]{escape(redaction.text(note))}[/]" for note in change.notes)
    yield from (_finding(finding, redaction.text) for finding in change.findings)
    for problem in change.problems:
        yield f"[red]refused by the worker: {escape(redaction.text(str(problem)))}[/]"


def _finding(finding: Finding, scrub: Any) -> str:
    colour = _SEVERITIES.get(finding.severity, "dim")
    remedy = f"; {finding.remedy}" if finding.remedy else ""
    return f"[{colour}]{finding.code} {escape(scrub(f'{finding.subject}: {finding.evidence}{remedy}'))}[/]"


def step(happened: Step) -> None:
    """Progress of an apply, on standard error."""
    colour = {"failed": "red", "rolled back": "yellow", "settled": "green", "deleted": "green"}.get(
        happened.phase, "dim"
    )
    text = f": {escape(happened.text)}" if happened.text else ""
    err().print(f"{escape(happened.connector)}: [{colour}]{happened.phase}[/]{text}")


def outcomes(found: Sequence[Outcome]) -> None:
    """What became of each connector that was not left alone."""
    changed = [outcome for outcome in found if outcome.result != "unchanged"]
    if not changed:
        out().print("nothing to do")
        return
    rows = [(escape(o.connector), o.action, o.result, f"{o.seconds:.1f}", escape(o.cause or "")) for o in changed]
    table(("connector", "action", "result", "seconds", "cause"), rows)


def connectors(documents: Sequence[Mapping[str, Any]], *, lag: bool) -> None:
    """The list of connectors."""
    columns = ("name", "state", "type", "tasks", *(("lag",) if lag else ()), "worker", "version", "class")
    rows = []
    for entry in documents:
        tasks = f"{entry['tasks']['running']}/{entry['tasks']['total']}"
        shown = [escape(entry["name"]), coloured(entry["state"]), entry["type"] or "", tasks]
        if lag:
            shown.append("" if entry["lag"] is None else str(entry["lag"]))
        rows.append((*shown, ", ".join(entry["workers"]), entry["version"] or "", escape(entry["class"])))
    table(columns, rows)


def statuses(documents: Sequence[Mapping[str, Any]]) -> None:
    """Connectors with their parts, causes and what to do."""
    console = out()
    if not documents:
        console.print("the cluster has no connectors")
    for entry in documents:
        console.print(f"{escape(entry['name'])}  {coloured(entry['state'])}  [dim]{entry['type'] or ''}[/]")
        parts = [("connector", entry["connector"])] if entry["connector"] else []
        parts += [(f"task {task['id']}", task) for task in entry["tasks"]]
        for label, part in parts:
            console.print(f"    {label}  {coloured(part['state'])}  [dim]{escape(part['worker'])}[/]")
            if "cause" in part:
                console.print(f"        [red]{escape(part['cause'])}[/]")
                if part["advice"]:
                    console.print(f"        {escape(part['advice'])}")


def coloured(state: str) -> str:
    """A state in its colour."""
    colour = _STATES.get(state)
    return f"[{colour}]{state}[/]" if colour else state


def table(columns: Sequence[str], rows: Iterable[Sequence[str]]) -> None:
    """A table; cells are markup, so what comes from elsewhere is escaped."""
    shown = Table(box=None, pad_edge=False, header_style="bold")
    for column in columns:
        shown.add_column(column, overflow="fold")
    for row in rows:
        shown.add_row(*row)
    out().print(shown)


def plain_table(columns: Sequence[str], rows: Iterable[Sequence[str]]) -> None:
    """A table whose cells are shown as they are."""
    table(columns, [[escape(cell) for cell in row] for row in rows])


def say_result(text: str) -> None:
    """A result of one line."""
    out().print(escape(text))


def validation(content: Plan, redaction: Redaction) -> None:
    """What is wrong with each connector."""
    console = out()
    for change in content.changes:
        fine = not change.problems and not any(f.severity is Severity.BLOCKS for f in change.findings)
        console.print(f"{escape(change.connector)}  {'[green]valid[/]' if fine else '[red]invalid[/]'}")
        for text in _change_lines(replace(change, keys=()), redaction):
            console.print(f"    {text}")


def drift(found: Mapping[str, Any], content: Plan, redaction: Redaction) -> None:
    """Where the cluster is not as the files say."""
    console = out()
    plan(content, redaction)
    for entry in found["states"]:
        console.print(f"{escape(entry['connector'])} is {coloured(entry['state'])}")
    for entry in found["unknown"]:
        console.print(f"{escape(entry['connector'])} [dim]stands in no file ({escape(entry['owner'] or 'no mark')})[/]")
    console.print("the cluster has drifted" if found["drift"] else "the cluster is as the files say")


def connector(found: Mapping[str, Any]) -> None:
    """Everything about one connector."""
    statuses([found])
    console = out()
    console.print("[bold]configuration[/]")
    for key, value in found["config"].items():
        console.print(f"    {escape(key)} = {escape(value)}")
    console.print(f"[bold]topics[/]  {escape(', '.join(found['topics']) or 'none used')}")
    console.print("[bold]offsets[/]")
    offsets(found["offsets"])


def offsets(documents: Sequence[Mapping[str, Any]]) -> None:
    """Stored offsets, one a line."""
    for entry in documents:
        console = out()
        partition, offset = (json.dumps(entry[half], ensure_ascii=False) for half in ("partition", "offset"))
        console.print(f"    {escape(partition)} [dim]→[/] {escape(offset)}")
    if not documents:
        out().print("    none stored")


def offset_change(change: OffsetChange) -> None:
    """Offsets before and after."""
    console = out()
    console.print("[bold]before[/]")
    offsets(as_documents(change.before))
    console.print("[bold]after[/]")
    offsets(as_documents(change.after))
    console.print(escape(change.message))


def explanation(found: Mapping[str, Any]) -> None:
    """What a key means."""
    console = out()
    console.print(f"[bold]{escape(found['key'])}[/]")
    for one in found["definitions"]:
        default = "required" if one["required"] else f"default {one['default']!r}"
        console.print(
            f"  {escape(one['plugin'])}: {one['type']}, {escape(default)}, importance {one['importance'].lower()}"
        )
        if one["documentation"]:
            console.print(f"    {escape(one['documentation'])}")
    if found["risk"]:
        console.print(f"  [yellow]risk when changed: {escape(found['risk'])}[/]")
