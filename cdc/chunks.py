"""Handing a chunk of existing rows into a running stream, so that no key goes back in time.

The proof obligation: when the chunk is emitted, at its mark, every key's record must be the newest that was streamed or
read so far. A row of the chunk is emitted unless the stream already carried a change of its key that the chunk's
snapshot did not see; that change is newer than the row.

Steps, as `Chunk` goes through them: `ChangeMemory.start` (from here on keys are remembered) -> a snapshot is taken, and
taken again while it does not see a transaction that was streamed before -> COPY -> a mark is written into the log ->
the mark arrives in the stream -> `ChangeMemory.keep` says which rows are emitted.
"""

from __future__ import annotations

import threading
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from cdc.visibility import Snapshot

WHOLE_TABLE: Final = b"\x00truncate"
"""Stands for every key of a table, in place of a key."""

Row = tuple[bytes, bytes]
"""Key and value, rendered."""


@dataclass(slots=True)
class Chunk:
    """A part of one table.

    Attributes:
        id: Unique in the pipeline's life, the content of its mark.
        table: `schema.table`.
        topic: Where its rows go.
        start: The memory's sequence number when it was started.
        snapshot: What its rows were read under.
        rows: Rendered rows.
        state: What is recorded when it is done, in the reader's own terms.
        bytes: Of its rendered rows.
    """

    id: str
    table: str
    topic: str
    start: int
    snapshot: Snapshot
    rows: list[Row] = field(default_factory=list)
    state: Any = None
    bytes: int = 0


class ChangeMemory:
    """The changes of tables under snapshot that were streamed while chunks were being read.

    The stream's thread notes changes and asks at marks; reader threads start chunks. One lock, held briefly.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._sequence = 0
        self._changes: dict[str, list[tuple[int, int, bytes]]] = {}
        self._unseen: dict[str, set[int]] = {}
        self._open: dict[str, tuple[str, int]] = {}

    def watch(self, tables: Iterable[str]) -> None:
        """Remember changes of these tables from now on."""
        with self._lock:
            for table in tables:
                self._changes.setdefault(table, [])
                self._unseen.setdefault(table, set())

    def forget(self, table: str) -> None:
        """The table is done."""
        with self._lock:
            self._changes.pop(table, None)
            self._unseen.pop(table, None)

    def watches(self, table: str) -> bool:
        """Whether changes of the table are remembered."""
        return table in self._changes

    def note(self, table: str, xid: int, keys: Sequence[bytes]) -> None:
        """A transaction of the stream changed these keys; a key change counts for its old and its new key."""
        with self._lock:
            changes = self._changes.get(table)
            if changes is None:
                return
            self._unseen[table].add(xid)
            for key in keys:
                self._sequence += 1
                changes.append((self._sequence, xid, key))

    def start(self, chunk_id: str, table: str) -> tuple[int, frozenset[int]]:
        """A chunk starts.

        Returns:
            The sequence number from which on changes are remembered for it, and the transactions streamed before that
            which no snapshot has shown as visible yet: the chunk's snapshot must see them all.
        """
        with self._lock:
            self._open[chunk_id] = (table, self._sequence)
            return self._sequence, frozenset(self._unseen.get(table, ()))

    def visible(self, table: str, snapshot: Snapshot) -> None:
        """A snapshot was taken: what it sees, every later one sees."""
        with self._lock:
            unseen = self._unseen.get(table)
            if unseen is not None:
                unseen.difference_update([xid for xid in unseen if snapshot.sees(xid)])

    def keep(self, chunk: Chunk) -> list[Row]:
        """The rows to emit at the chunk's mark.

        A row is dropped when a change of its key was streamed that the snapshot did not see; all rows are, when the
        table was truncated so.
        """
        with self._lock:
            newer = {
                key
                for sequence, xid, key in self._changes.get(chunk.table, ())
                if sequence > chunk.start and not chunk.snapshot.sees(xid)
            }
            self._end(chunk.id)
        if not newer:
            return chunk.rows
        if WHOLE_TABLE in newer:
            return []
        return [row for row in chunk.rows if row[0] not in newer]

    def abandon(self, chunk_id: str) -> None:
        """The chunk will not come to its mark."""
        with self._lock:
            self._end(chunk_id)

    def _end(self, chunk_id: str) -> None:
        ended = self._open.pop(chunk_id, None)
        if ended is None:
            return
        table = ended[0]
        changes = self._changes.get(table)
        if changes:
            oldest = min((start for name, start in self._open.values() if name == table), default=self._sequence)
            self._changes[table] = [change for change in changes if change[0] > oldest]

    @property
    def size(self) -> int:
        """How many changes are remembered."""
        return sum(len(changes) for changes in self._changes.values())
