"""What crosses the border of a set of tables, and which sets hang together by themselves."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Any, Final

from legacy_db.inventory import Inventory, TableInfo

TOGETHER: Final = 0.5
"""Share of the rarer table's transactions from which on two tables count as written together."""


@dataclass(frozen=True, slots=True)
class Crossing:
    """One thing that ties a table inside to something outside.

    Attributes:
        kind: FOREIGN_KEY, ACTION, TRIGGER, RULE, INHERITANCE, SEQUENCE, VIEW or TRANSACTION.
        source: The table, view or sequence that it starts at.
        target: Where it leads.
        name: Of the constraint, trigger, rule.
        why: What it means.
        blocks: Whether the slice changes rows outside, or is changed from outside, behind everybody's back.
    """

    kind: str
    source: str
    target: str
    name: str
    why: str
    blocks: bool = False

    def as_json(self) -> dict[str, Any]:
        """The crossing as a JSON object."""
        return {
            "kind": self.kind, "source": self.source, "target": self.target, "name": self.name, "why": self.why,
            "blocks": self.blocks,
        }  # fmt: skip


def crossings(
    inventory: Inventory, tables: Iterable[str], together: Mapping[tuple[str, str], float] | None = None
) -> list[Crossing]:
    """Everything that crosses the border of a set of tables, what blocks first.

    Args:
        inventory: What the database holds.
        tables: `schema.table` names inside.
        together: Pairs of tables -> share of common transactions, as `written_together` learned it.
    """
    inside = with_partitions(inventory, tables)
    found = [
        *_foreign_keys(inventory, inside), *_triggers(inventory, inside), *_rules(inventory, inside),
        *_inheritance(inventory, inside), *_sequences(inventory, inside), *_views(inventory, inside),
    ]  # fmt: skip
    for (left, right), share in (together or {}).items():
        if share >= TOGETHER and (left in inside) != (right in inside):
            found.append(
                Crossing("TRANSACTION", left, right, "", f"{share:.0%} of the transactions of the one write the other")
            )
    return sorted(found, key=lambda crossing: (not crossing.blocks, crossing.kind, crossing.source, crossing.target))


def with_partitions(inventory: Inventory, tables: Iterable[str]) -> set[str]:
    """The tables, and the partitions of those that are partitioned."""
    inside = set(tables)
    waiting = list(inside)
    while waiting:
        table = inventory.tables.get(waiting.pop())
        if table is not None and table.kind == "partitioned":
            waiting += [child for child in table.children if child not in inside]
            inside.update(table.children)
    return inside


def _foreign_keys(inventory: Inventory, inside: set[str]) -> Iterator[Crossing]:
    for key in inventory.foreign_keys:
        if (key.table in inside) == (key.target in inside):
            continue
        columns = ", ".join(key.columns)
        if key.acts:
            actions = f"ON UPDATE {key.on_update}, ON DELETE {key.on_delete}"
            yield Crossing(
                "ACTION",
                key.table,
                key.target,
                key.name,
                f"{actions}: a change of {key.target} changes rows of {key.table}",
                blocks=True,
            )
        direction = "leaves" if key.table in inside else "enters"
        yield Crossing(
            "FOREIGN_KEY",
            key.table,
            key.target,
            key.name,
            f"({columns}) {direction} the slice: left out of the target schema",
        )


def _triggers(inventory: Inventory, inside: set[str]) -> Iterator[Crossing]:
    views = {view.name: view.reads for view in inventory.views}
    for trigger in inventory.triggers:
        starts_inside = trigger.table in inside
        for table in trigger.writes:
            if trigger.table in views:
                if table in inside and not set(views[trigger.table]) <= inside:
                    yield Crossing(
                        "TRIGGER",
                        trigger.table,
                        table,
                        trigger.name,
                        "an INSTEAD OF trigger of a view writes into the slice",
                    )
            elif starts_inside != (table in inside):
                yield Crossing(
                    "TRIGGER",
                    trigger.table,
                    table,
                    trigger.name,
                    f"{trigger.timing} {trigger.events} writes {table}",
                    blocks=True,
                )


def _rules(inventory: Inventory, inside: set[str]) -> Iterator[Crossing]:
    for table in inventory.tables.values():
        for rule, touched in table.rules.items():
            for other in touched:
                if other in inventory.tables and (table.qualified in inside) != (other in inside):
                    yield Crossing("RULE", table.qualified, other, rule, f"the rule touches {other}", blocks=True)


def _inheritance(inventory: Inventory, inside: set[str]) -> Iterator[Crossing]:
    for table in inventory.tables.values():
        for parent in table.parents:
            if (table.qualified in inside) != (parent in inside):
                yield Crossing(
                    "INHERITANCE",
                    table.qualified,
                    parent,
                    "",
                    f"{table.qualified} inherits from {parent}: a change through the parent changes the child",
                )


