"""The tables of `docs/transforms.md`, from the declarations."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from cdc.transforms.base import Predicate, Transform
from cdc.transforms.configdef import NO_DEFAULT, Key
from cdc.transforms.debezium.options import is_required
from cdc.transforms.registry import PREDICATES, REFUSED, TRANSFORMS


def class_tables() -> str:
    """Every class with its options and defaults, then what is refused, as Markdown."""
    transforms = {found.java_name: found for found in TRANSFORMS.values()}
    predicates = {found.java_name: found for found in PREDICATES.values()}
    refused = [f"| `{name}` | {reason} |" for name, reason in sorted(REFUSED.items()) if "." in name]
    return "\n".join([
        "| Transform | Options (default) |", "|---|---|", *_rows(transforms), "",
        "| Predicate | Options (default) |", "|---|---|", *_rows(predicates), "",
        "| Refused at start | Why, and what instead |", "|---|---|", *refused, "",
    ])  # fmt: skip


def _rows(found: dict[str, type[Transform]] | dict[str, type[Predicate]]) -> Iterable[str]:
    for name in sorted(found):
        if name.endswith("$Key"):
            continue
        both = name.removesuffix("$Value")
        shown = f"`{both}$Key`, `$Value`" if name.endswith("$Value") else f"`{name}`"
        config = found[name].config
        declared = {key.name for key in config.keys}
        options = [*map(_option, config.keys), *[f"`{name}`" for name in sorted(config.names - declared)]]
        yield f"| {shown} | {'; '.join(options) or 'none'} |"


def _option(key: Key) -> str:
    return f"`{key.name}` ({_default(key)})"


def _default(key: Key) -> Any:
    if key.default is NO_DEFAULT or is_required in key.late:
        return "required"
    if key.default is None:
        return "none"
    if isinstance(key.default, bool):
        return "true" if key.default else "false"
    return "empty" if key.default in ("", []) else f"`{key.default}`"
