"""`__seam.positions`: how far each pipeline has come. One partition, compacted, key = connector name.

Always in this order: data acknowledged, then the position acknowledged, then Postgres told. So the slot can never
rightly be ahead of the record.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Final

import msgspec

from cdc.errors import OperatorError
from cdc.kafka.admin import Admin
from cdc.kafka.client import ClientOptions
from cdc.kafka.consumer import read_to_end
from cdc.lsn import LSN

POSITIONS_TOPIC: Final = "__seam.positions"
PARTITION: Final = 0

TOPIC_CONFIG: Final[dict[str, str]] = {
    "cleanup.policy": "compact",
    # Positions are small and many: roll often, so that compaction keeps a start quick.
    "segment.bytes": "1048576",
    "segment.ms": "600000",
    "min.cleanable.dirty.ratio": "0.1",
    "delete.retention.ms": "86400000",
}


@dataclass(frozen=True, slots=True)
class PositionRecord:
    """How far one pipeline has come.

    Attributes:
        system_id: Of the server.
        timeline: Of the server.
        slot: Slot name.
        publication: Publication name.
        commit_lsn: Commit LSN of the last transaction of which records are published.
        ordinal: 0 when that transaction is wholly published; else how many of its records are (exactly once, split).
        end_lsn: What Postgres may be told.
        tables: `schema.table` -> OID of the captured tables, as the publication held them.
        publication_form: What else the publication was (`cdc.postgres.publication.RecordedPublication`), empty where
            only its tables are known.
        made: What we created: "slot", "publication".
        snapshot: State of the initial snapshot, empty for none.
        schema_epoch: Counts Relation messages that changed a layout.
        instance: The process that wrote it; an older process that sees another one here has been replaced.
    """

    system_id: int
    timeline: int
    slot: str
    publication: str
    commit_lsn: LSN
    ordinal: int
    end_lsn: LSN
    tables: Mapping[str, int] = field(default_factory=dict)
    publication_form: Mapping[str, Any] = field(default_factory=dict)
    made: tuple[str, ...] = ()
    snapshot: Mapping[str, Any] = field(default_factory=dict)
    schema_epoch: int = 0
    instance: str = ""

    def at(self, commit_lsn: LSN, end_lsn: LSN, ordinal: int = 0) -> PositionRecord:
        """The record moved on."""
        return replace(self, commit_lsn=commit_lsn, end_lsn=end_lsn, ordinal=ordinal)

    def encode(self) -> bytes:
        """The record as JSON."""
        return msgspec.json.encode(
            {
                "version": 1,
                "system_id": str(self.system_id),
                "timeline": self.timeline,
                "slot": self.slot,
                "publication": self.publication,
                "commit_lsn": str(self.commit_lsn),
                "ordinal": self.ordinal,
                "end_lsn": str(self.end_lsn),
                "tables": dict(self.tables),
                "publication_form": dict(self.publication_form),
                "made": list(self.made),
                "snapshot": dict(self.snapshot),
                "schema_epoch": self.schema_epoch,
                "instance": self.instance,
            }
        )

    @classmethod
    def decode(cls, data: bytes) -> PositionRecord:
        """Read a record.

        Raises:
            OperatorError: It is not one, or of a newer version.
        """
        try:
            document = msgspec.json.decode(data)
            if document["version"] != 1:
                raise OperatorError(
                    f"a position record of version {document['version']} was written by a newer seam",
                    hint="run the newer version",
                )
            return cls(
                int(document["system_id"]), document["timeline"], document["slot"], document["publication"],
                LSN.parse(document["commit_lsn"]), document["ordinal"], LSN.parse(document["end_lsn"]),
                document["tables"], document["publication_form"], tuple(document["made"]), document["snapshot"], document["schema_epoch"],
                document["instance"],
            )  # fmt: skip
        except (msgspec.DecodeError, KeyError, TypeError, ValueError) as error:
            raise OperatorError(f"a record of {POSITIONS_TOPIC} is damaged: {type(error).__name__}") from error


def ensure_topics(admin: Admin, topics: Sequence[str]) -> None:
    """Create topics of our own that are not there: one partition, compacted.

    Raises:
        OperatorError: One is there with another form.
    """
    known = admin.partitions()
    missing = [topic for topic in topics if topic not in known]
    if missing:
        admin.create_all(missing, partitions=1, replication=min(3, max(1, admin.brokers())), config=TOPIC_CONFIG)
    found = admin.configs([topic for topic in topics if topic in known])
    for topic, config in found.items():
        if known[topic] != 1 or config.get("cleanup.policy") != "compact":
            raise OperatorError(
                f"topic {topic} has {known[topic]} partitions and policy {config.get('cleanup.policy')!r}, "
                "it needs one partition and 'compact'",
                hint=f"kafka-configs.sh --alter --entity-type topics --entity-name {topic} "
                "--add-config cleanup.policy=compact; a wrong partition count needs a new topic",
            )


def read_positions(options: ClientOptions, *, seconds: float = 30.0) -> dict[str, PositionRecord]:
    """The last record of every pipeline.

    Raises:
        BrokerUnavailable: No answer in time.
        OperatorError: A record is damaged.
    """
    latest: dict[str, bytes | None] = {}

    def keep(message: Any) -> None:
        if message.key() is not None:
            latest[message.key().decode("utf-8", "replace")] = message.value()

    read_to_end(options, POSITIONS_TOPIC, keep, partitions=[PARTITION], seconds=seconds)
    return {name: PositionRecord.decode(value) for name, value in latest.items() if value is not None}
