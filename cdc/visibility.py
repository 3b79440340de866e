"""Which transactions a snapshot sees.

Source: PostgreSQL documentation, "Transaction ID and Snapshot Information Functions", `pg_snapshot`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Self


@dataclass(frozen=True, slots=True)
class Snapshot:
    """A `pg_snapshot`: `xmin:xmax:xip_list`, with 64-bit transaction ids.

    Attributes:
        xmin: Every transaction below it has ended and is visible, if it committed.
        xmax: No transaction from it on is visible.
        in_progress: Those between that had not ended.
    """

    xmin: int
    xmax: int
    in_progress: frozenset[int]

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read `pg_current_snapshot()::text`.

        Raises:
            ValueError: It is not one.
        """
        parts = text.split(":")
        if len(parts) != 3:
            raise ValueError(f"not a snapshot: {text!r}")
        return cls(int(parts[0]), int(parts[1]), frozenset(int(xid) for xid in parts[2].split(",") if xid))

    def widen(self, xid: int) -> int:
        """The 64-bit id that a stream's 32-bit one stands for: the congruent value nearest to `xmax`."""
        candidate = (self.xmax & ~0xFFFFFFFF) | (xid & 0xFFFFFFFF)
        if candidate - self.xmax > 1 << 31:
            return candidate - (1 << 32)
        if self.xmax - candidate > 1 << 31:
            return candidate + (1 << 32)
        return candidate

    def sees(self, xid: int) -> bool:
        """Whether the snapshot sees what a committed transaction of the stream wrote.

        Args:
            xid: Its 32-bit id.
        """
        wide = self.widen(xid)
        return wide < self.xmin or (wide < self.xmax and wide not in self.in_progress)
