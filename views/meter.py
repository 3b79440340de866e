"""The figures of one view."""

from __future__ import annotations

import threading
from dataclasses import dataclass, field

from views.loading import Backlog


@dataclass(slots=True)
class ViewMeter:
    """The figures of one view.

    Attributes:
        phase: starting, loading, live, rebuilding, retrying, failed, stopped.
        applied: Records applied since the start.
        batches: Batches since the start.
        loaded_seconds: How long it took to be complete.
        last_applied: Unix time of the last batch, seconds.
        backlog: What a load has before it.
        rebuilds: How often it was built since the start.
        fetching: Set when records are asked for.
    """

    phase: str = "starting"
    applied: int = 0
    batches: int = 0
    loaded_seconds: float | None = None
    last_applied: float = 0.0
    backlog: Backlog | None = None
    rebuilds: int = 0
    fetching: threading.Event = field(default_factory=threading.Event)

    def read(self, backlog: Backlog) -> None:
        """Take how far a load is."""
        self.backlog = backlog
