"""Taking back all that `seam` made in a database, and proving it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from cdc.errors import BrokerUnavailable, OperatorError
from cdc.kafka.positions import PARTITION, POSITIONS_TOPIC, PositionRecord, read_positions
from cdc.kafka.producer import Producer
from cdc.postgres.catalog import Catalog
from cdc.postgres.publication import OWNERSHIP_MARK, drop_publication, read_publication, read_publications
from cdc.postgres.slot import drop_slot, read_slot
from connectors.postgres import PipelineConfig


@dataclass(frozen=True, slots=True)
class Retired:
    """What was taken back.

    Attributes:
        slot: Whether the slot was dropped.
        publication: Whether the publication was dropped.
        record: Whether the position record was taken back.
        left: Objects of ours that are still there; empty is the proof.
    """

    slot: bool
    publication: bool
    record: bool
    left: tuple[str, ...]

    def as_json(self) -> dict[str, Any]:
        """As a JSON object."""
        return {"slot": self.slot, "publication": self.publication, "record": self.record, "left": list(self.left)}


def retire(config: PipelineConfig, catalog: Catalog, *, force: bool = False) -> Retired:
    """Drop the slot and the publication that `seam` made, and take the position record back.

    Args:
        config: The pipeline.
        catalog: Its database.
        force: Drop the slot also when it was made by somebody else.

    Raises:
        SlotInUse: The pipeline still runs.
        OperatorError: Something of ours is left.
    """
    record = read_positions(config.kafka).get(config.name)
    publication = read_publication(catalog, config.wanted.publication)
    slot_is_ours = force or (record is not None and "slot" in record.made)
    dropped_slot = slot_is_ours and drop_slot(catalog, config.wanted.slot)
    mark = OWNERSHIP_MARK + config.name
    ours = publication is not None and (force or publication.comment == mark)
    dropped_publication = ours and drop_publication(catalog, config.wanted.publication)
    if record is not None:
        forget(config)
    left = _left(config, catalog, slot_is_ours=slot_is_ours, mark=mark)
    if left:
        raise OperatorError(f"still there: {', '.join(left)}", hint="run the command again once nothing uses them")
    return Retired(dropped_slot, dropped_publication, record is not None, left)


def _left(config: PipelineConfig, catalog: Catalog, *, slot_is_ours: bool, mark: str) -> tuple[str, ...]:
    """Read the catalogue again: what of ours it still holds."""
    left = [f"publication {p.name}" for p in read_publications(catalog) if p.comment == mark]
    if slot_is_ours and read_slot(catalog, config.wanted.slot) is not None:
        left.append(f"slot {config.wanted.slot}")
    return tuple(left)


def forget(config: PipelineConfig) -> None:
    """Take the position record back: the next start is a first one."""
    write_record(config, None)


def write_record(config: PipelineConfig, record: PositionRecord | None) -> None:
    """Write, or with None take back, a pipeline's position record.

    Raises:
        BrokerUnavailable: It was not acknowledged.
    """
    producer = Producer(config.kafka)
    outcome: list[Any] = []
    producer.send(
        POSITIONS_TOPIC, None if record is None else record.encode(), config.name.encode(), partition=PARTITION,
        on_delivery=lambda error, _message: outcome.append(error),
    )  # fmt: skip
    producer.client.flush(30.0)
    if outcome != [None]:
        raise BrokerUnavailable(f"{producer.where}: the position record was not acknowledged")
