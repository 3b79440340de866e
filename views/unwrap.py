"""From Kafka records to changes of a view: keys and values out of their wrappings, and what cannot be taken set aside.

A record may be Debezium's envelope, a plain row, either of them under Connect's `{"schema", "payload"}`, or a tombstone.
`Unwrapper.one` is the reference; whole batches of plain rows go through a shorter way that is proven equal to it.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Final

import msgspec
import orjson

from cdc.lsn import Position
from views.batch import Batch, DeadLetter, Place, Run, Truncation, ViewState
from views.envelopes import (
    ROW_OPERATIONS,
    UNAVAILABLE_MARKS,
    Refused,
    as_envelope,
    check_json,
    decode_columns,
    decode_wrapped,
    is_truncate,
    is_unavailable,
    object_of,
    unwrapped,
)  # fmt: skip
from views.errors import KeysMissing, SchemaIncompatible
from views.quick_envelopes import PIPELINE_HEADER, POSITION_HEADER, append, position_of, take_envelopes

_DEAD_KEY_BYTES: Final = 120


@dataclass(slots=True)
class Change:
    """What one record does to a view.

    Attributes:
        key: Key bytes; empty for a truncation.
        value: The row as JSON; None for a deletion.
        source: Position in the database.
        pipeline: The pipeline that wrote the record, "" where unknown.
        guarded: Whether a position at or below the last one from the same place means that it came again.
        truncation: Whether the whole table was emptied.
        previous: The key under which the row stood before, with `key` columns that changed.
        partial: Columns whose value is unchanged and was not sent.
    """

    key: bytes
    value: bytes | None
    source: Position | None = None
    pipeline: str = ""
    guarded: bool = False
    truncation: bool = False
    previous: bytes | None = None
    partial: tuple[str, ...] = ()


class Unwrapper:
    """Makes batches of messages.

    Args:
        state: The view's state; the unwrapper works on a copy of its own and hands it out with each batch.
        fields: The columns to keep; None for all.
        key: Columns that make the view's key in place of the record's key.
        max_value_bytes: A longer row is set aside.
        check: Tells whether a message without a key is a record; raises when Kafka refuses the reading.
        single_topic: Whether all messages are of one topic.
    """

    def __init__(
        self,
        state: ViewState,
        *,
        fields: Sequence[str] | None = None,
        key: Sequence[str] = (),
        max_value_bytes: int = 16_777_216,
        check: Callable[[Any], bool] = lambda _message: True,
        single_topic: bool = False,
    ) -> None:
        self.state = state.copy()
        self.fields = tuple(fields) if fields is not None else None
        self.key = tuple(key)
        self.max_value_bytes = max_value_bytes
        self.check = check
        self._single_topic = single_topic
        self._quick = True
        self._keyless: dict[str, int] = {}
        self._keyed: set[str] = {topic for topic, _ in state.offsets}

    def batch(self, messages: Sequence[Any]) -> Batch:
        """The changes of messages, and the state after them.

        Raises:
            SchemaIncompatible: The columns of a topic's key are others than before.
            OffsetGone: As the message says.
        """
        batch = Batch([], self.state)
        for group in _by_place(messages, single_topic=self._single_topic):
            if not self._plain(group, batch):
                self._slowly(group, batch)
        batch.state = self.state.copy()
        return batch

    def check_keys(self) -> None:
        """Look whether every topic that was read has keys.

        Raises:
            KeysMissing: None of the records of one had any.
        """
        for topic in self._keyless:
            if topic not in self._keyed and topic not in self.state.key_columns:
                raise KeysMissing(
                    f"topic {topic}: none of its records has a key",
                    hint="name the columns that make one with key = [...], or set message.key.columns in the pipeline",
                )

    # -- batches of plain rows ---------------------------------------------------------------------------------------

    def _plain(self, messages: Sequence[Any], batch: Batch) -> bool:
        """Take messages of one partition that are plain rows without headers; False when they are not all that."""
        topic = messages[0].topic()
        columns = self.state.key_columns.get(topic)
        if columns is None or len(columns) > 1 or self.fields is not None or self.key:
            return False
        kind = type(messages[0])  # a method taken from the class and mapped is quicker than one of each message
        if any(map(kind.headers, messages)):
            return False
        keys, values = list(map(kind.key, messages)), list(map(kind.value, messages))
        pieces: list[bytes] = [b""] * (2 * len(keys))
        pieces[::2], pieces[1::2] = keys, values
        try:
            text = b"".join(pieces)
        except TypeError:  # a key or a value is None
            return False
        low, high = min(keys), max(keys)
        if columns:
            # Keys between two that begin alike begin so too.
            lead = b'{"%b":' % columns[0].encode()
            if not low.startswith(lead) or not high.startswith(lead) or any([b',"' in key for key in keys]):  # noqa: C419
                return False
        elif low[:1] <= b"{" <= high[:1] and any(key[:1] == b"{" for key in keys):
            return False
        if b'"op"' in text or b'{"schema":' in text or any(mark in text for mark in UNAVAILABLE_MARKS):
            return False
        if len(text) > self.max_value_bytes and max(map(len, values)) > self.max_value_bytes:
            return False
        try:
            if not text.isascii():
                for value in values:
                    value.decode()
            # Each one by itself: two broken values could make one that is not.
            for _ in map(check_json, values):
                pass
        except (UnicodeDecodeError, msgspec.DecodeError):
            return False
        first, last = messages[0].offset(), messages[-1].offset()
        # Without a hole, which compaction and transactions leave, there is nothing to ask each message for.
        whole = last - first == len(keys) - 1
        offsets = range(first, last + 1) if whole else list(map(kind.offset, messages))
        partition = messages[0].partition()
        batch.items.append(Run(topic, partition, keys, values, offsets, packed=text, bounds=(low, high)))
        self.state.offsets[topic, partition] = last + 1
        return True

    # -- everything else ---------------------------------------------------------------------------------------------

    def _slowly(self, messages: Sequence[Any], batch: Batch) -> None:
        runs: dict[Place, Run] = {}
        columns = self.state.key_columns.get(messages[0].topic())
        if self._quick and columns is not None and len(columns) <= 1 and self.fields is None and not self.key:
            take_envelopes(
                messages, columns, self.state, self.max_value_bytes, runs, lambda m: self._take(m, batch, runs), batch
            )
        else:
            for message in messages:
                self._take(message, batch, runs)
        for run in runs.values():
            if run.sources is not None and not any(run.sources):
                run.sources = None

    def _take(self, message: Any, batch: Batch, runs: dict[Place, Run]) -> None:
        """Take one message, whatever it is."""
        if not self.check(message):
            return
        topic, partition, offset = message.topic(), message.partition(), message.offset()
        self.state.offsets[topic, partition] = offset + 1
        try:
            change = self.one(message)
        except Refused as refused:
            self._set_aside(batch, message, str(refused))
            return
        if change is None:
            return
        if change.guarded and change.source is not None:
            guards = self.state.guards
            guard = f"{topic}/{partition}/{change.pipeline}"
            last = guards.get(guard)
            if last is not None and last.system_id == change.source.system_id and change.source <= last:
                return
            guards[guard] = change.source
        if change.truncation:
            batch.items.append(Truncation(topic, partition, offset, change.source))
            if change.source is not None:
                self.state.truncated[topic] = change.source
            runs.clear()
            return
        truncated = self.state.truncated.get(topic)
        if truncated is not None and change.source is not None and change.source < truncated:
            return
        run = runs.get((topic, partition))
        if run is None:
            run = runs[topic, partition] = Run(topic, partition, [], [], [], [])
            batch.items.append(run)
        if change.previous is not None and change.previous != change.key:
            append(run, change.previous, None, offset, change.source)
        if change.partial:
            run.partial[len(run.keys)] = change.partial
        append(run, change.key, change.value, offset, change.source)

    def _set_aside(self, batch: Batch, message: Any, reason: str) -> None:
        key = message.key()
        shown = "" if key is None else key[:_DEAD_KEY_BYTES].decode("utf-8", "replace")
        batch.dead.append(
            DeadLetter(message.topic(), message.partition(), message.offset(), reason, shown, time.time())
        )
        self.state.dead += 1

    def one(self, message: Any) -> Change | None:
        """The change of one record; None when it changes nothing.

        Raises:
            Refused: It cannot be taken.
            SchemaIncompatible: The columns of the key are others than before.
        """
        topic = message.topic()
        change = Change(b"", None)
        _read_headers(change, message.headers())
        raw_key, value = message.key(), message.value()
        if raw_key is None and not self.key and not is_truncate(value):
            self._keyless.setdefault(topic, message.offset())
            raise Refused("NULL_KEY the record has no key")
        if raw_key is not None:
            self._keyed.add(topic)
            change.key = self._key_of(topic, raw_key)
        if value is None:
            if self.key:
                return None  # the delete event before it had the row
            change.guarded = change.source is not None
            return change
        if len(value) > self.max_value_bytes:
            raise Refused(f"OVERSIZE a value of {len(value)} bytes is over the limit of {self.max_value_bytes}")
        return self._with_value(change, value)

    def _with_value(self, change: Change, value: bytes) -> Change | None:
        if not value.isascii():
            try:
                value.decode()
            except UnicodeDecodeError as error:
                raise Refused(f"UNDECODABLE not UTF-8 at byte {error.start}") from error
        try:
            envelope = as_envelope(value)
            if envelope is None:
                row = bytes(unwrapped(value))
                if row == b"null":
                    return change if not self.key else None
                return self._with_row(change, row, None)
            change.guarded = change.source is not None and envelope.op in ("c", "u", "d", "t")
            if envelope.op in ROW_OPERATIONS:
                after = bytes(envelope.after)
                if after in (b"", b"null"):
                    raise Refused(f"UNDECODABLE an event of operation {envelope.op!r} without a row")
                return self._with_row(change, after, bytes(envelope.before))
            if envelope.op == "d":
                if self.key:
                    change.key = self._key_from(bytes(envelope.before), "before")
                return change
            if envelope.op == "t":
                change.truncation = True
                return change
        except msgspec.DecodeError as error:
            raise Refused(f"UNDECODABLE {error}") from error
        return None  # a logical message is no row

    def _with_row(self, change: Change, row: bytes, before: bytes | None) -> Change:
        if self.key:
            change.key = self._key_from(row, "after")
            if before not in (None, b"", b"null"):
                change.previous = self._key_from(before or b"", "before")
        if any(mark in row for mark in UNAVAILABLE_MARKS):
            change.partial = tuple(name for name, item in orjson.loads(row).items() if is_unavailable(item))
        if self.fields is not None:
            columns = object_of(row)
            kept = {name: columns[name] for name in self.fields if name in columns}
            row = msgspec.json.encode(kept)
            change.partial = tuple(name for name in change.partial if name in kept)
        change.value = row
        return change

    # -- keys --------------------------------------------------------------------------------------------------------

    def _key_of(self, topic: str, raw: bytes) -> bytes:
        if self.key:
            return raw
        columns: tuple[str, ...] = ()
        if raw[:1] == b"{":
            try:
                if raw.startswith(b'{"schema":'):
                    payload = bytes(decode_wrapped(raw).payload)
                    raw = payload[1:-1] if payload[:1] == b'"' and b"\\" not in payload else payload
                if raw[:1] == b"{":
                    columns = tuple(decode_columns(raw))
            except (msgspec.DecodeError, UnicodeDecodeError) as error:
                raise Refused(f"UNDECODABLE key: {error}") from error
        known = self.state.key_columns.get(topic)
        if known is None:
            self.state.key_columns[topic] = columns
        elif known != columns:
            raise SchemaIncompatible(
                f"topic {topic}: the key's columns were {', '.join(known) or 'none'} and are {', '.join(columns) or 'none'} now",
                hint="rows under old keys would stay for ever; decide, then: seam view rebuild FILE",
            )
        return raw

    def _key_from(self, row: bytes, side: str) -> bytes:
        columns = object_of(row)
        missing = [name for name in self.key if name not in columns]
        if missing:
            raise Refused(
                f"NULL_KEY the {side} row has no {', '.join(missing)}: the table needs REPLICA IDENTITY FULL for this key"
            )
        return msgspec.json.encode({name: columns[name] for name in self.key})


def _by_place(messages: Sequence[Any], *, single_topic: bool) -> Sequence[Sequence[Any]]:
    """The messages of each partition, in their order."""
    if not messages:
        return ()
    groups: dict[Any, list[Any]] = {}
    if single_topic:
        partitions = list(map(type(messages[0]).partition, messages))
        runs, start = [], 0
        while start < len(messages):
            # They mostly come one partition after the other.
            end = start + partitions.count(partitions[start])
            if partitions[start:end].count(partitions[start]) != end - start:
                break
            runs.append(messages[start:end])
            start = end
        else:
            return runs
        for partition, message in zip(partitions, messages, strict=True):
            groups.setdefault(partition, []).append(message)
    else:
        for message in messages:
            groups.setdefault((message.topic(), message.partition()), []).append(message)
    return list(groups.values())


def _read_headers(change: Change, headers: Sequence[tuple[str, bytes | None]] | None) -> None:
    for name, value in headers or ():
        if name == POSITION_HEADER and value is not None:
            change.source = position_of(
                value
            )  # with another program's header of that name, the row counts all the same
        elif name == PIPELINE_HEADER and value is not None:
            change.pipeline = value.decode("utf-8", "replace")
