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


class _Told(NamedTuple):
    """Rows that told where in the database they were written, the others of their builder did not.

    Attributes:
        first: The number of the first one.
        packed: LSN, ordinal and epoch of each.
    """

    first: int
    packed: list[tuple[int, int, int]]


class Builder:
    """Collects rows on their way into an arena.

    Args:
        base: The arena below them; its rows are older than all that is added.
    """

    def __init__(self, base: Arena | None = None) -> None:
        self.base = base
        self.chunks: list[bytes] = list(base.chunks) if base is not None else []
        self.epochs: list[tuple[int, int]] = list(base.epochs) if base is not None else []
        self._epochs = {epoch: number for number, epoch in enumerate(self.epochs, 1)}
        self.bytes = sum(map(len, self.chunks))
        self.rows = len(base) if base is not None else 0
        self._open: list[bytes] = []
        self._open_bytes = 0
        # One column for all rows, since a million of them come in thousands of pieces.
        self._key_lengths = array("I")
        self._value_lengths = array("I")
        self._partitions: list[tuple[int, int | array[int]]] = []
        self._offsets: list[range | array[int]] = []
        self._told: list[_Told] = []
        self._chunk_ends: list[int] = []
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
        self._add(run.keys, values, run.partition, offsets, run.sources, data, run.bounds)  # type: ignore[arg-type] # no None is left

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
        sources: list[Position | None] | None, data: bytes | None = None, bounds: tuple[bytes, bytes] | None = None,
    ) -> None:  # fmt: skip
        if not keys:
            return
        if data is None:
            pieces: list[bytes] = [b""] * (2 * len(keys))
            pieces[::2] = keys
            pieces[1::2] = values
            data = b"".join(pieces)
        low, high = bounds or (min(keys), max(keys))
        self._low = low if self._low is None else min(self._low, low)
        self._high = max(self._high, high)
        if sources is not None:
            self._told.append(_Told(len(self._key_lengths), [self._pack(source) for source in sources]))
        self._key_lengths.extend(map(len, keys))
        self._value_lengths.extend(map(len, values))
        self._partitions.append((len(keys), partition))
        self._offsets.append(offsets)
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
            self._chunk_ends.append(len(self._key_lengths))

    def _pack(self, source: Position | None) -> tuple[int, int, int]:
        if source is None:
            return 0, 0, 0
        system_id, timeline, lsn, ordinal = source
        number = self._epochs.get((system_id, timeline))
        if number is None:
            self.epochs.append((system_id, timeline))
            number = self._epochs[system_id, timeline] = len(self.epochs)
        return lsn, ordinal, number

    def seal(self) -> Arena:
        """The arena of all rows, the last one of each key."""
        self._end_chunk()
        shift = _shift_of(self.chunks)
        columns = self._columns(shift)
        # What the first and the last of them begin with, all keys between begin with.
        lead = _common_lead(self._low or b"", self._high)
        order = _key_order(columns, self.chunks, shift, lead)
        columns = columns.take(order)
        arena = Arena(self.chunks, shift, columns, self.epochs)
        live = int(columns.key_length.sum(dtype=np.int64)) + int(columns.value_length.sum(dtype=np.int64))
        return arena.compacted() if live < self.bytes * (1 - _GARBAGE) else arena

    def _columns(self, shift: int) -> Columns:
        """All rows in the order of their age."""
        count = len(self._key_lengths)
        key_length, value_length = (
            np.frombuffer(self._key_lengths, np.uintc),
            np.frombuffer(self._value_lengths, np.uintc),
        )
        # They lie end to end in each chunk, so where one begins follows from the lengths before it.
        starts = np.zeros(count + 1, np.uint64)
        np.cumsum(key_length, out=starts[1:])
        starts[1:] += np.cumsum(value_length, dtype=np.uint64)
        ends = np.array(self._chunk_ends, np.int64)
        begins = np.concatenate((np.zeros(1, np.int64), ends[:-1]))[: len(ends)]
        first = len(self.chunks) - len(ends)
        bases = ((first + np.arange(len(ends), dtype=np.uint64)) << np.uint64(shift)) - starts[begins]
        columns = Columns(
            starts[:-1] + np.repeat(bases, ends - begins), key_length, value_length,
            np.concatenate([_partition(*part) for part in self._partitions] or [np.zeros(0, np.uint32)]),
            np.concatenate([_offsets(part) for part in self._offsets] or [np.zeros(0, np.uint64)]),
            self._sources(count) if self._told else None,
        )  # fmt: skip
        return columns if self.base is None or not len(self.base) else _joined(self.base, columns, shift)

    def _sources(self, count: int) -> tuple[Array, Array, Array]:
        found = _no_sources(count)
        for first, packed in self._told:
            for column, values in zip(found, zip(*packed, strict=True), strict=True):
                column[first : first + len(packed)] = values
        return found


