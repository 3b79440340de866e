"""What differs between two configurations of a connector, seen as the worker sees them. Pure.

Keys that a worker adds itself, defaults, the order of keys, and the spelling of numbers, booleans, lists and class
names are no difference. Everything else is: a key that only the cluster has, with a value that is not the default,
would be removed by an apply.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation
from typing import Final

from connectors.connect_types import Config, KeyDefinition
from connectors.redact import is_masked

OWNER: Final = "seam.owner"  # our mark on a connector of a cluster

_UNORDERED: Final = (".include.list", ".exclude.list", "topics")
_NUMBERS: Final = ("INT", "LONG", "SHORT", "DOUBLE")


@dataclass(frozen=True, slots=True)
class Difference:
    """One key whose effective value changes.

    Attributes:
        key: The key.
        before: What the cluster has: its own value, else the default, else None.
        after: What it would have.
        before_default: Whether `before` is a default.
        after_default: Whether `after` is a default.
    """

    key: str
    before: str | None
    after: str | None
    before_default: bool = False
    after_default: bool = False


def is_ignored(key: str) -> bool:
    """Whether a key on the cluster says nothing about what was asked for."""
    return key in ("name", OWNER) or key.startswith("__internal.")


def plain(config: Mapping[str, str]) -> Config:
    """A configuration without keys that say nothing."""
    return {key: value for key, value in config.items() if not is_ignored(key)}


def differences(
    desired: Mapping[str, str], observed: Mapping[str, str], definitions: Mapping[str, KeyDefinition]
) -> list[Difference]:
    """Keys whose effective value would change, in the order of the file, then of the cluster.

    Args:
        desired: The configuration that a file asks for.
        observed: The configuration on the cluster.
        definitions: What the plugin, its transforms and the worker declare; may be empty.
    """
    wanted, there = plain(desired), plain(observed)
    found: list[Difference] = []
    for key in [*wanted, *(key for key in there if key not in wanted)]:
        before, after = there.get(key), wanted.get(key)
        if before == after or (before is not None and after is not None and is_masked(before)):
            continue
        definition = definitions.get(key)
        default = definition.default_value if definition is not None else None
        effective_before = before if before is not None else default
        effective_after = after if after is not None else default
        if effective_before is not None and effective_after is not None:
            type = definition.type if definition is not None else _guessed_type(key)
            if _same(key, type, effective_before, effective_after):
                continue
        found.append(
            Difference(
                key,
                effective_before,
                effective_after,
                before_default=before is None and default is not None,
                after_default=after is None and default is not None,
            )
        )
    return found


def _guessed_type(key: str) -> str:
    """For keys that no definition was given for: enough to compare classes and lists."""
    if (
        key == "connector.class"
        or key.endswith(".converter")
        or (key.startswith("transforms.") and key.endswith(".type"))
    ):
        return "CLASS"
    return "LIST" if key.endswith(_UNORDERED) or key in ("transforms", "predicates") else "STRING"


def _same(key: str, type: str, one: str, other: str) -> bool:
    one, other = one.strip(), other.strip()
    if one == other:
        return True
    if type == "BOOLEAN":
        return one.lower() == other.lower()
    if type in _NUMBERS:
        try:
            return Decimal(one) == Decimal(other)
        except InvalidOperation:
            return False
    if type == "LIST" or key == "topics":
        items, others = ([item.strip() for item in text.split(",")] for text in (one, other))
        return sorted(items) == sorted(others) if key.endswith(_UNORDERED) else items == others
    if type == "CLASS" or key == "connector.class":
        return _same_class(one, other, connector=key == "connector.class")
    return False


def _same_class(one: str, other: str, *, connector: bool) -> bool:
    """Whether one is the other's short name, as Connect's plugin aliases go; two full names must be equal."""
    if "." in one and "." in other:
        return False
    aliases = []
    for name in (one, other):
        simple = name.rpartition(".")[2]
        aliases.append(simple.removesuffix("Connector") if connector else simple.removesuffix("Converter"))
    return aliases[0] == aliases[1]
