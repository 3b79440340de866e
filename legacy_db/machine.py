"""One verb moves a slice: advance takes the next steps, each behind its gate; undo takes them back.

A step is intent, idempotent actions, observation, confirmation. Before every command the state is derived again from
the world and compared with the ledger: a process may have been killed at any line, and somebody may have changed the
world behind the ledger's back.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from cdc.errors import ConfigError, OperatorError, RetriableError, SeamError
from legacy_db.ledger import Entry
from legacy_db.steps import STATES, STEPS
from legacy_db.steps.base import Context, Demand, Step, refuse_unmet


class Diverged(OperatorError):
    """The world is not as the ledger says."""

    code = "DIVERGED"


@dataclass(frozen=True, slots=True)
class Standing:
    """Where a slice stands.

    Attributes:
        state: The state that holds, None before the first.
        recorded: The ledger's.
        reason: Why the two differ, "" where they do not.
        pending: What was begun and not ended.
        broken: Whether the world lacks what the ledger confirms, evidence that grew old aside.
    """

    state: str | None
    recorded: str | None
    reason: str = ""
    pending: Entry | None = None
    broken: bool = False


def index_of(state: str | None) -> int:
    """How many steps lead to a state."""
    return 0 if state is None else STATES.index(state) + 1


def parse_state(text: str) -> str:
    """A state's name.

    Raises:
        ConfigError: There is no such state.
    """
    if text not in STATES:
        raise ConfigError(f"there is no state {text!r}; the states are {', '.join(STATES)}")
    return text


def standing(context: Context) -> Standing:
    """Derive the state from the world, as far as the ledger claims one."""
    recorded = context.ledger.state()
    pending = context.ledger.pending()
    for held, step in enumerate(STEPS[: index_of(recorded)]):
        missing = step.validate(context)
        if missing is not None:
            aged = step.state == STATES[-1]
            return Standing(
                STATES[held - 1] if held else None, recorded, f"{step.state}: {missing}", pending, broken=not aged
            )
    return Standing(recorded, recorded, "", pending)


@dataclass(slots=True)
class Moved:
    """What a command did.

    Attributes:
        before: The state before it.
        after: The state after it.
        steps: What was taken: step, seconds, evidence.
    """

    before: str | None
    after: str | None
    steps: list[dict[str, Any]] = field(default_factory=list)

    def as_json(self) -> dict[str, Any]:
        """As a JSON object."""
        return {"from": self.before, "state": self.after, "steps": self.steps}


def advance(context: Context, to: str | None) -> Moved:
    """Take the next step, or all steps up to a state.

    Raises:
        GateClosed: A gate asks for something; the steps before it are taken.
        Diverged: The world is not as the ledger says.
        OperatorError: The state asked for lies behind.
    """
    with context.ledger.operator():
        now = standing(context)
        _refuse_broken(context, now)
        _end_pending_undo(now)
        goal = index_of(to) if to is not None else min(index_of(now.state) + 1, len(STEPS))
        if goal < index_of(now.state):
            raise OperatorError(
                f"{context.slice.name} is {now.state}, and {to} lies behind it", hint="`seam migrate undo` goes back"
            )
        moved = Moved(now.recorded, now.state)
        while index_of(moved.after) < goal:
            step = STEPS[index_of(moved.after)]
            moved.steps.append(_take(context, step, moved.after))
            moved.after = step.state
        return moved


def _refuse_broken(context: Context, now: Standing) -> None:
    if now.broken:
        raise Diverged(
            f"{context.slice.name} is recorded as {now.recorded}, but {now.reason}",
            hint=f"mend it, or take the slice back: seam migrate undo FILE {context.slice.name} --to "
            f"{now.state or 'discovered'}",
        )


def _end_pending_undo(now: Standing) -> None:
    if now.pending is not None and now.pending.action == "undo":
        raise OperatorError(
            f"an undo of {now.pending.step!r} was interrupted",
            hint="run `seam migrate undo` again: it goes on where it was",
        )


def _take(context: Context, step: Step, before: str | None) -> dict[str, Any]:
    context.say(f"{context.slice.name}: {step.name}")
    started = time.monotonic()
    refuse_unmet(step.name, step.gate(context))
    pending = context.ledger.pending()
    if pending is not None and pending.action == "advance" and pending.step == step.name:
        entry = pending.id  # a process was killed there: the same actions again
        context.made = dict(pending.evidence or {})
    else:
        if pending is not None:
            context.ledger.give_up(pending.id, "superseded")
        context.made = step.prepare(context)
        entry = context.ledger.intend("advance", step.name, before, step.state, context.plan_hash())
        if context.made:
            context.ledger.note(entry, context.made)
    context.failpoint(f"{step.name}: intended")
    try:
        step.start(context)
        evidence = step.complete(context)
    except SeamError as error:
        context.ledger.give_up(entry, f"{error.code} {error.message}") if _is_clean(context, step) else None
        raise
    context.failpoint(f"{step.name}: done")
    context.ledger.confirm(entry, evidence)
    context.failpoint(f"{step.name}: confirmed")
    return {
        "step": step.name,
        "state": step.state,
        "seconds": round(time.monotonic() - started, 3),
        "evidence": evidence,
    }


def _is_clean(context: Context, step: Step) -> bool:
    """Whether nothing of a failed step has to be remembered: only what makes nothing can be forgotten."""
    del context
    return step.name in ("discover", "plan", "verify")


def undo(context: Context, to: str | None) -> Moved:
    """Take back the last step, or all steps above a state.

    Raises:
        OperatorError: The state asked for lies ahead, or something is still in use.
    """
    with context.ledger.operator():
        now = standing(context)
        # A step that was begun and never confirmed may have left something: it is taken back too.
        highest = index_of(now.recorded)
        if now.pending is not None and now.pending.action in ("advance", "undo"):
            highest = max(highest, STATES.index(_state_of(now.pending)) + 1)
        goal = index_of(to) if to is not None else max(highest - 1, 0)
        if goal > highest:
            raise OperatorError(
                f"{context.slice.name} is {now.recorded}, and {to} lies ahead of it",
                hint="`seam migrate advance` goes on",
            )
        moved = Moved(now.recorded, now.recorded)
        for step in reversed(STEPS[goal:highest]):
            moved.steps.append(_take_back(context, step))
            moved.after = STATES[STEPS.index(step) - 1] if STEPS.index(step) else None
        return moved


def _state_of(entry: Entry) -> str:
    return next(step.state for step in STEPS if step.name == entry.step)


def _take_back(context: Context, step: Step) -> dict[str, Any]:
    context.say(f"{context.slice.name}: taking {step.name} back")
    started = time.monotonic()
    before = step.state
    after = STATES[STEPS.index(step) - 1] if STEPS.index(step) else None
    pending = context.ledger.pending()
    if pending is not None and pending.action == "undo" and pending.step == step.name:
        entry = pending.id
    else:
        entry = context.ledger.intend("undo", step.name, before, after, context.plan_hash())
    context.failpoint(f"undo {step.name}: intended")
    proof = step.rollback(context)
    context.failpoint(f"undo {step.name}: done")
    context.ledger.confirm(entry, proof)
    return {"step": step.name, "state": after, "seconds": round(time.monotonic() - started, 3), "proof": proof}


# -- looking -------------------------------------------------------------------------------------------------------------


def status(context: Context) -> dict[str, Any]:
    """`slice`, `state`, evidence and its age."""
    now = standing(context)
    evidence = {}
    for step in STEPS[: index_of(now.recorded)]:
        entry = context.ledger.evidence(step.name)
        if entry is not None and entry.confirmed_at is not None:
            lifetime = step.lifetime(context)
            evidence[step.state] = {
                "age_seconds": round(time.time() - entry.confirmed_at, 1),
                "lifetime_seconds": lifetime if lifetime < 1e12 else None, "actor": entry.actor,
                "evidence": dict(entry.evidence or {}),
            }  # fmt: skip
    return {
        "slice": context.slice.name, "state": now.state, "recorded": now.recorded, "connector": context.bridge.name,
        "reason": now.reason or None, "plan": context.plan_hash(),
        "pending": None if now.pending is None else {"action": now.pending.action, "step": now.pending.step,
                                                    "since": now.pending.intent_at, "actor": now.pending.actor},
        "evidence": evidence,
    }  # fmt: skip


def why_not(context: Context) -> dict[str, Any]:
    """Which gate is next, what it asks for, and what would fulfil it."""
    now = standing(context)
    position = index_of(now.state)
    document: dict[str, Any] = {"slice": context.slice.name, "state": now.state, "reason": now.reason or None}
    if position == len(STEPS):
        return {**document, "next": None, "open": True, "demands": []}
    step = STEPS[position]
    demands: Sequence[Demand]
    try:
        demands = step.gate(context)
    except RetriableError:
        raise  # what cannot be asked is no closed gate
    except SeamError as error:
        demands = [Demand(error.code, met=False, evidence=error.message, remedy=error.hint or "")]
    return {
        **document, "next": step.state, "step": step.name, "open": all(demand.met for demand in demands) and not now.broken,
        "demands": [demand.as_json() for demand in demands],
    }  # fmt: skip
