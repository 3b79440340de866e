"""Requests as JSON, and the book that follows them."""

from __future__ import annotations

from dataclasses import replace

import pytest

from cdc.recent import RecentTransactions
from cdc.requests import Kind, Request, RequestBook, State, UnreadableRequest, decode_request
from cdc.visibility import Snapshot

ONE = Request("shop", "1", tables=("public.item",), where={"public.item": "id > 3"}, rate=5, time=12.5, held=("a.b",))


def test_a_request_is_read_as_it_was_written():
    running = replace(ONE, state=State.RUNNING, rows=7, progress={"public.item": {"place": 2048, "again": [["1"]]}})
    assert decode_request(running.encode()) == running


@pytest.mark.parametrize(
    "data",
    [b"", b"[]", b"1", b'{"version":2}', b'{"version":1,"kind":"execute-snapshot"}', b'{"version":1,"x":0}', b"\xff"],
)
def test_what_is_no_request_is_refused(data):
    with pytest.raises(UnreadableRequest):
        decode_request(data)


def test_another_pipelines_requests_are_not_ours():
    book = RequestBook("shop")
    assert book.add(b"shop2/1", replace(ONE, pipeline="shop2").encode()) is None
    assert book.add(b"shop/a/1", replace(ONE, pipeline="shop/a").encode()) is None
    assert book.by_id == {}


def test_a_damaged_record_is_kept_apart():
    book = RequestBook("shop")
    assert book.add(b"shop/1", b"{") is None
    assert book.damaged == {"1"}


def test_a_request_that_has_ended_is_not_asked_for_again():
    book = RequestBook("shop")
    book.add(ONE.key, replace(ONE, state=State.DONE).encode())
    assert book.add(ONE.key, ONE.encode()) is None
    assert book.open() == []


def test_open_requests_come_in_their_order():
    book = RequestBook("shop")
    for name, kind in (("b", Kind.SNAPSHOT), ("a", Kind.LOG), ("c", Kind.SNAPSHOT)):
        book.add(f"shop/{name}".encode(), replace(ONE, id=name, kind=kind).encode())
    assert [request.id for request in book.open(Kind.SNAPSHOT)] == ["b", "c"]


def test_the_same_work_is_told_by_tables_and_conditions():
    assert ONE.same_work(replace(ONE, id="2", rate=0, state=State.RUNNING))
    assert not ONE.same_work(replace(ONE, where={}))


def test_a_streamed_transaction_is_kept_until_a_snapshot_sees_it():
    recent = RecentTransactions()
    recent.add(100)
    recent.add(101)
    recent.prune(Snapshot(101, 105, frozenset({101})))
    assert recent.unseen == {101}
    recent.prune(Snapshot(105, 105, frozenset()))
    assert recent.unseen == frozenset()


def test_what_was_open_before_the_first_look_must_have_ended():
    recent = RecentTransactions()
    assert not recent.exact
    recent.prune(Snapshot(50, 60, frozenset({50, 55})))
    assert not recent.exact
    recent.prune(Snapshot(55, 70, frozenset({55, 65})))
    assert not recent.exact
    recent.prune(Snapshot(65, 80, frozenset({65})))
    assert recent.exact, "65 began after the first look"
