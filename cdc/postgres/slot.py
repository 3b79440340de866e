"""Replication slots: what the server says of one, creating it, dropping it, and whether a recorded position fits it."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import Any

from cdc.errors import OperatorError, SlotAhead, SlotInUse, SlotLost, SystemChanged, TimelineForked
from cdc.lsn import LSN
from cdc.postgres.catalog import Catalog
from cdc.postgres.walsender import SystemIdentity, Walsender, quote_identifier


@dataclass(frozen=True, slots=True)
class Slot:
    """A row of `pg_replication_slots`.

    Attributes:
        name: Slot name.
        plugin: Output plugin.
        database: Its database.
        active_pid: The process that reads from it, None for none.
        restart_lsn: From where the log is retained.
        confirmed_flush_lsn: What was acknowledged.
        wal_status: reserved, extended, unreserved, lost.
        safe_wal_size: Bytes that may still be written before it can be lost; None for no limit.
        retained_bytes: Log held back for it.
        lag_bytes: Log that was not acknowledged.
    """

    name: str
    plugin: str
    database: str
    active_pid: int | None
    restart_lsn: LSN | None
    confirmed_flush_lsn: LSN | None
    wal_status: str | None
    safe_wal_size: int | None
    retained_bytes: int
    lag_bytes: int

    @property
    def lost(self) -> bool:
        """Whether the server has invalidated it."""
        return self.wal_status == "lost" or self.confirmed_flush_lsn is None

    def as_json(self) -> dict[str, Any]:
        """The slot as a JSON object."""
        return {
            "slot": self.name, "plugin": self.plugin, "database": self.database, "active_pid": self.active_pid,
            "restart_lsn": None if self.restart_lsn is None else str(self.restart_lsn),
            "confirmed_flush_lsn": None if self.confirmed_flush_lsn is None else str(self.confirmed_flush_lsn),
            "wal_status": self.wal_status, "safe_wal_size": self.safe_wal_size,
            "retained_bytes": self.retained_bytes, "lag_bytes": self.lag_bytes,
        }  # fmt: skip


_SLOTS = """
select slot_name, plugin, database, active_pid, restart_lsn::text, confirmed_flush_lsn::text, wal_status, safe_wal_size,
       coalesce(pg_wal_lsn_diff(pg_current_wal_lsn(), restart_lsn), 0)::int8,
       coalesce(pg_wal_lsn_diff(pg_current_wal_lsn(), confirmed_flush_lsn), 0)::int8
  from pg_replication_slots where slot_type = 'logical'
