"""Tokens as texts, and when a write can be seen."""

from __future__ import annotations

import random
import threading

import pytest

from cdc.frontier import Frontier, NoProgress, Outcome, ScopeUnknown
from cdc.kafka.progress import TOKENS_KEPT, ProgressRecord, ProgressWriter
from cdc.lsn import LSN
from cdc.tokens import PlaceToken, Token, TokenMalformed, merge, parse_token, parse_tokens

ORDERS, LINES = "shop.public.orders", "shop.public.lines"
SYSTEM = 7321


def token(lsn: int, *, timeline: int = 1, system: int = SYSTEM, id: str | None = None, at: int = 0) -> Token:
    return Token(system, timeline, LSN(lsn), id, LSN(at))


def record(
    frontier: int, offsets: dict, *, tokens=(), timeline: int = 1, system: int = SYSTEM, since: int = 0, count: int = 0
) -> ProgressRecord:
    return ProgressRecord(system, timeline, LSN(frontier), offsets, tuple(tokens), 0.0, LSN(since), count)


def view(ends: dict | None = None, **more) -> Frontier:
    return Frontier([ORDERS, LINES], ends=lambda: ends or {}, **more)


def outcome(frontier: Frontier, asked: Token | PlaceToken) -> Outcome | None:
    waiter = frontier.register(asked)
    frontier.abandon(waiter)
    return waiter.outcome


@pytest.mark.parametrize(
    "asked",
    [token(0x16_B374D848), token(5, id="a-1", at=3), Token(1, 2, LSN(0), "x", LSN(9), 771), PlaceToken(ORDERS, 3, 17)],
)
def test_a_token_is_a_text_and_back(asked):
    assert parse_token(str(asked)) == asked


def test_a_rows_position_asks_for_more_than_the_start_of_its_commit():
    assert parse_token("7321/1/16/B374D848/3") == token(0x16_B374D849)


@pytest.mark.parametrize(
    "text",
    ["", "x", "1/2", "a/1/0/1", "1/1/0/1;id=", "1/1/0/1;what=1", "1/1/zz/1", "t/1/x", "1/1/0/1/x", "1/1/0/1/2;id=a"],
)  # fmt: skip
def test_what_is_no_token_is_refused(text: str):
    with pytest.raises(TokenMalformed):
        parse_token(text)


def test_merging_keeps_the_highest_of_each_kind():
    texts = f"7321/1/0/5,7321/1/0/9,7321/2/0/1,{ORDERS}/0/4,{ORDERS}/0/7,7321/1/0/2;id=a;at=0/1"
    merged = {str(each) for each in merge(parse_tokens(texts))}
    assert merged == {"7321/1/0/9", "7321/2/0/1", f"{ORDERS}/0/7", "7321/1/0/2;id=a;at=0/1"}


def test_a_write_is_visible_when_the_frontier_passed_it_and_every_partition_is_applied():
    frontier = view()
    frontier.told("shop", record(100, {(ORDERS, 0): 5, (LINES, 1): 9}))
    assert outcome(frontier, token(100)) is None
    frontier.applied({(ORDERS, 0): 5})
    assert outcome(frontier, token(100)) is None
    frontier.applied({(LINES, 1): 9})
    assert outcome(frontier, token(100)) is Outcome.VISIBLE
    assert outcome(frontier, token(101)) is None
    assert frontier.position() == token(100)


def test_a_topic_that_the_view_does_not_read_is_not_waited_for():
    frontier = view(partitions={0})
    frontier.told("shop", record(100, {("shop.public.other", 0): 5, (ORDERS, 1): 3, (ORDERS, 0): 2}))
    frontier.applied({(ORDERS, 0): 2})
    assert outcome(frontier, token(100)) is Outcome.VISIBLE


def test_where_the_engine_has_not_written_since_its_start_the_present_end_is_waited_for():
    frontier = view({(ORDERS, 3): 50})
    frontier.told("shop", record(100, {(ORDERS, 0): 5}))
    frontier.applied({(ORDERS, 0): 5, (ORDERS, 3): 49})
    assert outcome(frontier, token(90)) is None
    frontier.applied({(ORDERS, 3): 50})
    assert outcome(frontier, token(90)) is Outcome.VISIBLE


