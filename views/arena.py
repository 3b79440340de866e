"""Millions of rows in a few flat arrays: the compact form of the memory image.

Keys and values lie end to end in chunks of bytes; numpy arrays in key order say where. A row costs about a dozen bytes
beside its own, against 130 in a dict. An arena never changes: what comes later lies in a dict above it until the two
are sealed into a new one.
"""

from __future__ import annotations

from array import array
from bisect import bisect_right
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Final, NamedTuple

import numpy as np
import numpy.typing as npt

from cdc.lsn import LSN, Position
from views.batch import Row, Run
from views.folding import Entry

FENCE: Final = 32
"""Every so many rows, the key is kept as an object, to search in."""

CHUNK_ROWS: Final = 4096
CHUNK_BYTES: Final = 500_000
"""Pieces are joined to chunks of about so many bytes: fewer and fuller ones, whose addresses fit into 32 bits."""

_GARBAGE: Final = 0.25
_LONGEST_WORDS: Final = 8

Array = npt.NDArray[Any]


@dataclass(slots=True)
class Columns:
    """Rows as columns, in any order; an address is the chunk's number and the offset in it.

    Attributes:
        address: Where key and value lie, end to end.
        key_length: Bytes.
        value_length: Bytes; 0 for a deletion.
        partition: Where the row was read.
        offset: The same.
        source: LSN, ordinal and epoch of each row; None where no row told any.
    """

    address: Array
    key_length: Array
    value_length: Array
    partition: Array
    offset: Array
    source: tuple[Array, Array, Array] | None

    def __len__(self) -> int:
        return len(self.address)

    def take(self, which: Array) -> Columns:
        """Some of the rows, each column in the smallest type that holds it."""
        source = None
        if self.source is not None:
            lsn, ordinal, epoch = self.source
            source = lsn[which], _small(ordinal[which]), _small(epoch[which])
        return Columns(
            _small(self.address[which]), _small(self.key_length[which]), _small(self.value_length[which]),
            _small(self.partition[which]), _small(self.offset[which]), source,
        )  # fmt: skip


def _small(values: Array) -> Array:
    """The same values in the smallest unsigned type."""
    top = int(values.max()) if len(values) else 0
    return np.ascontiguousarray(values, dtype=np.min_scalar_type(top))


class _Part(NamedTuple):
    """Rows on their way into an arena.

    Attributes:
        chunk: The number of the chunk that they lie in.
        start: Where in it they begin.
        key_lengths: Bytes.
        value_lengths: Bytes.
        partition: Where they were read, all or each.
        offsets: The same, of each.
        sources: LSN, ordinal and epoch of each; None where none told any.
    """

    chunk: int
    start: int
    key_lengths: array[int]
    value_lengths: array[int]
    partition: int | array[int]
    offsets: range | array[int]
    sources: list[tuple[int, int, int]] | None


