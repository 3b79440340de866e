"""Exactly once: whatever is split, interrupted and sent again, each record is committed once, in its order."""

from __future__ import annotations

import contextlib
import itertools
import threading
from collections.abc import Sequence
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cdc.errors import PublicationChanged, SeamError, SendError
from cdc.kafka.positions import POSITIONS_TOPIC, PositionRecord
from cdc.lsn import LSN
from cdc.source import SourceOptions, SourceState
from cdc.task import Hooks, Task
from cdc.telemetry import Meter
from cdc.transactional import TransactionalAcknowledger
from cdc.wire.pgoutput import Begin, Commit, PgOutput
from tests.support import pgoutput as write
from tests.support.fakes import FakeProducer, FakeTransactions, FakeWalsender

OID = 16_384
START = LSN(1000)


class Crash(Exception):
    """The process is gone."""


@dataclass(frozen=True)
class Row:
    """A row, and what happens to it: how many records it becomes, whether Kafka refuses the first of them."""

    number: int
    records: int = 1
    refused: bool = False


Transaction = tuple[int, Sequence[Row]]


def run(
    log: Sequence[Transaction],
    position: PositionRecord,
    *,
    commit_after: Sequence[int],
    crash_after: int | None,
    beats: frozenset[int],
    room: int | None = None,
) -> tuple[list[Any], PositionRecord]:
    """One life of the engine: returns what it committed, and the position that a new one reads.

    Args:
        log: Commit position -> rows.
        position: What Kafka holds.
        commit_after: Frames between two commits of Kafka transactions, repeated.
        crash_after: Frames until the end; None for a good one.
        beats: Frames after which a heartbeat is sent.
        room: How many records the producer holds before it asks to wait.
    """
    producer = FakeProducer(room=room)
    producer.client = transactions = FakeTransactions(producer)
    producer.on_poll = producer.deliver_all
    frames = [
        write.xlog_data(message)
        for commit, rows in log
        if commit + 10 > position.end_lsn  # the server sends what ends beyond the position that it is asked for
        for message in [write.begin(commit), *[write.insert(OID, [b"%d" % row.number]) for row in rows],
                        write.commit(commit, commit + 10)]
    ]  # fmt: skip
    by_number = {row.number: row for _, rows in log for row in rows}
    walsender = FakeWalsender()
    stop = threading.Event()
    acks = TransactionalAcknowledger(
        walsender, producer, "connector", position, meter=Meter(), failpoint=lambda _step: None
    )

    def render(payload: bytes, _lsn: bytes, _state: SourceState) -> list[Any]:
        row = by_number[int(payload[13:])]
        return [("topic", None, f"{row.number}.{part}".encode(), None) for part in range(row.records)]

    def dead_letter(error: SeamError, payload: bytes, _state: SourceState) -> list[Any]:
        return [("dead", None, payload, None)]

    def records_of(message: PgOutput, _lsn: int, _state: SourceState) -> list[Any]:
        """Both boundaries of a transaction are records, too."""
        words = {Begin: "begin", Commit: "end"}
        commit = getattr(message, "final_lsn", getattr(message, "commit_lsn", 0))
        text = f"{words[type(message)]} {int(commit)}" if type(message) in words else ""
        return [("boundary", None, text.encode(), None)] if text else []

    relations = SimpleNamespace(
        renderers={OID.to_bytes(4, "big"): render}, define=None, by_oid={OID: SimpleNamespace(qualified="public.item")}
    )
    task = Task(
        walsender, producer, relations, SourceState(SourceOptions("p", "d")), acks,
        Hooks(records_of=records_of, dead_letter=dead_letter, watch=lambda: [("heartbeat", None, b"beat", None)]), Meter(),
    )  # fmt: skip

    def produce(topic: str, value: bytes, *args: Any, **more: Any) -> None:
        refused = topic == "topic" and value.endswith(b".0") and by_number[int(value.split(b".")[0])].refused
        if refused:
            raise BufferError  # so that the slow way decides
        assert transactions.open, "a record outside of a Kafka transaction"
        FakeProducer.produce(producer, topic, value, *args, **more)

    def send(topic: str, value: bytes, key: bytes | None, **more: Any) -> bool:
        if topic == "topic" and value.endswith(b".0") and by_number[int(value.split(b".")[0])].refused:
            raise SendError("too large", topic=topic)
        assert transactions.open, "a record outside of a Kafka transaction"
        return FakeProducer.send(producer, topic, value, key, **more)

    producer.produce, producer.send = produce, send
    task.producer.produce = produce
    sent = itertools.count(1)
    due = itertools.cycle(commit_after)
    until_commit = [next(due)]

    def step() -> None:
        number = next(sent)
        if crash_after is not None and number > crash_after:
            raise Crash
        if number in beats:
            task._watch()
        until_commit[0] -= 1
        if until_commit[0] <= 0 and acks.window is not None:
            until_commit[0] = next(due)
            acks.acknowledge(1e9)

    for frame in frames:
        walsender.frames += [frame, step]
    walsender.on_wait = stop.set
    with contextlib.suppress(Crash), pytest.MonkeyPatch.context() as patch:
        # Whoever may commit commits.
        patch.setattr("cdc.transactional.COMMIT_SECONDS", 0.0)
        task.run(stop)
    found = [each for each in transactions.committed if each.topic in ("topic", "dead", "boundary")]
    positions = [each for each in transactions.committed if each.topic == POSITIONS_TOPIC]
    return found, PositionRecord.decode(positions[-1].value) if positions else position


