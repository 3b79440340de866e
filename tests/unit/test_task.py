"""The loop, between a server that sends given frames and a Kafka that delivers when told to."""

from __future__ import annotations

import itertools
import threading
from types import SimpleNamespace
from typing import Any

import pytest

from cdc import task as loop
from cdc.acknowledger import Acknowledger
from cdc.errors import ProtocolError, PublicationChanged, SeamError, SendError, SourceUnavailable
from cdc.hooks import Hooks
from cdc.kafka.positions import POSITIONS_TOPIC, PositionRecord
from cdc.lsn import LSN
from cdc.source import SourceOptions, SourceState
from cdc.task import Task
from cdc.telemetry import Meter
from tests.support import pgoutput as write
from tests.support.fakes import FakeProducer, FakeWalsender

START = LSN(1000)
OID = 16_384


def transaction(commit: int, rows: int = 1) -> list[bytes]:
    """A transaction whose commit record lies at `commit` and ends 10 later."""
    messages = [write.begin(commit), *[write.insert(OID, [b"%d" % row]) for row in range(rows)]]
    return [write.xlog_data(message, start=commit) for message in [*messages, write.commit(commit, commit + 10)]]


class Loop:
    """A task over fakes, whose rows become records with the row's message as their value."""

    def __init__(self, *frames: Any, hooks: Hooks | None = None) -> None:
        self.walsender, self.producer = FakeWalsender(itertools.chain(*frames)), FakeProducer()
        self.stop = threading.Event()
        self.acks = Acknowledger(
            self.walsender, self.producer, "connector", PositionRecord(1, 1, "slot", "publication", LSN(0), 0, START),
            START, stall_seconds=60, meter=Meter(), failpoint=lambda _step: None,
        )  # fmt: skip
        relations = SimpleNamespace(
            renderers={OID.to_bytes(4, "big"): self._render}, define=lambda _relation: None, by_oid={}
        )
        self.task = Task(
            self.walsender, self.producer, relations, SourceState(SourceOptions("p", "d")), self.acks,
            hooks or Hooks(), Meter(),
        )  # fmt: skip
        self.waits = 0
        self.walsender.on_wait = self.waited

    @staticmethod
    def _render(payload: bytes, _lsn: bytes, _state: SourceState) -> list[Any]:
        return [("topic", None, payload, None)]

    def waited(self) -> None:
        """Nothing is there to be read: by default, deliver all, and stop when there is nothing to deliver either."""
        self.waits += 1
        if not self.producer.flying or self.waits > 100:
            self.stop.set()
        self.producer.deliver_all()

    def run(self, goal: int | None = None) -> None:
        self.producer.on_poll = self.producer.deliver_all if self.stop.is_set() else self.producer.on_poll
        self.task.run(self.stop, None if goal is None else LSN(goal))

    @property
    def told(self) -> int:
        return max((flushed for flushed, _ in self.walsender.told), default=0)


@pytest.fixture(autouse=True)
def _no_pauses(monkeypatch):
    monkeypatch.setattr("cdc.acknowledger.POSITION_SECONDS", 0.0)
    monkeypatch.setattr("cdc.acknowledger.IDLE_POSITION_SECONDS", 0.0)


def test_what_was_delivered_is_told():
    running = Loop(transaction(1100), transaction(1200))
    running.run()
    assert running.told == 1210
    assert [each.topic for each in running.producer.delivered].count("topic") == 2


@pytest.mark.parametrize("boundaries", [True, False])
def test_boundaries_that_are_read_in_one_step_do_what_the_plain_way_does(
    monkeypatch: pytest.MonkeyPatch, boundaries: bool
):
    def run() -> tuple[object, ...]:
        said: list[object] = []

        def records_of(message: object, lsn: int, state: SourceState) -> list[Any]:
            said.append((message, lsn, state.xid, state.commit_micros, state.commit_lsn))
            return [("edges", None, repr(message).encode(), None)]

        hooks = Hooks(records_of=records_of, boundaries=boundaries, streamed=said.append, failpoint=said.append)
        frames = [*transaction(1100), *transaction(1200, rows=3), *transaction(1300, rows=0)]
        # A frame starts elsewhere than at its commit record.
        one = Loop([write.xlog_data(frame[25:], start=7000 + at) for at, frame in enumerate(frames)], hooks=hooks)
        one.run()
        state, meter = one.task.state, one.task.meter
        sent = [(each.topic, each.value) for each in one.producer.delivered]
        return said, sent, one.told, state.previous_commit, state.lead, state.tail, meter.transactions, meter.rows

    short = run()
    monkeypatch.setattr(loop, "BEGIN", -1)
    monkeypatch.setattr(loop, "COMMIT", -1)
    assert run() == short
    assert short[2] == 1310
    if boundaries:
        assert [each[1] for each in short[0] if isinstance(each, tuple)] == [7000, 7002, 7003, 7007, 7008, 7009]
    assert [topic for topic, _ in short[1]].count("edges") == (6 if boundaries else 0)


