"""Which topics a chain of transforms leads a table's records to, as far as that can be known beforehand."""

from __future__ import annotations

from typing import Final

from cdc.errors import TransformError
from cdc.model.record import SourceRecord
from cdc.transforms import Chain

_CONTENT: Final = frozenset({"key", "value", "tombstone", "headers", "position"})
_ANY: Final = object()
"""Stands for a key and a value that no step looks at."""


def renamed(chain: Chain, topic: str) -> str | None:
    """The one topic that all of a table's records come out in, whatever the chain makes of what they hold.

    A user's Python step is taken to leave the topic alone.

    Args:
        chain: The chain.
        topic: The topic before it.

    Returns:
        None where a step leads records to topics by more than the topic that they come with.
    """
    record = SourceRecord(topic, None, None, _ANY, None, _ANY)
    for step in chain.steps:
        if not step.transform.routes:
            continue
        if step.reads - {"topic"}:
            return None
        if step.applies(record):
            changed = step.transform.apply(record)
            assert changed is not None
            record = changed
    return record.topic


def routed(chain: Chain, topic: str) -> list[str] | None:
    """The topics that records of a topic come out in.

    Args:
        chain: The chain.
        topic: The topic before it.

    Returns:
        None where that depends on what the records hold.
    """
    if not chain.steps:
        return [topic]
    if chain.reads & _CONTENT:
        return None
    try:
        return [record.topic for record in chain.apply(SourceRecord(topic, None, None, _ANY, None, _ANY))]
    except TransformError:
        return None  # as for a timestamp that only a record has; the first one shows it
