"""Exactly once: data, position record and snapshot progress in one Kafka transaction; Postgres is told after its commit.

Same interface as `cdc.acknowledger`. A restart fences older producers first (`init_transactions`), then reads the last
committed position, and skips what it covers: whole transactions by commit LSN, and the first messages of a transaction
that was split over several Kafka transactions. Messages are counted, not records: their number depends on nothing but
the log and the publication, which is checked. A commit falls between two messages, never into the records of one.

Source: KIP-98; librdkafka's INTRODUCTION, "Transactional Producer".
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any, Final

import confluent_kafka

from cdc.acks import AckTracker, Window
from cdc.errors import BrokerUnavailable, Fenced, SeamError
from cdc.kafka.faults import delivery_error
from cdc.kafka.positions import PARTITION, POSITIONS_TOPIC, PositionRecord
from cdc.kafka.producer import Producer
from cdc.lsn import LSN
from cdc.postgres.walsender import Walsender
from cdc.progress import Progress
from cdc.telemetry import Meter

COMMIT_SECONDS: Final = 0.15
COMMIT_RECORDS: Final = 50_000
IDLE_COMMIT_SECONDS: Final = 3.0
STATUS_SECONDS: Final = 10.0
DEADLINE_SECONDS: Final = 60.0
WHOLE: Final = sys.maxsize


class TransactionalAcknowledger:
    """Follows what was received through Kafka transactions until Postgres is told.

    Args:
        walsender: Where status updates go.
        producer: A transactional one, initialised.
        connector: The pipeline's name, the key of the position record.
        position: The last committed record.
        meter: Counts.
        failpoint: Called with the name of each step; tests kill the process there.
        progress: Tells readers how far the log is in Kafka, by a producer without transactions.

    Attributes:
        window: The records of the open Kafka transaction; None when none is open.
        in_transaction: Whether a Begin was read whose Commit was not.
        skip: Messages of the running transaction whose records were committed before a restart.
        ordinal: Messages of the running transaction so far, its Begin and skipped ones included.
        snapshot_state: Gives the state of the snapshot, which is committed with the position; None for none.
        eager: Whether an idle position is recorded at once, because somebody waits for it.
        acknowledged: What a read_committed reader sees, and Postgres may be told.
        position: The last committed record.
    """

    def __init__(
        self, walsender: Walsender, producer: Producer, connector: str, position: PositionRecord, *,
        meter: Meter, failpoint: Callable[[str], None], progress: Progress | None = None,
    ) -> None:  # fmt: skip
        self.walsender = walsender
        self.producer = producer
        self.connector = connector.encode()
        self.position = position
        self.meter = meter
        self.failpoint = failpoint
        self.progress = progress
        self.window: Window | None = None
        self.in_transaction = False
        self.skip = 0
        self.ordinal = 0
        self.eager = False
        self.reply_now = False
        self.acknowledged = position.end_lsn
        # Only its list of failures is used: the Kafka transaction is the one window.
        self.tracker = AckTracker(position.end_lsn)
        self.tracker.on_delivered = None if progress is None else progress.delivered
        self.snapshot_state: Callable[[], Mapping[str, Any]] | None = None
        self._restored = position
        self._running = LSN(0)
        self._commit_lsn = position.commit_lsn
        self._ordinal_done = position.ordinal
        self._end_lsn = position.end_lsn
        self._opened = 0.0
        self._delivered = 0
        self._committed = 0.0
        self._told = LSN(0)
        self._told_time = 0.0
        self._moved = 0
        self._moved_time = 0.0

    # -- what was received -------------------------------------------------------------------------------------------

    def begin(self, commit_lsn: LSN) -> Window:
        """A transaction starts; what the restored position covers of it is skipped."""
        self.in_transaction = True
        self.ordinal = 1
        self._running = commit_lsn
        restored = self._restored
        if commit_lsn < restored.commit_lsn or (commit_lsn == restored.commit_lsn and restored.ordinal == 0):
            self.skip = WHOLE
        elif commit_lsn == restored.commit_lsn:
            self.skip = restored.ordinal
        else:
            self.skip = 0
        return self._ensure_open()

    def commit(self, commit_lsn: LSN, end_lsn: LSN) -> None:
        """The transaction ended."""
        self.in_transaction = False
        self.skip = 0
        if self.progress is not None:
            self.progress.writer.committed(end_lsn)
        if commit_lsn >= self._commit_lsn:
            self._commit_lsn, self._ordinal_done = commit_lsn, 0
        self._end_lsn = max(self._end_lsn, end_lsn)

    def outside(self, lsn: LSN | None = None) -> Window:
        """The window of a record that belongs to no transaction.

        Args:
            lsn: Of a non-transactional message: decoding goes in log order, so everything up to it has been read.
        """
        window = self._ensure_open()
        if lsn is not None and not self.in_transaction:
            self._end_lsn = max(self._end_lsn, LSN(lsn + 1))
        return window

    def keepalive(self, wal_end: LSN, *, reply_requested: bool) -> None:
        """The server has sent everything up to `wal_end`."""
        self.meter.server_lsn = wal_end
        self.reply_now = self.reply_now or reply_requested
        if not self.in_transaction:
            self._end_lsn = max(self._end_lsn, wal_end)

    def _ensure_open(self) -> Window:
        if self.window is None:
            try:
                self.producer.client.begin_transaction()
            except (confluent_kafka.KafkaException, SystemError) as error:
                raise self._translated(error) from error
            self.window = self.tracker.open()
            self._opened, self._delivered = time.monotonic(), self.tracker.delivered
        return self.window

    # -- what may be told --------------------------------------------------------------------------------------------

    def acknowledge(self, now: float, *, idle: bool = False) -> None:
        """Commit when it is time.

        Args:
            now: Monotonic time, seconds.
            idle: Whether nothing more has arrived from the server.

        Raises:
            SeamError: A delivery failed or the commit did; the producer must not be used again.
        """
        self.raise_failures()
        if self.window is not None:
            records = self.window.outstanding + self.tracker.delivered - self._delivered
            full = records >= COMMIT_RECORDS or (records and now - self._opened >= COMMIT_SECONDS)
            if full or (idle and not self.in_transaction):
                self._commit_kafka()
        elif self._end_lsn > self.acknowledged and not self.in_transaction:
            pause = 0.1 if self.eager or self.reply_now else IDLE_COMMIT_SECONDS
            if now - self._committed >= pause:
                self._ensure_open()
                self._commit_kafka()
        else:
            self.meter.healthy = now
        if self.acknowledged > self._told or self.reply_now or now - self._told_time >= STATUS_SECONDS:
            self.tell_server(now)

    def blocked(self, now: float) -> None:
        """Answer the server while the producer has no room, in the midst of a message's records: nothing is committed.

        Raises:
            BrokerUnavailable: Kafka has taken nothing for longer than a transaction may take.
        """
        self.raise_failures()
        if self.reply_now or now - self._told_time >= STATUS_SECONDS:
            self.tell_server(now)
        if self.tracker.delivered != self._moved:
            self._moved, self._moved_time = self.tracker.delivered, now
        elif now - self._moved_time > DEADLINE_SECONDS and now - self._opened > DEADLINE_SECONDS:
            raise BrokerUnavailable(f"{self.producer.where}: nothing was acknowledged for {DEADLINE_SECONDS:.0f} s")

    def _commit_kafka(self) -> None:
        window = self.window
        assert window is not None
        for call in window.when_durable:
            # Progress of the snapshot belongs into the same commit as its rows.
            call()
        window.when_durable.clear()
        record = self._position()
        self.tell_server(time.monotonic())
        while not self.producer.send(
            POSITIONS_TOPIC, record.encode(), self.connector, on_delivery=self._written, partition=PARTITION
        ):
            self.producer.poll(0.05)
            self.blocked(time.monotonic())
        self.failpoint("produced, not committed")
        try:
            self.producer.client.commit_transaction(DEADLINE_SECONDS)
        except (confluent_kafka.KafkaException, SystemError) as error:
            raise self._translated(error) from error
        self.failpoint("committed, not acknowledged")
        self.tracker.close(window, record.commit_lsn, record.end_lsn)
        self.tracker.advance()
        self.window = None
        self.position = record
        self.acknowledged = record.end_lsn
        self._committed = self.meter.healthy = time.monotonic()
        if self.progress is not None:
            self.progress.tell(self.acknowledged, self._committed, idle=True)
        if self.in_transaction:
            # The rest of a source transaction that was split goes into the next one.
            self._ensure_open()

    def _position(self) -> PositionRecord:
        """What will be committed: every transaction before the running one whole, and that one as far as it came."""
        lsn, ordinal = self._commit_lsn, self._ordinal_done
        if self.in_transaction and (self._running, self.ordinal) > (lsn, ordinal or WHOLE):
            lsn, ordinal = self._running, self.ordinal
        record = self.position.at(lsn, self._end_lsn, ordinal)
        return record if self.snapshot_state is None else replace(record, snapshot=self.snapshot_state())

    def _written(self, error: Any, message: Any) -> None:
        if error is not None:
            self.tracker.failures.append((error, message))

    def _translated(self, error: Any) -> SeamError:
        self.producer.raise_fatal()
        translated = self.producer.ended(error)
        if isinstance(translated, (Fenced, BrokerUnavailable)):
            return translated
        # Whatever else happened, only the position topic, read by a new producer, knows what was committed.
        return BrokerUnavailable(translated.message)

    def tell_server(self, now: float, *, reply: bool = False) -> None:
        """Send a status update; with `reply` the server answers with a keepalive."""
        self.walsender.send_status(self.acknowledged, self._end_lsn, reply=reply)
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
        if self.tracker.failures:
            raise delivery_error(*self.tracker.failures[0], where=self.producer.where)

    def finish(self, seconds: float) -> bool:
        """Commit what was read; an open source transaction is committed as far as it came.

        Args:
            seconds: Not used: a commit has a deadline of its own.

        Returns:
            True.
        """
        del seconds
        self.producer.poll(0)
        self.raise_failures()
        if self.window is not None:
            self._commit_kafka()
        self.tell_server(time.monotonic())
        return True
