"""A view that is kept up to date: built or opened, caught up, then live, in a thread of its own.

Readers in other threads use whatever store is current; a rebuilt one takes its place between two reads.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from cdc.errors import RetriableError, SeamError, WaitExpired
from cdc.frontier import Frontier, Waited
from cdc.kafka.admin import Admin
from cdc.kafka.follower import Bounds, Follower, OffsetGone
from cdc.kafka.progress import ProgressFeed
from cdc.report import Finding, Severity
from cdc.tokens import AnyToken
from views.applying import Applier
from views.batch import Batch, Place, ViewState
from views.changes import ChangeLog
from views.errors import TopicGone, ViewDamaged, ViewNotBuilt
from views.generations import Generations
from views.kinds import open_image, open_store, write_image_of
from views.loading import Backlog, assign, places_of, read_to_ends
from views.options import ViewConfig
from views.store import Store
from views.transactions import LOOK_BACK, TAIL, TransactionGate, boundary_topic
from views.validity import TopicFacts, reason_to_rebuild, tombstones_gone

HOUSEKEEPING_SECONDS: Final = 1.0
METADATA_SECONDS: Final = 5.0
STAMP_SECONDS: Final = 30.0
WHOLE_SECONDS: Final = 1.0
"""How long a view that is loaded waits for the rest of the transactions at the ends of its topics."""

PAUSE_SECONDS: Final = 1.0


@dataclass(slots=True)
class ViewMeter:
    """The figures of one view.

    Attributes:
        phase: starting, loading, live, rebuilding, retrying, failed, stopped.
        applied: Records applied since the start.
        batches: Batches since the start.
        loaded_seconds: How long it took to be complete.
        last_applied: Unix time of the last batch, seconds.
        backlog: What a load has before it.
        rebuilds: How often it was built since the start.
    """

    phase: str = "starting"
    applied: int = 0
    batches: int = 0
    loaded_seconds: float | None = None
    last_applied: float = 0.0
    backlog: Backlog | None = None
    rebuilds: int = 0


@dataclass(slots=True)
class _Held:
    """A store with its readers."""

    store: Store
    number: int | None
    readers: int = 0
    retired: bool = False


@dataclass(slots=True)
class _Timers:
    housekeeping: float = 0.0
    metadata: float = field(default_factory=time.monotonic)
    stamp: float = field(default_factory=time.monotonic)
    image: float = field(default_factory=time.monotonic)


class View:
    """One view and the thread that keeps it up to date.

    Args:
        config: What it is.
        on_finding: Told what is worth saying.
        feed: The engine's progress, for waits; None for a view that nobody waits for.
        inspect: Whether the broker is asked for topic ids and options; librdkafka's mock broker cannot answer.
        fresh: Whether it is built anew whatever is stored.

    Attributes:
        complete: Set when the view holds everything that was in its topics when it started.
        error: What ended it for good.
        frontier: For waits.
        changes: The last changes.
        meter: Figures.
    """

    def __init__(
        self,
        config: ViewConfig,
        *,
        on_finding: Callable[[Finding], None] = lambda _finding: None,
        feed: ProgressFeed | None = None,
        inspect: bool = True,
        fresh: bool = False,
    ) -> None:
        self.config = config
        self.complete = threading.Event()
        self.ended = threading.Event()
        self.error: SeamError | None = None
        self.meter = ViewMeter()
        self.frontier = Frontier(
            config.topics, prefix=config.progress, partitions=config.partitions, ends=self._ends_now
        )
        self.changes = ChangeLog({})
        self._feed = feed
        self._inspect = inspect
        self._fresh = fresh
        self._on_finding = on_finding
        self._stop = threading.Event()
        self._held: _Held | None = None
        self._lock = threading.Lock()
        self._generations = Generations(config.path) if config.path is not None and config.kind != "memory" else None
        self._rebuild = threading.Event()
        self._built: list[tuple[Applier, int | None]] = []
        self._builder: threading.Thread | None = None
        self._retired: list[_Held] = []
        self._tidied = False
        self._timers = _Timers()
        self._started = time.monotonic()
        self._thread = threading.Thread(target=self._main, name=f"view-{config.name}", daemon=True)

    # -- for readers -------------------------------------------------------------------------------------------------

    @contextmanager
    def reading(self) -> Iterator[Store]:
        """The store that is current, which stays open meanwhile.

        Raises:
            ViewNotBuilt: There is none yet.
        """
        with self._lock:
            held = self._held
            if held is None:
                raise ViewNotBuilt(f"view {self.config.name}: nothing was loaded yet")
            held.readers += 1
        try:
            yield held.store
        finally:
            with self._lock:
                held.readers -= 1
                close = held.retired and not held.readers
            if close:
                held.store.close()

    def wait_complete(self, seconds: float) -> None:
        """Wait until the view is complete.

        Raises:
            WaitExpired: It took too long.
            SeamError: What ended the view.
        """
        deadline = time.monotonic() + seconds
        while not self.complete.wait(0.05):
            if self.error is not None:
                raise self.error
            if time.monotonic() > deadline:
                raise WaitExpired(f"view {self.config.name} was not complete within {seconds:.0f} s")

    def wait_for(
        self, token: AnyToken, seconds: float = 5.0, *, probe: Callable[[int], str | None] | None = None
    ) -> Waited:
        """Wait until a write can be read here.

        Raises:
            NoProgress: Nobody tells the progress of the view's topics.
            ScopeUnknown: The token's topic is not read here.
        """
        deadline = time.monotonic() + seconds
        self.wait_for_progress(seconds)
        return self.frontier.wait(token, max(0.0, deadline - time.monotonic()), probe=probe)

    @property
    def knows_progress(self) -> bool:
        """Whether the view is complete and what the engine had told by then is read."""
        return self.complete.is_set() and (self._feed is None or self._feed.loaded.is_set())

    def wait_for_progress(self, seconds: float) -> None:
        """Wait until it does, at most so long."""
        deadline = time.monotonic() + seconds
        self.complete.wait(seconds)
        if self._feed is not None:
            self._feed.loaded.wait(max(0.0, deadline - time.monotonic()))

    # -- for whoever runs it -----------------------------------------------------------------------------------------

    def start(self) -> View:
        """Begin.

        Raises:
            ViewBusy: Another process keeps the view up to date.
        """
        if self._generations is not None:
            self._generations.lock()
        self._thread.start()
        return self

    def stop(self, seconds: float = 30.0) -> None:
        """End it; what is applied is stored."""
        self._stop.set()
        if self._thread.is_alive():
            self._thread.join(seconds)
        if self._builder is not None:
            self._builder.join(seconds)
        with self._lock:
            held, self._held = self._held, None
            close = held is not None and not held.readers
            if held is not None:
                held.retired = True
        if close and held is not None:
            held.store.close()
        if self._generations is not None:
            self._generations.close()

    def rebuild(self) -> None:
        """Build a new store beside the one that is read, and switch to it."""
        self._rebuild.set()

    @property
    def rebuilding(self) -> bool:
        """Whether a new store is asked for or being built."""
        return self._rebuild.is_set() or self._builder is not None or bool(self._built)

    # -- the thread --------------------------------------------------------------------------------------------------

    def _main(self) -> None:
        try:
            while not self._stop.is_set():
                try:
                    self._run()
                except OffsetGone as gone:
                    self._say("OFFSET_GONE", f"{gone}; building the view anew")
                except RetriableError as error:
                    self.meter.phase = "retrying"
                    self._say(error.code, f"{error.message}; trying again")
                    self._stop.wait(PAUSE_SECONDS)
            self._write_image()
            self.meter.phase = "stopped"
        except SeamError as error:
            self.error, self.meter.phase = error, "failed"
            self._say(error.code, error.message, Severity.BLOCKS)
        except Exception as error:
            self.error = SeamError(f"view {self.config.name}: {type(error).__name__}: {error}")
            self.meter.phase = "failed"
            raise
        finally:
            self.ended.set()

    def _say(self, code: str, evidence: str, severity: Severity = Severity.WARNING) -> None:
        self._on_finding(Finding(code, severity, f"view {self.config.name}", evidence))

    def _run(self) -> None:
        """From whatever is stored to live, until stopped."""
        config = self.config
        with Follower(config.kafka) as follower:
            asked = time.time()
            bounds = follower.bounds(places_of(follower, config))
            facts = self._facts()
            held = self._held or self._open()
            reason = "it is new"
            if held is not None:
                gone = {topic for topic, _ in held.store.state.offsets} - {topic for topic, _ in bounds}
                if gone:
                    if self._held is None:
                        self._hold(held)
                    raise TopicGone(f"{', '.join(sorted(gone))} is gone; the view keeps what it has")
                found = reason_to_rebuild(held.store.state, config.digest, bounds, facts, time.time())
                if self._fresh and not self.meter.rebuilds:
                    found = "a new store is asked for"
                if found is not None:
                    self._say("VIEW_REBUILT", f"{found}; the topics are read anew")
                reason = found or ""
                if reason and self._held is None:
                    state = held.store.state
                    if state.complete and state.config == config.digest:
                        self._hold(held)  # readers see the old store until the new one is complete
                    else:
                        held.store.close()
            if held is None or reason:
                applier, number = self._build(follower, facts)
                self._switch(applier, number)
            else:
                if self._held is None:
                    self._hold(held)
                gate, marks = self._gate(follower, bounds, held.store.state, loading=False)
                applier = Applier(held.store, config, follower.check, gate=gate)
                self.changes.restart(applier.state.offsets)
                self.frontier.applied(applier.state.offsets)
                self.meter.phase = "loading" if not self.complete.is_set() else "live"
                starts = assign(follower, {**bounds, **marks}, {**applier.state.offsets, **applier.state.boundaries})
                whole = read_to_ends(follower, bounds, starts, lambda ms: self._take(applier, ms), self._stop, self._at)
                if not whole:
                    return
                self._finish_transactions(follower, applier, bounds, self._after)
                late = tombstones_gone(applier.unwrapper.state, facts, time.time())
                if late is not None:
                    self._say("VIEW_REBUILT", f"{late}; the topics are read anew")
                    self._rebuild.set()
                else:
                    applier.stamp(asked)
            applier.unwrapper.check_keys()
            self._is_complete()
            self._live(follower, applier)

    def _is_complete(self) -> None:
        self.meter.backlog = None
        self.meter.phase = "live"
        if not self.complete.is_set():
            self.meter.loaded_seconds = time.monotonic() - self._started
            self.complete.set()
            if self._feed is not None:
                self._feed.listen(self.frontier.told)
                self._feed.start()

    def _at(self, backlog: Backlog) -> None:
        self.meter.backlog = backlog

    def _facts(self) -> TopicFacts:
        """What has to be known of topics to trust a stored view."""
        if not self._inspect or self.config.path is None:
            return TopicFacts()
        admin = Admin(self.config.kafka)
        ids = admin.topic_ids(list(self.config.topics))
        configs = admin.configs(sorted(ids))
        retention = {
            topic: int(options["delete.retention.ms"]) / 1000
            for topic, options in configs.items()
            if "compact" in options.get("cleanup.policy", "")
        }
        return TopicFacts(ids, retention)

    def _take(self, applier: Applier, messages: Any) -> None:
        batch = applier.take(messages)
        self._after(batch)

    def _after(self, batch: Batch) -> None:
        meter = self.meter
        meter.applied += len(batch)
        meter.batches += 1
        meter.last_applied = time.time()
        self.changes.add(batch)
        self.frontier.applied(batch.state.offsets)
        for letter in batch.dead:
            self._say("DEAD_LETTER", f"{letter.topic}/{letter.partition}/{letter.offset}: {letter.reason}")

    # -- stores ------------------------------------------------------------------------------------------------------

    def _open(self) -> _Held | None:
        """What an earlier run has left, when it can be read."""
        try:
            if self._generations is not None:
                number = self._generations.current()
                if number is not None:
                    return _Held(open_store(self.config, self._generations.store(number)), number)
            elif self.config.path is not None:
                image = open_image(self.config)
                return None if image is None else _Held(image, None)
        except ViewDamaged as error:
            self._say(error.code, error.message)
        return None

    def _hold(self, held: _Held) -> None:
        """Let readers use a store from here on; the one before is closed when its last reader is done."""
        with self._lock:
            before, self._held = self._held, held
            close = before is not None and before is not held and not before.readers
            if before is not None and before is not held:
                before.retired = True
                self._retired.append(before)
        if close and before is not None:
            before.store.close()

    def _build(self, follower: Follower, facts: TopicFacts) -> tuple[Applier, int | None]:
        """A new store with everything that the topics hold now."""
        config = self.config
        self.meter.phase = "loading" if not self.complete.is_set() else "rebuilding"
        number: int | None = None
        path: Path | None = None
        if self._generations is not None:
            number = self._generations.next()
            path = self._generations.store(number)
        asked = time.time()
        bounds = follower.bounds(places_of(follower, config))
        # Records are fetched while the store is opened and what it needs is imported.
        gate, marks = self._gate(follower, bounds, None, loading=True)
        starts = assign(follower, {**bounds, **marks}, {})
        store = open_store(config, path)
        try:
            store.begin_load()
            state = ViewState(topic_ids=dict(facts.ids), config=config.digest)
            applier = Applier(store, config, follower.check, state=state, gate=gate)
            if not read_to_ends(follower, bounds, starts, lambda ms: self._load(applier, ms), self._stop, self._at):
                raise _Stopped  # noqa: TRY301 - the store is closed below, as after any other end
            self._finish_transactions(follower, applier, bounds, self._load_batch)
            applier.unwrapper.check_keys()
            store.end_load()
            applier.stamp(asked, complete=True)
        except BaseException:
            store.close()
            raise
        self.meter.rebuilds += 1
        return applier, number

    # -- source transactions -----------------------------------------------------------------------------------------

    def _gate(
        self, follower: Follower, bounds: Mapping[Place, Bounds], state: ViewState | None, *, loading: bool
    ) -> tuple[TransactionGate | None, dict[Place, Bounds]]:
        """What holds back transactions that are not whole, where the engine tells their boundaries.

        Returns:
            The gate, and the partitions of the boundaries from where they are to be read.
        """
        config = self.config
        topic = boundary_topic(config.topics, config.transactions) if config.partitions is None else None
        found = follower.partitions([topic]) if topic is not None else {}
        if topic is None or topic not in found:
            return None, {}
        marks = {}
        for place, held in follower.bounds({(topic, p) for p in found[topic]}).items():
            known = None if state is None else state.boundaries.get(place)
            marks[place] = Bounds(max(held.begin, held.end - LOOK_BACK if known is None else known), held.end)
        # What lies further back than the tail of a topic belongs to transactions that ended long ago.
        free = {place: held.end - TAIL for place, held in bounds.items()} if loading else {}
        say = lambda text: self._say("TRANSACTION_TORN", text)  # noqa: E731 - it needs no name
        return TransactionGate(topic, config.topics, say=say, free=free), marks

    def _finish_transactions(
        self, follower: Follower, applier: Applier, bounds: Mapping[Place, Bounds], after: Callable[[Batch], None]
    ) -> None:
        """Read on until the transactions at the ends are whole, so that a view is complete between two of them."""
        gate, ends = applier.gate, {place: held.end for place, held in bounds.items()}
        deadline = time.monotonic() + WHOLE_SECONDS
        while gate is not None and gate.holds_below(ends) and not self._stop.is_set():
            if time.monotonic() > deadline:
                # A view that goes on stands between two transactions, so what is missing will come; one that is built
                # may begin in the middle of a large one.
                if not applier.state.complete:
                    after(applier.let_go())
                return
            after(applier.take(follower.read()))

    def _load(self, applier: Applier, messages: Any) -> None:
        self._load_batch(applier.take(messages))

    def _load_batch(self, batch: Batch) -> None:
        self.meter.applied += len(batch)
        for letter in batch.dead:
            self._say("DEAD_LETTER", f"{letter.topic}/{letter.partition}/{letter.offset}: {letter.reason}")

    def _switch(self, applier: Applier, number: int | None) -> None:
        """Readers use the new store from here on."""
        if self._generations is not None and number is not None:
            self._generations.switch(number)
        self._hold(_Held(applier.store, number))
        self.changes.restart(applier.state.offsets)
        self.frontier.applied(applier.state.offsets)

    # -- live --------------------------------------------------------------------------------------------------------

    def _live(self, follower: Follower, applier: Applier) -> None:
        incoming: tuple[Applier, int | None] | None = None
        while not self._stop.is_set():
            messages = follower.read()
            taking = applier if incoming is None else incoming[0]
            if messages or taking.holding:
                if incoming is None:
                    self._take(applier, messages)
                else:
                    taking.take(messages)
            now = time.monotonic()
            if incoming is not None and _reaches(incoming[0].state.offsets, applier.state.offsets):
                self._switch(*incoming)
                applier, incoming = incoming[0], None
                self.meter.phase = "live"
                self._say("VIEW_SWITCHED", "readers use the new store", Severity.NOTE)
            if self._built:
                # Read on from where the new store stands; readers keep the old one until it has come as far.
                incoming = self._built.pop()
                self._builder = None
                incoming[0].unwrapper.check = follower.check
                bounds = follower.bounds(places_of(follower, self.config))
                state = incoming[0].state
                incoming[0].gate, marks = self._gate(follower, bounds, state, loading=False)
                assign(follower, {**bounds, **marks}, {**state.offsets, **state.boundaries})
            if now - self._timers.housekeeping > HOUSEKEEPING_SECONDS:
                self._timers.housekeeping = now
                self._keep_house(follower, applier, now, idle=not messages, switching=incoming is not None)

    def _keep_house(self, follower: Follower, applier: Applier, now: float, *, idle: bool, switching: bool) -> None:
        timers = self._timers
        self._remove_retired()
        if self._generations is not None and self._generations.rebuild_is_asked_for():
            self._rebuild.set()
        if self._rebuild.is_set() and self._builder is None and not self._built and not switching:
            self._rebuild.clear()
            self._builder = threading.Thread(target=self._build_beside, name="builder", daemon=True)
            self._builder.start()
        if now - timers.metadata > METADATA_SECONDS:
            timers.metadata = now
            fresh = places_of(follower, self.config) - follower.assigned
            if fresh:
                follower.add({place: held.begin for place, held in follower.bounds(fresh).items()})
        if idle and not switching and not applier.holding and now - timers.stamp > STAMP_SECONDS:
            timers.stamp = now
            asked = time.time()
            reached, ends = follower.positions(), follower.ends(follower.assigned)
            if all(reached.get(place, 0) >= end for place, end in ends.items()):
                applier.stamp(asked)
        if self.config.kind == "memory" and now - timers.image > self.config.snapshot_seconds:
            timers.image = now
            self._write_image()

    def _remove_retired(self) -> None:
        """Remove the stores that nobody reads any more."""
        with self._lock:
            if any(held.readers for held in self._retired):
                return
            gone, self._retired = self._retired, []
        if self._generations is not None and (gone or not self._tidied) and self._builder is None and not self._built:
            self._tidied = True
            self._generations.remove_others()

    def _build_beside(self) -> None:
        try:
            with Follower(self.config.kafka) as follower:
                self._built.append(self._build(follower, self._facts()))
        except _Stopped:
            return
        except SeamError as error:
            self._builder = None
            self.meter.phase = "live"
            self._say(error.code, f"the rebuild failed, readers keep the old store: {error.message}")

    def _write_image(self) -> None:
        if self.config.kind != "memory" or self.config.path is None or self._held is None:
            return
        write_image_of(self._held.store, self.config)

    def _ends_now(self) -> dict[Place, int]:
        with Follower(self.config.kafka) as asker:
            return asker.ends(places_of(asker, self.config))


class _Stopped(RetriableError):
    """The view was stopped while it was built."""


def _reaches(offsets: dict[Place, int], others: dict[Place, int]) -> bool:
    return all(offsets.get(place, 0) >= offset for place, offset in others.items())
