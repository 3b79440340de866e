"""Day-to-day work on single connectors: pause, resume, stop, restart what failed, delete; each waits for its effect."""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from cdc.errors import ConnectApiError, OperatorError, WaitExpired
from connectors import health
from connectors.connect_api import ConnectApi
from connectors.connect_types import ConnectorStatus, Offset
from connectors.settling import Settling, Verdict

POLL: Final = 0.2  # seconds
# Debezium ends a task within 0.2 to 1.5 s, with a full queue within 5 s.
STOP_TIMEOUT: Final = 30.0
_FIRST_BACKOFF: Final = 2.0  # seconds before the second try, three times as long before each further one

_READS_NOTHING: Final = ("no_data", "never")
WHY_SAFE: Final = (
    "Debezium for Postgres loses rows when it goes on from its own offsets in the middle of a transaction; "
    "it is stopped, its position set back to the end of the last whole transaction, and resumed"
)


@dataclass(frozen=True, slots=True)
class Restart:
    """What a restart did.

    Attributes:
        connector: Its name.
        restarted: What was restarted: `connector`, `task 0`, ...
        form: `nothing failed`, `failed parts`, `everything` or `safe`.
        attempts: How often it was tried.
        note: Why that form.
    """

    connector: str
    restarted: tuple[str, ...]
    form: str
    attempts: int = 0
    note: str = ""

    def as_json(self) -> dict[str, Any]:
        """The restart as a JSON object."""
        return {
            "connector": self.connector,
            "restarted": list(self.restarted),
            "form": self.form,
            "attempts": self.attempts,
            "note": self.note,
        }


@dataclass(frozen=True, slots=True)
class Operator:
    """Operates connectors and waits for the effect.

    Attributes:
        api: The client.
        settle: Seconds that a restarted connector must run without a pause.
        timeout: Seconds for an effect.
        clock: Seconds, monotonic.
        sleep: Waits for some seconds.
        say: Told what is done.
    """

    api: ConnectApi
    settle: float = 3.0
    timeout: float = 60.0
    clock: Callable[[], float] = time.monotonic
    sleep: Callable[[float], None] = time.sleep
    say: Callable[[str], None] = field(default=lambda _text: None)

    def existing(self, name: str) -> dict[str, str]:
        """The configuration of a connector that must be there.

        Raises:
            ConnectApiError: There is none of that name.
        """
        config = self.api.config(name)
        if config is None:
            known = ", ".join(sorted(self.api.names())) or "none"
            raise ConnectApiError(f"there is no connector {name}; the cluster has {known}", status=404)
        return config

    def pause(self, name: str) -> None:
        """Pause, and wait until every task rests."""
        self.existing(name)
        self.api.pause(name)
        self.reach(name, health.PAUSED)

    def resume(self, name: str) -> None:
        """Resume, and wait until connector and tasks run."""
        self.existing(name)
        self.api.resume(name)
        self.reach(name, health.RUNNING)

    def stop(self, name: str) -> None:
        """Stop, and wait until there are no tasks."""
        self.existing(name)
        status = self.api.status(name)
        # One that was born stopped, and is stopped once more, has no offsets that could be reset any more: 500 with a
        # NullPointerException over its "taskConfigGeneration" (4.3, exactly.once.source.support=enabled).
        if health.state(status) != health.STOPPED or (status is not None and status.tasks):
            self.api.stop(name)
        self.reach(name, health.STOPPED)

    def delete(self, name: str, *, offsets: bool = False) -> None:
        """Delete a connector.

        Args:
            name: The connector.
            offsets: Forget its offsets too; else a connector of the same name goes on from them.
        """
        self.existing(name)
        if offsets:
            self.stop(name)
            self.api.reset_offsets(name)
        self.api.delete(name)
        end = self.clock() + self.timeout
        while name in self.api.names():
            if self.clock() >= end:
                raise WaitExpired(f"{name} was deleted, and after {self.timeout:g} s the cluster still lists it")
            self.sleep(POLL)

    def reach(self, name: str, target: str, *, stale: Collection[str] = ()) -> None:
        """Wait until a connector has reached a state.

        Args:
            name: The connector.
            target: RUNNING, PAUSED or STOPPED.
            stale: Traces that may still be shown from before.

        Raises:
            OperatorError: It failed instead; with the cause.
            WaitExpired: It did neither in time.
        """
        settle = self.settle if target == health.RUNNING else 0.0
        settling = Settling(target, self.clock(), settle, self.timeout, frozenset(stale))
        while True:
            verdict = settling.feed(self.clock(), self.api.status(name))
            if verdict is Verdict.SETTLED:
                return
            if verdict in (Verdict.FAILED, Verdict.STALE):
                failures = health.failures(settling.status)
                cause = self.api.redaction.text("; ".join(str(failure) for failure in failures))
                raise OperatorError(f"{name} does not reach {target}: {cause}", hint=failures[0].advice)
            if verdict is Verdict.LATE:
                raise WaitExpired(f"{name} is {health.state(settling.status)} after {self.timeout:g} s, not {target}")
            self.sleep(POLL)

    # Restarting.

    def restart(self, name: str, *, everything: bool = False, attempts: int = 3) -> Restart:
        """Restart what failed, with growing pauses between the tries, and wait until it runs.

        Args:
            name: The connector.
            everything: Restart what runs too.
            attempts: Tries before it is given up; Connect itself never restarts failed tasks.

        Raises:
            OperatorError: It fails again each time; with the cause.
        """
        config = self.existing(name)
        status = self.api.status(name)
        failed = health.failures(status)
        if not failed and not everything:
            return Restart(
                name, (), "nothing failed", note=f"it is {health.state(status)}; --everything restarts it all the same"
            )
        parts = tuple("connector" if one.task is None else f"task {one.task}" for one in failed)
        if everything:
            parts = ("connector", *(f"task {task.id}" for task in (status.tasks if status else [])))
        safe = is_debezium_postgres(config)
        form = "safe" if safe else ("everything" if everything else "failed parts")
        for attempt in range(1, attempts + 1):
            self.sleep(0 if attempt == 1 else _FIRST_BACKOFF * 3 ** (attempt - 2))
            note = WHY_SAFE if safe else ""
            if safe:
                self._restart_safely(name, config)
            else:
                self.api.restart(name, include_tasks=True, only_failed=not everything)
            try:
                self.reach(name, health.RUNNING, stale={failure.trace for failure in failed})
            except OperatorError as error:
                self.say(f"try {attempt} of {attempts}: {error}")
                if attempt == attempts:
                    raise
            else:
                return Restart(name, parts, form, attempt, note)
        raise AssertionError("the last try returns or raises")

    def _restart_safely(self, name: str, config: Mapping[str, str]) -> None:
        self.say(f"{name}: {WHY_SAFE}")
        self.stop(name)
        self.rewind(name, config)
        self.api.resume(name)

    def rewind(self, name: str, config: Mapping[str, str]) -> None:
        """Set a stopped Debezium for Postgres back to the end of the last whole transaction.

        Args:
            name: The connector.
            config: What it will start with.
        """
        if config.get("snapshot.mode", "initial").strip().lower() in _READS_NOTHING:
            self.api.reset_offsets(name)  # it goes on at the slot's confirmed position
        elif (whole := whole_transactions(self.api.offsets(name))) is not None:
            self.api.alter_offsets(name, whole)  # without offsets it would read every table again


