"""Data acknowledged, then the position acknowledged, then Postgres told: always in this order.

The slot can therefore never rightly be ahead of the position record, and a slot that is ahead means stop.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any, Final

from cdc.acks import AckTracker, Window
from cdc.errors import BrokerUnavailable
from cdc.kafka.faults import delivery_error
from cdc.kafka.positions import PARTITION, POSITIONS_TOPIC, PositionRecord
from cdc.kafka.producer import Producer
from cdc.lsn import LSN
from cdc.postgres.walsender import Walsender
from cdc.progress import Progress
from cdc.telemetry import Meter

WINDOW_RECORDS: Final = 500
POSITION_SECONDS: Final = 0.1
IDLE_POSITION_SECONDS: Final = 3.0
STATUS_SECONDS: Final = 10.0
WHOLE: Final = sys.maxsize


class Acknowledger:
    """Follows what was received until Postgres is told.

    Args:
        walsender: Where status updates go.
        producer: Where the position record goes.
        connector: The pipeline's name, the key of that record.
        position: The record to move on from; Kafka holds it.
        confirmed: The slot's position, where the stream starts. It may lie before the recorded one, and then what lies
            between is sent again: the slot moves through it as it is acknowledged again, and not ahead of it. Told the
            recorded position at once, a second crash would leave the older values of that stretch last in the topics.
        stall_seconds: How long Kafka may acknowledge nothing before the stream is given up.
        meter: Counts.
        failpoint: Called with the name of each step; tests kill the process there.
        progress: Tells readers how far the log is in Kafka.

    Attributes:
        window: The open window: of the running transaction, or of small ones that wait for company.
        in_transaction: Whether a Begin was read whose Commit was not.
        eager: Whether an idle position is recorded at once, because somebody waits for it.
        reply_now: Whether the server asked for an answer.
        acknowledged: What Kafka holds of what was received, position record included.
        position: The record as it was written last.
        skip: Messages of the running transaction whose records Kafka holds already, where the position says so; else below
            the first one, a Begin.
        ordinal: Messages of the running transaction so far; counted on over all of them where nothing is skipped.
        snapshot_state: Gives the state of the snapshot, which is recorded with the position; None for none.
    """

    def __init__(
        self, walsender: Walsender, producer: Producer, connector: str, position: PositionRecord, confirmed: LSN, *,
        stall_seconds: float, meter: Meter, failpoint: Callable[[str], None], progress: Progress | None = None,
    ) -> None:  # fmt: skip
        self.walsender = walsender
        self.producer = producer
        self.connector = connector.encode()
        self.position = position
        self.stall_seconds = stall_seconds
        self.meter = meter
        self.failpoint = failpoint
        self.progress = progress
        self.tracker = AckTracker(confirmed)
        self.tracker.on_delivered = None if progress is None else progress.delivered
        self.window: Window | None = None
        self.in_transaction = False
        self.skip = -1
        self.ordinal = 0
        self.snapshot_state: Callable[[], Mapping[str, Any]] | None = None
        self.eager = False
        self.reply_now = False
        self.acknowledged = confirmed
        self._received = confirmed
        self._commit_lsn = position.commit_lsn
        self._end_lsn = LSN(0)
        self._sent = confirmed
        self._sent_time = 0.0
        self._failure: tuple[Any, Any] | None = None
        # Of its own this mode records whole transactions; a part was recorded by a hand-over, or exactly once before.
        self._covered = position if position.ordinal else None
        self._told = LSN(0)
        self._told_time = 0.0
        self._delivered = 0
        self._progress_time = time.monotonic()

    # -- what was received -------------------------------------------------------------------------------------------

    def begin(self, commit_lsn: LSN = LSN(0)) -> Window:  # noqa: B008 - a number
        """A transaction starts; returns the window of its records."""
        self.in_transaction = True
        if self._covered is not None:
            self._skip(commit_lsn, self._covered)
        if self.window is None:
            self.window = self.tracker.open()
        return self.window

    def _skip(self, commit_lsn: LSN, covered: PositionRecord) -> None:
        """What another engine has sent already is not sent again."""
        self.ordinal = 1
        if commit_lsn < covered.commit_lsn:
            self.skip = WHOLE
        elif commit_lsn == covered.commit_lsn:
            self.skip = covered.ordinal
        else:
            self.skip, self._covered = -1, None

    def commit(self, commit_lsn: LSN, end_lsn: LSN) -> None:
        """The transaction ended; its window stays open for small ones that follow, until it is big or time is up."""
        self.in_transaction = False
        if self.progress is not None:
            self.progress.writer.committed(end_lsn)
        self._commit_lsn, self._end_lsn = commit_lsn, end_lsn
        self._received = max(self._received, end_lsn)
        if self.window is not None and self.window.outstanding >= WINDOW_RECORDS:
            self.close_window()

    def outside(self, _lsn: LSN | None = None) -> Window:
        """The window of a record that belongs to no transaction: the open one, or a new one behind all others."""
        if self.window is not None:
            return self.window
        window = self.tracker.open()
        # It moves nothing: a position inside the log may only come from a commit or a keepalive.
        self.tracker.close(window, self._commit_lsn, self.tracker.flushed)
        return window

    def keepalive(self, wal_end: LSN, *, reply_requested: bool) -> None:
        """The server has sent everything up to `wal_end`; it may be acknowledged when nothing is pending."""
        self.meter.server_lsn = wal_end
        self.reply_now = self.reply_now or reply_requested
        if self.in_transaction:
            return
        self.close_window()
        self.tracker.advance()
        if self.tracker.idle:
            self.tracker.adopt(wal_end)
            self._received = max(self._received, wal_end)

    def close_window(self) -> None:
        """Let what was committed be acknowledged."""
        if self.window is not None and not self.in_transaction:
            self.tracker.close(self.window, self._commit_lsn, self._end_lsn)
            self.window = None

    # -- what may be told --------------------------------------------------------------------------------------------

    def acknowledge(self, now: float, *, idle: bool = False) -> None:
        """Move on as far as Kafka has acknowledged.

        Args:
            now: Monotonic time, seconds.
            idle: Whether nothing more has arrived from the server.

        Raises:
            SeamError: A delivery failed, or nothing was acknowledged for too long.
        """
        self.raise_failures()
        self.close_window()
        flushed = self.tracker.advance()
        if self.progress is not None:
            self.progress.tell(flushed, now, idle=idle)
        if flushed > self._sent and self._sent == self.acknowledged:
            if flushed <= self.position.end_lsn:
                self._sent = self.acknowledged = flushed  # sent again: the record covers it
            elif now - self._sent_time >= self._pause():
                self._write_position(flushed, now)
        if self.acknowledged > self._told or self.reply_now or now - self._told_time >= STATUS_SECONDS:
            self.tell_server(now)
        self._check_progress(now)

    def blocked(self, now: float) -> None:
        """Move on while the producer has no room: the same, since a record that waits is counted already."""
        self.acknowledge(now)

    def _pause(self) -> float:
        idle = self.tracker.commit_lsn <= self.position.commit_lsn and not self.eager and not self.reply_now
        return IDLE_POSITION_SECONDS if idle else POSITION_SECONDS

    def _write_position(self, flushed: LSN, now: float) -> None:
        self.failpoint("data acknowledged")
        # What is covered beyond the stream stays so for the next start.
        ordinal = self.position.ordinal if self.tracker.commit_lsn < self.position.commit_lsn else 0
        position = self.position.at(max(self.tracker.commit_lsn, self.position.commit_lsn), flushed, ordinal)
        if self.snapshot_state is not None:
            position = replace(position, snapshot=self.snapshot_state())
        self._sent_time = now

        def written(error: Any, message: Any) -> None:
            if error is not None:
                self._failure = (error, message)
                return
            self.acknowledged = max(self.acknowledged, flushed)
            self.failpoint("position acknowledged")

        # A full queue is no fault: the next turn of the loop tries again.
        if self.producer.send(
            POSITIONS_TOPIC, position.encode(), self.connector, on_delivery=written, partition=PARTITION
        ):
            self.position, self._sent = position, flushed

    def tell_server(self, now: float, *, reply: bool = False) -> None:
        """Send a status update; with `reply` the server answers with a keepalive."""
        self.walsender.send_status(self.acknowledged, self._received, reply=reply)
        self._told, self._told_time, self.reply_now = self.acknowledged, now, False
        self.meter.flushed_lsn = self.acknowledged
        self.failpoint("status sent")

    def raise_failures(self) -> None:
        """Raise what forbids to go on: the server's warning that it leaves rows out, or the first failed delivery.

        Raises:
            SeamError: As the two `faults` modules translate it.
        """
        self.walsender.raise_warning()
        self.producer.raise_fatal()
        failure = self.tracker.failures[0] if self.tracker.failures else self._failure
        if failure is not None:
            raise delivery_error(*failure, where=self.producer.where)

    def _check_progress(self, now: float) -> None:
        if self.tracker.delivered != self._delivered or not self.tracker.outstanding:
            self._delivered, self._progress_time, self.meter.healthy = self.tracker.delivered, now, now
        elif now - self._progress_time > self.stall_seconds:
            trouble = self.producer.trouble
            raise BrokerUnavailable(
                f"{self.producer.where}: nothing was acknowledged for {self.stall_seconds:.0f} s"
                + (f"; last trouble: {trouble[1]}" if trouble else "")
            )

    def finish(self, seconds: float) -> bool:
        """Wait until what was committed is delivered, recorded and told.

        Args:
            seconds: How long that may take.

        Returns:
            Whether all of it was; an open transaction is not waited for, since it is read again after a start.
        """
        deadline = time.monotonic() + seconds
        self.eager = True
        while time.monotonic() < deadline:
            self.producer.poll(0.02)
            self.acknowledge(time.monotonic())
            waiting = self.tracker.outstanding - (self.window.outstanding if self.window else 0)
            if not waiting and self.acknowledged >= self.tracker.flushed:
                self.tell_server(time.monotonic())
                return True
        return False
