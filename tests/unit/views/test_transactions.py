"""A transaction is let through when all of it is there, and never before."""

from __future__ import annotations

import json
import random

import pytest

from tests.support.messages import FakeLog, FakeMessage
from views.transactions import ENDED_SECONDS, OPEN_SECONDS, TransactionGate, boundary_topic

BOUNDARIES = "shop.transaction"
TOPICS = ("shop.public.orders", "shop.public.items")


class Clock:
    now = 100.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def said() -> list[str]:
    return []


@pytest.fixture
def gate(clock: Clock, said: list[str]) -> TransactionGate:
    return TransactionGate(BOUNDARIES, TOPICS, say=said.append, clock=clock)


@pytest.fixture
def log() -> FakeLog:
    return FakeLog()


def event(log: FakeLog, topic: str, transaction: str | None, order: int = 1, partition: int = 0) -> FakeMessage:
    block = None if transaction is None else {"id": transaction, "total_order": order, "data_collection_order": 1}
    value = json.dumps({"op": "c", "after": {"id": 1}, "source": {}, "transaction": block}, separators=(",", ":"))
    return log.append(topic, b"1", value.encode(), partition=partition)


def end(log: FakeLog, transaction: str, **counts: int) -> FakeMessage:
    collections = [{"data_collection": f"public.{name}", "event_count": n} for name, n in counts.items()]
    document = {"status": "END", "id": transaction, "event_count": 9, "data_collections": collections}
    return log.append(BOUNDARIES, b"k", json.dumps(document).encode())


def test_a_transaction_over_two_topics_goes_through_in_one_step(gate: TransactionGate, log: FakeLog):
    order, item = event(log, TOPICS[0], "7", 1), event(log, TOPICS[1], "7", 2)
    assert gate.admit([order]) == []
    assert gate.admit([end(log, "7", orders=1, items=1)]) == []
    assert gate.admit([item]) == [order, item]
    assert not gate.holding


def test_what_comes_behind_a_held_record_of_its_partition_waits_too(gate: TransactionGate, log: FakeLog):
    first, plain = event(log, TOPICS[0], "7", 1), event(log, TOPICS[0], None)
    elsewhere = event(log, TOPICS[1], None)
    assert gate.admit([first, plain, elsewhere]) == [elsewhere]
    assert gate.admit([end(log, "7", orders=1)]) == [first, plain]


def test_rows_of_tables_that_the_view_does_not_read_are_not_waited_for(gate: TransactionGate, log: FakeLog):
    row = event(log, TOPICS[0], "7", 2)
    assert gate.admit([end(log, "7", orders=1, customers=5), row]) == [row]


def test_a_tombstone_goes_with_its_delete(gate: TransactionGate, log: FakeLog):
    row, tombstone = event(log, TOPICS[0], "7", 1), log.append(TOPICS[0], b"1", None)
    assert gate.admit([row, tombstone]) == []
    assert gate.admit([end(log, "7", orders=1)]) == [row, tombstone]


def test_records_that_come_twice_count_once(gate: TransactionGate, log: FakeLog):
    once, again = event(log, TOPICS[0], "7", 1), event(log, TOPICS[0], "7", 1)
    other = event(log, TOPICS[1], "7", 2)
    assert gate.admit([once, again, end(log, "7", orders=1, items=1)]) == []
    assert gate.admit([other]) == [once, again, other]
    assert gate.admit([late := event(log, TOPICS[1], "7", 2)]) == [late]


def test_an_event_that_never_comes_is_not_waited_for_for_ever(
    gate: TransactionGate, log: FakeLog, clock: Clock, said: list[str]
):
    row = event(log, TOPICS[0], "7", 1)
    assert gate.admit([row, end(log, "7", orders=1, items=1)]) == []
    clock.now += ENDED_SECONDS + 0.1
    assert gate.admit([]) == [row]
    assert "7" in said[0]


def test_an_end_that_never_comes_is_not_waited_for_for_ever(gate: TransactionGate, log: FakeLog, clock: Clock):
    row = event(log, TOPICS[0], "7", 1)
    assert gate.admit([row]) == []
    clock.now += OPEN_SECONDS + 0.1
    assert gate.admit([]) == [row]


def test_boundaries_are_read_again_from_the_first_that_is_not_shown(gate: TransactionGate, log: FakeLog):
    gate.admit([event(log, TOPICS[0], "6", 1), end(log, "6", orders=1)])
    assert gate.offsets() == {(BOUNDARIES, 0): 1}
    gate.admit([event(log, TOPICS[0], "7", 1), end(log, "7", orders=1, items=1), end(log, "8", items=1)])
    assert gate.offsets() == {(BOUNDARIES, 0): 1}
    gate.admit([event(log, TOPICS[1], "7", 2), event(log, TOPICS[1], "8", 1)])
    assert gate.offsets() == {(BOUNDARIES, 0): 3}


@pytest.mark.parametrize("seed", range(20))
def test_any_interleaving_of_partitions_shows_whole_transactions_in_the_order_of_each_partition(
    gate: TransactionGate, log: FakeLog, seed: int
):
    choose = random.Random(seed)
    places: dict[tuple[str, int], list[FakeMessage]] = {}
    of: dict[int, str] = {}
    sizes: dict[str, int] = {}
    for number in range(30):
        identity, counts = f"t{number}", {"orders": 0, "items": 0}
        for order in range(choose.randrange(1, 6)):
            topic, partition = choose.choice(TOPICS), choose.randrange(2)
            message = event(log, topic, identity, order + 1, partition)
            counts[topic.rpartition(".")[2]] += 1
            places.setdefault((topic, partition), []).append(message)
            of[id(message)] = identity
        sizes[identity] = sum(counts.values())
        places.setdefault((BOUNDARIES, 0), []).append(end(log, identity, **counts))
    shown: list[FakeMessage] = []
    queues = {place: list(messages) for place, messages in places.items()}
    while any(queues.values()):
        queue = choose.choice([queue for queue in queues.values() if queue])
        taken, queue[:] = queue[: (n := choose.randrange(1, 4))], queue[n:]
        step = gate.admit(taken)
        for identity in {of[id(message)] for message in step}:
            assert sum(of[id(message)] == identity for message in step) == sizes[identity], f"{identity} is torn"
        shown += step
    assert len(shown) == len(of)
    for place, messages in places.items():
        if place[0] != BOUNDARIES:
            assert [m for m in shown if (m.topic(), m.partition()) == place] == messages
    assert not gate.holding


def test_the_topic_of_boundaries_is_found_by_the_prefix_of_all_topics():
    assert boundary_topic(TOPICS, "auto") == BOUNDARIES
    assert boundary_topic(("shop.public.orders", "other.public.items"), "auto") is None
    assert boundary_topic(("orders",), "auto") is None
    assert boundary_topic(TOPICS, "none") is None
    assert boundary_topic(("orders",), "my.marks") == "my.marks"
