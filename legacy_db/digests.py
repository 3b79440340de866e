"""Whether a topic and a table are the same, by digests: sixteen bytes a row, where a fold keeps the row itself.

A digest speaks for bytes, and equal bytes are equal rows. So this comparison only ever says *equal*, and only of keys that
it has no doubt about; keys that are doubtful (other bytes, a key that is only on one side or twice on one, an unchanged
TOAST value, a key change that carries one, a version that only some snapshots see) are named, and
`legacy_db.topic_fold` and `legacy_db.compare` fold and compare their rows in full. They remain the reference: a property
test holds the two equal.

The digest is Python's own hash of bytes: SipHash of 64 bits under a key that is drawn anew for each process, so that nobody can
choose rows that collide, and two different rows of one key pass for equal once in 2**64.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import repeat
from operator import itemgetter, methodcaller
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from legacy_db.shape import KEY_END, TableShape, leads_with_key
from legacy_db.topic_fold import SOURCE, XID, RecordParser, Visibility

CHUNK_BYTES: Final = 256 << 10
"""Of a file at a time: small enough for the processor's cache."""

_KEY_END: Final = KEY_END.encode()
_GONE: Final = 0
"""Stands for a deleted row. A row whose digest this is would pass for deleted, and so be looked at in full."""

_REMEMBERED: Final = 100_000

_value_of = methodcaller("value")
_key_of = methodcaller("key")

Digests = NDArray[np.int64]


def digestible(shape: TableShape) -> bool:
    """Whether equal rows usually have equal bytes on both sides; where they never have, all would be looked at anyway."""
    return bool(shape.key) and all(one.literal or one.alike for one in shape.expected.values())


class KeyDigest:
    """The digest of a row's key, from either side.

    Args:
        shape: The table.
        parser: Of its topic.
    """

    def __init__(self, shape: TableShape, parser: RecordParser) -> None:
        self.shape = shape
        self._bring = parser.key_of
        # The text of an integer key is the row's own beginning; then it is not written out twice.
        self._leading = leads_with_key(shape)
        self._alone = len(shape.expected) == 1

    def of_topic(self, key: bytes) -> int:
        """Of a record's key."""
        return self.of_canonical(key if self._bring is None else self._bring(key))

    def of_canonical(self, key: bytes) -> int:
        """Of a key in the form in which both sides are looked up."""
        return hash(key[:-1] if self._leading else key)

    def of_keys(self, keys: Sequence[bytes]) -> Iterator[int]:
        """Of many records' keys."""
        if self._bring is not None:
            keys = [self._bring(key) for key in keys]
        return map(hash, map(itemgetter(slice(None, -1)), keys) if self._leading else keys)

    def split(self, lines: list[bytes]) -> tuple[list[bytes], Sequence[bytes]]:
        """What is digested of the keys of lines of a file, and their rows."""
        if self._leading:
            if self._alone:
                return [line[:-1] for line in lines], lines
            return [line.split(b",", 1)[0] for line in lines], lines
        keys, rows = [], []
        special, canonical = not self.shape.literal_key, self.shape.canonical_key
        for line in lines:
            key, _, row = line.partition(_KEY_END)
            keys.append(canonical(key, topic=False) if special or b"\\" in key else key)
            rows.append(row)
        return keys, rows


def read_lines(path: Path) -> Iterator[tuple[list[bytes], list[bytes] | None]]:
    """The COPY lines of a file, many at a time: as rows, and as they stand where that differs."""
    with path.open("rb", buffering=0) as file:
        rest = b""
        while chunk := file.read(CHUNK_BYTES):
            end = chunk.rfind(b"\n")
            if end < 0:
                rest += chunk
                continue
            whole, rest = rest + chunk[:end], chunk[end + 1 :]
            if b"\\" in whole:
                yield whole.replace(b"\\\\", b"\\").split(b"\n"), whole.split(b"\n")
            else:
                yield whole.split(b"\n"), None