def test_the_ends_are_asked_for_once_per_run():
    asked = []
    frontier = Frontier([ORDERS], ends=lambda: asked.append(1) or {})
    for frontier_lsn, since in ((10, 0), (20, 0), (30, 25), (40, 25)):
        frontier.told("shop", record(frontier_lsn, {}, since=since))
    assert len(asked) == 2


def test_without_anybody_who_tells_progress_a_wait_ends_at_once():
    frontier = view()
    with pytest.raises(NoProgress):
        frontier.wait(token(1), 5)
    frontier.told("another", record(100, {}))
    with pytest.raises(NoProgress):
        frontier.wait(token(1), 5)


def test_another_system_and_a_timeline_left_behind_are_never_visible():
    frontier = view()
    frontier.told("shop", record(100, {}))
    assert outcome(frontier, token(50, system=1)) is Outcome.WRONG_TIMELINE
    frontier.told("shop", record(200, {}, timeline=2, since=90))
    assert outcome(frontier, token(100)) is Outcome.VISIBLE
    assert outcome(frontier, token(101)) is Outcome.WRONG_TIMELINE
    assert outcome(frontier, token(150, timeline=2)) is Outcome.VISIBLE
    assert outcome(frontier, token(150, timeline=3)) is None


def test_a_wait_that_stands_ends_when_the_timeline_moves_on():
    frontier = view()
    frontier.told("shop", record(100, {}))
    waiter = frontier.register(token(150))
    frontier.told("shop", record(200, {}, timeline=2, since=90))
    assert waiter.outcome is Outcome.WRONG_TIMELINE


def test_a_message_makes_its_write_visible_where_its_record_is_applied():
    frontier = view()
    asked = token(0, id="m1", at=90)
    frontier.told("shop", record(80, {}))
    waiter = frontier.register(asked)
    frontier.told("shop", record(100, {(ORDERS, 0): 5}, tokens=["m1"], count=1))
    assert waiter.outcome is None
    frontier.applied({(ORDERS, 0): 5})
    assert waiter.outcome is Outcome.VISIBLE


def test_a_message_that_never_came_though_the_frontier_passed_is_lost():
    frontier = view()
    frontier.told("shop", record(80, {}))
    waiter = frontier.register(token(100, id="gone", at=90))
    frontier.told("shop", record(99, {}, tokens=["other"], count=1))
    assert waiter.outcome is None
    frontier.told("shop", record(101, {}, tokens=["other"], count=1))
    assert waiter.outcome is Outcome.LOST


def test_a_reader_that_may_have_missed_the_message_does_not_call_it_lost():
    late = view()
    late.told("shop", record(500, {}, tokens=["z"], count=1000))
    assert outcome(late, token(100, id="old", at=90)) is None
    gap = view()
    gap.told("shop", record(80, {}))
    gap.told("shop", record(500, {}, tokens=["z"], count=30))
    assert outcome(gap, token(100, id="old", at=90)) is None
    whole = view()
    whole.told("shop", record(500, {}, since=60, tokens=["z"], count=1))
    assert outcome(whole, token(100, id="old", at=90)) is Outcome.LOST
    assert outcome(whole, token(100, id="older", at=50)) is None


def test_a_place_is_visible_when_its_offset_is_applied():
    frontier = view()
    waiter = frontier.register(PlaceToken(ORDERS, 0, 4))
    frontier.applied({(ORDERS, 0): 4})
    assert waiter.outcome is None
    frontier.applied({(ORDERS, 0): 5})
    assert waiter.outcome is Outcome.VISIBLE
    with pytest.raises(ScopeUnknown):
        frontier.register(PlaceToken("elsewhere", 0, 0))


def test_a_wait_says_where_it_is_stuck():
    frontier = view()
    frontier.told("shop", record(100, {(ORDERS, 0): 5}))
    assert "not told" in frontier.wait(token(200), 0.01).reason
    assert "not yet applied" in frontier.wait(token(100), 0.01).reason
    assert frontier.waiting() == 0


