"""The initial snapshot, chunk by chunk into the running stream, by reader threads of its own.

The threads read and render; the stream's thread emits a chunk when its mark arrives (`cdc.chunks` says why that is
right). What is done is recorded with the position, so that a crash costs the chunks in flight and no more.
"""

from __future__ import annotations

import secrets
import threading
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from cdc.chunks import ChangeMemory, Key
from cdc.errors import OperatorError, SeamError, SourceUnavailable
from cdc.model.relation import Relation
from cdc.postgres.snapshot import Extent, Moment, SnapshotReader
from cdc.postgres.snapshot_tables import SnapshotTable
from cdc.render import Record
from cdc.render_copy import CopyForm, Reading
from cdc.report import Finding, Severity
from cdc.snapshot_state import CHUNK_ROWS, TableState, texts_of
from cdc.wire.identity import RowIdentity

CHUNK_SECONDS: Final = 0.25
CHUNK_BYTES: Final = 8_000_000
HELD_BYTES: Final = 48_000_000
"""Rendered rows that wait for their marks; a chunk that is being read counts as a whole one."""
ROW_BYTES: Final = 250
"""What a rendered row takes in memory beside its text."""
RETAKE_SECONDS: Final = 300.0
WRITERS_NOTE_SECONDS: Final = 10.0
WAIT_SECONDS: Final = 0.2


class _TooLarge(Exception):
    """The extent holds more bytes than a chunk may."""


@dataclass(slots=True)
class _Chunk:
    """One extent, from its choice to its mark.

    Attributes:
        id: Unique in all runs, the content of its mark.
        state: Its table.
        extent: What of it is read.
        generation: Of the table's reading, when it was chosen.
        identities: What identifies each row.
        rows: The same rows, rendered; None where a transform dropped one.
        last_key: With an override: the key to go on after.
        bytes: That it takes in memory.
    """

    id: str
    state: TableState
    extent: Extent
    generation: int
    identities: list[Key] = field(default_factory=list)
    rows: list[Record | None] = field(default_factory=list)
    last_key: tuple[str, ...] | None = None
    bytes: int = CHUNK_BYTES

    @property
    def published(self) -> str:
        """The name under which the stream knows its table."""
        return self.state.table.relation.qualified


@dataclass(frozen=True, slots=True)
class Arrived:
    """A chunk whose mark arrived.

    Attributes:
        rows: Those that are still the newest of their keys; headers of None stand for the usual ones.
        done: To be called once they are durable, or are sure to become so together with what records them.
    """

    rows: list[Record]
    done: Callable[[], None]


