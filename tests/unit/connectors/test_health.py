"""One word for a connector, and one line for its failure."""

from __future__ import annotations

import pytest

from connectors.connect_types import ConnectorState, ConnectorStatus, TaskState
from connectors.health import advice, cause, failures, state


def status(own: str, *tasks: str) -> ConnectorStatus:
    return ConnectorStatus("a", ConnectorState(own), [TaskState(n, task) for n, task in enumerate(tasks)])


@pytest.mark.parametrize(
    ("own", "tasks", "word"),
    [
        ("RUNNING", ("RUNNING", "RUNNING"), "RUNNING"),
        ("RUNNING", ("RUNNING", "FAILED"), "DEGRADED"),
        ("RUNNING", ("FAILED",), "FAILED"),
        ("FAILED", (), "FAILED"),
        ("RUNNING", (), "NO_TASKS"),
        ("RUNNING", ("UNASSIGNED",), "UNASSIGNED"),
        ("RUNNING", ("RESTARTING",), "UNASSIGNED"),
        ("UNASSIGNED", ("RUNNING",), "UNASSIGNED"),
        ("PAUSED", ("PAUSED",), "PAUSED"),
        ("PAUSED", ("FAILED",), "FAILED"),
        ("STOPPED", (), "STOPPED"),
    ],
)
def test_one_word_says_how_connector_and_tasks_are(own: str, tasks: tuple[str, ...], word: str) -> None:
    assert state(status(own, *tasks)) == word


def test_a_connector_without_a_status_is_unknown() -> None:
    assert state(None) == "UNKNOWN"
    assert failures(None) == []


TRACE = """org.apache.kafka.connect.errors.ConnectException: Error while starting
\tat io.debezium.A.b(A.java:1)
Caused by: org.apache.kafka.connect.errors.RetriableException: once more
\t... 7 more
Caused by: org.postgresql.util.PSQLException: FATAL: password authentication failed for user "seam"
\tat org.postgresql.C.d(C.java:2)
"""


def test_the_cause_of_a_trace_is_its_last_one_with_what_to_do() -> None:
    failed = ConnectorStatus(
        "a", ConnectorState("RUNNING"), [TaskState(3, "FAILED", "w:1", TRACE), TaskState(4, "RUNNING")]
    )
    (failure,) = failures(failed)
    assert failure.cause == 'FATAL: password authentication failed for user "seam" (PSQLException)'
    assert failure.advice == "check the user and the password that the worker resolves"
    assert str(failure).startswith("task 3 on w:1: FATAL")


@pytest.mark.parametrize(
    ("trace", "line"),
    [
        ("", "no trace"),
        ("java.lang.NullPointerException\n\tat x", "java.lang.NullPointerException"),
        ("java.lang.X: said so", "said so (X)"),
        ("Caused by: no class here: really", "no class here: really"),
    ],
)
def test_traces_of_other_forms_have_a_cause_too(trace: str, line: str) -> None:
    assert cause(trace) == line


def test_an_unknown_cause_has_no_advice() -> None:
    assert advice("something new") is None
