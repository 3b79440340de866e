"""The native engine's position as Debezium stores offsets on Kafka Connect, and the other way round.

Debezium's partition is `{"server": topic.prefix}`. Of its offset only `lsn_commit` is a safe place to go on from: the end
of the last transaction that is wholly in Kafka; `lsn` and `lsn_proc` are positions of rows.
Source: debezium-connector-postgres 3.6, `PostgresOffsetContext`.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Any

from cdc.errors import ConfigError, OperatorError, Problem, SlotAhead, SlotInUse, SlotLost
from cdc.kafka.admin import Admin
from cdc.kafka.positions import POSITIONS_TOPIC, PositionRecord, ensure_topics, read_positions
from cdc.lsn import LSN
from cdc.postgres.catalog import Catalog
from cdc.postgres.connection import connect
from cdc.postgres.publication import read_publication
from cdc.postgres.slot import read_slot
from cdc.postgres.walsender import Walsender
from cdc.report import Finding, Severity
from connectors.connect_types import Offset
from connectors.first_start import recorded_form
from connectors.offsets import OffsetChange
from connectors.postgres import PipelineConfig
from connectors.retire import write_record


def read_native(config: PipelineConfig) -> PositionRecord | None:
    """What is recorded for a pipeline."""
    return read_positions(config.kafka, seconds=10.0).get(config.name)


def to_debezium(record: PositionRecord | None, prefix: str, *, now_micros: int | None = None) -> list[Offset]:
    """A position in Debezium's shape; empty where none is recorded.

    Args:
        record: The position record.
        prefix: `topic.prefix`.
        now_micros: `ts_usec`, microseconds since the Unix epoch; the clock's when left out.
    """
    if record is None:
        return []
    end = int(record.end_lsn)
    # The record holds no commit time; Debezium shows this one only until it has read its first transaction.
    offset: dict[str, Any] = {"lsn": end, "ts_usec": time.time_ns() // 1000 if now_micros is None else now_micros}
    if record.slot and record.snapshot.get("phase", "done") == "done":
        offset |= {"lsn_proc": end, "lsn_commit": end, "messageType": "COMMIT"}
    else:
        # Debezium cannot go on in the middle of a snapshot: told so, it reads the tables from their beginning.
        done = record.snapshot.get("phase") == "done"
        offset |= {"snapshot": "INITIAL", "last_snapshot_record": done, "snapshot_completed": done}
    return [Offset({"server": prefix}, offset)]


def findings(record: PositionRecord | None) -> list[Finding]:
    """What Debezium would do otherwise than the native engine at this position."""
    if record is None:
        return []
    found = []
    if record.ordinal:
        found.append(
            Finding("SENT_AGAIN", Severity.NOTE, str(record.commit_lsn),
                    f"{record.ordinal} records of this transaction are in Kafka; Debezium sends them again")
        )  # fmt: skip
    if record.snapshot.get("phase", "done") != "done":
        found.append(
            Finding("SNAPSHOT_UNFINISHED", Severity.WARNING, record.slot,
                    "the snapshot is not done; Debezium reads the tables again from their beginning")
        )  # fmt: skip
    return found


def position_of(offsets: Sequence[Offset], prefix: str) -> LSN:
    """Where to go on after Debezium.

    Args:
        offsets: As Connect stores them.
        prefix: `topic.prefix` of the pipeline.

    Raises:
        ConfigError: They are not those of one Debezium connector for Postgres with this prefix.
        OperatorError: They stand in the middle of a snapshot.
    """
    own = [entry for entry in offsets if entry.partition.get("server") == prefix]
    if len(own) != 1 or len(offsets) != 1:
        servers = ", ".join(sorted({str(entry.partition.get("server")) for entry in offsets}))
        raise ConfigError(
            [Problem("offsets", f"are those of {servers or 'nobody'}; one of {{'server': {prefix!r}}} is needed")]
        )
    offset = own[0].offset
    if offset is None:
        raise ConfigError(
            [Problem("offsets[0].offset", "is null")],
            hint="to forget the position of the native engine: seam slots retire FILE",
        )
    if offset.get("snapshot") is not None and offset.get("snapshot_completed") is not True:
        raise OperatorError(
            "these offsets stand in the middle of Debezium's snapshot, which only reads on from its beginning",
            hint="let the connector finish its snapshot, or start the native engine with a snapshot of its own",
        )
    value = offset.get("lsn_commit", offset.get("lsn"))
    if not isinstance(value, int) or isinstance(value, bool) or not 0 < value < 1 << 64:
        raise ConfigError([Problem("offsets[0].offset.lsn_commit", f"{value!r} is no position; neither is lsn")])
    return LSN(value)


def set_native(config: PipelineConfig, offsets: Sequence[Offset]) -> OffsetChange:
    """Record the position of Debezium's offsets for the native engine, which must not run.

    Args:
        config: The pipeline.
        offsets: As Connect stores them.

    Raises:
        ConfigError: They are not those of this pipeline.
        OperatorError: Slot or publication is gone, the slot is read from, or the position does not fit the slot.
    """
    prefix: str = config.options["topic.prefix"]
    position = position_of(offsets, prefix)
    catalog = Catalog(connect(config.source), config.source)
    try:
        made = _record(config, catalog, position)
    finally:
        catalog.connection.close()
    ensure_topics(Admin(config.kafka), [POSITIONS_TOPIC])
    before = read_native(config)
    record = made if before is None else _keeping(made, before)
    write_record(config, record)
    after = to_debezium(record, prefix)
    text = f"the native engine goes on at {position} of slot {record.slot}"
    return OffsetChange(config.name, to_debezium(before, prefix), after, text)


def _keeping(record: PositionRecord, before: PositionRecord) -> PositionRecord:
    """What was made by us stays ours, so that `retire` takes it back."""
    made = before.made if before.slot == record.slot else tuple(part for part in before.made if part != "slot")
    return PositionRecord(
        record.system_id, record.timeline, record.slot, record.publication, record.commit_lsn, record.ordinal,
        record.end_lsn, record.tables, record.publication_form, made, record.snapshot, before.schema_epoch,
    )  # fmt: skip


def _record(config: PipelineConfig, catalog: Catalog, position: LSN) -> PositionRecord:
    wanted = config.wanted
    slot = read_slot(catalog, wanted.slot)
    if slot is None or slot.lost or slot.confirmed_flush_lsn is None:
        raise SlotLost(
            f"slot {wanted.slot!r} {'does not exist' if slot is None else 'was invalidated'}: a position is worth nothing without it",
            hint="start anew with a snapshot: seam run",
        )
    if slot.active_pid is not None:
        raise SlotInUse(
            f"slot {slot.name!r} is read from by process {slot.active_pid}",
            hint="stop the engine that reads from it, and take its offsets after that",
        )
    if slot.confirmed_flush_lsn > position:
        raise SlotAhead(
            f"slot {slot.name!r} stands at {slot.confirmed_flush_lsn}, beyond {position}: what lies between cannot be read any more",
            hint="seam handover FILE --to native goes on at the slot's own position",
        )
    end = LSN.parse(catalog.current_lsn())
    if position > end:
        raise OperatorError(
            f"position {position} lies beyond the end of this server's log, {end}",
            hint="point database.hostname at the server that the offsets belong to",
        )
    publication = read_publication(catalog, wanted.publication)
    if publication is None:
        raise OperatorError(f"publication {wanted.publication!r} does not exist", hint="see docs/operations.md")
    walsender = Walsender(config.source)
    try:
        identity = walsender.identify()
    finally:
        walsender.close()
    captures = wanted.selection.captures
    return PositionRecord(
        identity.system_id, identity.timeline, slot.name, publication.name, commit_lsn=LSN(0), ordinal=0,
        end_lsn=position, snapshot={"phase": "done"},
        **recorded_form(publication, lambda table: captures(*table.split(".", 1))),
    )  # fmt: skip
