"""Handing a chunk of existing rows into a running stream, so that no key goes back in time.

What has to hold: when a chunk is emitted, at its mark, every row of it is the newest version of its key that was
streamed or read so far. Why it does:

1. `ChangeMemory.start`: from here on changes of the table are remembered for the chunk. Those that were streamed before
   are out already; the chunk's snapshot must see them all, or it is taken again (`settle`).
2. The chunk is read under its snapshot. Two writers of one row wait for each other, and a writer leaves the list of
   running transactions before it lets its lock go: so for each key the transactions that a snapshot sees are a prefix
   of those in commit order, which is the stream's.
3. A mark is written into the log after the chunk was read. What the snapshot saw was committed before, so it has been
   streamed when the mark arrives; what the snapshot did not see and is streamed by then is remembered.
4. At the mark a row is emitted unless its key was changed by a remembered transaction that the snapshot did not see.

Changes are known by the columns that identify a row in the log, not by the key of its record: a record's key may be
something else (`message.key.columns`), and dropping by that would lose rows.
"""

from __future__ import annotations

import threading
from collections.abc import Hashable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Final

from cdc.visibility import Snapshot

KEYS_KEPT: Final = 200_000
"""How many changed keys are remembered for one chunk; beyond that it is read again, so that memory stays flat."""

Key = Hashable
"""The text of the identifying column, or a tuple of several."""


@dataclass(frozen=True, slots=True)
class Newer:
    """What the stream carried of a table that a chunk's snapshot did not see.

    Attributes:
        keys: Of changed rows.
        everything: Whether the table was truncated.
        too_many: Whether there was more than is remembered, so that the chunk must be read again.
    """

    keys: frozenset[Key] = frozenset()
    everything: bool = False
    too_many: bool = False


@dataclass(slots=True)
class _Open:
    """A chunk between its start and its mark."""

    table: str
    before: frozenset[int]
    snapshot: Snapshot | None = None
    early: list[tuple[int, Sequence[Key] | None]] = field(default_factory=list)
    keys: set[Key] = field(default_factory=set)
    everything: bool = False
    too_many: bool = False
    # The last transaction that was asked about: rows of one come together.
    xid: int = -1
    unseen: bool = False

    def note(self, xid: int, keys: Sequence[Key] | None, most: int) -> None:
        if self.too_many:
            return
        if self.snapshot is None:
            self.early.append((xid, keys))
            if len(self.early) > most:
                self._overflow()
            return
        if xid != self.xid:
            self.xid, self.unseen = xid, not self.snapshot.sees(xid)
        if not self.unseen:
            return
        if keys is None:
            self.everything = True
            return
        self.keys.update(keys)
        if len(self.keys) > most:
            self._overflow()

    def _overflow(self) -> None:
        self.too_many = True
        self.keys.clear()
        self.early.clear()


class ChangeMemory:
    """What was streamed of tables under snapshot while chunks of them were being read.

    The stream's thread notes changes and asks at marks; readers' threads start chunks. One lock, held briefly.

    Args:
        keys_kept: How many changed keys are remembered for one chunk.
    """

    def __init__(self, keys_kept: int = KEYS_KEPT) -> None:
        self._keys_kept = keys_kept
        self._lock = threading.Lock()
        self._watched: set[str] = set()
        self._open: dict[str, _Open] = {}
        # Transactions whose changes are out, and which the newest snapshot that was taken did not see.
        self._unseen: set[int] = set()
        self._newest: Snapshot | None = None

    def watch(self, tables: Iterable[str], streamed: Iterable[int] = ()) -> None:
        """Note changes of these tables from now on.

        Args:
            tables: As they are published.
            streamed: 32-bit ids of transactions whose changes are out already, and which may be invisible still.
        """
        with self._lock:
            self._watched.update(tables)
            self._unseen.update(streamed)

    def forget(self, table: str) -> None:
        """The table is done."""
        with self._lock:
            self._watched.discard(table)

    def watches(self, table: str) -> bool:
        """Whether changes of the table are noted."""
        return table in self._watched

    def note(self, table: str, xid: int, keys: Sequence[Key] | None) -> None:
        """The stream carried changes of a transaction.

        Args:
            table: The table, as it is published.
            xid: The transaction's 32-bit id.
            keys: The rows that it changed; a key change counts for its old and its new key. None for all rows, as
                after a TRUNCATE.
        """
        with self._lock:
            if table not in self._watched:
                return
            if self._newest is None or not self._newest.sees(xid):
                self._unseen.add(xid)
            for chunk in self._open.values():
                if chunk.table == table:
                    chunk.note(xid, keys, self._keys_kept)

    def start(self, chunk: str, table: str) -> None:
        """A chunk starts; its snapshot is taken after this."""
        with self._lock:
            self._open[chunk] = _Open(table, frozenset(self._unseen))

    def settle(self, chunk: str, snapshot: Snapshot) -> bool:
        """The chunk's snapshot was taken.

        Returns:
            False when it does not see a transaction whose changes were out before the chunk started: reading under it
            would set keys back. Start the chunk anew, and take another snapshot.
        """
        with self._lock:
            self._unseen = {xid for xid in self._unseen if not snapshot.sees(xid)}
            if self._newest is None or snapshot.xmax >= self._newest.xmax:
                self._newest = snapshot
            found = self._open[chunk]
            if not all(snapshot.sees(xid) for xid in found.before):
                del self._open[chunk]
                return False
            found.before = frozenset()
            found.snapshot = snapshot
            early, found.early = found.early, []
            for xid, keys in early:
                found.note(xid, keys, self._keys_kept)
            return True

    def end(self, chunk: str) -> Newer:
        """The chunk's mark arrived, or the chunk is given up; what its snapshot did not see."""
        with self._lock:
            found = self._open.pop(chunk, None)
        if found is None:
            return Newer()
        return Newer(frozenset(found.keys), found.everything, found.too_many)

    @property
    def size(self) -> int:
        """How many changes and transactions are remembered."""
        with self._lock:
            return len(self._unseen) + sum(len(chunk.keys) + len(chunk.early) for chunk in self._open.values())
