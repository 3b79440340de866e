"""planned: capture SQL, target schema, topics and gates are written down, under one hash."""

from __future__ import annotations

import json
import math
import shutil
import time
from typing import Any

from psycopg import sql

from cdc.postgres.preflight import publication_sql
from cdc.postgres.publication import read_publication
from cdc.postgres.slot import read_slot
from legacy_db.steps.base import PLAN_FILE, Context, Demand
from legacy_db.target import fingerprint, needs_full_identity, write_revisions


class Plan:
    """Writes the plan and the target's revision beside the file."""

    name = "plan"
    state = "planned"

    def lifetime(self, context: Context) -> float:
        """As long as the schema is as planned for."""
        del context
        return math.inf

    def gate(self, context: Context) -> list[Demand]:
        """Nothing that acts by itself may cross the border, and no mapping may lose anything, unless accepted."""
        demands = []
        blocking = [crossing for crossing in context.border if crossing.blocks]
        accepted = context.slice.accept_open
        demands.append(
            Demand(
                "BORDER", met=not blocking or accepted,
                evidence="; ".join(f"{c.kind} {c.name} from {c.source} to {c.target}: {c.why}" for c in blocking)
                or "no trigger, rule or action crosses the border",
                remedy=f"move the border, or accept it: accept_open = true in slices.{context.slice.name}" if blocking else "",
            )
        )  # fmt: skip
        unlogged = [t for t in context.slice.tables if context.inventory.tables[t].persistence == "unlogged"]
        demands.append(
            Demand(
                "LOGGED", met=not unlogged, evidence=f"{', '.join(unlogged)} is unlogged" if unlogged else "all are",
                remedy="ALTER TABLE ... SET LOGGED" if unlogged else "",
            )
        )  # fmt: skip
        if unlogged:
            return demands
        if context.slice.target is not None:
            losses = [f"{t.shape.table}.{loss}" for t in context.target_tables for loss in t.losses]
            demands.append(
                Demand(
                    "MAPPING", met=not losses or context.slice.accept_loss,
                    evidence="; ".join(losses) or "no mapping loses anything",
                    remedy=f"change the pipeline's options, or accept it: accept_loss = true in slices.{context.slice.name}"
                    if losses
                    else "",
                )
            )  # fmt: skip
        return demands

    def prepare(self, context: Context) -> dict[str, Any]:
        """Nothing has to be known of before."""
        del context
        return {}

    def start(self, context: Context) -> None:
        """Write the plan and the revision."""
        directory = context.slice.directory
        directory.mkdir(parents=True, exist_ok=True)
        document = self._document(context)
        document["hash"] = fingerprint(document)
        context.failpoint("plan: designed")
        if context.slice.target is not None:
            write_revisions(directory, context.slice.name, context.target_tables, document["hash"])
        context.failpoint("plan: revision written")
        temporary = directory / (PLAN_FILE + ".new")
        temporary.write_text(json.dumps(document, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
        temporary.replace(context.plan_path)

    def _document(self, context: Context) -> dict[str, Any]:
        bridge = context.bridge
        shapes = context.shapes.values()
        tables = [t for t in context.catalog.tables() if t.qualified in {m for s in shapes for m in s.members}]
        identities = [shape.table for shape in shapes if needs_full_identity(shape)]
        statements = [
            f"ALTER TABLE {sql.Identifier(*table.split('.', 1)).as_string()} REPLICA IDENTITY FULL;"
            for table in identities
        ]
        if read_publication(context.catalog, bridge.wanted.publication) is None:
            statements.append(publication_sql(bridge.wanted, tables))
        if read_slot(context.catalog, bridge.wanted.slot) is None:
            statements.append(f"SELECT pg_create_logical_replication_slot('{bridge.wanted.slot}', 'pgoutput');")
        target = context.target_tables if context.slice.target is not None else []
        return {
            "slice": context.slice.name,
            "connector": bridge.name,
            "fingerprint": context.schema_fingerprint(),
            "tables": {shape.table: list(shape.members) for shape in shapes},
            "where": dict(context.slice.where),
            "capture": statements,
            "identities": identities,
            "topics": {shape.table: shape.topic for shape in shapes},
            "target": [
                {
                    "table": table.shape.table,
                    "columns": {column: mapped.type for column, mapped in table.columns.items()},
                    "ddl": list(table.ddl), "later": list(table.later), "notes": list(table.notes),
                    "losses": list(table.losses),
                }
                for table in target
            ],
            "open": [crossing.as_json() for crossing in context.border],
            "steps": ["capture", "bootstrap", "project", "verify"],
            "gates": {
                "capture": "UPDATE and DELETE keep working, wal_level, free slots, the schema as planned for",
                "bootstrap": "slot, publication and position stand; the schema as planned for",
                "project": "every row is in the topics; the target answers and holds no table of these names",
                "verify": f"at most {context.slice.max_mismatches} differences in both hops; evidence holds "
                f"{context.slice.max_evidence_age:.0f} s",
            },
        }  # fmt: skip

    def complete(self, context: Context) -> dict[str, Any]:
        """The plan's hash."""
        plan = context.plan()
        assert plan is not None
        return {
            "hash": plan["hash"],
            "fingerprint": plan["fingerprint"],
            "file": str(context.plan_path),
            "time": time.time(),
        }

    def validate(self, context: Context) -> str | None:
        """The plan is there."""
        return None if context.plan() is not None else f"{context.plan_path} is not there"

    def rollback(self, context: Context) -> dict[str, Any]:
        """Delete what was written."""
        existed = context.slice.directory.exists()
        if existed:
            shutil.rmtree(context.slice.directory)
        return {"deleted": str(context.slice.directory) if existed else None}
