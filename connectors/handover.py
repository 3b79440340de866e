"""Moving a running pipeline between the native engine and Debezium on Kafka Connect: same slot, same topics.

The slot is the position: both engines tell it only what Kafka holds, so the one that starts goes on where the other
ended, and no position of Debezium's own is kept. Started without stored offsets and with `snapshot.mode=no_data`,
Debezium goes on at the slot's confirmed position; with its own offsets it loses rows of a COPY (its defect D1).

Every step can be repeated: a hand-over that was cut short anywhere is run again, or taken back by the opposite one.
"""

from __future__ import annotations

import secrets
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from cdc.errors import OperatorError, RetriableError, SeamError, SlotInUse, WaitExpired
from cdc.kafka.admin import Admin
from cdc.kafka.positions import PositionRecord, ensure_topics, read_positions
from cdc.kafka.signals import SIGNALS_TOPIC, write_requests
from cdc.lsn import LSN
from cdc.postgres.catalog import Catalog
from cdc.postgres.connection import connect
from cdc.postgres.publication import read_publication
from cdc.postgres.slot import Slot
from cdc.requests import Kind, Request
from connectors import health
from connectors.compare import OWNER
from connectors.connect_api import ConnectApi
from connectors.connect_types import Config
from connectors.first_start import recorded_form
from connectors.handover_checks import (
    check_nothing_left,
    check_same_places,
    check_snapshot_ended,
    identify,
    needed_slot,
    reader_of,
    runs_natively,
)
from connectors.left_off import Stored, left_off, send_rest
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
_POLL: Final = 0.05  # seconds


class HandoverInterrupted(RetriableError):
    """The hand-over was interrupted: the slot is where it was, or read from by one of the two engines."""

    code = "HANDOVER_INTERRUPTED"


@dataclass(frozen=True, slots=True)
class Handover:
    """What a hand-over did.

    Attributes:
        connector: The pipeline.
        to: The engine that runs now, or that `seam run` is to start: connect or native.
        slot: The slot.
        position: Where the other engine ended, and this one goes on.
        pause_seconds: While nobody read from the slot; None where the other engine is started by hand, 0 where
            nothing was to be done.
        delivers: Whether the new engine was seen to store a position; None where that was not looked at.
    """

    connector: str
    to: str
    slot: str
    position: LSN
    pause_seconds: float | None
    delivers: bool | None = None

    def as_json(self) -> dict[str, Any]:
        """As a JSON object."""
        return {
            "connector": self.connector, "to": self.to, "slot": self.slot, "position": str(self.position),
            "pause_seconds": None if self.pause_seconds is None else round(self.pause_seconds, 3),
            "delivers": self.delivers,
        }  # fmt: skip


def connect_config(desired: Mapping[str, str], live: Mapping[str, str] | None, owner: str) -> Config:
    """The connector's configuration on Connect: what a file asks for, with what the hand-over needs and our mark.

    Args:
        desired: The file's, without options of our own.
        live: The cluster's, whose mark stays.
        owner: The mark of a new connector.
    """
    return {**desired, **_FORCED, OWNER: (live or {}).get(OWNER, owner)}


def to_connect(
    config: PipelineConfig,
    desired: Mapping[str, str],
    api: ConnectApi,
    *,
    wait_seconds: float,
    settle_seconds: float,
    say: Callable[[str], None],
) -> Handover:
    """Hand a pipeline to Debezium on Connect.

    Args:
        config: The pipeline.
        desired: What Connect gets of its file, references unresolved.
        api: The cluster.
        wait_seconds: How long the native engine may take to leave, and the connector to run.
        settle_seconds: How long the connector must run and read without a pause.
        say: Told each step.

    Raises:
        SlotInUse: The native engine has not left; it goes on, and the connector is stopped.
        OperatorError: The connector does not run; it is stopped again and the slot is where it was.
    """
    operator = Operator(api, settle=settle_seconds, timeout=wait_seconds, say=say)
    catalog = Catalog(connect(config.source), config.source)
    try:
        slot = needed_slot(catalog, config)
        live = api.config(config.name)
        if live is not None:
            check_same_places(config, live)
            # By whom it is read counts: Connect says RUNNING too while Debezium waits for a slot in use.
            reads = slot.active_pid is not None and not runs_natively(catalog, config, slot)
            if reads and health.state(api.status(config.name)) == health.RUNNING:
                say(
                    f"connector {config.name} runs already; `seam connectors plan` shows whether it is as the file says"
                )
                return Handover(config.name, "connect", slot.name, _confirmed(slot), 0.0, delivers=True)
        record = read_positions(config.kafka).get(config.name)
        handed_over = live is not None and bool(api.offsets(config.name))
        check_nothing_left(config, slot, record, identify(config), handed_over=handed_over)
        _prepare(config, connect_config(desired, live, api.settings.owner), live, operator)
        if runs_natively(catalog, config, slot):
            _ask_to_leave(config, say)
        slot = _wait_until_free(catalog, config, wait_seconds, say, "stop the native engine (SIGTERM or Ctrl-C)")
        ended = time.monotonic()
        # Offsets survive the connector that wrote them: always, or Debezium would go on from an old position.
        api.reset_offsets(config.name)
        say("offsets are reset; the connector is resumed")
        try:
            api.resume(config.name)
            pid = _wait_until_read(catalog, config, operator, wait_seconds)
            pause = time.monotonic() - ended
            say(f"it reads from the slot after {pause:.1f} s; it is watched for {settle_seconds:g} s")
            operator.reach(config.name, health.RUNNING)
            after = needed_slot(catalog, config)
            if after.active_pid != pid:
                raise OperatorError(f"connector {config.name} says RUNNING and has left slot {slot.name}")
        except (SeamError, KeyboardInterrupt) as error:
            raise _taken_back(config, operator, error) from error
        delivers = _confirmed(after) > _confirmed(slot) or bool(api.offsets(config.name))
        return Handover(config.name, "connect", slot.name, _confirmed(slot), pause, delivers)
    finally:
        catalog.connection.close()