def is_debezium_postgres(config: Mapping[str, str]) -> bool:
    """Whether a restart on its own offsets may lose rows."""
    return config.get("connector.class", "").endswith(("PostgresConnector", ".Postgres"))


def whole_transactions(stored: list[Offset]) -> list[Offset] | None:
    """Debezium's Postgres offsets set back to the end of the last whole transaction; None in a snapshot, or without any.

    Before the first commit that it saw there is no `lsn_commit`: then the row's own position is given out as a commit,
    and the server sends the transaction, which commits later, from its begin.
    """
    found: list[Offset] = []
    for entry in stored:
        offset = entry.offset
        if offset is None or offset.get("snapshot") not in (None, False, "false"):
            return None
        position = offset.get("lsn_commit") or offset.get("lsn_proc")
        if position is None:
            return None
        commit = {"lsn": position, "lsn_proc": position, "lsn_commit": position, "messageType": "COMMIT"}
        found.append(Offset(entry.partition, {**offset, **commit}))
    return found or None


def status_document(name: str, status: ConnectorStatus | None, scrub: Callable[[str], str]) -> dict[str, Any]:
    """One connector's state as a JSON object, without secrets."""
    causes = {failure.task: failure for failure in health.failures(status)}

    def part(number: int | None, state: str, worker: str, version: str | None) -> dict[str, Any]:
        failure = causes.get(number)
        shown: dict[str, Any] = {"state": state, "worker": worker, "version": version}
        if failure is not None:
            shown |= {"cause": scrub(failure.cause), "advice": failure.advice, "trace": scrub(failure.trace)}
        return shown

    if status is None:
        return {"name": name, "state": health.UNKNOWN, "type": None, "connector": None, "tasks": []}
    own = status.connector
    return {
        "name": name,
        "state": health.state(status),
        "type": status.type,
        "connector": part(None, own.state, own.worker_id, own.version),
        "tasks": [{"id": task.id, **part(task.id, task.state, task.worker_id, task.version)} for task in status.tasks],
    }
