"""Which tables and columns are captured: Debezium's include and exclude lists.

Each list holds regular expressions that must match the whole name, without regard to case.
Source: Debezium documentation, Postgres connector, "Required connector configuration properties".
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from cdc.errors import Problem

BUILT_IN_SCHEMAS: Final = frozenset({"pg_catalog", "information_schema", "pg_toast"})


def split_patterns(text: str | None) -> list[str]:
    r"""The regular expressions of a comma list; `\,` is a comma inside one."""
    if not text:
        return []
    return [part.strip().replace("\\,", ",") for part in re.split(r"(?<!\\),", text) if part.strip()]


def compile_patterns(text: str | None) -> list[re.Pattern[str]]:
    """The compiled expressions of a comma list.

    Raises:
        ValueError: One of them is not a regular expression.
    """
    compiled = []
    for pattern in split_patterns(text):
        try:
            compiled.append(re.compile(pattern, re.IGNORECASE))
        except re.error as error:
            raise ValueError(f"{pattern!r} is not a regular expression: {error}") from None
    return compiled


def patterns_complaint(text: Any) -> str | None:
    """What is wrong with a comma list of expressions, or None: the check of such an option."""
    try:
        compile_patterns(text)
    except ValueError as error:
        return str(error)
    return None


def _matcher(text: str | None) -> Callable[[str], bool]:
    patterns = compile_patterns(text)
    return lambda name: any(pattern.fullmatch(name) for pattern in patterns)


@dataclass(frozen=True, slots=True)
class Selection:
    """What the lists select.

    Attributes:
        schema: Whether a schema is captured.
        table: Whether `schema.table` is captured, its schema's list aside.
        column: Whether `schema.table.column` is published in values.
    """

    schema: Callable[[str], bool]
    table: Callable[[str], bool]
    column: Callable[[str], bool]

    def captures(self, schema: str, table: str) -> bool:
        """Whether a table is captured."""
        return schema not in BUILT_IN_SCHEMAS and self.schema(schema) and self.table(f"{schema}.{table}")

    def publishes(self, schema: str, table: str, column: str) -> bool:
        """Whether a column of a captured table is published."""
        return self.column(f"{schema}.{table}.{column}")


_PAIRS: Final = (
    ("schema.include.list", "schema.exclude.list"),
    ("table.include.list", "table.exclude.list"),
    ("column.include.list", "column.exclude.list"),
)


def selection_problems(options: Mapping[str, Any]) -> list[Problem]:
    """Lists that cannot stand beside each other."""
    return [
        Problem(include, f"cannot be set together with {exclude}")
        for include, exclude in _PAIRS
        if options.get(include) and options.get(exclude)
    ]


def select(options: Mapping[str, Any]) -> Selection:
    """The selection that the six lists of a configuration make."""

    def one(include: str, exclude: str) -> Callable[[str], bool]:
        if options.get(include):
            return _matcher(options[include])
        if options.get(exclude):
            excluded = _matcher(options[exclude])
            return lambda name: not excluded(name)
        return lambda _name: True

    return Selection(*(one(include, exclude) for include, exclude in _PAIRS))


def literal_tables(patterns: Sequence[str]) -> list[str]:
    """Those expressions of a list that are plain names: what is missing among them deserves a finding."""
    return [pattern.replace("\\.", ".") for pattern in patterns if re.fullmatch(r"[\w$]+\\?\.[\w$]+", pattern)]
