"""What a batch comes to: the last change of each key."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from cdc.lsn import Position
from views.batch import Batch, Truncation

Entry = tuple[bytes, int, int, Position | None]
"""Value, partition, offset, source."""

Changes = dict[bytes, Entry | None]
"""By key; None for a row that goes."""

Stored = Callable[[str], Iterable[tuple[bytes, Position | None]]]
"""Keys and sources of the rows of a topic as they are stored."""


def final_changes(batch: Batch, stored: Stored) -> dict[str, Changes]:
    """The last change of each key by topic, truncations resolved.

    Args:
        batch: What is applied.
        stored: Asked only where a truncation has to find the rows that it empties.
    """
    changes: dict[str, Changes] = {}
    for item in batch.items:
        into = changes.setdefault(item.topic, {})
        if isinstance(item, Truncation):
            for key, source in stored(item.topic):
                if key not in into and item.covers(source):
                    into[key] = None
            for key, entry in into.items():
                if entry is not None and item.covers(entry[3]):
                    into[key] = None
            continue
        partition, sources = item.partition, item.sources
        if sources is None:
            for key, value, offset in zip(item.keys, item.values, item.offsets, strict=True):
                into[key] = None if value is None else (value, partition, offset, None)
        else:
            for key, value, offset, source in zip(item.keys, item.values, item.offsets, sources, strict=True):
                into[key] = None if value is None else (value, partition, offset, source)
    return changes