def to_native(
    config: PipelineConfig, api: ConnectApi | None, *, wait_seconds: float, say: Callable[[str], None]
) -> Handover:
    """Take a pipeline back: the connector is left stopped, and the position recorded, so that `seam run` goes on.

    Args:
        config: The pipeline.
        api: The cluster; None where it is down and not to be asked.
        wait_seconds: How long the connector may take to stop.
        say: Told each step.

    Raises:
        OperatorError: The slot is gone, its connector reads from another one, or is in its snapshot.
        SlotInUse: Somebody else reads from the slot.
    """
    catalog = Catalog(connect(config.source), config.source)
    try:
        slot = needed_slot(catalog, config)
        native = runs_natively(catalog, config, slot)
        live = None if api is None else api.config(config.name)
        if api is not None and live is not None:
            check_same_places(config, live)
            operator = Operator(api, timeout=wait_seconds, say=say)
            former = health.state(api.status(config.name))
            say(f"connector {config.name} is stopped")
            operator.stop(config.name)
            if not native:
                try:
                    check_snapshot_ended(config, live, api.offsets(config.name))
                except OperatorError:
                    if former == health.RUNNING:
                        api.resume(config.name)
                    raise
        if native:
            say(f"the native engine reads from slot {slot.name} already")
            return Handover(config.name, "native", slot.name, _confirmed(slot), 0.0)
        slot = _wait_until_free(catalog, config, wait_seconds, say, "stop whoever reads from it")
        before = read_positions(config.kafka).get(config.name)
        record = _record(config, catalog, slot, before)
        if api is not None and live is not None:
            record = _where_it_ended(config, catalog, slot, api, record, before, wait_seconds, say)
        if before is not None and before.system_id == record.system_id and record.end_lsn < before.end_lsn:
            say(
                f"the slot stands at {record.end_lsn}, our last record at {before.end_lsn}: what lies between comes again"
            )
        write_record(config, record)
        if api is not None and live is not None:
            api.reset_offsets(config.name)
        say(f"position {record.end_lsn} is recorded; `seam run` goes on from it")
        return Handover(config.name, "native", slot.name, record.end_lsn, None)
    finally:
        catalog.connection.close()


def _prepare(config: PipelineConfig, wanted: Config, live: Config | None, operator: Operator) -> None:
    """The connector with its configuration, stopped and without tasks, while the other engine still runs."""
    api, name = operator.api, config.name
    if live is None:
        operator.say(f"connector {name} is created, stopped")
        api.create(name, wanted, initial_state="STOPPED")
    else:
        operator.say(f"connector {name} is stopped and gets its configuration")
        operator.stop(name)
        # An identical PUT would be one more rebalance.
        if {key: value for key, value in live.items() if key != "name"} != wanted:
            api.put_config(name, wanted)
    operator.reach(name, health.STOPPED)


def _ask_to_leave(config: PipelineConfig, say: Callable[[str], None]) -> None:
    """Ask the engine that runs, in whatever process, to deliver what it has read and to leave."""
    say("the native engine is asked to leave")
    ensure_topics(Admin(config.kafka), [SIGNALS_TOPIC])
    request = Request(
        config.name, f"leave.{time.time_ns():x}.{secrets.token_hex(3)}", Kind.LEAVE, time=time.time(),
        message="the pipeline is handed over to Kafka Connect",
    )  # fmt: skip
    write_requests(config.kafka, [request])


