"""Keeps a pipeline running: start, and start again with backoff while the fault may pass.

Whether to try again is decided by `verdict`, which is pure.
"""

from __future__ import annotations

import random
import secrets
import threading
import time
from collections.abc import Callable
from enum import Enum
from typing import Final

from cdc.errors import RetriableError, SeamError
from cdc.report import Finding, Severity
from cdc.telemetry import Meter
from connectors.pipeline import Pipeline
from connectors.postgres import PipelineConfig, with_run_id

FIRST_PAUSE_SECONDS: Final = 0.5
LONGEST_PAUSE_SECONDS: Final = 15.0
SETTLED_SECONDS: Final = 10.0
"""A stream that was well for so long has recovered, also where there was nothing to acknowledge."""


class Verdict(Enum):
    """What follows from an error."""

    RETRY = "retry"
    GIVE_UP = "give up"


def verdict(error: BaseException, seconds_without_progress: float, patience: float) -> Verdict:
    """Whether to try again.

    Args:
        error: What ended the attempt.
        seconds_without_progress: Since Kafka last acknowledged something new.
        patience: `seam.retry.timeout.ms`, in seconds.
    """
    if not isinstance(error, RetriableError):
        return Verdict.GIVE_UP
    return Verdict.RETRY if seconds_without_progress < patience else Verdict.GIVE_UP


def pause(attempt: int, random_unit: float) -> float:
    """Seconds to wait before an attempt: doubled each time up to a bound, with jitter so that restarts spread.

    Args:
        attempt: From 1.
        random_unit: A random number from 0 to 1.
    """
    longest = min(LONGEST_PAUSE_SECONDS, FIRST_PAUSE_SECONDS * 2.0 ** min(attempt - 1, 10))
    return longest * (0.5 + random_unit / 2)


class Worker:
    """Runs one pipeline until it is stopped, has reached its goal, or must be given up.

    Args:
        config: The configuration.
        on_finding: Told what is worth saying.
        manage_topics: Whether topics of our own are created.
        take_requests: Whether requests are read and carried out; None where topics are created.

    Attributes:
        meter: The figures, over all attempts.
        stop: Set it to end gracefully.
    """

    def __init__(
        self, config: PipelineConfig, on_finding: Callable[[Finding], None], *, manage_topics: bool = True,
        take_requests: bool | None = None,
    ) -> None:  # fmt: skip
        self.config = config
        self.on_finding = on_finding
        self.manage_topics = manage_topics
        self.take_requests = manage_topics if take_requests is None else take_requests
        self.meter = Meter()
        self.instance = secrets.token_hex(8)
        self.stop = threading.Event()

    def run(self, *, once: bool = False) -> None:
        """Run until the end.

        Raises:
            SeamError: What ended it for good.
        """
        patience = self.config.options["seam.retry.timeout.ms"] / 1000
        progress, acknowledged, attempt = time.monotonic(), self.meter.flushed_lsn, 0
        wrote = False
        while not self.stop.is_set():
            began = time.monotonic()
            pipeline = Pipeline(
                with_run_id(self.config), self.meter, self.on_finding, manage_topics=self.manage_topics,
                take_requests=self.take_requests, instance=self.instance, wrote=wrote,
            )  # fmt: skip
            try:
                pipeline.run(self.stop, once=once)
            except SeamError as error:
                now = time.monotonic()
                if self.meter.flushed_lsn != acknowledged or self.meter.healthy - began >= SETTLED_SECONDS:
                    progress, acknowledged, attempt = max(progress, self.meter.healthy), self.meter.flushed_lsn, 0
                wrote = pipeline.wrote
                self.meter.last_error = error.message
                if isinstance(error, RetriableError) and self.stop.is_set():
                    break  # nothing is lost: what was not acknowledged is read again
                if verdict(error, now - progress, patience) is Verdict.GIVE_UP:
                    self.meter.phase = "failed"
                    raise
                attempt += 1
                self.meter.phase = "retrying"
                self.meter.reconnects += 1
                wait = min(pause(attempt, random.random()), max(0.05, patience - (now - progress)))  # noqa: S311 - jitter
                self.on_finding(
                    Finding(
                        error.code, Severity.WARNING, self.config.name, f"{error.message}; trying again in {wait:.1f} s"
                    )
                )
                self.stop.wait(wait)
            else:
                break
        self.meter.phase = "stopped"
