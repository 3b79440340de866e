"""How a pipeline stands, seen from outside: its slot, its position record, and what it last said of itself."""

from __future__ import annotations

import time
from typing import Any, Final

from cdc.errors import SeamError
from cdc.kafka.positions import read_positions
from cdc.kafka.status import read_status
from cdc.postgres.catalog import Catalog
from cdc.postgres.connection import connect
from cdc.postgres.slot import read_slot
from connectors.postgres import PipelineConfig
from connectors.snapshot_progress import SnapshotProgress

STALE_SECONDS: Final = 15.0


def pipeline_status(config: PipelineConfig) -> dict[str, Any]:
    """One pipeline's status, ready for JSON but for `snapshot`, a `SnapshotProgress` or None.

    What cannot be reached is said in `last_error`, not raised.
    """
    row: dict[str, Any] = {
        "connector": config.name, "phase": "unknown", "lag_bytes": None, "lag_seconds": None, "retained_bytes": None,
        "rate": None, "position": None, "slot": config.wanted.slot, "wal_status": None, "records": None, "last_error": None,
        "snapshot": None,
    }  # fmt: skip
    errors = []
    try:
        catalog = Catalog(connect(config.source), config.source)
        slot = read_slot(catalog, config.wanted.slot)
        if slot is None:
            row["phase"] = "no slot"
        else:
            row.update(
                phase="running" if slot.active_pid else "stopped", lag_bytes=slot.lag_bytes,
                retained_bytes=slot.retained_bytes, wal_status=slot.wal_status,
            )  # fmt: skip
        catalog.connection.close()
    except SeamError as error:
        errors.append(error.message)
    try:
        record = read_positions(config.kafka, seconds=10.0).get(config.name)
        said = read_status(config.kafka).get(config.name)
    except SeamError as error:
        errors.append(error.message)
    else:
        row["position"] = str(record.end_lsn) if record else None
        if record is not None and record.snapshot:
            row["snapshot"] = SnapshotProgress.of(record.snapshot)
        if said is not None:
            _add_said(row, said)
    row["last_error"] = "; ".join([*errors, *([row["last_error"]] if row["last_error"] else [])]) or None
    return row


def _add_said(row: dict[str, Any], said: dict[str, Any]) -> None:
    age = time.time() - said["time"]
    row["last_error"] = said["last_error"]
    row["records"] = said["records"]
    if row["phase"] == "running" and age < STALE_SECONDS:
        row["phase"] = said["phase"]
        row["rate"] = said["rate"]
        if said.get("snapshot"):
            row["snapshot"] = SnapshotProgress.of(said["snapshot"], said.get("snapshot_rate"))
        behind = row["lag_bytes"] and said["commit_time"]
        row["lag_seconds"] = max(0.0, time.time() - said["commit_time"]) if behind else 0.0
