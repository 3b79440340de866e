"""How far a snapshot has come: rows, share, rate and remaining time, on terminals of any width and elsewhere."""

from __future__ import annotations

import io
from typing import Any

import pytest
from rich.console import Console

from cdc.telemetry import Meter
from connectors.run_display import PLAIN_SECONDS, RunDisplay
from connectors.snapshot_progress import RowRate, SnapshotProgress, duration_text

RUNNING = {
    "phase": "chunks",
    "tables": {
        "public.a": {"rows": 1000, "estimate": 900, "done": True},
        "public.b": {"rows": 500, "estimate": 2000, "place": 7, "file": 1},
    },
}


def test_the_share_counts_what_is_done_as_it_was_and_what_is_left_by_statistics() -> None:
    progress = SnapshotProgress.of(RUNNING, rate=100.0)
    assert (progress.rows, progress.expected) == (1500, 3000)
    assert progress.remaining_seconds == 15.0
    assert progress.text() == "1,500 of about 3,000 rows (50 %), 100 rows/s, 15 s left"


def test_a_table_that_has_more_rows_than_its_statistics_say_is_never_over_100_percent() -> None:
    progress = SnapshotProgress.of({"phase": "chunks", "tables": {"t": {"rows": 70, "estimate": 50}}}, rate=10.0)
    assert (progress.expected, progress.remaining_seconds) == (70, 0.0)
    assert "(100 %)" in progress.text()


@pytest.mark.parametrize("estimate", [0, -1])
def test_without_statistics_there_is_no_share_and_no_remaining_time(estimate: int) -> None:
    progress = SnapshotProgress.of({"phase": "chunks", "tables": {"t": {"rows": 70, "estimate": estimate}}}, rate=10.0)
    assert progress.as_json()["expected_rows"] is None
    assert progress.remaining_seconds is None
    assert progress.text() == "70 rows, 10 rows/s"


@pytest.mark.parametrize("recorded", [{}, {"phase": "done"}, {**RUNNING, "phase": "done"}])
def test_what_is_done_does_not_run_and_has_no_rate(recorded: dict[str, Any]) -> None:
    progress = SnapshotProgress.of(recorded, rate=5.0)
    assert (progress.running, progress.rate, progress.remaining_seconds) == (False, None, None)
    assert all(table.done for table in progress.tables)


def test_the_rate_is_that_of_the_last_seconds_and_starts_anew_with_the_count() -> None:
    rate = RowRate()
    assert rate.at(0.0, 0) is None
    assert rate.at(10.0, 1000) == 100.0
    assert [rate.at(10.0 + n, 1000 + 10 * n) for n in range(1, 31)][-1] == pytest.approx(10.0)
    assert rate.at(50.0, 0) is None, "a snapshot that began again"


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0.2, "0 s"), (59.4, "59 s"), (200, "3 min 20 s"), (3599.9, "1 h 00 min"), (7500, "2 h 05 min")],
)
def test_times_are_told_in_two_units_at_most(seconds: float, text: str) -> None:
    assert duration_text(seconds) == text


def _display(width: int = 80) -> tuple[RunDisplay, Console, Meter]:
    meter = Meter(phase="snapshot", snapshot=RUNNING, records=1500)
    console = Console(file=io.StringIO(), width=width, force_terminal=False)
    return RunDisplay("orders", meter, console), console, meter


def _written(console: Console) -> str:
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue()


@pytest.mark.parametrize("width", [20, 40, 80, 200])
def test_bars_fit_any_terminal_and_show_only_what_is_left(width: int) -> None:
    display, console, _ = _display(width)
    display.picture(0.0)
    console.print(display.picture(10.0))
    lines = _written(console).splitlines()
    assert all(len(line) <= width for line in lines)
    assert "public.a" not in _written(console)
    if width >= 80:
        assert "public.b" in _written(console)
        assert "1,500 left" in _written(console)
        assert "25%" in _written(console)


def test_without_a_terminal_each_phase_is_a_line_and_a_long_snapshot_one_now_and_then() -> None:
    display, console, meter = _display(200)
    for now in (0.0, 1.0, PLAIN_SECONDS - 1):
        display.tell(now)
    assert _written(console).count("\n") == 1
    display.tell(PLAIN_SECONDS + 1)
    assert _written(console).count("orders: snapshot: 1,500 of about 3,000 rows (50 %)") == 2
    meter.phase = "streaming"
    meter.snapshot = {**RUNNING, "phase": "done"}
    display.tell(PLAIN_SECONDS + 2)
    display.tell(PLAIN_SECONDS * 9)
    assert _written(console).splitlines()[2:] == ["orders: streaming"]


def test_a_name_with_brackets_is_no_markup() -> None:
    display, console, meter = _display(200)
    display.pipeline = "[bold]x"
    meter.snapshot = {"phase": "chunks", "tables": {"public.[red]t": {"rows": 1, "estimate": 9}}}
    console.print(display.picture(0.0))
    assert "[bold]x" in _written(console)
    assert "public.[red]t" in _written(console)
