"""Moving a running pipeline between the native engine and Debezium on Kafka Connect: same slot, same topics.

The slot is the position: both engines tell it only what Kafka holds, so the one that starts goes on where the other
ended, and no position of Debezium's own is kept. Started without stored offsets and with `snapshot.mode=no_data`,
Debezium goes on at the slot's confirmed position; with its own offsets it loses rows of a COPY (its defect D1).
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from cdc.errors import OperatorError, SlotInUse, SlotLost, WaitExpired
from cdc.kafka.positions import PositionRecord, read_positions
from cdc.lsn import LSN
from cdc.postgres.catalog import Catalog
from cdc.postgres.connection import connect
from cdc.postgres.publication import read_publication
from cdc.postgres.slot import Slot, read_slot
from cdc.postgres.walsender import Walsender
from connectors import health
from connectors.connect_api import ConnectApi
from connectors.first_start import recorded_form
from connectors.operate import Operator
from connectors.postgres import PipelineConfig
from connectors.retire import write_record

# What the hand-over rests on; the rest of the configuration is the file's.
_FORCED: Final[Mapping[str, str]] = {
    "snapshot.mode": "no_data",
    "slot.drop.on.stop": "false",
    "publication.autocreate.mode": "disabled",
    "plugin.name": "pgoutput",
}


@dataclass(frozen=True, slots=True)
class Handover:
    """What a hand-over did.

    Attributes:
        connector: The pipeline.
        to: The engine that runs now: connect or native.
        slot: The slot.
        position: Where the other engine ended, and this one goes on.
        pause_seconds: From the stop of the one to the start of the other; None where the other is started by hand.
    """

    connector: str
    to: str
    slot: str
    position: LSN
    pause_seconds: float | None

    def as_json(self) -> dict[str, Any]:
        """As a JSON object."""
        return {
            "connector": self.connector, "to": self.to, "slot": self.slot, "position": str(self.position),
            "pause_seconds": None if self.pause_seconds is None else round(self.pause_seconds, 3),
        }  # fmt: skip


def connect_config(config: Mapping[str, str]) -> dict[str, str]:
    """The connector's configuration on Connect: the file's, without our own options, with what the hand-over needs."""
    kept = {
        name: value for name, value in config.items() if not name.startswith("seam.") and name != "bootstrap.servers"
    }
    return {**kept, **_FORCED}


def to_connect(
    config: PipelineConfig,
    properties: Mapping[str, str],
    api: ConnectApi,
    *,
    wait_seconds: float,
    say: Callable[[str], None],
) -> Handover:
    """Hand a pipeline to Debezium on Connect.

    Args:
        config: The pipeline.
        properties: Its configuration as the file writes it, references included.
        api: The cluster.
        wait_seconds: How long the native engine may take to be stopped, and the connector to run.
        say: Told each step.

    Raises:
        OperatorError: There is no slot to hand over, or the connector does not run; the slot is as it was.
    """
    operator = Operator(api, timeout=wait_seconds, say=say)
    catalog = Catalog(connect(config.source), config.source)
    try:
        slot = _needed(catalog, config)
        wanted = connect_config(properties)
        if api.config(config.name) is None:
            say(f"connector {config.name} is created, stopped")
            api.create(config.name, wanted, initial_state="STOPPED")
        else:
            api.stop(config.name)
            api.put_config(config.name, wanted)
        operator.reach(config.name, health.STOPPED)
        slot = _wait_until_free(catalog, config, wait_seconds, say, "stop the native engine (SIGTERM or Ctrl-C)")
        ended = time.monotonic()
        # Offsets survive the connector that wrote them: always, or Debezium would go on from an old position.
        api.reset_offsets(config.name)
        say("offsets are reset; the connector is resumed")
        api.resume(config.name)
        operator.reach(config.name, health.RUNNING)
        _wait_until_active(catalog, config, wait_seconds)
        assert slot.confirmed_flush_lsn is not None
        return Handover(config.name, "connect", slot.name, slot.confirmed_flush_lsn, time.monotonic() - ended)
    finally:
        catalog.connection.close()


def to_native(config: PipelineConfig, api: ConnectApi, *, wait_seconds: float, say: Callable[[str], None]) -> Handover:
    """Take a pipeline back: the connector is left stopped, and the position recorded, so that `seam run` goes on.

    Args:
        config: The pipeline.
        api: The cluster.
        wait_seconds: How long the connector may take to stop.
        say: Told each step.

    Raises:
        OperatorError: The slot is gone, or somebody else reads from it.
    """
    operator = Operator(api, timeout=wait_seconds, say=say)
    if api.config(config.name) is not None:
        say(f"connector {config.name} is stopped")
        operator.stop(config.name)
    catalog = Catalog(connect(config.source), config.source)
    try:
        slot = _wait_until_free(catalog, config, wait_seconds, say, "stop whoever reads from it")
        assert slot.confirmed_flush_lsn is not None
        record = _record(config, catalog, slot)
        before = read_positions(config.kafka).get(config.name)
        if before is not None and before.system_id == record.system_id and slot.confirmed_flush_lsn < before.end_lsn:
            say(
                f"the slot stands at {slot.confirmed_flush_lsn}, before our last record {before.end_lsn}: rows between come again"
            )
        write_record(config, record)
        if api.config(config.name) is not None:
            api.reset_offsets(config.name)
        say(f"position {slot.confirmed_flush_lsn} is recorded; `seam run` goes on from it")
        return Handover(config.name, "native", slot.name, slot.confirmed_flush_lsn, None)
    finally:
        catalog.connection.close()


def _record(config: PipelineConfig, catalog: Catalog, slot: Slot) -> PositionRecord:
    """The position record that makes the native engine go on at the slot's confirmed position."""
    publication = read_publication(catalog, config.wanted.publication)
    if publication is None:
        raise OperatorError(f"publication {config.wanted.publication!r} is gone", hint="see docs/operations.md")
    walsender = Walsender(config.source)
    try:
        identity = walsender.identify()
    finally:
        walsender.close()
    before = read_positions(config.kafka).get(config.name)
    captures = config.wanted.selection.captures
    assert slot.confirmed_flush_lsn is not None
    return PositionRecord(
        identity.system_id, identity.timeline, slot.name, publication.name, commit_lsn=LSN(0), ordinal=0,
        end_lsn=slot.confirmed_flush_lsn, made=before.made if before is not None else (), snapshot={"phase": "done"},
        **recorded_form(publication, lambda table: captures(*table.split(".", 1))),
    )  # fmt: skip


