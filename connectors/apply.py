"""A plan is carried out: written in the order of dependencies, watched until it runs, rolled back where it does not.

Safe to interrupt anywhere: each connector has either its former or its new configuration, and running the same command
again goes on from what the cluster has.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final, Literal, cast

from cdc.errors import ConnectApiError, OperatorError, RetriableError, SeamError
from connectors import health
from connectors.compare import plain
from connectors.connect_api import ConnectApi, InitialState
from connectors.connect_types import ConnectorStatus
from connectors.plan import Change, Observed, Plan
from connectors.settling import Settling, Verdict

POLL: Final = 0.2  # seconds

Result = Literal["done", "unchanged", "rolled back", "failed", "not attempted", "in doubt"]


@dataclass(frozen=True, slots=True)
class Step:
    """Something that happens to a connector, for whoever watches.

    Attributes:
        connector: Its name.
        phase: `writing`, `waiting`, `settled`, `failed`, `rolling back`, `rolled back`, `deleted`.
        text: More about it.
    """

    connector: str
    phase: str
    text: str = ""


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of a connector.

    Attributes:
        connector: Its name.
        action: What was to be done.
        result: What was done.
        cause: Why it failed, without secrets.
        advice: What to do about it, where that is known.
        seconds: From the request until it had settled, or was given up.
    """

    connector: str
    action: str
    result: Result
    cause: str | None = None
    advice: str | None = None
    seconds: float = 0.0

    def as_json(self) -> dict[str, Any]:
        """The outcome as a JSON object."""
        return {
            "connector": self.connector,
            "action": self.action,
            "result": self.result,
            "cause": self.cause,
            "advice": self.advice,
            "seconds": round(self.seconds, 2),
        }


class ApplyFailed(OperatorError):
    """A connector does not run with its new configuration.

    Args:
        outcomes: What became of every connector.
    """

    code = "APPLY_FAILED"

    def __init__(self, outcomes: Iterable[Outcome]) -> None:
        self.outcomes = tuple(outcomes)
        advice = next((outcome.advice for outcome in self.outcomes if outcome.advice), None)
        super().__init__(summary(self.outcomes), hint=advice or "mend the cause and run the command again")


class ApplyInterrupted(RetriableError):
    """The cluster stopped to answer in the middle, or somebody interrupted.

    Args:
        reason: What went wrong.
        outcomes: What became of every connector.
    """

    code = "APPLY_INTERRUPTED"

    def __init__(self, reason: str, outcomes: Iterable[Outcome]) -> None:
        self.outcomes = tuple(outcomes)
        super().__init__(
            f"{reason}\n{summary(self.outcomes)}",
            hint="run the same command again: it goes on from what the cluster has then",
        )


def summary(outcomes: Iterable[Outcome]) -> str:
    """What is applied and what is not, one line for each that is not."""
    outcomes = list(outcomes)
    done = [outcome.connector for outcome in outcomes if outcome.result == "done"]
    lines = [
        f"{outcome.connector}: {outcome.result}" + (f": {outcome.cause}" if outcome.cause else "")
        for outcome in outcomes
        if outcome.result not in ("done", "unchanged")
    ]
    lines.append(f"applied: {', '.join(done) if done else 'nothing'}")
    return "\n".join(lines)


