"""When a connector counts as up, or as failed."""

from __future__ import annotations

from connectors.connect_types import ConnectorState, ConnectorStatus, TaskState
from connectors.settling import FAILED_FOR, STALE_FOR, Settling, Verdict


def status(own: str, *tasks: str, trace: str = "new") -> ConnectorStatus:
    states = [TaskState(n, task, trace=trace if task == "FAILED" else None) for n, task in enumerate(tasks)]
    return ConnectorStatus("a", ConnectorState(own), states)


def settling(target: str = "RUNNING", *, stale: tuple[str, ...] = ()) -> Settling:
    return Settling(target, started=0.0, settle=3.0, timeout=60.0, stale=stale)


UP = status("RUNNING", "RUNNING", "RUNNING")


def test_it_is_up_once_connector_and_tasks_ran_for_the_settling_time() -> None:
    ours = settling()
    assert ours.feed(0.0, None) is Verdict.WAITING
    assert ours.feed(1.0, UP) is Verdict.WAITING
    assert ours.feed(3.9, UP) is Verdict.WAITING
    assert ours.feed(4.0, UP) is Verdict.SETTLED


def test_an_interruption_starts_the_settling_time_anew() -> None:
    ours = settling()
    ours.feed(0.0, UP)
    ours.feed(2.9, status("RUNNING", "RUNNING", "RESTARTING"))
    assert ours.feed(3.0, UP) is Verdict.WAITING
    assert ours.feed(6.0, UP) is Verdict.SETTLED


def test_a_failure_counts_when_it_lasts() -> None:
    ours = settling()
    assert ours.feed(0.0, status("RUNNING", "RUNNING", "FAILED")) is Verdict.WAITING
    assert ours.feed(FAILED_FOR, status("RUNNING", "RUNNING", "FAILED")) is Verdict.FAILED


def test_the_failure_of_the_former_configuration_is_told_from_a_new_one() -> None:
    ours = settling(stale=("old",))
    assert ours.feed(0.0, status("RUNNING", "FAILED", trace="old")) is Verdict.WAITING
    assert ours.feed(STALE_FOR, status("RUNNING", "FAILED", trace="old")) is Verdict.STALE
    assert ours.feed(STALE_FOR + 1, status("RUNNING", "FAILED", trace="new")) is Verdict.WAITING
    assert ours.feed(STALE_FOR + 1 + FAILED_FOR, status("RUNNING", "FAILED", trace="new")) is Verdict.FAILED


def test_a_source_without_tasks_is_up_only_after_longer() -> None:
    ours = settling()
    assert ours.feed(0.0, status("RUNNING")) is Verdict.WAITING
    assert ours.feed(3.0, status("RUNNING")) is Verdict.WAITING
    assert ours.feed(9.0, status("RUNNING")) is Verdict.SETTLED


def test_what_never_gets_there_is_late() -> None:
    ours = settling()
    assert ours.feed(59.0, status("UNASSIGNED")) is Verdict.WAITING
    assert ours.feed(60.0, status("UNASSIGNED")) is Verdict.LATE
    assert settling().feed(60.0, None) is Verdict.LATE


def test_stopped_means_without_tasks() -> None:
    ours = settling("STOPPED")
    assert ours.feed(0.0, status("STOPPED", "RUNNING")) is Verdict.WAITING
    assert ours.feed(1.0, status("STOPPED")) is Verdict.WAITING
    assert ours.feed(2.0, status("STOPPED")) is Verdict.SETTLED


def test_a_failed_task_does_not_keep_a_connector_from_being_paused_or_stopped() -> None:
    for target, seen in (("PAUSED", status("PAUSED", "FAILED", "PAUSED")), ("STOPPED", status("STOPPED"))):
        ours = settling(target)
        assert ours.feed(0.0, status("RUNNING", "FAILED")) is Verdict.WAITING
        assert ours.feed(5.0, seen) is Verdict.WAITING
        assert ours.feed(6.0, seen) is Verdict.SETTLED
