"""captured: publication, slot and position stand, and the legacy application writes as before."""

from __future__ import annotations

import math
import time
from typing import Any, Final

import psycopg
from psycopg import sql

from cdc.errors import OperatorError, SlotInUse
from cdc.kafka.admin import Admin
from cdc.kafka.positions import PositionRecord
from cdc.lsn import LSN
from cdc.postgres.connection import translated
from cdc.postgres.preflight import captured, check_database
from cdc.postgres.publication import add_tables, create_publication, drop_publication, read_publication
from cdc.postgres.slot import create_slot, drop_slot, read_slot
from cdc.postgres.walsender import Walsender
from cdc.report import blocking
from legacy_db.positions import publication_form, read_position, write_position
from legacy_db.steps.base import Context, Demand, schema_demand
from legacy_db.target import needs_full_identity, quote

_STATE: Final = """
select 'identity', n.nspname || '.' || c.relname, c.relreplident::text from pg_class c join pg_namespace n on n.oid = c.relnamespace
 where c.relkind in ('r', 'p') and n.nspname not in ('pg_catalog', 'information_schema', 'pg_toast') and n.nspname !~ '^pg_(toast_)?temp_'
union all select 'publication', p.pubname, coalesce(string_agg(t.schemaname || '.' || t.tablename, ',' order by 1), '')
  from pg_publication p left join pg_publication_tables t on t.pubname = p.pubname group by 2
union all select 'slot', slot_name, plugin::text from pg_replication_slots where database = current_database()
union all select 'trigger', tgrelid::regclass::text || '.' || tgname, tgenabled::text from pg_trigger where not tgisinternal
union all select 'function', p.oid::regprocedure::text, md5(p.prosrc) from pg_proc p join pg_namespace n on n.oid = p.pronamespace
 where n.nspname not in ('pg_catalog', 'information_schema')
union all select 'schema', nspname, '' from pg_namespace where nspname !~ '^pg_'
union all select 'event trigger', evtname, evtenabled::text from pg_event_trigger
order by 1, 2
"""


def catalogue_state(context: Context) -> list[list[str]]:
    """What a capture could have left behind in the legacy database: identities, publications, slots, code."""
    return [list(row) for row in context.catalog.rows(_STATE)]


