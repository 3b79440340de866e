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
from typing import Any

from cdc.acknowledger import Acknowledger
from cdc.errors import BrokerUnavailable, OperatorError, PreflightFailed, PublicationChanged, SlotInUse
from cdc.events import HEARTBEAT_PREFIX, Events
from cdc.kafka.admin import Admin
from cdc.kafka.faults import delivery_error
from cdc.kafka.positions import PARTITION, POSITIONS_TOPIC, PositionRecord, ensure_topics, read_positions
from cdc.kafka.producer import Producer
from cdc.kafka.status import STATUS_TOPIC, encode_status
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
from cdc.postgres.slot import Slot, check_position, create_slot, read_slot
from cdc.postgres.walsender import SystemIdentity, Walsender
from cdc.relations import CatalogueView, Relations, renamed
from cdc.render import Record
from cdc.report import Finding, Severity, blocking
from cdc.source import SourceState
from cdc.task import Hooks, Task
from cdc.telemetry import Meter
from connectors.deadletter import DeadLetters
from connectors.emit import Emitter
from connectors.postgres import PipelineConfig

WATCH_SECONDS = 5.0


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


def catalogue_view(catalog: Catalog, *, strict: bool) -> CatalogueView:
    """What the relations see of the catalogue; Debezium looks a table up by the name that it had."""
    if strict:
        return CatalogueView(lambda relation: catalog.named_table_facts(relation.schema, relation.name), catalog.types)
    return CatalogueView(lambda relation: catalog.table_facts(relation.oid), catalog.types)


class Pipeline:
    """One attempt to run a pipeline: connections, checks, the task. A new attempt is a new object.

    Args:
        config: The configuration, read.
        meter: Counts, over all attempts.
        on_finding: Told what is worth saying.
        manage_topics: Whether topics of our own are created; librdkafka's mock broker cannot create any.
    """

    def __init__(
        self, config: PipelineConfig, meter: Meter, on_finding: Callable[[Finding], None], *, manage_topics: bool = True
    ) -> None:
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
            task, catalog = self._start()
            goal = LSN.parse(catalog.current_lsn()) if once else None
            self.meter.phase = "streaming"
            task.run(stop, goal)
        finally:
            self.close()

    def close(self) -> None:
        """Free slot and connections; records that were not delivered are thrown away, to be read again."""
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

    def _start(self) -> tuple[Task, Catalog]:
        config = self.config
        catalog = self.catalog = Catalog(connect(config.source), config.source)
        producer = self.producer = Producer(config.kafka)
        producer.reach(20.0)
        if self.manage_topics:
            ensure_topics(Admin(config.kafka), [POSITIONS_TOPIC, STATUS_TOPIC])
        # The slot before the record: a reader that moves both in between would make the slot seem to be ahead.
        slot = read_slot(catalog, config.wanted.slot)
        if slot is not None and slot.active_pid is not None:
            raise SlotInUse(
                f"slot {slot.name!r} is read from by process {slot.active_pid}",
                hint="another process reads from the slot; `seam slots list` names it",
            )
        record = read_positions(config.kafka).get(config.name)
        walsender = self.walsender = Walsender(config.source)
        identity = walsender.identify()
        if record is None:
            record = self._first_start(catalog, walsender, identity, slot)
            confirmed = record.end_lsn
        else:
            confirmed = check_position(
                slot, config.wanted.slot, record.end_lsn,
                recorded=SystemIdentity(record.system_id, record.timeline, LSN(0)), current=identity,
                fork=walsender.fork_point(record.timeline, identity.timeline),
            )  # fmt: skip
            record = self._next_start(catalog, identity, record)
        self._recorded = RecordedPublication(record.tables, **record.publication_form)
        layout = config.layout
        if catalog.encoding() == "SQL_ASCII":
            layout = replace(layout, modes=replace(layout.modes, verify_encoding=True))
        emitter = Emitter(config, layout)
        relations = Relations(
            layout, config.render, catalogue_view(catalog, strict=config.strict),
            make_render=emitter.make_render, on_finding=self.on_finding,
        )  # fmt: skip
        state = SourceState(config.source_options, identity.system_id, identity.timeline)
        failpoint = failpoint_from_environment()
        acks = Acknowledger(
            walsender, producer, config.name, record, confirmed, meter=self.meter, failpoint=failpoint,
            stall_seconds=config.options["seam.retry.timeout.ms"] / 1000,
        )  # fmt: skip
        hooks = self._hooks(relations, emitter, failpoint)
        walsender.start(record.slot, record.publication, LSN(0))
        # Only now is the slot ours: another reader's record must not be set back.
        self._write_position(producer, record)
        return Task(walsender, producer, relations, state, acks, hooks, self.meter), catalog

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
        )

    def _first_start(
        self, catalog: Catalog, walsender: Walsender, identity: SystemIdentity, slot: Slot | None
    ) -> PositionRecord:
        config = self.config
        findings = check_database(catalog, config.wanted)
        self._tell(findings)
        made: list[str] = []
        publication = self._publication(catalog, made)
        if slot is None:
            self.on_finding(
                Finding(
                    "SLOT_CREATED",
                    Severity.NOTE,
                    config.wanted.slot,
                    "is created; this waits for the transactions that are open now",
                )
            )
            start, _ = create_slot(walsender, config.wanted.slot, failover=config.options["slot.failover"])
            made.append("slot")
        else:
            assert slot.confirmed_flush_lsn is not None
            start = slot.confirmed_flush_lsn
            self.on_finding(
                Finding(
                    "SLOT_ADOPTED",
                    Severity.NOTE,
                    slot.name,
                    f"exists without a position record: starting at its confirmed position {start}",
                )
            )
        return PositionRecord(
            identity.system_id, identity.timeline, config.wanted.slot, config.wanted.publication,
            commit_lsn=LSN(0), ordinal=0, end_lsn=start, made=tuple(made), **recorded_form(publication, self._captures),
        )  # fmt: skip

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

    def _write_position(self, producer: Producer, record: PositionRecord) -> None:
        """Record the position before anything is acknowledged, so that no slot of ours that moved is without one."""
        outcome: list[Any] = []
        producer.send(
            POSITIONS_TOPIC, record.encode(), self.config.name.encode(), partition=PARTITION,
            on_delivery=lambda error, message: outcome.append((error, message)),
        )  # fmt: skip
        producer.client.flush(30.0)
        if not outcome or outcome[0][0] is not None:
            if outcome:
                raise delivery_error(*outcome[0], where=producer.where)
            producer.reach(5.0)
            raise BrokerUnavailable(f"{producer.where}: the position record was not acknowledged")

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