class Snapshotter:
    """Reads tables by chunks and hands them to the stream.

    Args:
        tables: The tables, in the order in which they are read; each has a key.
        renders: Published `schema.table` -> how its rows are rendered.
        recorded: Table -> what `TableState.as_json` recorded.
        make_reader: Opens a connection.
        threads: How many readers.
        on_finding: Told what is worth saying.
        pause: Called with the rows of each chunk before it goes out, to keep a rate.
        failpoint: Called with the name of each step; tests kill the process there.
        memory: Of changes; its own when left out.
        marker: `source.snapshot` of the rows.
        streamed: On a stream that runs already: transactions that it carried, and which may be invisible still.
        all_known: Whether these are all, so that nobody who has a table open need be waited for.
    """

    def __init__(
        self,
        tables: Sequence[SnapshotTable],
        renders: Mapping[str, CopyForm],
        recorded: Mapping[str, Any],
        make_reader: Callable[[], SnapshotReader],
        *,
        threads: int = 1,
        on_finding: Callable[[Finding], None] = lambda _finding: None,
        pause: Callable[[int], None] = lambda _rows: None,
        failpoint: Callable[[str], None] = lambda _name: None,
        memory: ChangeMemory | None = None,
        marker: str = "true",
        streamed: Iterable[int] = (),
        all_known: bool = False,
    ) -> None:
        self.marker = marker
        self.renders = renders
        self.make_reader = make_reader
        self.on_finding = on_finding
        self.pause = pause
        self.failpoint = failpoint
        self.memory = memory or ChangeMemory()
        self.states = {table.name: TableState.resumed(table, recorded.get(table.name, {})) for table in tables}
        self.error: SeamError | None = None
        # Relation OID as its four wire bytes -> what identifies its rows; of watched tables only.
        self.identities: dict[bytes, RowIdentity] = {}
        self._published: dict[str, list[TableState]] = {}
        for state in self.states.values():
            if not state.complete:
                self._published.setdefault(state.table.relation.qualified, []).append(state)
        self.memory.watch(self._published, streamed)
        for state in self.states.values():
            state.checked = all_known
        self._lock = threading.Condition()
        self._held: dict[str, _Chunk] = {}
        self._stop = threading.Event()
        self._run = secrets.token_hex(4)
        self._count = 0
        self._readers: list[SnapshotReader] = []
        self._threads = [threading.Thread(target=self._read, name=f"snapshot-{n}", daemon=True) for n in range(threads)]

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
            readers = list(self._readers)
        for reader in readers:
            reader.cancel()
        for thread in self._threads:
            if thread.is_alive():
                thread.join(10)

    @property
    def complete(self) -> bool:
        """Whether every row is done."""
        return all(state.complete for state in self.states.values())

    def check(self) -> None:
        """Raise what ended a reader.

        Raises:
            SeamError: The reader's error.
        """
        if self.error is not None:
            raise self.error

    def describe(self, relation: Relation) -> None:
        """The stream described a relation: its row messages look so from here on.

        Raises:
            SourceUnavailable: It has lost a column that identifies its rows: plan again.
        """
        states = self._published.get(relation.qualified)
        if not states or relation.oid != states[0].table.relation.oid:
            return
        try:
            self.identities[relation.oid.to_bytes(4, "big")] = RowIdentity(relation, states[0].table.key)
        except ValueError as error:
            raise SourceUnavailable(f"{error}, while its rows are being read; reading on in its new form") from error

    def note(self, identity: RowIdentity, payload: bytes, xid: int) -> None:
        """The stream carried a row message of a watched table.

        Args:
            identity: Of its relation.
            payload: The message.
            xid: Its transaction.
        """
        keys, left_out = identity.read(payload)
        self.memory.note(identity.table, xid, keys)
        if left_out is not None:
            with self._lock:
                for state in self._published.get(identity.table, ()):
                    state.note_left_out(left_out, xid)

    def note_truncate(self, oids: Sequence[int], xid: int) -> None:
        """The stream carried a TRUNCATE."""
        for oid in oids:
            identity = self.identities.get(oid.to_bytes(4, "big"))
            if identity is not None:
                self.memory.note(identity.table, xid, None)

    def arrived(self, mark: str) -> Arrived | None:
        """A mark arrived in the stream.

        Returns:
            What to emit; None for a mark of another run, or of a chunk that is to be read again.
        """
        with self._lock:
            chunk = self._held.get(mark)
        newer = self.memory.end(mark)
        if chunk is None:
            return None
        if newer.too_many:
            with self._lock:
                del self._held[mark]
                if chunk.generation == chunk.state.generation and not chunk.state.split(chunk.extent):
                    chunk.state.give_back(chunk.extent)
                self._lock.notify_all()
            return None
        rows = chunk.rows
        if newer.everything:
            rows = []
        elif newer.keys:
            rows = [row for key, row in zip(chunk.identities, rows, strict=True) if key not in newer.keys]
        kept = [row for row in rows if row is not None]
        count, chunk.identities, chunk.rows = len(chunk.rows), [], []
        return Arrived(kept, lambda: self._done(chunk, count))

    def _done(self, chunk: _Chunk, rows: int) -> None:
        with self._lock:
            self._held.pop(chunk.id, None)
            state = chunk.state
            if chunk.generation == state.generation:
                state.finish(chunk.extent, rows, chunk.last_key)
            if state.complete and all(other.complete for other in self._published.get(chunk.published, ())):
                self._published.pop(chunk.published, None)
                self.identities.pop(state.table.relation.oid.to_bytes(4, "big"), None)
                self.memory.forget(chunk.published)
            self._lock.notify_all()

    def as_json(self) -> dict[str, Any]:
        """What is recorded with the position."""
        with self._lock:
            phase = "done" if self.complete else "chunks"
            return {"phase": phase, "tables": {name: state.as_json() for name, state in self.states.items()}}

    # -- the readers' threads ----------------------------------------------------------------------------------------

    def _read(self) -> None:
        reader: SnapshotReader | None = None
        try:
            while (chunk := self._next_chunk()) is not None:
                if reader is None:
                    reader = self.make_reader()
                    with self._lock:
                        self._readers.append(reader)
                self._read_chunk(reader, chunk)
        except SeamError as error:
            self._fail(error)
        except Exception as error:  # noqa: BLE001 - a reader must never end unseen
            self._fail(OperatorError(f"the snapshot reader failed: {type(error).__name__}: {error}"))
        finally:
            if reader is not None:
                with self._lock:
                    self._readers.remove(reader)
                reader.close()

    def _fail(self, error: SeamError) -> None:
        with self._lock:
            if not self._stop.is_set():
                self.error = self.error or error
            self._stop.set()
            self._lock.notify_all()

    def _next_chunk(self) -> _Chunk | None:
        with self._lock:
            while not self._stop.is_set() and not self.complete:
                chunk = self._choose()
                if chunk is not None:
                    return chunk
                self._lock.wait(WAIT_SECONDS)
        return None

    def _choose(self) -> _Chunk | None:
        """The next chunk to read; None when there is none now, or no room for its rows."""
        if sum(chunk.bytes for chunk in self._held.values()) + CHUNK_BYTES > HELD_BYTES:
            return None
        for state in self.states.values():
            extent = state.take()
            if extent is not None:
                self._count += 1
                chunk = _Chunk(f"{self._run}-{self._count}", state, extent, state.generation)
                self._held[chunk.id] = chunk
                return chunk
        return None

    def _read_chunk(self, reader: SnapshotReader, chunk: _Chunk) -> None:
        state = chunk.state
        self._await_writers(reader, state)
        started = time.monotonic()
        moment = self._moment(reader, chunk)
        with self._lock:
            extent = state.settle(chunk.extent, moment) if chunk.generation == state.generation else None
        if extent is None:
            reader.abandon()
            self._drop(chunk)
            return
        chunk.extent = extent
        try:
            self._render(reader, chunk, moment)
        except _TooLarge:
            reader.abandon()
            self._drop(chunk, lambda: state.split(extent))
            return
        if not reader.end(state.table, moment):
            self._drop(chunk, lambda: state.give_back(extent))
            return
        with self._lock:
            seconds, full = time.monotonic() - started, len(chunk.rows) > CHUNK_ROWS or chunk.bytes > CHUNK_BYTES / 2
            half = len(chunk.rows) > CHUNK_ROWS / 2 or chunk.bytes > CHUNK_BYTES / 4
            state.adapt(small=seconds < CHUNK_SECONDS / 2 and not half, large=seconds > CHUNK_SECONDS * 2 or full)
        self.failpoint("chunk read")
        self.pause(len(chunk.rows))
        reader.mark(chunk.id)

    def _drop(self, chunk: _Chunk, instead: Callable[[], object] = lambda: None) -> None:
        """A chunk does not come to its mark.

        Args:
            chunk: The chunk.
            instead: What is done with its extent, if the table is still being read as it was.
        """
        self.memory.end(chunk.id)
        with self._lock:
            self._held.pop(chunk.id, None)
            if chunk.generation == chunk.state.generation:
                instead()
            self._lock.notify_all()

    def _await_writers(self, reader: SnapshotReader, state: TableState) -> None:
        """Let those end that have written the table and are open now: once, before its first chunk of this run.

        One of them may have committed before the stream's start without being visible yet, while it waits for a
        standby for instance. Its changes are not streamed (again), and a chunk that does not see them would be wrong.
        """
        if state.checked:
            return
        table = state.table
        waited_for = reader.writers(table)
        told = time.monotonic() + WRITERS_NOTE_SECONDS
        while waited_for and not self._stop.wait(0.01):
            waited_for &= reader.writers(table)
            if waited_for and time.monotonic() > told:
                told = time.monotonic() + 30 * WRITERS_NOTE_SECONDS
                who = f"{len(waited_for)} transactions that wrote it before the stream's start and are still open"
                self.on_finding(Finding("SNAPSHOT_WAITS", Severity.NOTE, table.name, f"waits for {who}"))
        state.checked = True

    def _moment(self, reader: SnapshotReader, chunk: _Chunk) -> Moment:
        """A snapshot that sees every transaction whose change of this table is out already."""
        table = chunk.state.table
        deadline = time.monotonic() + RETAKE_SECONDS
        while True:
            self.memory.start(chunk.id, chunk.published)
            moment = reader.begin(table)
            if self.memory.settle(chunk.id, moment.snapshot):
                return moment
            reader.abandon()
            if self._stop.wait(0.005):
                raise SourceUnavailable("stopped while the snapshot was being read")
            if time.monotonic() > deadline:
                raise SourceUnavailable(
                    f"{table.name}: a transaction that was streamed stays invisible for {RETAKE_SECONDS:.0f} s",
                    hint="does it wait for a synchronous standby that is away?",
                )

    def _render(self, reader: SnapshotReader, chunk: _Chunk, moment: Moment) -> None:
        table = chunk.state.table
        render = self.renders[chunk.published]
        tail, row_of = render.tail(Reading(self.marker, moment.lsn, moment.clock_micros, time.time_ns())), render.row
        identify = render.identity(table.key)
        size = 0
        limit = CHUNK_BYTES if self._may_split(chunk.extent, table) else HELD_BYTES * 100
        identities, rows = chunk.identities, chunk.rows
        lines = reader.rows(table, chunk.extent)
        try:
            for line in lines:
                fields, record = row_of(line, tail)
                identities.append(identify(fields))
                rows.append(record)
                size += ROW_BYTES + (0 if record is None else len(record[2] or b""))
                if size > limit and len(rows) > 1:
                    raise _TooLarge
        finally:
            lines.close()
        chunk.bytes = size
        if chunk.extent.limit is not None and len(rows) >= chunk.extent.limit:
            chunk.last_key = texts_of(identities[-1])

    @staticmethod
    def _may_split(extent: Extent, table: SnapshotTable) -> bool:
        return extent.keys is None and table.override is None and (extent.end is None or extent.end - extent.first > 1)
