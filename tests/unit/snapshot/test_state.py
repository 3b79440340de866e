"""How far a table has come: extents in any order, rewrites, rows that are read again, what is recorded."""

from __future__ import annotations

import pytest

from cdc import snapshot_state
from cdc.lsn import LSN
from cdc.model.relation import Column, Relation, ReplicaIdentity
from cdc.postgres.snapshot import ITEMS, Extent, Moment
from cdc.postgres.snapshot_tables import SnapshotTable
from cdc.snapshot_state import FIRST_PAGES, TableState, total
from cdc.visibility import Snapshot

RELATION = Relation(9, "public", "item", ReplicaIdentity.DEFAULT, (Column("id", 23, key=True), Column("name", 25)))


def table(override: str | None = None, rows: int = 100) -> SnapshotTable:
    return SnapshotTable(9, ("public", "item"), RELATION, ("id",), ("integer",), override, rows)


def moment(*, file: int = 7, pages: int = 1000, xmax: int = 100) -> Moment:
    return Moment(Snapshot(xmax, xmax, frozenset()), LSN(1), 0, file, pages)


def started(**more: int) -> TableState:
    """A table whose first chunk was taken and has its snapshot."""
    state = TableState.resumed(table(), {})
    extent = state.take()
    assert extent is not None
    assert state.settle(extent, moment(**more)) is not None
    return state


def test_the_first_chunk_goes_alone_until_its_snapshot_is_taken():
    state = TableState.resumed(table(), {})
    first = state.take()
    assert first == Extent(0, FIRST_PAGES * ITEMS)
    assert state.take() is None
    state.settle(first, moment())
    assert state.take() == Extent(FIRST_PAGES * ITEMS, 2 * FIRST_PAGES * ITEMS)


def test_a_resumed_table_may_be_read_by_several_at_once():
    state = TableState.resumed(table(), {"place": 64 * ITEMS, "file": 7})
    assert state.take() is not None
    assert state.take() is not None


def test_only_the_unbroken_prefix_is_recorded():
    state = started()
    second, third = state.take(), state.take()
    state.finish(third, 10, None)
    assert state.as_json()["place"] == 0
    state.finish(Extent(0, FIRST_PAGES * ITEMS), 10, None)
    assert state.as_json()["place"] == FIRST_PAGES * ITEMS
    state.finish(second, 10, None)
    assert state.as_json()["place"] == 3 * FIRST_PAGES * ITEMS
    assert state.rows == 30


def test_what_other_readers_had_done_beyond_is_not_read_again():
    state = started()
    size = FIRST_PAGES * ITEMS
    _, third, fourth, _ = (state.take() for _ in range(4))
    for extent in (third, fourth):
        state.finish(extent, 10, None)
    recorded = state.as_json()
    assert recorded["beyond"] == [(2 * size, 4 * size)]
    again = TableState.resumed(table(), recorded)
    assert again.take() == Extent(0, 2 * size)
    assert again.take().first == 4 * size
    again.finish(Extent(0, 2 * size), 10, None)
    assert again.as_json()["place"] == 4 * size
    assert "beyond" not in again.as_json()


def test_a_table_is_complete_when_the_gap_before_its_open_end_is_read():
    again = TableState.resumed(table(), {"place": 10, "file": 7, "beyond": [[20, 30], [40, None]]})
    gaps = [again.take(), again.take()]
    assert gaps == [Extent(10, 20), Extent(30, 40)]
    assert again.take() is None
    for gap in gaps:
        again.finish(again.settle(gap, moment()), 1, None)
    assert again.complete


def test_the_extent_that_reaches_the_end_is_open():
    state = TableState.resumed(table(), {})
    extent = state.settle(state.take(), moment(pages=3))
    assert extent == Extent(0, None)
    assert state.take() is None
    state.finish(extent, 5, None)
    assert state.complete
    assert state.as_json() == {"rows": 5, "estimate": 100, "done": True}


def test_a_table_of_another_file_is_read_anew():
    state = started(file=7)
    state.finish(Extent(0, FIRST_PAGES * ITEMS), 10, None)
    generation = state.generation
    assert state.settle(state.take(), moment(file=8)) is None
    assert state.generation == generation + 1
    assert state.as_json()["place"] == 0


