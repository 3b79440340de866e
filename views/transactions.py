"""Source transactions as a whole: rows of one are held back until all of them are there.

With `provide.transaction.metadata` each event says which transaction it is of, and the transaction topic says how many
events a transaction had in which table. Partitions are read independently, so that one may be ahead of the other by a few
milliseconds; what is not whole yet waits in front of the view, and the view's offsets wait with it.
"""

from __future__ import annotations

import time
from collections import OrderedDict, deque
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

import msgspec

from views.batch import Offsets, Place
from views.envelopes import unwrapped

ENDED_SECONDS: Final = 2.0
"""How long events are waited for once the transaction's end was read: one that a transform has dropped never comes."""
OPEN_SECONDS: Final = 15.0
"""How long an end is waited for."""
HELD_BYTES: Final = 64_000_000
"""A transaction that takes more memory is shown as it comes."""
DONE_KEPT: Final = 100_000
LOOK_BACK: Final = 20_000
"""So many boundaries before its end are read where a view begins."""
TAIL: Final = 2_000
"""So many records at the end of each partition may be of a transaction that is not whole yet, when a view is loaded."""

_MESSAGE_BYTES: Final = 300


class _Block(msgspec.Struct, gc=False):
    id: str
    total_order: int


class _Event(msgspec.Struct, gc=False):
    transaction: _Block | None = None


class _Collection(msgspec.Struct, gc=False):
    data_collection: str
    event_count: int


class _Boundary(msgspec.Struct, gc=False):
    status: str
    id: str
    data_collections: list[_Collection] | None = None


_event: Final = msgspec.json.Decoder(_Event).decode
_boundary: Final = msgspec.json.Decoder(_Boundary).decode


@dataclass(slots=True)
class _Open:
    """A transaction that is not shown yet.

    Attributes:
        begun: Monotonic time at which its first record was read.
        seen: The orders of its events that were read.
        expected: How many events of it the view reads; None before its end was read.
        ended: Monotonic time at which its end was read.
        places: Where its records are held.
    """

    begun: float
    seen: set[int] = field(default_factory=set)
    expected: int | None = None
    ended: float = 0.0
    places: set[Place] = field(default_factory=set)


