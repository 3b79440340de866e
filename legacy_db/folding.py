"""One topic at one cut: read in memory as far as that goes, through files where it does not."""

from __future__ import annotations

import marshal
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, Final

from cdc.errors import OperatorError
from cdc.kafka.reader import Offsets, TopicReader
from cdc.visibility import Snapshot
from legacy_db.bridge import Bridge
from legacy_db.compare import split_leading_key, split_line
from legacy_db.digests import FileDigests, TopicDigest, digestible, doubtful, narrow_file, only
from legacy_db.shape import TableShape, leads_with_key
from legacy_db.topic_fold import Event, Fold, Multiset, RecordParser, Visibility

_BUCKET_EVENTS: Final = 5_000

_DIGESTS: Final = 10
"""So many records cost as digests what one costs in a fold."""

Paths = Sequence[tuple[Path, Visibility]]


@dataclass(frozen=True, slots=True)
class Quick:
    """What digests say of a table.

    Attributes:
        rows: Rows of the database.
        events: Records of the topic with a value.
        doubts: Digests of the keys that must be looked at; all others are equal.
    """

    rows: int
    events: int
    doubts: set[int]


class TopicAtCut:
    """A topic that is to be folded at the snapshots of a verification.

    Args:
        bridge: The pipeline.
        shape: The table.
        memory_rows: How many records may be folded in memory.
        digests: Whether digests are compared first.

    Attributes:
        records: How many records it held when it was looked at.
    """

    def __init__(self, bridge: Bridge, shape: TableShape, memory_rows: int, *, digests: bool = True) -> None:
        self.shape = shape
        self.memory_rows = memory_rows
        self.records = 0
        self.parser = RecordParser(shape.topic, shape.key_of(schemas=bridge.render.key_schemas))
        self._ordered = "t" not in bridge.render.skipped
        self._reader = TopicReader(bridge.kafka, shape.topic)
        self._starts: Offsets = {}
        self._read: Offsets = {}
        self._before_cut: Offsets = {}
        self._ends: Offsets = {}
        self._first: Visibility | None = None
        self._all: dict[str, Visibility] = {}
        self._horizon: int | None = None
        self._fold: Fold | None = None
        self._digests = digests and digestible(shape)
        self._digest: TopicDigest | None = None
        self._wanted: set[int] | None = None

    @property
    def weight(self) -> int:
        """How many records of a fold take as much memory."""
        return self.records // _DIGESTS if self._digests else self.records

    def close(self) -> None:
        """Leave the topic."""
        self._reader.close()

    def look(self) -> None:
        """See what it holds, before any snapshot is taken."""
        self._starts, self._before_cut = self._reader.bounds()
        self._read = dict(self._starts)
        self.records = sum(self._before_cut[p] - low for p, low in self._starts.items())

    def begin(self) -> None:
        """Have its records fetched while the database makes its snapshot."""
        self._reader.begin(self._read, self._before_cut)

    def at(self, snapshot: Snapshot) -> None:
        """The first snapshot was taken."""
        if self._first is None:
            self._first = Visibility(snapshot)

    def visibility(self, text: str) -> Visibility:
        """What a snapshot of this verification sees."""
        if text not in self._all:
            snapshot = Snapshot.parse(text)
            first = self._first
            self._all[text] = first if first is not None and first.snapshot == snapshot else Visibility(snapshot)
            self._all[text].horizon = self._horizon
        return self._all[text]

    def fold_early(self) -> None:
        """Fold what it held when it was looked at."""
        if not self.shape.key or self._first is None:
            return
        if self._digests:
            self._digest = self._new_digest()
            for messages in self._reader.batches(self._read, self._before_cut):
                self._digest.take(messages)
            self._read = dict(self._before_cut)
        else:
            self._fold = self.new_fold()
            for messages in self._reader.batches(self._read, self._before_cut):
                self._fold.take(messages, early=True)
            self._read = dict(self._before_cut)

    def reach(self) -> None:
        """Kafka holds everything that the snapshots saw: take the ends now."""
        _, self._ends = self._reader.bounds()

    def bound(self, horizon: int) -> None:
        """No transaction before the ends is as new as this one, which was taken after them."""
        self._horizon = horizon
        for visibility in [*self._all.values(), *([self._first] if self._first else [])]:
            visibility.horizon = horizon

    def _new_digest(self) -> TopicDigest:
        assert self._first is not None
        return TopicDigest(self.shape, self._first, self.parser)

    def quick(self, paths: Paths) -> Quick | None:
        """Compare digests with the database's files; None when everything must be looked at."""
        if not self._digests or self._first is None:
            return None
        digest = self._digest
        if digest is None:
            if self.records > self.memory_rows * _DIGESTS:
                return None
            digest = self._new_digest()
        for messages in self._reader.batches(self._read, self._ends):
            digest.take(messages)
        self._read = dict(self._starts)
        if digest.truncated:
            return None
        table = FileDigests(digest.key_digest)
        for path, _ in paths:
            table.take(path)
        one_snapshot = all(visibility is self._first for _, visibility in paths)
        self._digest = digest
        return Quick(table.count, digest.events, doubtful(digest, table, one_snapshot=one_snapshot))

    def narrowed(self, paths: Paths, doubts: set[int]) -> Paths:
        """From here on only some keys are folded; returns the database's files of these alone."""
        assert self._digest is not None
        self._wanted = doubts
        found = []
        for path, visibility in paths:
            narrow = path.with_suffix(".narrow")
            narrow_file(path, narrow, self._digest.key_digest, doubts)
            found.append((narrow, visibility))
        return found

    def _batches(self) -> Iterator[list[Any]]:
        """What is to be folded, up to the ends."""
        for messages in self._reader.batches(self._read, self._ends):
            if self._wanted is None or self._digest is None:
                yield messages
            elif kept := only(messages, self._digest.key_digest, self._wanted):
                yield kept
        self._read = dict(self._ends)

    def _left(self) -> int:
        """How many records are to be folded."""
        if self._wanted is not None and self._digest is not None:
            return self._digest.count_of(self._wanted)
        return sum(end - self._read.get(partition, 0) for partition, end in self._ends.items())

    def new_fold(self) -> Fold:
        """An empty fold at the first snapshot."""
        assert self._first is not None
        return Fold(self.shape, self._first, self._before_cut, self.parser, ordered=self._ordered)

    def multiset(self) -> Multiset:
        """The rows of a topic without keys."""
        if self._first is None:
            raise OperatorError(f"{self.shape.table} was not read")
        found = Multiset(
            self._first, self.parser, lambda row: self.shape.canonical_row(row, topic=True), self._before_cut
        )
        for messages in self._reader.batches(self._read, self._ends):
            found.take(messages)
        return found

    def tail(self, fold: Fold) -> None:
        """Fold what was written since the topic was last read."""
        _, ends = self._reader.bounds()
        for messages in self._reader.batches(self._ends, ends):
            fold.take(messages)
        self._ends = ends

    def folds(self, paths: Paths) -> Iterator[tuple[Fold, Paths]]:
        """The fold of the topic and the database's files to compare it with; in several parts when it is large."""
        if self._first is None:
            raise OperatorError(f"{self.shape.table} was not read")
        count = self._left()
        if self._fold is not None or count <= self.memory_rows:
            fold = self._fold if self._fold is not None else self.new_fold()
            for messages in self._batches():
                fold.take(messages)
            yield fold, paths
            return
        with tempfile.TemporaryDirectory(prefix="seam-fold-") as name:
            yield from self._bucketed(Path(name), paths, -(-count // self.memory_rows) + 1)

    # -- more than memory takes --------------------------------------------------------------------------------------

    def _bucketed(self, directory: Path, paths: Paths, buckets: int) -> Iterator[tuple[Fold, Paths]]:
        """Part both sides by key, so that each part fits into memory."""
        truncates = self._part_topic(directory, buckets)
        parted = self._part_files(directory, paths, buckets)
        for bucket in range(buckets):
            fold = self.new_fold()
            fold.truncates += truncates
            with (directory / f"topic-{bucket}").open("rb") as file:
                while True:
                    try:
                        events = marshal.load(file)  # noqa: S302 - written by this process a moment ago
                    except EOFError:
                        break
                    for event in events:
                        fold.apply(Event(*event))
                    fold.events += len(events)
            yield fold, parted[bucket]

    def _part_topic(self, directory: Path, buckets: int) -> list[tuple[int | None, int]]:
        parser, truncates = self.parser, []
        with ExitStack() as stack:
            files = [stack.enter_context((directory / f"topic-{n}").open("wb")) for n in range(buckets)]
            waiting: list[list[tuple[Any, ...]]] = [[] for _ in files]
            for messages in self._batches():
                for message in messages:
                    event = parser.event(message)
                    if event.op == "t":
                        truncates.append((event.xid, event.lsn))
                    elif event.key is not None:
                        bucket = hash(event.key) % buckets
                        waiting[bucket].append((*event[:3], None, *event[4:]))
                        if len(waiting[bucket]) >= _BUCKET_EVENTS:
                            marshal.dump(waiting[bucket], files[bucket])
                            waiting[bucket] = []
            for events, file in zip(waiting, files, strict=True):
                marshal.dump(events, file)
        return truncates

    def _part_files(self, directory: Path, paths: Paths, buckets: int) -> list[list[tuple[Path, Visibility]]]:
        split = split_leading_key if leads_with_key(self.shape) else split_line
        found: list[list[tuple[Path, Visibility]]] = [[] for _ in range(buckets)]
        for number, (path, visibility) in enumerate(paths):
            with ExitStack() as stack:
                files: list[IO[bytes]] = []
                for bucket in range(buckets):
                    part = directory / f"rows-{number}-{bucket}"
                    files.append(stack.enter_context(part.open("wb")))
                    found[bucket].append((part, visibility))
                for line in stack.enter_context(path.open("rb")):
                    key = self.shape.canonical_key(split(line)[0], topic=False)
                    files[hash(key) % buckets].write(line)
        return found
