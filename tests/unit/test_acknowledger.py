"""What is told to Postgres never passes what Kafka holds, whatever the order in which things happen."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from cdc.acknowledger import Acknowledger
from cdc.acks import AckTracker
from cdc.errors import BrokerUnavailable, PublicationChanged, SeamError
from cdc.kafka.positions import POSITIONS_TOPIC, PositionRecord
from cdc.lsn import LSN
from cdc.telemetry import Meter
from tests.support.fakes import FakeProducer, FakeWalsender

START = LSN(1000)


def position(end: int = START) -> PositionRecord:
    return PositionRecord(1, 1, "slot", "publication", LSN(0), 0, LSN(end))


def acknowledger(
    walsender: FakeWalsender,
    producer: FakeProducer,
    *,
    recorded: int = START,
    confirmed: int = START,
    stall_seconds: float = 60,
) -> Acknowledger:
    return Acknowledger(
        walsender, producer, "connector", position(recorded), LSN(confirmed),
        stall_seconds=stall_seconds, meter=Meter(), failpoint=lambda _step: None,
    )  # fmt: skip


class Acknowledging(RuleBasedStateMachine):
    """Transactions, keepalives, records outside of transactions, deliveries and pauses, in any order.

    The log is a row of numbers. A transaction has its commit at `commit` and ends at `end`; what lies between two
    transactions is log of others, which only keepalives can move over.
    """

    def __init__(self) -> None:
        super().__init__()
        self.walsender, self.producer = FakeWalsender(), FakeProducer()
        self.recorded = int(START) + 40
        self.acks = acknowledger(self.walsender, self.producer, recorded=self.recorded, stall_seconds=1e9)
        self.now = 100.0
        self.log_end = int(START)
        self.open_commit: int | None = None
        self.unfinished: list[tuple[int, list[object]]] = []  # commit position, records not delivered
        self.records_of_open: list[object] = []

    # -- the server ---------------------------------------------------------------------------------------------------

    @precondition(lambda self: self.open_commit is None)
    @rule(gap=st.integers(1, 30), rows=st.integers(0, 3))
    def begins(self, gap: int, rows: int) -> None:
        self.open_commit = self.log_end + gap
        self.records_of_open = []
        self.unfinished.append((self.open_commit, self.records_of_open))
        self.acks.begin()
        for _ in range(rows):
            self.row()

    @precondition(lambda self: self.open_commit is not None)
    @rule()
    def row(self) -> None:
        self._hand_over(self.records_of_open)

    @precondition(lambda self: self.open_commit is not None)
    @rule(length=st.integers(1, 20))
    def commits(self, length: int) -> None:
        assert self.open_commit is not None
        self.log_end = self.open_commit + length
        self.acks.commit(LSN(self.open_commit), LSN(self.log_end))
        self.open_commit = None

    @rule(gap=st.integers(0, 50), reply=st.booleans())
    def keepalive(self, gap: int, reply: bool) -> None:
        # Within a transaction the server names the end of what it had sent before.
        if self.open_commit is None:
            self.log_end += gap
        was_idle = not any(records for _, records in self.unfinished) and self.open_commit is None
        before = self.acks.tracker.flushed
        self.acks.keepalive(LSN(self.log_end), reply_requested=reply)
        if not was_idle:
            unfinished = min(commit for commit, records in self.unfinished if records or commit == self.open_commit)
            assert self.acks.tracker.flushed <= max(before, unfinished)

    @rule()
    def outside(self) -> None:
        """A heartbeat, or a message of no transaction: it belongs to what lies before it."""
        records: list[object] = []
        self.unfinished.append((self.log_end if self.open_commit is None else self.open_commit, records))
        self._hand_over(records, outside=True)

    def _hand_over(self, records: list[object], *, outside: bool = False) -> None:
        window = self.acks.outside() if outside else self.acks.window
        assert window is not None
        token = object()
        records.append(token)
        window.outstanding += 1

        def delivered(error: object, message: object) -> None:
            if error is None:
                records.remove(token)
            window.delivered(error, message)

        self.producer.produce("topic", on_delivery=delivered)

    # -- Kafka --------------------------------------------------------------------------------------------------------

    @precondition(lambda self: self.producer.flying)
    @rule(data=st.data())
    def delivers(self, data: st.DataObject) -> None:
        self.producer.deliver(data.draw(st.integers(0, len(self.producer.flying) - 1)))

    # -- the loop -----------------------------------------------------------------------------------------------------

    @rule(seconds=st.sampled_from((0.0, 0.05, 0.2, 4.0, 11.0)))
    def acknowledges(self, seconds: float) -> None:
        self.now += seconds
        self.acks.acknowledge(self.now)

    @invariant()
    def never_told_beyond_an_unfinished_transaction(self) -> None:
        told = max((flushed for flushed, _ in self.walsender.told), default=int(START))
        for commit, records in self.unfinished:
            if records or commit == self.open_commit:
                # A transaction is sent again as long as the slot does not stand beyond its commit.
                assert told <= commit, f"told {told}, and the transaction at {commit} is not durable"

    @invariant()
    def never_told_beyond_what_was_sent(self) -> None:
        assert all(flushed <= self.log_end for flushed, _ in self.walsender.told)

    @invariant()
    def never_told_backwards(self) -> None:
        flushed = [flushed for flushed, _ in self.walsender.told]
        assert flushed == sorted(flushed)

    @invariant()
    def never_told_beyond_the_record(self) -> None:
        held = max([int(each.end_lsn) for each in self.producer.positions()], default=self.recorded)
        assert all(flushed <= max(held, self.recorded) for flushed, _ in self.walsender.told)

    @invariant()
    def the_record_never_goes_back(self) -> None:
        ends = [int(each.end_lsn) for each in self.producer.positions()]
        assert ends == sorted(ends)
        assert not ends or ends[0] >= self.recorded

    def teardown(self) -> None:
        """All that was committed is told in the end."""
        for _ in range(4):
            while self.producer.flying:
                self.producer.deliver()
            self.now += 20
            self.acks.acknowledge(self.now)
        if self.open_commit is None:
            self.acks.keepalive(LSN(self.log_end), reply_requested=False)
            for _ in range(3):
                self.now += 20
                self.acks.acknowledge(self.now)
                while self.producer.flying:
                    self.producer.deliver()
            self.acks.acknowledge(self.now)
            assert self.walsender.told[-1][0] == self.log_end


Acknowledging.TestCase.settings = settings(max_examples=150, stateful_step_count=40, deadline=None)
TestAcknowledging = Acknowledging.TestCase


def test_a_transaction_counts_when_its_last_record_is_delivered_and_not_before():
    tracker = AckTracker(START)
    window = tracker.open()
    window.outstanding = 2
    tracker.close(window, LSN(1010), LSN(1020))
    window.delivered(None, None)
    assert tracker.advance() == START
    window.delivered(None, None)
    assert tracker.advance() == 1020


def test_a_later_transaction_waits_for_an_earlier_one():
    tracker = AckTracker(START)
    first, second = tracker.open(), tracker.open()
    first.outstanding = second.outstanding = 1
    tracker.close(first, LSN(1010), LSN(1020))
    tracker.close(second, LSN(1030), LSN(1040))
    second.delivered(None, None)
    assert tracker.advance() == START
    first.delivered(None, None)
    assert tracker.advance() == 1040


def test_a_keepalive_is_never_adopted_with_work_in_flight():
    tracker = AckTracker(START)
    tracker.open()
    with pytest.raises(AssertionError):
        tracker.adopt(LSN(2000))


def test_a_failed_delivery_is_raised_and_nothing_beyond_it_told():
    walsender, producer = FakeWalsender(), FakeProducer()
    acks = acknowledger(walsender, producer)
    for end in (1010, 1020):
        acks.begin().outstanding += 1
        assert acks.window is not None
        producer.produce("topic", on_delivery=acks.window.delivered)
        acks.commit(LSN(end - 5), LSN(end))
        acks.close_window()
    producer.deliver(0, error=_Refused())
    producer.deliver(0)
    with pytest.raises(SeamError):
        acks.acknowledge(100.0)
    assert not producer.flying
    assert walsender.told == []


class _Refused:
    """An error of librdkafka's that is not about size, rights or the connection."""

    def code(self) -> int:
        return 87  # INVALID_RECORD

    def str(self) -> str:
        return "refused"

    def retriable(self) -> bool:
        return False

    def fatal(self) -> bool:
        return False