def test_a_recorded_place_of_another_file_is_not_gone_on_from():
    state = TableState.resumed(table(), {"place": 64 * ITEMS, "file": 7})
    assert state.settle(state.take(), moment(file=8)) is None
    assert state.take() == Extent(0, FIRST_PAGES * ITEMS)


@pytest.mark.parametrize(
    ("extent", "parts"),
    [
        (Extent(0, 8 * ITEMS), [Extent(0, 4 * ITEMS), Extent(4 * ITEMS, 8 * ITEMS)]),
        (Extent(3 * ITEMS, 4 * ITEMS), [Extent(3 * ITEMS, 3 * ITEMS + 1024), Extent(3 * ITEMS + 1024, 4 * ITEMS)]),
        (Extent(0, None), [Extent(0, 16 * ITEMS), Extent(16 * ITEMS, None)]),
    ],
)
def test_an_extent_that_holds_too_much_comes_in_parts_down_to_the_row(extent, parts):
    state = started()
    assert state.split(extent)
    assert [state.take(), state.take()] == parts


def test_a_single_place_cannot_be_cut():
    assert not started().split(Extent(5, 6))


def test_a_row_whose_update_left_a_value_out_is_read_again_until_that_is_durable():
    state = started(xmax=100)
    state.note_left_out(b"1", 150)
    assert state.as_json()["again"] == [("1",)]
    again = state.take()
    assert again.keys == (("1",),)
    assert state.as_json()["again"] == [("1",)]
    state.finish(again, 1, None)
    assert "again" not in state.as_json()


def test_a_row_that_changes_while_it_is_read_again_is_read_once_more():
    state = started(xmax=100)
    state.note_left_out(b"1", 150)
    again = state.take()
    state.note_left_out(b"1", 151)
    assert state.take().keys is None  # two of one row at a time would overtake each other
    state.finish(again, 1, None)
    assert state.take().keys == (("1",),)


def test_a_row_is_not_read_again_for_what_every_chunk_of_the_reading_sees():
    state = started(xmax=100)
    state.note_left_out(b"1", 99)
    assert "again" not in state.as_json()


def test_rows_to_be_read_again_survive_a_restart():
    state = TableState.resumed(table(), {"done": True, "rows": 5, "again": [["1"], ["2"]]})
    assert not state.complete
    assert state.take().keys == (("1",), ("2",))


def test_too_many_rows_to_be_read_again_have_the_table_read_anew(monkeypatch):
    monkeypatch.setattr(snapshot_state, "AGAIN_MOST", 2)
    state = started(xmax=100)
    generation = state.generation
    for key in (b"1", b"2", b"3"):
        state.note_left_out(key, 150)
    assert state.generation == generation + 1
    assert state.as_json() == {"rows": 0, "estimate": 100, "place": 0, "file": 0}


def test_a_statement_of_the_users_own_is_read_by_one_at_a_time_in_the_order_of_the_key():
    state = TableState.resumed(table("select * from item"), {})
    first = state.take()
    assert (first.after_key, first.limit) == (None, snapshot_state.CHUNK_ROWS)
    assert state.take() is None
    state.settle(first, moment())
    state.finish(first, 20_000, ("20000",))
    assert state.as_json()["key"] == ("20000",)
    second = TableState.resumed(table("select * from item"), {"key": ["20000"]}).take()
    assert second.after_key == ("20000",)
    state.finish(state.take(), 3, None)
    assert state.complete


def test_composite_keys_are_recorded_part_by_part():
    state = started(xmax=100)
    state.note_left_out((b"1", b"a"), 150)
    recorded = state.as_json()
    resumed = TableState.resumed(table(), {**recorded, "again": [["1", "a"]]})
    assert resumed.take().keys == (("1", "a"),)


def test_the_total_counts_what_was_read_where_the_estimate_was_too_low():
    done = TableState.resumed(table(rows=5), {"done": True, "rows": 8})
    going = TableState.resumed(table(rows=100), {"place": 1, "rows": 30})
    assert total([done, going]) == (38, 108)
