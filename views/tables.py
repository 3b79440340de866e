"""Which of a view's topics is meant."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TypeVar

from views.errors import QueryRefused

T = TypeVar("T")


def table_of(tables: Mapping[str, T], topic: str | None) -> T:
    """The table of a topic, by its name or its last part; the only one where none is named.

    Raises:
        QueryRefused: None or several would do.
    """
    if topic is not None and topic in tables:
        return tables[topic]
    if topic is None:
        if len(tables) == 1:
            return next(iter(tables.values()))
        raise QueryRefused(f"the view holds several topics: name one of {', '.join(sorted(tables))}")
    found = [table for name, table in tables.items() if name.rpartition(".")[2] == topic]
    if len(found) == 1:
        return found[0]
    raise QueryRefused(f"the view holds no topic {topic!r}, or several of that name: {', '.join(sorted(tables))}")
