"""A topic folded at an exact cut: for each key the newest version whose transaction the cut sees.

Two writers of one row serialise on its lock, which is released after the first has left the process array. So of each
key the visible transactions are a prefix of its stream order, and one pass in offset order is enough: what the first
snapshot sees overwrites, what it does not see is kept aside, for the later snapshots of the same verification.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, NamedTuple

import orjson

from cdc.errors import OperatorError
from cdc.visibility import Snapshot
from legacy_db.shape import TableShape, key_payload

_PLAIN: Final = b'{"before":null,"after":'
SOURCE: Final = b'},"source":{"version":"'
XID: Final = b'"txId":'
_XID_LENGTH: Final = len(XID)
_PAYLOAD: Final = b',"payload":'
_AFTER: Final = re.compile(rb'(?:\}|null),"after":(?=\{)')
_CACHED: Final = 100_000
_OLD_KEY: Final = "__debezium.oldkey"
_NEW_KEY: Final = "__debezium.newkey"


class Event(NamedTuple):
    """One record, as far as a fold needs it.

    Attributes:
        key: The key's payload; None of a table without key.
        op: c, u, r, d, t, or "" for a tombstone.
        after: The row's JSON; None for none.
        before: The old row's JSON, of tables without key.
        xid: `source.txId`; None where it has none.
        lsn: `source.lsn`, 0 for none.
        partition: Where the record lies.
        offset: Where the record lies.
        moved: Of a key change: the other key; of the delete the new one, of the create the old one.
    """

    key: bytes | None
    op: str
    after: bytes | None
    before: bytes | None
    xid: int | None
    lsn: int
    partition: int
    offset: int
    moved: bytes | None = None


class RecordParser:
    """Takes records apart, with and without schemas.

    Args:
        topic: The topic, for messages.
        key_of: Brings a key's bytes to the form in which both sides are looked up; None where they have it already.

    Attributes:
        head: What the value of an insert or of an update without old row begins with, up to the row.
    """

    def __init__(self, topic: str, key_of: Callable[[bytes], bytes] | None) -> None:
        self.topic = topic
        self.key_of = key_of
        self.head = _PLAIN

    def event(self, message: Any) -> Event:
        """One record.

        Raises:
            OperatorError: It is not Debezium's envelope.
        """
        key, value = message.key(), message.value()
        if key is not None and self.key_of is not None:
            key = self.key_of(key)
        if value is None:
            return Event(key, "", None, None, None, 0, message.partition(), message.offset())
        try:
            document = orjson.loads(value)
            if "payload" in document and "schema" in document:
                document = document["payload"]
                self._learn(value)
            source = document["source"]
            return Event(
                key, document["op"], self._row(value, document, "after"), self._row(value, document, "before"),
                source["txId"], source["lsn"] or 0, message.partition(), message.offset(), self._moved(message),
            )  # fmt: skip
        except (orjson.JSONDecodeError, KeyError, TypeError) as error:
            raise OperatorError(
                f"{self.topic}/{message.partition()} offset {message.offset()}: not a change event of Debezium's form",
                hint="verify reads JSON envelopes: a topic that transforms rewrote cannot be compared",
            ) from error

    def _moved(self, message: Any) -> bytes | None:
        for name, text in message.headers() or ():
            if name in (_OLD_KEY, _NEW_KEY) and text is not None:
                return self.key_of(text) if self.key_of is not None else bytes(key_payload(text))
        return None

    def _learn(self, value: bytes) -> None:
        start = value.find(_PAYLOAD + _PLAIN)
        if start >= 0:
            self.head = value[: start + len(_PAYLOAD) + len(_PLAIN)]

    @staticmethod
    def _row(value: bytes, envelope: Mapping[str, Any], name: str) -> bytes | None:
        """The bytes of `before` or `after` as they stand: a number must not pass through a float."""
        row = envelope[name]
        if row is None:
            return None
        end = value.rfind(SOURCE)
        start = value.find(b'"before":')
        start = value.find(_PAYLOAD) + len(_PAYLOAD) + 1 if value.startswith(b'{"schema"') else start
        places = [match.end() for match in _AFTER.finditer(value, start, end)]
        if name == "after":
            pieces = [value[place : end + 1] for place in places]
        else:
            first = value.find(b'"before":', start) + len(b'"before":')
            pieces = [value[first : match.start() + 1] for match in _AFTER.finditer(value, start, end)]
            if envelope["after"] is None:
                pieces.append(value[first : value.rfind(b',"after":null', 0, end + 20)])
        for piece in pieces:
            try:
                if orjson.loads(piece) == row:
                    return piece
            except orjson.JSONDecodeError:
                continue
        return orjson.dumps(row)


class Visibility:
    """Whether a snapshot sees the transactions of a stream.

    Args:
        snapshot: The snapshot.

    Attributes:
        horizon: No transaction of the topic can be this new: ids that look newer are from before the last wrap-around.
        visible: Decimal texts of transactions that are known to be seen.
    """

    def __init__(self, snapshot: Snapshot) -> None:
        self.snapshot = snapshot
        self.horizon: int | None = None
        self.visible: set[bytes] = set()

    def sees(self, xid: int | None) -> bool:
        """Whether it sees a transaction; a row without one was read by a snapshot, and is seen."""
        if xid is None:
            return True
        if self.snapshot.sees(xid):
            return True
        return self.horizon is not None and self.snapshot.widen(xid) >= self.horizon

    def sees_text(self, text: bytes) -> bool:
        """The same for an xid's decimal text, remembered in `visible`; an unknown one is not seen."""
        if text == b"null" or not self.sees(int(text)):
            return False
        if len(self.visible) >= _CACHED:
            self.visible.clear()
        self.visible.add(text)
        return True


