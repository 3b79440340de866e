"""The engine's side of requests: existing rows put into the running stream, one request at a time.

Everything here runs on the stream's thread, every few hundred milliseconds, and never waits for Kafka. A request that
cannot be done is recorded as failed; the stream goes on.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any, Final, Protocol

from cdc.errors import ConfigError, OperatorError, Problem, RetriableError, SeamError
from cdc.kafka.signals import SIGNALS_TOPIC, TopicFollower, read_requests
from cdc.model.relation import Relation
from cdc.postgres.catalog import Catalog
from cdc.postgres.condition import check_condition, check_select
from cdc.postgres.connection import connect
from cdc.postgres.gone_rows import deletes_of
from cdc.postgres.snapshot import SnapshotReader
from cdc.postgres.snapshot_tables import SnapshotTable
from cdc.recent import RecentTransactions
from cdc.render import Record
from cdc.render_copy import CopyForm
from cdc.report import Severity
from cdc.requests import Kind, Request, State
from cdc.selection import compile_patterns
from cdc.snapshotter import Snapshotter
from cdc.visibility import Snapshot
from cdc.wire.pgoutput import Message
from connectors.first_start import renders_of
from connectors.postgres import PipelineConfig
from connectors.session import Session
from connectors.signal_channels import Channels
from connectors.snapshot_plan import SnapshotPlan, names, plan_snapshot

LOOK_SECONDS: Final = 0.25
PRUNE_SECONDS: Final = 2.0
AGAIN_SECONDS: Final = 1.0


class RequestedRows(Snapshotter):
    """Reads the rows of one request; what goes wrong ends the request, not the stream."""

    def check(self) -> None:
        """Raise nothing: `Requests.look` asks for `error`."""


class Loop(Protocol):
    """What is needed of the task."""

    snapshot: Snapshotter | None

    def described(self) -> Sequence[Relation]:
        """The relations that the stream has described so far."""


class Rate:
    """Lets so many rows go in a second.

    Args:
        rows: Per second; 0 for no limit.
        stop: Ends a wait.
    """

    def __init__(self, rows: int, stop: threading.Event) -> None:
        self.rows = rows
        self._stop = stop
        self._next = 0.0
        self._lock = threading.Lock()

    def __call__(self, rows: int) -> None:
        """Wait until so many rows may go."""
        if not self.rows:
            return
        with self._lock:
            now = time.monotonic()
            start = max(now, self._next)
            self._next = start + rows / self.rows
        self._stop.wait(start - now)


def plan_request(config: PipelineConfig, catalog: Catalog, request: Request) -> SnapshotPlan:
    """The tables that a request names.

    Raises:
        ConfigError: No captured table is meant, one cannot be read by chunks, or a condition fails.
    """
    whole = plan_snapshot(config, catalog, include="", overrides=request.selects)
    patterns = [compile_patterns(text) for text in request.tables]

    def asked(table: SnapshotTable) -> bool:
        return any(
            one.fullmatch(name)
            for pattern in patterns
            for one in pattern
            for name in (table.name, table.relation.qualified)
        )

    problems, found = [], []
    for text, pattern in zip(request.tables, patterns, strict=True):
        if not any(
            one.fullmatch(t.name) or one.fullmatch(t.relation.qualified) for one in pattern for t in whole.tables
        ):
            problems.append(Problem("tables", f"{text} is no table that this pipeline captures"))
    for table in whole.tables:
        if not asked(table) or table.name.lower() in request.dropped or table.name.lower() in request.held:
            continue
        where = request.where.get(table.name.lower()) or request.where.get(table.relation.qualified.lower())
        if not table.key:
            problems.append(
                Problem(
                    table.name, "has no key by which its rows could be told apart in the log; give it a primary key"
                )
            )
        elif where is not None:
            check_condition(catalog, table.physical, where, option=f"the condition of {table.name}")
            # On lines of its own, so that a comment at its end hides nothing.
            lead = "" if table.filter is None else f"({table.filter}) and "
            found.append(replace(table, filter=f"{lead}(\n{where}\n)"))
        else:
            if table.override is not None:
                check_select(catalog, table.override, option=f"the SELECT of {table.name}")
            found.append(table)
    unused = [t for t in (*request.where, *request.selects) if not any(t in _names(table) for table in whole.tables)]
    problems += [Problem("condition", f"{table} is no table that this pipeline captures") for table in unused]
    if problems:
        raise ConfigError(problems)
    return SnapshotPlan(tuple(found), whole.layouts)


def _names(table: SnapshotTable) -> tuple[str, str]:
    return table.name.lower(), table.relation.qualified.lower()


class _Planning:
    """Lays a request out on a thread and a connection of its own: a locked table must not hold up the stream."""

    def __init__(self, session: Session, request: Request) -> None:
        self.session = session
        self.request = request
        self.plan: SnapshotPlan | None = None
        self.renders: dict[str, CopyForm] = {}
        self.error: SeamError | None = None
        self._thread = threading.Thread(target=self._run, name="planning", daemon=True)
        self._thread.start()

    @property
    def running(self) -> bool:
        return self._thread.is_alive()

    def _run(self) -> None:
        try:
            source = self.session.config.source
            catalog = Catalog(connect(source), source)
            try:
                self.plan = plan_request(self.session.config, catalog, self.request)
                self.renders = renders_of(self.session, self.plan)
            finally:
                catalog.connection.close()
        except SeamError as error:
            self.error = error
        except Exception as error:  # noqa: BLE001 - it ends the request, and never unseen
            self.error = OperatorError(f"planning failed: {type(error).__name__}: {error}")


class Requests:
    """Follows the topic of requests and the channels of signals, and does what they ask.

    Args:
        session: The open parts.
        recent: The transactions that were streamed and may be invisible still.
        failpoint: Called with the name of each step; tests kill the process there.
    """

    def __init__(
        self, session: Session, recent: RecentTransactions, failpoint: Callable[[str], None] = lambda _name: None
    ) -> None:
        self.session = session
        self.config = session.config
        self.recent = recent
        self.failpoint = failpoint
        self.book = read_requests(self.config.kafka, self.config.name)
        # From here on only the engine moves these on; what the topic says of them is our own echo.
        self._taken = set(self.book.by_id)
        # Whoever was asked to leave before this start was another process.
        self._not_me = {request.id for request in self.book.open(Kind.LEAVE)}
        self._first_signals = not any(name.startswith("kafka.") for name in self._taken)
        self._follower = TopicFollower(self.config.kafka, SIGNALS_TOPIC)
        self.channels = Channels(self.config)
        self._loop: Loop | None = None
        self._stop = threading.Event()
        self._rows: RequestedRows | None = None
        self._current = ""
        self._recorded: Any = None
        self._not_before = 0.0
        self._pruned = 0.0
        self._planning: _Planning | None = None

    def attach(self, loop: Loop) -> None:
        """The task whose stream takes the rows."""
        self._loop = loop

    def close(self) -> None:
        """End the readers; what is not done is gone on with after the next start."""
        self._let_go()
        self._follower.close()
        self.channels.close()

    @property
    def pending(self) -> bool:
        """Whether a request waits or runs, so that a run to a goal does not end yet."""
        waiting = [*self.book.open(Kind.SNAPSHOT), *self.book.open(Kind.DELETE)]
        return any(request.state is not State.PAUSED for request in waiting)

    # -- signals of the stream itself --------------------------------------------------------------------------------

    def of_message(self, message: Message) -> Sequence[Record]:
        """The record of the request that a logical message asks for."""
        return self._new(self.channels.of_message(message))

    def of_row(self, payload: bytes, lsn: bytes) -> Sequence[Record]:
        """The record of the request that a row of the signal table asks for."""
        request = self.channels.of_row(payload, lsn)
        return [] if request is None else self._new(request)

    def _new(self, request: Request) -> list[Record]:
        """Record a request, once: the topic gives it back to us when it is durable, and then it is done."""
        return [] if request.id in self.book.by_id else [_record(request)]

    # -- every few hundred milliseconds ------------------------------------------------------------------------------

    def look(self) -> list[Record]:
        """Do what is due; returns records to send."""
        now = time.monotonic()
        if now - self._pruned >= PRUNE_SECONDS:
            self._pruned = now
            text = self.session.catalog.value("select pg_current_snapshot()::text")
            self.recent.prune(Snapshot.parse(str(text)))
        records = [
            record
            for request in self.channels.arrived(self.book.by_id.__contains__, first=self._first_signals)
            for record in self._new(request)
        ]
        for message in self._follower.poll():
            name = (message.key() or b"").decode("utf-8", "replace").partition("/")[2]
            if name not in self._taken and self.book.add(message.key(), message.value()) is not None:
                self._taken.add(name)
        for request in self.book.open():
            if request.kind is not Kind.SNAPSHOT:
                records += self._control(request)
        records += self._go_on(now)
        return records

    def _put(self, request: Request) -> Record:
        self.book.put(request)
        return _record(request)

    def _go_on(self, now: float) -> list[Record]:
        assert self._loop is not None
        if self._rows is not None:
            return self._progress(self._rows, now)
        if self._loop.snapshot is not None or now < self._not_before:
            return []  # the initial snapshot comes first
        for request in self.book.open(Kind.SNAPSHOT):
            if request.state is not State.PAUSED:
                return self._plan(request, now)
        return []

    def _plan(self, request: Request, now: float) -> list[Record]:
        if self._planning is None or self._planning.request is not request:
            self._planning = _Planning(self.session, request)
        if self._planning.running:
            return []
        planning, self._planning = self._planning, None
        error = planning.error
        if isinstance(error, RetriableError):
            self._not_before = now + AGAIN_SECONDS
            self._say(Severity.WARNING, request, error.message)
            return []
        if error is not None or planning.plan is None:
            message = error.message if error is not None else "it could not be planned"
            self._say(Severity.WARNING, request, f"failed: {message}")
            return [self._put(request.failed(message))]
        if not planning.plan.tables:
            return [self._put(replace(request, state=State.PAUSED if request.held else State.STOPPED))]
        return [self._start(request, planning.plan, planning.renders)]

    def _start(self, request: Request, plan: SnapshotPlan, renders: Mapping[str, CopyForm]) -> Record:
        assert self._loop is not None
        self._stop = threading.Event()
        options = self.config.options
        rows = RequestedRows(
            plan.tables, renders, request.progress,
            lambda: SnapshotReader(self.config.source, query_timeout=options["database.query.timeout.ms"]),
            threads=options["snapshot.max.threads"], on_finding=self.session.on_finding,
            pause=Rate(request.rate, self._stop), failpoint=self.failpoint, marker=request.marker,
            streamed=self.recent.unseen, all_known=self.recent.exact,
        )  # fmt: skip
        for relation in self._loop.described():
            rows.describe(relation)
        self._rows, self._current = rows, request.id
        self._loop.snapshot = rows
        rows.start()
        self._say(Severity.NOTE, request, f"reads {names(plan.tables)}")
        estimate = sum(table.rows for table in plan.tables)
        return self._put(replace(request, state=State.RUNNING, estimate=request.estimate or estimate))

    def _progress(self, rows: RequestedRows, now: float) -> list[Record]:
        request = self.book.by_id[self._current]
        # Asked before the state is taken: what is complete by then is in it.
        complete, error = rows.complete, rows.error
        request = self._with_progress(request, rows)
        if complete:
            self._let_go()
            state = State.PAUSED if request.held else State.DONE
            self._say(Severity.NOTE, request, f"{request.rows} rows read")
            return [self._put(replace(request, state=state))]
        if error is not None:
            self._let_go()
            self._not_before = now + AGAIN_SECONDS
            self._say(Severity.WARNING, request, error.message)
            return [self._put(request if isinstance(error, RetriableError) else request.failed(error.message))]
        if request.progress == self._recorded:
            return []
        self._recorded = request.progress
        return [self._put(request)]

    @staticmethod
    def _with_progress(request: Request, rows: RequestedRows) -> Request:
        tables = {**request.progress, **rows.as_json()["tables"]}
        return replace(request, progress=tables, rows=sum(table.get("rows", 0) for table in tables.values()))

    def _let_go(self) -> None:
        """End the readers of the current request."""
        if self._rows is None:
            return
        self._stop.set()
        self._rows.stop()
        if self._loop is not None and self._loop.snapshot is self._rows:
            self._loop.snapshot = None
        self._rows, self._current, self._recorded = None, "", None

    # -- control signals ---------------------------------------------------------------------------------------------

    def _control(self, request: Request) -> list[Record]:
        if request.kind is Kind.LOG:
            self._say(Severity.NOTE, request, request.message)
            return [self._put(replace(request, state=State.DONE))]
        if request.kind is Kind.LEAVE:
            if request.id not in self._not_me:
                self._say(Severity.NOTE, request, f"leaving: {request.message}")
                self.session.stop.set()
            return [self._put(replace(request, state=State.DONE))]
        if request.kind is Kind.DELETE:
            return self._delete(request)
        records = []
        for target in self.book.open(Kind.SNAPSHOT):
            if target.time > request.time:
                continue  # asked for after the control signal
            changed = self._controlled(request, target)
            if changed != target:
                if target.id == self._current and self._rows is not None:
                    changed = self._with_progress(changed, self._rows)
                    self._let_go()
                records.append(self._put(changed))
        return [*records, self._put(replace(request, state=State.DONE))]

    def _delete(self, request: Request) -> list[Record]:
        try:
            records = deletes_of(
                self.session.catalog, self.recent, request, prefix=self.config.options["topic.prefix"]
            )  # fmt: skip
        except RetriableError as error:
            self._say(Severity.WARNING, request, error.message)
            return []
        except (SeamError, KeyError, TypeError, ValueError) as error:
            message = error.message if isinstance(error, SeamError) else f"not such a request: {error}"
            self._say(Severity.WARNING, request, f"failed: {message}")
            return [self._put(request.failed(message))]
        if records is None:
            return []
        # A tombstone each.
        count = sum(1 for record in records if record[2] is None)
        self._say(Severity.NOTE, request, f"{count} rows are gone: their deletes were sent")
        return [*records, self._put(replace(request, state=State.DONE, rows=count, gone=()))]

    def _controlled(self, request: Request, target: Request) -> Request:
        """What becomes of a snapshot by a control signal: all of it, or the tables that the signal names."""
        tables = [table.lower() for table in request.tables]
        if not tables:
            state = {Kind.STOP: State.STOPPED, Kind.PAUSE: State.PAUSED, Kind.RESUME: State.REQUESTED}[request.kind]
            if request.kind is Kind.RESUME and target.state is not State.PAUSED:
                return target
            return replace(target, state=state, held=() if request.kind is Kind.RESUME else target.held)
        if request.kind is Kind.STOP:
            return replace(target, dropped=tuple(dict.fromkeys([*target.dropped, *tables])))
        if request.kind is Kind.PAUSE:
            return replace(target, held=tuple(dict.fromkeys([*target.held, *tables])))
        held = tuple(table for table in target.held if table not in tables)
        if held == target.held:
            return target
        return replace(target, held=held, state=State.REQUESTED)

    def _say(self, severity: Severity, request: Request, evidence: str) -> None:
        self.session.say("REQUEST", severity, request.id, evidence)


def _record(request: Request) -> Record:
    return SIGNALS_TOPIC, request.key, request.encode(), None
