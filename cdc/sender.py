"""Records out: handed to the producer, with room waited for while the server still gets its answers."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Any

from cdc.acknowledger import Acknowledger
from cdc.acks import Window
from cdc.errors import RecordError, SeamError
from cdc.hooks import Hooks
from cdc.kafka.producer import NOT_TAKEN, Producer
from cdc.relations import Relations
from cdc.render import Placed, Record
from cdc.source import POSITION_HEADER, SourceState, WireHeaders
from cdc.telemetry import Meter
from cdc.transactional import TransactionalAcknowledger


class Sender:
    """Sends the records of one task.

    The rows of the stream have a shorter way in the loop itself, and come here when the producer does not take one.

    Args:
        producer: Where records go.
        relations: Name the table of a record that is refused.
        state: The open transaction.
        acks: Counts each record, and answers the server while the queue is full.
        hooks: Dead letters, explicit partitions, further topics.
        meter: Counts.
    """

    def __init__(
        self,
        producer: Producer,
        relations: Relations,
        state: SourceState,
        acks: Acknowledger | TransactionalAcknowledger,
        hooks: Hooks,
        meter: Meter,
    ) -> None:
        self.producer = producer
        self.relations = relations
        self.state = state
        self.acks = acks
        self.hooks = hooks
        self.meter = meter

    def send(self, records: Sequence[Record], window: Window) -> None:
        """Send the records of a message that is no row.

        Args:
            records: The records.
            window: What they are counted in.
        """
        self._send_each(records, window)
        self.meter.records += len(records)

    def send_chunk(self, rows: Sequence[Record], window: Window) -> None:
        """Send the rows of a snapshot's chunk.

        Args:
            rows: Their records.
            window: What they are counted in.
        """
        state, latest = self.state, self.hooks.latest
        usual = list(state.context_headers) if self.hooks.extended_headers else None
        position = state.position if self.hooks.extended_headers else ""
        if self.hooks.placed:
            self._send_each(rows, window)  # transforms have made each record whole, headers included
        elif not position and not latest:
            self._send_plain(rows, window, usual)
        else:
            self._send_positioned(rows, window, usual, position)

    def _send_positioned(
        self, rows: Sequence[Record], window: Window, usual: WireHeaders | None, position: str
    ) -> None:
        """The rows of a chunk with the position of each, and those of a latest topic there too."""
        produce, delivered = self.producer.produce, window.delivered
        latest, ordinal = self.hooks.latest, self.state.ordinal
        for topic, key, value, own in rows:
            headers = usual if own is None else own
            if position:
                headers = [*(headers or ()), (POSITION_HEADER, f"{position}{ordinal}".encode())]
                ordinal += 1
            for place in (topic, *latest.get(topic, ())) if latest else (topic,):
                window.outstanding += 1
                try:
                    produce(place, value, key, on_delivery=delivered, headers=headers)  # type: ignore[arg-type] # lists are invariant
                except NOT_TAKEN as error:
                    self.send_slowly((place, key, value, headers), window, error)
        self.state.ordinal = ordinal

    def _send_plain(self, rows: Sequence[Record], window: Window, usual: WireHeaders | None) -> None:
        """The rows of a chunk that need nothing more, in the shortest loop: the same records as the longer one sends.

        An empty list of headers would cost as much again as the rest of the call; none costs nothing.
        """
        produce, delivered = self.producer.produce, window.delivered
        for topic, key, value, own in rows:
            headers = usual if own is None else own
            window.outstanding += 1
            try:
                if headers:
                    produce(topic, value, key, on_delivery=delivered, headers=headers)  # type: ignore[arg-type] # lists are invariant
                else:
                    produce(topic, value, key, on_delivery=delivered)
            except NOT_TAKEN as error:
                self.send_slowly((topic, key, value, headers), window, error)

    def _send_each(self, records: Sequence[Record], window: Window) -> None:
        for record in records:
            window.outstanding += 1
            self.send_slowly(record, window, None)

    def send_slowly(self, record: Record, window: Window, refused: Any, payload: bytes | None = None) -> None:
        """Hand a record over, waiting for room in the queue while the server still gets its answers.

        Args:
            record: The record.
            window: Its window, where it is counted already.
            refused: Why the producer did not take it at once, where that was tried.
            payload: The row's message, where the record comes from one.

        Raises:
            SeamError: The record cannot be sent, and such errors end the task.
        """
        topic, key, value, headers = record
        partition, timestamp = self.hooks.partitions.get(topic), None
        if isinstance(record, Placed):
            partition, timestamp = record.partition, record.timestamp
        try:
            if refused is not None and not isinstance(refused, BufferError):
                table = (
                    None if payload is None else self.relations.by_oid[int.from_bytes(payload[1:5], "big")].qualified
                )
                raise self.producer.refusal(refused, topic, value, key, table=table) from refused
            while not self.producer.send(
                topic, value, key, on_delivery=window.delivered, headers=headers, partition=partition, timestamp=timestamp,
            ):  # fmt: skip
                self.meter.blocked += 1
                self.producer.poll(0.05)
                self.acks.blocked(time.monotonic())
        except RecordError as error:
            window.outstanding -= 1
            self.send(self.dead_letter(error, payload or value or b""), window)

    def dead_letter(self, error: SeamError, payload: bytes) -> Sequence[Record]:
        """What to send instead of a record that cannot be carried.

        Args:
            error: Why.
            payload: The row's message.

        Raises:
            SeamError: `error`, where such an error ends the task.
        """
        if self.hooks.dead_letter is None:
            raise error
        return self.hooks.dead_letter(error, payload, self.state)