@dataclass(slots=True)
class Fold:
    """The rows of a topic at a cut.

    Attributes:
        shape: The table.
        visibility: Of the first snapshot.
        ordered: Whether rows remember their LSN, because a TRUNCATE may be among the records.
        before_cut: Partition -> end offset before the first snapshot was taken: rows of a snapshot that lie behind it
            may be newer than the cut, and are looked at again.
        rows: Key -> the row's JSON, as the first snapshot sees it.
        late: Key -> (xid, row or None, LSN) of versions that it does not see, in stream order.
        unsure: Keys whose state a row without transaction decided that was read after the cut.
        truncates: (xid, LSN) of each TRUNCATE.
        origins: Key -> (old key, LSN) of a row that came by a key change and left unchanged TOAST values out.
        moved: (Old key, LSN) -> the row that went by that key change. The two records may lie in two partitions, so
            that either may come first: they meet at the end.
        events: Records with a value.
        merged: Unchanged TOAST values that were taken from an earlier version.
        offsets: Partition -> offset up to which the topic was read.
    """

    shape: TableShape
    visibility: Visibility
    before_cut: Mapping[int, int]
    parser: RecordParser
    ordered: bool = False
    rows: dict[bytes, bytes] = field(default_factory=dict)
    late: dict[bytes, list[tuple[int | None, bytes | None, int]]] = field(default_factory=dict)
    unsure: set[bytes] = field(default_factory=set)
    truncates: list[tuple[int | None, int]] = field(default_factory=list)
    lsns: dict[bytes, int] = field(default_factory=dict)
    origins: dict[bytes, tuple[bytes, int]] = field(default_factory=dict)
    moved: dict[tuple[bytes, int], tuple[bytes, tuple[bytes, int] | None]] = field(default_factory=dict)
    events: int = 0
    merged: int = 0

    def take(self, messages: Sequence[Any], *, early: bool = False) -> None:
        """Fold records, in the order of their offsets.

        Args:
            messages: The records.
            early: Whether all of them lay in the topic before the first snapshot was taken.
        """
        self.events += len(messages)
        if self.ordered:
            for message in messages:
                self.apply(self.parser.event(message))
            return
        rows, visible, key_of = self.rows, self.visibility.visible, self.parser.key_of
        sees, markers = self.visibility.sees_text, self.shape.marker_texts
        head = self.parser.head
        skip = len(head)
        if early:
            visible.add(b"null")  # read by a snapshot of the pipeline, before ours
        else:
            visible.discard(b"null")
        # One after the other, records have their fields at the same distance from their end: it is tried before it is
        # searched for. The texts that are looked for cannot stand in a row: there, quotes are escaped.
        tail = to_xid = 0
        marker = markers[0] if len(markers) == 1 else b""
        for message in messages:
            value = message.value()
            if value is not None and value.startswith(head):
                end = len(value) - tail
                if not value.startswith(SOURCE, end):
                    end = value.rfind(SOURCE)
                    tail = len(value) - end
                start = end + to_xid
                if not value.startswith(XID, start):
                    start = value.find(XID, end)
                    to_xid = start - end
                start += _XID_LENGTH
                xid = value[start : value.find(b",", start)]
                if xid in visible or sees(xid):
                    after = value[skip : end + 1]
                    if marker not in after if marker else not markers or not any(one in after for one in markers):
                        rows[message.key() if key_of is None else key_of(message.key())] = after
                        continue
            self.apply(self.parser.event(message))
            if self.parser.head is not head:
                head = self.parser.head
                skip = len(head)

    def apply(self, event: Event) -> None:
        """Fold one record."""
        if event.op == "t":
            self.truncates.append((event.xid, event.lsn))
            return
        key = event.key
        if key is None:
            return
        if event.op == "":
            if key in self.late:
                self.late[key].append((self.late[key][-1][0], None, self.late[key][-1][2]))
            else:
                self.rows.pop(key, None)
            self.events -= 1
            return
        after = event.after if event.op != "d" else None
        if event.xid is None and event.offset >= self.before_cut.get(event.partition, 0):
            self.unsure.add(key)
        if event.moved is not None and self.shape.markers:
            self._note_move(event, key)
        if key in self.late or not self.visibility.sees(event.xid):
            known = self.late.setdefault(key, [])
            previous = known[-1][1] if known else self.rows.get(key)
            known.append((event.xid, None if after is None else self._completed(after, previous), event.lsn))
            return
        if after is None:
            self.rows.pop(key, None)
            self.lsns.pop(key, None)
        else:
            self.rows[key] = self._completed(after, self.rows.get(key))
            if self.ordered:
                self.lsns[key] = event.lsn

    def _note_move(self, event: Event, key: bytes) -> None:
        if event.op == "d":
            known = self.late.get(key)
            row = known[-1][1] if known else self.rows.get(key)
            if row is not None:
                self.moved[key, event.lsn] = row, self.origins.get(key)
        elif event.moved is not None and event.after is not None and self._lacks(event.after):
            self.origins[key] = event.moved, event.lsn

    def _lacks(self, row: bytes) -> bool:
        return any(text in row for text in self.shape.marker_texts)

    def complete(self, key: bytes, row: bytes) -> bytes:
        """A row with the TOAST values that a key change left out, from the row under its old key."""
        origin = self.origins.get(key)
        while origin is not None and self._lacks(row):
            if origin not in self.moved:
                return row
            old, further = self.moved[origin]
            row = self._completed(row, old)
            origin = further
        return row

    def _completed(self, after: bytes, previous: bytes | None) -> bytes:
        """Put values in that the record left out because they did not change."""
        if previous is None or not self._lacks(after):
            return after
        row = orjson.loads(after)
        lacking = [name for name, marker in self.shape.markers.items() if row.get(name) == marker]
        if not lacking:
            return after
        old = orjson.loads(previous)
        for name in lacking:
            if name in old:
                row[name] = old[name]
                self.merged += 1
        return orjson.dumps(row)

    def finish(self) -> None:
        """Let what concerns more than one key take effect; call it once, when everything was read."""
        for key in self.origins:
            if key in self.rows:
                self.rows[key] = self.complete(key, self.rows[key])
        floor = self._floor(self.visibility)
        if floor:
            self.rows = {key: row for key, row in self.rows.items() if self.lsns.get(key, 0) > floor}

    def _floor(self, visibility: Visibility) -> int:
        """The LSN of the last TRUNCATE that a snapshot sees: rows before it are gone.

        TRUNCATE waits for every writer, so that rows and truncates of one table are ordered by their LSNs.
        """
        return max((lsn for xid, lsn in self.truncates if visibility.sees(xid)), default=0)

    def at(self, key: bytes, visibility: Visibility) -> bytes | None:
        """The row of a key as another snapshot of the same verification sees it."""
        row, lsn = self.rows.get(key), self.lsns.get(key, 0)
        for xid, version, version_lsn in self.late.get(key, ()):
            if not visibility.sees(xid):
                break
            row, lsn = version, version_lsn
        if row is None or (self.truncates and lsn < self._floor(visibility)):
            return None
        return self.complete(key, row) if key in self.origins else row