def _partition(count: int, partition: int | array[int]) -> Array:
    return np.full(count, partition, np.uint32) if isinstance(partition, int) else np.asarray(partition, np.uint32)


def _offsets(offsets: range | array[int]) -> Array:
    if isinstance(offsets, range):
        return np.arange(offsets.start, offsets.stop, dtype=np.uint64)
    return np.asarray(offsets, np.uint64)


def _joined(base: Arena, columns: Columns, shift: int) -> Columns:
    """The rows of an arena, and the ones that came after it."""
    old = base.columns
    address = old.address.astype(np.uint64)
    moved = ((address >> np.uint64(base.shift)) << np.uint64(shift)) | (address & np.uint64((1 << base.shift) - 1))
    source = None
    if old.source is not None or columns.source is not None:
        below, above = old.source or _no_sources(len(old)), columns.source or _no_sources(len(columns))
        source = tuple(map(np.concatenate, zip(below, above, strict=True)))
    return Columns(
        np.concatenate((moved, columns.address)), np.concatenate((old.key_length, columns.key_length)),
        np.concatenate((old.value_length, columns.value_length)), np.concatenate((old.partition, columns.partition)),
        np.concatenate((old.offset, columns.offset)), source,  # type: ignore[arg-type] # three of them
    )  # fmt: skip


def _shift_of(chunks: Sequence[bytes]) -> int:
    """How many bits of an address are the place in a chunk."""
    return max((len(chunk).bit_length() for chunk in chunks), default=1)


def _common_lead(low: bytes, high: bytes) -> int:
    """How many bytes two keys begin with alike."""
    pairs = zip(low, high, strict=False)
    return next((i for i, (one, other) in enumerate(pairs) if one != other), min(len(low), len(high)))


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
            order = stable_order(keys[0])
        else:
            order = np.lexsort((lengths, *reversed(keys)))
        same = lengths[order][1:] == lengths[order][:-1]
        for word in keys:
            ordered = word[order]
            same &= ordered[1:] == ordered[:-1]
        last = np.append(~same, True)
    order = order[last]
    return order[columns.value_length[order] > 0]


def stable_order(values: Array) -> Array:
    """What sorts them, equal ones in the order in which they stand.

    Bits in which none differ are left out; where the others leave room for the row's number, numbers alone are sorted,
    which takes half of the time.
    """
    index = len(values).bit_length()
    alike = np.bitwise_and.reduce(values)
    differing = int(np.bitwise_or.reduce(values) ^ alike)
    if differing.bit_count() + index > 64:
        return np.argsort(values, kind="stable")
    packed = np.arange(len(values), dtype=np.uint64)
    place, bit = index, 0
    while differing >> bit:
        width = _ones(differing >> bit)
        if not width:
            bit += 1
            continue
        packed |= ((values >> np.uint64(bit)) & np.uint64((1 << width) - 1)) << np.uint64(place)
        place, bit = place + width, bit + width
    packed.sort()
    return (packed & np.uint64((1 << index) - 1)).astype(np.intp)


def _ones(bits: int) -> int:
    """How many ones a number ends with."""
    return (~bits & (bits + 1)).bit_length() - 1


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
