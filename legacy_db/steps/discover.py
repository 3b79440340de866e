"""discovered: the slice's tables are known; nothing was changed anywhere."""

from __future__ import annotations

import math
import time
from typing import Any

from legacy_db.risks import find_risks
from legacy_db.steps.base import Context, Demand


class Discover:
    """Reads the inventory."""

    name = "discover"
    state = "discovered"

    def lifetime(self, context: Context) -> float:
        """For good: every later step looks at the schema again."""
        del context
        return math.inf

    def gate(self, context: Context) -> list[Demand]:
        """The tables must exist."""
        missing = [table for table in context.slice.tables if table not in context.inventory.tables]
        return [
            Demand(
                "TABLES", met=not missing,
                evidence=f"there is no {', '.join(missing)}" if missing else f"{len(context.slice.tables)} tables exist",
                remedy="correct slices.NAME.tables" if missing else "",
            )
        ]  # fmt: skip

    def prepare(self, context: Context) -> dict[str, Any]:
        """Nothing has to be known of before."""
        del context
        return {}

    def start(self, context: Context) -> None:
        """Nothing is changed."""
        del context

    def complete(self, context: Context) -> dict[str, Any]:
        """What was found in the slice."""
        tables = {name: context.inventory.tables[name] for name in context.slice.tables}
        inside = tuple(tables)
        risks = [risk for risk in find_risks(context.inventory) if risk.subject.startswith(inside)]
        return {
            "tables": {name: {"rows": table.rows, "bytes": table.bytes} for name, table in tables.items()},
            "risks": sorted({risk.code for risk in risks}),
            "crossings": [crossing.as_json() for crossing in context.border],
            "database": context.inventory.database["name"], "time": time.time(),
        }  # fmt: skip

    def validate(self, context: Context) -> str | None:
        """The tables still exist."""
        unmet = [demand.evidence for demand in self.gate(context) if not demand.met]
        return unmet[0] if unmet else None

    def rollback(self, context: Context) -> dict[str, Any]:
        """There is nothing to take back."""
        del context
        return {}
