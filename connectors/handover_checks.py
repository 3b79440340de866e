"""What must hold before a pipeline changes hands: the slot is there, and nothing would be left behind with either engine."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

from cdc.errors import OperatorError, SlotAhead, SlotLost, SystemChanged
from cdc.kafka.positions import PositionRecord
from cdc.postgres.catalog import Catalog
from cdc.postgres.slot import Slot, read_slot
from cdc.postgres.walsender import SystemIdentity, Walsender
from connectors.connect_types import Offset
from connectors.postgres import PipelineConfig

# Debezium's defaults of what both engines must share.
_DEFAULTS: Final[Mapping[str, str]] = {
    "slot.name": "debezium",
    "publication.name": "dbz_publication",
    "topic.prefix": "",
    "database.dbname": "",
}
_READS_NOTHING: Final = ("no_data", "never")


def needed_slot(catalog: Catalog, config: PipelineConfig) -> Slot:
    """The pipeline's slot.

    Raises:
        SlotLost: There is none, or the server has given it up.
    """
    slot = read_slot(catalog, config.wanted.slot)
    if slot is None or slot.lost:
        raise SlotLost(
            f"slot {config.wanted.slot!r} {'does not exist' if slot is None else 'was invalidated'}: there is nothing to hand over",
            hint="start the pipeline once with `seam run`",
        )
    return slot


def identify(config: PipelineConfig) -> SystemIdentity:
    """Which server it is."""
    walsender = Walsender(config.source)
    try:
        return walsender.identify()
    finally:
        walsender.close()


def reader_of(catalog: Catalog, slot: Slot) -> str | None:
    """The application name of whoever reads from a slot."""
    rows = catalog.rows("select application_name from pg_stat_activity where pid = %s", (slot.active_pid,))
    return str(rows[0][0]) if rows else None


def runs_natively(catalog: Catalog, config: PipelineConfig, slot: Slot) -> bool:
    """Whether the native engine of this pipeline reads from its slot."""
    return slot.active_pid is not None and reader_of(catalog, slot) == config.source.application_name


def check_same_places(config: PipelineConfig, live: Mapping[str, str]) -> None:
    """A connector of this name must read and write where the file says.

    Args:
        config: The pipeline.
        live: The connector's configuration on the cluster.

    Raises:
        OperatorError: It is another pipeline.
    """
    if not live.get("connector.class", "").endswith(("PostgresConnector", ".Postgres")):
        raise OperatorError(
            f"connector {config.name} of the cluster is a {live.get('connector.class')}",
            hint="give the pipeline another name",
        )
    differ = [
        f"{key} is {live.get(key, default)!r} there and {config.options[key]!r} in the file"
        for key, default in _DEFAULTS.items()
        # What a reference stands for is known to the worker alone.
        if "${" not in live.get(key, "") and live.get(key, default) != config.options[key]
    ]
    if differ:
        raise OperatorError(
            f"connector {config.name} of the cluster is not this pipeline: {'; '.join(differ)}",
            hint="both engines must share slot, publication and topics; mend the file, or give the pipeline another name",
        )


def check_nothing_left(
    config: PipelineConfig, slot: Slot, record: PositionRecord | None, identity: SystemIdentity, *, handed_over: bool
) -> None:
    """The native engine must have recorded all that the slot was told, and have ended its snapshot.

    Args:
        config: The pipeline.
        slot: The slot.
        record: The native engine's position.
        identity: The server's.
        handed_over: Whether Connect has read from the slot since that record.

    Raises:
        OperatorError: Rows of the snapshot, or changes, would be missing.
    """
    if record is None:
        return
    if record.system_id != identity.system_id:
        raise SystemChanged(
            f"the recorded position belongs to system {record.system_id}, this server is {identity.system_id}",
            hint="point database.hostname at the right server",
        )
    if record.snapshot.get("phase") not in (None, "done"):
        raise OperatorError(
            f"the first snapshot of {config.name} has not ended, and Connect would not go on with it",
            hint="let `seam run` end it (`seam status FILE` shows how far it is), and repeat the command",
        )
    assert slot.confirmed_flush_lsn is not None
    # While it is read from, slot and record move, the record first.
    if slot.active_pid is None and not handed_over and slot.confirmed_flush_lsn > record.end_lsn:
        raise SlotAhead(
            f"slot {slot.name!r} stands at {slot.confirmed_flush_lsn}, beyond the recorded {record.end_lsn}: somebody "
            "else advanced it",
            hint="find out who reads from the slot; see docs/operations.md, 'A slot that is ahead'",
        )


def check_snapshot_ended(config: PipelineConfig, live: Mapping[str, str], offsets: Sequence[Offset]) -> None:
    """Debezium must have ended its own first snapshot, of which the native engine knows nothing.

    Args:
        config: The pipeline.
        live: The connector's configuration.
        offsets: What it has stored when it was stopped.

    Raises:
        OperatorError: Rows would be missing.
    """
    if live.get("snapshot.mode", "initial").strip().lower() in _READS_NOTHING:
        return
    stored = [entry.offset for entry in offsets if entry.offset]
    ended = [
        offset.get("snapshot") in (None, False, "false")
        or any(offset.get(key) in (True, "true") for key in ("snapshot_completed", "last_snapshot_record"))
        for offset in stored
    ]
    if not stored or not all(ended):
        what = "is in the middle of its snapshot" if stored else "has stored no position yet"
        raise OperatorError(
            f"connector {config.name} {what}: rows that it has not read would be missing; it goes on as before",
            hint="repeat the command when its snapshot has ended",
        )
