"""Which transactions a snapshot sees, by the 32-bit ids of the stream."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cdc.visibility import Snapshot


def test_a_snapshot_is_read_from_its_text():
    assert Snapshot.parse("100:105:101,103") == Snapshot(100, 105, frozenset({101, 103}))
    assert Snapshot.parse("100:100:") == Snapshot(100, 100, frozenset())


@pytest.mark.parametrize("text", ["", "1:2", "1:2:3:4", "a:b:c", "1:2:x"])
def test_what_is_no_snapshot_is_refused(text):
    with pytest.raises(ValueError):
        Snapshot.parse(text)


@pytest.mark.parametrize(
    ("xid", "seen"), [(99, True), (100, True), (101, False), (102, True), (103, False), (104, True), (105, False), (106, False)]
)  # fmt: skip
def test_transactions_before_it_are_seen_unless_they_were_running(xid, seen):
    assert Snapshot.parse("100:105:101,103").sees(xid) is seen


@given(
    xmax=st.integers(1 << 31, 1 << 60),
    away=st.integers(-(1 << 31) + 1, (1 << 31) - 1),
    running=st.sets(st.integers(1, 50), max_size=5),
)
def test_ids_of_the_stream_are_widened_over_any_number_of_wraps(xmax, away, running):
    in_progress = frozenset(xmax - each for each in running)
    snapshot = Snapshot(min(in_progress, default=xmax), xmax, in_progress)
    xid = xmax + away
    assert snapshot.widen(xid & 0xFFFFFFFF) == xid
    assert snapshot.sees(xid & 0xFFFFFFFF) is (xid < xmax and xid not in in_progress)