@pytest.mark.parametrize("changed", [write.begin(1200)[:-1], write.commit(1100, 1110) + b"x"])
def test_a_boundary_of_another_length_is_refused(changed: bytes):
    broken = Loop(transaction(1100), [write.xlog_data(changed)])
    with pytest.raises(ProtocolError):
        broken.run()
    assert broken.told <= 1110


def test_every_row_of_a_transaction_longer_than_a_drain_is_sent_once_and_in_order():
    rows = 2 * loop.DRAIN_MESSAGES + 3
    running = Loop(transaction(1100, rows))
    running.run()
    sent = [each.value for each in running.producer.delivered if each.topic == "topic"]
    assert sent == [write.insert(OID, [b"%d" % row]) for row in range(rows)]


def test_a_stop_waits_for_what_is_on_its_way_and_tells_it():
    running = Loop(transaction(1100, rows=3))
    running.walsender.on_wait = running.stop.set

    def deliver_one() -> None:
        if running.stop.is_set() and running.producer.flying:
            running.producer.deliver()

    running.producer.on_poll = deliver_one
    running.run()
    assert running.told == 1110


def test_what_was_not_delivered_is_not_told(monkeypatch):
    monkeypatch.setattr(loop, "STOP_SECONDS", 0.0)
    running = Loop(transaction(1100))
    running.walsender.on_wait = running.stop.set
    running.run()
    assert running.told == START


def test_an_open_transaction_is_not_told_when_the_loop_is_stopped():
    running = Loop(transaction(1100), transaction(1200, rows=3)[:-1])
    running.run()
    assert running.told <= 1110


def test_a_task_that_is_to_stop_ends_with_the_transaction_that_runs_and_begins_no_other():
    frames = transaction(1100, rows=3)
    running = Loop(frames[:2])

    def ask() -> None:
        running.stop.set()
        running.walsender.frames.extend([*frames[2:], *transaction(1200)])
        running.walsender.on_wait = lambda: None

    running.walsender.on_wait = ask
    running.producer.on_poll = running.producer.deliver_all
    running.run()
    assert [each.topic for each in running.producer.delivered].count("topic") == 3
    assert running.told == 1110


def test_a_task_that_is_to_stop_waits_a_while_only_for_the_end_of_a_transaction(monkeypatch):
    monkeypatch.setattr(loop, "END_SECONDS", 0.0)
    running = Loop(transaction(1100, rows=3)[:-1])
    running.walsender.on_wait = running.stop.set
    running.producer.on_poll = running.producer.deliver_all
    running.run()
    assert running.told == START


@pytest.mark.parametrize("rows", (1, 700))
def test_nothing_is_told_after_a_warning_in_the_middle_of_a_full_drain(rows):
    running = Loop()

    def warn() -> None:
        running.walsender.warning = PublicationChanged("skipped loading publication")

    frames = [
        *transaction(1100),
        warn,
        *transaction(1300, rows),
        *itertools.chain(*(transaction(2000 + 20 * n) for n in range(500))),
    ]
    running.walsender.frames.extend(frames)
    running.producer.on_poll = running.producer.deliver_all
    with pytest.raises(PublicationChanged):
        running.run()
    assert running.told <= 1110


def test_a_full_queue_is_waited_out_and_the_server_still_hears_from_us(monkeypatch):
    monkeypatch.setattr("cdc.acknowledger.STATUS_SECONDS", 1.0)
    clock = itertools.count(100)
    monkeypatch.setattr(loop.time, "monotonic", lambda: float(next(clock)))
    running = Loop(transaction(1100, rows=5))
    running.producer.room = 2
    polls = itertools.count()

    def deliver_at_last() -> None:
        if next(polls) > 20:
            running.producer.deliver_all()

    running.producer.on_poll = deliver_at_last
    running.run()
    assert len(running.walsender.told) > 10
    values = [each.value for each in running.producer.delivered if each.topic == "topic"]
    assert values == [write.insert(OID, [b"%d" % row]) for row in range(5)]
    assert running.told == 1110


def test_a_row_of_an_undescribed_relation_is_a_protocol_error():
    running = Loop([*transaction(1100)[:1], write.xlog_data(write.insert(77, [b"1"]))])
    with pytest.raises(ProtocolError, match="relation 77") as caught:
        running.run()
    assert caught.value.tag == "I"


@pytest.mark.parametrize("frame", [transaction(1100)[1], transaction(1100)[2]], ids=["row", "commit"])
def test_a_message_outside_of_a_transaction_is_a_protocol_error(frame):
    running = Loop([frame])
    with pytest.raises(ProtocolError):
        running.run()
    assert running.told <= START


def test_a_transaction_within_a_transaction_is_a_protocol_error():
    running = Loop(transaction(1100)[:2], transaction(1200))
    with pytest.raises(ProtocolError, match="begin"):
        running.run()
    assert running.told <= START


@pytest.mark.parametrize(
    "frame", [b"w123", b"?", write.xlog_data(b""), write.xlog_data(b"Z123"), write.keepalive(5)[:-1]]
)
def test_a_malformed_frame_is_a_protocol_error_and_nothing_after_it_is_told(frame):
    running = Loop(transaction(1100), [frame], transaction(1200))
    with pytest.raises(ProtocolError):
        running.run()
    assert running.told <= 1110


