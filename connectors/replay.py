"""Putting the rows of a table into its topic again: through the engine that reads the slot, or in this process.

A replay is a request: it is recorded in Kafka, so that it goes on after any crash, whoever runs the engine then.
"""

from __future__ import annotations

import difflib
import secrets
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

from cdc.errors import BrokerUnavailable, ConfigError, OperatorError, Problem, SeamError
from cdc.kafka.admin import Admin
from cdc.kafka.positions import ensure_topics
from cdc.kafka.signals import SIGNALS_TOPIC, TopicFollower, read_requests, write_requests
from cdc.postgres.catalog import Catalog
from cdc.postgres.condition import check_condition, measure
from cdc.postgres.connection import connect
from cdc.postgres.preflight import captured
from cdc.postgres.slot import read_slot
from cdc.report import Finding
from cdc.requests import Kind, Request, RequestBook, State
from connectors.postgres import PipelineConfig
from connectors.worker import Worker

ROWS_PER_SECOND: Final = 60_000
"""What a replay is expected to do where no rate is given."""
ANSWER_SECONDS: Final = 30.0
OVERHEAD_BYTES: Final = 700
"""Of one record in JSON without schemas, around the row itself; an estimate."""


@dataclass(frozen=True, slots=True)
class DryRun:
    """What a replay would do.

    Attributes:
        table: The table.
        rows: How many.
        bytes: That they would take in Kafka, estimated.
        seconds: That it would take, estimated.
    """

    table: str
    rows: int
    bytes: int
    seconds: float

    def as_json(self) -> dict[str, Any]:
        """The estimate as a JSON object."""
        return {"table": self.table, "rows": self.rows, "bytes": self.bytes, "seconds": round(self.seconds, 1)}


class Replay:
    """One replay of one table.

    Args:
        config: The pipeline.
        table: `schema.table`.
        where: A condition, None for all rows.
        rate: Rows per second; 0 for no limit.

    Raises:
        ConfigError: No such table is captured, or the server refuses the condition.
    """

    def __init__(self, config: PipelineConfig, table: str, where: str | None, rate: int = 0) -> None:
        self.config = config
        self.catalog = Catalog(connect(config.source), config.source)
        self.where = where
        self.rate = rate
        try:
            self._find(table)
        except BaseException:
            self.close()
            raise

    def _find(self, table: str) -> None:
        config = self.config
        tables = {one.qualified.lower(): one for one in captured(self.catalog.tables(), config.wanted.selection)}
        found = tables.get(table.lower())
        if found is None:
            near = tuple(tables[name].qualified for name in difflib.get_close_matches(table.lower(), tables, n=1))
            raise ConfigError(
                [
                    Problem(
                        "--table", f"{table} is no table that {config.name!r} captures at {config.source.address}", near
                    )
                ]
            )
        self.physical = (found.schema, found.name)
        self.table = found.qualified
        if self.where is not None:
            check_condition(self.catalog, self.physical, self.where, option="--where")

    def close(self) -> None:
        """Close the connection."""
        self.catalog.connection.close()

    def dry_run(self) -> DryRun:
        """Count, and write nothing."""
        found = measure(self.catalog, self.physical, self.where)
        seconds = found.rows / (self.rate or ROWS_PER_SECOND)
        return DryRun(self.table, found.rows, found.bytes + OVERHEAD_BYTES * found.rows, seconds)

    def request(self) -> tuple[Request, bool]:
        """Ask for the rows.

        Returns:
            The request, and whether it is an interrupted one that asked for the same rows and now goes on.
        """
        ensure_topics(Admin(self.config.kafka), [SIGNALS_TOPIC])
        lower = self.table.lower()
        wanted = Request(
            self.config.name, f"replay.{time.time_ns():x}.{secrets.token_hex(3)}",
            tables=(_literal(self.table),), where={lower: self.where} if self.where is not None else {},
            rate=self.rate, time=time.time(),
        )  # fmt: skip
        for request in read_requests(self.config.kafka, self.config.name).open(Kind.SNAPSHOT):
            if request.same_work(wanted) and request.state is not State.PAUSED:
                return request, True
        write_requests(self.config.kafka, [wanted])
        return wanted, False

    @property
    def engine_runs(self) -> bool:
        """Whether somebody reads the slot."""
        slot = read_slot(self.catalog, self.config.wanted.slot)
        return slot is not None and slot.active_pid is not None

    def run(
        self,
        request: Request,
        on_progress: Callable[[Request], None],
        on_finding: Callable[[Finding], None],
        stop: threading.Event,
    ) -> Request:
        """See it done: by the engine that reads the slot, or by one in this process.

        Returns:
            The request as it ended, or as it stood when `stop` was set.

        Raises:
            OperatorError: It failed.
            BrokerUnavailable: The engine does not answer.
            SeamError: What ended the engine of this process.
        """
        engine = None if self.engine_runs else _OwnEngine(self.config, on_finding)
        follower = TopicFollower(self.config.kafka, SIGNALS_TOPIC)
        book = RequestBook(self.config.name)
        started = time.monotonic()
        try:
            while not stop.is_set():
                for message in follower.poll(0.1):
                    book.add(message.key(), message.value())
                current = book.by_id.get(request.id, request)
                if current != request:
                    request = current
                    on_progress(request)
                if request.state is State.FAILED:
                    raise OperatorError(f"replay of {self.table}: {request.message}")
                if request.state.ended or request.state is State.PAUSED:
                    return request
                if any(one.state is State.RUNNING for one in book.by_id.values()):
                    started = time.monotonic()  # another request goes first
                if engine is not None:
                    engine.check()
                elif request.state is State.REQUESTED and time.monotonic() - started > ANSWER_SECONDS:
                    raise BrokerUnavailable(
                        f"the engine that reads slot {self.config.wanted.slot!r} has not taken up the request for "
                        f"{ANSWER_SECONDS:.0f} s",
                        hint="the request stands, and is done when an engine of this name is there; is another "
                        "program reading the slot, or is the initial snapshot still going on?",
                    )
            return request
        finally:
            follower.close()
            if engine is not None:
                engine.close()


class _OwnEngine:
    """The same engine in a thread of this process, until everything that was asked for is done."""

    def __init__(self, config: PipelineConfig, on_finding: Callable[[Finding], None]) -> None:
        self.worker = Worker(config, on_finding)
        self.error: BaseException | None = None
        self._thread = threading.Thread(target=self._run, name="engine", daemon=True)
        self._thread.start()

    def _run(self) -> None:
        try:
            self.worker.run(once=True)
        except BaseException as error:  # noqa: BLE001 - it is raised again by `check`, on the caller's thread
            self.error = error

    def check(self) -> None:
        """Raise what ended it.

        Raises:
            SeamError: What ended it.
        """
        if self.error is not None:
            raise self.error

    def close(self) -> None:
        """Let it end: what it has read is delivered first."""
        if self.error is None and self._thread.is_alive():
            self._thread.join(1.0)
        self.worker.stop.set()
        self._thread.join(60)
        if isinstance(self.error, SeamError):
            return
        self.check()


def _literal(table: str) -> str:
    """An expression that only this name matches."""
    return "".join(character if character.isalnum() or character == "_" else f"\\{character}" for character in table)
