"""When a connector counts as up, or as failed: one pure state machine per connector, fed with what Connect says.

Connect's status is eventually consistent: absent after a creation, of the former configuration after a change, and a
failed task stays failed after a change that leaves its own configuration as it was.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, field
from enum import Enum
from typing import Final

from connectors import health
from connectors.connect_types import ConnectorStatus

# A failure of the former configuration may be shown for a moment after a change.
FAILED_FOR: Final = 1.0
STALE_FOR: Final = 2.0
# A source may declare no tasks; that it will not is known only by waiting longer.
NO_TASKS_FACTOR: Final = 3.0
HELD_FOR: Final = 0.4


class Verdict(Enum):
    """What is known of a connector."""

    WAITING = "waiting"
    SETTLED = "settled"
    FAILED = "failed"
    STALE = "stale"  # it shows only the failure from before the change: its failed parts must be restarted
    LATE = "late"


@dataclass(slots=True)
class Settling:
    """A connector that should reach a state and stay there.

    Attributes:
        target: RUNNING, PAUSED or STOPPED.
        started: When it was asked for, in seconds of the clock that feeds.
        settle: Seconds that connector and tasks must run without a pause.
        timeout: Seconds until it is given up.
        stale: Traces from before the change.
        status: What was seen last.
    """

    target: str
    started: float
    settle: float
    timeout: float
    stale: Collection[str] = ()
    status: ConnectorStatus | None = None
    _since: dict[str, float] = field(default_factory=dict)

    def feed(self, now: float, status: ConnectorStatus | None) -> Verdict:
        """What is known once this status was seen."""
        self.status = status
        word = health.state(status)
        phase = self._phase(word)
        since = self._since.setdefault(phase, now)
        self._since = {phase: since}
        lasted = now - since
        if phase == "up" and lasted >= (self.settle * NO_TASKS_FACTOR if word == health.NO_TASKS else self.settle):
            return Verdict.SETTLED
        if phase == "held" and lasted >= HELD_FOR:
            return Verdict.SETTLED
        if phase == "failed" and lasted >= FAILED_FOR:
            return Verdict.FAILED
        if phase == "stale" and lasted >= STALE_FOR:
            return Verdict.STALE
        return Verdict.LATE if now - self.started >= self.timeout else Verdict.WAITING

    def _phase(self, word: str) -> str:
        if self.target in (health.STOPPED, health.PAUSED):
            return "held" if self._held() else "moving"
        if word in (health.FAILED, health.DEGRADED):
            traces = {failure.trace for failure in health.failures(self.status)}
            return "stale" if traces <= set(self.stale) else "failed"
        return "up" if word in (health.RUNNING, health.NO_TASKS) else "moving"

    def _held(self) -> bool:
        """A failed task neither pauses nor ends by itself; the connector's own state is what was asked for."""
        if self.status is None or self.status.connector.state != self.target:
            return False
        if self.target == health.STOPPED:
            return not self.status.tasks
        return all(task.state in ("PAUSED", "FAILED") for task in self.status.tasks)
