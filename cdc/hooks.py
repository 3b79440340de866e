"""What the loop calls out to, so that it knows neither configuration nor files."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from cdc.errors import SeamError
from cdc.render import Record
from cdc.snapshotter import Snapshotter
from cdc.source import SourceState
from cdc.wire.pgoutput import PgOutput


@dataclass(slots=True)
class Hooks:
    """What the loop calls out to.

    Attributes:
        records_of: Records of the messages that are not rows (begin, commit, truncate, logical message).
        boundaries: Whether there may be records of a begin or a commit.
        dead_letter: Takes the error of one record with its message's payload, and returns what to send instead;
            None where such an error ends the task.
        watch: Looks after publication and heartbeats, on the loop's thread; returns records to send.
        watch_seconds: How often.
        failpoint: Called with the name of each step; tests kill the process there.
        partitions: Topic -> the explicit partition of its records, as Debezium's heartbeats have one.
        snapshot: Reads the rows that are older than the slot; None when there is nothing to read.
        extended_headers: Whether snapshot rows carry headers.
        placed: Whether records may be `Placed`, as transforms make them.
        latest: Topic -> further topics that get the rows of chunks too.
        streamed: Told the id of each transaction that begins.
        pending: Whether something was asked for that must be done before a goal counts as reached.
    """

    records_of: Callable[[PgOutput, int, SourceState], Sequence[Record]] = lambda _message, _lsn, _state: ()
    boundaries: bool = True
    dead_letter: Callable[[SeamError, bytes, SourceState], Sequence[Record]] | None = None
    watch: Callable[[], Sequence[Record]] = lambda: ()
    watch_seconds: float = 5.0
    failpoint: Callable[[str], None] = lambda _name: None
    partitions: Mapping[str, int] = field(default_factory=dict)
    snapshot: Snapshotter | None = None
    extended_headers: bool = True
    placed: bool = False
    latest: Mapping[str, Sequence[str]] = field(default_factory=dict)
    streamed: Callable[[int], None] = lambda _xid: None
    pending: Callable[[], bool] = lambda: False
