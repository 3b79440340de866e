"""bootstrapped: every row that the tables held is in its topic."""

from __future__ import annotations

import math
import secrets
import threading
import time
from dataclasses import replace
from typing import Any, Final

from cdc.errors import OperatorError, WaitExpired
from cdc.kafka.admin import Admin
from cdc.kafka.positions import PositionRecord, ensure_topics
from cdc.kafka.signals import SIGNALS_TOPIC, read_requests, write_requests
from cdc.postgres.slot import read_slot
from cdc.requests import Kind, Request, State
from legacy_db.cut import is_running
from legacy_db.positions import read_position, write_position
from legacy_db.steps.base import Context, Demand, schema_demand
from legacy_db.steps.capture import Capture

POLL_SECONDS: Final = 0.2
STILL_SECONDS: Final = 300.0


class Bootstrap:
    """Has the pipeline read the rows, by its snapshot or by a request to the running engine."""

    name = "bootstrap"
    state = "bootstrapped"

    def lifetime(self, context: Context) -> float:
        """For good: the stream goes on from there."""
        del context
        return math.inf

    def gate(self, context: Context) -> list[Demand]:
        """Slot, publication and position stand; the schema is as planned for."""
        missing = Capture().validate(context)
        return [
            schema_demand(context),
            Demand("CAPTURED", met=missing is None, evidence=missing or "slot, publication and position stand"),
        ]

    def prepare(self, context: Context) -> dict[str, Any]:
        """Nothing has to be known of before."""
        del context
        return {}

    def start(self, context: Context) -> None:
        """See to it that the rows get read."""
        bridge = context.bridge
        running = is_running(read_slot(context.catalog, bridge.wanted.slot))
        request: Request | None = None
        if not self._read(context, read_position(bridge)) and not self._will_read(context):
            request = self._ask(context)
        context.failpoint("bootstrap: asked for")
        if running:
            context.say(f"{bridge.name} runs: waiting until it has read the rows")
            self._wait(context, request)
        else:
            context.say(f"nobody runs {bridge.name}: running it here until the rows are read")
            rows = any(not shape.key for shape in context.shapes.values())
            bridge.run(threading.Event(), True, rows)
        context.failpoint("bootstrap: rows read")

    def _read(self, context: Context, record: PositionRecord | None) -> bool:
        """Whether a snapshot of the pipeline has read the tables."""
        if record is None or not record.snapshot:
            return False
        tables = record.snapshot.get("tables", {})
        members = [member for shape in context.shapes.values() for member in shape.members]
        if record.snapshot.get("phase") != "done":
            return False
        return not tables or all(tables.get(member, {}).get("done", True) for member in members)

    def _will_read(self, context: Context) -> bool:
        record = read_position(context.bridge)
        return record is not None and record.snapshot.get("phase") in ("chunks", "exported")

    def _ask(self, context: Context) -> Request:
        """A request to the engine, for a pipeline that was there before us."""
        keyless = [shape.table for shape in context.shapes.values() if not shape.key]
        if keyless:
            raise OperatorError(
                f"{', '.join(keyless)} has no key: its rows can only be read when the slot is made",
                hint="give the slice a connector of its own, with a slot that does not exist yet",
            )
        if context.bridge.administered:
            ensure_topics(Admin(context.bridge.kafka), [SIGNALS_TOPIC])
        open_ones = read_requests(context.bridge.kafka, context.bridge.name).open(Kind.SNAPSHOT)
        members = tuple(literal(member) for shape in context.shapes.values() for member in shape.members)
        wanted = Request(
            context.bridge.name,
            f"migrate.{context.slice.name}.{secrets.token_hex(4)}",
            tables=members,
            time=time.time(),
        )
        for request in open_ones:
            if request.same_work(wanted):
                return request
        write_requests(context.bridge.kafka, [wanted])
        return wanted

    def _wait(self, context: Context, request: Request | None) -> None:
        progress, seen = time.monotonic(), -1
        while True:
            if request is not None:
                found = read_requests(context.bridge.kafka, context.bridge.name).by_id.get(request.id, request)
                if found.state is State.FAILED:
                    raise OperatorError(f"the engine could not read the rows: {found.message}")
                if found.state.ended:
                    return
                rows, estimate = found.rows, found.estimate
            else:
                record = read_position(context.bridge)
                if self._read(context, record):
                    return
                tables = record.snapshot.get("tables", {}) if record is not None else {}
                rows = sum(int(table.get("rows", 0)) for table in tables.values())
                estimate = sum(int(table.get("estimate", 0)) for table in tables.values())
            context.progress("reading rows", rows, estimate)
            if rows != seen:
                progress, seen = time.monotonic(), rows
            elif time.monotonic() - progress > STILL_SECONDS:
                raise WaitExpired(f"{context.bridge.name} has read nothing for {STILL_SECONDS:.0f} s")
            time.sleep(POLL_SECONDS)

    def complete(self, context: Context) -> dict[str, Any]:
        """How many records the topics hold."""
        if self.validate(context) is not None:
            raise OperatorError("the rows are not read yet", hint="run the command again: it goes on where it was")
        record = read_position(context.bridge)
        tables = record.snapshot.get("tables", {}) if record is not None else {}
        return {"rows": {name: state.get("rows") for name, state in tables.items()}, "time": time.time()}

    def validate(self, context: Context) -> str | None:
        """The pipeline's own record, or the request, says that the rows are read."""
        if self._read(context, read_position(context.bridge)):
            return None
        prefix = f"migrate.{context.slice.name}."
        book = read_requests(context.bridge.kafka, context.bridge.name)
        if any(r.id.startswith(prefix) and r.state is State.DONE for r in book.by_id.values()):
            return None
        return "no snapshot has read its rows yet"

    def rollback(self, context: Context) -> dict[str, Any]:
        """Delete the topics that were made for the slice: rows of a later start must not meet these."""
        evidence = context.ledger.evidence(Capture.name)
        made = (evidence.evidence or {}).get("made", {}) if evidence is not None else {}
        topics = [topic for topic in made.get("topics", []) if topic in {s.topic for s in context.shapes.values()}]
        if context.siblings and any(
            state not in (None, "discovered", "planned") for state in context.siblings.values()
        ):
            context.say("the topics stay: the pipeline goes on for other slices")
            return {"kept": topics}
        if is_running(read_slot(context.catalog, context.bridge.wanted.slot)):
            raise OperatorError(
                f"{context.bridge.name} runs and writes these topics", hint="stop `seam run` first, then undo"
            )
        if not context.bridge.administered:
            return {"kept": topics}
        Admin(context.bridge.kafka).delete(topics)
        context.failpoint("undo bootstrap: topics deleted")
        self._forget(context)
        return {"deleted": topics}

    def _forget(self, context: Context) -> None:
        """A later bootstrap reads the rows again."""
        record = read_position(context.bridge)
        if record is None:
            return
        write_position(context.bridge, replace(record, snapshot=Capture.rows_to_read(context)))
        stale = [
            replace(request, state=State.STOPPED)
            for request in read_requests(context.bridge.kafka, context.bridge.name).by_id.values()
            if request.id.startswith(f"migrate.{context.slice.name}.")
        ]
        if stale:
            write_requests(context.bridge.kafka, stale)


def literal(table: str) -> str:
    """An expression that only this name matches."""
    return "".join(character if character.isalnum() or character == "_" else f"\\{character}" for character in table)
