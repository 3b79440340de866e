"""The transactions that were streamed and that no snapshot has shown to be visible yet.

A transaction is in the log before others see it: for an instant, or for as long as it waits for a synchronous standby.
A chunk of rows that is read meanwhile, and handed into the stream, would set their keys back; so it must see them all.
"""

from __future__ import annotations

from collections.abc import Callable

from cdc.visibility import Snapshot


class RecentTransactions:
    """Kept by the stream's thread alone.

    Attributes:
        add: Takes the 32-bit id of a transaction whose Begin arrived; the bare method of a set, being in the hot path.
    """

    def __init__(self) -> None:
        self._unseen: set[int] = set()
        self._older: frozenset[int] | None = None
        self.add: Callable[[int], None] = self._unseen.add

    def prune(self, snapshot: Snapshot) -> None:
        """A snapshot was taken: what it sees, every later one sees."""
        self._unseen.difference_update([xid for xid in self._unseen if snapshot.sees(xid)])
        # What an earlier process streamed is not known here; but it was running before this one's first snapshot.
        self._older = snapshot.in_progress if self._older is None else self._older & snapshot.in_progress

    @property
    def unseen(self) -> frozenset[int]:
        """Those that a chunk must see, 32-bit ids."""
        return frozenset(self._unseen)

    @property
    def exact(self) -> bool:
        """Whether these are all: every transaction that was open at the first look has ended and is visible."""
        return self._older is not None and not self._older
