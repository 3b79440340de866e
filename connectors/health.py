"""How a connector is, derived from what Connect says about its parts; and the cause of a failure for people. Pure.

A RUNNING connector whose tasks have all failed is common; Connect's own state says nothing about that.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final

from connectors.connect_types import ConnectorState, ConnectorStatus, TaskState

RUNNING: Final = "RUNNING"
DEGRADED: Final = "DEGRADED"
FAILED: Final = "FAILED"
PAUSED: Final = "PAUSED"
STOPPED: Final = "STOPPED"
UNASSIGNED: Final = "UNASSIGNED"
NO_TASKS: Final = "NO_TASKS"
UNKNOWN: Final = "UNKNOWN"


@dataclass(frozen=True, slots=True)
class Failure:
    """Why a connector or a task failed.

    Attributes:
        task: The task's number, or None for the connector itself.
        worker: The worker that it ran on.
        cause: The last cause of its trace, one line.
        advice: What to do, where the cause is a known one.
        trace: The whole trace.
    """

    task: int | None
    worker: str
    cause: str
    advice: str | None
    trace: str

    def __str__(self) -> str:
        what = "the connector itself" if self.task is None else f"task {self.task}"
        return f"{what} on {self.worker or 'no worker'}: {self.cause}"


def state(status: ConnectorStatus | None) -> str:
    """One word for a connector and its tasks."""
    if status is None:
        return UNKNOWN
    own, tasks = status.connector.state, [task.state for task in status.tasks]
    if own == "FAILED" or (tasks and all(task == "FAILED" for task in tasks)):
        return FAILED
    if "FAILED" in tasks:
        return DEGRADED
    if own in ("STOPPED", "PAUSED"):
        return own
    if own != "RUNNING" or any(task != "RUNNING" for task in tasks):
        return UNASSIGNED
    return RUNNING if tasks else NO_TASKS


def failures(status: ConnectorStatus | None) -> list[Failure]:
    """What failed, the connector first."""
    if status is None:
        return []
    parts: list[tuple[int | None, ConnectorState | TaskState]] = [(None, status.connector)]
    parts += [(task.id, task) for task in status.tasks]
    return [
        Failure(number, part.worker_id, cause(part.trace or ""), advice(part.trace or ""), part.trace or "")
        for number, part in parts
        if part.state == "FAILED"
    ]


def cause(trace: str) -> str:
    """The last cause of a stack trace: its message, with the class where there is no message."""
    lines = [line.strip() for line in trace.splitlines() if line.strip()]
    causes = [line.removeprefix("Caused by:").strip() for line in lines if line.startswith("Caused by:")]
    last = causes[-1] if causes else (lines[0] if lines else "no trace")
    exception, separator, message = last.partition(": ")
    if not separator or not re.fullmatch(r"[\w.$]+", exception):
        return last
    return f"{message.strip()} ({exception.rpartition('.')[2]})" if message.strip() else exception


_ADVICE: Final[tuple[tuple[str, str], ...]] = (
    (
        r"replication slot \"[^\"]*\" is active",
        "another process reads this slot: stop it, or give this connector another slot.name",
    ),
    (
        r"all replication slots are in use",
        "raise max_replication_slots on the server, or drop slots that nobody reads",
    ),
    (
        r"password authentication failed|Access denied for user",
        "check the user and the password that the worker resolves",
    ),
    (
        r"Last recorded offset is no longer available",
        "the stored position is gone from the server's log: `seam connectors offsets reset NAME`, and a snapshot.mode that fits",
    ),
    (
        r"[Uu]nknown host|UnknownHostException|Name or service not known",
        "the worker cannot resolve this host name",
    ),
    (
        r"Connection refused|Connection to \S+ refused|Communications link failure",
        "the worker cannot reach the database or service: check host, port and firewall from the worker's machine",
    ),
    (
        r"wal_level",
        "set wal_level=logical on the server and start it anew",
    ),
    (
        r"binlog_format|binlog_row_image|binary log",
        "set log_bin, binlog_format=ROW and binlog_row_image=FULL on the server",
    ),
    (
        r"permission denied|must be superuser|insufficient privilege|ORA-01031",
        "grant the privileges that the template's check list names",
    ),
    (
        r"publication \"[^\"]*\" does not exist",
        "create the publication, or let publication.autocreate.mode=filtered do so",
    ),
    (
        r"No field insertion configured",
        "the transform has no field to insert: set one of its *.field options",
    ),
    (
        r"Only (Struct|Map) objects supported",
        "the transform meets records of another form: guard it with a predicate, or check the converter's schemas.enable",
    ),
    (
        r"JsonConverter with schemas\.enable requires",
        "the topic holds JSON without schemas: set value.converter.schemas.enable=false (and key.converter...)",
    ),
    (
        r"Converting byte\[\] to Kafka Connect data failed|Unknown magic byte",
        "the converter does not fit what is in the topic",
    ),
    (
        r"Tolerance exceeded in error handler",
        "a record could not be carried: the cause stands below it in the trace",
    ),
    (
        r"ClassNotFoundException|NoClassDefFoundError",
        "the plugin's directory lacks a jar (a driver, often)",
    ),
    (
        r"TopicAuthorizationException|Not authorized to access",
        "the worker's principal lacks an ACL for this topic or group",
    ),
    (
        r"RecordTooLargeException",
        "raise producer.override.max.request.size here and max.message.bytes on the topic",
    ),
    (
        r"BlackbirdModule not a subtype",
        "remove jackson-*.jar from the plugin's directory: the worker has its own",
    ),
)


def advice(trace: str) -> str | None:
    """What to do about a failure, where its cause is a known one."""
    return next((text for pattern, text in _ADVICE if re.search(pattern, trace)), None)