def position() -> PositionRecord:
    return PositionRecord(1, 1, "slot", "publication", LSN(0), 0, START)


def wanted(log: Sequence[Transaction]) -> list[bytes]:
    out = []
    for commit, rows in log:
        out.append(b"begin %d" % commit)
        for row in rows:
            for part in range(row.records):
                if part == 0 and row.refused:
                    out.append(write.insert(OID, [b"%d" % row.number]))
                else:
                    out.append(f"{row.number}.{part}".encode())
        out.append(b"end %d" % commit)
    return out


rows = st.builds(lambda records, refused: (records, refused), st.integers(0, 3), st.booleans())


@settings(max_examples=150, deadline=None)
@given(
    sizes=st.lists(st.lists(rows, max_size=12), min_size=1, max_size=4),
    lives=st.lists(
        st.tuples(st.lists(st.integers(1, 6), min_size=1, max_size=4), st.integers(0, 20), st.frozensets(st.integers(1, 25), max_size=4), st.sampled_from((None, 1, 2, 5))),
        max_size=6,
    ),
)  # fmt: skip
def test_each_record_is_committed_once_and_in_order(sizes, lives):
    numbers = itertools.count()
    log = [
        (1100 + 100 * index, [Row(next(numbers), records, refused and records > 0) for records, refused in size])
        for index, size in enumerate(sizes)
    ]
    found: list[Any] = []
    reached = position()
    for commit_after, crash_after, beats, room in [*lives, ([50], None, frozenset(), None)]:
        committed, reached = run(
            log, reached, commit_after=commit_after, crash_after=crash_after, beats=beats, room=room
        )
        found += committed
    assert [each.value for each in found] == wanted(log)
    assert reached.end_lsn == log[-1][0] + 10


def test_a_heartbeat_in_a_split_transaction_does_not_have_a_row_skipped():
    log = [(1100, [Row(number) for number in range(6)])]
    first, reached = run(log, position(), commit_after=[4], crash_after=5, beats=frozenset({2, 3}))
    assert first, "nothing was committed before the crash"
    assert reached.ordinal
    second, _ = run(log, reached, commit_after=[50], crash_after=None, beats=frozenset())
    assert [each.value for each in first + second] == wanted(log)


def test_the_server_is_told_after_the_commit_and_not_before():
    producer = FakeProducer()
    producer.client = transactions = FakeTransactions(producer)
    walsender = FakeWalsender()
    acks = TransactionalAcknowledger(
        walsender, producer, "connector", position(), meter=Meter(), failpoint=lambda _step: None
    )
    told: list[int] = []
    commit = transactions.commit_transaction

    def committing(seconds: float) -> None:
        told.extend(flushed for flushed, _ in walsender.told)
        commit(seconds)

    transactions.commit_transaction = committing
    acks.begin(LSN(1100))
    acks.commit(LSN(1100), LSN(1110))
    acks.acknowledge(1e9, idle=True)
    assert told, "no status went out before the commit, which may take long"
    assert max(told) == START
    assert walsender.told[-1][0] == 1110


def test_nothing_is_committed_after_a_warning_of_the_server():
    producer = FakeProducer()
    producer.client = transactions = FakeTransactions(producer)
    walsender = FakeWalsender()
    acks = TransactionalAcknowledger(
        walsender, producer, "connector", position(), meter=Meter(), failpoint=lambda _step: None
    )
    acks.begin(LSN(1100))
    acks.commit(LSN(1100), LSN(1110))
    walsender.warning = PublicationChanged("skipped loading publication")
    with pytest.raises(PublicationChanged):
        acks.acknowledge(1e9, idle=True)
    assert transactions.committed == []
    assert walsender.told == []
