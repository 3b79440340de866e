"""What a running engine is asked to do beside its stream, and how far it has come: one JSON record per request.

A request is asked for by a command, or by a signal of Debezium's; the engine alone moves it on. Source of the signals'
names: Debezium documentation, "Sending signals to a Debezium connector".
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from enum import Enum
from typing import Any, Final

import msgspec

VERSION: Final = 1


class State(Enum):
    """How a request stands."""

    REQUESTED = "requested"
    RUNNING = "running"
    PAUSED = "paused"
    DONE = "done"
    STOPPED = "stopped"
    FAILED = "failed"

    @property
    def ended(self) -> bool:
        """Whether nothing more will happen to it."""
        return self in (State.DONE, State.STOPPED, State.FAILED)


class Kind(Enum):
    """What is asked for: Debezium's words, and two of our own.

    `leave`: to stop, since another engine takes over; `delete-gone`: to send the deletes of rows that a topic still has and
    the database does not.
    """

    SNAPSHOT = "execute-snapshot"
    STOP = "stop-snapshot"
    PAUSE = "pause-snapshot"
    RESUME = "resume-snapshot"
    LOG = "log"
    LEAVE = "leave"
    DELETE = "delete-gone"


class UnreadableRequest(ValueError):
    """A record is not a request of a version that is known here."""


@dataclass(frozen=True, slots=True)
class Request:
    """One request.

    Attributes:
        pipeline: The connector's name.
        id: Unique within the pipeline.
        kind: What is asked for.
        state: How it stands.
        tables: Regular expressions that match the whole `schema.table`, in any case; for a control signal none means all.
        where: Table, in lower case -> SQL condition of the rows that are wanted.
        selects: Table, in lower case -> the SELECT that stands in for it (a blocking snapshot's filter).
        rate: Rows per second; 0 for no limit.
        marker: `source.snapshot` of its rows.
        rows: Rows that are durable.
        estimate: How many there may be, 0 for unknown.
        progress: Table -> how far it has come, in the snapshot's own terms.
        held: Tables, in lower case, that were paused.
        dropped: Tables, in lower case, that were stopped.
        message: What went wrong, or what a `log` signal says.
        time: When it was asked for, seconds since the Unix epoch.
        gone: Rows to be deleted, as `cdc.postgres.gone_rows` writes them.
    """

    pipeline: str
    id: str
    kind: Kind = Kind.SNAPSHOT
    state: State = State.REQUESTED
    tables: tuple[str, ...] = ()
    where: Mapping[str, str] = field(default_factory=dict)
    selects: Mapping[str, str] = field(default_factory=dict)
    rate: int = 0
    marker: str = "incremental"
    rows: int = 0
    estimate: int = 0
    progress: Mapping[str, Any] = field(default_factory=dict)
    held: tuple[str, ...] = ()
    dropped: tuple[str, ...] = ()
    message: str = ""
    time: float = 0.0
    gone: tuple[Mapping[str, Any], ...] = ()

    @property
    def key(self) -> bytes:
        """Its key in the topic."""
        return f"{self.pipeline}/{self.id}".encode()

    def encode(self) -> bytes:
        """The request as JSON."""
        document = {name: getattr(self, name) for name in _FIELDS}
        if self.gone:  # an older engine knows no such field, and need not see it in other requests
            document["gone"] = self.gone
        return msgspec.json.encode({"version": VERSION, **document, "kind": self.kind.value, "state": self.state.value})

    def failed(self, message: str) -> Request:
        """It cannot be done."""
        return replace(self, state=State.FAILED, message=message)

    def same_work(self, other: Request) -> bool:
        """Whether another request asks for the same rows."""
        return (self.kind, self.tables, dict(self.where), dict(self.selects), self.gone) == (
            other.kind, other.tables, dict(other.where), dict(other.selects), other.gone,
        )  # fmt: skip


_FIELDS: Final = (
    "pipeline", "id", "tables", "where", "selects", "rate", "marker", "rows", "estimate", "progress", "held", "dropped", "message", "time",
)  # fmt: skip


def decode_request(data: bytes) -> Request:
    """Read a request.

    Raises:
        UnreadableRequest: It is not one, or of a newer version.
    """
    try:
        document = msgspec.json.decode(data)
        if document.pop("version") != VERSION:
            raise UnreadableRequest("a request of another version; was it written by a newer seam?")
        kind, state = Kind(document.pop("kind")), State(document.pop("state"))
        for name in ("tables", "held", "dropped"):
            document[name] = tuple(document[name])
        document["gone"] = tuple(document.get("gone", ()))
        return Request(kind=kind, state=state, **document)
    except (msgspec.DecodeError, AttributeError, KeyError, TypeError, ValueError) as error:
        if isinstance(error, UnreadableRequest):
            raise
        raise UnreadableRequest(f"not a request: {type(error).__name__}: {error}") from error


@dataclass(slots=True)
class RequestBook:
    """All requests of one pipeline, as the topic's records tell them.

    Attributes:
        pipeline: The connector's name.
        by_id: In the order in which they were first seen.
        damaged: Keys of records that cannot be read.
    """

    pipeline: str
    by_id: dict[str, Request] = field(default_factory=dict)
    damaged: set[str] = field(default_factory=set)

    def add(self, key: bytes | None, value: bytes | None) -> Request | None:
        """Take over a record of the topic.

        Returns:
            The request; None for another pipeline's, a deleted or a damaged one.
        """
        if key is None or not key.startswith(self.pipeline.encode() + b"/"):
            return None
        name = key.decode("utf-8", "replace")[len(self.pipeline) + 1 :]
        if value is None:
            self.by_id.pop(name, None)
            return None
        try:
            request = decode_request(value)
        except UnreadableRequest:
            self.damaged.add(name)
            return None
        if request.pipeline != self.pipeline or request.id != name:
            return None  # a pipeline whose name begins like ours and a slash
        known = self.by_id.get(name)
        if known is not None and known.state.ended and not request.state.ended:
            return None  # a signal that was read again after a restart; the work is done
        self.by_id[name] = request
        return request

    def put(self, request: Request) -> Request:
        """The engine has moved a request on."""
        self.by_id[request.id] = request
        return request

    def open(self, kind: Kind | None = None) -> list[Request]:
        """Those that have not ended, in order."""
        return [request for request in self.by_id.values() if not request.state.ended and kind in (None, request.kind)]
