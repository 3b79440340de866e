"""What a step is, and what it works with."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

from cdc.errors import OperatorError
from cdc.postgres.catalog import Catalog
from legacy_db.borders import Crossing, crossings
from legacy_db.bridge import Bridge
from legacy_db.inventory import Inventory, read_inventory
from legacy_db.ledger import Ledger
from legacy_db.shape import TableShape, expand, read_shape
from legacy_db.slices import Slice
from legacy_db.target import TargetTable, design_table, fingerprint
from legacy_db.verify_model import HopResult, Options, Progress

PLAN_FILE = "plan.json"


@dataclass(frozen=True, slots=True)
class Demand:
    """One thing that a gate asks for.

    Attributes:
        code: Stable upper-case word.
        met: Whether it is fulfilled.
        evidence: What was seen.
        remedy: What would fulfil it.
    """

    code: str
    met: bool
    evidence: str
    remedy: str = ""

    def as_json(self) -> dict[str, Any]:
        """As a JSON object."""
        return {"code": self.code, "met": self.met, "evidence": self.evidence, "remedy": self.remedy}


class GateClosed(OperatorError):
    """A gate asks for something that is not there; the state is unchanged."""

    code = "GATE"


def refuse_unmet(step: str, demands: list[Demand]) -> None:
    """Refuse a step whose gate asks for more than there is.

    Raises:
        GateClosed: With all that is unmet.
    """
    unmet = [demand for demand in demands if not demand.met]
    if unmet:
        lines = "".join(
            f"\n  {d.code}: {d.evidence}" + (f"\n      {d.remedy}" if d.remedy else "") for d in unmet
        )  # fmt: skip
        raise GateClosed(f"{step}: its gate is closed:{lines}", hint="nothing was changed; the state is as before")


@dataclass(slots=True)
class Context:
    """What the steps of one command work with; what was read once is kept.

    Attributes:
        slice: The slice.
        bridge: Its pipeline.
        ledger: Its ledger.
        siblings: Slice -> state, of the others that the same pipeline carries.
        options: How verifications go about it.
        say: Told what is being done.
        progress: Told how far it is.
        failpoint: Called with the name of each boundary; tests kill the process there.
        made: What the running step wrote down before it began.
        hops: What the running verification found.
    """

    slice: Slice
    bridge: Bridge
    ledger: Ledger
    siblings: Mapping[str, str | None] = field(default_factory=dict)
    options: Options = field(default_factory=Options)
    say: Callable[[str], None] = lambda _text: None
    progress: Progress = lambda _what, _done, _of: None
    failpoint: Callable[[str], None] = lambda _name: None
    made: dict[str, Any] = field(default_factory=dict)
    hops: list[HopResult] = field(default_factory=list)
    _catalog: Catalog | None = None
    _inventory: Inventory | None = None
    _shapes: dict[str, TableShape] | None = None

    @property
    def catalog(self) -> Catalog:
        """A connection to the legacy database."""
        if self._catalog is None or self._catalog.connection.closed:
            self._catalog = self.bridge.catalog()
        return self._catalog

    def close(self) -> None:
        """Close what was opened, but for the ledger."""
        if self._catalog is not None:
            self._catalog.connection.close()

    def forget(self) -> None:
        """Read the legacy database anew from here on: it was changed."""
        self._inventory = None
        self._shapes = None

    @property
    def inventory(self) -> Inventory:
        """What the legacy database holds."""
        if self._inventory is None:
            self._inventory = read_inventory(self.bridge)
        return self._inventory

    @property
    def shapes(self) -> dict[str, TableShape]:
        """The slice's published tables.

        Raises:
            OperatorError: One does not exist or is not captured by the pipeline.
        """
        if self._shapes is None:
            types = self.catalog.types()
            published = expand(self.catalog, self.bridge, self.slice.tables)
            self._shapes = {
                table: read_shape(self.catalog, self.bridge, table, members, types)
                for table, members in published.items()
            }
        return self._shapes

    @property
    def target_tables(self) -> list[TargetTable]:
        """The design of the target."""
        inside = [*self.slice.tables, *self.shapes]
        return [design_table(shape, self.inventory, inside) for shape in self.shapes.values()]

    @property
    def border(self) -> list[Crossing]:
        """What crosses the slice's border."""
        return crossings(self.inventory, self.slice.tables)

    def schema_fingerprint(self) -> str:
        """A hash of the slice's tables as they are declared; replica identities, which we may change, are left out."""
        document = {}
        for table in self.shapes:
            info = self.inventory.tables[table]
            document[table] = {
                "columns": [(c.name, c.type, c.nullable, c.default, c.generated, c.identity) for c in info.columns],
                "key": info.primary_key, "unique": sorted(info.unique.items()), "kind": info.kind,
            }  # fmt: skip
        return fingerprint(document)

    # -- the plan ----------------------------------------------------------------------------------------------------

    @property
    def plan_path(self) -> Path:
        """Where the plan lies."""
        return self.slice.directory / PLAN_FILE

    def plan(self) -> dict[str, Any] | None:
        """The plan that was written, None when there is none."""
        try:
            found: dict[str, Any] = json.loads(self.plan_path.read_text(encoding="utf-8"))
        except (FileNotFoundError, json.JSONDecodeError):
            return None
        return found

    def plan_hash(self) -> str | None:
        """The hash of the plan that was written."""
        plan = self.plan()
        return None if plan is None else str(plan["hash"])


class Step(Protocol):
    """One reversible operation.

    Attributes:
        name: Its verb, as in the ledger.
        state: The state that it leads to.
    """

    name: str
    state: str

    def lifetime(self, context: Context) -> float:
        """Seconds that its evidence holds; infinite for as long as the world fits it."""

    def gate(self, context: Context) -> list[Demand]:
        """What must be there before it may start."""

    def prepare(self, context: Context) -> dict[str, Any]:
        """What is written into the ledger with the intent, before anything is done."""

    def start(self, context: Context) -> None:
        """Do it; every action is idempotent, so that it can be done again after a kill at any line."""

    def complete(self, context: Context) -> dict[str, Any]:
        """See that it is done, and return the evidence."""

    def validate(self, context: Context) -> str | None:
        """Derive from the world whether it stands; None when it does, else what is missing."""

    def rollback(self, context: Context) -> dict[str, Any]:
        """Take it back, and return the proof; idempotent too."""


def schema_demand(context: Context) -> Demand:
    """The legacy schema must be the one that was planned for."""
    plan = context.plan()
    if plan is None:
        return Demand("PLAN", met=False, evidence="there is no plan", remedy="seam migrate plan FILE SLICE")
    same = plan["fingerprint"] == context.schema_fingerprint()
    return Demand(
        "SCHEMA", met=same,
        evidence="the tables are as planned for" if same else f"the tables were changed since plan {plan['hash'][:12]}",
        remedy="" if same else f"seam migrate undo FILE {context.slice.name} --to discovered, then plan again",
    )  # fmt: skip
