"""The pipeline's position record, as a migration makes it and takes it back."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

from cdc.errors import BrokerUnavailable
from cdc.kafka.admin import Admin
from cdc.kafka.positions import PARTITION, POSITIONS_TOPIC, PositionRecord, ensure_topics, read_positions
from cdc.kafka.producer import Producer
from cdc.postgres.publication import Publication
from legacy_db.bridge import Bridge


def read_position(bridge: Bridge) -> PositionRecord | None:
    """The pipeline's record, None when it has none."""
    return read_positions(bridge.kafka).get(bridge.name)


def write_position(bridge: Bridge, record: PositionRecord | None) -> None:
    """Write, or with None take back, the pipeline's record.

    Raises:
        BrokerUnavailable: It was not acknowledged.
    """
    if bridge.administered:
        ensure_topics(Admin(bridge.kafka), [POSITIONS_TOPIC])
    producer = Producer(bridge.kafka)
    outcome: list[Any] = []
    producer.send(
        POSITIONS_TOPIC, None if record is None else record.encode(), bridge.name.encode(), partition=PARTITION,
        on_delivery=lambda error, _message: outcome.append(error),
    )  # fmt: skip
    producer.client.flush(30.0)
    producer.close()
    if outcome != [None]:
        raise BrokerUnavailable(f"{producer.where}: the position record was not acknowledged")


def publication_form(publication: Publication, bridge: Bridge) -> Mapping[str, Any]:
    """What of a publication is recorded with a position."""

    def captures(table: str) -> bool:
        return bridge.wanted.selection.captures(*table.split(".", 1))

    form = asdict(publication.recorded(captures))
    return {"tables": form.pop("tables"), "publication_form": form}
