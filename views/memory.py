"""The memory image: a topic in the process's own memory, complete as of its end, then live.

Readers are other threads. A read of one key takes no lock: it looks into the dict of late changes, then into the arena
below it, and both are replaced, never changed in place, when they are sealed.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import ClassVar, Final

from cdc.lsn import Position
from views.arena import Arena, Builder
from views.batch import Batch, DeadLetter, Row, Run, ViewState
from views.errors import MemoryLimit
from views.folding import Entry, final_changes
from views.memory_use import give_back
from views.store import DEAD_LETTERS_KEPT, Store
from views.tables import table_of

OVERLAY_ROWS: Final = 50_000
OVERLAY_SHARE: Final = 0.1
LOADED_ROWS: Final = 2_000_000
"""So many rows are loaded before old versions among them are dropped."""

ENTRY_BYTES: Final = 250
"""What a row in the dict of late changes takes beside its key and value."""

_ABSENT: Final = object()


class MemoryTable:
    """The rows of one topic.

    Attributes:
        topic: Its name.
        count: How many rows there are.
    """

    def __init__(self, topic: str) -> None:
        self.topic = topic
        self.count = 0
        self.late_bytes = 0
        # Late changes, the ones being sealed, and what is sealed: one tuple, so that a reader sees them of one moment.
        self._layers: tuple[dict[bytes, Entry | None], dict[bytes, Entry | None], Arena | None] = ({}, {}, None)
        self._builder: Builder | None = None
        self._sealer: threading.Thread | None = None

    # -- reading -----------------------------------------------------------------------------------------------------

    def entry(self, key: bytes) -> Entry | None:
        """What stands under a key."""
        late, sealing, arena = self._layers
        found = late.get(key, _ABSENT)
        if found is _ABSENT and sealing:
            found = sealing.get(key, _ABSENT)
        if found is not _ABSENT:
            return found  # type: ignore[return-value] # the sentinel is out
        if arena is None:
            return None
        rank = arena.find(key)
        return None if rank < 0 else arena.entry(rank)

    def range(self, start: bytes | None, end: bytes | None, limit: int) -> list[Row]:
        """Rows in key order."""
        late, sealing, arena = self._layers
        above = {**sealing, **late} if sealing else late
        keys = sorted(k for k in above if (start is None or k >= start) and (end is None or k < end))
        rank = 0 if arena is None or start is None else arena.lower(start)
        rows: list[Row] = []
        next_key = 0
        while len(rows) < limit:
            below = arena.key(rank) if arena is not None and rank < len(arena) else None
            if below is not None and end is not None and below >= end:
                below = None
            if next_key < len(keys) and (below is None or keys[next_key] <= below):
                key = keys[next_key]
                next_key += 1
                if key == below:
                    rank += 1
                entry = above[key]
                if entry is not None:
                    rows.append(Row(key, entry[0], self.topic, *entry[1:]))
            elif below is not None:
                assert arena is not None
                rows.append(arena.row(rank, self.topic))
                rank += 1
            else:
                break
        return rows

    def size_bytes(self) -> int:
        """Bytes of memory, about."""
        arena = self._layers[2]
        loading = self._builder.bytes + 30 * self._builder.rows if self._builder is not None else 0
        return (arena.size_bytes() if arena is not None else 0) + self.late_bytes + loading

    # -- loading -----------------------------------------------------------------------------------------------------

    def load(self, run: Run) -> None:
        """Take rows that nobody reads yet."""
        if self._builder is None:
            self._builder = Builder()
        self._builder.add_run(run)
        base = self._builder.base
        before = len(base) if base is not None else 0
        if self._builder.rows - before > max(LOADED_ROWS, before):
            # Old versions of rows go before they pile up.
            self._builder = Builder(self._builder.seal())

    def end_load(self) -> None:
        """Make what was loaded readable."""
        if self._builder is not None:
            arena = self._builder.seal()
            self._builder = None
            self._layers = ({}, {}, arena)
            self.count = len(arena)

    def adopt(self, arena: Arena) -> None:
        """Take an arena that was read from a file."""
        self._layers = ({}, {}, arena)
        self.count = len(arena)

    # -- changing ----------------------------------------------------------------------------------------------------

    def change(self, changes: dict[bytes, Entry | None]) -> None:
        """Apply changes; a reader sees all or none."""
        late, sealing, arena = self._layers
        for key, entry in changes.items():
            before = late.get(key, _ABSENT)
            if before is _ABSENT:
                size = ENTRY_BYTES + len(key)
                if sealing and key in sealing:
                    there = sealing[key] is not None
                else:
                    there = arena is not None and arena.find(key) >= 0
            else:
                size = -len(before[0]) if before is not None else 0  # type: ignore[index] # an entry
                there = before is not None
            self.late_bytes += size + (len(entry[0]) if entry is not None else 0)
            self.count += (entry is not None) - there
        late.update(changes)

    def empty(self) -> None:
        """Every row goes."""
        self._layers = ({}, {}, None)
        self.count = self.late_bytes = 0

    def seal_when_large(self, lock: threading.RLock, *, wait: bool = False) -> None:
        """Seal late changes into a new arena, in a thread beside the readers and the writer."""
        late, _, arena = self._layers
        if self._sealer is not None and self._sealer.is_alive():
            if not wait:
                return
            self._sealer.join()
            late, _, arena = self._layers
        if not late or (not wait and len(late) < max(OVERLAY_ROWS, OVERLAY_SHARE * self.count)):
            return
        with lock:
            self._layers = ({}, late, arena)
            self.late_bytes = 0
        sealer = self._sealer = threading.Thread(target=self._seal, args=(lock,), name="sealer", daemon=True)
        sealer.start()
        if wait:
            sealer.join()

    def _seal(self, lock: threading.RLock) -> None:
        _, sealing, arena = self._layers
        builder = Builder(arena)
        builder.add_entries(iter(sealing.items()))
        sealed = builder.seal()
        with lock:
            late, now, below = self._layers
            if now is sealing and below is arena:  # else the table was emptied meanwhile
                self._layers = (late, {}, sealed)

    def arena(self) -> Arena | None:
        """What is sealed."""
        return self._layers[2]


class MemoryImage(Store):
    """The compact memory image, which `kind = "memory"` uses.

    Args:
        topics: What it holds.
        limit_bytes: How much memory the rows may take; None for no limit.
    """

    kind: ClassVar[str] = "memory"

    def __init__(self, topics: Sequence[str], *, limit_bytes: int | None = None) -> None:
        self.topics = tuple(topics)
        self.limit_bytes = limit_bytes
        self.tables = {topic: MemoryTable(topic) for topic in topics}
        self._state = ViewState()
        self._dead: deque[DeadLetter] = deque(maxlen=DEAD_LETTERS_KEPT)
        self._lock = threading.RLock()
        self._loading = False

    @property
    def state(self) -> ViewState:
        return self._state

    # -- reading -----------------------------------------------------------------------------------------------------

    def get(self, key: bytes, topic: str | None = None) -> Row | None:
        table = table_of(self.tables, topic)
        entry = table.entry(key)
        return None if entry is None else Row(key, entry[0], table.topic, *entry[1:])

    def get_many(self, keys: Sequence[bytes], topic: str | None = None) -> list[Row | None]:
        with self._lock:
            return [self.get(key, topic) for key in keys]

    def range(
        self, start: bytes | None = None, end: bytes | None = None, *, limit: int = 1000, topic: str | None = None
    ) -> list[Row]:
        with self._lock:
            return table_of(self.tables, topic).range(start, end, limit)

    def count(self, topic: str | None = None) -> int:
        tables: Iterable[MemoryTable] = self.tables.values() if topic is None else (table_of(self.tables, topic),)
        return sum(table.count for table in tables)

    def dead_letters(self) -> list[DeadLetter]:
        return list(self._dead)

    def size_bytes(self) -> int:
        return sum(table.size_bytes() for table in self.tables.values())

    # -- changing ----------------------------------------------------------------------------------------------------

    def begin_load(self) -> None:
        self._loading = True

    def end_load(self) -> None:
        with self._lock:
            for table in self.tables.values():
                table.end_load()
            self._loading = False
        give_back()

    def apply(self, batch: Batch) -> None:
        if self._loading and all(isinstance(item, Run) and not item.partial for item in batch.items):
            for run in batch.runs():
                self.tables[run.topic].load(run)
            self._check_limit()
            self._dead.extend(batch.dead)
            self._state = batch.state
            return
        if self._loading:
            self.end_load()  # what follows needs the rows before it
        self._check_limit(sum(len(v or b"") + ENTRY_BYTES for run in batch.runs() for v in run.values))
        with self._lock:
            for topic, changes in final_changes(batch, self._sources).items():
                self.tables[topic].change(changes)
            self._dead.extend(batch.dead)
            self._state = batch.state
        for table in self.tables.values():
            table.seal_when_large(self._lock)

    def _sources(self, topic: str) -> Iterator[tuple[bytes, Position | None]]:
        start: bytes | None = None
        while rows := self.tables[topic].range(start, None, 10_000):
            yield from ((row.key, row.source) for row in rows)
            start = rows[-1].key + b"\0"

    def _check_limit(self, more: int = 0) -> None:
        if self.limit_bytes is not None and (needed := self.size_bytes() + more) > self.limit_bytes:
            raise MemoryLimit(
                f"{', '.join(self.topics)}: the rows take {needed / 1e6:.0f} MB, "
                f"{self.limit_bytes / 1e6:.0f} MB are allowed",
                hint='raise memory_limit, keep fewer columns with fields, or take kind = "rocksdb"',
            )

    def capture(self) -> tuple[ViewState, dict[str, Arena | None]]:
        """State and rows of one moment, all sealed; to be called by the thread that applies."""
        for table in self.tables.values():
            table.seal_when_large(self._lock, wait=True)
        return self._state, {topic: table.arena() for topic, table in self.tables.items()}

    def restore(self, state: ViewState, arenas: Mapping[str, Arena]) -> None:
        """Take what `capture` gave."""
        for topic, arena in arenas.items():
            self.tables[topic].adopt(arena)
        self._state = state

    def close(self) -> None:
        for table in self.tables.values():
            table.empty()
