"""Changes that are remembered for chunks: what counts, and that memory is bounded."""

from __future__ import annotations

from cdc.chunks import ChangeMemory
from cdc.visibility import Snapshot


def snapshot(xmax: int, *running: int) -> Snapshot:
    return Snapshot(min(running, default=xmax), xmax, frozenset(running))


def test_only_changes_that_the_chunks_snapshot_does_not_see_count():
    memory = ChangeMemory()
    memory.watch(["public.item"])
    memory.start("1", "public.item")
    memory.note("public.item", 10, [b"seen"])
    assert memory.settle("1", snapshot(12, 11))
    memory.note("public.item", 11, [b"running"])
    memory.note("public.item", 12, [b"later"])
    memory.note("public.other", 12, [b"elsewhere"])
    assert memory.end("1").keys == {b"running", b"later"}


def test_a_snapshot_that_does_not_see_what_was_streamed_before_is_taken_again():
    memory = ChangeMemory()
    memory.watch(["public.item"])
    memory.note("public.item", 10, [b"1"])
    memory.start("1", "public.item")
    assert not memory.settle("1", snapshot(12, 10))
    memory.start("1", "public.item")
    assert memory.settle("1", snapshot(12))


def test_what_a_snapshot_saw_is_asked_of_no_later_one():
    memory = ChangeMemory()
    memory.watch(["public.item"])
    memory.note("public.item", 10, [b"1"])
    memory.start("1", "public.item")
    assert memory.settle("1", snapshot(12))
    assert memory.end("1").keys == frozenset()
    assert memory.size == 0


def test_a_backlog_that_every_snapshot_sees_takes_no_memory():
    memory = ChangeMemory()
    memory.watch(["public.item"])
    memory.start("1", "public.item")
    assert memory.settle("1", snapshot(1_000_000))
    for xid in range(1, 10_000):
        memory.note("public.item", xid, [b"%d" % xid])
    assert memory.size == 0


def test_more_changes_than_are_remembered_have_the_chunk_read_again():
    memory = ChangeMemory(keys_kept=10)
    memory.watch(["public.item"])
    memory.start("1", "public.item")
    memory.settle("1", snapshot(5))
    for key in range(1000):
        memory.note("public.item", 7, [b"%d" % key])
    assert memory.size < 20
    assert memory.end("1").too_many


def test_changes_before_the_snapshot_is_taken_are_bounded_too():
    memory = ChangeMemory(keys_kept=10)
    memory.watch(["public.item"])
    memory.start("1", "public.item")
    for key in range(1000):
        memory.note("public.item", 7, [b"%d" % key])
    assert memory.size < 20
    memory.settle("1", snapshot(7))
    assert memory.end("1").too_many


def test_a_truncate_counts_for_every_row():
    memory = ChangeMemory()
    memory.watch(["public.item"])
    memory.start("1", "public.item")
    memory.settle("1", snapshot(5))
    memory.note("public.item", 7, None)
    assert memory.end("1").everything