class Builder:
    """Collects rows on their way into an arena.

    Args:
        base: The arena below them; its rows are older than all that is added.
    """

    def __init__(self, base: Arena | None = None) -> None:
        self.base = base
        self.chunks: list[bytes] = list(base.chunks) if base is not None else []
        self.epochs: list[tuple[int, int]] = list(base.epochs) if base is not None else []
        self.bytes = sum(map(len, self.chunks))
        self.rows = len(base) if base is not None else 0
        self._open: list[bytes] = []
        self._open_bytes = 0
        self._parts: list[_Part] = []
        self._low: bytes | None = None
        self._high = b""
        if base is not None and len(base):
            self._low, self._high = base.key(0), base.key(len(base) - 1)

    def add_run(self, run: Run) -> None:
        """Add changes in the order in which they came."""
        values = run.values
        data = run.packed
        if data is None and None in values:
            values = [value or b"" for value in values]
        offsets = run.offsets if isinstance(run.offsets, range) else array("Q", run.offsets)
        self._add(run.keys, values, run.partition, offsets, run.sources, data)  # type: ignore[arg-type] # no None is left

    def add_entries(self, entries: Iterator[tuple[bytes, Entry | None]]) -> None:
        """Add the content of a dict."""
        keys: list[bytes] = []
        rows: list[Entry] = []
        for key, entry in entries:
            keys.append(key)
            rows.append(entry or (b"", 0, 0, None))
            if len(keys) == CHUNK_ROWS:
                self._add_rows(keys, rows)
                keys, rows = [], []
        self._add_rows(keys, rows)

    def _add_rows(self, keys: list[bytes], rows: list[Entry]) -> None:
        if keys:
            values, partitions, offsets, sources = (list(column) for column in zip(*rows, strict=True))
            self._add(keys, values, array("I", partitions), array("Q", offsets), sources if any(sources) else None)

    def _add(
        self, keys: Sequence[bytes], values: Sequence[bytes], partition: int | array[int], offsets: range | array[int],
        sources: list[Position | None] | None, data: bytes | None = None,
    ) -> None:  # fmt: skip
        if not keys:
            return
        if data is None:
            pieces: list[bytes] = [b""] * (2 * len(keys))
            pieces[::2] = keys
            pieces[1::2] = values
            data = b"".join(pieces)
        low, high = min(keys), max(keys)
        self._low = low if self._low is None else min(self._low, low)
        self._high = max(self._high, high)
        packed = None if sources is None else [self._pack(source) for source in sources]
        place = len(self.chunks), self._open_bytes
        self._parts.append(
            _Part(*place, array("I", map(len, keys)), array("I", map(len, values)), partition, offsets, packed)
        )
        self._open.append(data)
        self._open_bytes += len(data)
        self.bytes += len(data)
        self.rows += len(keys)
        if self._open_bytes >= CHUNK_BYTES:
            self._end_chunk()

    def _end_chunk(self) -> None:
        if self._open:
            self.chunks.append(self._open[0] if len(self._open) == 1 else b"".join(self._open))
            self._open, self._open_bytes = [], 0

    def _pack(self, source: Position | None) -> tuple[int, int, int]:
        if source is None:
            return 0, 0, 0
        epoch = (source.system_id, source.timeline)
        if epoch not in self.epochs:
            self.epochs.append(epoch)
        return source.commit_lsn, source.ordinal, self.epochs.index(epoch) + 1

    def seal(self) -> Arena:
        """The arena of all rows, the last one of each key."""
        self._end_chunk()
        shift = _shift_of(self.chunks)
        columns = self._columns(shift)
        self._parts.clear()
        # What the first and the last of them begin with, all keys between begin with.
        lead = _common_lead(self._low or b"", self._high)
        order = _key_order(columns, self.chunks, shift, lead)
        columns = columns.take(order)
        arena = Arena(self.chunks, shift, columns, self.epochs)
        live = int(columns.key_length.sum(dtype=np.int64)) + int(columns.value_length.sum(dtype=np.int64))
        return arena.compacted() if live < self.bytes * (1 - _GARBAGE) else arena

    def _columns(self, shift: int) -> Columns:
        """All rows in the order of their age."""
        columns: list[list[Array]] = [[] for _ in range(5)]
        sources: list[tuple[Array, Array, Array]] = []
        told = any(part.sources is not None for part in self._parts)
        if self.base is not None and len(self.base):
            old = self.base.columns
            mask = np.uint64((1 << self.base.shift) - 1)
            address = old.address.astype(np.uint64)
            moved = ((address >> np.uint64(self.base.shift)) << np.uint64(shift)) | (address & mask)
            for column, values in zip(
                columns, (moved, old.key_length, old.value_length, old.partition, old.offset), strict=True
            ):
                column.append(values)
            told = told or old.source is not None
            sources.append(old.source if old.source is not None else _no_sources(len(old)))
        for part in self._parts:
            keys, values = np.asarray(part.key_lengths, np.uint32), np.asarray(part.value_lengths, np.uint32)
            count = len(keys)
            starts = np.zeros(count, np.uint64)
            np.cumsum((keys + values)[:-1], out=starts[1:])
            columns[0].append(starts + np.uint64((part.chunk << shift) + part.start))
            columns[1].append(keys)
            columns[2].append(values)
            columns[3].append(
                np.full(count, part.partition, np.uint32)
                if isinstance(part.partition, int)
                else np.asarray(part.partition, np.uint32)
            )
            columns[4].append(
                np.arange(part.offsets.start, part.offsets.stop, dtype=np.uint64)
                if isinstance(part.offsets, range)
                else np.asarray(part.offsets, np.uint64)
            )
            if told:
                sources.append(_sources(part.sources) if part.sources is not None else _no_sources(count))
        if told and self.base is not None and len(sources) < len(columns[0]):
            raise AssertionError("columns of different lengths")
        whole = [np.concatenate(column) if column else np.zeros(0, np.uint64) for column in columns]
        source = None
        if told:
            source = tuple(np.concatenate([part[i] for part in sources]) for i in range(3))
        return Columns(whole[0], whole[1], whole[2], whole[3], whole[4], source)  # type: ignore[arg-type] # three of them


