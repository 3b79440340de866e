"""The loop: frames in, records out, and only what Kafka holds is acknowledged.

Read top to bottom: `run` repeats drain, acknowledge, wait, until it is stopped or has reached its goal.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from typing import Final

from cdc.acknowledger import Acknowledger
from cdc.acks import Window
from cdc.errors import ProtocolError, SeamError, SourceUnavailable
from cdc.hooks import Hooks
from cdc.kafka.producer import NOT_TAKEN, Producer
from cdc.lsn import LSN
from cdc.model.relation import Relation
from cdc.postgres.snapshot import MARK_PREFIX
from cdc.postgres.walsender import WAL_SENDER_TIMEOUT_SECONDS, Walsender
from cdc.relations import Relations
from cdc.render import Placed, Record
from cdc.sender import Sender
from cdc.snapshotter import Snapshotter
from cdc.source import SourceState
from cdc.telemetry import Meter
from cdc.transactional import TransactionalAcknowledger
from cdc.wire.boundaries import BEGIN, BEGIN_FRAME, COMMIT, COMMIT_FRAME
from cdc.wire.frames import POSTGRES_EPOCH_MICROS, XLOG_DATA, XLOG_HEADER, PrimaryKeepalive, parse_frame
from cdc.wire.identity import RowIdentity
from cdc.wire.pgoutput import Begin, Commit, Message, Origin, Truncate, parse_message

DRAIN_MESSAGES: Final = 500
STOP_SECONDS: Final = 30.0
END_SECONDS: Final = 5.0
"""How long a task that is to stop reads on for the end of the running transaction."""
ASK_SECONDS: Final = 0.2
SILENCE_SECONDS: Final = float(WAL_SENDER_TIMEOUT_SECONDS)
"""A server that says nothing for so long, though it was asked, is not there any more."""

_ROWS: Final = frozenset(b"IUD")


class Task:
    """One pipeline from one slot.

    Args:
        walsender: Streaming has started on it.
        producer: Where records go.
        relations: Makes renderers.
        state: The open transaction.
        acks: Follows what was received until Postgres is told.
        hooks: What the loop calls out to.
        meter: Counts.

    Attributes:
        snapshot: Reads the rows that are older than the slot; None when every one is done.
    """

    def __init__(
        self,
        walsender: Walsender,
        producer: Producer,
        relations: Relations,
        state: SourceState,
        acks: Acknowledger | TransactionalAcknowledger,
        hooks: Hooks,
        meter: Meter,
    ) -> None:
        self.walsender = walsender
        self.producer = producer
        self.relations = relations
        self.state = state
        self.acks = acks
        self.hooks = hooks
        self.meter = meter
        self.sender = Sender(producer, relations, state, acks, hooks, meter)
        self.snapshot = hooks.snapshot
        if self.snapshot is not None:
            acks.snapshot_state = self.snapshot.as_json
        self._ended = False
        self._leave_by: float | None = None

    # -- the loop ----------------------------------------------------------------------------------------------------

    def run(self, stop: threading.Event, goal: LSN | None = None) -> None:
        """Stream until stopped, or until everything up to `goal` is acknowledged by Kafka.

        Raises:
            SeamError: What ended the stream; nothing that Kafka does not hold was acknowledged.
        """
        acks = self.acks
        acks.eager = goal is not None
        watched = asked = heard = time.monotonic()
        while not self._leaves(stop) and not self._reached(goal):
            try:
                drained = self._drain()
            except self.walsender.driver_error as error:
                raise self.walsender.lost(error) from error
            if drained:
                self.hooks.failpoint("produced")
            self.producer.poll(0)
            now = time.monotonic()
            acks.acknowledge(now, idle=not drained)
            if self.snapshot is not None:
                self._look_at_snapshot(self.snapshot)
            if drained:
                heard = now
                self.hooks.failpoint("drained")
            elif now - heard > SILENCE_SECONDS:
                raise SourceUnavailable(f"{self.walsender.where}: the server said nothing for {now - heard:.0f} s")
            elif now - asked > (ASK_SECONDS if goal is not None or acks.progress is not None else SILENCE_SECONDS / 4):
                # The answer is a keepalive: it shows that the server lives, and moves an idle slot, and those who wait for
                # a write that touched no captured table.
                acks.tell_server(now, reply=True)
                asked = now
            if now - watched > self.hooks.watch_seconds:
                watched = now
                self._watch()
            if not drained:
                if self._ended:
                    raise self.walsender.end_of_stream()
                self.walsender.wait(0.005 if self.producer.in_queue() else 0.1)
        acks.finish(STOP_SECONDS)
        self.walsender.stop()

    def _leaves(self, stop: threading.Event) -> bool:
        """Whether it stops now: at the end of a transaction, if that comes soon; else its begin would be sent again."""
        if not stop.is_set():
            return False
        if self._leave_by is None:
            self._leave_by = time.monotonic() + END_SECONDS
        return not self.acks.in_transaction or time.monotonic() > self._leave_by

    def _reached(self, goal: LSN | None) -> bool:
        if goal is None or self.acks.acknowledged < goal:
            return False
        return self.snapshot is None and not self.hooks.pending()

    def described(self) -> Sequence[Relation]:
        """The relations that the stream has described so far."""
        return list(self.relations.by_oid.values())

    def _look_at_snapshot(self, snapshot: Snapshotter) -> None:
        """Raise what ended its readers; let it go when every row is done."""
        snapshot.check()
        if snapshot.complete:
            self.meter.snapshot = snapshot.as_json()
            self.meter.phase = "streaming"
            self.snapshot = None
            self.hooks.failpoint("snapshot done")

    def _watch(self) -> None:
        records = self.hooks.watch()
        if records:
            self.sender.send(records, self.acks.outside())

    def _drain(self) -> int:
        """Take up to `DRAIN_MESSAGES` frames that have arrived; returns how many."""
        if self._ended:
            return 0
        get_copy_data = self.walsender.get_copy_data
        renderers = self.relations.renderers
        produce, send_slowly = self.producer.produce, self.sender.send_slowly
        state = self.state
        acks, placed = self.acks, self.hooks.placed
        watched = None if self.snapshot is None else self.snapshot.identities
        state.set_clock(time.time_ns())
        count = others = received = records_sent = 0
        while count < DRAIN_MESSAGES:
            size, view = get_copy_data(1)
            if size <= 0:
                self._ended = size < 0
                self.walsender.raise_warning()
                break
            count += 1
            received += size
            frame = bytes(view)
            if frame[0] != XLOG_DATA or size < 30 or frame[25] not in _ROWS:
                others += 1
                if size == BEGIN_FRAME.size and frame[25] == BEGIN and frame[0] == XLOG_DATA:
                    _, start, _, _, _, final, micros, xid = BEGIN_FRAME.unpack(frame)
                    self._begin(LSN(final), micros + POSTGRES_EPOCH_MICROS, xid, start)
                elif size == COMMIT_FRAME.size and frame[25] == COMMIT and frame[0] == XLOG_DATA:
                    _, start, _, _, _, _, commit, end, micros = COMMIT_FRAME.unpack(frame)
                    self._commit(LSN(commit), LSN(end), micros + POSTGRES_EPOCH_MICROS, start)
                else:
                    self._other(frame)
                if self._leave_by is not None and not acks.in_transaction:
                    break
                continue
            try:
                render = renderers[frame[26:30]]
            except KeyError:
                raise _undescribed(frame) from None
            if render is None:
                acks.ordinal += 1
                continue
            payload = frame[25:]
            try:
                records = render(payload, b"%d" % int.from_bytes(frame[1:9], "big"), state)
            except SeamError as error:
                records = self.sender.dead_letter(error, payload)
            window = acks.window
            if window is None:
                raise ProtocolError("a row outside of a transaction", tag=chr(frame[25]), length=len(payload))
            if watched is not None and (identity := watched.get(frame[26:30])) is not None:
                self._note(identity, payload)
            acks.ordinal += 1
            if acks.ordinal <= acks.skip:
                continue
            records_sent += len(records)
            delivered = window.delivered
            for record in records:
                window.outstanding += 1
                if placed and type(record) is Placed:
                    send_slowly(record, window, None, payload)
                    continue
                topic, key, value, headers = record
                try:
                    produce(topic, value, key, on_delivery=delivered, headers=headers)  # type: ignore[arg-type] # lists are invariant
                except NOT_TAKEN as error:
                    send_slowly(record, window, error, payload)
        self.meter.records += records_sent
        self.meter.messages += count
        self.meter.received_bytes += received
        self.meter.rows += count - others
        return count

    # -- everything that is not a row --------------------------------------------------------------------------------

    def _other(self, data: bytes) -> None:
        frame = parse_frame(data)
        if isinstance(frame, PrimaryKeepalive):
            self.acks.keepalive(frame.wal_end, reply_requested=frame.reply_requested)
            return
        message = parse_message(frame.payload)
        lsn = int(frame.start)
        if isinstance(message, Begin):
            self._begin(message.final_lsn, message.commit_micros, message.xid, lsn)
        elif isinstance(message, Commit):
            self._commit(message.commit_lsn, message.end_lsn, message.commit_micros, lsn)
        elif isinstance(message, Relation):
            self.relations.define(message)
            if self.snapshot is not None:
                self.snapshot.describe(message)
        elif isinstance(message, Origin):
            self.state.came_from(message.name, message.commit_lsn)
        elif isinstance(message, Truncate):
            if self.snapshot is not None and self.state.xid is not None:
                self.snapshot.note_truncate(message.relations, self.state.xid)
            self.acks.ordinal += 1
            self._counted(self.hooks.records_of(message, lsn, self.state), self.acks.outside())
        elif isinstance(message, Message):
            self._message(message, lsn)

    def _begin(self, final_lsn: LSN, commit_micros: int, xid: int, lsn: int) -> None:
        if self.acks.in_transaction:
            raise ProtocolError("a begin within a transaction", tag="B", length=BEGIN_FRAME.size - XLOG_HEADER)
        self.state.begin(final_lsn, commit_micros, xid, lsn)
        self.hooks.streamed(xid)
        window = self.acks.begin(final_lsn)
        if self.hooks.boundaries:
            self._counted(self.hooks.records_of(Begin(final_lsn, commit_micros, xid), lsn, self.state), window)
        self.hooks.failpoint("begin received")

    def _commit(self, commit_lsn: LSN, end_lsn: LSN, commit_micros: int, lsn: int) -> None:
        acks, state = self.acks, self.state
        if acks.window is None or commit_lsn != state.commit_lsn:
            raise ProtocolError("a commit without its begin", tag="C", length=COMMIT_FRAME.size - XLOG_HEADER)
        acks.ordinal += 1
        if self.hooks.boundaries:
            self._counted(self.hooks.records_of(Commit(commit_lsn, end_lsn, commit_micros), lsn, state), acks.window)
        state.end(end_lsn)
        acks.commit(commit_lsn, end_lsn)
        self.meter.transactions += 1
        self.meter.commit_micros = commit_micros
        self.hooks.failpoint("commit received")

    def _message(self, message: Message, lsn: int) -> None:
        if message.transactional:
            self.acks.ordinal += 1
        if message.prefix == MARK_PREFIX:
            if self.snapshot is not None:
                self._chunk(self.snapshot, message.content.decode())
            return
        records = self.hooks.records_of(message, lsn, self.state)
        if message.transactional:
            self._counted(records, self.acks.outside())
        elif records:
            self.sender.send(records, self.acks.outside(message.lsn))

    def _note(self, identity: RowIdentity, payload: bytes) -> None:
        if self.snapshot is not None and self.state.xid is not None:
            self.snapshot.note(identity, payload, self.state.xid)

    def _chunk(self, snapshot: Snapshotter, mark: str) -> None:
        """Emit the chunk whose mark has arrived; it is done once its rows are durable."""
        arrived = snapshot.arrived(mark)
        if arrived is None:
            return
        window = self.acks.outside()
        self.sender.send_chunk(arrived.rows, window)
        window.when_durable.append(lambda: self._chunk_done(snapshot, arrived.done))
        self.meter.records += len(arrived.rows)
        self.hooks.failpoint("chunk emitted")

    def _counted(self, records: Sequence[Record], window: Window) -> None:
        """Send the records of a message of the running transaction, unless Kafka holds them from before a restart."""
        if records and self.acks.ordinal > self.acks.skip:
            self.sender.send(records, window)

    def _chunk_done(self, snapshot: Snapshotter, done: Callable[[], None]) -> None:
        done()
        self.meter.snapshot = snapshot.as_json()
        self.hooks.failpoint("chunk done")


def _undescribed(frame: bytes) -> ProtocolError:
    oid = int.from_bytes(frame[26:30], "big")
    return ProtocolError(
        f"a row of relation {oid}, which no Relation message described",
        tag=chr(frame[25]), offset=1, length=len(frame) - 25,
    )  # fmt: skip
