"""The identity of a record: its position in the database, as its header tells it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Self

from cdc.lsn import LSN


@dataclass(frozen=True, slots=True, order=True)
class Identity:
    """`system id/timeline/commit LSN/ordinal`; ordered as the records of one system are.

    Attributes:
        commit_lsn: Of the transaction.
        ordinal: Of the record in it, from 0.
        system_id: Of the server, not compared.
        timeline: Of the server, not compared.
    """

    commit_lsn: LSN
    ordinal: int
    system_id: str = field(default="", compare=False)
    timeline: str = field(default="", compare=False)

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read the header's text, with or without system and timeline before it.

        Raises:
            ValueError: It is no position.
        """
        parts = text.split("/")
        if len(parts) == 3:
            parts = ["", "", *parts]
        if len(parts) != 5 or not parts[4].isdigit():
            raise ValueError(f"not a position: {text!r}")
        return cls(LSN.parse(f"{parts[2]}/{parts[3]}"), int(parts[4]), parts[0], parts[1])

    def __str__(self) -> str:
        lead = f"{self.system_id}/{self.timeline}/" if self.system_id else ""
        return f"{lead}{self.commit_lsn}/{self.ordinal}"