def test_nothing_is_told_after_a_warning_of_the_server():
    walsender, producer = FakeWalsender(), FakeProducer()
    acks = acknowledger(walsender, producer)
    acks.begin()
    acks.commit(LSN(1010), LSN(1020))
    walsender.warning = PublicationChanged("skipped loading publication")
    with pytest.raises(PublicationChanged):
        acks.acknowledge(100.0)
    assert walsender.told == []
    assert producer.flying == []


def test_what_is_sent_again_moves_the_slot_without_a_new_record():
    walsender, producer = FakeWalsender(), FakeProducer()
    acks = acknowledger(walsender, producer, recorded=1500, confirmed=1000)
    acks.acknowledge(100.0)
    assert walsender.told == [(1000, 1000)], "the slot was told a position that is not sent again yet"
    acks.begin().outstanding += 1
    assert acks.window is not None
    producer.produce("topic", on_delivery=acks.window.delivered)
    acks.commit(LSN(1090), LSN(1100))
    acks.acknowledge(101.0)
    assert walsender.told[-1][0] == 1000
    producer.deliver()
    acks.acknowledge(102.0)
    assert walsender.told[-1][0] == 1100
    assert producer.positions() == []


def test_a_position_record_that_found_no_room_is_not_taken_for_written():
    walsender, producer = FakeWalsender(), FakeProducer(room=0)
    acks = acknowledger(walsender, producer)
    acks.begin()
    acks.commit(LSN(1010), LSN(1020))
    acks.acknowledge(100.0)
    acks.acknowledge(101.0)
    assert walsender.told[-1][0] == START
    producer.room = None
    acks.acknowledge(102.0)
    producer.deliver()
    acks.acknowledge(103.0)
    assert [int(each.end_lsn) for each in producer.positions()] == [1020]
    assert walsender.told[-1][0] == 1020