class Capture:
    """Makes what the pipeline needs, after proving that legacy writes go on."""

    name = "capture"
    state = "captured"

    def lifetime(self, context: Context) -> float:
        """As long as the world fits it."""
        del context
        return math.inf

    def gate(self, context: Context) -> list[Demand]:
        """UPDATE and DELETE must go on working once the tables are published."""
        demands = [schema_demand(context)]
        full = {shape.table for shape in context.shapes.values() if needs_full_identity(shape)}
        for finding in blocking(check_database(context.catalog, context.bridge.wanted)):
            if finding.code == "REPLICA_IDENTITY" and context.slice.set_identity and finding.subject in full:
                continue
            if finding.code == "PUBLICATION_MISSING":
                continue  # the mode forbids it to the engine; here a person asks for it
            remedy = finding.remedy or ""
            if finding.code == "REPLICA_IDENTITY" and finding.subject in full:
                remedy += (
                    f'\n      or let seam do and undo it: replica_identity = "full" in slices.{context.slice.name}'
                )
            demands.append(
                Demand(finding.code, met=False, evidence=f"{finding.subject} {finding.evidence}", remedy=remedy)
            )
        if len(demands) == 1:
            demands.append(
                Demand("WRITABLE", met=True, evidence="UPDATE and DELETE keep working on every captured table")
            )
        return demands

    def start(self, context: Context) -> None:
        """Identity, publication, slot, position: in this order, each only where it is not there."""
        made = self._made(context)
        self._identities(context)
        context.failpoint("capture: identities set")
        self._publication(context)
        context.failpoint("capture: publication stands")
        self._probe(context)
        position = read_position(context.bridge)
        slot = read_slot(context.catalog, context.bridge.wanted.slot)
        if slot is None and position is not None:
            # A record whose slot is gone would be a gap; a slot of ours that a kill left without record is no gap.
            raise OperatorError(
                f"{context.bridge.name} has a position, and its slot {context.bridge.wanted.slot!r} is gone",
                hint="see docs/operations.md, 'A lost slot'",
            )
        if slot is None:
            context.say(
                f"creating slot {context.bridge.wanted.slot}: this waits for the transactions that are open now"
            )
            self._slot(context)
        context.failpoint("capture: slot stands")
        if position is None:
            self._position(context, made)
        context.failpoint("capture: position recorded")
        context.forget()

    def _made(self, context: Context) -> dict[str, Any]:
        """What was not there before us: of this attempt, or of the one that a kill interrupted."""
        pending = [e for e in context.ledger.entries() if e.step == self.name and e.action == "advance"]
        for entry in reversed(pending):
            if entry.evidence and "before" in entry.evidence:
                return dict(entry.evidence)
            if not entry.pending:
                break
        return context.made

    def prepare(self, context: Context) -> dict[str, Any]:
        """What is written down before anything is done, so that a kill cannot hide what is ours."""
        bridge = context.bridge
        publication = read_publication(context.catalog, bridge.wanted.publication)
        topics = set(Admin(bridge.kafka).partitions()) if bridge.administered else set()
        return {
            "before": catalogue_state(context),
            "made": {
                "publication": publication is None,
                "slot": read_slot(context.catalog, bridge.wanted.slot) is None,
                "position": read_position(bridge) is None,
                "topics": sorted(s.topic for s in context.shapes.values() if s.topic not in topics),
                "identities": {
                    shape.table: shape.relation.identity.value
                    for shape in context.shapes.values()
                    if needs_full_identity(shape) and context.slice.set_identity
                },
                "members": [] if publication is None else sorted(publication.tables),
            },
        }  # fmt: skip

    def _identities(self, context: Context) -> None:
        if not context.slice.set_identity:
            return
        for shape in context.shapes.values():
            if needs_full_identity(shape):
                for member in shape.members:
                    self._alter(context, f"alter table {quote(member)} replica identity full")
        context.forget()

    def _alter(self, context: Context, statement: str) -> None:
        with translated(context.bridge.source, f"running '{statement}' at"):
            context.catalog.connection.execute(statement.encode())

    def _publication(self, context: Context) -> None:
        bridge, catalog = context.bridge, context.catalog
        tables = captured(catalog.tables(), bridge.wanted.selection)
        partitioned = any(table.kind == "p" for table in tables)
        roots = [table for table in tables if not (partitioned and table.partition)]
        publication = read_publication(catalog, bridge.wanted.publication)
        if publication is None:
            create_publication(
                catalog, bridge.wanted.publication, roots, sorted(bridge.wanted.operations), via_root=bridge.via_root,
                connector=bridge.name,
            )  # fmt: skip
            return
        members = {member for shape in context.shapes.values() for member in (shape.table, *shape.members)}
        missing = [
            t for t in roots if t.qualified in members and t.qualified not in publication.tables and t.kind == "r"
        ]
        if missing and not publication.all_tables:
            add_tables(catalog, bridge.wanted.publication, missing)

    def _probe(self, context: Context) -> None:
        """The server checks the identity when such an UPDATE starts; no row is touched and no trigger fires."""
        for shape in context.shapes.values():
            column = sql.Identifier(shape.layout.columns[0].column.name).as_string()
            for member in shape.members:
                statement = f"update {quote(member)} set {column} = {column} where false"
                try:
                    with context.catalog.connection.transaction(force_rollback=True):
                        context.catalog.connection.execute(statement.encode())
                except psycopg.errors.InsufficientPrivilege:
                    context.say(f"{member}: this role may not try an UPDATE; its identity was checked in the catalogue")
                except psycopg.Error as error:
                    self._retreat(context)
                    raise OperatorError(
                        f"{member}: an UPDATE would fail in the application now ({error.sqlstate}); taken back"
                    ) from error

    def _retreat(self, context: Context) -> None:
        made = self._made(context).get("made", {})
        if made.get("publication"):
            drop_publication(context.catalog, context.bridge.wanted.publication)

    def _slot(self, context: Context) -> None:
        walsender = Walsender(context.bridge.source)
        try:
            create_slot(walsender, context.bridge.wanted.slot)
        finally:
            walsender.close()

    def _position(self, context: Context, made: dict[str, Any]) -> None:
        bridge = context.bridge
        walsender = Walsender(bridge.source)
        try:
            identity = walsender.identify()
        finally:
            walsender.close()
        slot = read_slot(context.catalog, bridge.wanted.slot)
        publication = read_publication(context.catalog, bridge.wanted.publication)
        assert slot is not None
        assert slot.confirmed_flush_lsn is not None
        assert publication is not None
        ours = made.get("made", {})
        record = PositionRecord(
            identity.system_id, identity.timeline, bridge.wanted.slot, bridge.wanted.publication, commit_lsn=LSN(0),
            ordinal=0, end_lsn=slot.confirmed_flush_lsn, snapshot=self.rows_to_read(context),
            made=tuple(name for name in ("publication", "slot") if ours.get(name)), **publication_form(publication, bridge),
        )  # fmt: skip
        write_position(bridge, record)

    @staticmethod
    def rows_to_read(context: Context) -> dict[str, Any]:
        """What the engine's next start reads: the slice's tables, and all others only where the file says so."""
        if any(not shape.key for shape in context.shapes.values()):
            # Rows without a key can only be told from changes under the snapshot of a new slot.
            return {"phase": "exported"}
        if context.bridge.snapshot:
            return {"phase": "chunks", "tables": {}}
        inside = {member for shape in context.shapes.values() for member in shape.members}
        others = captured(context.catalog.tables(), context.bridge.wanted.selection)
        return {"phase": "chunks", "tables": {t.qualified: {"done": True} for t in others if t.qualified not in inside}}

    def complete(self, context: Context) -> dict[str, Any]:
        """What stands, and what of it is ours."""
        missing = self.validate(context)
        if missing is not None:
            raise OperatorError(f"capture is not complete: {missing}", hint="run the command again")
        slot = read_slot(context.catalog, context.bridge.wanted.slot)
        assert slot is not None
        return {
            **self._made(context), "slot": slot.name, "confirmed_flush_lsn": str(slot.confirmed_flush_lsn),
            "publication": context.bridge.wanted.publication, "probed": sorted(context.shapes), "time": time.time(),
        }  # fmt: skip

    def validate(self, context: Context) -> str | None:
        """Members of the publication, the slot, the position."""
        publication = read_publication(context.catalog, context.bridge.wanted.publication)
        if publication is None:
            return f"publication {context.bridge.wanted.publication!r} does not exist"
        missing = [
            member
            for shape in context.shapes.values()
            for member in shape.members
            if member not in publication.tables and shape.table not in publication.tables
        ]
        if missing:
            return f"publication {publication.name!r} does not hold {', '.join(missing)}"
        slot = read_slot(context.catalog, context.bridge.wanted.slot)
        if slot is None:
            return f"slot {context.bridge.wanted.slot!r} does not exist"
        if slot.lost:
            return f"slot {slot.name!r} was invalidated"
        if read_position(context.bridge) is None:
            return f"{context.bridge.name} has no position record"
        return None

    def rollback(self, context: Context) -> dict[str, Any]:
        """Take back what is ours, unless another slice of the same pipeline needs it, and prove it."""
        needed = sorted(
            name for name, state in context.siblings.items() if state not in (None, "discovered", "planned")
        )
        evidence = context.ledger.evidence(self.name)
        found = dict(evidence.evidence) if evidence is not None and evidence.evidence else self._made(context)
        made = found.get("made", {})
        if needed:
            context.say(f"publication and slot stay: slices {', '.join(needed)} use them")
            return {"kept_for": needed}
        bridge, catalog = context.bridge, context.catalog
        slot = read_slot(catalog, bridge.wanted.slot)
        if slot is not None and slot.active_pid is not None:
            raise SlotInUse(
                f"slot {slot.name!r} is read from by process {slot.active_pid}", hint="stop `seam run` first, then undo"
            )
        taken: dict[str, Any] = {}
        if made.get("position"):
            write_position(bridge, None)
            taken["position"] = True
        context.failpoint("undo capture: position taken back")
        if made.get("slot"):
            taken["slot"] = drop_slot(catalog, bridge.wanted.slot)
        context.failpoint("undo capture: slot dropped")
        if made.get("publication"):
            taken["publication"] = drop_publication(catalog, bridge.wanted.publication)
        context.failpoint("undo capture: publication dropped")
        words = {"d": "default", "n": "nothing"}
        for table, identity in made.get("identities", {}).items():
            if identity in words:
                self._alter(context, f"alter table {quote(table)} replica identity {words[identity]}")
        context.forget()
        before, after = found.get("before", []), catalogue_state(context)
        left = [row for row in after if row not in before]
        gone = [row for row in before if row not in after]
        changed = made.get("identities", {})
        names = {bridge.wanted.publication, bridge.wanted.slot}
        ours = [
            row
            for row in left
            if (row[0] in ("publication", "slot") and row[1] in names) or (row[0] == "identity" and row[1] in changed)
        ]
        if ours and made:
            raise OperatorError(
                f"still there: {', '.join(' '.join(row) for row in ours)}", hint="run the command again"
            )
        return {"taken_back": taken, "catalogue_as_before": not left and not gone, "others_changed": left + gone}
