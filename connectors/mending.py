"""Dead letters read, and mended records put back into their topic, in order with the key's later versions."""

from __future__ import annotations

import base64
import threading
from dataclasses import dataclass
from typing import Any, Final

import orjson

from cdc.errors import BrokerUnavailable, ConfigError, OperatorError, Problem
from cdc.identity import Identity
from cdc.kafka.client import ClientOptions
from cdc.kafka.faults import delivery_error
from cdc.kafka.log import TopicLog
from cdc.kafka.producer import Producer
from cdc.partitioner import partition_of
from cdc.source import POSITION_HEADER
from cdc.versions import LogRecord
from connectors.deadletter import PREFIX

MENDED_HEADER: Final = "seam.mended"
"""`topic/partition/offset` of the dead letter that a record comes from."""


@dataclass(frozen=True, slots=True)
class DeadLetter:
    """One dead letter.

    Attributes:
        record: As it lies in its topic.
        topic: Where it would have gone; empty when that was not known yet.
        table: Its table.
        stage: Where it failed.
        error: The error's class.
        message: The error's message.
        position: Its identity, as text.
    """

    record: LogRecord
    topic: str
    table: str
    stage: str
    error: str
    message: str
    position: str

    @classmethod
    def of(cls, record: LogRecord) -> DeadLetter:
        """Read its headers."""

        def header(name: str) -> str:
            return record.header(name) or ""

        return cls(
            record, header(PREFIX + "topic"), header("seam.table"), header(PREFIX + "stage"),
            header(PREFIX + "exception.class.name"), header(PREFIX + "exception.message"), header(POSITION_HEADER),
        )  # fmt: skip

    @property
    def place(self) -> str:
        """`partition/offset`."""
        return f"{self.record.partition}/{self.record.offset}"

    def as_json(self) -> dict[str, Any]:
        """The dead letter as a JSON object, without its value."""
        return {
            "place": self.place, "time": self.record.timestamp, "topic": self.topic, "table": self.table, "stage": self.stage,
            "error": self.error, "message": self.message, "position": self.position, "bytes": len(self.record.value or b""),
        }  # fmt: skip

    def shown(self) -> dict[str, Any]:
        """The same with headers and value: text where it is text, base64 where not."""
        value = self.record.value
        text: str | None
        try:
            text, encoding = (None if value is None else value.decode()), "text"
        except UnicodeDecodeError:
            text, encoding = base64.b64encode(value or b"").decode(), "base64"
        headers = {name: (raw or b"").decode("utf-8", "replace") for name, raw in self.record.headers}
        return {**self.as_json(), "value": text, "value_encoding": encoding, "headers": headers}


def read_letters(options: ClientOptions, topic: str) -> list[DeadLetter]:
    """All dead letters of a topic.

    Raises:
        ConfigError: There is no such topic.
    """
    log = TopicLog(options, topic)
    try:
        return [DeadLetter.of(record) for record in log.read({p: log.bounds(p)[0] for p in log.partitions})]
    finally:
        log.close()


def find_letter(options: ClientOptions, topic: str, place: str) -> DeadLetter:
    """The dead letter at `partition/offset`.

    Raises:
        ConfigError: There is none.
    """
    found = next((letter for letter in read_letters(options, topic) if letter.place == place), None)
    if found is None:
        raise ConfigError([Problem(place, f"is no dead letter of {topic}; `seam deadletter list {topic}` shows them")])
    return found


@dataclass(frozen=True, slots=True)
class Mended:
    """What is sent in place of a dead letter.

    Attributes:
        topic: Where it goes.
        key: Its key.
        value: Its value, None for a tombstone.
    """

    topic: str
    key: bytes
    value: bytes | None