def test_a_kafka_that_acknowledges_nothing_is_given_up_in_the_end(monkeypatch):
    clock = [100.0]
    monkeypatch.setattr("cdc.acknowledger.time.monotonic", lambda: clock[0])
    walsender, producer = FakeWalsender(), FakeProducer()
    acks = acknowledger(walsender, producer)
    acks.begin().outstanding += 1
    acks.commit(LSN(1010), LSN(1020))
    acks.acknowledge(100.0)
    acks.acknowledge(159.0)
    with pytest.raises(BrokerUnavailable, match="60 s"):
        acks.acknowledge(161.0)
    assert {flushed for flushed, _ in walsender.told} == {int(START)}


def test_the_server_hears_from_us_at_least_every_ten_seconds():
    walsender = FakeWalsender()
    acks = acknowledger(walsender, FakeProducer())
    for second in range(100, 160):
        acks.acknowledge(float(second))
    assert len(walsender.told) == 6


def test_a_request_for_an_answer_is_answered_at_once_also_within_a_transaction():
    walsender = FakeWalsender()
    acks = acknowledger(walsender, FakeProducer())
    acks.acknowledge(100.0)
    acks.begin()
    acks.keepalive(LSN(1005), reply_requested=True)
    acks.acknowledge(100.1)
    assert len(walsender.told) == 2
    assert walsender.told[-1][0] == START


def test_the_positions_topic_is_the_only_one_that_the_acknowledger_writes():
    walsender, producer = FakeWalsender(), FakeProducer()
    acks = acknowledger(walsender, producer)
    acks.keepalive(LSN(1100), reply_requested=False)
    acks.acknowledge(200.0)
    assert [(each.topic, each.partition, each.key) for each in producer.flying] == [(POSITIONS_TOPIC, 0, b"connector")]


def test_what_another_engine_has_sent_of_a_transaction_is_not_sent_again():
    covered = replace(position(), commit_lsn=LSN(1200), ordinal=3)
    acks = Acknowledger(
        FakeWalsender(), FakeProducer(), "connector", covered, START,
        stall_seconds=60, meter=Meter(), failpoint=lambda _step: None,
    )  # fmt: skip
    skipped = {}
    for commit in (1100, 1200, 1300, 1400):
        acks.begin(LSN(commit))
        skipped[commit] = (acks.ordinal, acks.skip)
        acks.commit(LSN(commit), LSN(commit + 10))
    whole = skipped[1100][1]
    assert whole > 1_000_000
    assert skipped == {1100: (1, whole), 1200: (1, 3), 1300: (1, -1), 1400: (1, -1)}


def test_what_is_covered_stays_recorded_until_the_stream_has_passed_it():
    walsender, producer = FakeWalsender(), FakeProducer()
    covered = replace(position(), commit_lsn=LSN(1200), ordinal=3)
    acks = Acknowledger(
        walsender, producer, "connector", covered, START, stall_seconds=60, meter=Meter(), failpoint=lambda _step: None
    )
    for now, commit in ((100.0, 1100), (200.0, 1200), (300.0, 1300)):
        acks.begin(LSN(commit))
        acks.commit(LSN(commit), LSN(commit + 10))
        acks.acknowledge(now)
        producer.deliver()
        acks.acknowledge(now + 50)
    found = [(int(each.commit_lsn), each.ordinal, int(each.end_lsn)) for each in producer.positions()]
    assert found == [(1200, 3, 1110), (1200, 0, 1210), (1300, 0, 1310)]