def _sequences(inventory: Inventory, inside: set[str]) -> Iterator[Crossing]:
    for sequence, users in inventory.sequences.items():
        within = [table for table in users if table in inside]
        without = [table for table in users if table not in inside]
        if within and without:
            yield Crossing(
                "SEQUENCE", sequence, ", ".join(without), "", f"{', '.join(within)} shares it with {', '.join(without)}"
            )


def _views(inventory: Inventory, inside: set[str]) -> Iterator[Crossing]:
    for view in inventory.views:
        within = [table for table in view.reads if table in inside]
        without = [table for table in view.reads if table not in inside]
        if within and without:
            yield Crossing(
                "VIEW",
                view.name,
                ", ".join(without),
                "",
                f"reads {', '.join(within)} inside and {', '.join(without)} outside",
            )


@dataclass(frozen=True, slots=True)
class Proposal:
    """Tables that hang together.

    Attributes:
        name: Proposed name of the slice.
        tables: Its tables.
        reasons: Why, one sentence each.
        open: What would cross its border.
    """

    name: str
    tables: tuple[str, ...]
    reasons: tuple[str, ...]
    open: tuple[Crossing, ...]

    def as_json(self) -> dict[str, Any]:
        """The proposal as a JSON object."""
        return {
            "name": self.name, "tables": list(self.tables), "reasons": list(self.reasons),
            "open": [crossing.as_json() for crossing in self.open],
        }  # fmt: skip


def suggest(inventory: Inventory, together: Mapping[tuple[str, str], float]) -> list[Proposal]:
    """Propose slices: what must not be parted is joined, the rest is a border.

    Joined are tables tied by a trigger, a rule, an action of a foreign key, inheritance, or by being written together.
    A plain foreign key joins a table that nothing else holds to the table it refers to.
    """
    tables = {name: table for name, table in inventory.tables.items() if table.kind in ("table", "partitioned")}
    groups = {name: name for name in tables}
    reasons: list[tuple[str, str]] = []

    def root(name: str) -> str:
        while groups[name] != name:
            name = groups[name]
        return name

    def join(left: str, right: str, reason: str) -> None:
        if left in groups and right in groups and left != right:
            reasons.append((left, reason))
            groups[root(left)] = root(right)

    for left, right, reason in _ties(inventory):
        join(left, right, reason)
    for (left, right), share in sorted(together.items()):
        if share >= TOGETHER:
            join(left, right, f"{left} and {right} are written together ({share:.0%})")
    sizes = Counter(root(name) for name in tables)
    for key in inventory.foreign_keys:
        if (
            key.table in groups
            and sizes[root(key.table)] == 1
            and len([k for k in inventory.foreign_keys if k.table == key.table]) == 1
        ):
            join(key.table, key.target, f"{key.table} refers to {key.target} only")
    members: dict[str, list[str]] = {}
    for name in tables:
        members.setdefault(root(name), []).append(name)
    return [
        _proposal(inventory, sorted(group), reasons, together)
        for group in sorted(members.values(), key=lambda group: (-len(group), group))
    ]


def _ties(inventory: Inventory) -> Iterator[tuple[str, str, str]]:
    for key in inventory.foreign_keys:
        if key.acts:
            yield key.table, key.target, f"{key.name} acts from {key.target} on {key.table}"
    for trigger in inventory.triggers:
        for table in trigger.writes:
            yield trigger.table, table, f"trigger {trigger.name} of {trigger.table} writes {table}"
    for info in inventory.tables.values():
        for rule, touched in info.rules.items():
            for other in touched:
                yield info.qualified, other, f"rule {rule} of {info.qualified} touches {other}"
        for parent in info.parents:
            if info.kind != "partition":
                yield info.qualified, parent, f"{info.qualified} inherits from {parent}"


def _proposal(
    inventory: Inventory, group: Sequence[str], reasons: list[tuple[str, str]], together: Mapping[tuple[str, str], float]
) -> Proposal:  # fmt: skip
    schema = Counter(table.partition(".")[0] for table in group).most_common(1)[0][0]
    largest: TableInfo = max(
        (inventory.tables[name] for name in group), key=lambda table: (table.rows, table.qualified)
    )
    return Proposal(
        name=f"{schema}_{largest.name}".lower(),
        tables=tuple(group),
        reasons=tuple(dict.fromkeys(text for table, text in reasons if table in group)),
        open=tuple(crossings(inventory, group, together)),
    )


def written_together(transactions: Iterable[Iterable[str]]) -> dict[tuple[str, str], float]:
    """Learn which tables are written together.

    Args:
        transactions: The tables of each transaction.

    Returns:
        Pair of tables, sorted -> common transactions as a share of the rarer table's transactions.
    """
    alone: Counter[str] = Counter()
    pairs: Counter[tuple[str, str]] = Counter()
    for tables in transactions:
        distinct = sorted(set(tables))
        alone.update(distinct)
        pairs.update(combinations(distinct, 2))
    return {pair: count / min(alone[pair[0]], alone[pair[1]]) for pair, count in pairs.items()}
