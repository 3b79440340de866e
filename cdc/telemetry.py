"""What a running pipeline counts; no third party, so that every floor may count."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any


@dataclass(slots=True)
class Meter:
    """The figures of one pipeline.

    Attributes:
        started: Unix time of the start, seconds.
        messages: Frames taken.
        received_bytes: Their bytes.
        rows: Row messages among them.
        records: Records handed to the producer.
        transactions: Commits read.
        blocked: How often the producer's queue was full.
        reconnects: How often the stream was started again.
        commit_micros: Commit time of the last transaction, microseconds since the Unix epoch.
        server_lsn: The server's end of the log, as its last keepalive said.
        flushed_lsn: What the server was told.
        phase: starting, snapshot, streaming, retrying, stopped.
        last_error: The last error's text.
        healthy: Monotonic time when all was delivered, or a delivery came, last.
        snapshot: How far the initial snapshot has come, as it is recorded.
    """

    started: float = field(default_factory=time.time)
    messages: int = 0
    received_bytes: int = 0
    rows: int = 0
    records: int = 0
    transactions: int = 0
    blocked: int = 0
    reconnects: int = 0
    commit_micros: int = 0
    server_lsn: int = 0
    flushed_lsn: int = 0
    phase: str = "starting"
    last_error: str | None = None
    healthy: float = 0.0
    snapshot: Mapping[str, Any] = field(default_factory=dict)

    def as_json(self) -> dict[str, Any]:
        """The figures as a JSON object."""
        return {
            "phase": self.phase, "messages": self.messages, "received_bytes": self.received_bytes,
            "rows": self.rows, "records": self.records, "transactions": self.transactions, "blocked": self.blocked,
            "reconnects": self.reconnects, "flushed_lsn": int(self.flushed_lsn),
            "seconds": round(time.time() - self.started, 3), "last_error": self.last_error,
            "snapshot": dict(self.snapshot),
        }  # fmt: skip
