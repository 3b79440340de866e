"""How far a snapshot has come, for people and for metrics: out of what the engine records, with rate and remaining time."""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

RATE_SECONDS: Final = 15.0
"""The rate is that of so many last seconds."""


@dataclass(frozen=True, slots=True)
class TableProgress:
    """One table.

    Attributes:
        name: `schema.table`.
        rows: Rows that were handled.
        expected: Rows to be expected, by the server's statistics and never below `rows`; None where it has none.
        done: Whether it is done.
    """

    name: str
    rows: int
    expected: int | None
    done: bool


@dataclass(frozen=True, slots=True)
class SnapshotProgress:
    """All tables.

    Attributes:
        tables: In the order in which they are read.
        running: Whether there is something left to read.
        rate: Rows per second; None where it is not known.
    """

    tables: tuple[TableProgress, ...]
    running: bool
    rate: float | None = None

    @classmethod
    def of(cls, recorded: Mapping[str, Any], rate: float | None = None) -> SnapshotProgress:
        """Out of `Meter.snapshot` or a position record's `snapshot`.

        Args:
            recorded: As the engine records it; empty for no snapshot.
            rate: Rows per second.
        """
        running = recorded.get("phase", "done") != "done"
        tables = []
        for name, state in recorded.get("tables", {}).items():
            rows, done = int(state.get("rows", 0)), bool(state.get("done")) or not running
            estimate = int(state.get("estimate", 0))
            expected = rows if done else max(rows, estimate) if estimate > 0 else None
            tables.append(TableProgress(name, rows, expected, done))
        return cls(tuple(tables), running, rate if running else None)

    @property
    def rows(self) -> int:
        """Rows that were handled, of all tables."""
        return sum(table.rows for table in self.tables)

    @property
    def expected(self) -> int | None:
        """Rows to be expected, of all tables; None where one is not known."""
        numbers = [table.expected for table in self.tables]
        return sum(n for n in numbers if n is not None) if numbers and None not in numbers else None

    @property
    def remaining_seconds(self) -> float | None:
        """Until all rows are handled at this rate; None where that cannot be said."""
        if not self.running or not self.rate or self.expected is None:
            return None
        return (self.expected - self.rows) / self.rate

    def as_json(self) -> dict[str, Any]:
        """As a JSON object."""
        left = self.remaining_seconds
        return {
            "running": self.running, "rows": self.rows, "expected_rows": self.expected,
            "rows_per_second": None if self.rate is None else round(self.rate, 1),
            "remaining_seconds": None if left is None else round(left, 1),
            "tables": {
                table.name: {"rows": table.rows, "expected_rows": table.expected, "done": table.done}
                for table in self.tables
            },
        }  # fmt: skip

    def text(self) -> str:
        """In one line: `12,000 of about 50,000 rows (24 %), 5,000 rows/s, 8 s left`."""
        text = f"{self.rows:,}"
        if self.expected:
            text += f" of about {self.expected:,} rows ({min(100, 100 * self.rows // self.expected)} %)"
        else:
            text += " rows"
        if self.rate:
            text += f", {self.rate:,.0f} rows/s"
        if (left := self.remaining_seconds) is not None:
            text += f", {duration_text(left)} left"
        return text


class RowRate:
    """Rows per second of the last seconds, from a count that is looked at now and then."""

    def __init__(self) -> None:
        self._seen: deque[tuple[float, int]] = deque()

    def at(self, now: float, rows: int) -> float | None:
        """The rate; None at the first look, and where the count has started anew.

        Args:
            now: Monotonic seconds.
            rows: The count.
        """
        seen = self._seen
        if seen and rows < seen[-1][1]:
            seen.clear()
        seen.append((now, rows))
        while len(seen) > 2 and now - seen[1][0] >= RATE_SECONDS:
            seen.popleft()
        seconds = now - seen[0][0]
        return (rows - seen[0][1]) / seconds if seconds > 0 else None


def duration_text(seconds: float) -> str:
    """A time for people: `8 s`, `3 min 20 s`, `2 h 05 min`."""
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60:02} s"
    return f"{whole // 3600} h {whole % 3600 // 60:02} min"
