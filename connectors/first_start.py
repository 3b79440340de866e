"""The first start: preflight, publication, slot, and the rows that are read whole under the slot's own snapshot."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict, replace
from typing import Any

from cdc.errors import OperatorError, PreflightFailed, PublicationChanged
from cdc.kafka.positions import PositionRecord
from cdc.lsn import LSN
from cdc.postgres.catalog import Table
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
from cdc.postgres.slot import Slot, create_slot
from cdc.postgres.snapshot_tables import SnapshotTable
from cdc.relations import renamed
from cdc.render_copy import CopyForm
from cdc.report import Finding, Severity, blocking
from cdc.source import SourceState
from connectors.first_rows import ExportedSnapshot, FirstRows
from connectors.recorder import Recorder
from connectors.session import Session
from connectors.snapshot_plan import SnapshotMode, SnapshotPlan, names, plan_snapshot
from connectors.topic_forms import form_findings


class Publications:
    """The publication of a session's pipeline: created, extended, compared with what was recorded."""

    def __init__(self, session: Session) -> None:
        self.session = session
        self.config = session.config
        self.catalog = session.catalog

    def ensure(self, made: list[str]) -> Publication:
        """The publication, created or extended as the configuration asks."""
        catalog, wanted = self.catalog, self.config.wanted
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
                tell(
                    self.session,
                    [
                        f
                        for f in check_database(catalog, wanted)
                        if f.severity is Severity.BLOCKS and f.code == "REPLICA_IDENTITY"
                    ],
                )
                add_tables(catalog, wanted.publication, missing)
                self.session.on_finding(
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

    def check(self, recorded: RecordedPublication) -> Publication:
        """Compare it with what was recorded; a rename within the captured names is told."""
        catalog, wanted = self.catalog, self.config.wanted
        publication = read_publication(catalog, wanted.publication)
        now = standing(catalog, recorded.tables)
        check_unchanged(publication, wanted.publication, recorded, now, self.session.captures)
        assert publication is not None
        names = {oid: table for table, oid in publication.tables.items()}
        for table, oid in recorded.tables.items():
            if names.get(oid, table) != table:
                self.session.on_finding(renamed(table, names[oid]))
        return publication

    def recorded_form(self, publication: Publication) -> dict[str, Any]:
        """The members of a position record that say what the publication was."""
        return recorded_form(publication, self.session.captures)


def recorded_form(publication: Publication, captures: Callable[[str], bool]) -> dict[str, Any]:
    """The members of a position record that say what a publication was."""
    form = asdict(publication.recorded(captures))
    return {"tables": form.pop("tables"), "publication_form": form}


class FirstStart:
    """Makes what a pipeline needs, and reads rows before the stream.

    Args:
        session: The open parts.
        recorder: The position record.
        mode: What `snapshot.mode` means.
        failpoint: Called with the name of each step; tests kill the process there.
    """

    def __init__(
        self,
        session: Session,
        recorder: Recorder,
        mode: SnapshotMode,
        failpoint: Callable[[str], None] = lambda _name: None,
    ) -> None:
        self.session = session
        self.failpoint = failpoint
        self.config = session.config
        self.recorder = recorder
        self.mode = mode
        self.publications = Publications(session)

    def run(self, slot: Slot | None) -> PositionRecord:
        """Make publication and slot, read what must be read whole, and return the record to stream from.

        Args:
            slot: A slot that is there already, which is then adopted.

        Raises:
            PreflightFailed: Something forbids the start; nothing was created.
        """
        config, session = self.config, self.session
        catalog, identity = session.catalog, session.identity
        tell(session, [*check_database(catalog, config.wanted), *form_findings(config, catalog)])
        if slot is not None:
            self._adoptable(slot)
        made: list[str] = []
        publication = self.publications.ensure(made)
        plan = plan_snapshot(config, catalog) if self.mode.first else None
        whole = self._whole(plan)
        exported: str | None = None
        if slot is None:
            session.note(
                "SLOT_CREATED", config.wanted.slot, "is created; this waits for the transactions that are open now"
            )
            start, exported = create_slot(
                session.walsender,
                config.wanted.slot,
                failover=config.options["slot.failover"],
                export_snapshot=bool(whole),
            )
            made.append("slot")
            self.failpoint("slot created")
        else:
            assert slot.confirmed_flush_lsn is not None
            start = slot.confirmed_flush_lsn
            session.note(
                "SLOT_ADOPTED",
                slot.name,
                f"exists without a position record: starting at its confirmed position {start}",
            )
        record = PositionRecord(
            identity.system_id, identity.timeline, config.wanted.slot, config.wanted.publication,
            commit_lsn=LSN(0), ordinal=0, end_lsn=start, made=tuple(made), instance=session.instance,
            **self.publications.recorded_form(publication),
        )  # fmt: skip
        if plan is None or not plan.tables:
            return replace(record, snapshot={"phase": "done"} if plan is not None else {})
        if whole:
            tell_keyless(session, whole, "are read whole, and again from their beginning if this is interrupted")
            session.meter.phase = "snapshot"
            if exported is not None:
                self.recorder.write(replace(record, snapshot={"phase": "exported"}))
        left = len(plan.tables) > len(whole)
        done = replace(record, snapshot={"phase": "chunks", "tables": {}} if left else {"phase": "done"})
        if whole:
            self._read_whole(whole, plan, done, exported)
        return done

    def _whole(self, plan: SnapshotPlan | None) -> list[SnapshotTable]:
        """The tables that are read whole, before the stream starts."""
        if plan is None:
            return []
        return list(plan.tables) if self.config.strict else plan.keyless

    def _adoptable(self, slot: Slot) -> None:
        """A slot that is there already has no snapshot that fits it, so rows that are read whole overlap its changes.

        Raises:
            OperatorError: Each record must be there exactly once.
        """
        whole = self._whole(plan_snapshot(self.config, self.session.catalog)) if self.mode.first else []
        if not whole:
            return
        evidence = f"exists without a position record, and its changes overlap the rows of {names(whole)}, which are read whole"
        if self.config.exactly_once:
            raise OperatorError(
                f"slot {slot.name!r} {evidence}: some would be there twice",
                hint="`seam slots drop FILE`, so that a snapshot is taken with a new one; "
                "or leave these tables out with snapshot.include.collection.list",
            )
        self.session.say("SNAPSHOT_OVERLAPS", Severity.WARNING, slot.name, evidence)

    def rows_only(self) -> None:
        """`initial_only`: the rows of one snapshot, without slot and stream."""
        session = self.session
        record = self.recorder.read()
        if record is not None and record.snapshot.get("phase") == "done":
            session.note("SNAPSHOT_DONE", self.config.name, "its rows were read before")
            return
        identity = session.identity
        plan = plan_snapshot(self.config, session.catalog)
        exported = ExportedSnapshot(self.config.source)
        try:
            session.meter.phase = "snapshot"
            record = PositionRecord(
                identity.system_id, identity.timeline, "", "", commit_lsn=LSN(0), ordinal=0, end_lsn=exported.lsn,
                snapshot={"phase": "done"}, instance=session.instance,
            )  # fmt: skip
            self._read_whole(plan.tables, plan, record, exported.name)
        finally:
            exported.close()

    def _read_whole(
        self,
        tables: Sequence[SnapshotTable],
        plan: SnapshotPlan,
        record: PositionRecord,
        snapshot: str | None,
    ) -> None:
        """Copy tables whole and record it, in one Kafka transaction where records must be there exactly once."""
        session = self.session
        state = SourceState(self.config.source_options, record.system_id, record.timeline)
        state.begin(record.end_lsn, 0, 0, 0)
        headers = state.headers if self.config.render.extended_headers else lambda: None
        renders = renders_of(session, plan)
        with session.long_transaction():
            if self.config.exactly_once:
                session.producer.client.begin_transaction()
            rows = FirstRows(self.config.source, session.producer, session.meter, session.stop).copy(
                tables, renders, snapshot=snapshot, lsn=record.end_lsn, headers=headers,
                query_timeout=self.config.options["database.query.timeout.ms"],
            )  # fmt: skip
            self.recorder.write(record, open_already=True)
        session.note("SNAPSHOT_WHOLE_DONE", names(tables), f"{rows} rows read")


def renders_of(session: Session, plan: SnapshotPlan) -> dict[str, CopyForm]:
    """Published `schema.table` -> how its rows are rendered."""
    for layout in plan.layouts.values():
        session.forms.ensure(layout)
    return {name: session.emitter.make_copy(layout) for name, layout in plan.layouts.items()}


def tell_keyless(session: Session, tables: Sequence[SnapshotTable], what: str) -> None:
    """Say what becomes of tables without a key."""
    session.note("SNAPSHOT_WHOLE", names(tables), f"have no key: they {what}")


def tell(session: Session, findings: Sequence[Finding]) -> None:
    """Tell findings, and refuse the start when one of them blocks.

    Raises:
        PreflightFailed: With all that block.
    """
    for finding in findings:
        if finding.severity in (Severity.WARNING, Severity.NOTE):
            session.on_finding(finding)
    blockers = blocking(findings)
    if blockers:
        lines = "".join(f"\n  {f.code} {f.subject}: {f.evidence}\n      {f.remedy or ''}".rstrip() for f in blockers)
        raise PreflightFailed(
            f"{len(blockers)} findings forbid the start:{lines}"
            if len(blockers) > 1
            else f"one finding forbids the start:{lines}",
            hint="nothing was created or changed; `seam check FILE` shows all findings",
        )


def _roots(tables: Sequence[Table]) -> list[Table]:
    """The tables to name in a publication: a partition is a member through its root when that is captured too."""
    partitioned = any(table.kind == "p" for table in tables)
    return [table for table in tables if not (partitioned and table.partition)]
