"""Stores of a view: opening what an earlier run has left, or building a new one from what the topics hold."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Final

from cdc.errors import RetriableError
from cdc.kafka.admin import Admin
from cdc.kafka.follower import Bounds, Follower
from cdc.report import Severity
from views.applying import Applier
from views.batch import Batch, Place, ViewState
from views.changelog import Changelog
from views.errors import MemoryLimit, ViewDamaged
from views.estimate import Sample
from views.generations import Generations
from views.kinds import memory_limit, open_image, open_store, write_image_of
from views.loading import assign, places_of, read_to_ends
from views.meter import ViewMeter
from views.options import ViewConfig
from views.store import Store
from views.transactions import LOOK_BACK, TAIL, TransactionGate, boundary_topic
from views.validity import TopicFacts, reason_to_rebuild

WHOLE_SECONDS: Final = 1.0
"""How long a view that is loaded waits for the rest of the transactions at the ends of its topics."""

Say = Callable[[str, str, Severity], None]
"""Code, evidence and how bad it is."""


class Stopped(RetriableError):
    """The view was stopped while it was built."""


class StoreBuilder:
    """Opens and builds the stores of one view.

    Args:
        config: The view.
        generations: Its directory; None for a memory image.
        meter: Told how far it is.
        say: Told what is worth saying.
        stop: Ends a build.
        inspect: Whether the broker is asked for topic ids and options.

    Attributes:
        changelog: The view's changelog, once it is opened.
    """

    def __init__(
        self, config: ViewConfig, generations: Generations | None, meter: ViewMeter, say: Say, stop: threading.Event,
        *, inspect: bool,
    ) -> None:  # fmt: skip
        self.config = config
        self._generations = generations
        self._meter = meter
        self._say = say
        self._stop = stop
        self._inspect = inspect
        self.changelog: Changelog | None = None

    # -- what is there -----------------------------------------------------------------------------------------------

    def facts(self) -> TopicFacts:
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

    def open(self) -> Store | None:
        """What an earlier run has left; None where there is nothing or it cannot be read."""
        try:
            if self._generations is not None:
                number = self._generations.current()
                return None if number is None else open_store(self.config, self._generations.store(number))
            return None if self.config.path is None else open_image(self.config)
        except ViewDamaged as error:
            self._say(error.code, error.message, Severity.WARNING)
            return None

    def write_image(self, store: Store | None) -> None:
        """Write a memory image as a file where the view has a directory.

        Raises:
            StoreFull: The disk is full.
        """
        if self.config.kind == "memory" and self.config.path is not None and store is not None:
            write_image_of(store, self.config)

    def usable_changelog(self, bounds: Mapping[Place, Bounds], facts: TopicFacts) -> Changelog | None:
        """The changelog, where a lost store can be loaded from it and read on from the topics."""
        changelog = self.changelog
        if changelog is None or changelog.state is None:
            return None
        reason = reason_to_rebuild(changelog.state, self.config.digest, bounds, facts, time.time())
        if reason is None:
            return changelog
        self._say("CHANGELOG_UNUSED", f"{changelog.prefix}: {reason}; the topics are read anew", Severity.WARNING)
        return None

    def open_changelog(self) -> None:
        """Open it where the view has one."""
        self.close_changelog()
        if self.config.changelog is not None:
            self.changelog = Changelog(self.config)

    def close_changelog(self) -> None:
        """End it."""
        if self.changelog is not None:
            self.changelog.close()
            self.changelog = None

    # -- a new one ---------------------------------------------------------------------------------------------------

    def build(
        self, follower: Follower, facts: TopicFacts, bounds: Mapping[Place, Bounds] | None = None,
        *, changelog: Changelog | None = None,
    ) -> tuple[Applier, int | None]:  # fmt: skip
        """A new store with everything that the topics hold now.

        Args:
            follower: Reads; afterwards it goes on from the ends.
            facts: What `facts` gave.
            bounds: What the partitions hold, where that was just asked.
            changelog: Loads what it holds first, and then takes what is read from the topics.

        Returns:
            What applies to the store from here on, and the number of its directory.

        Raises:
            Stopped: The view was stopped meanwhile.
        """
        config = self.config
        number: int | None = None
        path: Path | None = None
        if self._generations is not None:
            number = self._generations.next()
            path = self._generations.store(number)
        asked = time.time()
        bounds = bounds or follower.bounds(places_of(follower, config))
        # Records are fetched while the store is opened and what it needs is imported.
        known = None if changelog is None else changelog.state
        gate, marks = self.gate(follower, bounds, known, loading=known is None)
        starts = assign(follower, {**bounds, **marks}, {} if known is None else {**known.offsets, **known.boundaries})
        self._meter.fetching.set()
        store = open_store(config, path)
        try:
            store.begin_load()
            state = ViewState(topic_ids=dict(facts.ids), config=config.digest)
            if changelog is not None:
                state = changelog.restore(store)
            applier = Applier(store, config, follower.check, state=state, gate=gate, changelog=changelog)
            take = (
                self._sampled(applier, bounds) if config.kind == "memory" else lambda ms: self._loaded(applier.take(ms))
            )
            if not read_to_ends(follower, bounds, starts, take, self._stop, self._meter.read):
                raise Stopped  # noqa: TRY301 - the store is closed below, as after any other end
            self.finish_transactions(follower, applier, bounds, self._loaded)
            applier.unwrapper.check_keys()
            store.end_load()
            applier.stamp(asked, complete=True)
        except BaseException:
            store.close()
            raise
        self._meter.rebuilds += 1
        return applier, number

    def _sampled(self, applier: Applier, bounds: Mapping[Place, Bounds]) -> Callable[[Any], None]:
        """Takes messages, and of the first ones tells what all of them will need."""
        sample: Sample | None = Sample(bounds)

        def take(messages: Any) -> None:
            nonlocal sample
            batch = applier.take(messages)
            self._loaded(batch)
            if sample is not None and sample.add(batch):
                found, sample, limit = sample.estimate(), None, memory_limit(self.config)
                said = f"{found}; {limit / 1e6:,.0f} MB are allowed"
                if found.bytes > limit:
                    raise MemoryLimit(
                        f"{', '.join(self.config.topics)}: the load would need {said}",
                        hint='raise memory_limit, keep fewer columns with fields, or take kind = "rocksdb"',
                    )
                self._say("MEMORY_ESTIMATE", said, Severity.NOTE)

        return take

    def _loaded(self, batch: Batch) -> None:
        self._meter.applied += len(batch)
        self.say_dead(batch)

    def say_dead(self, batch: Batch) -> None:
        """Tell of the records that could not be taken."""
        for letter in batch.dead:
            where = f"{letter.topic}/{letter.partition}/{letter.offset}"
            self._say("DEAD_LETTER", f"{where}: {letter.reason}", Severity.WARNING)

    # -- source transactions -----------------------------------------------------------------------------------------

    def gate(
        self, follower: Follower, bounds: Mapping[Place, Bounds], state: ViewState | None, *, loading: bool
    ) -> tuple[TransactionGate | None, dict[Place, Bounds]]:
        """What holds back transactions that are not whole, where the engine tells their boundaries.

        Returns:
            The gate, and the partitions of the boundaries from where they are to be read.
        """
        config = self.config
        topic = boundary_topic(config.topics, config.transactions)
        found = follower.partitions([topic]) if topic is not None else {}
        if topic is None or topic not in found:
            return None, {}
        if config.partitions is not None:
            evidence = f"{topic} is there, but a view of some partitions cannot know what is whole: it shows each record as it comes"
            self._say("TRANSACTIONS_NOT_WHOLE", evidence, Severity.NOTE)
            return None, {}
        marks = {}
        for place, held in follower.bounds({(topic, p) for p in found[topic]}).items():
            known = None if state is None else state.boundaries.get(place)
            marks[place] = Bounds(max(held.begin, held.end - LOOK_BACK if known is None else known), held.end)
        # What lies further back than the tail of a topic belongs to transactions that ended long ago.
        free = {place: held.end - TAIL for place, held in bounds.items()} if loading else {}
        say = lambda text: self._say("TRANSACTION_TORN", text, Severity.WARNING)  # noqa: E731 - it needs no name
        return TransactionGate(topic, config.topics, say=say, free=free), marks

    def finish_transactions(
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
