"""What a memory image will take, told from the first records of a load: so that one that does not fit ends at once.

How many rows there will be is not known before all is read. What bounds them are the offsets between begin and end of
each partition; of these the sample tells how many hold a record, which part of the records has a key of its own, and how
large a row is.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from cdc.kafka.follower import Bounds
from views.batch import Batch, Place

SAMPLE_RECORDS: Final = 20_000

_ROW_BYTES: Final = 15
"""What the compact form keeps of a row beside its bytes."""

_SOURCE_BYTES: Final = 11
"""The same for a row that tells its place in the database."""


@dataclass(frozen=True, slots=True)
class Estimate:
    """What a load will come to.

    Attributes:
        rows: How many rows.
        row_bytes: What one takes, all counted.
    """

    rows: int
    row_bytes: float

    @property
    def bytes(self) -> int:
        """What all take."""
        return int(self.rows * self.row_bytes)

    def __str__(self) -> str:
        return f"{self.bytes / 1e6:,.0f} MB for about {self.rows:,} rows of {self.row_bytes:,.0f} bytes"


class Sample:
    """The first records of a load.

    Args:
        bounds: What each partition holds.
    """

    def __init__(self, bounds: Mapping[Place, Bounds]) -> None:
        self._bounds = bounds
        self._keys: set[tuple[str, bytes]] = set()
        self._records = 0
        self._bytes = 0
        self._reached: dict[Place, int] = {}

    def add(self, batch: Batch) -> bool:
        """Take a batch; whether there is enough for an estimate."""
        for run in batch.runs():
            self._records += len(run)
            self._keys.update((run.topic, key) for key in run.keys)
            self._bytes += sum(map(len, run.keys)) + sum(len(value) for value in run.values if value is not None)
            self._bytes += len(run) * (_ROW_BYTES + (_SOURCE_BYTES if run.sources is not None else 0))
        self._reached.update(
            {place: batch.state.offsets[place] for place in self._bounds if place in batch.state.offsets}
        )
        return self._records >= SAMPLE_RECORDS

    def estimate(self) -> Estimate:
        """What all will come to, as far as the sample tells."""
        offsets = sum(held.end - held.begin for held in self._bounds.values())
        passed = sum(reached - self._bounds[place].begin for place, reached in self._reached.items())
        if not self._records or passed <= 0:
            return Estimate(0, 0.0)
        rows = round(offsets * len(self._keys) / passed)
        return Estimate(rows, self._bytes / self._records)
