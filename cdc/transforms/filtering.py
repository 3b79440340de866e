"""`org.apache.kafka.connect.transforms.Filter`: drops every record that it is applied to."""

from __future__ import annotations

from cdc.model.record import SourceRecord
from cdc.transforms.base import Transform


class Filter(Transform):
    """Drops; which records is said by a predicate."""

    java_name = "org.apache.kafka.connect.transforms.Filter"
    steady = True

    def apply(self, record: SourceRecord) -> None:
        """Nothing."""
