"""Kafka's routers: RegexRouter and TimestampRouter."""

from __future__ import annotations

from typing import ClassVar

from cdc.model.javaerrors import DataError, JavaError
from cdc.model.record import SourceRecord
from cdc.transforms.base import Transform
from cdc.transforms.configdef import NO_DEFAULT, ConfigDef, Key, Kind, regex
from cdc.transforms.javaregex import JavaPattern
from cdc.values.simpledateformat import SimpleDateFormat


class RegexRouter(Transform):
    """Rewrites topics that match as a whole; the replacement is put at the first find, as Java does."""

    java_name = "org.apache.kafka.connect.transforms.RegexRouter"
    routes = True
    reads = frozenset({"topic"})
    steady = True
    config: ClassVar = ConfigDef((
        Key("regex", Kind.STRING, NO_DEFAULT, "What the topic must match.", (regex,)),
        Key("replacement", Kind.STRING, NO_DEFAULT, "The new topic, with `$1` for a group."),
    ))  # fmt: skip

    def configure(self) -> None:
        """Compile the expression."""
        self._pattern = JavaPattern(self.options["regex"])
        self._replacement: str = self.options["replacement"]
        self._known: dict[str, str] = {}

    def apply(self, record: SourceRecord) -> SourceRecord:
        """The record under its new topic."""
        topic = self._known.get(record.topic)
        if topic is None:
            topic = self._route(record.topic)
        return record if topic == record.topic else record.replace(topic=topic)

    def _route(self, topic: str) -> str:
        if topic is None:
            raise JavaError(
                'Cannot invoke "java.lang.CharSequence.length()" because "this.text" is null', "NullPointerException"
            )
        routed = self._pattern.replace_first(topic, self._replacement) if self._pattern.matches(topic) else topic
        if len(self._known) < 1024:
            self._known[topic] = routed
        return routed


class TimestampRouter(Transform):
    """Puts the record's timestamp into its topic."""

    java_name = "org.apache.kafka.connect.transforms.TimestampRouter"
    routes = True
    reads = frozenset({"topic", "timestamp"})
    config: ClassVar = ConfigDef((
        Key("timestamp.format", Kind.STRING, "yyyyMMdd", "SimpleDateFormat pattern, UTC."),
        Key("topic.format", Kind.STRING, "${topic}-${timestamp}", "The new topic."),
    ))  # fmt: skip

    def configure(self) -> None:
        """Keep the formats; Java compiles the pattern at the first record, and fails only then."""
        self._topic_format: str = self.options["topic.format"]
        self._format: SimpleDateFormat | None = None

    def apply(self, record: SourceRecord) -> SourceRecord:
        """The record under its new topic."""
        if record.timestamp is None:
            raise DataError(f"Timestamp missing on record: {record_text(record)}", shown="the record has no timestamp")
        if self._format is None:
            try:
                self._format = SimpleDateFormat(self.options["timestamp.format"])
            except ValueError as error:
                raise JavaError(str(error), "IllegalArgumentException") from error
        topic = self._topic_format.replace("${topic}", record.topic)
        return record.replace(topic=topic.replace("${timestamp}", self._format.format(record.timestamp)))


def record_text(record: SourceRecord) -> str:
    """The beginning of a record as Java prints it, without key, value and headers."""
    return (
        f"SourceRecord{{sourcePartition={record.source_partition}, sourceOffset={record.source_offset}}} "
        f"ConnectRecord{{topic='{record.topic}', kafkaPartition={record.partition}}}"
    )
