"""The state store: RocksDB, with changes and offsets in one write batch.

A write goes into RocksDB's log without a sync: a killed process loses nothing, a machine that loses power loses a tail,
and the offsets with it, so that the tail is read again.
"""

from __future__ import annotations

import contextlib
import struct
import threading
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, ClassVar, Final

import msgspec
from rocksdict import (
    AccessType,
    BlockBasedOptions,
    DBCompressionType,
    DBRecoveryMode,
    MemtableFactory,
    Options,
    Rdict,
    WriteBatch,
    WriteOptions,
)

from cdc.lsn import LSN, Position
from views.batch import Batch, DeadLetter, Row, Run, ViewState
from views.errors import StoreFull, ViewDamaged
from views.folding import Entry, final_changes
from views.store import DEAD_LETTERS_KEPT, Store
from views.tables import table_of

_STATE: Final = b"m:state"
_DEAD: Final = b"d:"
_ROW: Final = b"r"
_HEAD: Final = struct.Struct(">BIQ")
_SOURCE: Final = struct.Struct(">QIQQ")
_pack_head: Final = _HEAD.pack

_FULL: Final = ("No space left", "File too large", "Disk quota", "Read-only file system", "previous error")
_ROOM: Final = "free some space; the view goes on by itself"
_ANEW: Final = "seam view rebuild FILE reads the topics anew"


class RocksStore(Store):
    """Rows in RocksDB.

    Args:
        path: Its directory, made when it is not there.
        topics: What it holds, in an order that must stay.
        read_only: Open beside a process that writes.

    Raises:
        ViewDamaged: What lies there cannot be read.
    """

    kind: ClassVar[str] = "rocksdb"

    def __init__(self, path: Path, topics: Sequence[str], *, read_only: bool = False) -> None:
        self.path = path
        self.topics = tuple(topics)
        self._prefixes = {topic: _ROW + bytes([i]) for i, topic in enumerate(topics)}
        self._read_only = read_only
        self._lock = threading.RLock()
        self._loading = False
        self._failed = False
        self._count: int | None = None
        self._db = self._open()
        self._state = self._read_state()

    def _open(self, *, load: bool = False, read_only: bool = False) -> Any:
        try:
            if self._read_only or read_only:
                return Rdict(str(self.path), _options(load=False), access_type=AccessType.read_only())
            self.path.mkdir(parents=True, exist_ok=True)
            return Rdict(str(self.path), _options(load=load))
        except Exception as error:  # rocksdict raises plain Exception
            if _is_full(error):
                raise StoreFull(f"{self.path}: {error}", hint=_ROOM) from error
            raise ViewDamaged(f"{self.path}: RocksDB cannot open it: {error}", hint=_ANEW) from error

    def _read_state(self) -> ViewState:
        data = self._db.get(_STATE)
        if data is None:
            return ViewState()
        try:
            return ViewState.decode(data)
        except ValueError as error:
            raise ViewDamaged(f"{self.path}: {error}", hint=_ANEW) from error

    @property
    def state(self) -> ViewState:
        return self._state

    # -- reading -----------------------------------------------------------------------------------------------------

    def get(self, key: bytes, topic: str | None = None) -> Row | None:
        name, prefix = self._table(topic)
        data = self._db.get(prefix + key)
        return None if data is None else _row(key, data, name)

    def get_many(self, keys: Sequence[bytes], topic: str | None = None) -> list[Row | None]:
        name, prefix = self._table(topic)
        snapshot = self._db.snapshot()
        found = [(key, _in_snapshot(snapshot, prefix + key)) for key in keys]
        return [None if data is None else _row(key, data, name) for key, data in found]

    def _table(self, topic: str | None) -> tuple[str, bytes]:
        if topic is not None and topic in self._prefixes:
            return topic, self._prefixes[topic]
        return table_of({name: (name, prefix) for name, prefix in self._prefixes.items()}, topic)

    def range(
        self, start: bytes | None = None, end: bytes | None = None, *, limit: int = 1000, topic: str | None = None
    ) -> list[Row]:
        name, prefix = self._table(topic)
        rows: list[Row] = []
        cut = len(prefix)
        for key, data in self._db.items(from_key=prefix + (start or b"")):
            if len(rows) >= limit or not key.startswith(prefix) or (end is not None and key[cut:] >= end):
                break
            rows.append(_row(key[cut:], data, name))
        return rows

    def count(self, topic: str | None = None) -> int:
        if topic is not None:
            return sum(1 for _ in self._keys(self._table(topic)[1]))
        with self._lock:
            if self._count is None:
                self._count = sum(1 for prefix in self._prefixes.values() for _ in self._keys(prefix))
            return self._count

    def _keys(self, prefix: bytes) -> Iterator[bytes]:
        for key in self._db.keys(from_key=prefix):
            if not key.startswith(prefix):
                return
            yield key

    def _sources(self, topic: str) -> Iterator[tuple[bytes, Position | None]]:
        prefix = self._prefixes[topic]
        for key, data in self._db.items(from_key=prefix):
            if not key.startswith(prefix):
                return
            yield key[len(prefix) :], _row(b"", data, topic).source

    def dead_letters(self) -> list[DeadLetter]:
        found = []
        for key, data in self._db.items(from_key=_DEAD):
            if not key.startswith(_DEAD):
                break
            found.append(DeadLetter(**msgspec.json.decode(data)))
        return found

    def size_bytes(self) -> int:
        return sum(file.stat().st_size for file in self.path.iterdir() if file.is_file())

    # -- changing ----------------------------------------------------------------------------------------------------

    def begin_load(self) -> None:
        """Write without a log into unsorted memory tables, which are sorted as they go to disk."""
        self._db.close()
        self._db = self._open(load=True)
        self._loading = True

    def end_load(self) -> None:
        if not self._loading:
            return
        try:
            self._db.flush()
            self._db.close()
        except Exception as error:
            raise self._failure(error) from error
        self._loading = False
        self._db = self._open()
        self._state = self._read_state()

    def apply(self, batch: Batch) -> None:
        if self._failed:
            self._open_after_failure()
        if self._loading and all(isinstance(item, Run) and not item.partial for item in batch.items):
            written = WriteBatch(raw_mode=True)
            for run in batch.runs():
                _put_run(written, run, self._prefixes[run.topic])
            self._write(written, batch, log=False)
            return
        if self._loading:
            self.end_load()
        with self._lock:
            written = WriteBatch(raw_mode=True)
            changed = 0
            for topic, changes in final_changes(batch, self._sources).items():
                prefix = self._prefixes[topic]
                if self._count is not None:
                    changed += self._difference(prefix, changes.items())
                for key, entry in changes.items():
                    if entry is None:
                        written.delete(prefix + key)
                    else:
                        written.put(prefix + key, _encode(*entry))
            self._write(written, batch, log=True)
            if self._count is not None:
                self._count += changed

    def _difference(self, prefix: bytes, changes: Iterable[tuple[bytes, Entry | None]]) -> int:
        get = self._db.get
        return sum((entry is not None) - (get(prefix + key) is not None) for key, entry in changes)

    def _write(self, written: Any, batch: Batch, *, log: bool) -> None:
        for i, letter in enumerate(batch.dead):
            number = batch.state.dead - len(batch.dead) + i
            written.put(_DEAD + b"%020d" % number, msgspec.json.encode(letter.as_json()))
            if number >= DEAD_LETTERS_KEPT:
                written.delete(_DEAD + b"%020d" % (number - DEAD_LETTERS_KEPT))
        written.put(_STATE, batch.state.encode())
        options: Any = WriteOptions()
        options.disable_wal = not log
        try:
            self._db.write(written, options)
        except Exception as error:
            raise self._failure(error) from error
        self._state = batch.state

    def _failure(self, error: Exception) -> Exception:
        """The error of ours. After a failed write RocksDB takes no more: it is opened anew with the next batch."""
        if not _is_full(error):
            return ViewDamaged(f"{self.path}: {error}", hint=_ANEW)
        failure = StoreFull(f"{self.path}: {error}", hint=_ROOM)
        self._failed = True
        self._count = None
        # Opening it for writing would write the log's rows to a table first; a reader keeps them in memory.
        before, self._db = self._db, self._open(read_only=True)
        with contextlib.suppress(Exception):  # it says once more that the write failed
            before.close()
        self._state = self._read_state()
        return failure

    def _open_after_failure(self) -> None:
        writable = self._open(load=self._loading)  # raises while the disk is still full
        before, self._db = self._db, writable
        before.close()
        self._failed = False
        self._state = self._read_state()

    def close(self) -> None:
        self._db.close()


