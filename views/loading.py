"""Reading a view's topics to the end that they have: the first load, and the tail of a stored view."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final

from cdc.kafka.follower import BATCH, Bounds, Follower
from views.batch import Place
from views.options import ViewConfig

READ_SECONDS: Final = 0.05


@dataclass(slots=True)
class Backlog:
    """What is between a view and the end of its topics.

    Attributes:
        ends: The ends that were asked for.
        total: Offsets between start and end, an upper bound of the records.
        read: Records so far.
    """

    ends: dict[Place, int]
    total: int
    read: int = 0


def places_of(follower: Follower, config: ViewConfig) -> set[Place]:
    """The partitions that a view reads, as they are now.

    Raises:
        BrokerUnavailable: No answer in time.
    """
    return {
        (topic, partition)
        for topic, partitions in follower.partitions(config.topics).items()
        for partition in partitions
        if config.partitions is None or partition in config.partitions
    }


def assign(follower: Follower, bounds: Mapping[Place, Bounds], offsets: Mapping[Place, int]) -> dict[Place, int]:
    """Let the follower fetch from where a view stands, which goes on in the background from here.

    Args:
        follower: Reads.
        bounds: First offset and end of each partition.
        offsets: Where to begin; a partition that is not named begins at its first offset.

    Returns:
        The offset that each partition begins at.
    """
    starts = {place: max(offsets.get(place, held.begin), held.begin) for place, held in bounds.items()}
    follower.assign(starts)
    return starts


def read_to_ends(
    follower: Follower,
    bounds: Mapping[Place, Bounds],
    starts: Mapping[Place, int],
    take: Callable[[list[object]], None],
    stop: threading.Event,
    on_progress: Callable[[Backlog], None] = lambda _backlog: None,
) -> bool:
    """Read each partition to its end.

    Args:
        follower: Reads; afterwards it goes on from the ends.
        bounds: First offset and end of each partition.
        starts: What `assign` gave.
        take: Called with messages; those of one partition are in order.
        stop: Ends it early.
        on_progress: Called after each batch.

    Returns:
        Whether all ends were reached.
    """
    ends = {place: held.end for place, held in bounds.items()}
    backlog = Backlog(ends, sum(max(0, end - starts[place]) for place, end in ends.items()))
    # Compaction and transactions leave offsets without records, so what is left is known only up to that; asking for
    # no more than what is left spares the last wait of a read.
    left = backlog.total
    while left > 0 and not stop.is_set():
        messages = follower.read_many(max(1, min(BATCH, left)), READ_SECONDS)
        if messages:
            take(messages)  # type: ignore[arg-type] # a list by nature
            backlog.read += len(messages)
            on_progress(backlog)
            left -= len(messages)
        if not messages or left <= 0:
            left = _left(follower, starts, ends)
    return not stop.is_set()


def _left(follower: Follower, starts: Mapping[Place, int], ends: Mapping[Place, int]) -> int:
    """Offsets that are not passed yet."""
    reached = follower.positions()
    return sum(max(0, end - reached.get(place, starts[place])) for place, end in ends.items())
