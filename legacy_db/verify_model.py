"""What a verification is asked, and what it says."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from legacy_db.compare import SHOWN, Difference

Progress = Callable[[str, int, int], None]
"""What is being done, how far, of how much (0: unknown)."""

TOPIC: Final = "legacy = topic"
VIEW: Final = "topic = view"


@dataclass(frozen=True, slots=True)
class Options:
    """How a verification goes about it.

    Attributes:
        rate: Rows per second that are read from the database at most, 0 for no limit.
        snapshot_seconds: After that long a snapshot is given up for a new one.
        memory_rows: How many records of a topic are folded in memory; more go through files.
        directory: Where files go; None for a temporary directory. With one, an interrupted verification goes on.
        wait_seconds: How long the pipeline may stand still before the wait is given up.
        rechecks: How often rows that are not the same are looked at again, each time at a new cut.
        process_rows: From how many rows on the database is read by a process of its own.
        values: Whether the values of differing rows are shown.
        digests: Whether digests are compared first, and only rows that they leave in doubt are looked at.
    """

    rate: float = 0.0
    snapshot_seconds: float = 60.0
    memory_rows: int = 2_000_000
    directory: Path | None = None
    wait_seconds: float = 120.0
    rechecks: int = 2
    process_rows: int = 100_000
    values: bool = False
    digests: bool = True


@dataclass(slots=True)
class TableResult:
    """What was found in one table.

    Attributes:
        table: `schema.table`.
        topic: Its topic.
        rows: Rows of the database (of the view in the second hop).
        events: Records of the topic that were folded.
        missing: Rows that the second side lacks.
        extra: Rows that only the second side has.
        different: Rows with other values.
        differences: The first hundred.
        rules: Rule -> how many values are equal only under it.
        own_codec: Columns that only the pipeline's own codec could judge.
        passed: Differences that were gone at the next cut.
        seconds: How long it took.
        key: Whether rows were compared by key; else as a multiset.
    """

    table: str
    topic: str
    rows: int = 0
    events: int = 0
    missing: int = 0
    extra: int = 0
    different: int = 0
    differences: list[Difference] = field(default_factory=list)
    rules: Mapping[str, int] = field(default_factory=dict)
    own_codec: tuple[str, ...] = ()
    passed: int = 0
    seconds: float = 0.0
    key: bool = True

    @property
    def mismatches(self) -> int:
        """How many rows are not the same."""
        return self.missing + self.extra + self.different

    def as_json(self, *, values: bool) -> dict[str, Any]:
        """As a JSON object."""
        return {
            "table": self.table, "topic": self.topic, "rows": self.rows, "events": self.events,
            "missing": self.missing, "extra": self.extra, "different": self.different,
            "keys": [difference.as_json(values=values) for difference in self.differences[:SHOWN]],
            "rules": dict(self.rules), "own_codec": list(self.own_codec), "passed": self.passed,
            "compared_by": "key" if self.key else "multiset", "seconds": round(self.seconds, 3),
        }  # fmt: skip


@dataclass(slots=True)
class HopResult:
    """One hop.

    Attributes:
        hop: `legacy = topic` or `topic = view`.
        tables: In order.
        cut: What it was compared at: snapshots, or offsets.
        snapshots: How many snapshots of the database were taken.
        snapshot_age: The oldest snapshot that was held, seconds.
        read_seconds: How long the database was read.
        started: Unix time.
        seconds: How long it took.
    """

    hop: str
    tables: list[TableResult] = field(default_factory=list)
    cut: dict[str, Any] = field(default_factory=dict)
    snapshots: int = 0
    snapshot_age: float = 0.0
    read_seconds: float = 0.0
    started: float = field(default_factory=time.time)
    seconds: float = 0.0

    @property
    def mismatches(self) -> int:
        """How many rows are not the same, in all tables."""
        return sum(table.mismatches for table in self.tables)

    @property
    def rows(self) -> int:
        """Rows of the database, in all tables."""
        return sum(table.rows for table in self.tables)

    def as_json(self, *, values: bool = False) -> dict[str, Any]:
        """As a JSON object."""
        return {
            "hop": self.hop, "equal": not self.mismatches, "tables": [t.as_json(values=values) for t in self.tables],
            "cut": self.cut, "rows": self.rows, "seconds": round(self.seconds, 3),
            "load": {
                "snapshots": self.snapshots, "snapshot_age_seconds": round(self.snapshot_age, 3), "read_seconds": round(self.read_seconds, 3),
                "rows_per_second": round(self.rows / self.read_seconds) if self.read_seconds else None,
            },
        }  # fmt: skip
