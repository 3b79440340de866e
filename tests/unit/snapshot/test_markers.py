"""The markers of snapshot rows, as Debezium sets them."""

from __future__ import annotations

import pytest

from cdc.exported import marked


@pytest.mark.parametrize(
    ("tables", "markers"),
    [
        ([1], ["last"]),
        ([2], ["first", "last"]),
        ([3], ["first", "true", "last"]),
        ([1, 1], ["first", "last"]),
        ([2, 2], ["first", "last_in_data_collection", "first_in_data_collection", "last"]),
        (
            [3, 1, 3],
            ["first", "true", "last_in_data_collection", "last_in_data_collection", "first_in_data_collection", "true", "last"],
        ),
        ([0], []),
    ],
)  # fmt: skip
def test_rows_are_marked_by_their_place(tables, markers):
    rows = [iter([b"%d" % n for n in range(count)]) for count in tables]
    found = list(marked(rows))
    assert [marker for _, _, marker in found] == markers
    assert [(table, row) for table, row, _ in found] == [(t, b"%d" % n) for t, c in enumerate(tables) for n in range(c)]


def test_no_more_than_one_row_is_held_back():
    taken = []

    def rows():
        for number in range(1000):
            taken.append(number)
            yield b"%d" % number

    stream = marked([rows()])
    next(stream)
    assert len(taken) == 2
