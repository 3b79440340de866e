"""Starting a pipeline: look at the world, create what may be created, stream only when everything fits.

Order: Kafka answers, the slot is looked at, the position record is read, server and slot are compared with it, the
publication is compared with the recorded tables; only then the stream starts, and only then the record is written.
"""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, replace
from typing import Any, Final

import confluent_kafka

from cdc.acknowledger import Acknowledger
from cdc.errors import BrokerUnavailable, Fenced, OperatorError, PreflightFailed, PublicationChanged, SlotInUse
from cdc.events import HEARTBEAT_PREFIX, Events
from cdc.kafka.admin import Admin
from cdc.kafka.faults import delivery_error, translate
from cdc.kafka.positions import PARTITION, POSITIONS_TOPIC, PositionRecord, ensure_topics, read_positions
from cdc.kafka.producer import Producer
from cdc.kafka.status import STATUS_TOPIC, encode_status
from cdc.layout import Layout
from cdc.lsn import LSN
from cdc.postgres.catalog import Catalog
from cdc.postgres.connection import connect
from cdc.postgres.preflight import captured, check_database
from cdc.postgres.publication import (
    Publication,
    RecordedPublication,
    add_tables,
    check_unchanged,
    create_publication,
    read_publication,
    standing,
)
from cdc.postgres.slot import Slot, check_position, create_slot, drop_slot, read_slot
from cdc.postgres.snapshot import SnapshotReader, SnapshotTable
from cdc.postgres.walsender import SystemIdentity, Walsender
from cdc.relations import CatalogueView, Relations, renamed
from cdc.render import Record, Render
from cdc.render_copy import CopyRender
from cdc.report import Finding, Severity, blocking
from cdc.snapshotter import Snapshotter
from cdc.source import SourceState
from cdc.task import Hooks, Task
from cdc.telemetry import Meter
from cdc.transactional import TransactionalAcknowledger
from connectors.deadletter import DeadLetters
from connectors.emit import Emitter
from connectors.first_rows import ExportedSnapshot, FirstRows
from connectors.postgres import PipelineConfig
from connectors.snapshot_plan import SnapshotPlan, names, plan_snapshot, snapshot_mode
from connectors.topic_rules import Topics

