"""Records that could not be carried: stop, or send them to the dead-letter topic, never drop them.

Header names are Kafka Connect's (`DeadLetterQueueReporter`, KIP-298).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final

from cdc.errors import DecodeError, RecordError, SeamError
from cdc.kafka.producer import producer_config
from cdc.relations import Relations
from cdc.render import Record
from cdc.report import Finding, Severity
from cdc.source import SourceState
from connectors.postgres import PipelineConfig

PREFIX: Final = "__connect.errors."
HEADERS_BYTES: Final = 16_384
"""What the headers of a dead letter take at most."""


class DeadLetters:
    """Turns the error of a record into the record that is sent instead.

    Args:
        config: The configuration.
        relations: To name the table of a row message.
        on_finding: Told of each dead letter.
    """

    def __init__(self, config: PipelineConfig, relations: Relations, on_finding: Callable[[Finding], None]) -> None:
        self.config = config
        self.relations = relations
        self.on_finding = on_finding
        self.topic: str | None = config.options["errors.deadletterqueue.topic.name"]
        self.mode: str = config.options["event.processing.failure.handling.mode"]
        self.tolerant: bool = config.options["errors.tolerance"] == "all"
        self.active = (self.tolerant or self.mode != "fail") and self.topic is not None
        self.count = 0
        largest = int(producer_config(config.kafka)["message.max.bytes"])
        self._room = largest - HEADERS_BYTES

    def handle(self, error: SeamError, payload: bytes, state: SourceState) -> Sequence[Record]:
        """The dead letter of a record: the message as Postgres sent it, or the record's value, with what happened.

        What is too large for Kafka is too large for the dead-letter topic as well: then the letter has an empty value,
        and its headers say what was left out and where it is.

        Raises:
            SeamError: The error itself, when it is not one of a single record.
        """
        if not isinstance(error, RecordError) or self.topic is None or error.topic == self.topic:
            raise error
        if not self.tolerant and not isinstance(error, DecodeError):
            raise error  # event.processing.failure.handling.mode speaks of events that cannot be made
        self.count += 1
        table, topic = error.table, error.topic
        if payload[:1] in (b"I", b"U", b"D"):
            oid = int.from_bytes(payload[1:5], "big")
            relation, layout = self.relations.by_oid.get(oid), self.relations.layouts.get(oid)
            table = table or (relation.qualified if relation else None)
            topic = topic or (layout.topic if layout else None)
        # The identity that its record was to have: with it a mended one goes back into its topic.
        position = f"{state.position or f'{state.commit_lsn}/'}{state.ordinal}"
        self.on_finding(Finding("DEAD_LETTER", Severity.WARNING, table or error.topic or "record", error.message))
        headers = self._headers(error, topic, table, position)
        if len(payload) > self._room:
            return [(self.topic, None, b"", [*(headers or ()), ("seam.omitted.bytes", b"%d" % len(payload))])]
        return [(self.topic, None, payload, headers)]

    def _headers(
        self, error: RecordError, topic: str | None, table: str | None, position: str
    ) -> list[tuple[str, bytes]] | None:
        if not self.config.options["errors.deadletterqueue.context.headers.enable"]:
            return None
        facts = {
            "topic": topic or "",
            "connector.name": self.config.name,
            "task.id": "0",
            "stage": error.stage,
            "class.name": type(error).__module__ + "." + type(error).__qualname__,
            "exception.class.name": type(error).__qualname__,
            "exception.message": error.message[:4096],
        }
        headers = [(PREFIX + name, value.encode()) for name, value in facts.items()]
        return [*headers, ("seam.table", (table or "").encode()), ("seam.position", position.encode())]
