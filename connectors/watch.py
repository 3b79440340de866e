"""What is looked after while a pipeline streams: its publication, heartbeats, and what it says of itself."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Final

from cdc.events import HEARTBEAT_PREFIX, Events
from cdc.kafka.status import STATUS_TOPIC, encode_status
from cdc.lsn import LSN
from cdc.postgres.publication import RecordedPublication
from cdc.render import Record
from connectors.first_start import Publications
from connectors.session import Session
from connectors.snapshot_progress import RowRate, SnapshotProgress

WATCH_SECONDS: Final = 5.0


class Watch:
    """Called every few seconds on the stream's thread.

    Args:
        session: The open parts.
        publications: Compares the publication.
        recorded: What it was.
        events: Makes heartbeats.
    """

    def __init__(
        self, session: Session, publications: Publications, recorded: RecordedPublication, events: Events
    ) -> None:
        self.session = session
        self.publications = publications
        self.recorded = recorded
        self.events = events
        self.heartbeat_seconds = session.config.options["heartbeat.interval.ms"] / 1000
        self._heartbeat_time = self._publication_time = self._status_time = time.monotonic()
        self._status_records = session.meter.records
        self._snapshot_rate = RowRate()

    @property
    def seconds(self) -> float:
        """How often `look` wants to be called."""
        return min(WATCH_SECONDS, self.heartbeat_seconds or WATCH_SECONDS)

    def look(self) -> Sequence[Record]:
        """Look after everything that is due; returns records to send.

        Raises:
            PublicationChanged: It is not as recorded.
        """
        now = time.monotonic()
        records: list[Record] = []
        if now - self._publication_time >= WATCH_SECONDS:
            self._publication_time = now
            self.recorded = self.publications.check(self.recorded).recorded(self.session.captures)
            # A stream that is behind gets no keepalives, and would seem to have no lag.
            meter = self.session.meter
            meter.server_lsn = max(meter.server_lsn, LSN.parse(self.session.catalog.current_lsn()))
            records.append((STATUS_TOPIC, self.session.config.name.encode(), self._status(now), None))
        if self.heartbeat_seconds and now - self._heartbeat_time >= self.heartbeat_seconds:
            self._heartbeat_time = now
            # On 15 and newer empty transactions are not sent: only a message moves the slot of a filtered database.
            self.session.catalog.rows("select pg_logical_emit_message(false, %s, '')::text", (HEARTBEAT_PREFIX,))
            action = self.session.config.options["heartbeat.action.query"]
            if action:
                self.session.catalog.run(action)
            records += self.events.heartbeat(time.time_ns() // 1_000_000)
        return records

    def _status(self, now: float) -> bytes:
        meter = self.session.meter
        rate = (meter.records - self._status_records) / max(0.001, now - self._status_time)
        self._status_records, self._status_time = meter.records, now
        rows = SnapshotProgress.of(meter.snapshot).rows
        return encode_status(meter, rate, self._snapshot_rate.at(now, rows))
