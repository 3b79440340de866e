"""A chain of transforms around records that are bytes already.

A chain whose steps look neither into the key nor into the value (routers, Filter by a predicate, InsertHeader) is given
stand-ins for them, so that rows keep the form that goes from text to bytes (`cdc.render`). Where no step looks at
anything but the topic, the names of headers and whether the record is a tombstone, what the chain makes of a record is
found once and remembered.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Sequence
from operator import itemgetter
from typing import Any, Final

from cdc.converters.header import SimpleHeaderConverter
from cdc.errors import TransformError
from cdc.model.record import Header, SourceRecord
from cdc.model.schema import STRING
from cdc.render import Outgrown, Placed, Record, Render
from cdc.render_copy import CopyForm, Fields, Reading
from cdc.source import SourceState, WireHeaders
from cdc.transforms.chain import Chain
from cdc.transforms.native.python_transform import PythonTransform

_NAME: Final = itemgetter(0)
_HEADERS: Final = SimpleHeaderConverter()
_PLANS: Final = 4096
"""Outcomes remembered; a header or topic that is named anew in each record must not fill the memory."""


def fits(chain: Chain) -> bool:
    """Whether a chain can stand around records that are bytes."""
    if not chain.steps or chain.reads & {"key", "value", "position"} or chain.needs_reader:
        return False
    # What a user's step makes of a header's value cannot be told from its bytes.
    return "headers" not in chain.reads or not any(isinstance(s.transform, PythonTransform) for s in chain.steps)


class _Unread:
    """Stands for a key or value that no step looks at."""

    __slots__ = ("data",)

    def __init__(self, data: bytes | None) -> None:
        self.data = data

    def __repr__(self) -> str:
        return "a part that no step says it reads"


class _Plan:
    """What becomes of all records of one shape.

    Args:
        topic: Where they go.
        headers: For each header its place among the given ones, or name and bytes of a new one.
        given: How many headers they bring.
    """

    __slots__ = ("appended", "headers", "kept", "topic")

    def __init__(self, topic: str, headers: Sequence[int | tuple[str, bytes | None]], given: int) -> None:
        self.topic = topic
        self.headers = headers
        self.kept = list(headers[:given]) == list(range(given))
        self.appended = [entry for entry in headers[given:] if isinstance(entry, tuple)] if self.kept else []

    def of(self, given: Sequence[tuple[str, bytes | None]]) -> WireHeaders:
        """The headers of a record."""
        if self.kept:
            return [*given, *self.appended] or None
        return [given[entry] if isinstance(entry, int) else entry for entry in self.headers] or None


_DROPPED: Final = _Plan("", (), 0)


class OuterChain:
    """Runs a chain over rendered records.

    Args:
        chain: One that `fits`.
        prefix: `topic.prefix`, which some errors tell.
        there: Called with a topic before its first record, perhaps again later.
    """

    def __init__(self, chain: Chain, prefix: str, there: Callable[[str], None] = lambda _topic: None) -> None:
        self._chain = chain
        self._there = there
        self._partition = {"server": prefix}
        self._plans: dict[Hashable, _Plan] = {}
        steady = all(
            step.transform.steady and (step.predicate is None or step.predicate.steady) for step in chain.steps
        )
        self.apply: Callable[[Record], Sequence[Record]] = self._planned if steady else self._run

    def around(self, make: Callable[[Outgrown], Render], outgrown: Outgrown) -> Render:
        """The renderer whose records have gone through the chain.

        Args:
            make: Makes the renderer inside.
            outgrown: Gives the renderer, chain included, whose schema has room for a NULL.
        """

        def inner(column: str) -> Render:
            raise _Outgrown(column)

        render, apply = make(inner), self.apply

        def chained(payload: bytes, lsn: bytes, state: SourceState) -> Sequence[Record]:
            try:
                records = render(payload, lsn, state)
            except _Outgrown as refused:
                return outgrown(refused.column)(payload, lsn, state)
            if len(records) == 1:
                return apply(records[0])
            return [sent for record in records for sent in apply(record)]

        return chained

    def _planned(self, record: Record) -> Sequence[Record]:
        topic, key, value, headers = record
        shape = (topic, None if headers is None else tuple(map(_NAME, headers)), value is None, key is None)
        plan = self._plans.get(shape)
        if plan is None:
            plan = self._plan(record)
            if len(self._plans) >= _PLANS:
                self._plans.clear()
            self._plans[shape] = plan
        if plan is _DROPPED:
            return ()
        return ((plan.topic, key, value, plan.of(headers or ())),)

    def _plan(self, record: Record) -> _Plan:
        """Run the chain over a record whose headers can be told apart."""
        given = record[3] or ()
        marks = [Header(name, STRING, _Unread(text)) for name, text in given]
        outcome = self._chain.apply(self._connect(record, tuple(marks)))
        if not outcome:
            return _DROPPED
        places = {id(mark.value): place for place, mark in enumerate(marks)}
        headers = [
            places[id(each.value)]
            if id(each.value) in places
            else (each.name, _HEADERS.from_connect(each.schema, each.value))
            for each in outcome[0].headers
        ]
        self._there(outcome[0].topic)
        return _Plan(outcome[0].topic, headers, len(marks))

    def _run(self, record: Record) -> Sequence[Record]:
        headers = tuple([Header(name, STRING, _Unread(text)) for name, text in record[3] or ()])
        return [self._wire(made) for made in self._chain.apply(self._connect(record, headers))]

    def _connect(self, record: Record, headers: tuple[Header, ...]) -> SourceRecord:
        topic, key, value, _ = record
        return SourceRecord(
            topic, None, None, None if key is None else _Unread(key), None, None if value is None else _Unread(value),
            headers=headers, source_partition=self._partition,
        )  # fmt: skip

    def _wire(self, record: SourceRecord) -> Record:
        headers = [
            (h.name, h.value.data if isinstance(h.value, _Unread) else _HEADERS.from_connect(h.schema, h.value))
            for h in record.headers
        ]
        self._there(record.topic)
        wired: Record = (record.topic, _bytes(record, record.key), _bytes(record, record.value), headers or None)
        return Placed.of(wired, record.partition, record.timestamp)


class _Outgrown(Exception):
    def __init__(self, column: str) -> None:
        super().__init__(column)
        self.column = column


def _bytes(record: SourceRecord, part: Any) -> bytes | None:
    if part is None or isinstance(part, _Unread):
        return None if part is None else part.data
    raise TransformError(
        "a step put another key or value into a record, though its `reads` names neither",
        topic=record.topic, hint="add 'key' or 'value' to the step's `reads`",
    )  # fmt: skip


class OuterCopy:
    """Rows of a snapshot, composed, and the chain around them; the interface of `CopyRender`.

    Args:
        rows: Composes them.
        chain: The chain.
        usual: The headers of those that bring none: whole before the chain sees them, which may drop one or ask for it.
        table: What they are rows of.
    """

    def __init__(self, rows: CopyForm, chain: OuterChain, usual: WireHeaders, table: str) -> None:
        self._rows = rows
        self._chain = chain
        self._usual = usual
        self._table = table
        self.tail: Callable[[Reading], Any] = rows.tail
        self.identity: Callable[[Sequence[str]], Callable[[Fields], Hashable]] = rows.identity

    def row(self, line: bytes, tail: Any) -> tuple[Fields, Record | None]:
        """A COPY line as its fields and its record.

        Raises:
            DecodeError: A codec refused a value.
            TransformError: A step refused the record.
        """
        fields, record = self._rows.row(line, tail)
        assert record is not None
        topic, key, value, own = record
        sent = self._chain.apply((topic, key, value, self._usual if own is None else own))
        return fields, only_one(sent, self._table)


def only_one(sent: Sequence[Record], table: str) -> Record | None:
    """The record that a chain made of a row that was read; None where it dropped it.

    Raises:
        TransformError: There are several.
    """
    if len(sent) > 1:
        raise TransformError(
            "a step made several records of one row, which is not carried out for snapshots",
            table=table, position="snapshot",
            hint="use snapshot.mode=no_data with this chain, or a step that gives one record",
        )  # fmt: skip
    return sent[0] if sent else None