Canonical = Callable[[bytes], bytes]


@dataclass(slots=True)
class Multiset:
    """The rows of a topic without keys at a cut: how often each occurs.

    Attributes:
        canonical: Brings a row of the topic to the form in which both sides are compared.
        counts: Row -> how often.
        late: Whether something came that the cut does not see.
    """

    visibility: Visibility
    parser: RecordParser
    canonical: Canonical
    before_cut: Mapping[int, int]
    counts: dict[bytes, int] = field(default_factory=dict)
    lsns: list[tuple[int, bytes, int]] = field(default_factory=list)
    events: int = 0
    truncates: list[tuple[int | None, int]] = field(default_factory=list)
    unsure: bool = False

    def take(self, messages: Iterable[Any], *, early: bool = False) -> None:
        """Fold records; a multiset is never read early."""
        del early
        for message in messages:
            event = self.parser.event(message)
            self.events += 1
            if event.op == "t":
                self.truncates.append((event.xid, event.lsn))
            elif self.visibility.sees(event.xid):
                if event.xid is None and event.offset >= self.before_cut.get(event.partition, 0):
                    self.unsure = True
                if event.before is not None:
                    self._count(event.before, -1, event.lsn)
                if event.after is not None:
                    self._count(event.after, 1, event.lsn)

    def _count(self, row: bytes, change: int, lsn: int) -> None:
        canonical = self.canonical(row)
        self.counts[canonical] = self.counts.get(canonical, 0) + change
        if lsn:
            self.lsns.append((lsn, canonical, change))

    def finish(self) -> bool:
        """Let the truncates take effect; False when a snapshot of the pipeline brought rows in after the cut."""
        visible = [lsn for xid, lsn in self.truncates if self.visibility.sees(xid)]
        if visible:
            latest = max(visible)
            for lsn, row, change in self.lsns:
                if lsn < latest:
                    self.counts[row] -= change
        return not self.unsure
