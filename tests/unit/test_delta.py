"""Deltas carry what changed; facts come out of them again, and a missing one is found."""

from __future__ import annotations

import json

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from cdc.delta import Facts, Gap, digest, to_delta
from cdc.errors import DecodeError

KEY = b'{"id":1}'


def event(op, before, after) -> bytes:
    return msgspec.json.encode({"before": before, "after": after, "source": {"lsn": 7}, "op": op, "ts_ms": 1})


def test_an_update_keeps_the_changed_columns_only():
    delta = msgspec.json.decode(to_delta(event("u", {"id": 1, "a": "x", "b": None}, {"id": 1, "a": "y", "b": None})))
    assert delta["after"] == {"a": "y"}
    assert delta["before"] is None
    assert len(delta["delta"]["base"]) == 16


def test_a_number_stays_the_text_that_it_was():
    value = b'{"before":{"n":12345678901234567890.10},"after":{"n":12345678901234567890.100},"op":"u"}'
    assert b'"after":{"n":12345678901234567890.100}' in to_delta(value)


def test_an_update_without_its_row_before_is_refused():
    with pytest.raises(DecodeError, match="REPLICA IDENTITY FULL"):
        to_delta(event("u", None, {"id": 1}))


def test_a_missing_event_is_found():
    facts = Facts()
    facts.add(KEY, to_delta(event("c", None, {"id": 1, "n": 1})))
    with pytest.raises(Gap, match="an event is missing"):
        facts.add(KEY, to_delta(event("u", {"id": 1, "n": 2}, {"id": 1, "n": 3})))


def test_a_missing_delete_is_found():
    facts = Facts()
    with pytest.raises(Gap):
        facts.add(KEY, to_delta(event("d", {"id": 1, "n": 2}, None)))


def test_a_row_that_is_read_again_mends_a_gap():
    facts = Facts()
    facts.add(KEY, event("r", None, {"id": 1, "n": 2}))
    fact = facts.add(KEY, to_delta(event("u", {"id": 1, "n": 2}, {"id": 1, "n": 3})))
    assert msgspec.json.decode(fact)["before"] == {"id": 1, "n": 2}


def test_a_new_column_that_is_null_is_no_gap():
    assert digest({"a": msgspec.Raw(b"1")}) == digest({"a": msgspec.Raw(b"1"), "b": msgspec.Raw(b"null")})


VALUES = st.sampled_from([None, 0, -(2**70), 2**70, "", "x", "é", True])
ROWS = st.tuples(VALUES, VALUES).map(lambda pair: {"id": 1, "a": pair[0], "b": pair[1]})


@given(st.lists(st.none() | ROWS, max_size=12))
@settings(suppress_health_check=[HealthCheck.too_slow], deadline=None)  # the machine may be busy
def test_facts_come_out_of_their_deltas_again(rows):
    facts, row, given_, rebuilt = Facts(), None, [], []
    for after in rows:
        if row is None and after is None:
            continue
        op = "c" if row is None else "d" if after is None else "u"
        fact = json.dumps({"before": row, "after": after, "op": op}, separators=(",", ":"), ensure_ascii=False).encode()
        given_.append(json.loads(fact))
        rebuilt.append(json.loads(facts.add(KEY, to_delta(fact))))
        row = after
    assert rebuilt == given_