def _record(config: PipelineConfig, catalog: Catalog, slot: Slot, before: PositionRecord | None) -> PositionRecord:
    """The position record that makes the native engine go on at the slot's confirmed position."""
    publication = read_publication(catalog, config.wanted.publication)
    if publication is None:
        raise OperatorError(f"publication {config.wanted.publication!r} is gone", hint="see docs/operations.md")
    identity = identify(config)
    captures = config.wanted.selection.captures
    return PositionRecord(
        identity.system_id, identity.timeline, slot.name, publication.name, commit_lsn=LSN(0), ordinal=0,
        end_lsn=_confirmed(slot), made=before.made if before is not None else (), snapshot={"phase": "done"},
        **recorded_form(publication, lambda table: captures(*table.split(".", 1))),
    )  # fmt: skip


def _where_it_ended(
    config: PipelineConfig, catalog: Catalog, slot: Slot, api: ConnectApi, record: PositionRecord,
    before: PositionRecord | None, seconds: float, say: Callable[[str], None],
) -> PositionRecord:  # fmt: skip
    """The record with what the connector had sent beyond the slot's position, which is not sent again."""
    stored = Stored.of(api.offsets(config.name), config.options["topic.prefix"])
    if stored is None:
        # A command that was cut short has recorded it and reset the offsets already.
        if before is not None and (before.slot, before.end_lsn) == (record.slot, record.end_lsn):
            return record.at(before.commit_lsn, record.end_lsn, before.ordinal)
        return record
    ended = left_off(config, catalog, slot, stored, seconds=seconds)
    if ended.doubtful:
        say(f"whether {ended.doubtful} changes at {LSN(stored.lsn)} have arrived cannot be told: they are sent again")
    send_rest(config, ended.rest, say)
    # The server frees the slot a moment after the connection that has read from it has ended.
    _wait_until_free(catalog, config, seconds, say, "stop whoever reads from it")
    return record.at(ended.commit_lsn, record.end_lsn, ended.ordinal) if ended.ordinal else record


def _confirmed(slot: Slot) -> LSN:
    assert slot.confirmed_flush_lsn is not None  # `needed_slot` has seen it
    return slot.confirmed_flush_lsn


def _wait_until_free(
    catalog: Catalog, config: PipelineConfig, seconds: float, say: Callable[[str], None], what: str
) -> Slot:
    deadline = time.monotonic() + seconds
    asked = False
    while True:
        slot = needed_slot(catalog, config)
        if slot.active_pid is None:
            return slot
        who = f"process {slot.active_pid} ({reader_of(catalog, slot) or 'unknown'})"
        if not asked:
            asked = True
            say(f"slot {slot.name} is read from by {who}; waiting {seconds:.0f} s for it to be free")
        if time.monotonic() > deadline:
            raise SlotInUse(f"slot {slot.name!r} is still read from by {who}", hint=f"{what}, and repeat the command")
        time.sleep(_POLL)


def _wait_until_read(catalog: Catalog, config: PipelineConfig, operator: Operator, seconds: float) -> int:
    """RUNNING alone proves nothing: the task must have taken the slot. Returns the process that reads from it."""
    deadline = time.monotonic() + seconds
    while True:
        slot = needed_slot(catalog, config)
        if slot.active_pid is not None:
            if runs_natively(catalog, config, slot):
                raise OperatorError(
                    "the native engine has taken the slot again",
                    hint="a service manager starts it again and again: stop it there, and repeat the command",
                )
            return slot.active_pid
        status = operator.api.status(config.name)
        failures = health.failures(status)
        if failures:
            causes = operator.api.redaction.text("; ".join(str(failure) for failure in failures))
            raise OperatorError(f"connector {config.name} does not run: {causes}", hint=failures[0].advice)
        if time.monotonic() > deadline:
            raise WaitExpired(
                f"connector {config.name} is {health.state(status)}, and does not read from slot {slot.name}",
                hint=f"seam connectors status {config.name}",
            )
        time.sleep(_POLL)


def _taken_back(config: PipelineConfig, operator: Operator, error: BaseException) -> SeamError:
    """Stop the connector again, and say how things stand."""
    try:
        operator.stop(config.name)
        now = f"connector {config.name} is stopped again"
    except SeamError as failure:
        now = f"connector {config.name} could not be stopped ({failure})"
    advice = f"{error.hint}; then " if isinstance(error, SeamError) and error.hint else ""
    return OperatorError(
        f"{str(error) or 'interrupted'}\n{now}; nothing is lost, and nobody reads from slot {config.wanted.slot}",
        hint=f"{advice}run the command again, or `seam handover FILE --to native` and `seam run FILE`",
    )
