"""Starting a pipeline: look at the world, create what may be created, stream only when everything fits.

Order: Kafka answers, the slot is looked at, the position record is read, server and slot are compared with it, the
publication is compared with the recorded tables; only then the stream starts, and only then the record is written.
"""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import replace

from cdc.acknowledger import Acknowledger
from cdc.errors import OperatorError
from cdc.events import TOKEN_PREFIX, Events
from cdc.hooks import Hooks
from cdc.kafka.positions import PositionRecord
from cdc.kafka.signals import SIGNALS_TOPIC
from cdc.kafka.status import STATUS_TOPIC
from cdc.lsn import LSN
from cdc.postgres.publication import RecordedPublication
from cdc.postgres.snapshot import SnapshotReader
from cdc.progress import Progress
from cdc.recent import RecentTransactions
from cdc.relations import Relations
from cdc.render import Record
from cdc.report import Finding
from cdc.snapshotter import Snapshotter
from cdc.source import SourceState
from cdc.task import Task
from cdc.telemetry import Meter
from cdc.transactional import TransactionalAcknowledger
from cdc.wire.pgoutput import Message, PgOutput
from connectors.deadletter import DeadLetters
from connectors.debezium_signals import SIGNAL_PREFIX
from connectors.decorate import decorated
from connectors.emit import catalogue_view, layout_options
from connectors.first_start import FirstStart, Publications, renders_of, tell_keyless
from connectors.postgres import PipelineConfig
from connectors.recorder import Recorder
from connectors.requests import LOOK_SECONDS, Requests
from connectors.session import Session
from connectors.snapshot_plan import plan_snapshot, snapshot_mode
from connectors.watch import Watch


def failpoint_from_environment() -> Callable[[str], None]:
    """A function that kills the process at the step that `SEAM_FAILPOINT` names (`step:count`); for fault tests."""
    wanted, _, count = os.environ.get("SEAM_FAILPOINT", "").rpartition(":")
    if not wanted:
        return lambda _name: None
    left = [int(count)]

    def reached(name: str) -> None:
        if name == wanted:
            left[0] -= 1
            if left[0] <= 0:
                os.kill(os.getpid(), 9)

    return reached