class Pairs:
    """Digests of keys and rows, in the order in which they came."""

    def __init__(self) -> None:
        self._chunks: list[tuple[Digests, Digests]] = []
        self._keys: list[int] = []
        self._rows: list[int] = []
        self._count = 0

    def __len__(self) -> int:
        return self._count + len(self._keys)

    def append(self, key: int, row: int) -> None:
        """Add one."""
        self._keys.append(key)
        self._rows.append(row)
        if len(self._keys) >= _REMEMBERED:
            self._settle()

    def extend(self, keys: Iterator[int], rows: Iterator[int], count: int) -> None:
        """Add many."""
        self._settle()
        self._chunks.append((np.fromiter(keys, np.int64, count), np.fromiter(rows, np.int64, count)))
        self._count += count

    def _settle(self) -> None:
        if self._keys:
            self._chunks.append((np.array(self._keys, np.int64), np.array(self._rows, np.int64)))
            self._count += len(self._keys)
            self._keys, self._rows = [], []

    def sorted(self) -> tuple[Digests, Digests]:
        """In the order of the keys; of one key, in the order in which they came."""
        self._settle()
        if len(self._chunks) > 1:
            keys, rows = zip(*self._chunks, strict=True)
            self._chunks = [(np.concatenate(keys), np.concatenate(rows))]
        if not self._chunks:
            return np.zeros(0, np.int64), np.zeros(0, np.int64)
        ((unordered, rows_of),) = self._chunks
        order = np.argsort(unordered, kind="stable")
        return unordered[order], rows_of[order]


class TopicDigest:
    """The last visible version of each key of a topic, as digests.

    Args:
        shape: The table.
        visibility: Of the first snapshot.
        parser: Takes the topic's records apart.

    Attributes:
        events: Records with a value.
        late: Digests of keys with a version that the first snapshot does not see.
        doubts: Digests of keys that only a fold can judge.
        truncated: Whether a TRUNCATE is among the records: then only a fold of all of them can judge.
    """

    def __init__(self, shape: TableShape, visibility: Visibility, parser: RecordParser) -> None:
        self.shape = shape
        self.visibility = visibility
        self.parser = parser
        self.key_digest = KeyDigest(shape, parser)
        self.events = 0
        self.late: set[int] = set()
        self.doubts: set[int] = set()
        self.truncated = False
        self._pairs = Pairs()
        self._seen: set[bytes] = set()

    def take(self, messages: Sequence[Any]) -> None:
        """Take records, in the order of their offsets."""
        self.events += len(messages)
        values: list[Any] = list(map(_value_of, messages))
        if not self._take_alike(messages, values):
            self._take_each(messages, values)

    def _take_alike(self, messages: Sequence[Any], values: Sequence[Any]) -> bool:
        """Take inserts and updates that are alike but for what they say: nearly all batches are; False for others.

        One after the other, records have their fields at the same distance from their end. Each of the passes below is
        one call for all of them. The texts that are looked for cannot stand in a row: there, quotes are escaped.
        """
        first, head = values[0] if values else None, self.parser.head
        if first is None:
            return False
        size, source = len(first), first.rfind(SOURCE)
        xid = first.find(XID, source)
        if source < 0 or xid < 0:
            return False
        row_end, xid_at, xid_end = source - size, xid - size, first.find(b",", xid) + 1 - size
        try:
            if not all(map(bytes.startswith, values, repeat(head))):
                return False
            if not all(map(bytes.startswith, values, repeat(SOURCE), repeat(row_end))):
                return False
            xids: set[bytes] = set(map(itemgetter(slice(xid_at, xid_end)), values))
        except TypeError:
            return False  # a tombstone is among them
        if not (xids <= self._seen or all(map(self._sees, xids))):
            return False
        rows: list[bytes] = list(map(itemgetter(slice(len(head), row_end + 1)), values))
        if self.shape.marker_texts:
            text = b"".join(rows)
            if any(marker in text for marker in self.shape.marker_texts):
                return False
        if self.late:
            return False
        self._pairs.extend(self.key_digest.of_keys(list(map(_key_of, messages))), map(hash, rows), len(rows))
        return True

    def _sees(self, text: bytes) -> bool:
        """Whether the snapshot sees `"txId":123,`."""
        if not (text.startswith(XID) and text.endswith(b",")):
            return False
        number = text[len(XID) : -1]
        if number != b"null" and not (number.isdigit() and self.visibility.sees(int(number))):
            return False
        if len(self._seen) >= _REMEMBERED:
            self._seen.clear()
        self._seen.add(text)
        return True

    def _take_each(self, messages: Sequence[Any], values: Sequence[bytes | None]) -> None:
        markers = self.shape.marker_texts
        for message, value in zip(messages, values, strict=True):
            head = self.parser.head
            if value is not None and value.startswith(head):
                end = value.rfind(SOURCE)
                start = value.find(XID, end)
                if end >= 0 and start >= 0:
                    text = value[start : value.find(b",", start) + 1]
                    row = value[len(head) : end + 1]
                    if (text in self._seen or self._sees(text)) and not any(one in row for one in markers):
                        self._put(self.key_digest.of_topic(message.key()), hash(row))
                        continue
            self._take_event(message)

    def _put(self, key: int, row: int) -> None:
        if key in self.late:
            self.doubts.add(key)  # what the snapshot sees comes before what it does not see
            return
        self._pairs.append(key, row)

    def _take_event(self, message: Any) -> None:
        event = self.parser.event(message)
        if event.op == "t":
            self.truncated = True
            return
        if event.key is None:
            return
        key = self.key_digest.of_canonical(event.key)
        if event.op == "":
            self.events -= 1
            if key not in self.late:  # else it is the tombstone of a delete that the snapshot does not see
                self._put(key, _GONE)
            return
        after = event.after if event.op != "d" else None
        if not self.visibility.sees(event.xid):
            self.late.add(key)
        elif after is None:
            self._put(key, _GONE)
        elif any(marker in after for marker in self.shape.marker_texts):
            self.doubts.add(key)
        else:
            self._put(key, hash(after))
        if event.moved is not None and self.shape.markers:
            # A value that did not change may have to be fetched from under the old key.
            self.doubts |= {key, self.key_digest.of_canonical(event.moved)}

    def folded(self) -> tuple[Digests, Digests]:
        """The digests of the keys that are there, in ascending order, and of their rows."""
        keys, rows = self._pairs.sorted()
        last = np.append(keys[1:] != keys[:-1], values=True) if len(keys) else np.zeros(0, bool)
        kept = last & (rows != _GONE)
        return keys[kept], rows[kept]

    def count_of(self, keys: set[int]) -> int:
        """How many records there are of some keys, those aside that the snapshot does not see."""
        wanted = np.fromiter(keys, np.int64, len(keys))
        return int(np.isin(self._pairs.sorted()[0], wanted).sum())