def _shift_of(chunks: Sequence[bytes]) -> int:
    """How many bits of an address are the place in a chunk."""
    return max((len(chunk).bit_length() for chunk in chunks), default=1)


def _common_lead(low: bytes, high: bytes) -> int:
    """How many bytes two keys begin with alike."""
    pairs = zip(low, high, strict=False)
    return next((i for i, (one, other) in enumerate(pairs) if one != other), min(len(low), len(high)))


def _sources(packed: Sequence[tuple[int, int, int]]) -> tuple[Array, Array, Array]:
    lsn, ordinal, epoch = zip(*packed, strict=True)
    return np.array(lsn, np.uint64), np.array(ordinal, np.uint64), np.array(epoch, np.uint16)


def _no_sources(count: int) -> tuple[Array, Array, Array]:
    return np.zeros(count, np.uint64), np.zeros(count, np.uint64), np.zeros(count, np.uint16)


def _key_order(columns: Columns, chunks: Sequence[bytes], shift: int, lead: int) -> Array:
    """The rows in the order of their keys' bytes: of several of one key the youngest, and none that is a deletion."""
    count = len(columns)
    if not count:
        return np.zeros(0, np.int64)
    lengths = columns.key_length.astype(np.int64)
    # By chunk; within one key of one arena the address grows with the age, and so it does over chunks.
    address = columns.address
    sorted_already = bool((address[1:] >= address[:-1]).all())
    by_address = None if sorted_already else np.argsort(address, kind="stable")
    words = -(-(int(lengths.max()) - lead) // 8)
    if words > _LONGEST_WORDS:
        order, last = _order_of_objects(columns, chunks, shift)
    else:
        keys = [_word(columns, chunks, shift, by_address, lead + 8 * i) for i in range(words)]
        if len(keys) == 1 and int(lengths.min()) == int(lengths.max()):
            order = np.argsort(keys[0], kind="stable")
        else:
            order = np.lexsort((lengths, *reversed(keys)))
        same = lengths[order][1:] == lengths[order][:-1]
        for word in keys:
            ordered = word[order]
            same &= ordered[1:] == ordered[:-1]
        last = np.append(~same, True)
    order = order[last]
    return order[columns.value_length[order] > 0]


def _slices(
    address: Array, by_address: Array | None, chunks: Sequence[bytes], shift: int
) -> Iterator[tuple[int, Array | slice]]:
    """Chunk number and its rows."""
    in_order = address if by_address is None else address[by_address]
    borders = np.searchsorted(in_order, (np.arange(len(chunks) + 1, dtype=np.uint64) << np.uint64(shift)))
    for number in range(len(chunks)):
        first, last = int(borders[number]), int(borders[number + 1])
        if first < last:
            yield number, slice(first, last) if by_address is None else by_address[first:last]


def _word(columns: Columns, chunks: Sequence[bytes], shift: int, by_address: Array | None, skip: int) -> Array:
    """Eight bytes of each key as a number that sorts as they do; what a key lacks is zero."""
    found = np.zeros(len(columns), np.uint64)
    mask = np.uint64((1 << shift) - 1)
    step = np.arange(8, dtype=np.int64)
    for number, rows in _slices(columns.address, by_address, chunks, shift):
        data = np.frombuffer(chunks[number], np.uint8)
        if not len(data):
            continue  # only empty keys without values lie in it
        starts = (columns.address[rows].astype(np.uint64) & mask).astype(np.int64)
        inside = columns.key_length[rows].astype(np.int64)[:, None] > skip + step
        places = np.minimum(starts[:, None] + skip + step, len(data) - 1)
        found[rows] = (data[places] * inside).view(">u8").ravel()
    return found


def _order_of_objects(columns: Columns, chunks: Sequence[bytes], shift: int) -> tuple[Array, Array]:
    """The same order by comparing the keys themselves, for keys too long for words."""
    keys: list[bytes] = [b""] * len(columns)
    mask = (1 << shift) - 1
    for row in range(len(columns)):
        start = int(columns.address[row]) & mask
        keys[row] = chunks[int(columns.address[row]) >> shift][start : start + int(columns.key_length[row])]
    order = sorted(range(len(keys)), key=keys.__getitem__)
    last = [i + 1 == len(order) or keys[order[i]] != keys[order[i + 1]] for i in range(len(order))]
    return np.array(order, np.int64), np.array(last, bool)


def _view(values: Array) -> memoryview[int]:
    return memoryview(values)  # type: ignore[arg-type] # numpy's arrays are buffers


class Arena:
    """Rows in key order; never changes.

    Args:
        chunks: The bytes of keys and values.
        shift: An address is `chunk number << shift | offset in the chunk`.
        columns: The rows in key order.
        epochs: System id and timeline by epoch number, from 1.
    """

    def __init__(
        self, chunks: Sequence[bytes], shift: int, columns: Columns, epochs: Sequence[tuple[int, int]]
    ) -> None:
        self.chunks = list(chunks)
        self.shift = shift
        self.columns = columns
        self.epochs = list(epochs)
        self._mask = (1 << shift) - 1
        # A memoryview gives Python numbers several times quicker than an array does.
        self._address = _view(columns.address)
        self._key_length = _view(columns.key_length)
        self._value_length = _view(columns.value_length)
        self._fence = [self.key(rank) for rank in range(0, len(columns), FENCE)]

    def __len__(self) -> int:
        return len(self._address)

    def key(self, rank: int) -> bytes:
        """The key of the row at a place in the order."""
        address = self._address[rank]
        start = address & self._mask
        return self.chunks[address >> self.shift][start : start + self._key_length[rank]]

    def lower(self, key: bytes) -> int:
        """The place of the first row whose key is not below this one."""
        block = bisect_right(self._fence, key) - 1
        if block < 0:
            return 0
        low, high = block * FENCE, min(block * FENCE + FENCE, len(self._address))
        while low < high:
            middle = (low + high) >> 1
            if self.key(middle) < key:
                low = middle + 1
            else:
                high = middle
        return low

    def find(self, key: bytes) -> int:
        """The place of a key; -1 where there is none."""
        rank = self.lower(key)
        return rank if rank < len(self._address) and self.key(rank) == key else -1

    def entry(self, rank: int) -> Entry:
        """The row at a place."""
        address = self._address[rank]
        start = (address & self._mask) + self._key_length[rank]
        columns = self.columns
        source = None
        if columns.source is not None:
            lsn, ordinal, epoch = columns.source
            if epoch[rank]:
                system_id, timeline = self.epochs[int(epoch[rank]) - 1]
                source = Position(system_id, timeline, LSN(int(lsn[rank])), int(ordinal[rank]))
        value = self.chunks[address >> self.shift][start : start + self._value_length[rank]]
        return value, int(columns.partition[rank]), int(columns.offset[rank]), source

    def row(self, rank: int, topic: str) -> Row:
        """The same as a row of a topic."""
        return Row(self.key(rank), (entry := self.entry(rank))[0], topic, *entry[1:])

    def compacted(self) -> Arena:
        """The same rows without the bytes of those that are gone."""
        chunks: list[bytes] = []
        addresses = np.zeros(len(self), np.uint64)
        lengths = self.columns.key_length.astype(np.uint64) + self.columns.value_length
        sizes: list[int] = []
        for first in range(0, len(self), CHUNK_ROWS):
            last = min(first + CHUNK_ROWS, len(self))
            pieces = []
            for rank in range(first, last):
                address = self._address[rank]
                start = address & self._mask
                pieces.append(self.chunks[address >> self.shift][start : start + int(lengths[rank])])
            chunks.append(b"".join(pieces))
            sizes.append(first)
        shift = _shift_of(chunks)
        for number, first in enumerate(sizes):
            last = min(first + CHUNK_ROWS, len(self))
            starts = np.zeros(last - first, np.uint64)
            np.cumsum(lengths[first : last - 1], out=starts[1:])
            addresses[first:last] = starts + np.uint64(number << shift)
        old = self.columns
        columns = Columns(_small(addresses), old.key_length, old.value_length, old.partition, old.offset, old.source)
        return Arena(chunks, shift, columns, self.epochs)

    def size_bytes(self) -> int:
        """Bytes of memory."""
        columns = self.columns
        arrays = [columns.address, columns.key_length, columns.value_length, columns.partition, columns.offset]
        arrays += list(columns.source or ())
        fence = len(self._fence) * 64
        return sum(map(len, self.chunks)) + sum(a.nbytes for a in arrays) + fence
