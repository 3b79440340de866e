"""`__seam.progress`: how far the log is in Kafka, so that a reader knows when it has seen a write.

One partition, compacted, key = topic prefix. A record says: every transaction that ends at or below the frontier is in
Kafka, and lies below these offsets. It is written after the data is acknowledged, so who has applied the offsets shows
everything up to the frontier.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final

import msgspec

from cdc.errors import SeamError
from cdc.kafka.client import ClientOptions
from cdc.kafka.follower import Follower, OffsetGone, Place
from cdc.lsn import LSN

PROGRESS_TOPIC: Final = "__seam.progress"
PARTITION: Final = 0
WRITE_SECONDS: Final = 0.005
TOKENS_KEPT: Final = 64
"""Ids of the last messages stand in each record, so that one that begins to read late still finds a fresh one."""

_VERSION: Final = 1
_MISSING_SECONDS: Final = 0.5

_ANSWER_SECONDS: Final = 2.0
"""After so long without an answer a wait that ends in vain says that the broker is away."""


@dataclass(frozen=True, slots=True)
class ProgressRecord:
    """What one record says.

    Attributes:
        system_id: Of the server.
        timeline: Of the server.
        frontier: End LSN of the last transaction that is in Kafka, or a keepalive's position beyond it.
        offsets: Next offset of each partition that was written to: the data of the frontier lies below.
        tokens: Ids of messages (`seam.token`) that lie at or below the frontier, the last ones.
        time: Unix time, seconds.
        since: Where this run of the engine began: its records name every id behind it.
        count: How many ids this run has named so far; more than a reader saw means that compaction took some.
    """

    system_id: int
    timeline: int
    frontier: LSN
    offsets: Mapping[Place, int]
    tokens: tuple[str, ...] = ()
    time: float = 0.0
    since: LSN = LSN(0)
    count: int = 0

    def encode(self) -> bytes:
        """The record as JSON."""
        offsets: dict[str, dict[str, int]] = {}
        for (topic, partition), offset in self.offsets.items():
            offsets.setdefault(topic, {})[str(partition)] = offset
        return msgspec.json.encode(
            {
                "version": _VERSION, "system_id": str(self.system_id), "timeline": self.timeline,
                "frontier": str(self.frontier), "offsets": offsets, "tokens": self.tokens, "time": self.time,
                "since": str(self.since), "count": self.count,
            }
        )  # fmt: skip

    @classmethod
    def decode(cls, data: bytes) -> ProgressRecord:
        """Read a record.

        Raises:
            ValueError: It is none, or of a newer version.
        """
        try:
            document = msgspec.json.decode(data)
            if document["version"] != _VERSION:
                raise ValueError(f"version {document['version']}")
            return cls(
                int(document["system_id"]), document["timeline"], LSN.parse(document["frontier"]),
                {(topic, int(p)): n for topic, places in document["offsets"].items() for p, n in places.items()},
                tuple(document["tokens"]), float(document["time"]),
                # A writer that does not say where it began vouches for nothing before its first record.
                LSN.parse(document.get("since", document["frontier"])), document.get("count", 0),
            )  # fmt: skip
        except (msgspec.DecodeError, KeyError, TypeError, AttributeError) as error:
            raise ValueError(f"a damaged progress record: {type(error).__name__}") from error


class ProgressWriter:
    """What an engine needs to tell its progress; one per run.

    Args:
        prefix: `topic.prefix`, the record's key.
        system_id: Of the server.
        timeline: Of the server.
        start: The end LSN that the run began at.
        offsets: The ends of the prefix's partitions at the start, where known: readers then need not ask for them.

    Attributes:
        key: The record's key.
    """

    def __init__(
        self,
        prefix: str,
        system_id: int,
        timeline: int,
        start: LSN,
        offsets: Mapping[Place, int] | None = None,
    ) -> None:
        self.key = prefix.encode()
        self._system_id = system_id
        self._timeline = timeline
        self._start = start
        self._offsets: dict[Place, int] = dict(offsets or {})
        self._running: list[str] = []
        self._ended: deque[tuple[LSN, str]] = deque()
        self._tokens: deque[str] = deque(maxlen=TOKENS_KEPT)
        self._count = 0
        self._written = LSN(0)
        self._written_time = 0.0

    def delivered(self, topic: str, partition: int, offset: int) -> None:
        """Kafka has acknowledged a record of data."""
        place = topic, partition
        if offset >= self._offsets.get(place, 0):
            self._offsets[place] = offset + 1

    def token(self, identity: str, lsn: LSN | None = None) -> None:
        """A message `seam.token` was read.

        Args:
            identity: Its content.
            lsn: Its own position when it is not transactional; otherwise its transaction's end decides.
        """
        if lsn is None:
            self._running.append(identity)
        else:
            self._ended.append((lsn, identity))

    def committed(self, end_lsn: LSN) -> None:
        """The running transaction ended."""
        if self._running:
            self._ended.extend((end_lsn, identity) for identity in self._running)
            self._running = []

    def due(self, frontier: LSN, now: float, *, idle: bool) -> bool:
        """Whether a record should be written now.

        Args:
            frontier: What is acknowledged.
            now: Monotonic time, seconds.
            idle: Whether nothing more has arrived.
        """
        return frontier > self._written and (idle or now - self._written_time >= WRITE_SECONDS)

    def record(self, frontier: LSN) -> bytes:
        """The record to write, once everything up to the frontier is acknowledged.

        Args:
            frontier: End LSN of the last acknowledged transaction, or a keepalive's position while nothing is pending.
        """
        while self._ended and self._ended[0][0] <= frontier:
            self._tokens.append(self._ended.popleft()[1])
            self._count += 1
        self._written, self._written_time = frontier, time.monotonic()
        return ProgressRecord(
            self._system_id,
            self._timeline,
            frontier,
            self._offsets,
            tuple(self._tokens),
            time.time(),
            self._start,
            self._count,
        ).encode()


Listener = Callable[[str, ProgressRecord], None]


class ProgressFeed:
    """Follows the topic in a thread of its own.

    Args:
        options: How Kafka is reached.

    Attributes:
        latest: The last record of each prefix.
        loaded: Set when everything that was there at the start was read.
        error: What ended the feed, if anything did.
    """

    def __init__(self, options: ClientOptions) -> None:
        self._options = options
        self.latest: dict[str, ProgressRecord] = {}
        self.loaded = threading.Event()
        self.error: SeamError | None = None
        self._listeners: list[Listener] = []
        self._lock = threading.Lock()
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="progress", daemon=True)
        self._started = False

    def start(self) -> ProgressFeed:
        """Begin to read; nothing if it does."""
        with self._lock:
            if not self._started:
                self._started = True
                self._thread.start()
        return self

    def listen(self, listener: Listener) -> None:
        """Call a function with each record from here on, the last known ones first; from the feed's thread."""
        with self._lock:
            for prefix, record in self.latest.items():
                listener(prefix, record)
            self._listeners.append(listener)

    def forget(self, listener: Listener) -> None:
        """Stop calling it."""
        with self._lock:
            self._listeners.remove(listener)

    def close(self) -> None:
        """End the thread."""
        self._stop.set()
        if self._thread.is_alive():
            self._thread.join(10.0)

    def _run(self) -> None:
        while not self._stop.is_set():
            try:
                with Follower(self._options) as follower:
                    self._follow(follower)
            except OffsetGone:
                continue  # the topic was made anew
            except SeamError as error:
                self.error = error
                if self._stop.wait(1.0):
                    return

    def _follow(self, follower: Follower) -> None:
        while not follower.partitions([PROGRESS_TOPIC], seconds=_ANSWER_SECONDS):
            self.loaded.set()  # nothing is there: no engine has told anything yet
            if self._stop.wait(_MISSING_SECONDS):
                return
        place = PROGRESS_TOPIC, PARTITION
        bounds = follower.bounds([place])[place]
        follower.assign({place: bounds.begin})
        live = False
        while not self._stop.is_set():
            if not live and follower.positions().get(place, bounds.begin) >= bounds.end:
                live = True
                self._tell_all()
                self.loaded.set()
            for message in follower.read(seconds=0.1):
                if message.key() is not None and follower.check(message):
                    self._take(message, live=live)
            self.error = None

    def _tell_all(self) -> None:
        """Of what was there at the start, only the last record of each prefix matters."""
        with self._lock:
            for prefix, record in self.latest.items():
                for listener in self._listeners:
                    listener(prefix, record)

    def _take(self, message: Any, *, live: bool) -> None:
        value = message.value()
        if value is None:
            return
        try:
            prefix, record = message.key().decode(), ProgressRecord.decode(value)
        except ValueError:
            return  # damaged, or of a newer version: a wait ends in vain rather than too early
        with self._lock:
            self.latest[prefix] = record
            for listener in self._listeners if live else ():
                listener(prefix, record)
