"""Log sequence numbers and the position of a change."""

from __future__ import annotations

import re
from typing import NamedTuple

_PATTERN = re.compile(r"([0-9A-Fa-f]{1,8})/([0-9A-Fa-f]{1,8})")


class LSN(int):
    """A place in the write-ahead log, as Postgres' `pg_lsn`: a byte count, printed as `16/B374D848`.

    Two of them compare only inside one timeline of one system.
    """

    __slots__ = ()

    @classmethod
    def parse(cls, text: str) -> LSN:
        """Read `XXX/XXX`.

        Raises:
            ValueError: The text is not a log sequence number.
        """
        match = _PATTERN.fullmatch(text.strip())
        if match is None:
            raise ValueError(f"not a log sequence number: {text!r}")
        return cls((int(match[1], 16) << 32) | int(match[2], 16))

    def __str__(self) -> str:
        return f"{self >> 32:X}/{self & 0xFFFFFFFF:X}"

    def __repr__(self) -> str:
        return f"LSN('{self}')"


class Position(NamedTuple):
    """Where a change stands in the log of one server: the identity of its record.

    Attributes:
        system_id: `IDENTIFY_SYSTEM`'s system identifier.
        timeline: The timeline that the change was read on.
        commit_lsn: `Begin.final_lsn` of its transaction, the start of the commit record.
        ordinal: Its place in the transaction, from 0.
    """

    system_id: int
    timeline: int
    commit_lsn: LSN
    ordinal: int

    def __str__(self) -> str:
        return f"{self.system_id}/{self.timeline}/{self.commit_lsn}/{self.ordinal}"
