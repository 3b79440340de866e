"""How far Debezium had come in a transaction when it was stopped, as an ordinal that the native engine skips up to.

A task is stopped between two batches, most often inside a transaction, and the slot was told the end of the one before.
Read from the slot again that transaction would be sent from its begin: its first rows twice, its last ones once. What
Connect has stored for the stopped connector says more: `lsn_commit`, the end of the last transaction that was wholly
sent, and `txId` and `lsn` of the record that was acknowledged last, with everything before it. So the log is read once
more up to that record, nothing is acknowledged, and the messages are counted.

Several records can share one LSN: the rows of a page that COPY has filled, a deletion and its tombstone, the three
records of a changed key. How many of these arrived is seen in the topics.
Source: debezium-connector-postgres 3.6, `PostgresOffsetContext`; Connect's `SubmittedRecords`.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Final

from cdc.errors import BrokerUnavailable, RecordError, SourceUnavailable
from cdc.kafka.faults import delivery_error
from cdc.kafka.producer import Producer
from cdc.lsn import LSN
from cdc.model.relation import Relation
from cdc.postgres.catalog import Catalog
from cdc.postgres.slot import Slot
from cdc.postgres.walsender import Walsender
from cdc.relations import Relations
from cdc.render import Placed, Record
from cdc.source import SourceState
from cdc.wire.frames import PrimaryKeepalive, parse_frame
from cdc.wire.pgoutput import Begin, Commit, Delete, Insert, Message, Truncate, Update, parse_message
from connectors.arrived import arrived
from connectors.connect_types import Offset
from connectors.emit import Emitter, catalogue_view, layout_options
from connectors.postgres import PipelineConfig

_ASK_SECONDS: Final = 0.2
_ROWS: Final = frozenset(b"IUD")


@dataclass(frozen=True, slots=True)
class Stored:
    """What Connect holds of a Debezium connector's position.

    Attributes:
        lsn: Of the last record that was acknowledged, with everything before it.
        xid: Of its transaction; None where it belongs to none.
        commit: The end of the last transaction that was read whole; 0 for none.
    """

    lsn: int
    xid: int | None
    commit: int

    @classmethod
    def of(cls, offsets: Sequence[Offset], prefix: str) -> Stored | None:
        """Read it; None where nothing is stored, or not by a stream.

        Args:
            offsets: As Connect stores them.
            prefix: `topic.prefix`.
        """
        for entry in offsets:
            offset = entry.offset or {}
            lsn, commit, xid = (offset.get(key) for key in ("lsn", "lsn_commit", "txId"))
            if entry.partition.get("server") == prefix and isinstance(lsn, int) and offset.get("snapshot") is None:
                return cls(lsn, xid if isinstance(xid, int) else None, commit if isinstance(commit, int) else 0)
        return None


@dataclass(frozen=True, slots=True)
class LeftOff:
    """Where a stopped engine had come to.

    Attributes:
        commit_lsn: `Begin.final_lsn` of the transaction; 0 where nothing of what the slot gives was sent.
        ordinal: How many of its messages were sent, its Begin included.
        rest: Records of the last of these messages that were not.
        doubtful: Messages at the place where it ended of which cannot be told whether they arrived; they come again.
    """

    commit_lsn: LSN = LSN(0)
    ordinal: int = 0
    rest: Sequence[Record] = ()
    doubtful: int = 0


@dataclass(slots=True)
class _Shared:
    """The messages at the LSN where the connector ended.

    Attributes:
        first: The first one's ordinal.
        records: What each becomes; None for one that is not, or cannot be, rendered here.
    """

    first: int
    records: list[Sequence[Record] | None]


def left_off(config: PipelineConfig, catalog: Catalog, slot: Slot, stored: Stored, *, seconds: float) -> LeftOff:
    """Where in the log of a slot a stopped connector had come to. The slot is read from meanwhile, and not moved.

    Args:
        config: The pipeline.
        catalog: The database.
        slot: The slot, which must be free.
        stored: What Connect holds.
        seconds: How long reading may take without progress.

    Raises:
        SeamError: Postgres or Kafka cannot be read.
    """
    walsender = Walsender(config.source)
    emitter = Emitter(config)
    try:
        identity = walsender.identify()
        relations = Relations(
            layout_options(config, catalog),
            config.render,
            catalogue_view(catalog, strict=config.strict),
            make_render=emitter.make_render,
        )
        state = SourceState(config.source_options, identity.system_id, identity.timeline)
        reading = _Reading(config, relations, state, stored)
        walsender.start(slot.name, config.wanted.publication, LSN(0))
        reading.read(walsender, LSN.parse(catalog.current_lsn()), seconds)
        walsender.stop()
        return reading.found()
    finally:
        emitter.close()
        walsender.close()


class _Reading:
    """Counts the messages of a stream up to the one that was sent last."""

    def __init__(self, config: PipelineConfig, relations: Relations, state: SourceState, stored: Stored) -> None:
        self.config, self.relations, self.state, self.stored = config, relations, state, stored
        self.commit_lsn = LSN(0)
        self.sent = 0
        self._running = LSN(0)
        self._whole = False
        self._ordinal = 0
        self._shared: _Shared | None = None
        self._ended = False

    def read(self, walsender: Walsender, end: LSN, seconds: float) -> None:
        """Read until a message comes that was not sent, or the log ends.

        Args:
            walsender: Streaming.
            end: Nothing that was sent lies beyond.
            seconds: How long the server may say nothing.
        """
        heard = asked = time.monotonic()
        while not self._ended:
            try:
                size, view = walsender.get_copy_data(1)
            except walsender.driver_error as error:
                raise walsender.lost(error) from error
            if size < 0:
                raise walsender.end_of_stream()
            now = time.monotonic()
            if size == 0:
                if now - heard > seconds:
                    raise SourceUnavailable(f"{walsender.where}: the server said nothing for {seconds:.0f} s")
                if now - asked > _ASK_SECONDS:
                    asked = now
                    walsender.send_status(0, self._running, reply=True)
                walsender.wait(0.05)
                continue
            heard = now
            frame = parse_frame(bytes(view))
            if isinstance(frame, PrimaryKeepalive):
                if frame.reply_requested:
                    walsender.send_status(0, self._running)
                self._ended = not self._running and frame.wal_end >= end
                continue
            self._take(frame.payload, int(frame.start))

    def _take(self, payload: bytes, lsn: int) -> None:
        if payload[0] in _ROWS and (self._whole or lsn < self.stored.lsn):
            self._ordinal += 1  # of a row that was sent nothing else is asked
            if not self._whole:
                self.commit_lsn, self.sent = self._running, self._ordinal
            return
        message = parse_message(payload)
        if isinstance(message, Begin):
            self._begin(message, lsn)
        elif isinstance(message, Relation):
            self.relations.define(message)
        elif isinstance(message, Commit):
            self._ordinal += 1
            if self._whole:
                self.commit_lsn, self.sent = self._running, self._ordinal
            self.state.end(message.end_lsn)
            self._ended = not self._whole
            self._running = LSN(0)
        elif isinstance(message, (Insert, Update, Delete, Truncate)) or (
            isinstance(message, Message) and message.transactional
        ):
            self._ordinal += 1
            self._counted(message, payload, lsn)

    def _begin(self, begin: Begin, lsn: int) -> None:
        self._running, self._ordinal = begin.final_lsn, 1
        # Its commit record begins before the end of the last one that was read whole.
        self._whole = begin.final_lsn < self.stored.commit
        self._ended = not self._whole and begin.xid != self.stored.xid
        if not self._ended:
            self.state.begin(begin.final_lsn, begin.commit_micros, begin.xid, lsn)

    def _counted(self, message: Any, payload: bytes, lsn: int) -> None:
        if self._whole:
            return
        if lsn < self.stored.lsn:
            self.commit_lsn, self.sent = self._running, self._ordinal
        elif lsn > self.stored.lsn:
            self._ended = True
        else:
            if self._shared is None:
                self._shared = _Shared(self._ordinal, [])
                self.commit_lsn, self.sent = self._running, self._ordinal - 1
            self._shared.records.append(self._records(message, payload, lsn))

    def _records(self, message: Any, payload: bytes, lsn: int) -> Sequence[Record] | None:
        if isinstance(message, (Truncate, Message)):
            return None
        render = self.relations.renderers[message.relation.to_bytes(4, "big")]
        try:
            return [] if render is None else render(payload, b"%d" % lsn, self.state)
        except RecordError:
            return None  # Debezium has carried it; what becomes of it here is for the engine to say

    def found(self) -> LeftOff:
        """What was found, the topics asked where the position alone does not say it."""
        shared = self._shared
        if shared is None:
            return LeftOff(self.commit_lsn, self.sent)
        if len(shared.records) == 1 and len(shared.records[0] or ()) <= 1:
            return LeftOff(self.commit_lsn, shared.first)  # the one record that was acknowledged last
        records = [record for made in shared.records for record in made or ()]
        there = None
        if None not in shared.records:
            assert self.stored.xid is not None
            there = arrived(self.config.kafka, records, xid=self.stored.xid, lsn=self.stored.lsn)
        if there is None:
            return LeftOff(self.commit_lsn, self.sent, doubtful=len(shared.records))
        ordinal, left = shared.first - 1, there
        for made in shared.records:
            count = len(made or ())
            if left <= 0 and count:
                break
            ordinal += 1
            if left < count:
                return LeftOff(self.commit_lsn, ordinal, rest=(made or ())[left:])
            left -= count
        return LeftOff(self.commit_lsn, ordinal)


def send_rest(config: PipelineConfig, rest: Sequence[Record], say: Callable[[str], None]) -> None:
    """Send the records of a message of which others have arrived: a tombstone whose deletion has, above all.

    Raises:
        SeamError: Kafka does not take them.
    """
    if not rest:
        return
    say(f"{len(rest)} records of the change that the connector had begun to send are sent")
    producer = Producer(config.kafka)
    outcome: list[tuple[Any, Any]] = []
    for record in rest:
        topic, key, value, headers = record
        partition, timestamp = (record.partition, record.timestamp) if isinstance(record, Placed) else (None, None)
        producer.send(
            topic, value, key, on_delivery=lambda error, message: outcome.append((error, message)), headers=headers,
            partition=partition, timestamp=timestamp,
        )  # fmt: skip
    producer.client.flush(30.0)
    for error, message in outcome:
        if error is not None:
            raise delivery_error(error, message, where=producer.where)
    if len(outcome) != len(rest):
        raise BrokerUnavailable(f"{producer.where}: the records were not acknowledged")
