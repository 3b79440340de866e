"""The arena: any keys, any order, any number of versions give what a dict and `sorted` give."""

from __future__ import annotations

import numpy as np
from hypothesis import example, given, settings
from hypothesis import strategies as st

from cdc.lsn import LSN, Position
from views.arena import Builder, stable_order
from views.batch import Row, Run

short_keys = st.binary(max_size=4)
json_keys = st.integers(0, 3000).map(lambda n: b'{"id":%d}' % n)
long_keys = st.binary(min_size=60, max_size=120)
sources = st.none() | st.builds(
    Position, st.integers(1, 3), st.integers(1, 2), st.integers(0, 2**63).map(LSN), st.integers(0, 2**31)
)
changes = st.one_of(
    *(
        st.lists(st.tuples(keys, st.none() | st.binary(min_size=1, max_size=20), sources), max_size=60)
        for keys in (short_keys, json_keys, long_keys, short_keys | long_keys)
    )
)


def run_of(rows, first: int, partition: int) -> Run:
    keys, values, told = ([row[i] for row in rows] for i in range(3))
    offsets = [first + 3 * i for i in range(len(rows))]
    return Run("t", partition, keys, values, offsets, told if any(told) else None)


@settings(deadline=None)
@given(st.lists(changes, max_size=4), st.booleans())
def test_sealing_keeps_the_last_version_of_each_key_in_the_order_of_its_bytes(runs, in_layers: bool):
    expected: dict[bytes, Row] = {}
    builder = Builder()
    for number, rows in enumerate(runs):
        run = run_of(rows, 1000 * number, number * 300)
        for i, key in enumerate(run.keys):
            if run.values[i] is None:
                expected.pop(key, None)
            else:
                expected[key] = Row(key, run.values[i], "t", run.partition, run.offsets[i], run.source(i))
        if rows:
            builder.add_run(run)
        if in_layers:
            builder = Builder(builder.seal())
    arena = builder.seal()
    assert [arena.row(rank, "t") for rank in range(len(arena))] == [expected[key] for key in sorted(expected)]
    for key, row in expected.items():
        assert arena.row(arena.find(key), "t") == row
    absent = b"\xff" * 200
    assert arena.find(absent) == -1
    assert arena.lower(absent) == len(arena)
    again = arena.compacted()
    assert [again.row(rank, "t") for rank in range(len(again))] == [expected[key] for key in sorted(expected)]


@given(st.lists(st.integers(0, 2**64 - 1) | st.integers(2**40, 2**40 + 20), min_size=1))
@example([2**64 - 1, 0, 2**64 - 1])
@example([7, 7, 7])
@example([0b1010 << 40, 0b0010 << 40 | 1, 0b1000 << 40, 0b1010 << 40])
def test_numbers_are_ordered_as_a_stable_sort_orders_them(numbers: list[int]):
    values = np.array(numbers, np.uint64)
    assert stable_order(values).tolist() == sorted(range(len(numbers)), key=numbers.__getitem__)


def test_old_versions_take_no_room_for_long():
    builder = Builder()
    for version in range(10):
        builder.add_run(run_of([(b"%04d" % n, b"%d" % version * 100, None) for n in range(1000)], version * 1000, 0))
    arena = builder.seal()
    assert len(arena) == 1000
    assert arena.size_bytes() < 1000 * 150


def test_a_million_keys_cost_little_beside_their_bytes():
    builder = Builder()
    count = 50_000
    for first in range(0, count, 5000):
        builder.add_run(run_of([(b"%08d" % n, b"x" * 100, None) for n in range(first, first + 5000)], first, 3))
    assert builder.seal().size_bytes() < count * (8 + 100 + 15)