"""


def read_slots(catalog: Catalog) -> list[Slot]:
    """All logical slots of the server, by name."""
    return [_slot(row) for row in catalog.rows(_SLOTS + " order by slot_name")]


def read_slot(catalog: Catalog, name: str) -> Slot | None:
    """One slot, or None when there is none of that name."""
    rows = catalog.rows(_SLOTS + " and slot_name = %s", (name,))
    return _slot(rows[0]) if rows else None


def _slot(row: tuple[Any, ...]) -> Slot:
    restart, confirmed = (None if text is None else LSN.parse(text) for text in row[4:6])
    return Slot(row[0], row[1], row[2], row[3], restart, confirmed, row[6], row[7], row[8], row[9])


def create_slot(
    walsender: Walsender, name: str, *, export_snapshot: bool = False, failover: bool = False
) -> tuple[LSN, str | None]:
    """`CREATE_REPLICATION_SLOT`. Waits for every transaction that runs at that moment.

    Args:
        walsender: An idle replication connection; an exported snapshot lives until its next command.
        name: The slot's name.
        export_snapshot: Whether a snapshot that fits the slot exactly is exported.
        failover: Whether the slot is synchronised to standbys (17 and newer).

    Returns:
        The consistent point, and the snapshot's name.
    """
    snapshot = "export" if export_snapshot else "nothing"
    what = f"(SNAPSHOT '{snapshot}'{', FAILOVER true' if failover else ''})"
    command = f"CREATE_REPLICATION_SLOT {quote_identifier(name)} LOGICAL pgoutput {what}"
    row = walsender.execute(command, seconds=None)[0]
    return LSN.parse(row[1] or "0/0"), row[2]


def drop_slot(catalog: Catalog, name: str, *, seconds: float = 10.0) -> bool:
    """Drop a slot once nobody reads from it.

    Args:
        catalog: Where.
        name: The slot.
        seconds: How long a reader may take to leave.

    Returns:
        Whether there was one.

    Raises:
        SlotInUse: It is still read from.
    """
    deadline = time.monotonic() + seconds
    while True:
        slot = read_slot(catalog, name)
        if slot is None:
            return False
        if slot.active_pid is None:
            catalog.rows("select pg_drop_replication_slot(%s)", (name,))
            return True
        if time.monotonic() >= deadline:
            raise SlotInUse(
                f"slot {name!r} is read from by process {slot.active_pid}",
                hint="stop that reader first; a slot in use cannot be dropped",
            )
        time.sleep(0.1)


def check_position(
    slot: Slot | None,
    slot_name: str,
    recorded_end: LSN,
    *,
    recorded: SystemIdentity,
    current: SystemIdentity,
    fork: LSN | None,
) -> LSN:
    """Compare the recorded position with server and slot, since `START_REPLICATION` accepts any position silently.

    Args:
        slot: The slot as it stands, None when it is gone.
        slot_name: Its name.
        recorded_end: `end_lsn` of the recorded position.
        recorded: The server that the position belongs to (system id and timeline).
        current: The server that we talk to.
        fork: Where the recorded timeline was left; None on the same timeline.

    Returns:
        The slot's position: where the stream starts, and nothing before may be told to it.

    Raises:
        SystemChanged, TimelineForked, SlotLost, SlotAhead: The position does not fit.
    """
    if recorded.system_id != current.system_id:
        raise SystemChanged(
            f"the recorded position belongs to system {recorded.system_id}, this server is {current.system_id}",
            hint="point database.hostname at the right server, or start anew under another connector name",
        )
    if fork is not None and recorded_end > fork:
        raise TimelineForked(
            f"the recorded position {recorded_end} lies beyond {fork}, where timeline {recorded.timeline} was left "
            f"for timeline {current.timeline}: events were published that this server never had",
            hint="see docs/operations.md, 'After a failover'; nothing was acknowledged",
        )
    if slot is None:
        raise SlotLost(
            f"slot {slot_name!r} is gone, and position {recorded_end} was recorded: changes since then cannot be read",
            hint="see docs/operations.md, 'A lost slot': start anew with a snapshot, or accept the gap; "
            "`seam slots retire FILE` takes the record back",
        )
    if slot.lost:
        raise SlotLost(
            f"slot {slot_name!r} was invalidated (wal_status {slot.wal_status}) with position {recorded_end} recorded",
            hint="raise max_slot_wal_keep_size; see docs/operations.md, 'A lost slot'",
        )
    if slot.plugin != "pgoutput":
        raise OperatorError(
            f"slot {slot_name!r} was made for plugin {slot.plugin}, not pgoutput", hint="choose another slot.name"
        )
    assert slot.confirmed_flush_lsn is not None
    if slot.confirmed_flush_lsn > recorded_end:
        raise SlotAhead(
            f"slot {slot_name!r} stands at {slot.confirmed_flush_lsn}, beyond the recorded {recorded_end}: somebody "
            f"else advanced it, and {slot.confirmed_flush_lsn - recorded_end} bytes of changes would be missing",
            hint="if Kafka Connect had it: `seam handover FILE --to native` first; else find out who reads from the slot, "
            "see docs/operations.md, 'A slot that is ahead'",
        )
    return slot.confirmed_flush_lsn