def send_mended(options: ClientOptions, letter: DeadLetter, mended: Mended, *, force: bool) -> LogRecord:
    """Put a mended record into its topic, under the identity that it was to have.

    Args:
        options: How Kafka is reached.
        letter: The dead letter.
        mended: What is sent.
        force: Send it even though the key has a later version, which it will then follow.

    Returns:
        The record as it lies in its topic now.

    Raises:
        ConfigError: The dead letter tells no position.
        OperatorError: The key has a later version, or holds this one already.
    """
    try:
        identity = Identity.parse(letter.position)
    except ValueError:
        raise ConfigError(
            [Problem(letter.place, "tells no position: was errors.deadletterqueue.context.headers.enable off?")]
        ) from None
    log = TopicLog(options, mended.topic)
    try:
        partition = log.partitions[partition_of(mended.key, len(log.partitions))]
        for record in _versions(log, partition, mended.key):
            _compare(record, identity, mended, force=force)
        sent = _send(options, letter, mended, partition)
        # The engine may have written meanwhile; then the older version now lies behind the newer one.
        overtaken = [
            record
            for record in _versions(log, partition, mended.key)
            if record.offset < sent.offset and (other := _identity(record)) is not None and other > identity
        ]
    finally:
        log.close()
    if overtaken and not force:
        raise OperatorError(
            f"a later version of the key came into {mended.topic}/{partition} at offset {overtaken[-1].offset}, while the "
            f"mended record was being written to offset {sent.offset}",
            hint="read the key's row again: seam replay FILE --table SCHEMA.TABLE --where KEY=...",
        )
    return sent


def _versions(log: TopicLog, partition: int, key: bytes) -> list[LogRecord]:
    return [record for record in log.read({partition: log.bounds(partition)[0]}) if record.key == key]


def _identity(record: LogRecord) -> Identity | None:
    try:
        return Identity.parse(record.header(POSITION_HEADER) or "")
    except ValueError:
        return None


def _compare(record: LogRecord, identity: Identity, mended: Mended, *, force: bool) -> None:
    found = _identity(record)
    place = f"{record.topic}/{record.partition} offset {record.offset}"
    if found == identity and record.value == mended.value:
        raise OperatorError(f"the record is there already: {place} has position {found}")
    if force:
        return
    if found is None:
        raise OperatorError(
            f"the version of the key at {place} tells no position, so that nobody can say whether it is later",
            hint="--force sends the record behind it",
        )
    if found > identity:
        raise OperatorError(
            f"the key has a later version at {place}: its position is {found}, the dead letter's {identity}",
            hint="--force sends the record behind it, and readers will take it for the newest",
        )


def _send(options: ClientOptions, letter: DeadLetter, mended: Mended, partition: int) -> LogRecord:
    headers = [
        (POSITION_HEADER, letter.position.encode()),
        (MENDED_HEADER, f"{letter.record.topic}/{letter.place}".encode()),
    ]
    producer = Producer(options)
    outcome: list[tuple[Any, Any]] = []
    arrived = threading.Event()

    def delivered(error: Any, message: Any) -> None:
        outcome.append((error, message))
        arrived.set()

    try:
        producer.reach(30.0)
        producer.send(
            mended.topic, mended.value, mended.key, partition=partition, headers=headers, on_delivery=delivered
        )
        producer.client.flush(30.0)
    finally:
        producer.close(purge=True)
    if not outcome:
        raise BrokerUnavailable(f"{producer.where}: the record was not acknowledged")
    error, message = outcome[0]
    if error is not None:
        raise delivery_error(error, message, where=producer.where)
    return LogRecord(
        mended.topic, partition, message.offset(), message.timestamp()[1], mended.key, mended.value, tuple(headers)
    )


def compact(text: bytes, what: str) -> bytes:
    """JSON that a person wrote, as the engine would have written it: without blanks.

    Raises:
        ConfigError: It is not JSON.
    """
    try:
        orjson.loads(text)
    except orjson.JSONDecodeError as error:
        raise ConfigError([Problem(what, f"is not JSON: {error}")]) from error
    return _without_blanks(text)


def _without_blanks(text: bytes) -> bytes:
    """Numbers keep their digits: only the blanks between tokens go."""
    kept = bytearray()
    quoted = escaped = False
    for byte in text:
        if quoted:
            quoted = escaped or byte != ord('"')
            escaped = byte == ord("\\") and not escaped
        elif byte in b" \t\r\n":
            continue
        else:
            quoted = byte == ord('"')
        kept.append(byte)
    return bytes(kept)
