"""When a write can be seen: tokens against the progress that the engine has told and the offsets that a view has applied.

A waiter is registered first and looked at then, so that what happens in between is not missed. A change looks at the
waiters that it may have fulfilled, not at all of them.
"""

from __future__ import annotations

import heapq
import itertools
import threading
import time
from collections import OrderedDict, deque
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass, field
from enum import Enum
from typing import Final

from cdc.errors import OperatorError
from cdc.kafka.progress import ProgressRecord
from cdc.lsn import LSN
from cdc.tokens import AnyToken, PlaceToken, Token

Place = tuple[str, int]

IDS_KEPT: Final = 100_000
PENDING_KEPT: Final = 2000
PROBE_SECONDS: Final = 0.2


class Outcome(Enum):
    """How a wait ends."""

    VISIBLE = "visible"
    TIMEOUT = "timeout"
    ABORTED = "aborted"
    LOST = "lost"
    WRONG_TIMELINE = "wrong timeline"


class NoProgress(OperatorError):
    """Nobody tells the progress of these topics, so that a wait could only end in vain."""

    code = "NO_PROGRESS"


class ScopeUnknown(OperatorError):
    """The token speaks of a topic that is not read here."""

    code = "SCOPE_UNKNOWN"


@dataclass(frozen=True, slots=True)
class Waited:
    """The answer to a wait.

    Attributes:
        outcome: How it ended.
        token: What was waited for.
        reached: The position that is shown, where known.
        told: The position that the engine had told, where known.
        seconds: How long it took.
        reason: A sentence where the outcome needs one.
    """

    outcome: Outcome
    token: AnyToken
    reached: Token | None
    told: Token | None
    seconds: float
    reason: str = ""

    def as_json(self) -> dict[str, object]:
        """The answer as a JSON object."""
        return {
            "outcome": self.outcome.value, "token": str(self.token),
            "reached": None if self.reached is None else str(self.reached),
            "told": None if self.told is None else str(self.told), "seconds": round(self.seconds, 6),
            "reason": self.reason,
        }  # fmt: skip


@dataclass(slots=True)
class _Pending:
    record: ProgressRecord
    needs: dict[Place, int]
    fresh: tuple[str, ...]


@dataclass(slots=True)
class _Track:
    """What is known of one prefix."""

    latest: ProgressRecord
    observed: LSN = LSN(0)
    reached: dict[tuple[int, int], LSN] = field(default_factory=dict)
    ids: OrderedDict[str, None] = field(default_factory=OrderedDict)
    pending: deque[_Pending] = field(default_factory=deque)
    pending_ids: set[str] = field(default_factory=set)
    ends: dict[Place, int] = field(default_factory=dict)


class Waiter:
    """One registered wait.

    Attributes:
        token: What is waited for.
        outcome: Set when it has ended.
    """

    def __init__(self, token: AnyToken, on_end: Callable[[Waiter], None] | None) -> None:
        self.token = token
        self.outcome: Outcome | None = None
        self.ended = threading.Event()
        self._on_end = on_end

    def end(self, outcome: Outcome) -> None:
        """The wait is over."""
        if self.outcome is None:
            self.outcome = outcome
            self.ended.set()
            if self._on_end is not None:
                self._on_end(self)