def test_an_aborted_transaction_is_told_by_asking_once_or_twice():
    frontier = view()
    frontier.told("shop", record(100, {}))
    asked = []

    def probe(xid: int) -> str:
        asked.append(xid)
        return "aborted"

    assert frontier.wait(Token(SYSTEM, 1, LSN(0), "m", LSN(90), 771), 0.05, probe=probe).outcome is Outcome.ABORTED
    assert asked == [771]


def test_thousands_of_waiters_of_many_threads_are_all_answered():
    frontier, choose = view(), random.Random(4)
    frontier.told("shop", record(1, {}))
    waiters = [frontier.register(token(choose.randrange(2, 1000))) for _ in range(3000)]
    threads = [
        threading.Thread(target=lambda: [waiters.append(frontier.register(token(choose.randrange(2, 1000)))) for _ in range(300)])
        for _ in range(3)
    ]  # fmt: skip
    for thread in threads:
        thread.start()
    for lsn in range(2, 1001):
        frontier.told("shop", record(lsn, {}))
    for thread in threads:
        thread.join()
    assert {waiter.outcome for waiter in waiters} == {Outcome.VISIBLE}
    assert frontier.waiting() == 0


def test_what_was_told_and_not_applied_takes_bounded_room_and_loses_no_message():
    frontier = view()
    frontier.told("shop", record(1, {(ORDERS, 0): 1}))
    for n in range(2, 20_000):
        frontier.told("shop", record(n, {(ORDERS, 0): n}, tokens=[f"m{n}"], count=n))
    assert len(frontier._tracks["shop"].pending) <= 2001
    frontier.applied({(ORDERS, 0): 20_000})
    assert all(outcome(frontier, token(0, id=f"m{n}", at=1)) is Outcome.VISIBLE for n in range(2, 20_000, 97))


# -- what the engine writes ------------------------------------------------------------------------------------------


def test_a_record_is_bytes_and_back():
    wanted = record(0x16_B374D848, {(ORDERS, 0): 5, (ORDERS, 11): 7, (LINES, 1): 9}, tokens=["a"], since=3, count=1)
    assert ProgressRecord.decode(wanted.encode()) == wanted


@pytest.mark.parametrize(
    "data", [b"", b"{", b"[]", b"null", b'{"version":2}', b'{"version":1}', b'{"version":1,"system_id":[]}']
)
def test_a_damaged_record_is_a_value_error(data: bytes):
    with pytest.raises(ValueError):
        ProgressRecord.decode(data)


def test_a_message_is_named_once_its_transaction_is_acknowledged():
    writer = ProgressWriter("shop", SYSTEM, 1, LSN(10))
    writer.token("a")
    writer.committed(LSN(20))
    writer.token("b")
    writer.committed(LSN(30))
    writer.token("plain", LSN(25))
    assert ProgressRecord.decode(writer.record(LSN(19))).tokens == ()
    assert ProgressRecord.decode(writer.record(LSN(20))).tokens == ("a",)
    last = ProgressRecord.decode(writer.record(LSN(30)))
    assert (last.tokens, last.count, last.since) == (("a", "b", "plain"), 3, LSN(10))


def test_offsets_only_grow_and_old_ids_make_room():
    writer = ProgressWriter("shop", SYSTEM, 1, LSN(10), {(ORDERS, 0): 5})
    writer.delivered(ORDERS, 0, 2)
    writer.delivered(ORDERS, 1, 0)
    for n in range(TOKENS_KEPT + 5):
        writer.token(f"m{n}")
        writer.committed(LSN(20 + n))
    last = ProgressRecord.decode(writer.record(LSN(500)))
    assert last.offsets == {(ORDERS, 0): 5, (ORDERS, 1): 1}
    assert len(last.tokens) == TOKENS_KEPT
    assert last.count == TOKENS_KEPT + 5


def test_a_record_is_due_at_once_when_idle_and_every_few_milliseconds_otherwise():
    writer = ProgressWriter("shop", SYSTEM, 1, LSN(10))
    assert writer.due(LSN(20), 100.0, idle=False)
    writer.record(LSN(20))
    written = writer._written_time
    assert not writer.due(LSN(20), written + 9, idle=True)
    assert not writer.due(LSN(30), written + 0.001, idle=False)
    assert writer.due(LSN(30), written + 0.001, idle=True)
    assert writer.due(LSN(30), written + 0.006, idle=False)
