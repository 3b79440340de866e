"""The form of a pipeline's topics: a compacted `.latest` beside each history, deltas that are never compacted.

A topic whose policy does not fit its role is refused, with the command that mends it.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from cdc.delta import to_delta
from cdc.errors import OperatorError, TopicMismatch
from cdc.kafka.admin import Admin
from cdc.layout import Layout
from cdc.model.relation import ReplicaIdentity
from cdc.postgres.catalog import Catalog
from cdc.postgres.preflight import captured
from cdc.render import Record, Render
from cdc.report import Finding, Severity
from cdc.source import SourceState
from connectors.postgres import PipelineConfig
from connectors.routed import renamed
from connectors.topic_rules import Topics

LATEST_SUFFIX: Final = ".latest"
LATEST_CONFIG: Final[dict[str, str]] = {
    "cleanup.policy": "compact",
    # Else the newest week is never cleaned, and a reader reads every version of it.
    "segment.ms": "86400000",
    "max.compaction.lag.ms": "86400000",
    "delete.retention.ms": "604800000",
}


class TopicForms:
    """Creates and checks what a pipeline's options ask of its topics.

    Args:
        config: The configuration.
        topics: Creates the history topics as declared; None where topics are not managed.

    Attributes:
        latest: History topic -> the topics that get its records too, in the same Kafka transaction.
    """

    def __init__(self, config: PipelineConfig, topics: Topics | None) -> None:
        self.config = config
        self.topics = topics
        self.mode: str = config.options["seam.topic.latest"]
        self.delta: bool = config.options["seam.event.form"] == "delta"
        self.latest: dict[str, tuple[str, ...]] = {}
        self._checked: set[str] = set()

    def ensure(self, layout: Layout) -> None:
        """A table's topics are there, and fit, before its first record.

        Raises:
            TopicMismatch: A policy or a partition count does not fit.
            OperatorError: Deltas of a table whose old rows are not whole.
        """
        # Only a copy stands behind transforms, and such as could not be told from the topic alone were refused.
        topic = renamed(self.config.chain, layout.topic) or layout.topic
        if self.delta and layout.relation.identity is not ReplicaIdentity.FULL:
            raise OperatorError(
                f"{layout.relation.qualified}: seam.event.form=delta needs old rows to be whole",
                hint=f'ALTER TABLE "{layout.relation.schema}"."{layout.relation.name}" REPLICA IDENTITY FULL;',
            )
        keyed = bool(layout.key)
        if self.mode == "transaction" and keyed:
            self.latest[topic] = (topic + LATEST_SUFFIX,)
        if self.topics is None or topic in self._checked:
            return
        if self.delta:
            self._refuse_compaction(topic, "a topic of deltas is never compacted: it would lose changes")
        elif self.mode != "none" and keyed:
            self._refuse_compaction(topic, "a history beside a latest topic keeps every version")
            ensure_latest(self.topics.admin, topic, topic + LATEST_SUFFIX)
        self._checked.add(topic)

    def _refuse_compaction(self, topic: str, why: str) -> None:
        assert self.topics is not None
        admin = self.topics.admin
        if topic not in admin.partitions():
            return
        policy = admin.configs([topic])[topic].get("cleanup.policy") or ""
        if "compact" in policy:
            raise TopicMismatch(f"topic {topic} has cleanup.policy={policy}: {why}", hint=mend(topic, "delete"))

    def rendered(self, layout: Layout, render: Render) -> Render:
        """The renderer that makes these forms."""
        if self.delta:
            render = _deltas(render, layout.topic)
        twins = self.latest.get(layout.topic)
        return _twice(render, layout.topic, twins[0]) if twins else render


def mend(topic: str, policy: str) -> str:
    """The command that gives a topic another policy."""
    return f"kafka-configs.sh --alter --entity-type topics --entity-name {topic} --add-config cleanup.policy={policy}"


def ensure_latest(admin: Admin, history: str, latest: str) -> None:
    """The compacted topic beside a history: created, or checked.

    Raises:
        TopicMismatch: It is not compacted, or has another number of partitions, so that keys would not stay together.
    """
    known = admin.partitions()
    if history not in known:
        # Created here, so that both get the same number of partitions.
        admin.create(history, partitions=-1, replication=-1, config={"cleanup.policy": "delete"})
        known = admin.partitions()
    if latest not in known:
        admin.create(latest, partitions=known[history], replication=-1, config=LATEST_CONFIG)
        return
    policy = admin.configs([latest])[latest].get("cleanup.policy") or ""
    if policy != "compact":
        raise TopicMismatch(
            f"topic {latest} has cleanup.policy={policy}: a latest topic is compacted, and nothing else",
            hint=mend(latest, "compact"),
        )
    if known[latest] != known[history]:
        raise TopicMismatch(
            f"{history} has {known[history]} partitions and {latest} {known[latest]}: they need the same number",
            hint=f"kafka-topics.sh --delete --topic {latest}; it is created anew, and `seam log latest {history} --repair` fills it",
        )


def _deltas(render: Render, topic: str) -> Render:
    def deltas(payload: bytes, lsn: bytes, state: SourceState) -> Sequence[Record]:
        return [
            (name, key, to_delta(value), headers)
            if name == topic and value is not None
            else (name, key, value, headers)
            for name, key, value, headers in render(payload, lsn, state)
        ]

    return deltas


def _twice(render: Render, topic: str, latest: str) -> Render:
    def twice(payload: bytes, lsn: bytes, state: SourceState) -> Sequence[Record]:
        records: list[Record] = []
        for record in render(payload, lsn, state):
            records.append(record)
            if record[0] == topic:
                records.append((latest, *record[1:]))
        return records

    return twice


def form_findings(config: PipelineConfig, catalog: Catalog) -> list[Finding]:
    """What of the captured tables does not fit the form of events that is asked for."""
    if config.options["seam.event.form"] != "delta":
        return []
    return [
        Finding(
            "DELTA_IDENTITY", Severity.BLOCKS, table.qualified,
            "seam.event.form=delta needs old rows to be whole", f'ALTER TABLE "{table.schema}"."{table.name}" REPLICA IDENTITY FULL;',
        )
        for table in captured(catalog.tables(), config.wanted.selection)
        if table.identity is not ReplicaIdentity.FULL and table.kind == "r"
    ]  # fmt: skip