class Applier:
    """Carries plans out.

    Args:
        api: The client.
        settle: Seconds that connector and tasks must run without a pause.
        timeout: Seconds for a connector to settle, or to be given up.
        report: Is told each step.
        clock: Seconds, monotonic.
        sleep: Waits for some seconds.
    """

    def __init__(
        self,
        api: ConnectApi,
        *,
        settle: float = 3.0,
        timeout: float = 60.0,
        report: Callable[[Step], None] = lambda _step: None,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self._api = api
        self._settle = settle
        self._timeout = timeout
        self._report = report
        self._clock = clock
        self._sleep = sleep
        self._outcomes: dict[str, Outcome] = {}
        self._former: dict[str, ConnectorStatus | None] = {}
        self._began: dict[str, float] = {}

    def apply(self, plan: Plan, observed: Mapping[str, Observed]) -> list[Outcome]:
        """Carry a plan out.

        Args:
            plan: Without problems.
            observed: What it was made from.

        Returns:
            What became of each connector, in the order of the plan.

        Raises:
            ApplyFailed: A connector does not run; it has its former configuration again, unless the message says otherwise.
            ApplyInterrupted: The cluster stopped to answer, or somebody interrupted.
        """
        self._outcomes = {}
        self._former = {name: there.status for name, there in observed.items()}
        try:
            for layer in sorted({change.layer for change in plan.changes}):
                self._layer([change for change in plan.changes if change.layer == layer])
        except (RetriableError, KeyboardInterrupt) as error:
            for change in plan.changes:
                if change.connector not in self._outcomes:
                    begun = change.connector in self._began
                    self._end(change, "in doubt" if begun else "not attempted")
            raise ApplyInterrupted(str(error) or "interrupted", self._in_order(plan)) from error
        outcomes = self._in_order(plan)
        if any(outcome.result not in ("done", "unchanged") for outcome in outcomes):
            raise ApplyFailed(outcomes)
        return outcomes

    def _in_order(self, plan: Plan) -> list[Outcome]:
        return [self._outcomes[change.connector] for change in plan.changes]

    def _layer(self, changes: list[Change]) -> None:
        waiting: dict[str, tuple[Change, Settling]] = {}
        for change in changes:
            if self._held_back(change):
                continue
            if change.action == "none":
                settling = self._unsettled(change)
            elif change.action == "delete":
                settling = None
                self._delete(change)
            else:
                settling = self._write(change)
            if settling is not None:
                waiting[change.connector] = (change, settling)
            elif change.connector not in self._outcomes:
                self._end(change, "unchanged")
        for name, (change, settling) in self._wait(waiting).items():
            if change.action == "none":
                self._end(change, "failed", settling)
            else:
                self._roll_back(waiting[name][0], settling)

    def _held_back(self, change: Change) -> bool:
        failed = [name for name, outcome in self._outcomes.items() if outcome.result not in ("done", "unchanged")]
        needed = [name for name in failed if change.action == "delete" or name in change.needs]
        if change.action == "none" or not needed:
            return False
        self._end(change, "not attempted", cause=f"{', '.join(needed)} failed")
        return True

    # Writing.

    def _write(self, change: Change) -> Settling | None:
        name = change.connector
        self._report(Step(name, "writing", change.action))
        self._began[name] = self._clock()
        try:
            if change.action == "create":
                self._create(change)
            elif (complaint := self._changed_meanwhile(change)) is not None:
                self._end(change, "not attempted", cause=complaint)
                return None
            else:
                self._api.put_config(name, change.config)
        except ConnectApiError as error:
            self._end(change, "failed", cause=str(error))
            return None
        former = self._former.get(name)
        target = change.initial_state or health.RUNNING
        if (
            change.action == "change"
            and former is not None
            and former.connector.state in (health.STOPPED, health.PAUSED)
        ):
            target = former.connector.state
        self._report(Step(name, "waiting", target))
        return self._settling(target, stale={failure.trace for failure in health.failures(former)})

    def _create(self, change: Change) -> None:
        state = cast("InitialState | None", change.initial_state)
        try:
            self._api.create(change.connector, change.config, initial_state=state)
        except ConnectApiError as error:
            there = self._api.config(change.connector) if error.status == 409 else None
            if there is None or plain(there) != plain(change.config):
                raise

    def _changed_meanwhile(self, change: Change) -> str | None:
        """Connect has no conditional write: reading before writing is the only guard against a lost update."""
        there = self._api.config(change.connector)
        if there is None:
            return "it was deleted since the plan was made; run the command again"
        if plain(there) != plain(change.before):
            return "somebody changed it since the plan was made; run the command again"
        return None

    def _delete(self, change: Change) -> None:
        self._began[change.connector] = self._clock()
        self._report(Step(change.connector, "writing", "delete"))
        self._api.delete(change.connector)
        self._wait_gone(change.connector)
        self._report(Step(change.connector, "deleted"))
        self._end(change, "done")

    def _unsettled(self, change: Change) -> Settling | None:
        """A connector that is as the file says, and does not run: an earlier apply may have been cut short."""
        former = self._former.get(change.connector)
        if health.state(former) in (health.RUNNING, health.PAUSED, health.STOPPED, health.NO_TASKS):
            return None
        self._began[change.connector] = self._clock()
        self._report(Step(change.connector, "waiting", "it is as the file says, and does not run yet"))
        return self._settling(health.RUNNING)

    # Waiting.

    def _settling(self, target: str, *, stale: Iterable[str] = ()) -> Settling:
        return Settling(target, self._clock(), self._settle, self._timeout, frozenset(stale))

    def _wait(self, waiting: Mapping[str, tuple[Change, Settling]]) -> dict[str, tuple[Change, Settling]]:
        """Wait until each has settled or failed; those that failed."""
        left = dict(waiting)
        failed: dict[str, tuple[Change, Settling]] = {}
        while left:
            self._sleep(POLL)
            statuses = self._statuses(list(left))
            now = self._clock()
            for name, (change, settling) in list(left.items()):
                verdict = settling.feed(now, statuses.get(name))
                if verdict is Verdict.WAITING:
                    continue
                if verdict is Verdict.STALE:
                    self._restart_failed(name)
                    left[name] = (change, self._settling(settling.target))
                    continue
                del left[name]
                if verdict is Verdict.SETTLED:
                    self._report(Step(name, "settled"))
                    self._end(change, "unchanged" if change.action == "none" else "done")
                else:
                    failed[name] = (change, settling)
        return failed

    def _statuses(self, names: list[str]) -> dict[str, ConnectorStatus]:
        if len(names) > 3:  # one answer for all instead of one for each
            return self._api.statuses()
        found = ((name, self._api.status(name)) for name in names)
        return {name: status for name, status in found if status is not None}

    def _restart_failed(self, name: str) -> None:
        self._report(
            Step(name, "waiting", "its failed tasks are restarted: the change left their configuration as it was")
        )
        self._api.restart(name, include_tasks=True, only_failed=True)

    def _wait_gone(self, name: str) -> None:
        end = self._clock() + self._timeout
        while self._api.config(name) is not None or self._api.status(name) is not None:
            if self._clock() >= end:
                raise OperatorError(f"{name} was deleted, and after {self._timeout:g} s the cluster still shows it")
            self._sleep(POLL)

    # Rolling back.

    def _roll_back(self, change: Change, settling: Settling) -> None:
        name = change.connector
        cause, advice = self._why(settling)
        self._report(Step(name, "failed", cause))
        self._report(Step(name, "rolling back"))
        try:
            afterwards = self._undo(change)
        except RetriableError as error:
            self._end(
                change, "in doubt", settling, cause=f"{cause}; and it could not be rolled back: {error}", advice=advice
            )
            raise
        except SeamError as error:
            self._end(
                change, "failed", settling, cause=f"{cause}; and it could not be rolled back: {error}", advice=advice
            )
            return
        self._report(Step(name, "rolled back", afterwards))
        self._end(change, "rolled back", settling, cause=f"{cause}; {afterwards}", advice=advice)

    def _undo(self, change: Change) -> str:
        name = change.connector
        if change.action == "create":
            self._api.delete(name)
            self._wait_gone(name)
            return "it is absent again"
        former = self._former.get(name)
        self._api.put_config(
            name, {key: value for key, value in change.before.items() if not key.startswith("__internal.")}
        )
        word = health.state(former)
        if word in (health.FAILED, health.DEGRADED, health.UNASSIGNED, health.UNKNOWN):
            return f"it has its former configuration again, with which it was {word} too"
        target = word if word in (health.STOPPED, health.PAUSED) else health.RUNNING
        # What it shows at first is the failure that is being taken back.
        shown = {failure.trace for failure in health.failures(self._api.status(name))}
        failed = self._wait({name: (change, self._settling(target, stale=shown))})
        if failed:
            cause, _ = self._why(failed[name][1])
            raise OperatorError(f"it has its former configuration again and does not run: {cause}")
        return f"it has its former configuration again and is {target}"

    def _why(self, settling: Settling) -> tuple[str, str | None]:
        failures = health.failures(settling.status)
        if failures:
            return self._api.redaction.text("; ".join(str(failure) for failure in failures)), failures[0].advice
        word = health.state(settling.status)
        return f"after {self._timeout:g} s it is {word}, not {settling.target} for {self._settle:g} s", None

    def _end(
        self,
        change: Change,
        result: Result,
        settling: Settling | None = None,
        *,
        cause: str | None = None,
        advice: str | None = None,
    ) -> None:
        if settling is not None and cause is None:
            cause, advice = self._why(settling)
            advice = advice or f"seam connectors restart {change.connector}"
        name = change.connector
        seconds = self._clock() - self._began[name] if name in self._began else 0.0
        self._outcomes[name] = Outcome(name, change.action, result, cause, advice, seconds)