def test_a_server_that_says_nothing_is_asked_and_then_given_up(monkeypatch):
    clock = itertools.count(0, 5)
    monkeypatch.setattr(loop.time, "monotonic", lambda: float(next(clock)))
    running = Loop()
    running.walsender.on_wait = lambda: None
    with pytest.raises(SourceUnavailable, match="said nothing"):
        running.run()
    assert running.walsender.asked >= 2


def test_a_server_that_answers_is_not_given_up(monkeypatch):
    clock = itertools.count(0, 5)
    monkeypatch.setattr(loop.time, "monotonic", lambda: float(next(clock)))
    running = Loop()
    answered = 0

    def answer() -> None:
        nonlocal answered
        if running.walsender.asked > answered:
            answered = running.walsender.asked
            running.walsender.frames.append(write.keepalive(int(START)))
        running.waits += 1
        if running.waits > 300:
            running.stop.set()

    running.walsender.on_wait = answer
    running.producer.on_poll = running.producer.deliver_all
    running.run()
    assert running.waits > 300


def test_an_error_of_the_driver_becomes_one_of_ours():
    running = Loop([lambda: 1 // 0])
    with pytest.raises(SeamError) as caught:
        running.run()
    assert isinstance(caught.value.__cause__, ZeroDivisionError)


def test_the_goal_is_reached_when_kafka_holds_everything_up_to_it():
    running = Loop(transaction(1100), transaction(1200))
    running.producer.on_poll = running.producer.deliver_all
    running.walsender.on_wait = lambda: None
    running.run(goal=1210)
    assert running.told == 1210


def test_a_record_that_is_refused_stops_the_loop_where_there_are_no_dead_letters():
    running = Loop(transaction(1100))

    def refuse(*_args: Any, **_more: Any) -> bool:
        raise SendError("too large", topic="topic")

    running.producer.room = 0
    running.producer.send = refuse
    with pytest.raises(SendError):
        running.run()
    assert running.told <= START


def test_a_record_that_is_refused_is_replaced_by_its_dead_letter():
    letters = []

    def dead_letter(error: SeamError, payload: bytes, _state: SourceState) -> list[Any]:
        letters.append(error)
        return [("dead", None, payload, None)]

    running = Loop(transaction(1100, rows=2), hooks=Hooks(dead_letter=dead_letter))
    take = running.producer.send

    def send(topic: str, *args: Any, **more: Any) -> bool:
        if topic == "topic":
            raise SendError("too large", topic=topic)
        return take(topic, *args, **more)

    running.producer.send = send
    # The hot loop's own call finds no room, so that the slow way decides.
    running.producer.produce = lambda *_args, **_more: _raise(BufferError())
    running.producer.on_poll = running.producer.deliver_all
    running.walsender.on_wait = running.stop.set
    running.run()
    assert len(letters) == 2
    topics = [each.topic for each in running.producer.delivered]
    assert topics.count("dead") == 2
    assert topics.count("topic") == 0
    assert POSITIONS_TOPIC in topics
    assert running.told == 1110


def _raise(error: Exception) -> None:
    raise error


@pytest.mark.parametrize("room", [None, 3])
def test_the_short_loop_of_chunks_sends_what_the_long_one_does(room):
    rows = [
        ("topic", b"1", b"one", None),
        ("topic", b"2", b"two", [("note", b"x")]),
        ("other", b"3", None, None),
        ("topic", None, b"", []),
    ] * 2
    sent = []
    # A latest topic of some other table is what makes the loop the long one.
    for latest in ({}, {"elsewhere": ("elsewhere.latest",)}):
        one = Loop(hooks=Hooks(extended_headers=False, latest=latest))
        one.producer.room = room
        one.producer.on_poll = one.producer.deliver_all
        arrived = SimpleNamespace(rows=list(rows), done=lambda: None)
        one.task._chunk(SimpleNamespace(arrived=lambda _mark, found=arrived: found, as_json=dict), "mark")
        one.producer.deliver_all()
        assert one.acks.tracker.outstanding == 0
        sent.append([(each.topic, each.key, each.value, each.headers or None) for each in one.producer.delivered])
    assert sent[0] == sent[1]
    assert len(sent[0]) == len(rows)


@pytest.mark.parametrize(
    "hooks", [Hooks(placed=True), Hooks(extended_headers=False), Hooks()], ids=["placed", "plain", "long"]
)
def test_a_chunk_is_done_when_kafka_holds_each_of_its_rows(hooks):
    one = Loop(hooks=hooks)
    done = []
    arrived = SimpleNamespace(
        rows=[("topic", b"1", b"one", None), ("topic", b"2", b"two", None)],
        done=lambda: done.append(len(one.producer.delivered)),
    )
    one.task._chunk(SimpleNamespace(arrived=lambda _mark: arrived, as_json=dict), "mark")
    assert one.acks.tracker.outstanding == 2
    for _ in range(3):
        one.acks.acknowledge(0.0)
        assert done == []
        if len(one.producer.delivered) < 1:
            one.producer.deliver()
    one.producer.deliver()
    one.acks.acknowledge(0.0)
    assert done == [2]
