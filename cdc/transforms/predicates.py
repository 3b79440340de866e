"""Kafka's predicates."""

from __future__ import annotations

from typing import ClassVar

from cdc.model.record import SourceRecord
from cdc.transforms.base import Predicate
from cdc.transforms.configdef import NO_DEFAULT, ConfigDef, Key, Kind, non_empty_string, regex
from cdc.transforms.javaregex import JavaPattern


class TopicNameMatches(Predicate):
    """The topic matches as a whole; a null topic does not."""

    java_name = "org.apache.kafka.connect.transforms.predicates.TopicNameMatches"
    reads = frozenset({"topic"})
    steady = True
    config: ClassVar = ConfigDef((
        Key("pattern", Kind.STRING, NO_DEFAULT, "Regular expression.", (non_empty_string, regex)),
    ))  # fmt: skip

    def configure(self) -> None:
        """Compile the expression."""
        self._pattern = JavaPattern(self.options["pattern"])
        self._known: dict[str, bool] = {}

    def test(self, record: SourceRecord) -> bool:
        """Whether the topic matches."""
        known = self._known.get(record.topic)
        if known is None:
            known = record.topic is not None and self._pattern.matches(record.topic)
            if len(self._known) < 1024:
                self._known[record.topic] = known
        return known


class HasHeaderKey(Predicate):
    """There is at least one header of the name."""

    java_name = "org.apache.kafka.connect.transforms.predicates.HasHeaderKey"
    reads = frozenset({"headers"})
    steady = True
    config: ClassVar = ConfigDef((Key("name", Kind.STRING, NO_DEFAULT, "The header's name.", (non_empty_string,)),))

    def configure(self) -> None:
        """Read the name."""
        self._name: str = self.options["name"]

    def test(self, record: SourceRecord) -> bool:
        """Whether such a header stands there."""
        return any(header.name == self._name for header in record.headers)


class RecordIsTombstone(Predicate):
    """The value is null, whatever its schema."""

    java_name = "org.apache.kafka.connect.transforms.predicates.RecordIsTombstone"
    reads = frozenset({"tombstone"})
    steady = True

    def test(self, record: SourceRecord) -> bool:
        """Whether the value is null."""
        return record.value is None
