"""Telling readers how far the log is in Kafka, as `__seam.progress` says it, while a pipeline runs."""

from __future__ import annotations

from typing import Any

from cdc.kafka.producer import Producer
from cdc.kafka.progress import PARTITION, PROGRESS_TOPIC, ProgressWriter
from cdc.lsn import LSN


class Progress:
    """Writes progress records once what they say is true.

    Args:
        writer: Keeps the offsets and the tokens.
        producer: A producer without transactions: exactly once writes the record after its commit.
    """

    def __init__(self, writer: ProgressWriter, producer: Producer) -> None:
        self.writer = writer
        self.producer = producer

    def delivered(self, message: Any) -> None:
        """Kafka has acknowledged a record of data."""
        self.writer.delivered(message.topic(), message.partition(), message.offset())

    def tell(self, frontier: LSN, now: float, *, idle: bool) -> None:
        """Write a record when one is due.

        Args:
            frontier: End LSN up to which Kafka has acknowledged (or committed) everything.
            now: Monotonic time, seconds.
            idle: Whether nothing more has arrived from the server.
        """
        if self.writer.due(frontier, now, idle=idle):
            self.producer.send(
                PROGRESS_TOPIC, self.writer.record(frontier), self.writer.key, partition=PARTITION, on_delivery=_ignored
            )
        self.producer.poll(0)


def _ignored(_error: Any, _message: Any) -> None:
    """A record that is lost is followed by the next one; a wait then takes longer, and never ends too early."""
