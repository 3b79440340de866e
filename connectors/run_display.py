"""What `seam run` shows while it runs: bars and a line on a terminal, plain lines elsewhere."""

from __future__ import annotations

import threading
import time
from typing import Final

from rich.console import Console, Group
from rich.live import Live
from rich.markup import escape
from rich.progress import BarColumn, Progress, ProgressColumn, Task, TaskProgressColumn, TextColumn
from rich.spinner import Spinner
from rich.table import Column
from rich.text import Text

from cdc.telemetry import Meter
from connectors.console import bytes_text
from connectors.snapshot_progress import RowRate, SnapshotProgress

LOOK_SECONDS: Final = 0.5
PLAIN_SECONDS: Final = 30.0
"""How often a snapshot's progress is told where there is no terminal."""
MOST_BARS: Final = 8
"""Tables with a bar of their own; the others are in the line above them."""


class RunDisplay(threading.Thread):
    """Shows a pipeline's figures until it is ended.

    Args:
        name: The pipeline.
        meter: Its figures.
        console: Standard error.
    """

    def __init__(self, name: str, meter: Meter, console: Console) -> None:
        super().__init__(daemon=True, name="display")
        self.pipeline = name
        self.meter = meter
        self.console = console
        self.ended = threading.Event()
        self._rows = RowRate()
        self._records = RowRate()
        self._told = ""
        self._told_at = 0.0

    def run(self) -> None:
        """Look twice a second."""
        if not self.console.is_terminal:
            while not self.ended.wait(LOOK_SECONDS):
                self.tell(time.monotonic())
            return
        with Live(console=self.console, refresh_per_second=4, transient=True) as live:
            while not self.ended.wait(LOOK_SECONDS):
                live.update(self.picture(time.monotonic()))

    def end(self) -> None:
        """Show nothing more."""
        self.ended.set()
        if self.is_alive():
            self.join(2.0)

    def tell(self, now: float) -> None:
        """A plain line where a phase begins or a snapshot has gone on for a while."""
        meter = self.meter
        progress = SnapshotProgress.of(meter.snapshot, self._rows.at(now, _rows_of(meter)))
        if meter.phase == self._told and not (progress.running and now - self._told_at >= PLAIN_SECONDS):
            return
        if meter.phase in ("snapshot", "streaming"):
            text = f": {progress.text()}" if meter.phase == "snapshot" and progress.rows else ""
            self.console.print(escape(f"{self.pipeline}: {meter.phase}{text}"))
        self._told, self._told_at = meter.phase, now

    def picture(self, now: float) -> Group:
        """The line, and during a snapshot a bar per table."""
        meter = self.meter
        progress = SnapshotProgress.of(meter.snapshot, self._rows.at(now, _rows_of(meter)))
        rate = self._records.at(now, meter.records) or 0.0
        lag = max(0, meter.server_lsn - meter.flushed_lsn)
        line = f"{self.pipeline}: {meter.phase}, {meter.records:,} records, {rate:,.0f}/s, lag {bytes_text(lag)}"
        head = Spinner("dots", Text(line))
        if not progress.running or not progress.tables:
            return Group(head)
        return Group(head, Text(f"  snapshot: {progress.text()}"), _bars(progress))


def _rows_of(meter: Meter) -> int:
    return SnapshotProgress.of(meter.snapshot).rows


def _bars(progress: SnapshotProgress) -> Progress:
    bars = Progress(
        TextColumn("  {task.description}", table_column=Column(no_wrap=True, overflow="ellipsis", ratio=2)),
        BarColumn(bar_width=None, table_column=Column(ratio=2, min_width=4)),
        TaskProgressColumn(show_speed=False),
        _Left(),
        auto_refresh=False,
        expand=True,
    )
    left = [table for table in progress.tables if not table.done]
    for table in left[:MOST_BARS]:
        bars.add_task(escape(table.name), total=table.expected, completed=table.rows)
    return bars


class _Left(ProgressColumn):
    """Rows that are left."""

    def render(self, task: Task) -> Text:
        """The cell of one bar."""
        if task.total is None:
            return Text(f"{int(task.completed):,} rows", style="dim")
        return Text(f"{int(task.total - task.completed):,} left", style="dim")
