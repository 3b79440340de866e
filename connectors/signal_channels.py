"""Where Debezium's signals come from: a Kafka topic, logical messages, rows of a table, lines of a file.

Each signal gets an id from its place, so that one that is read again after a restart is known.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Final

from cdc.errors import ConfigError, SeamError
from cdc.kafka.signals import TopicFollower
from cdc.requests import Request, State
from cdc.wire.pgoutput import Insert, Message, parse_message
from connectors.debezium_signals import read_signal, signal_request
from connectors.postgres import PipelineConfig

STALE_SECONDS: Final = 600.0
"""A signal that was there so long before the pipeline read its first one was meant for whoever ran before it."""


def refused(pipeline: str, id: str, error: SeamError) -> Request:
    """The request that says why a signal is none."""
    return Request(pipeline, id, state=State.FAILED, message=error.message)


class Channels:
    """Reads signals, whatever they come by.

    Args:
        config: Names topic, table and file.
    """

    def __init__(self, config: PipelineConfig) -> None:
        self.name = config.name
        options = config.options
        self.enabled = frozenset(options["signal.enabled.channels"])
        self._message_sql: bool = options["seam.signal.message.sql"]
        self.prefix = options["topic.prefix"].encode()
        self.table: str | None = options["signal.data.collection"] if "source" in self.enabled else None
        self._topic = TopicFollower(config.kafka, options["signal.kafka.topic"] or f"{options['topic.prefix']}-signal")
        self._started = time.time()
        self._file = Path(options["signal.file"]) if "file" in self.enabled else None

    def close(self) -> None:
        """Close the consumer."""
        self._topic.close()

    def is_table(self, qualified: str) -> bool:
        """Whether rows of this `schema.table` are signals; `signal.data.collection` may name the database too."""
        return self.table is not None and qualified in (self.table, self.table.partition(".")[2])

    def arrived(self, known: Callable[[str], bool], *, first: bool) -> Iterator[Request]:
        """The new signals of topic and file.

        Args:
            known: Whether a request is recorded.
            first: Whether no signal of the topic was ever recorded.
        """
        for message in self._topic.poll():
            if message.key() != self.prefix or message.value() is None:
                continue
            request = self._read(f"kafka.{message.partition()}.{message.offset()}", message.value())
            if first and message.timestamp()[1] / 1000 < self._started - STALE_SECONDS:
                request = replace(
                    request, state=State.STOPPED, message="older than this pipeline's first look: left out"
                )
            yield request
        if self._file is not None:
            yield from self._lines(self._file, known)

    def _lines(self, file: Path, known: Callable[[str], bool]) -> Iterator[Request]:
        try:
            stamp, text = file.stat().st_mtime_ns, file.read_text()
        except (FileNotFoundError, IsADirectoryError):
            return
        ids: set[str] = set()
        for number, line in enumerate(text.splitlines()):
            if line.strip():
                ids.add(f"file.{stamp}.{number}")
                yield self._read(f"file.{stamp}.{number}", line)
        # Emptied as Debezium does it, but only once every line of it is recorded.
        if ids and all(known(id) for id in ids) and file.stat().st_mtime_ns == stamp:
            file.write_text("")

    def of_message(self, message: Message) -> Request:
        """The signal that a logical message carries."""
        request = self._read(f"message.{message.lsn}", message.content)
        if (request.where or request.selects) and not self._message_sql:
            # pg_logical_emit_message is open to every role, and our role may see what theirs may not.
            return refused(
                self.name, request.id,
                ConfigError(
                    "a signal in a logical message carries SQL, and every role of the database may write one: send it by "
                    "the signal topic or table, or set seam.signal.message.sql=true"
                ),
            )  # fmt: skip
        return request

    def of_row(self, payload: bytes, lsn: bytes) -> Request | None:
        """The signal that a row of the signal table is; None for what is not an insert.

        Args:
            payload: The row message.
            lsn: Its LSN, decimal.
        """
        if payload[:1] != b"I":
            return None
        insert = parse_message(payload)
        assert isinstance(insert, Insert)
        id = f"source.{lsn.decode()}"
        cells = [cell.decode("utf-8", "replace") if isinstance(cell, bytes) else None for cell in insert.new]
        if len(cells) < 3 or not cells[1]:
            return refused(self.name, id, ConfigError("a signal table has three columns: id, type, data"))
        if cells[1].startswith("snapshot-window-"):
            return None  # Debezium's own watermarks, should it share the table
        try:
            return signal_request(self.name, id, cells[1], cells[2])
        except ConfigError as error:
            return refused(self.name, id, error)

    def _read(self, id: str, text: bytes | str) -> Request:
        try:
            return read_signal(self.name, text, id=id)
        except ConfigError as error:
            return refused(self.name, id, error)
