"""Which part of the log may be acknowledged: the unbroken prefix of finished work.

A `Window` holds the records of one transaction, or of several whole small ones. Records are acknowledged by Kafka in
any order; a window is finished when it is closed (its last commit was read) and every record of it is durable; and the
log may be acknowledged up to the last finished window that has no unfinished one before it.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import Any

from cdc.lsn import LSN


class Window:
    """The records between two acknowledgeable positions.

    `delivered` is the delivery callback of each of them. It runs on the thread that polls the producer; what stands in
    `when_durable` is called once all of them are.
    """

    __slots__ = ("_tracker", "commit_lsn", "end_lsn", "outstanding", "when_durable")

    def __init__(self, tracker: AckTracker) -> None:
        self.when_durable: list[Callable[[], None]] = []
        self._tracker = tracker
        self.outstanding = 0
        self.end_lsn: LSN | None = None
        self.commit_lsn = LSN(0)

    def delivered(self, error: Any, message: Any) -> None:
        """One record was delivered, or failed. A failure never counts down: it is kept for the loop to raise."""
        if error is not None:
            self._tracker.failures.append((error, message))
            return
        self.outstanding -= 1
        tracker = self._tracker
        tracker.delivered += 1
        if tracker.on_delivered is not None:
            tracker.on_delivered(message)


class AckTracker:
    """The ordered windows that are not finished yet.

    Attributes:
        failures: `(error, message)` of failed deliveries; the loop raises the first one.
        delivered: Records that Kafka has acknowledged, ever.
        on_delivered: Called with each acknowledged message, where somebody wants its offset.
        flushed: `end_lsn` of the last transaction of the unbroken finished prefix.
        commit_lsn: The commit LSN of that transaction.
    """

    def __init__(self, start: LSN) -> None:
        self.failures: list[tuple[Any, Any]] = []
        self.delivered = 0
        self.on_delivered: Callable[[Any], None] | None = None
        self.flushed = start
        self.commit_lsn = LSN(0)
        self._windows: deque[Window] = deque()

    def open(self) -> Window:
        """A new window after all others."""
        window = Window(self)
        self._windows.append(window)
        return window

    def close(self, window: Window, commit_lsn: LSN, end_lsn: LSN) -> None:
        """The window's last transaction has ended at `end_lsn`; nothing is added to it from now on."""
        window.commit_lsn = commit_lsn
        window.end_lsn = end_lsn

    def advance(self) -> LSN:
        """Drop finished windows from the front, and return the position that may be acknowledged."""
        windows = self._windows
        while windows and windows[0].end_lsn is not None and windows[0].outstanding == 0:
            window = windows.popleft()
            for call in window.when_durable:
                call()
            assert window.end_lsn is not None
            if window.end_lsn > self.flushed:
                self.flushed, self.commit_lsn = window.end_lsn, window.commit_lsn
        return self.flushed

    @property
    def idle(self) -> bool:
        """Whether nothing that was received is un-durable, so that a keepalive's position may be adopted."""
        return not self._windows

    @property
    def outstanding(self) -> int:
        """Records that Kafka has not acknowledged."""
        return sum(window.outstanding for window in self._windows)

    def adopt(self, position: LSN) -> None:
        """Take over a keepalive's position.

        Raises:
            AssertionError: Something is pending; adopting now would lose it.
        """
        assert self.idle, "a keepalive was adopted with work in flight"
        self.flushed = max(self.flushed, position)
