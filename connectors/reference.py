"""The reference pages, generated from declarations: options of the native engine, commands of the command line."""

from __future__ import annotations

from typing import Any, Final

from cdc.options import REQUIRED, Option, Support
from connectors.postgres_options import OPEN_PREFIXES, OPTIONS, PATTERNS

_SUPPORT: Final = {
    Support.FULL: "yes",
    Support.IGNORED: "accepted, named once: it tunes Debezium",
    Support.NOTED: "accepted, without effect",
    Support.REFUSED: "refused where it would change data",
}


def options_page() -> str:
    """`docs/reference/options.md`."""
    lines = [
        "# Options",
        "",
        "Generated from the declarations in `connectors/postgres_options.py` by `make docs`. Names and defaults are Debezium's;",
        "those that begin with `seam.` are ours. Each can also be set by its environment variable, and by `--set name=value`.",
    ]
    group = None
    for option in OPTIONS.options.values():
        if option.group != group:
            group = option.group
            lines += [
                "",
                f"## {group}",
                "",
                "| option | type | default | carried out | what |",
                "|---|---|---|---|---|",
            ]
        lines.append(_row(option))
    lines += ["", "## Open names", "", "Names with a variable part, read by whoever they belong to:", ""]
    lines += [f"- `{prefix}*`" for prefix in OPEN_PREFIXES]
    lines += [f"- `{pattern}` (a pattern)" for pattern in PATTERNS]
    return "\n".join(lines) + "\n"


def _row(option: Option) -> str:
    default = "**required**" if option.default is REQUIRED else f"`{_default(option.default)}`"
    if option.default in (None, [], ""):
        default = ""
    choices = f" One of {', '.join(f'`{choice}`' for choice in option.choices)}." if option.choices else ""
    what = (option.doc + choices).replace("|", "\\|")
    return f"| `{option.name}` | {option.kind.value.lower()} | {default} | {_SUPPORT[option.support]} | {what} |"


def _default(value: Any) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    return ",".join(value) if isinstance(value, list) else str(value)
