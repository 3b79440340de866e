"""Headers that two of Debezium's records share: its tombstone is made with the headers object of its delete.

A step that adds to that object in place, instead of to a copy as Kafka's own do, adds to the tombstone too.
"""

from __future__ import annotations

from typing import Any

from cdc.model.record import Header, SourceRecord


class SharedHeaders:
    """What a step that adds in place has made of the headers of the record before this one."""

    __slots__ = ("_after", "_before", "_key")

    def __init__(self) -> None:
        self._before: tuple[Header, ...] | None = None
        self._after: tuple[Header, ...] = ()
        self._key: Any = None

    def of(self, record: SourceRecord) -> SourceRecord:
        """The record as the step finds it in Debezium.

        Args:
            record: The next record; a tombstone is one whose headers are those of the record before, the same tuple.
        """
        before, self._before = self._before, None
        if record.value is not None or before is not record.headers:
            return record
        # All empty tuples are one object; the rows' keys are not.
        return record.replace(headers=self._after) if before or record.key is self._key else record

    def keep(self, record: SourceRecord, after: tuple[Header, ...]) -> None:
        """Remember what the step made of a record's headers."""
        self._before, self._after, self._key = record.headers, after, record.key