class Pipeline:
    """One attempt to run a pipeline. A new attempt is a new object.

    Args:
        config: The configuration, read.
        meter: Counts, over all attempts.
        on_finding: Told what is worth saying.
        manage_topics: Whether topics are created; librdkafka's mock broker cannot create any.
        take_requests: Whether requests are read and carried out.
        instance: The process, over all its attempts.
        wrote: Whether an earlier attempt of the process wrote a position record.

    Attributes:
        wrote: Whether the process wrote a position record.
    """

    def __init__(
        self, config: PipelineConfig, meter: Meter, on_finding: Callable[[Finding], None], *, manage_topics: bool = True,
        take_requests: bool = True, instance: str = "", wrote: bool = False,
    ) -> None:  # fmt: skip
        self.config = config
        self.meter = meter
        self.on_finding = on_finding
        self.manage_topics = manage_topics
        self.take_requests = take_requests
        self.instance = instance
        self.wrote = wrote
        self.mode = snapshot_mode(config.options)

    def run(self, stop: threading.Event, *, once: bool = False) -> None:
        """Start and stream until stopped; with `once`, until what is committed now is delivered.

        Raises:
            SeamError: What ended it; nothing was acknowledged that Kafka does not hold.
        """
        session = Session(
            self.config, self.meter, self.on_finding, stop, manage_topics=self.manage_topics, instance=self.instance
        )
        recorder = Recorder(session, wrote=self.wrote)
        snapshot: Snapshotter | None = None
        requests: Requests | None = None
        try:
            failpoint = failpoint_from_environment()
            first = FirstStart(session, recorder, self.mode, failpoint)
            if not self.mode.streams:
                first.rows_only()
                return
            record, confirmed = self._position(session, recorder, first)
            snapshot = self._chunks(session, record)
            if self.take_requests:
                requests = Requests(session, RecentTransactions(), failpoint_from_environment())
            task = self._task(session, record, confirmed, snapshot, first.publications, requests)
            start = record.end_lsn if self.config.exactly_once else LSN(0)
            session.walsender.start(record.slot, record.publication, start)
            # Only now is the slot ours: another reader's record must not be set back.
            recorder.write(record)
            failpoint("stream started")
            goal = LSN.parse(session.catalog.current_lsn()) if once else None
            self.meter.phase = "streaming" if snapshot is None else "snapshot"
            if snapshot is not None:
                snapshot.start()
            task.run(stop, goal)
        finally:
            self.wrote = recorder.wrote
            if snapshot is not None:
                snapshot.stop()
            if requests is not None:
                requests.close()
            session.close()

    def _position(self, session: Session, recorder: Recorder, first: FirstStart) -> tuple[PositionRecord, LSN]:
        """The record to stream from, and what the slot has confirmed."""
        slot = recorder.free_slot()
        record = recorder.read()
        if record is not None and record.snapshot.get("phase") == "exported":
            recorder.start_over(record, "its snapshot was interrupted")
            record = slot = None
        elif record is not None and self.mode.when_lost:
            try:
                recorder.check(slot, record)
            except OperatorError as error:
                recorder.start_over(record, error.message)
                record = slot = None
        if record is None:
            record = first.run(slot)
            confirmed = record.end_lsn
        else:
            confirmed = recorder.check(slot, record)
            record = self._next_start(session, record, first.publications)
            if self.mode.always and not self.wrote:  # not again for another attempt of the same process
                record = replace(record, snapshot={"phase": "chunks", "tables": {}})
        return replace(record, instance=self.instance), confirmed

    def _next_start(self, session: Session, record: PositionRecord, publications: Publications) -> PositionRecord:
        wanted = self.config.wanted
        if (record.slot, record.publication) != (wanted.slot, wanted.publication):
            raise OperatorError(
                f"the position of {self.config.name!r} was recorded for slot {record.slot!r} and publication "
                f"{record.publication!r}, the configuration names {wanted.slot!r} and {wanted.publication!r}",
                hint="restore the names, or start anew under another connector name",
            )
        tables = {table: oid for table, oid in record.tables.items() if session.captures(table)}
        publications.check(RecordedPublication(tables, **record.publication_form))
        publication = publications.ensure([])
        return replace(record, timeline=session.identity.timeline, **publications.recorded_form(publication))

    def _chunks(self, session: Session, record: PositionRecord) -> Snapshotter | None:
        """The reader of what is left to read by chunks."""
        if record.snapshot.get("phase") != "chunks":
            return None
        plan = plan_snapshot(self.config, session.catalog)
        options = self.config.options
        snapshotter = Snapshotter(
            plan.keyed, renders_of(session, plan), record.snapshot.get("tables", {}),
            lambda: SnapshotReader(self.config.source, query_timeout=options["database.query.timeout.ms"]),
            threads=options["snapshot.max.threads"], on_finding=self.on_finding, failpoint=failpoint_from_environment(),
        )  # fmt: skip
        if self.mode.always and plan.keyless:
            tell_keyless(session, plan.keyless, "are not read again at every start")
        self.meter.snapshot = snapshotter.as_json()
        return snapshotter

    def _task(
        self,
        session: Session,
        record: PositionRecord,
        confirmed: LSN,
        snapshot: Snapshotter | None,
        publications: Publications,
        requests: Requests | None,
    ) -> Task:
        config, catalog = self.config, session.catalog
        layout = layout_options(config, catalog)
        emitter = session.emitter
        relations = Relations(
            layout, config.render, catalogue_view(catalog, strict=config.strict),
            make_render=decorated(session, emitter.make_render, requests), on_finding=self.on_finding,
        )  # fmt: skip
        identity = session.identity
        state = SourceState(config.source_options, identity.system_id, identity.timeline, time.time_ns() // 1000)
        failpoint = failpoint_from_environment()
        progress = session.progress(record.end_lsn if config.exactly_once else confirmed)
        acks: Acknowledger | TransactionalAcknowledger
        if config.exactly_once:
            acks = TransactionalAcknowledger(
                session.walsender,
                session.producer,
                config.name,
                record,
                meter=self.meter,
                failpoint=failpoint,
                progress=progress,
            )
        else:
            acks = Acknowledger(
                session.walsender, session.producer, config.name, record, confirmed, meter=self.meter,
                failpoint=failpoint, stall_seconds=config.options["seam.retry.timeout.ms"] / 1000, progress=progress,
            )  # fmt: skip
        dead_letters = DeadLetters(config, relations, self.on_finding)
        events = Events(
            config.render, relations.layouts, emitter.emit, binary_mode=config.options["binary.handling.mode"],
            publishes=config.publishes_message, on_message=_token_reader(progress),
        )  # fmt: skip
        watch = Watch(session, publications, RecordedPublication(record.tables, **record.publication_form), events)
        hooks = Hooks(
            records_of=events.records_of if requests is None else _with_signals(events, requests),
            boundaries=config.render.transaction_metadata,
            dead_letter=dead_letters.handle if dead_letters.active else None,
            watch=watch.look if requests is None else lambda: [*watch.look(), *requests.look()],
            watch_seconds=watch.seconds if requests is None else min(watch.seconds, LOOK_SECONDS),
            failpoint=failpoint,
            partitions={config.render.topics.heartbeat(): 0, STATUS_TOPIC: 0, SIGNALS_TOPIC: 0},
            snapshot=snapshot,
            extended_headers=config.render.extended_headers,
            latest=session.forms.latest,
            placed=not emitter.direct,
        )
        if requests is not None:
            hooks.streamed, hooks.pending = requests.recent.add, lambda: requests.pending
        task = Task(session.walsender, session.producer, relations, state, acks, hooks, self.meter)
        if requests is not None:
            requests.attach(task)
        return task


def _token_reader(progress: Progress | None) -> Callable[[Message], None]:
    """Hands the tokens of writers on to those who wait for them."""

    def read(message: Message) -> None:
        if progress is not None and message.prefix == TOKEN_PREFIX:
            identity = message.content.decode("utf-8", "replace")
            progress.writer.token(identity, None if message.transactional else message.lsn)

    return read


def _with_signals(events: Events, requests: Requests) -> Callable[[PgOutput, int, SourceState], Sequence[Record]]:
    """A logical message may be a signal; every other message is an event."""

    def records_of(message: PgOutput, lsn: int, state: SourceState) -> Sequence[Record]:
        if isinstance(message, Message) and message.prefix == SIGNAL_PREFIX:
            return requests.of_message(message)
        return events.records_of(message, lsn, state)

    return records_of