class Frontier:
    """What one reader of topics shows.

    Args:
        topics: What it reads.
        prefix: The topic prefix, where the topics' names do not begin with it.
        partitions: The partitions that it reads; None for all.
        ends: Asks for the present ends of all partitions that it reads; None where being in Kafka is enough.
    """

    def __init__(
        self,
        topics: Iterable[str],
        *,
        prefix: str | None = None,
        partitions: Collection[int] | None = None,
        ends: Callable[[], Mapping[Place, int]] | None = None,
    ) -> None:
        self._topics = frozenset(topics)
        self._partitions = None if partitions is None else frozenset(partitions)
        self._prefix = prefix
        self._ends = ends
        self._applied: dict[Place, int] = {}
        self._tracks: dict[str, _Track] = {}
        self._lock = threading.Lock()
        self._number = itertools.count()
        self._by_lsn: list[tuple[LSN, int, Waiter]] = []
        self._by_id: dict[str, list[Waiter]] = {}
        self._by_place: dict[Place, list[tuple[int, int, Waiter]]] = {}

    # -- what happens ------------------------------------------------------------------------------------------------

    def told(self, prefix: str, record: ProgressRecord) -> None:
        """A progress record arrived."""
        if not self._concerns(prefix):
            return
        before = self._tracks.get(prefix)
        ends: Mapping[Place, int] | None = None
        if self._ends is not None and (before is None or _new_run(before.latest, record)):
            # A run tells of what it wrote itself. What an earlier one wrote lies below what is there by now.
            ends = self._ends()
        with self._lock:
            track = self._tracks.get(prefix)
            if track is None:
                track = self._tracks[prefix] = _Track(record)
            if ends is not None:
                track.ends = dict(ends)
            moved = (track.latest.system_id, track.latest.timeline) != (record.system_id, record.timeline)
            _observe(track, record, first=before is None)
            fresh = tuple(i for i in record.tokens if i not in track.ids and i not in track.pending_ids)
            track.pending_ids.update(fresh)
            if len(track.pending) >= PENDING_KEPT:
                _thin(track.pending)
            track.pending.append(_Pending(record, self._needs(prefix, track, record), fresh))
            self._advance(track)
            if moved:
                self._look_at_all()

    def applied(self, offsets: Mapping[Place, int]) -> None:
        """The reader has applied everything below these offsets."""
        with self._lock:
            self._applied.update(offsets)
            for place, offset in offsets.items():
                waiting = self._by_place.get(place)
                while waiting and waiting[0][0] < offset:
                    heapq.heappop(waiting)[2].end(Outcome.VISIBLE)
            for track in self._tracks.values():
                self._advance(track)

    def _concerns(self, prefix: str) -> bool:
        if self._prefix is not None:
            return prefix == self._prefix
        return any(topic.startswith(prefix + ".") for topic in self._topics)

    def _needs(self, prefix: str, track: _Track, record: ProgressRecord) -> dict[Place, int]:
        """What has to be applied for the record to be shown."""
        if self._ends is None:
            return {}
        told = {**track.ends, **record.offsets}
        return {
            (topic, partition): offset
            for (topic, partition), offset in told.items()
            if topic in self._topics
            and (self._partitions is None or partition in self._partitions)
            and (self._prefix is not None or topic.startswith(prefix + "."))
        }

    def _advance(self, track: _Track) -> None:
        """Take what is shown by now from the front of what was told."""
        applied = self._applied
        while track.pending:
            first = track.pending[0]
            if any(applied.get(place, 0) < offset for place, offset in first.needs.items()):
                return
            track.pending.popleft()
            record = first.record
            where = record.system_id, record.timeline
            if record.frontier > track.reached.get(where, LSN(0)):
                track.reached[where] = record.frontier
            for identity in first.fresh:
                track.pending_ids.discard(identity)
                track.ids[identity] = None
                for waiter in self._by_id.pop(identity, ()):
                    waiter.end(Outcome.VISIBLE)
            while len(track.ids) > IDS_KEPT:
                track.ids.popitem(last=False)
            self._fulfil(record)

    def _fulfil(self, record: ProgressRecord) -> None:
        """Look at the waiters whose position is reached."""
        later = []
        while self._by_lsn and self._by_lsn[0][0] <= record.frontier:
            entry = heapq.heappop(self._by_lsn)
            waiter = entry[2]
            if waiter.outcome is None and not self._settle(waiter):
                later.append(entry)
        for entry in later:
            heapq.heappush(self._by_lsn, entry)

    def _look_at_all(self) -> None:
        """A new timeline or system ends waits that it cannot fulfil."""
        waiters = [entry[2] for entry in self._by_lsn] + [w for many in self._by_id.values() for w in many]
        for waiter in waiters:
            self._settle(waiter)

    def _settle(self, waiter: Waiter) -> bool:
        outcome = self._look(waiter.token)
        if outcome is not None:
            waiter.end(outcome)
        return outcome is not None

    # -- what that means for a token ---------------------------------------------------------------------------------

    def _look(self, token: AnyToken) -> Outcome | None:
        if isinstance(token, PlaceToken):
            shown = self._applied.get((token.topic, token.partition), 0) > token.offset
            return Outcome.VISIBLE if shown else None
        ours = [track for track in self._tracks.values() if track.latest.system_id == token.system_id]
        if not ours:
            return Outcome.WRONG_TIMELINE if self._tracks else None
        outcomes = [_look(track, token) for track in ours]
        # Several prefixes of one system: the write may lie in the topics of any of them.
        if all(outcome is Outcome.VISIBLE for outcome in outcomes):
            return Outcome.VISIBLE
        if token.id is not None and Outcome.VISIBLE in outcomes:
            return Outcome.VISIBLE
        return next((o for o in outcomes if o not in (None, Outcome.VISIBLE)), None)

    def _check_scope(self, token: AnyToken) -> None:
        if isinstance(token, PlaceToken):
            if token.topic not in self._topics:
                raise ScopeUnknown(f"topic {token.topic} is not read here: {', '.join(sorted(self._topics))} are")
        elif not self._tracks:
            raise NoProgress(
                f"nobody tells the progress of {', '.join(sorted(self._topics))}",
                hint="waits need the native engine (seam run), which writes __seam.progress; Kafka Connect does not",
            )

    # -- waiting -----------------------------------------------------------------------------------------------------

    def register(self, token: AnyToken, on_end: Callable[[Waiter], None] | None = None) -> Waiter:
        """Begin to wait; what the token asks for may be there already.

        Args:
            token: What is waited for.
            on_end: Called when the wait ends, on whatever thread ends it.

        Raises:
            NoProgress: Nobody tells the progress of the topics.
            ScopeUnknown: The token's topic is not read here.
        """
        with self._lock:
            self._check_scope(token)
            waiter = Waiter(token, on_end)
            number = next(self._number)
            if isinstance(token, PlaceToken):
                waiting = self._by_place.setdefault((token.topic, token.partition), [])
                heapq.heappush(waiting, (token.offset, number, waiter))
            else:
                if token.id is not None:
                    self._by_id.setdefault(token.id, []).append(waiter)
                if token.lsn or token.id is None:
                    heapq.heappush(self._by_lsn, (token.lsn, number, waiter))
            self._settle(waiter)
        if waiter.outcome is not None:
            self.abandon(waiter)
        return waiter

    def abandon(self, waiter: Waiter) -> None:
        """Stop waiting."""
        token = waiter.token
        with self._lock:
            if isinstance(token, PlaceToken):
                place = token.topic, token.partition
                self._by_place[place] = [e for e in self._by_place.get(place, ()) if e[2] is not waiter]
                heapq.heapify(self._by_place[place])
                return
            if token.id is not None and token.id in self._by_id:
                self._by_id[token.id] = [w for w in self._by_id[token.id] if w is not waiter]
                if not self._by_id[token.id]:
                    del self._by_id[token.id]
            if any(entry[2] is waiter for entry in self._by_lsn):
                self._by_lsn = [entry for entry in self._by_lsn if entry[2] is not waiter]
                heapq.heapify(self._by_lsn)

    def wait(self, token: AnyToken, seconds: float, *, probe: Callable[[int], str | None] | None = None) -> Waited:
        """Wait until a write can be seen.

        Args:
            token: The write.
            seconds: How long at most.
            probe: Tells what became of a transaction, at the price of a query; asked at most twice.

        Raises:
            NoProgress: Nobody tells the progress of the topics.
            ScopeUnknown: The token's topic is not read here.
        """
        started = time.monotonic()
        waiter = self.register(token)
        try:
            for pause in (min(PROBE_SECONDS, seconds), max(0.0, seconds - PROBE_SECONDS)):
                if waiter.ended.wait(pause):
                    break
                if self.aborted(token, probe):
                    waiter.end(Outcome.ABORTED)
                    break
        finally:
            self.abandon(waiter)
        return self.answer(token, waiter.outcome or Outcome.TIMEOUT, time.monotonic() - started)

    def aborted(self, token: AnyToken, probe: Callable[[int], str | None] | None) -> bool:
        """Whether the token's transaction is known to have been rolled back."""
        if probe is None or not isinstance(token, Token) or token.xid is None:
            return False
        return probe(token.xid) == "aborted"

    def answer(self, token: AnyToken, outcome: Outcome, seconds: float) -> Waited:
        """The answer to a wait that has ended."""
        told = self.told_position()
        reason = ""
        if outcome is Outcome.TIMEOUT and isinstance(token, Token):
            if told is None or told.lsn < token.lsn:
                reason = "the engine has not told the write yet: is it running?"
            elif token.id is not None:
                reason = "the write's message was not seen"
            else:
                reason = "the write is in Kafka and not yet applied here"
        return Waited(outcome, token, self.position(), told, seconds, reason)

    # -- where it stands ---------------------------------------------------------------------------------------------

    def position(self) -> Token | None:
        """The position that is shown, as a token; None while nothing is known."""
        with self._lock:
            for track in self._tracks.values():
                where = track.latest.system_id, track.latest.timeline
                if where in track.reached:
                    return Token(*where, track.reached[where])
        return None

    def told_position(self) -> Token | None:
        """The position that the engine has told last; None while nothing is known."""
        with self._lock:
            for track in self._tracks.values():
                return Token(track.latest.system_id, track.latest.timeline, track.latest.frontier)
        return None

    def waiting(self) -> int:
        """How many waits stand."""
        with self._lock:
            ids = sum(map(len, self._by_id.values()))
            return len(self._by_lsn) + ids + sum(map(len, self._by_place.values()))


