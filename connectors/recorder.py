"""The position record of a pipeline, read and written; exactly once fences older instances first."""

from __future__ import annotations

import time
from typing import Any, Final

import confluent_kafka

from cdc.errors import BrokerUnavailable, Fenced, OperatorError, SlotInUse
from cdc.kafka.faults import delivery_error
from cdc.kafka.positions import PARTITION, POSITIONS_TOPIC, PositionRecord, read_positions
from cdc.lsn import LSN
from cdc.postgres.slot import Slot, check_position, drop_slot, read_slot
from cdc.postgres.walsender import SystemIdentity
from cdc.report import Severity
from connectors.session import TRANSACTION_SECONDS, Session

EVICT_SECONDS: Final = 10.0


class Recorder:
    """Reads and writes the position record of a session's pipeline.

    Args:
        session: The open parts.
        wrote: Whether an earlier attempt of this process wrote the record.

    Attributes:
        wrote: Whether this process wrote the record.
    """

    def __init__(self, session: Session, *, wrote: bool) -> None:
        self.session = session
        self.config = session.config
        self.wrote = wrote

    def free_slot(self) -> Slot | None:
        """The slot, read before the record: a reader that moves both in between would make it seem to be ahead.

        Raises:
            SlotInUse: Somebody reads from it; exactly once decides that later, by fencing.
        """
        slot = read_slot(self.session.catalog, self.config.wanted.slot)
        if slot is not None and slot.active_pid is not None and not self.config.exactly_once:
            raise SlotInUse(
                f"slot {slot.name!r} is read from by process {slot.active_pid}",
                hint="another process reads from the slot; `seam slots list` names it",
            )
        return slot

    def read(self) -> PositionRecord | None:
        """The position record; exactly once fences older producers first, so that it cannot change any more."""
        config = self.config
        if not config.exactly_once:
            return read_positions(config.kafka).get(config.name)
        before = read_positions(config.kafka).get(config.name)
        if before is not None and self.wrote and before.instance != self.session.instance:
            raise Fenced(
                f"another process has taken over {config.name!r}",
                hint="two instances with one connector name cannot run at the same time; this one leaves",
            )
        self.session.init_transactions()
        self._evict()
        return read_positions(config.kafka).get(config.name)

    def _evict(self) -> None:
        """End the walsender of the instance that was just fenced: it can never commit again."""
        catalog, config = self.session.catalog, self.config
        catalog.rows(
            "select pg_terminate_backend(a.pid) from pg_replication_slots s join pg_stat_activity a on a.pid = s.active_pid "
            "where s.slot_name = %s and a.application_name = %s",
            (config.wanted.slot, config.source.application_name),
        )
        deadline = time.monotonic() + EVICT_SECONDS
        while (slot := read_slot(catalog, config.wanted.slot)) is not None and slot.active_pid is not None:
            if time.monotonic() > deadline:
                raise SlotInUse(f"slot {slot.name!r} is read from by process {slot.active_pid}")
            time.sleep(0.05)

    def check(self, slot: Slot | None, record: PositionRecord) -> LSN:
        """Compare the record with server and slot; returns what the slot has confirmed."""
        identity = self.session.identity
        return check_position(
            slot, self.config.wanted.slot, record.end_lsn,
            recorded=SystemIdentity(record.system_id, record.timeline, LSN(0)), current=identity,
            fork=self.session.walsender.fork_point(record.timeline, identity.timeline),
        )  # fmt: skip

    def start_over(self, record: PositionRecord, why: str) -> None:
        """Drop a slot that we made, so that a snapshot of a new one fits it exactly."""
        if "slot" not in record.made:
            raise OperatorError(
                f"slot {record.slot!r} was not made by seam, and {why}", hint="drop it, or choose another slot.name"
            )
        self.session.say("SNAPSHOT_AGAIN", Severity.WARNING, record.slot, f"{why}: slot and snapshot start again")
        drop_slot(self.session.catalog, record.slot)

    def write(self, record: PositionRecord, *, open_already: bool = False) -> None:
        """Record the position before the stream starts, so that no slot of ours is ever without one.

        Args:
            record: The record.
            open_already: Whether a Kafka transaction with rows is open, that the record belongs into.
        """
        producer = self.session.producer
        transactional = self.config.exactly_once
        if transactional and not open_already:
            producer.client.begin_transaction()
        outcome: list[Any] = []
        producer.send(
            POSITIONS_TOPIC, record.encode(), self.config.name.encode(), partition=PARTITION,
            on_delivery=lambda error, message: outcome.append((error, message)),
        )  # fmt: skip
        try:
            if transactional:
                producer.client.commit_transaction(TRANSACTION_SECONDS)
                producer.poll(0)
            else:
                producer.client.flush(30.0)
        except (confluent_kafka.KafkaException, SystemError) as error:
            raise producer.ended(error) from error
        if not outcome or outcome[0][0] is not None:
            if outcome:
                raise delivery_error(*outcome[0], where=producer.where)
            raise BrokerUnavailable(f"{producer.where}: the position record was not acknowledged")
        self.wrote = True
