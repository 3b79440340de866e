"""projected: the new service's tables are built from the topics alone, and up to date."""

from __future__ import annotations

import math
import time
from typing import Any

import sqlalchemy as sa

from cdc.errors import OperatorError
from legacy_db.projection import ProjectionHeld, Projector, alone, connect_target, wait_for_projection
from legacy_db.revisions import open_database
from legacy_db.steps.base import Context, Demand, schema_demand
from legacy_db.steps.bootstrap import Bootstrap
from legacy_db.target import EXPAND, OFFSETS, quote, revisions


class Project:
    """Creates the target by its Alembic revision and fills it from the topics."""

    name = "project"
    state = "projected"

    def lifetime(self, context: Context) -> float:
        """As long as the world fits it."""
        del context
        return math.inf

    def gate(self, context: Context) -> list[Demand]:
        """The rows are in the topics, and the target is free of tables of these names that are not ours."""
        missing = Bootstrap().validate(context)
        demands = [
            schema_demand(context),
            Demand("BOOTSTRAPPED", met=missing is None, evidence=missing or "every row is in the topics"),
        ]
        foreign = [] if self._at_head(context) else self._existing(context)
        demands.append(
            Demand(
                "TARGET", met=not foreign,
                evidence=f"the target holds {', '.join(foreign)} already" if foreign else "the target answers",
                remedy="rename or drop them, or choose another target" if foreign else "",
            )
        )  # fmt: skip
        return demands

    def _existing(self, context: Context) -> list[str]:
        with open_database(context.slice.require_target(), "target") as connection:
            found = []
            for table in context.shapes:
                schema, _, name = table.partition(".")
                if sa.inspect(connection).has_table(name, schema=schema):
                    found.append(table)
            return found

    def _at_head(self, context: Context) -> bool:
        found = revisions(context.slice.directory, context.slice.name)
        with open_database(context.slice.require_target(), "target") as connection:
            return found.reaches(connection, EXPAND)

    def prepare(self, context: Context) -> dict[str, Any]:
        """Nothing has to be known of before."""
        del context
        return {}

    def start(self, context: Context) -> None:
        """Upgrade to the expand branch's head, then apply what the topics hold."""
        url = context.slice.require_target()
        found = revisions(context.slice.directory, context.slice.name)
        with open_database(url, "target") as connection:
            if not found.reaches(connection, EXPAND):
                found.upgrade(connection, f"{EXPAND}@head")
        context.failpoint("project: schema created")
        self.catch_up(context)
        context.failpoint("project: caught up")

    @staticmethod
    def catch_up(context: Context) -> int:
        """Apply what the topics hold now; returns how many records that were, 0 where another process did it."""
        try:
            projector = Projector(
                context.bridge, context.slice, context.target_tables,
                lambda records: context.progress("projecting", records, 0),
            )  # fmt: skip
        except ProjectionHeld:
            context.say("another process projects the slice: waiting until it has come so far")
            wait_for_projection(context.bridge, context.slice, context.target_tables)
            return 0
        try:
            return projector.catch_up()
        finally:
            projector.close()

    def complete(self, context: Context) -> dict[str, Any]:
        """Rows and offsets."""
        with connect_target(context.slice.require_target()) as connection:
            offsets = connection.execute(
                f"select topic, part, next_offset from {OFFSETS} where slice = %s order by 1, 2".encode(),
                (context.slice.name,),
            ).fetchall()
            rows = {}
            for table in context.shapes:
                found = connection.execute(f"select count(*) from {quote(table)}".encode()).fetchone()
                rows[table] = found[0] if found else 0
        return {
            "revision": list(revisions(context.slice.directory, context.slice.name).heads()), "rows": rows,
            "offsets": [list(row) for row in offsets], "time": time.time(),
        }  # fmt: skip

    def validate(self, context: Context) -> str | None:
        """The revision is at its head and offsets are recorded."""
        if not self._at_head(context):
            return "the target is not at the plan's revision"
        with connect_target(context.slice.require_target()) as connection:
            row = connection.execute(
                f"select count(*) from {OFFSETS} where slice = %s".encode(), (context.slice.name,)
            ).fetchone()
        return None if row and row[0] else "no record was applied yet"

    def rollback(self, context: Context) -> dict[str, Any]:
        """Downgrade: the target's tables go; the legacy and the topics stay."""
        url = context.slice.require_target()
        found = revisions(context.slice.directory, context.slice.name)
        with alone(context.slice), open_database(url, "target") as connection:
            if found.current(connection):
                found.downgrade(connection, "base")
            version_table = found.version_table
            with connection.begin():
                connection.execute(sa.text(f'drop table if exists "{version_table}"'))
        context.failpoint("undo project: schema dropped")
        left = self._existing(context)
        if left:
            raise OperatorError(f"still there in the target: {', '.join(left)}", hint="run the command again")
        return {"dropped": sorted(context.shapes)}
