"""What would have to change on a cluster so that it is as the files say. Pure: desired + observed -> plan."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Literal

from cdc.errors import Problem
from cdc.report import Finding, Severity
from connectors.checks import ChainCheck, check, check_together
from connectors.compare import OWNER, Difference, differences, plain
from connectors.connect_types import Config, ConnectorStatus, KeyDefinition
from connectors.desired import Desired, in_order, needs_of
from connectors.engines import connect_only, native_only
from connectors.redact import Redaction
from connectors.risks import risks

Action = Literal["create", "change", "delete", "none"]


@dataclass(frozen=True, slots=True)
class Observed:
    """A connector on the cluster.

    Attributes:
        config: As the cluster has it, `name` and our mark included.
        status: Its state, or None in the moment after a creation.
        type: `source` or `sink`, where the worker says so.
    """

    config: Config
    status: ConnectorStatus | None = None
    type: str | None = None

    @property
    def owner(self) -> str | None:
        """What our mark on it says, or None where it carries none."""
        return self.config.get(OWNER)


@dataclass(frozen=True, slots=True)
class Examination:
    """What the worker says about one desired configuration.

    Attributes:
        definitions: Keys that the plugin, its transforms and the worker declare.
        problems: What the worker refuses.
    """

    definitions: Mapping[str, KeyDefinition] = field(default_factory=dict)
    problems: tuple[Problem, ...] = ()


@dataclass(frozen=True, slots=True)
class Change:
    """What happens to one connector.

    Attributes:
        connector: Its name.
        action: What is done.
        keys: What changes; for a creation every key.
        risks: Key -> why its change may lose data or start a snapshot.
        notes: What else there is to know.
        findings: What the file's own checks found.
        problems: What the worker refuses.
        config: What the cluster would get, our mark included; empty for a deletion.
        before: What the cluster has; empty for a creation.
        initial_state: For a creation.
        layer: Its place in the order of dependencies; deletions come last.
        source: The file, or "" for a deletion.
        needs: Connectors of the plan that must be up first.
    """

    connector: str
    action: Action
    keys: tuple[Difference, ...] = ()
    risks: Mapping[str, str] = field(default_factory=dict)
    notes: tuple[str, ...] = ()
    findings: tuple[Finding, ...] = ()
    problems: tuple[Problem, ...] = ()
    config: Config = field(default_factory=dict)
    before: Config = field(default_factory=dict)
    initial_state: str | None = None
    layer: int = 0
    source: str = ""
    needs: frozenset[str] = frozenset()

    def as_json(self, redaction: Redaction) -> dict[str, Any]:
        """The change as a JSON object, without secrets."""
        return {
            "connector": self.connector,
            "action": self.action,
            "keys": [_key_as_json(key, self.risks.get(key.key), redaction) for key in self.keys],
            "notes": [redaction.text(note) for note in self.notes],
            "findings": [_scrubbed(finding.as_json(), redaction) for finding in self.findings],
            "problems": [{"key": p.key, "message": redaction.text(p.message)} for p in self.problems],
            "file": self.source or None,
        }


@dataclass(frozen=True, slots=True)
class Plan:
    """Every connector that the files name, and those that would be deleted.

    Attributes:
        changes: In the order in which they would be carried out.
    """

    changes: tuple[Change, ...]

    @property
    def pending(self) -> list[Change]:
        """Those that change something."""
        return [change for change in self.changes if change.action != "none"]

    @property
    def deletions(self) -> list[Change]:
        """Those that take something away."""
        return [change for change in self.changes if change.action == "delete"]

    def problems(self, *, allow_unknown_keys: bool = False, refuse_literal_secrets: bool = False) -> list[Problem]:
        """What forbids to carry it out: refused by the worker, or found by our own checks."""
        found: list[Problem] = []
        for change in self.changes:
            where = f"{change.connector}: "
            found += [Problem(where + p.key, p.message, p.nearest) for p in change.problems]
            for finding in change.findings:
                blocks = finding.severity is Severity.BLOCKS and not (
                    allow_unknown_keys and finding.code == "UNKNOWN_KEY"
                )
                if blocks or (refuse_literal_secrets and finding.code == "LITERAL_SECRET"):
                    found.append(Problem(where + finding.subject, finding.evidence))
        return found

    def as_json(self, redaction: Redaction) -> dict[str, Any]:
        """The plan as one JSON document, without secrets."""
        return {"changes": [change.as_json(redaction) for change in self.changes]}


def is_equal(desired: Desired, observed: Observed) -> bool:
    """Whether a connector is as asked for, letter by letter: nothing has to be asked of the worker then."""
    return plain(desired.config) == plain(observed.config)


def make_plan(
    desired: Mapping[str, Desired],
    observed: Mapping[str, Observed],
    examinations: Mapping[str, Examination],
    *,
    owner: str = "seam",
    prune: bool = False,
    all_desired: Sequence[str] | None = None,
    chain: ChainCheck | None = None,
) -> Plan:
    """Compare what files ask for with what a cluster has.

    Args:
        desired: By name.
        observed: By name.
        examinations: What the worker says, for those that are not equal letter by letter.
        owner: What our mark says.
        prune: Delete connectors that carry our mark and stand in no file.
        all_desired: Every name in the files where `desired` is only a part of them; default: those of `desired`.
        chain: Runs a configuration's transforms over sample records.
    """
    needs = needs_of(desired)
    layers = in_order(needs)
    together = check_together(desired)
    changes: list[Change] = []
    for depth, layer in enumerate(layers):
        for name in layer:
            examination = examinations.get(name, Examination())
            change = _change(desired[name], observed.get(name), examination, owner=owner, depth=depth, chain=chain)
            findings = (*change.findings, *together.get(name, ()))
            changes.append(replace(change, findings=findings, needs=frozenset(needs[name])))
    if prune:
        kept = set(all_desired if all_desired is not None else desired)
        gone = [name for name, there in observed.items() if there.owner == owner and name not in kept]
        changes += [_deletion(name, observed[name], depth=len(layers)) for name in _sinks_first(gone, observed)]
    return Plan(tuple(changes))


def _change(
    desired: Desired,
    observed: Observed | None,
    examination: Examination,
    *,
    owner: str,
    depth: int,
    chain: ChainCheck | None,
) -> Change:
    config = {**desired.config, OWNER: owner}
    findings = tuple(check(desired, examination.definitions, chain=chain))
    notes = _engine_notes(desired)
    if observed is None:
        keys = tuple(Difference(key, None, value) for key, value in desired.config.items())
        return Change(
            desired.name, "create", keys, {}, notes, findings, examination.problems, config,
            initial_state=desired.initial_state, layer=depth, source=desired.source,
        )  # fmt: skip
    found = tuple(differences(desired.config, observed.config, examination.definitions))
    if observed.owner not in (None, owner):
        notes += (f"the mark on the cluster says that it belongs to {observed.owner}, not to {owner}",)
    if found and observed.status is not None and observed.status.connector.state in ("STOPPED", "PAUSED"):
        notes += (f"it is {observed.status.connector.state} and stays so",)
    if not found and observed.owner is None:
        notes += ("it carries no mark of ours, so that --prune would never delete it; the next change sets the mark",)
    return Change(
        desired.name, "change" if found else "none", found, risks(found), notes, findings, examination.problems,
        config, observed.config, layer=depth, source=desired.source,
    )  # fmt: skip


def _engine_notes(desired: Desired) -> tuple[str, ...]:
    notes: list[str] = []
    if keys := connect_only(desired):
        notes.append(f"only Kafka Connect can run it, not the native engine: {', '.join(keys)}")
    if keys := native_only(desired):
        notes.append(f"only the native engine knows {', '.join(keys)}; Kafka Connect carries the file out without")
    return tuple(notes)


def _deletion(name: str, observed: Observed, *, depth: int) -> Change:
    keys = tuple(Difference(key, value, None) for key, value in plain(observed.config).items())
    notes = ["its offsets stay: a connector of the same name goes on from them"]
    if "slot.name" in observed.config or observed.config.get("connector.class", "").endswith("PostgresConnector"):
        notes.append("its replication slot stays on the server and keeps WAL until it is dropped")
    return Change(name, "delete", keys, {}, tuple(notes), before=observed.config, layer=depth)


def _sinks_first(names: Sequence[str], observed: Mapping[str, Observed]) -> list[str]:
    return sorted(names, key=lambda name: (observed[name].type != "sink", name))


def _key_as_json(key: Difference, why: str | None, redaction: Redaction) -> dict[str, Any]:
    return {
        "key": key.key,
        "before": None if key.before is None else redaction.value(key.key, key.before),
        "after": None if key.after is None else redaction.value(key.key, key.after),
        "before_default": key.before_default,
        "after_default": key.after_default,
        "risk": why,
    }


def _scrubbed(finding: dict[str, Any], redaction: Redaction) -> dict[str, Any]:
    return {name: redaction.text(value) if isinstance(value, str) else value for name, value in finding.items()}