WATCH_SECONDS: Final = 5.0
TRANSACTION_SECONDS: Final = 60.0
TRANSACTION_TIMEOUT_MS: Final = 120_000
EVICT_SECONDS: Final = 10.0


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
    """One attempt to run a pipeline: connections, checks, the task. A new attempt is a new object.

    Args:
        config: The configuration, read.
        meter: Counts, over all attempts.
        on_finding: Told what is worth saying.
        manage_topics: Whether topics are created; librdkafka's mock broker cannot create any.
        instance: The process, over all its attempts.
        wrote: Whether an earlier attempt of the process wrote a position record.
    """

    def __init__(
        self, config: PipelineConfig, meter: Meter, on_finding: Callable[[Finding], None], *, manage_topics: bool = True,
        instance: str = "", wrote: bool = False,
    ) -> None:  # fmt: skip
        self.instance = instance
        self.wrote = wrote
        self.mode = snapshot_mode(config.options)
        self.snapshot: Snapshotter | None = None
        self.topics: Topics | None = None
        self.config = config
        self.meter = meter
        self.on_finding = on_finding
        self.manage_topics = manage_topics
        self.catalog: Catalog | None = None
        self.walsender: Walsender | None = None
        self.producer: Producer | None = None
        self.events: Events | None = None
        self._recorded = RecordedPublication()
        self._heartbeat_time = time.monotonic()
        self._publication_time = time.monotonic()
        self._status_records, self._status_time = meter.records, time.monotonic()

    def run(self, stop: threading.Event, *, once: bool = False) -> None:
        """Start and stream until stopped; with `once`, until what is committed now is delivered.

        Raises:
            SeamError: What ended it; nothing was acknowledged that Kafka does not hold.
        """
        try:
            if not self.mode.streams:
                self._rows_only(stop)
                return
            task, catalog = self._start(stop)
            goal = LSN.parse(catalog.current_lsn()) if once else None
            self.meter.phase = "streaming" if self.snapshot is None else "snapshot"
            if self.snapshot is not None:
                self.snapshot.start()
            task.run(stop, goal)
        finally:
            self.close()

    def close(self) -> None:
        """Free slot and connections; records that were not delivered are thrown away, to be read again."""
        if self.snapshot is not None:
            self.snapshot.stop()
            self.snapshot = None
        if self.walsender is not None:
            self.walsender.close()
            self.walsender = None
        if self.catalog is not None:
            self.catalog.connection.close()
            self.catalog = None
        if self.producer is not None:
            self.producer.close(purge=self.producer.in_queue() > 0)
            self.producer = None

    # -- the start ---------------------------------------------------------------------------------------------------

    def _start(self, stop: threading.Event) -> tuple[Task, Catalog]:
        config = self.config
        catalog, producer = self._connect()
        slot = self._free_slot(catalog)
        record = self._read_record(producer)
        walsender = self.walsender
        assert walsender is not None
        identity = walsender.identify()
        if record is not None and record.snapshot.get("phase") == "exported":
            self._start_over(catalog, record, "its snapshot was interrupted")
            record = slot = None
        elif record is not None and self.mode.when_lost:
            try:
                self._check(walsender, slot, record, identity)
            except OperatorError as error:
                self._start_over(catalog, record, error.message)
                record = slot = None
        if record is None:
            record = self._first_start(catalog, walsender, identity, slot, stop)
            confirmed = record.end_lsn
        else:
            confirmed = self._check(walsender, slot, record, identity)
            record = self._next_start(catalog, identity, record)
            if self.mode.always:
                record = replace(record, snapshot={"phase": "chunks", "tables": {}})
        record = replace(record, instance=self.instance)
        self._recorded = RecordedPublication(record.tables, **record.publication_form)
        layout = config.layout
        if catalog.encoding() == "SQL_ASCII":
            layout = replace(layout, modes=replace(layout.modes, verify_encoding=True))
        emitter = Emitter(config, layout)
        relations = Relations(
            layout, config.render, CatalogueView(catalog.table_facts, catalog.types),
            make_render=self._with_topic(emitter.make_render), on_finding=self.on_finding,
        )  # fmt: skip
        state = SourceState(config.source_options, identity.system_id, identity.timeline)
        failpoint = failpoint_from_environment()
        acks = self._acknowledger(walsender, producer, record, confirmed, failpoint)
        self.snapshot = self._chunks(catalog, record)
        hooks = self._hooks(relations, emitter, failpoint)
        walsender.start(record.slot, record.publication, record.end_lsn if config.exactly_once else LSN(0))
        # Only now is the slot ours: another reader's record must not be set back.
        self._write_position(producer, record)
        return Task(walsender, producer, relations, state, acks, hooks, self.meter), catalog

    def _connect(self) -> tuple[Catalog, Producer]:
        config = self.config
        catalog = self.catalog = Catalog(connect(config.source), config.source)
        self.walsender = Walsender(config.source)
        more: dict[str, Any] = {}
        if config.exactly_once:
            system_id = self.walsender.identify().system_id
            more = {
                "transactional.id": f"seam.{config.name}.{system_id}.{config.wanted.slot}",
                "transaction.timeout.ms": TRANSACTION_TIMEOUT_MS,
            }
        producer = self.producer = Producer(config.kafka, **more)
        brokers = producer.reach(20.0)
        if self.manage_topics:
            admin = Admin(config.kafka)
            ensure_topics(admin, [POSITIONS_TOPIC, STATUS_TOPIC])
            self.topics = Topics(config.topic_rules, admin)
            self._ensure_topics(catalog)
        if config.exactly_once and brokers == 1:
            self.on_finding(
                Finding("ONE_BROKER", Severity.WARNING, config.kafka.bootstrap_servers,
                        "is one broker: exactly once holds as long as its disk does")
            )  # fmt: skip
        return catalog, producer

    def _ensure_topics(self, catalog: Catalog) -> None:
        names = self.config.layout.topics
        tables = captured(catalog.tables(), self.config.wanted.selection)
        assert self.topics is not None
        for topic in self.topics.ensure([names.data(table.schema, table.name) for table in tables]):
            self.on_finding(Finding("TOPIC_CREATED", Severity.NOTE, topic, "is created as declared"))

    def _with_topic(self, make_render: Callable[[Layout], Render]) -> Callable[[Layout], Render]:
        """A table that appears while the stream runs gets its topic before its first record."""

        def make(layout: Layout) -> Render:
            if self.topics is not None:
                self.topics.ensure([layout.topic])
            return make_render(layout)

        return make

    def _free_slot(self, catalog: Catalog) -> Slot | None:
        """The slot, read before the record: a reader that moves both in between would make it seem to be ahead."""
        slot = read_slot(catalog, self.config.wanted.slot)
        if slot is None or slot.active_pid is None:
            return slot
        if not self.config.exactly_once:
            raise SlotInUse(
                f"slot {slot.name!r} is read from by process {slot.active_pid}",
                hint="another process reads from the slot; `seam slots list` names it",
            )
        return slot

    def _read_record(self, producer: Producer) -> PositionRecord | None:
        """The position record; exactly once fences older producers first, so that it cannot change any more."""
        config = self.config
        if not config.exactly_once:
            return read_positions(config.kafka).get(config.name)
        before = read_positions(config.kafka).get(config.name)
        if before is not None and self.wrote and before.instance != self.instance:
            raise Fenced(
                f"another process has taken over {config.name!r}",
                hint="two instances with one connector name cannot run at the same time; this one leaves",
            )
        try:
            producer.client.init_transactions(TRANSACTION_SECONDS)
        except confluent_kafka.KafkaException as error:
            raise translate(error, where=f"{producer.where}, starting transactions") from error
        self._evict(config)
        return read_positions(config.kafka).get(config.name)

    def _evict(self, config: PipelineConfig) -> None:
        """End the walsender of the instance that was just fenced: it can never commit again."""
        assert self.catalog is not None
        self.catalog.rows(
            "select pg_terminate_backend(a.pid) from pg_replication_slots s join pg_stat_activity a on a.pid = s.active_pid "
            "where s.slot_name = %s and a.application_name = %s",
            (config.wanted.slot, config.source.application_name),
        )
        deadline = time.monotonic() + EVICT_SECONDS
        while (slot := read_slot(self.catalog, config.wanted.slot)) is not None and slot.active_pid is not None:
            if time.monotonic() > deadline:
                raise SlotInUse(f"slot {slot.name!r} is read from by process {slot.active_pid}")
            time.sleep(0.05)

    def _check(self, walsender: Walsender, slot: Slot | None, record: PositionRecord, identity: SystemIdentity) -> LSN:
        return check_position(
            slot, self.config.wanted.slot, record.end_lsn,
            recorded=SystemIdentity(record.system_id, record.timeline, LSN(0)), current=identity,
            fork=walsender.fork_point(record.timeline, identity.timeline),
        )  # fmt: skip

    def _start_over(self, catalog: Catalog, record: PositionRecord, why: str) -> None:
        """Drop a slot that we made, so that a snapshot of a new one fits it exactly."""
        if "slot" not in record.made:
            raise OperatorError(
                f"slot {record.slot!r} was not made by seam, and {why}", hint="drop it, or choose another slot.name"
            )
        self.on_finding(
            Finding("SNAPSHOT_AGAIN", Severity.WARNING, record.slot, f"{why}: slot and snapshot start again")
        )
        drop_slot(catalog, record.slot)

    def _acknowledger(
        self,
        walsender: Walsender,
        producer: Producer,
        record: PositionRecord,
        confirmed: LSN,
        failpoint: Callable[[str], None],
    ) -> Acknowledger | TransactionalAcknowledger:
        if self.config.exactly_once:
            return TransactionalAcknowledger(
                walsender, producer, self.config.name, record, meter=self.meter, failpoint=failpoint
            )
        return Acknowledger(
            walsender, producer, self.config.name, record, confirmed, meter=self.meter, failpoint=failpoint,
            stall_seconds=self.config.options["seam.retry.timeout.ms"] / 1000,
        )  # fmt: skip

    # -- rows that are older than the slot ---------------------------------------------------------------------------

    def _renders(self, plan: SnapshotPlan) -> tuple[dict[str, CopyRender], dict[str, str]]:
        config = self.config
        renders = {
            name: CopyRender(layout, config.render, config.source_options) for name, layout in plan.layouts.items()
        }
        return renders, {name: layout.topic for name, layout in plan.layouts.items()}

    def _chunks(self, catalog: Catalog, record: PositionRecord) -> Snapshotter | None:
        """The reader of what is left to read by chunks."""
        if record.snapshot.get("phase") != "chunks":
            return None
        plan = plan_snapshot(self.config, catalog)
        renders, topics = self._renders(plan)
        options = self.config.options
        snapshotter = Snapshotter(
            plan.keyed, renders, topics, record.snapshot.get("tables", {}),
            lambda: SnapshotReader(self.config.source, query_timeout=options["database.query.timeout.ms"]),
            threads=options["snapshot.max.threads"],
        )  # fmt: skip
        if self.mode.always and plan.keyless:
            self._tell_keyless(plan.keyless, "are not read again at every start")
        self.meter.snapshot = snapshotter.as_json()
        return snapshotter

    def _tell_keyless(self, tables: Sequence[SnapshotTable], what: str) -> None:
        self.on_finding(Finding("SNAPSHOT_WHOLE", Severity.NOTE, names(tables), f"have no key: they {what}"))

    def _read_whole(
        self,
        tables: Sequence[SnapshotTable],
        plan: SnapshotPlan,
        record: PositionRecord,
        snapshot: str | None,
        stop: threading.Event,
    ) -> None:
        """Copy tables whole, in one Kafka transaction where records must be there exactly once."""
        assert self.producer is not None
        renders, topics = self._renders(plan)
        state = SourceState(self.config.source_options, record.system_id, record.timeline)
        state.begin(record.end_lsn, 0, 0, 0)
        headers = state.headers if self.config.render.extended_headers else lambda: None
        if self.config.exactly_once:
            self.producer.client.begin_transaction()
        rows = FirstRows(self.config.source, self.producer, self.meter, stop).copy(
            tables, renders, topics, snapshot=snapshot, lsn=record.end_lsn, headers=headers,
            query_timeout=self.config.options["database.query.timeout.ms"],
        )  # fmt: skip
        self.on_finding(Finding("SNAPSHOT_WHOLE_DONE", Severity.NOTE, names(tables), f"{rows} rows read"))

    def _rows_only(self, stop: threading.Event) -> None:
        """`initial_only`: the rows of one snapshot, without slot and stream."""
        catalog, producer = self._connect()
        record = self._read_record(producer)
        if record is not None and record.snapshot.get("phase") == "done":
            self.on_finding(Finding("SNAPSHOT_DONE", Severity.NOTE, self.config.name, "its rows were read before"))
            return
        assert self.walsender is not None
        identity = self.walsender.identify()
        plan = plan_snapshot(self.config, catalog)
        exported = ExportedSnapshot(self.config.source)
        try:
            self.meter.phase = "snapshot"
            record = PositionRecord(
                identity.system_id, identity.timeline, "", "", commit_lsn=LSN(0), ordinal=0, end_lsn=exported.lsn,
                snapshot={"phase": "done"}, instance=self.instance,
            )  # fmt: skip
            self._read_whole(plan.tables, plan, record, exported.name, stop)
            self._write_position(producer, record, open_already=True)
        finally:
            exported.close()

    def _hooks(self, relations: Relations, emitter: Emitter, failpoint: Callable[[str], None]) -> Hooks:
        config = self.config
        dead_letters = DeadLetters(config, relations, self.on_finding)
        events = self.events = Events(
            config.render, relations.layouts, emitter.emit, binary_mode=config.options["binary.handling.mode"],
            publishes=config.publishes_message,
        )  # fmt: skip
        heartbeat = config.options["heartbeat.interval.ms"] / 1000
        return Hooks(
            records_of=events.records_of,
            dead_letter=dead_letters.handle if dead_letters.active else None,
            watch=self._watch,
            watch_seconds=min(WATCH_SECONDS, heartbeat) if heartbeat else WATCH_SECONDS,
            failpoint=failpoint,
            partitions={config.render.topics.heartbeat(): 0, STATUS_TOPIC: 0},
            snapshot=self.snapshot,
            extended_headers=config.render.extended_headers,
        )

    def _first_start(
        self, catalog: Catalog, walsender: Walsender, identity: SystemIdentity, slot: Slot | None, stop: threading.Event
    ) -> PositionRecord:
        config = self.config
        self._tell(check_database(catalog, config.wanted))
        made: list[str] = []
        publication = self._publication(catalog, made)
        plan = plan_snapshot(config, catalog) if self.mode.first else None
        whole = [] if plan is None else list(plan.tables) if config.strict else plan.keyless
        exported: str | None = None
        if slot is None:
            self._note(
                "SLOT_CREATED", config.wanted.slot, "is created; this waits for the transactions that are open now"
            )
            start, exported = create_slot(
                walsender, config.wanted.slot, failover=config.options["slot.failover"], export_snapshot=bool(whole)
            )
            made.append("slot")
        else:
            assert slot.confirmed_flush_lsn is not None
            start = slot.confirmed_flush_lsn
            self._note(
                "SLOT_ADOPTED",
                slot.name,
                f"exists without a position record: starting at its confirmed position {start}",
            )
        record = PositionRecord(
            identity.system_id, identity.timeline, config.wanted.slot, config.wanted.publication,
            commit_lsn=LSN(0), ordinal=0, end_lsn=start, made=tuple(made), instance=self.instance,
            **recorded_form(publication, self._captures),
        )  # fmt: skip
        if plan is None or not plan.tables:
            return replace(record, snapshot={"phase": "done"} if plan is not None else {})
        if whole:
            self._tell_keyless(whole, "are read whole, and again from their beginning if this is interrupted")
            self.meter.phase = "snapshot"
            assert self.producer is not None
            if exported is not None:
                self._write_position(self.producer, replace(record, snapshot={"phase": "exported"}))
            self._read_whole(whole, plan, record, exported, stop)
        left = len(plan.tables) > len(whole)
        record = replace(record, snapshot={"phase": "chunks", "tables": {}} if left else {"phase": "done"})
        if whole:
            assert self.producer is not None
            self._write_position(self.producer, record, open_already=True)
        return record

    def _note(self, code: str, subject: str, evidence: str) -> None:
        self.on_finding(Finding(code, Severity.NOTE, subject, evidence))

    def _next_start(self, catalog: Catalog, identity: SystemIdentity, record: PositionRecord) -> PositionRecord:
        wanted = self.config.wanted
        if (record.slot, record.publication) != (wanted.slot, wanted.publication):
            raise OperatorError(
                f"the position of {self.config.name!r} was recorded for slot {record.slot!r} and publication "
                f"{record.publication!r}, the configuration names {wanted.slot!r} and {wanted.publication!r}",
                hint="restore the names, or start anew under another connector name",
            )
        tables = {table: oid for table, oid in record.tables.items() if self._captures(table)}
        self._check_publication(catalog, RecordedPublication(tables, **record.publication_form))
        publication = self._publication(catalog, [])
        return replace(record, timeline=identity.timeline, **recorded_form(publication, self._captures))

    def _check_publication(self, catalog: Catalog, recorded: RecordedPublication) -> Publication:
        publication = read_publication(catalog, self.config.wanted.publication)
        now = standing(catalog, recorded.tables)
        check_unchanged(publication, self.config.wanted.publication, recorded, now, self._captures)
        assert publication is not None
        names = {oid: table for table, oid in publication.tables.items()}
        for table, oid in recorded.tables.items():
            if names.get(oid, table) != table:
                self.on_finding(renamed(table, names[oid]))
        return publication

    def _captures(self, table: str) -> bool:
        schema, _, name = table.partition(".")
        return self.config.wanted.selection.captures(schema, name)

    def _tell(self, findings: Sequence[Finding]) -> None:
        for finding in findings:
            if finding.severity in (Severity.WARNING, Severity.NOTE):
                self.on_finding(finding)
        blockers = blocking(findings)
        if blockers:
            lines = "".join(
                f"\n  {f.code} {f.subject}: {f.evidence}\n      {f.remedy or ''}".rstrip() for f in blockers
            )
            raise PreflightFailed(
                f"{len(blockers)} finding{'s' if len(blockers) > 1 else ''} forbid the start:{lines}",
                hint="nothing was created or changed; `seam check FILE` shows all findings",
            )

    def _publication(self, catalog: Catalog, made: list[str]) -> Publication:
        """The publication, created or extended as the configuration asks."""
        wanted = self.config.wanted
        tables = captured(catalog.tables(), wanted.selection)
        publication = read_publication(catalog, wanted.publication)
        if publication is None:
            create_publication(
                catalog, wanted.publication, None if wanted.autocreate == "all_tables" else _roots(tables), sorted(wanted.operations),
                via_root=self.config.options["publish.via.partition.root"], connector=self.config.name,
            )  # fmt: skip
            made.append("publication")
        elif wanted.autocreate == "filtered" and not publication.all_tables:
            missing = [
                table for table in _roots(tables) if table.qualified not in publication.tables and table.kind == "r"
            ]
            if missing:
                self._tell(
                    [
                        f
                        for f in check_database(catalog, wanted)
                        if f.severity is Severity.BLOCKS and f.code == "REPLICA_IDENTITY"
                    ]
                )
                add_tables(catalog, wanted.publication, missing)
                self.on_finding(
                    Finding(
                        "PUBLICATION_EXTENDED",
                        Severity.NOTE,
                        wanted.publication,
                        f"{', '.join(t.qualified for t in missing)} added; rows that they hold already are not sent",
                    )
                )
        found = read_publication(catalog, wanted.publication)
        if found is None:
            raise PublicationChanged(f"publication {wanted.publication!r} is gone again")
        absent = sorted(wanted.operations - found.operations)
        if absent:
            operations = ", ".join(sorted(wanted.operations | found.operations))
            raise PreflightFailed(
                f"publication {wanted.publication!r} does not publish {', '.join(absent)}",
                hint=f"ALTER PUBLICATION \"{wanted.publication}\" SET (publish = '{operations}'); "
                "-- or name these operations in skipped.operations",
            )
        return found

    def _write_position(self, producer: Producer, record: PositionRecord, *, open_already: bool = False) -> None:
        """Record the position before the stream starts, so that no slot of ours is ever without one.

        Args:
            producer: Where.
            record: The record.
            open_already: Whether a Kafka transaction with rows is open, that the record belongs into.
        """
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
        except confluent_kafka.KafkaException as error:
            raise translate(error, where=f"{producer.where}, the position record") from error
        if not outcome or outcome[0][0] is not None:
            if outcome:
                raise delivery_error(*outcome[0], where=producer.where)
            raise BrokerUnavailable(f"{producer.where}: the position record was not acknowledged")
        self.wrote = True

    # -- while it streams --------------------------------------------------------------------------------------------

    def _watch(self) -> Sequence[Record]:
        now = time.monotonic()
        catalog = self.catalog
        assert catalog is not None
        if now - self._publication_time >= WATCH_SECONDS:
            self._publication_time = now
            self._recorded = self._check_publication(catalog, self._recorded).recorded(self._captures)
        records: list[Record] = [(STATUS_TOPIC, self.config.name.encode(), self._status(now), None)]
        interval = self.config.options["heartbeat.interval.ms"] / 1000
        if interval and now - self._heartbeat_time >= interval:
            self._heartbeat_time = now
            # On 15 and newer empty transactions are not sent: only a message moves the slot of a filtered database.
            catalog.rows("select pg_logical_emit_message(false, %s, '')::text", (HEARTBEAT_PREFIX,))
            assert self.events is not None
            records += self.events.heartbeat(time.time_ns() // 1_000_000)
        return records

    def _status(self, now: float) -> bytes:
        rate = (self.meter.records - self._status_records) / max(0.001, now - self._status_time)
        self._status_records, self._status_time = self.meter.records, now
        return encode_status(self.meter, rate)


def recorded_form(publication: Publication, captures: Callable[[str], bool]) -> dict[str, Any]:
    """The members of a position record that say what the publication was."""
    form = asdict(publication.recorded(captures))
    return {"tables": form.pop("tables"), "publication_form": form}


def _roots(tables: Sequence[Any]) -> list[Any]:
    """The tables to name in a publication: a partition is a member through its root when that is captured too."""
    partitioned = any(table.kind == "p" for table in tables)
    return [table for table in tables if not (partitioned and table.partition)]
