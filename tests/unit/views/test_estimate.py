"""What a memory image will take is told from the first records of its load."""

from __future__ import annotations

import pytest

from cdc.kafka.follower import Bounds
from cdc.lsn import LSN, Position
from views.batch import Batch, Run, ViewState
from views.estimate import SAMPLE_RECORDS, Sample
from views.memory import MemoryImage

ROWS = 100_000


def batches(partitions: int, each: int, key_of, *, step: int = 1, source: Position | None = None):
    """Batches of 500 records of 100 bytes; offsets with `step - 1` holes between two records."""
    state = ViewState()
    for partition in range(partitions):
        for first in range(0, each, 500):
            numbers = range(first, first + 500)
            keys = [key_of(partition * each + number) for number in numbers]
            offsets = [number * step for number in numbers]
            state.offsets["t", partition] = offsets[-1] + step
            sources = None if source is None else [source] * 500
            yield Batch([Run("t", partition, keys, [b"x" * 100] * 500, offsets, sources)], state.copy())


@pytest.mark.parametrize("source", [None, Position(1, 1, LSN(5), 0)])
@pytest.mark.parametrize("step", [1, 7])
def test_it_comes_near_what_the_rows_take_in_the_end(step: int, source: Position | None):
    sample = Sample({("t", partition): Bounds(0, 10_000 * step) for partition in range(10)})
    image = MemoryImage(["t"])
    image.begin_load()
    enough = False
    for batch in batches(10, 10_000, lambda n: b"%08d" % n, step=step, source=source):
        image.apply(batch)
        enough = enough or sample.add(batch)
        if enough:
            found = sample.estimate()
    image.end_load()
    assert image.count() == ROWS
    assert found.rows == pytest.approx(ROWS, rel=0.01)
    assert found.bytes == pytest.approx(image.size_bytes(), rel=0.1)


def test_versions_of_a_row_count_once():
    sample = Sample({("t", 0): Bounds(0, 1_000_000)})
    for batch in batches(1, SAMPLE_RECORDS, lambda n: b"%08d" % (n // 10)):
        sample.add(batch)
    assert sample.estimate().rows == 100_000


def test_nothing_read_is_nothing_told():
    assert Sample({}).estimate().bytes == 0