class TransactionGate:
    """Lets records through a transaction at a time.

    Args:
        topic: The topic of boundaries.
        topics: What the view reads.
        say: Told when a transaction is shown before it was whole.
        free: Place -> offset below which records pass at once: they are older than any transaction under way.
        clock: Monotonic seconds.
    """

    def __init__(
        self, topic: str, topics: Iterable[str], *, say: Callable[[str], None] = lambda _text: None,
        free: Mapping[Place, int] | None = None, clock: Callable[[], float] = time.monotonic,
    ) -> None:  # fmt: skip
        self.topic = topic
        prefix = topic.rpartition(".")[0] + "."
        self._collections = {t[len(prefix) :] for t in topics if t.startswith(prefix)}
        self._counted = {prefix + name for name in self._collections}
        self._say = say
        self._free = dict(free or {})
        self._clock = clock
        self._queues: dict[Place, deque[tuple[str, Any]]] = {}
        self._last: dict[Place, str] = {}
        self._open: dict[str, _Open] = {}
        self._done: OrderedDict[str, None] = OrderedDict()
        self._boundaries: dict[Place, deque[tuple[int, str]]] = {}
        self._reached: Offsets = {}
        self._bytes = 0
        self._oldest = 0.0

    @property
    def holding(self) -> bool:
        """Whether anything waits."""
        return any(self._queues.values())

    def holds_below(self, ends: Mapping[Place, int]) -> bool:
        """Whether a record below these offsets waits."""
        return any(queue and queue[0][1].offset() < ends.get(place, 0) for place, queue in self._queues.items())

    def offsets(self) -> Offsets:
        """From where the boundaries are to be read again after a restart."""
        found = {}
        for place, reached in self._reached.items():
            waiting = self._boundaries[place]
            while waiting and (waiting[0][1] in self._done or waiting[0][1] not in self._open):
                waiting.popleft()
            found[place] = waiting[0][0] if waiting else reached
        return found

    def admit(self, messages: Sequence[Any], *, give_up: bool = False) -> list[Any]:
        """Take messages; returns those that may be applied now, in one step.

        Args:
            messages: As they were read.
            give_up: Whether whatever is held goes out, whole or not.
        """
        now = self._clock()
        passed: list[Any] = []
        for message in messages:
            if message.error() is not None:
                passed.append(message)
            elif message.topic() == self.topic:
                self._bound(message, now)
            else:
                self._take(message, now, passed)
        self._release(passed)
        if self._queues:
            self._let_go(passed, now, give_up=give_up)
        return passed

    def _take(self, message: Any, now: float, passed: list[Any]) -> None:
        place = message.topic(), message.partition()
        queue = self._queues.get(place)
        if not queue and message.offset() < self._free.get(place, 0):
            passed.append(message)
            return
        identity = self._identity(message, place, now)
        if not queue and (not identity or identity in self._done):
            passed.append(message)
            return
        if queue is None:
            queue = self._queues[place] = deque()
        queue.append((identity, message))
        self._bytes += _MESSAGE_BYTES + len(message.value() or b"")

    def _identity(self, message: Any, place: Place, now: float) -> str:
        """The record's transaction; empty where it is of none."""
        value = message.value()
        if value is None:
            return self._last.get(place, "")  # the tombstone behind a delete
        block = _block_of(value)
        identity = "" if block is None else block.id
        self._last[place] = identity
        if block is not None and identity not in self._done:
            transaction = self._open.get(identity)
            if transaction is None:
                transaction = self._open[identity] = _Open(now)
            if message.topic() in self._counted:
                transaction.seen.add(block.total_order)
            transaction.places.add(place)
        return identity

    def _bound(self, message: Any, now: float) -> None:
        place = message.topic(), message.partition()
        self._reached[place] = message.offset() + 1
        waiting = self._boundaries.setdefault(place, deque())
        try:
            boundary = _boundary(unwrapped(message.value() or b""))
        except msgspec.DecodeError:
            return
        if boundary.status != "END" or boundary.id in self._done:
            return
        expected = sum(
            one.event_count for one in boundary.data_collections or () if one.data_collection in self._collections
        )
        transaction = self._open.get(boundary.id)
        if transaction is None:
            if not expected:
                return  # nothing of it is read here
            transaction = self._open[boundary.id] = _Open(now)
        transaction.expected, transaction.ended = expected, now
        waiting.append((message.offset(), boundary.id))

    def _release(self, passed: list[Any]) -> None:
        """Let those out that are whole and have nothing before them."""
        moved = True
        while moved:
            moved = False
            for place, queue in self._queues.items():
                while queue and (not queue[0][0] or queue[0][0] in self._done):
                    self._pop(place, passed)
            heads = {queue[0][0] for queue in self._queues.values() if queue}
            for identity in heads:
                transaction = self._open[identity]
                whole = transaction.expected is not None and len(transaction.seen) >= transaction.expected
                if whole and all(self._queues[place][0][0] == identity for place in transaction.places):
                    self._end(identity)
                    moved = True
        for identity in [i for i, one in self._open.items() if not one.places and one.ended and self._is_old(one)]:
            del self._open[identity]  # its events were applied before: the boundary was read again
        for place in [place for place, queue in self._queues.items() if not queue]:
            del self._queues[place]

    def _is_old(self, transaction: _Open) -> bool:
        return self._clock() - transaction.ended > ENDED_SECONDS

    def _end(self, identity: str) -> None:
        self._open.pop(identity, None)
        self._done[identity] = None
        while len(self._done) > DONE_KEPT:
            self._done.popitem(last=False)

    def _pop(self, place: Place, passed: list[Any]) -> None:
        _, message = self._queues[place].popleft()
        self._bytes -= _MESSAGE_BYTES + len(message.value() or b"")
        passed.append(message)

    def _let_go(self, passed: list[Any], now: float, *, give_up: bool) -> None:
        """End the waits that have lasted too long, or hold too much."""
        too_much = self._bytes > HELD_BYTES
        late = [
            identity
            for identity, one in self._open.items()
            if one.places and (
                give_up or too_much or (one.ended and now - one.ended > ENDED_SECONDS) or now - one.begun > OPEN_SECONDS
            )
        ]  # fmt: skip
        if not late:
            return
        why = (
            f"they take more than {HELD_BYTES / 1e6:.0f} MB" if too_much
            else "not all of their events have come" if not give_up
            else "the view begins in the middle of them"
        )  # fmt: skip
        self._say(f"{len(late)} transactions, the first {late[0]}, are not shown as a whole: {why}")
        for identity in late:
            self._end(identity)
        self._release(passed)


def _block_of(value: bytes) -> _Block | None:
    if b'"transaction":{' not in value:
        return None
    try:
        return _event(unwrapped(value)).transaction
    except msgspec.DecodeError:
        return None  # no event; the view says what it is


def boundary_topic(topics: Sequence[str], wanted: str) -> str | None:
    """The topic of boundaries that a view's topics may have; None where there can be none.

    Args:
        topics: Named `prefix.schema.table`.
        wanted: The option `transactions`.
    """
    if wanted == "none":
        return None
    if wanted != "auto":
        return wanted
    prefixes = {topic.rsplit(".", 2)[0] for topic in topics if topic.count(".") >= 2}
    return f"{prefixes.pop()}.transaction" if len(prefixes) == 1 and all(t.count(".") >= 2 for t in topics) else None
