"""The initial snapshot, chunk by chunk into the running stream, by reader threads of its own.

The threads read and render; the stream's thread emits a chunk when its mark arrives (`cdc.chunks` says why that is
right). What is done is recorded with the position, so that a crash costs the chunks in flight and no more.
"""

from __future__ import annotations

import secrets
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from typing import Any, Final

from cdc.chunks import WHOLE_TABLE, ChangeMemory, Chunk, Row
from cdc.errors import OperatorError, SeamError
from cdc.postgres.snapshot import Extent, Moment, SnapshotReader, SnapshotTable
from cdc.render_copy import CopyRender, Reading
from cdc.wire.copytext import split_row
from cdc.wire.pgoutput import UNCHANGED, Insert, Update, parse_message

CHUNK_SECONDS: Final = 0.25
CHUNK_BYTES: Final = 12_000_000
CHUNK_ROWS: Final = 20_000
FIRST_BLOCKS: Final = 64
REREAD_KEYS: Final = 500
RETAKE_SECONDS: Final = 300.0


class _TooLarge(Exception):
    """The extent holds more bytes than a chunk may."""


@dataclass(slots=True)
class TableState:
    """How far one table has come.

    Attributes:
        table: The table.
        next_block: The first page that was not handed to a reader.
        done_block: Pages below it are done.
        blocks: How many pages one chunk takes; adapts.
        filenode: The file that the pages belong to; 0 before the first chunk.
        after_key: With an override: the last key that is done.
        assigned_all: Whether the last extent was handed out.
        complete: Whether all of it is done.
        rows: Rows emitted or dropped as outdated.
        waiting: First page -> page after the last, of chunks done out of order; None for the open end.
    """

    table: SnapshotTable
    next_block: int = 0
    done_block: int = 0
    blocks: int = FIRST_BLOCKS
    filenode: int = 0
    after_key: tuple[str, ...] | None = None
    assigned_all: bool = False
    complete: bool = False
    rows: int = 0
    busy: bool = False
    generation: int = 0
    waiting: dict[int, int | None] = field(default_factory=dict)

    def as_json(self) -> dict[str, Any]:
        """What is recorded."""
        return {
            "block": self.done_block, "file": self.filenode, "key": self.after_key, "done": self.complete,
            "rows": self.rows, "estimate": self.table.rows,
        }  # fmt: skip


@dataclass(frozen=True, slots=True)
class _Work:
    """One extent that a reader works on."""

    state: TableState
    extent: Extent
    generation: int
    reread: bool = False


