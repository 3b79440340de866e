"""Whether a stored view can go on from where it stands, or has to be built anew. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

from cdc.kafka.follower import Bounds
from views.batch import Place, ViewState

MARGIN_SECONDS: Final = 60.0
"""Clocks of broker and view may differ by so much."""


@dataclass(frozen=True, slots=True)
class TopicFacts:
    """What the broker says of topics.

    Attributes:
        ids: Topic -> its id.
        delete_retention: Topic -> `delete.retention.ms` of compacted topics, seconds.
    """

    ids: Mapping[str, str] = field(default_factory=dict)
    delete_retention: Mapping[str, float] = field(default_factory=dict)


def reason_to_rebuild(
    state: ViewState, digest: str, bounds: Mapping[Place, Bounds], facts: TopicFacts, now: float
) -> str | None:
    """Why a stored view cannot go on; None when it can.

    Args:
        state: As stored.
        digest: Of the view's configuration now.
        bounds: What the partitions hold now.
        facts: What the broker says of the topics.
        now: Unix time, seconds.
    """
    if not state.complete:
        return "it was never complete"
    if state.config != digest:
        return "its configuration is another one now"
    for topic, identity in facts.ids.items():
        if topic in state.topic_ids and state.topic_ids[topic] != identity:
            return f"topic {topic} was made anew"
    for place, offset in state.offsets.items():
        held = bounds.get(place)
        where = f"{place[0]}/{place[1]}"
        if held is None:
            return f"{where} is gone"
        if offset < held.begin:
            return (
                f"{where} begins at offset {held.begin} now, the view stands at {offset}: what was between is not known"
            )
        if offset > held.end:
            return f"{where} ends at offset {held.end}, below the view's {offset}: it lost its end or was made anew"
    return tombstones_gone(state, facts, now)


def tombstones_gone(state: ViewState, facts: TopicFacts, now: float) -> str | None:
    """Why deletions may have been missed; None when none can have been.

    A compacted topic drops a tombstone `delete.retention.ms` after it was first cleaned, at the earliest that long
    after it was written: a view that has seen everything up to a moment misses none for that long.
    """
    for topic, seconds in facts.delete_retention.items():
        slept = now - state.seen_until
        margin = min(MARGIN_SECONDS, seconds / 10)
        if any(place[0] == topic for place in state.offsets) and slept > seconds - margin:
            return (
                f"topic {topic} drops tombstones after {seconds:.0f} s, and the view has seen nothing for {slept:.0f} s: "
                "it would keep deleted rows"
            )
    return None
