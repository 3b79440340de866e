"""Waiting until the topic holds what a snapshot saw.

A mark is written into the log after the snapshot was taken. The slot's `confirmed_flush_lsn` passes it only when Kafka
holds everything before it, since the slot is never told more: so nobody has to ask the engine, whichever it is.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import Final

from cdc.errors import OperatorError, WaitExpired
from cdc.lsn import LSN
from cdc.postgres.catalog import Catalog
from cdc.postgres.slot import Slot, read_slot
from legacy_db.bridge import Bridge

MARK_PREFIX: Final = "seam.verify"
POLL_SECONDS: Final = 0.02


def write_mark(catalog: Catalog, label: str) -> LSN:
    """Write a mark into the log, flushed, and return its position.

    It is transactional: its commit flushes the log, and a transaction moves the slot at once where an idle server's
    keepalives would be recorded every few seconds only.
    """
    return LSN.parse(str(catalog.value("select pg_logical_emit_message(true, %s, %s)::text", (MARK_PREFIX, label))))


def is_running(slot: Slot | None) -> bool:
    """Whether somebody reads from the slot."""
    return slot is not None and slot.active_pid is not None


def wait_for_mark(
    catalog: Catalog,
    bridge: Bridge,
    mark: LSN,
    *,
    seconds: float = 120.0,
    on_wait: Callable[[str], None] = lambda _what: None,
) -> None:
    """Wait until Kafka holds everything up to a mark; runs the engine here when nobody else does.

    Args:
        catalog: The legacy database.
        bridge: The pipeline.
        mark: What `write_mark` returned.
        seconds: How long the slot may stand still.
        on_wait: Told what is being waited for.

    Raises:
        OperatorError: There is no slot.
        WaitExpired: The slot stood still.
    """
    slot = _slot(catalog, bridge)
    if not is_running(slot):
        on_wait(f"nobody runs {bridge.name}: running it here until the mark")
        bridge.run(threading.Event(), True, False)
    else:
        on_wait(f"waiting for {bridge.name} to pass the mark")
    confirmed, progress = slot.confirmed_flush_lsn, time.monotonic()
    while True:
        slot = _slot(catalog, bridge)
        if slot.confirmed_flush_lsn is not None and slot.confirmed_flush_lsn >= mark:
            return
        if slot.confirmed_flush_lsn != confirmed:
            confirmed, progress = slot.confirmed_flush_lsn, time.monotonic()
        elif time.monotonic() - progress > seconds:
            raise WaitExpired(
                f"slot {slot.name!r} stands at {confirmed}, {mark} was asked, nothing moved for {seconds:.0f} s",
                hint="is the pipeline running and healthy? see `seam status`",
            )
        time.sleep(POLL_SECONDS)


def _slot(catalog: Catalog, bridge: Bridge) -> Slot:
    slot = read_slot(catalog, bridge.wanted.slot)
    if slot is None:
        raise OperatorError(
            f"slot {bridge.wanted.slot!r} does not exist: {bridge.name} was never started",
            hint="`seam run FILE`, or `seam migrate advance FILE SLICE`",
        )
    return slot