def _needed(catalog: Catalog, config: PipelineConfig) -> Slot:
    slot = read_slot(catalog, config.wanted.slot)
    if slot is None or slot.lost:
        raise SlotLost(
            f"slot {config.wanted.slot!r} {'does not exist' if slot is None else 'was invalidated'}: there is nothing to hand over",
            hint="start the pipeline once with `seam run`",
        )
    return slot


def _wait_until_free(
    catalog: Catalog, config: PipelineConfig, seconds: float, say: Callable[[str], None], what: str
) -> Slot:
    deadline = time.monotonic() + seconds
    asked = False
    while True:
        slot = _needed(catalog, config)
        if slot.active_pid is None:
            return slot
        if not asked:
            asked = True
            say(f"slot {slot.name} is read from by process {slot.active_pid}: {what}; waiting {seconds:.0f} s")
        if time.monotonic() > deadline:
            raise SlotInUse(
                f"slot {slot.name!r} is still read from by process {slot.active_pid}",
                hint=f"{what}, and repeat the command",
            )
        time.sleep(0.05)


def _wait_until_active(catalog: Catalog, config: PipelineConfig, seconds: float) -> None:
    """RUNNING alone proves nothing: the task must have taken the slot."""
    deadline = time.monotonic() + seconds
    while True:
        slot = _needed(catalog, config)
        if slot.active_pid is not None:
            return
        if time.monotonic() > deadline:
            raise WaitExpired(
                f"connector {config.name} says RUNNING, and does not read from slot {slot.name}",
                hint=f"seam connectors status {config.name}; `seam handover FILE --to native` takes it back",
            )
        time.sleep(0.05)