class FileDigests:
    """The rows of a table in files, as digests.

    Args:
        key_digest: Of its topic.
    """

    def __init__(self, key_digest: KeyDigest) -> None:
        self.key_digest = key_digest
        self._pairs = Pairs()

    @property
    def count(self) -> int:
        """How many rows were taken."""
        return len(self._pairs)

    def take(self, path: Path) -> None:
        """Take the rows of a file."""
        for lines, _ in read_lines(path):
            keys, rows = self.key_digest.split(lines)
            self._pairs.extend(map(hash, keys), map(hash, rows), len(lines))

    def sorted(self) -> tuple[Digests, Digests]:
        """The digests of the keys in ascending order, and of their rows."""
        return self._pairs.sorted()


def doubtful(topic: TopicDigest, table: FileDigests, *, one_snapshot: bool) -> set[int]:
    """The digests of the keys that must be looked at in full; all others are equal.

    Args:
        topic: All that was read of the topic.
        table: All files.
        one_snapshot: Whether all files were read under the topic's first snapshot. Else, what it does not see may be
            seen by the others.
    """
    keys, rows = topic.folded()
    table_keys, table_rows = table.sorted()
    found = set(topic.doubts)
    if not one_snapshot:
        found |= topic.late
    if np.array_equal(keys, table_keys):
        found.update(keys[rows != table_rows].tolist())
        return found
    twice = table_keys[1:] == table_keys[:-1]
    found.update(table_keys[1:][twice].tolist())
    found.update(np.setxor1d(keys, table_keys).tolist())
    common, ours, theirs = np.intersect1d(keys, table_keys, return_indices=True)
    found.update(common[rows[ours] != table_rows[theirs]].tolist())
    return found


def narrow_file(path: Path, narrowed: Path, key_digest: KeyDigest, wanted: set[int]) -> None:
    """Write the lines of some keys into another file."""
    with narrowed.open("wb") as out:
        for lines, written in read_lines(path):
            keys, _ = key_digest.split(lines)
            for key, line in zip(keys, written or lines, strict=True):
                if hash(key) in wanted:
                    out.write(line + b"\n")


def only(messages: Sequence[Any], key_digest: KeyDigest, wanted: set[int]) -> list[Any]:
    """The records of some keys."""
    of_topic = key_digest.of_topic
    return [message for message in messages if message.key() is not None and of_topic(message.key()) in wanted]