def _is_full(error: Exception) -> bool:
    return any(word in str(error) for word in _FULL)


def _options(*, load: bool) -> Any:
    options = Options(raw_mode=True)
    options.create_if_missing(True)
    options.set_wal_recovery_mode(DBRecoveryMode.point_in_time())
    options.set_compression_type(DBCompressionType.lz4())
    options.set_max_background_jobs(2)
    options.set_keep_log_file_num(2)
    options.set_stats_dump_period_sec(0)
    table = BlockBasedOptions()
    table.set_bloom_filter(10, False)
    options.set_block_based_table_factory(table)
    if load:
        options.set_memtable_factory(MemtableFactory.vector())
        options.set_allow_concurrent_memtable_write(False)
        options.set_disable_auto_compactions(True)
    return options


def _encode(value: bytes, partition: int, offset: int, source: Position | None) -> bytes:
    if source is None:
        return _pack_head(0, partition, offset) + value
    return _pack_head(1, partition, offset) + _SOURCE.pack(*source) + value


def _put_run(written: Any, run: Run, prefix: bytes) -> None:
    put, delete = written.put, written.delete
    partition, sources = run.partition, run.sources
    if sources is None and None not in run.values:
        for key, value, offset in zip(run.keys, run.values, run.offsets, strict=True):
            put(prefix + key, _pack_head(0, partition, offset) + value)  # type: ignore[operator] # no None is there
        return
    for i, (key, value, offset) in enumerate(zip(run.keys, run.values, run.offsets, strict=True)):
        if value is None:
            delete(prefix + key)
        else:
            put(prefix + key, _encode(value, partition, offset, None if sources is None else sources[i]))


def _in_snapshot(snapshot: Any, key: bytes) -> bytes | None:
    try:
        found: bytes = snapshot[key]
    except Exception as error:  # rocksdict raises plain Exception
        if "key not found" in str(error):
            return None
        raise
    return found


def _row(key: bytes, data: bytes, topic: str) -> Row:
    told, partition, offset = _HEAD.unpack_from(data)
    if not told:
        return Row(key, data[_HEAD.size :], topic, partition, offset)
    system_id, timeline, lsn, ordinal = _SOURCE.unpack_from(data, _HEAD.size)
    source = Position(system_id, timeline, LSN(lsn), ordinal)
    return Row(key, data[_HEAD.size + _SOURCE.size :], topic, partition, offset, source)
