"""A stored view's changelog: its rows once more, in compacted topics, for topics that do not keep all of them.

A compacted topic is itself what a lost store is loaded from. One that drops records after a while is not: what the view
holds of them lies nowhere else. `changelog = "PREFIX"` writes each change to `PREFIX.TOPIC`, into the partition that it
was read from, and then the state that the rows are at to `PREFIX`. Always in this order: rows acknowledged, state
acknowledged, store written. So the changelog is never behind a store; where it is, it is written anew.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping
from typing import Any, Final, NamedTuple

import msgspec

from cdc.errors import BrokerUnavailable, OperatorError, SeamError
from cdc.kafka.admin import Admin
from cdc.kafka.consumer import read_to_end
from cdc.kafka.faults import translate
from cdc.kafka.producer import Producer
from cdc.lsn import Position
from views.batch import Batch, Offsets, Row, Run, Truncation, ViewState, flat, nested
from views.options import ViewConfig
from views.quick_envelopes import POSITION_HEADER, append, position_of
from views.store import Store

OFFSET_HEADER: Final = "seam.offset"
"""The offset of the record that a change was read from; the partition is the same one."""

TOPIC_CONFIG: Final[Mapping[str, str]] = {"cleanup.policy": "compact"}
DELIVERY_SECONDS: Final = 30.0
RESTORE_ROWS: Final = 2000


class _Change(NamedTuple):
    """What one batch comes to for one key.

    Attributes:
        value: The row; None for one that goes.
        partition: Where the row was read, and is written.
        read_from: Where the record was read that changes it: a truncation is told in one partition for all.
        offset: The record's.
        source: The row's position in the database.
    """

    value: bytes | None
    partition: int
    read_from: int
    offset: int
    source: Position | None


class Changelog:
    """The changelog of one view.

    Args:
        config: The view.

    Attributes:
        state: What the rows are at; None where there is no changelog yet, or none that was finished.
    """

    def __init__(self, config: ViewConfig) -> None:
        assert config.changelog is not None
        self.config = config
        self.prefix = config.changelog
        self.topics = {topic: f"{self.prefix}.{topic}" for topic in config.topics}
        parts = "" if config.partitions is None else "/" + ",".join(map(str, sorted(config.partitions)))
        self._key = f"state{parts}".encode()
        self._begin: Offsets = {}
        self._failed: SeamError | None = None
        self._make_topics()
        self.state = self._read_state()
        self._producer = Producer(config.kafka)

    def _make_topics(self) -> None:
        admin = Admin(self.config.kafka)
        known = admin.partitions()
        wanted = {self.prefix: 1} | {own: known[topic] for topic, own in self.topics.items() if topic in known}
        for topic in wanted.keys() - known.keys():
            copies = min(3, max(1, admin.brokers()))
            admin.create(topic, partitions=wanted[topic], replication=copies, config=TOPIC_CONFIG)
        for topic, options in admin.configs(sorted(wanted.keys() & known.keys())).items():
            if known[topic] != wanted[topic] or options.get("cleanup.policy") != "compact":
                raise OperatorError(
                    f"topic {topic} has {known[topic]} partitions and policy {options.get('cleanup.policy')!r}, "
                    f"the changelog needs {wanted[topic]} and 'compact'",
                    hint="name another changelog, or delete this topic: it is then written anew from the store",
                )

    def _read_state(self) -> ViewState | None:
        last: list[bytes | None] = [None]

        def keep(message: Any) -> None:
            if message.key() == self._key:
                last[0] = message.value()

        read_to_end(self.config.kafka, self.prefix, keep, partitions=[0])
        if last[0] is None:
            return None
        try:
            document = msgspec.json.decode(last[0])
            self._begin = flat(document["begin"])
            return ViewState.decode(document["state"])
        except (msgspec.DecodeError, KeyError, TypeError, ValueError) as error:
            raise OperatorError(f"a record of {self.prefix} is damaged: {type(error).__name__}") from error

    def close(self) -> None:
        """End the producer."""
        self._producer.close()

    # -- reading -----------------------------------------------------------------------------------------------------

    def covers(self, state: ViewState) -> bool:
        """Whether it holds everything that a store at that state holds."""
        mine = self.state
        return (
            mine is not None and mine.complete and mine.config == state.config
            and all(mine.offsets.get(place, 0) >= offset for place, offset in state.offsets.items())
        )  # fmt: skip

    def restore(self, store: Store) -> ViewState:
        """Load an empty store with the rows; returns the state that they are at, from where the topics are read on."""
        assert self.state is not None
        state = self.state.copy()
        state.complete = False  # until the topics are read on to their ends
        loading = ViewState(config=state.config)
        runs: dict[int, Run] = {}
        rows = 0
        for topic, own in self.topics.items():

            def keep(message: Any, topic: str = topic, own: str = own) -> None:
                nonlocal rows
                partition = message.partition()
                if message.offset() < self._begin.get((own, partition), 0):
                    return  # from before it was written anew
                told = dict(message.headers() or ())
                run = runs.setdefault(partition, Run(topic, partition, [], [], [], []))
                source = position_of(told[POSITION_HEADER]) if POSITION_HEADER in told else None
                append(run, message.key(), message.value(), int(told.get(OFFSET_HEADER, b"0")), source)
                rows += 1
                if rows % RESTORE_ROWS == 0:
                    self._load(store, runs, loading)

            partitions = None if self.config.partitions is None else sorted(self.config.partitions)
            read_to_end(self.config.kafka, own, keep, partitions=partitions)
            self._load(store, runs, loading)
        return state

    @staticmethod
    def _load(store: Store, runs: dict[int, Run], state: ViewState) -> None:
        for run in runs.values():
            if run.sources is not None and not any(run.sources):
                run.sources = None
        store.apply(Batch(list(runs.values()), state.copy()))
        runs.clear()

    # -- writing -----------------------------------------------------------------------------------------------------

    def write(self, batch: Batch, store: Store) -> None:
        """Write what a batch comes to, before the store takes it.

        Raises:
            BrokerUnavailable: It was not acknowledged in time; the store must not take the batch.
        """
        known = self.state.offsets if self.state is not None else {}
        for topic, changes in self._changes(batch, store).items():
            for key, change in changes.items():
                # What a killed process wrote here and not to its store comes again: rows must not go back in time.
                if change.offset >= known.get((topic, change.read_from), 0):
                    self._send(topic, key, change)
        self._acknowledged()
        if all(batch.state.offsets.get(place, 0) >= offset for place, offset in known.items()):
            self._write_state(batch.state)

    def write_anew(self, store: Store) -> None:
        """Write every row of a store; what was written before counts no more.

        Raises:
            BrokerUnavailable: It was not acknowledged in time.
        """
        self.state = None
        self._produce(self.prefix, None, self._key, 0, None)
        self._acknowledged()
        admin = Admin(self.config.kafka)
        known = admin.partitions()
        self._begin = admin.ends([(own, p) for own in self.topics.values() for p in range(known.get(own, 0))])
        for topic in self.topics:
            for row in store.scan(topic):
                self._send(topic, row.key, _Change(row.value, row.partition, row.partition, row.offset, row.source))
        self._acknowledged()
        self._write_state(store.state)

    def _changes(self, batch: Batch, store: Store) -> dict[str, dict[bytes, _Change]]:
        """The last change of each key by topic, truncations resolved."""
        found: dict[str, dict[bytes, _Change]] = {}
        for item in batch.items:
            into = found.setdefault(item.topic, {})
            if isinstance(item, Truncation):
                emptied = [(key, change.partition, change.source) for key, change in into.items()]
                emptied += [(row.key, row.partition, row.source) for row in _others(store.scan(item.topic), into)]
                for key, partition, source in emptied:
                    if item.covers(source):
                        into[key] = _Change(None, partition, item.partition, item.offset, source)
                continue
            for index, (key, value, offset) in enumerate(zip(item.keys, item.values, item.offsets, strict=True)):
                into[key] = _Change(value, item.partition, item.partition, offset, item.source(index))
        return found

    def _send(self, topic: str, key: bytes, change: _Change) -> None:
        headers = [(OFFSET_HEADER, b"%d" % change.offset)]
        if change.source is not None:
            headers.append((POSITION_HEADER, str(change.source).encode()))
        self._produce(self.topics[topic], change.value, key, change.partition, headers)

    def _write_state(self, state: ViewState) -> None:
        document = {"begin": nested(self._begin), "state": state.encode().decode()}
        self._produce(self.prefix, msgspec.json.encode(document), self._key, 0, None)
        self._acknowledged()
        self.state = state.copy()

    def _produce(self, topic: str, value: bytes | None, key: bytes, partition: int, headers: Any) -> None:
        deadline = time.monotonic() + DELIVERY_SECONDS
        while not self._producer.send(
            topic, value, key, on_delivery=self._on_delivery, partition=partition, headers=headers
        ):
            self._producer.poll(0.05)
            if time.monotonic() > deadline:
                raise self._late()

    def _on_delivery(self, error: Any, message: Any) -> None:
        if error is not None and self._failed is None:
            self._failed = translate(error, where=f"writing the changelog {message.topic()}")

    def _acknowledged(self) -> None:
        deadline = time.monotonic() + DELIVERY_SECONDS
        while self._producer.in_queue():
            self._producer.poll(0.05)
            if time.monotonic() > deadline:
                raise self._late()
        if self._failed is not None:
            failed, self._failed = self._failed, None
            raise failed

    def _late(self) -> BrokerUnavailable:
        return BrokerUnavailable(f"changelog {self.prefix}: nothing was acknowledged for {DELIVERY_SECONDS:.0f} s")


def _others(rows: Iterable[Row], known: Mapping[bytes, Any]) -> list[Row]:
    return [row for row in rows if row.key not in known]
