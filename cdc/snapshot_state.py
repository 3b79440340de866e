"""How far the reading of one table has come: which extents are out, which rows must be read again, what is recorded.

A place is a row's physical position as one number, page by page: `page * ITEMS + item`. A restart goes on from the
unbroken prefix of places that are done, and leaves out what other readers had done beyond it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, Self

from cdc.chunks import Key
from cdc.postgres.snapshot import ITEMS, Extent, Moment
from cdc.postgres.snapshot_tables import SnapshotTable
from cdc.visibility import Snapshot

FIRST_PAGES: Final = 64
MOST_PAGES: Final = 1 << 20
CHUNK_ROWS: Final = 20_000
AGAIN_KEYS: Final = 500
"""Rows of one chunk of rows that are read again."""
AGAIN_MOST: Final = 5_000
"""Rows to be read again, beyond which the table is read again as a whole: they are part of the position record."""


@dataclass(slots=True)
class TableState:
    """One table. Every method is called under the snapshotter's lock.

    Attributes:
        table: The table.
        done: The place up to which everything is done; None when that is all of it.
        rows: Rows that were handled so far.
        file: The file that the places belong to; 0 before the first chunk.
        generation: Counts how often the reading started anew; work of an older one is void.
        floor: What the first chunk of this reading saw, when it began at the first page; None else.
        checked: Whether the writers that were open at the start have ended.
        after_key: With an override: the last key that is done.
    """

    table: SnapshotTable
    done: int | None = 0
    rows: int = 0
    file: int = 0
    generation: int = 0
    floor: Snapshot | None = None
    checked: bool = False
    after_key: tuple[str, ...] | None = None
    _next: int | None = 0
    _pages: int = field(default_factory=lambda: FIRST_PAGES)
    _busy: bool = False
    _opening: bool = False
    _back: list[Extent] = field(default_factory=list)
    _finished: dict[int, int | None] = field(default_factory=dict)
    _again: dict[Key, None] = field(default_factory=dict)
    _reading: set[Key] = field(default_factory=set)

    @classmethod
    def resumed(cls, table: SnapshotTable, recorded: Mapping[str, Any]) -> Self:
        """The state that was recorded; a new one of an empty record."""
        done = None if recorded.get("done") else int(recorded.get("place", 0))
        state = cls(table, done=done, rows=recorded.get("rows", 0), file=recorded.get("file", 0))
        state._next = done
        key = recorded.get("key")
        state.after_key = tuple(key) if key else None
        state._again = {key_of(texts): None for texts in recorded.get("again", ())}
        if done is not None:
            state._resume_beyond(recorded.get("beyond", ()))
        return state

    def _resume_beyond(self, extents: Iterable[Sequence[int | None]]) -> None:
        """Take up again where several readers were: what lies between the extents that are done comes first."""
        gap = self.done
        for first, end in sorted(extents, key=lambda extent: extent[0] or 0):
            assert gap is not None and first is not None  # noqa: PT018 - nothing lies behind an extent without an end
            if gap < first:
                self._back.append(Extent(gap, first))
            self._finished[first] = gap = end
        self._next = gap
        self._back.reverse()  # taken from its end

    def as_json(self) -> dict[str, Any]:
        """What is recorded with the position."""
        recorded: dict[str, Any] = {"rows": self.rows, "estimate": self.table.rows}
        if self.done is None:
            recorded["done"] = True
        elif self.table.override is None:
            recorded |= {"place": self.done, "file": self.file}
            if self._finished:
                recorded["beyond"] = _joined(self._finished)
        elif self.after_key is not None:
            recorded["key"] = self.after_key
        if self._again or self._reading:
            recorded["again"] = [texts_of(key) for key in self._reading.union(self._again)]
        return recorded

    @property
    def complete(self) -> bool:
        """Whether every row is done."""
        return self.done is None and not self._again and not self._reading

    # -- what is read next -------------------------------------------------------------------------------------------

    def take(self) -> Extent | None:
        """The next extent to read; None when there is none now."""
        keys = [key for key in self._again if key not in self._reading][:AGAIN_KEYS]
        if keys:
            for key in keys:
                del self._again[key]
            self._reading.update(keys)
            return Extent(keys=tuple(texts_of(key) for key in keys))
        if self.done is None or self._busy:
            return None
        if self.table.override is not None:
            self._busy = True
            return Extent(after_key=self.after_key, limit=CHUNK_ROWS)
        if self._back:
            return self._back.pop()
        if self._next is None or (self._opening and self.floor is None):
            return None  # the first chunk of a reading goes alone until its snapshot is taken, which is the oldest then
        self._opening = self._next == 0
        first, self._next = self._next, (self._next // ITEMS + self._pages) * ITEMS
        return Extent(first, self._next)

    def settle(self, extent: Extent, moment: Moment) -> Extent | None:
        """Fit an extent to the table as its snapshot shows it; None when the table is to be read anew."""
        if extent.keys is not None:
            return extent
        if self.table.override is None and self.file and self.file != moment.filenode:
            # VACUUM FULL, CLUSTER, ALTER TABLE: rows are at other places now, those that were done included.
            self.restart()
            return None
        if self.floor is None and self.done == 0 and self.after_key is None and not self._finished:
            self.floor = moment.snapshot
        self.file = moment.filenode
        if extent.end is not None and extent.end >= moment.pages * ITEMS and self._next is not None:
            self._next = None
            return Extent(extent.first)
        return extent

    def restart(self) -> None:
        """Read the table anew from its beginning."""
        self.generation += 1
        self.done = self._next = self.file = 0
        self.floor = self.after_key = None
        self._busy = self._opening = False
        self._back.clear()
        self._finished.clear()
        self._again.clear()
        self._reading.clear()

    def give_back(self, extent: Extent) -> None:
        """An extent was not read: it comes again."""
        if extent.keys is not None:
            keys = [key_of(texts) for texts in extent.keys]
            self._reading.difference_update(keys)
            self._again |= dict.fromkeys(keys)
        elif self.table.override is not None:
            self._busy = False
        else:
            self._back.append(extent)

    def split(self, extent: Extent) -> bool:
        """An extent holds too much: its parts come instead.

        Returns:
            False when it cannot be cut.
        """
        first = extent.first
        if extent.keys is not None or self.table.override is not None:
            return False
        if extent.end is None:
            cut = (first // ITEMS + max(1, self._pages // 4)) * ITEMS
        elif (pages := -(-extent.end // ITEMS) - first // ITEMS) > 1:
            cut = (first // ITEMS + pages // 2) * ITEMS
        elif extent.end - first > 1:
            cut = (first + extent.end) // 2
        else:
            return False
        self._back += [Extent(cut, extent.end), Extent(first, cut)]
        self._pages = max(1, self._pages // 4)
        return True

    def adapt(self, *, small: bool, large: bool) -> None:
        """Size the next chunk by the last one."""
        if large:
            self._pages = max(1, self._pages // 2)
        elif small:
            self._pages = min(self._pages * 2, MOST_PAGES)

    # -- what is done ------------------------------------------------------------------------------------------------

    def finish(self, extent: Extent, rows: int, last_key: tuple[str, ...] | None) -> None:
        """An extent is done: its rows are durable.

        Args:
            extent: What was read.
            rows: How many rows it had.
            last_key: With an override: the last key, None when there is nothing behind it.
        """
        if extent.keys is not None:
            self._reading.difference_update(key_of(texts) for texts in extent.keys)
            return
        self.rows += rows
        if self.table.override is not None:
            self._busy = False
            self.after_key = last_key
            if last_key is None:
                self.done = None
            return
        self._finished[extent.first] = extent.end
        while self.done is not None and self.done in self._finished:
            self.done = self._finished.pop(self.done)

    # -- values that an update left out ------------------------------------------------------------------------------

    def note_left_out(self, key: Key, xid: int) -> None:
        """An update was streamed that left a TOAST value out, since it did not touch it.

        The row may have moved from a page that was not read to one that was, or be dropped from a chunk in favour of
        the update: then no record holds the value. So the row is read again, unless the chunk that is yet to come
        would see it anyway.
        """
        if self.done is None or (self.floor is not None and self.floor.sees(xid)):
            return
        if self.done == 0 and self._next == 0 and not self._busy:
            return  # nothing of it was read yet
        self._again[key] = None
        if len(self._again) > AGAIN_MOST:
            self.restart()


def _joined(finished: Mapping[int, int | None]) -> list[tuple[int, int | None]]:
    """Extents in order, neighbours as one: their number stays that of the gaps."""
    joined: list[tuple[int, int | None]] = []
    for first, end in sorted(finished.items()):
        if joined and joined[-1][1] == first:
            first = joined.pop()[0]  # noqa: PLW2901 - the neighbour's begin
        joined.append((first, end))
    return joined


def texts_of(key: Key) -> tuple[str, ...]:
    """A key as texts."""
    parts: Iterable[Any] = key if isinstance(key, tuple) else (key,)
    return tuple(part.decode() for part in parts)


def key_of(texts: Sequence[str]) -> Key:
    """The key of these texts."""
    parts = tuple(text.encode() for text in texts)
    return parts if len(parts) > 1 else parts[0]


def total(states: Sequence[TableState]) -> tuple[int, int]:
    """Rows done and rows to be expected, of all tables."""
    done = sum(state.rows for state in states)
    return done, sum(max(state.rows, state.table.rows) if state.done is not None else state.rows for state in states)
