"""A view that is kept up to date: built or opened, caught up, then live, in a thread of its own.

Readers in other threads use whatever store is current; a rebuilt one takes its place between two reads.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, Final

from cdc.errors import RetriableError, SeamError, WaitExpired
from cdc.frontier import Frontier, Waited
from cdc.kafka.follower import Bounds, Follower, OffsetGone
from cdc.kafka.progress import ProgressFeed
from cdc.report import Finding, Severity
from cdc.tokens import AnyToken
from views.applying import Applier
from views.batch import Batch, Place
from views.building import Stopped, StoreBuilder
from views.changes import ChangeLog
from views.current import CurrentStore
from views.errors import TopicGone
from views.generations import Generations
from views.loading import assign, places_of, read_to_ends
from views.meter import ViewMeter
from views.options import ViewConfig
from views.store import Store
from views.validity import TopicFacts, reason_to_rebuild, tombstones_gone

HOUSEKEEPING_SECONDS: Final = 1.0
METADATA_SECONDS: Final = 5.0
STAMP_SECONDS: Final = 30.0
PAUSE_SECONDS: Final = 1.0


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
        trouble: What it met last and tries to overcome; None once it is live.
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
        self.trouble: RetriableError | None = None
        self.meter = ViewMeter()
        self.frontier = Frontier(
            config.topics, prefix=config.progress, partitions=config.partitions, ends=self._ends_now
        )
        self.changes = ChangeLog({})
        self._feed = feed
        self._fresh = fresh
        self._on_finding = on_finding
        self._stop = threading.Event()
        self._current = CurrentStore(config.name)
        self._generations = Generations(config.path) if config.path is not None and config.kind != "memory" else None
        self._rebuild = threading.Event()
        self._built: list[tuple[Applier, int | None]] = []
        self._builder: threading.Thread | None = None
        self._tidied = False
        self._stores = StoreBuilder(config, self._generations, self.meter, self._say, self._stop, inspect=inspect)
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
        with self._current.reading() as store:
            yield store

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
        self._stores.close_changelog()
        self._current.put(None)
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
                    self.trouble = error
                    self._say(error.code, f"{error.message}; trying again")
                    self._stop.wait(PAUSE_SECONDS)
            self._stores.write_image(self._current.store)
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
        with Follower(self.config.kafka) as follower:
            asked = time.time()
            bounds = follower.bounds(places_of(follower, self.config))
            facts = self._stores.facts()
            self._stores.open_changelog()
            store = self._usable(bounds, facts)
            if store is None:
                self.meter.phase = "loading" if not self.complete.is_set() else "rebuilding"
                asked_for = self._fresh and not self.meter.rebuilds
                changelog = None if asked_for else self._stores.usable_changelog(bounds, facts)
                applier, number = self._stores.build(follower, facts, bounds, changelog=changelog)
                self._switch(applier, number)
            else:
                self._current.put(store)
                found = self._go_on(follower, store, bounds, facts, asked)
                if found is None:
                    return
                applier = found
            applier.unwrapper.check_keys()
            self._is_complete()
            self._live(follower, applier)

    def _usable(self, bounds: Mapping[Place, Bounds], facts: TopicFacts) -> Store | None:
        """The store that can go on from where it is; None where a new one has to be built.

        Raises:
            TopicGone: A topic is not there any more.
        """
        current = self._current.store
        store = current or self._stores.open()
        if store is None:
            return None
        gone = {topic for topic, _ in store.state.offsets} - {topic for topic, _ in bounds}
        if gone:
            self._current.put(store)
            raise TopicGone(f"{', '.join(sorted(gone))} is gone; the view keeps what it has")
        reason = reason_to_rebuild(store.state, self.config.digest, bounds, facts, time.time())
        if self._fresh and not self.meter.rebuilds:
            reason = "a new store is asked for"
        if reason is None:
            return store
        self._say("VIEW_REBUILT", f"{reason}; the topics are read anew")
        if current is None:
            if store.state.complete and store.state.config == self.config.digest:
                self._current.put(store)  # readers see the old store until the new one is complete
            else:
                store.close()
        return None

    def _go_on(
        self, follower: Follower, store: Store, bounds: Mapping[Place, Bounds], facts: TopicFacts, asked: float
    ) -> Applier | None:
        """Read what a stored view lacks; None when it was stopped meanwhile."""
        gate, marks = self._stores.gate(follower, bounds, store.state, loading=False)
        applier = Applier(store, self.config, follower.check, gate=gate)
        self._attach(applier)
        offsets = applier.state.offsets
        self.changes.restart(offsets)
        self.frontier.applied(offsets)
        self.meter.phase = "loading" if not self.complete.is_set() else "live"
        starts = assign(follower, {**bounds, **marks}, {**offsets, **applier.state.boundaries})
        self.meter.fetching.set()
        take: Callable[[Any], None] = lambda messages: self._take(applier, messages)  # noqa: E731
        if not read_to_ends(follower, bounds, starts, take, self._stop, self.meter.read):
            return None
        self._stores.finish_transactions(follower, applier, bounds, self._after)
        late = tombstones_gone(applier.unwrapper.state, facts, time.time())
        if late is None:
            applier.stamp(asked)
        else:
            self._say("VIEW_REBUILT", f"{late}; the topics are read anew")
            self._rebuild.set()
        return applier

    def _is_complete(self) -> None:
        self.meter.backlog = None
        self.meter.phase = "live"
        self.trouble = None
        if not self.complete.is_set():
            self.meter.loaded_seconds = time.monotonic() - self._started
            self.complete.set()
            if self._feed is not None:
                self._feed.listen(self.frontier.told)
                self._feed.start()

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
        self._stores.say_dead(batch)

    # -- stores ------------------------------------------------------------------------------------------------------

    def _switch(self, applier: Applier, number: int | None) -> None:
        """Readers use the new store from here on."""
        if self._generations is not None and number is not None:
            self._generations.switch(number)
        self._current.put(applier.store)
        self._attach(applier, anew=True)
        self.changes.restart(applier.state.offsets)
        self.frontier.applied(applier.state.offsets)

    def _attach(self, applier: Applier, *, anew: bool = False) -> None:
        """Let the changelog take what is applied from here on, after it has everything that the store has."""
        changelog = self._stores.changelog
        if changelog is not None and applier.changelog is None:
            if anew or not changelog.covers(applier.state):
                changelog.write_anew(applier.store)
            applier.changelog = changelog

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
                incoming[0].gate, marks = self._stores.gate(follower, bounds, state, loading=False)
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
        missing = set(self.config.topics) - {topic for topic, _ in follower.assigned}
        if now - timers.metadata > (HOUSEKEEPING_SECONDS if missing else METADATA_SECONDS):
            timers.metadata = now  # a topic is often made with its first record, which somebody may wait for
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
            self._stores.write_image(applier.store)

    def _remove_retired(self) -> None:
        """Remove the stores that nobody reads any more."""
        gone = self._current.take_retired()
        if gone is None:
            return
        if self._generations is not None and (gone or not self._tidied) and self._builder is None and not self._built:
            self._tidied = True
            self._generations.remove_others()

    def _build_beside(self) -> None:
        self.meter.phase = "rebuilding"
        try:
            with Follower(self.config.kafka) as follower:
                self._built.append(self._stores.build(follower, self._stores.facts()))
        except Stopped:
            return
        except SeamError as error:
            self._builder = None
            self.meter.phase = "live"
            self._say(error.code, f"the rebuild failed, readers keep the old store: {error.message}")

    def _ends_now(self) -> dict[Place, int]:
        with Follower(self.config.kafka) as asker:
            return asker.ends(places_of(asker, self.config))


def _reaches(offsets: dict[Place, int], others: dict[Place, int]) -> bool:
    return all(offsets.get(place, 0) >= offset for place, offset in others.items())
