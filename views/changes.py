"""The changes of a view as they are applied, for those who follow it; bounded, and resumable by position.

A follower that asks for more than is kept is told so and reads the topics itself from its position on.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Final

from views.batch import Batch, Offsets, Place, Truncation

KEPT_BYTES: Final = 8_000_000


@dataclass(frozen=True, slots=True)
class Change:
    """One change.

    Attributes:
        topic: Where it was read.
        partition: The same.
        offset: The same.
        key: Key bytes; None when the whole table was emptied.
        value: The row as JSON; None when it went.
        position: Which write it shows.
    """

    topic: str
    partition: int
    offset: int
    key: bytes | None
    value: bytes | None
    position: str


def changes_of(batch: Batch) -> Iterator[Change]:
    """The changes of a batch, in its order."""
    for item in batch.items:
        if isinstance(item, Truncation):
            where = f"{item.topic}/{item.partition}/{item.offset}"
            yield Change(item.topic, item.partition, item.offset, None, None, str(item.source or where))
            continue
        for i, key in enumerate(item.keys):
            source = item.source(i)
            where = f"{item.topic}/{item.partition}/{item.offsets[i]}" if source is None else str(source)
            yield Change(item.topic, item.partition, item.offsets[i], key, item.values[i], where)


class ChangeLog:
    """The last changes of a view.

    Attributes:
        start: What is kept begins at these offsets.
        end: And ends before these.
    """

    def __init__(self, start: Offsets) -> None:
        self.start: Offsets = dict(start)
        self.end: Offsets = dict(start)
        self._kept: deque[tuple[list[Change], int]] = deque()
        self._bytes = 0
        self._first = 0
        self._lock = threading.Lock()
        self._listeners: list[Callable[[], None]] = []

    def add(self, batch: Batch) -> None:
        """A batch was applied."""
        changes = list(changes_of(batch))
        size = sum(100 + len(c.key or b"") + len(c.value or b"") for c in changes)
        with self._lock:
            self.end = dict(batch.state.offsets)
            if changes:
                self._kept.append((changes, size))
                self._bytes += size
            while self._bytes > KEPT_BYTES and len(self._kept) > 1:
                dropped, freed = self._kept.popleft()
                self._bytes -= freed
                self._first += 1
                for change in dropped:
                    place = change.topic, change.partition
                    self.start[place] = max(self.start.get(place, 0), change.offset + 1)
            listeners = list(self._listeners)
        for listener in listeners:
            listener()

    def restart(self, start: Offsets) -> None:
        """Another store is read from here on."""
        with self._lock:
            self._first += len(self._kept)
            self._kept.clear()
            self._bytes = 0
            self.start = dict(start)
            self.end = dict(start)
            listeners = list(self._listeners)
        for listener in listeners:
            listener()

    def covers(self, offsets: Mapping[Place, int]) -> bool:
        """Whether everything from these offsets on is kept."""
        with self._lock:
            return all(offsets.get(place, 0) >= begin for place, begin in self.start.items())

    def after(self, offsets: Offsets, number: int) -> tuple[list[Change], int]:
        """Changes that a follower has not seen.

        Args:
            offsets: What it has seen; moved on here.
            number: Where it stands, from the last call; 0 at first.

        Returns:
            The changes, and where it stands now.
        """
        with self._lock:
            fresh = [batch for batch, _ in list(self._kept)[max(0, number - self._first) :]]
            stands = self._first + len(self._kept)
        found = []
        for changes in fresh:
            for change in changes:
                place = change.topic, change.partition
                if change.offset >= offsets.get(place, 0):
                    found.append(change)
                    offsets[place] = change.offset + 1
        return found, stands

    def listen(self, listener: Callable[[], None]) -> None:
        """Call a function after each batch."""
        with self._lock:
            self._listeners.append(listener)

    def forget(self, listener: Callable[[], None]) -> None:
        """Stop calling it."""
        with self._lock:
            self._listeners.remove(listener)


def offsets_text(offsets: Mapping[Place, int]) -> str:
    """Offsets as one word: `topic:0=12,1=7;other:0=3`."""
    by_topic: dict[str, list[str]] = {}
    for (topic, partition), offset in sorted(offsets.items()):
        by_topic.setdefault(topic, []).append(f"{partition}={offset}")
    return ";".join(f"{topic}:{','.join(places)}" for topic, places in by_topic.items())


def parse_offsets(text: str) -> Offsets:
    """Read what `offsets_text` wrote.

    Raises:
        ValueError: It is not of that form.
    """
    offsets: Offsets = {}
    for part in filter(None, text.strip().split(";")):
        topic, separator, places = part.rpartition(":")
        if not separator or not topic:
            raise ValueError(f"not offsets: {text[:100]!r}")
        for place in places.split(","):
            partition, _, offset = place.partition("=")
            offsets[topic, int(partition)] = int(offset)
    return offsets