class Snapshotter:
    """Reads tables by chunks and hands them to the stream.

    Args:
        tables: The tables, in the order in which they are read.
        renders: Published `schema.table` -> how its rows are rendered.
        topics: Published `schema.table` -> topic.
        recorded: Table -> what `TableState.as_json` recorded.
        make_reader: Opens a connection.
        threads: How many readers.
        pause: Called with the rows of each chunk before it goes out, to keep a rate.
    """

    def __init__(
        self,
        tables: Sequence[SnapshotTable],
        renders: Mapping[str, CopyRender],
        topics: Mapping[str, str],
        recorded: Mapping[str, Any],
        make_reader: Callable[[], SnapshotReader],
        *,
        threads: int = 1,
        pause: Callable[[int], None] = lambda _rows: None,
    ) -> None:
        self.renders = renders
        self.topics = topics
        self.make_reader = make_reader
        self.pause = pause
        self.memory = ChangeMemory()
        self.states = {table.name: self._resumed(table, recorded.get(table.name, {})) for table in tables}
        self.error: SeamError | None = None
        self._lock = threading.Condition()
        self._pending: dict[str, tuple[Chunk, _Work]] = {}
        self._rereads: dict[str, list[tuple[str, ...]]] = {}
        self._stop = threading.Event()
        self._run = secrets.token_hex(4)
        self._count = 0
        self._limit = threads * 2
        self._threads = [threading.Thread(target=self._read, name=f"snapshot-{n}", daemon=True) for n in range(threads)]
        self._oids = {table.relation.oid: table.relation.qualified for table in tables}
        self._published: dict[str, list[TableState]] = {}
        for state in self.states.values():
            self._published.setdefault(state.table.relation.qualified, []).append(state)
        self.memory.watch(state.table.relation.qualified for state in self.states.values() if not state.complete)

    @staticmethod
    def _resumed(table: SnapshotTable, recorded: Mapping[str, Any]) -> TableState:
        block = recorded.get("block", 0)
        key = recorded.get("key")
        return TableState(
            table, next_block=block, done_block=block, filenode=recorded.get("file", 0), rows=recorded.get("rows", 0),
            after_key=tuple(key) if key else None, complete=recorded.get("done", False),
        )  # fmt: skip

    # -- the stream's thread -----------------------------------------------------------------------------------------

    def start(self) -> None:
        """Start reading; the stream has started, so that every change from here on is seen."""
        for thread in self._threads:
            thread.start()

    def stop(self) -> None:
        """End the readers."""
        self._stop.set()
        with self._lock:
            self._lock.notify_all()
        for thread in self._threads:
            if thread.is_alive():
                thread.join(10)

    @property
    def complete(self) -> bool:
        """Whether every row is done."""
        return all(state.complete for state in self.states.values()) and not self._rereads and not self._pending

    def check(self) -> None:
        """Raise what ended a reader.

        Raises:
            SeamError: The reader's error.
        """
        if self.error is not None:
            raise self.error

    def note(self, oid: int, payload: bytes, xid: int, keys: Sequence[bytes | None]) -> None:
        """The stream carried a row message of a table.

        Args:
            oid: The relation.
            payload: The message.
            xid: Its transaction.
            keys: The keys of the records that it became.
        """
        table = self._oids.get(oid)
        if table is None or not self.memory.watches(table):
            return
        self.memory.note(table, xid, [key for key in keys if key is not None])
        # 'u' is the kind of an unchanged value; it may also stand in a text, which the parser tells apart.
        if payload[:1] == b"U" and b"u" in payload:
            self._note_unchanged(table, payload)

    def _note_unchanged(self, table: str, payload: bytes) -> None:
        """A change that left a TOAST value out: no record before it may hold the value, so its row is read again."""
        message = parse_message(payload)
        if not isinstance(message, (Update, Insert)) or UNCHANGED not in message.new:
            return
        for state in self._published[table]:
            if state.complete:
                continue  # its own rows are out, values included
            places = {column.name: index for index, column in enumerate(state.table.relation.columns)}
            cells = [message.new[places[name]] for name in state.table.key if places[name] < len(message.new)]
            key = tuple(cell.decode() for cell in cells if isinstance(cell, bytes))
            if key and len(key) == len(state.table.key):
                with self._lock:
                    self._rereads.setdefault(state.table.name, []).append(key)
                    self._lock.notify()

    def note_truncate(self, oids: Sequence[int], xid: int) -> None:
        """The stream carried a TRUNCATE."""
        for oid in oids:
            table = self._oids.get(oid)
            if table is not None:
                self.memory.note(table, xid, [WHOLE_TABLE])

    def arrived(self, mark: str) -> tuple[str, list[Row], Callable[[], None]] | None:
        """A mark arrived in the stream.

        Returns:
            Topic, rows to emit, and what to call once they are durable; None for a mark of another run.
        """
        with self._lock:
            found = self._pending.get(mark)
        if found is None:
            return None
        chunk, work = found
        rows = self.memory.keep(chunk)
        return chunk.topic, rows, lambda: self._done(mark, chunk, work)

    def _done(self, mark: str, chunk: Chunk, work: _Work) -> None:
        with self._lock:
            self._pending.pop(mark, None)
            state = work.state
            if not work.reread and work.generation == state.generation:
                state.rows += len(chunk.rows)
                self._advance(state, chunk, work)
            self._lock.notify_all()
        if self.complete:
            for published in set(self._oids.values()):
                self.memory.forget(published)

    @staticmethod
    def _advance(state: TableState, chunk: Chunk, work: _Work) -> None:
        """Move the table's unbroken prefix of done pages."""
        if state.table.override is not None:
            state.after_key = chunk.state if chunk.state is not None else state.after_key
            state.complete = chunk.state is None
            state.busy = False
            return
        first, blocks = work.extent.first_block, work.extent.blocks
        state.waiting[first] = None if blocks is None else first + blocks
        while state.done_block in state.waiting:
            end = state.waiting.pop(state.done_block)
            if end is None:
                state.complete = True
                return
            state.done_block = end

    def as_json(self) -> dict[str, Any]:
        """What is recorded with the position."""
        with self._lock:
            phase = "done" if self.complete else "chunks"
            return {"phase": phase, "tables": {name: state.as_json() for name, state in self.states.items()}}

    # -- the readers' threads ----------------------------------------------------------------------------------------

    def _read(self) -> None:
        reader: SnapshotReader | None = None
        try:
            reader = self.make_reader()
            while (work := self._next_work()) is not None:
                self._read_chunk(reader, work)
        except SeamError as error:
            self._fail(error)
        except Exception as error:  # noqa: BLE001 - a reader must never end unseen
            self._fail(OperatorError(f"the snapshot reader failed: {type(error).__name__}: {error}"))
        finally:
            if reader is not None:
                reader.close()

    def _fail(self, error: SeamError) -> None:
        with self._lock:
            self.error = self.error or error
            self._stop.set()
            self._lock.notify_all()

    def _next_work(self) -> _Work | None:
        with self._lock:
            while not self._stop.is_set():
                if len(self._pending) < self._limit:
                    work = self._choose()
                    if work is not None:
                        return work
                if self.complete:
                    return None
                self._lock.wait(0.2)
        return None

    def _choose(self) -> _Work | None:
        for state in self.states.values():
            if state.complete or state.assigned_all or state.busy:
                continue
            if state.table.override is not None:
                state.busy = True
                return _Work(state, Extent(after_key=state.after_key, limit=CHUNK_ROWS), state.generation)
            first = state.next_block
            state.next_block += state.blocks
            return _Work(state, Extent(first_block=first, blocks=state.blocks), state.generation)
        for name, keys in list(self._rereads.items()):
            batch = tuple(dict.fromkeys(keys[:REREAD_KEYS]))
            rest = keys[REREAD_KEYS:]
            if rest:
                self._rereads[name] = rest
            else:
                del self._rereads[name]
            state = self.states[name]
            return _Work(state, Extent(keys=batch), state.generation, reread=True)
        return None

    def _read_chunk(self, reader: SnapshotReader, work: _Work) -> None:
        table = work.state.table
        with self._lock:
            self._count += 1
            mark = f"{self._run}-{self._count}"
        started = time.monotonic()
        start, before = self.memory.start(mark, table.relation.qualified)
        try:
            moment = self._moment(reader, table, before)
            settled = self._settle(work, moment)
            if settled is None:
                self.memory.abandon(mark)
                return
            work = settled
            chunk = Chunk(mark, table.name, self.topics[table.relation.qualified], start, moment.snapshot)
            chunk.table = table.relation.qualified
            try:
                self._render(reader, work, moment, chunk)
            except _TooLarge:
                self.memory.abandon(mark)
                self._halve(work)
                return
        except BaseException:
            self.memory.abandon(mark)
            raise
        finally:
            reader.end()
        self._adapt(work.state, time.monotonic() - started, chunk)
        with self._lock:
            self._pending[mark] = (chunk, work)
        self.pause(len(chunk.rows))
        reader.mark(mark)

    def _moment(self, reader: SnapshotReader, table: SnapshotTable, before: frozenset[int]) -> Moment:
        """A snapshot that sees every transaction whose change of this table is out already."""
        deadline = time.monotonic() + RETAKE_SECONDS
        while True:
            moment = reader.begin(table)
            self.memory.visible(table.relation.qualified, moment.snapshot)
            if all(moment.snapshot.sees(xid) for xid in before):
                return moment
            reader.end()
            if time.monotonic() > deadline or self._stop.wait(0.005):
                raise OperatorError(
                    f"{table.name}: a transaction that was streamed stays invisible for {RETAKE_SECONDS:.0f} s",
                    hint="does it wait for a synchronous standby that is away?",
                )

    def _settle(self, work: _Work, moment: Moment) -> _Work | None:
        """Fit the extent to the table as it is now; None when the table starts again from its first page."""
        state = work.state
        if state.table.override is not None or work.reread:
            return work
        with self._lock:
            if work.generation != state.generation:
                return None
            if not moment.filenode:
                state.complete = True  # dropped meanwhile: no row of it is left
                return None
            if state.filenode and state.filenode != moment.filenode:
                # Rewritten (VACUUM FULL, CLUSTER, ALTER TABLE): rows moved to other pages, done ones included.
                state.generation += 1
                state.filenode, state.next_block, state.done_block, state.assigned_all = moment.filenode, 0, 0, False
                state.waiting.clear()
                return None
            state.filenode = moment.filenode
            first, blocks = work.extent.first_block, work.extent.blocks
            if blocks is not None and first + blocks >= moment.blocks and not state.assigned_all:
                state.assigned_all = True
                return _Work(state, Extent(first_block=first), work.generation)
        return work

    def _render(self, reader: SnapshotReader, work: _Work, moment: Moment, chunk: Chunk) -> None:
        render = self.renders[chunk.table]
        reading = Reading("true", moment.lsn, moment.clock_micros, time.time_ns())
        tail, line_of = render.tail(reading), render.render
        size = 0
        append = chunk.rows.append
        last: bytes = b""
        splittable = work.extent.blocks is None or work.extent.blocks > 1
        splittable = splittable and not work.reread and work.state.table.override is None
        with closing(reader.rows(work.state.table, work.extent)) as lines:
            for line in lines:
                append(line_of(line, tail))  # type: ignore[arg-type] # tables that are read by chunks have keys
                size += len(line)
                last = line
                if size > CHUNK_BYTES and splittable:
                    raise _TooLarge
        chunk.bytes = size
        if work.state.table.override is not None and len(chunk.rows) == work.extent.limit:
            chunk.state = _key_of(last, work.state.table)

    def _halve(self, work: _Work) -> None:
        """Give the extent back in smaller pieces."""
        state = work.state
        with self._lock:
            if work.generation != state.generation:
                return
            # Simplest and rare: the table goes on from its done pages with smaller chunks; nothing is emitted twice
            # that was not in flight, and what was in flight comes again as an equal row.
            state.generation += 1
            state.blocks = max(1, state.blocks // 4)
            state.next_block, state.assigned_all = state.done_block, False
            state.waiting.clear()

    def _adapt(self, state: TableState, seconds: float, chunk: Chunk) -> None:
        """Size the next chunk by this one's time and bytes."""
        with self._lock:
            if seconds < CHUNK_SECONDS / 2 and chunk.bytes < CHUNK_BYTES / 4 and len(chunk.rows) < CHUNK_ROWS / 2:
                state.blocks = min(state.blocks * 2, 1 << 20)
            elif seconds > CHUNK_SECONDS * 2 or chunk.bytes > CHUNK_BYTES / 2 or len(chunk.rows) > CHUNK_ROWS:
                state.blocks = max(1, state.blocks // 2)


def _key_of(line: bytes, table: SnapshotTable) -> tuple[str, ...]:
    fields = split_row(line, len(table.relation.columns))
    places = {column.name: index for index, column in enumerate(table.relation.columns)}
    return tuple((fields[places[name]] or b"").decode() for name in table.key)
