"""What `seam run FILE` does for the slices of its file: it keeps their views up to date while it streams."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from cdc.errors import RetriableError, SeamError
from cdc.properties import load
from cdc.report import Finding, Severity
from connectors.additions import Run
from connectors.console import tell
from connectors.worker import pause
from legacy_db import machine
from legacy_db.context_commands import slice_context
from legacy_db.ledger import Ledger
from legacy_db.projection import POLL_SECONDS, Contracted, ProjectionHeld, Projector
from legacy_db.slices import Slice, read_slices
from legacy_db.steps.project import Project
from legacy_db.target import CONTRACT

STILL_SECONDS: Final = 30.0
LOOK_SECONDS: Final = 2.0
"""How often the ledger is asked whether the view is still wanted."""


@contextmanager
def carried(run: Run) -> Iterator[list[str]]:
    """Project, in threads of this process, the slices that are recorded as projected or further, now or later.

    Args:
        run: What was asked.

    Yields:
        The slices' names. What ends a projection is told; the stream goes on, and the view keeps its offsets.
    """
    loaded = load(run.file)
    mine = [
        one for one in read_slices(loaded).values() if one.connector == run.connector and one.target is not None
    ]  # fmt: skip
    carriers = [SliceCarrier(run, one) for one in mine]
    for carrier in carriers:
        carrier.thread.start()
    try:
        yield [one.name for one in mine]
    finally:
        for carrier in carriers:
            carrier.stop.set()
        for carrier in carriers:
            carrier.end()


class SliceCarrier:
    """Keeps the view of one slice up to date for as long as the ledger wants one.

    A target that cannot be reached must not hold up the stream, which would hold back the legacy's log: everything here
    is tried again beside it.

    Args:
        run: What `seam run` was asked.
        one: The slice.

    Attributes:
        stop: Set it to end; with `--once` what the topics hold then is applied first.
        thread: Where it runs.
        applied: Records, since it last began.
    """

    def __init__(self, run: Run, one: Slice) -> None:
        self.run = run
        self.slice = one
        self.stop = threading.Event()
        self.thread = threading.Thread(target=self._follow, name=f"projecting {one.name}", daemon=True)
        self.applied = 0
        self._told = ""

    def _follow(self) -> None:
        attempt = 0
        while True:
            last = self.stop.is_set()
            try:
                if self._wanted():
                    attempt = 0
                    self._project()
                    if self.stop.is_set():
                        return
            except ProjectionHeld:
                pass  # a command does it at this moment
            except Contracted as error:
                self._tell(error.code, Severity.NOTE, f"its view stands still: {error.message}")
            except RetriableError as error:
                attempt += 1
                self._tell(error.code, Severity.WARNING, f"{error.message}; tried again beside the stream")
            except SeamError as error:
                self._tell(error.code, Severity.WARNING, f"its view stands still: {error.message}")
                return
            if last or (self.stop.is_set() and not self.run.once):
                return
            self.stop.wait(pause(attempt, 1.0) if attempt else LOOK_SECONDS)

    def end(self) -> None:
        """Wait for its end for as long as it gets on; what is not applied then is applied the next time."""
        while self.thread.is_alive():
            before = self.applied
            self.thread.join(STILL_SECONDS)
            if self.applied == before:
                return

    def _count(self, records: int) -> None:
        self.applied = records

    def _tell(self, code: str, severity: Severity, text: str) -> None:
        if text != self._told:
            self._told = text
            tell(Finding(code, severity, self.slice.name, text))

    def _wanted(self) -> bool:
        """Whether the slice has a view, and nobody is about to build it or to take it back."""
        with Ledger(self.slice.ledger, self.slice.name) as ledger:
            pending = ledger.pending()
            if pending is not None and pending.step in (Project.name, CONTRACT):
                return False
            return machine.index_of(ledger.state()) >= machine.index_of(Project.state)

    def _project(self) -> None:
        """Follow the topics until stopped or not wanted any more."""
        settings, servers = list(self.run.settings), self.run.servers
        with slice_context(Path(self.run.file), self.slice.name, settings, servers, quiet=True) as context:
            projector = Projector(context.bridge, self.slice, context.target_tables, self._count)
        try:
            self._tell("SLICE_CARRIED", Severity.NOTE, "its view follows the topics")
            looked = time.monotonic()
            while True:
                last = self.stop.is_set()
                done = projector.catch_up(None if self.run.once else self.stop)
                if last or (self.stop.is_set() and not self.run.once):
                    return
                if not done:
                    self.stop.wait(POLL_SECONDS)
                if time.monotonic() - looked > LOOK_SECONDS:
                    looked = time.monotonic()
                    if not self._wanted():
                        return
        finally:
            projector.close()
