"""verified: legacy = topic and topic = view, at exact cuts, not longer ago than the slice allows."""

from __future__ import annotations

import time
from typing import Any

from cdc.errors import VerificationFailed
from cdc.postgres.slot import read_slot
from legacy_db.cut import is_running
from legacy_db.steps.base import Context, Demand, schema_demand
from legacy_db.steps.project import Project
from legacy_db.verify import LegacyVerification
from legacy_db.verify_model import HopResult
from legacy_db.verify_view import ViewVerification


class Verify:
    """Compares both hops."""

    name = "verify"
    state = "verified"

    def lifetime(self, context: Context) -> float:
        """What the slice allows."""
        return context.slice.max_evidence_age

    def gate(self, context: Context) -> list[Demand]:
        """The view stands; the schema is as planned for."""
        missing = Project().validate(context)
        return [
            schema_demand(context),
            Demand("PROJECTED", met=missing is None, evidence=missing or "the target is at the plan's revision"),
        ]

    def prepare(self, context: Context) -> dict[str, Any]:
        """Nothing has to be known of before."""
        del context
        return {}

    def start(self, context: Context) -> None:
        """Bring the view up to date, and compare."""
        hops = run_hops(context)
        context.failpoint("verify: compared")
        context.hops = hops
        differences = sum(hop.mismatches for hop in hops)
        if differences > context.slice.max_mismatches:
            raise VerificationFailed(
                f"{differences} differences, {context.slice.max_mismatches} are allowed",
                hint=f"`seam verify FILE {context.slice.name}` shows them, `--repair` mends them through the log",
            )

    def complete(self, context: Context) -> dict[str, Any]:
        """Counts, cuts and durations."""
        return evidence_of(context, context.hops)

    def validate(self, context: Context) -> str | None:
        """Fresh evidence of the same schema."""
        entry = context.ledger.evidence(self.name)
        if entry is None or entry.evidence is None or entry.confirmed_at is None:
            return "there is no verification"
        age = time.time() - float(entry.evidence["started"])
        if age > context.slice.max_evidence_age:
            return f"the last verification is {age:.0f} s old, {context.slice.max_evidence_age:.0f} s are allowed"
        if entry.evidence["fingerprint"] != context.schema_fingerprint():
            return "the schema was changed since the last verification"
        if entry.evidence["differences"] > context.slice.max_mismatches:
            return f"the last verification found {entry.evidence['differences']} differences"
        return None

    def rollback(self, context: Context) -> dict[str, Any]:
        """Evidence is void from here on."""
        del context
        return {}


def run_hops(context: Context) -> list[HopResult]:
    """Both hops; the engine (until the first hop's mark) and the projection are run here when nobody else does."""
    bridge = context.bridge
    shapes = list(context.shapes.values())
    if not is_running(read_slot(context.catalog, bridge.wanted.slot)):
        context.say(f"nobody runs {bridge.name}: running it here")
    first = LegacyVerification(bridge, shapes, context.options, context.progress).run()
    context.failpoint("verify: first hop")
    Project.catch_up(context)
    second = ViewVerification(bridge, context.slice, context.target_tables, context.options, context.progress).run()
    return [first, second]


def evidence_of(context: Context, hops: list[HopResult]) -> dict[str, Any]:
    """What the ledger keeps of a verification: no row's values."""
    return {
        "started": min(hop.started for hop in hops), "fingerprint": context.schema_fingerprint(),
        "differences": sum(hop.mismatches for hop in hops),
        "hops": [
            {
                "hop": hop.hop, "rows": hop.rows, "seconds": round(hop.seconds, 3),
                "snapshot_age_seconds": round(hop.snapshot_age, 3),
                "tables": {
                    t.table: {"rows": t.rows, "missing": t.missing, "extra": t.extra, "different": t.different, "rules": dict(t.rules)}
                    for t in hop.tables
                },
            }
            for hop in hops
        ],
    }  # fmt: skip