def _new_run(before: ProgressRecord, record: ProgressRecord) -> bool:
    return before.since != record.since or before.count > record.count or before.system_id != record.system_id


def _observe(track: _Track, record: ProgressRecord, *, first: bool) -> None:
    """Note from where on every id of the run was named to us."""
    if first or _new_run(track.latest, record):
        track.observed = record.since if record.count <= len(record.tokens) else record.frontier
    elif record.count - track.latest.count > len(record.tokens):
        track.observed = record.frontier
    track.latest = record


def _thin(pending: deque[_Pending]) -> None:
    """Keep every second record; the ids of the others go to the one after them."""
    kept: list[_Pending] = []
    items = list(pending)
    for first, second in zip(items[::2], items[1::2], strict=False):
        second.fresh = first.fresh + second.fresh
        kept.append(second)
    if len(items) % 2:
        kept.append(items[-1])
    pending.clear()
    pending.extend(kept)


def _look(track: _Track, token: Token) -> Outcome | None:
    """What one prefix says about a token of its system."""
    latest = track.latest
    reached = track.reached.get((token.system_id, token.timeline), LSN(0))
    moved_on = latest.timeline > token.timeline
    if token.id is None:
        if token.lsn <= reached:
            return Outcome.VISIBLE
        return Outcome.WRONG_TIMELINE if moved_on else None
    if token.id in track.ids:
        return Outcome.VISIBLE
    if token.id in track.pending_ids or not token.lsn:
        return None
    if token.lsn <= reached and track.observed <= token.at:
        return Outcome.LOST
    if moved_on and latest.frontier >= max(token.lsn, token.at):
        return Outcome.WRONG_TIMELINE
    return None
