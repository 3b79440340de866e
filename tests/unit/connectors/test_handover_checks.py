"""What must hold before a pipeline changes hands, and the checker that the tests of hand-overs rest on."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from cdc.errors import OperatorError, SlotAhead, SystemChanged
from cdc.kafka.positions import PositionRecord
from cdc.lsn import LSN
from cdc.postgres.slot import Slot
from cdc.postgres.walsender import SystemIdentity
from connectors.connect_types import Offset
from connectors.handover import connect_config
from connectors.handover_checks import check_nothing_left, check_same_places, check_snapshot_ended
from connectors.postgres import PipelineConfig, read
from tests.support.handover import stretches_sent_again

FILE = {
    "connector.class": "io.debezium.connector.postgresql.PostgresConnector",
    "topic.prefix": "shop",
    "database.hostname": "db",
    "database.user": "seam",
    "database.dbname": "shop",
    "slot.name": "orders",
}
IDENTITY = SystemIdentity(7, 1, LSN(0))
RECORD = PositionRecord(7, 1, "orders", "dbz_publication", LSN(0), 0, LSN(100), snapshot={"phase": "done"})
SLOT = Slot("orders", "pgoutput", "shop", None, LSN(50), LSN(100), "reserved", None, 0, 0)


@pytest.fixture
def config() -> PipelineConfig:
    return read("shop", FILE, bootstrap_servers="localhost:9092")


def test_a_position_that_the_slot_does_not_exceed_may_be_handed_over(config: PipelineConfig) -> None:
    check_nothing_left(config, SLOT, RECORD, IDENTITY, handed_over=False)
    check_nothing_left(config, SLOT, None, IDENTITY, handed_over=False)
    check_nothing_left(config, SLOT, replace(RECORD, snapshot={}), IDENTITY, handed_over=False)


@pytest.mark.parametrize("phase", ["chunks", "exported"])
def test_a_snapshot_that_has_not_ended_is_not_left_behind(config: PipelineConfig, phase: str) -> None:
    with pytest.raises(OperatorError, match="snapshot of shop has not ended"):
        check_nothing_left(config, SLOT, replace(RECORD, snapshot={"phase": phase}), IDENTITY, handed_over=False)


def test_a_slot_beyond_the_record_is_refused_unless_connect_moved_it(config: PipelineConfig) -> None:
    ahead = replace(SLOT, confirmed_flush_lsn=LSN(101))
    with pytest.raises(SlotAhead, match="beyond the recorded 0/64"):
        check_nothing_left(config, ahead, RECORD, IDENTITY, handed_over=False)
    check_nothing_left(config, ahead, RECORD, IDENTITY, handed_over=True)
    # While the native engine reads, both move between two looks.
    check_nothing_left(config, replace(ahead, active_pid=5), RECORD, IDENTITY, handed_over=False)


def test_another_server_is_refused(config: PipelineConfig) -> None:
    with pytest.raises(SystemChanged, match="belongs to system 7, this server is 8"):
        check_nothing_left(config, SLOT, RECORD, SystemIdentity(8, 1, LSN(0)), handed_over=False)


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        ({"slot.name": "other"}, "slot.name is 'other' there and 'orders' in the file"),
        ({"publication.name": "p"}, "publication.name is 'p' there"),
        ({"topic.prefix": "x"}, "topic.prefix is 'x' there"),
        ({"connector.class": "FileStreamSource"}, "is a FileStreamSource"),
    ],
)
def test_a_connector_of_another_pipeline_is_refused(
    config: PipelineConfig, change: dict[str, str], complaint: str
) -> None:
    check_same_places(config, {**FILE, "slot.name": "${env:SLOT}"})
    with pytest.raises(OperatorError, match=complaint):
        check_same_places(config, {**FILE, **change})


@pytest.mark.parametrize(
    "offset",
    [
        None,
        {"snapshot": "INITIAL", "snapshot_completed": False, "lsn": 1},
        {"snapshot": "true", "last_snapshot_record": False},
    ],
)
def test_debeziums_own_snapshot_must_have_ended(config: PipelineConfig, offset: dict[str, Any] | None) -> None:
    stored = [] if offset is None else [Offset({"server": "shop"}, offset)]
    with pytest.raises(OperatorError, match="it goes on as before"):
        check_snapshot_ended(config, FILE, stored)
    check_snapshot_ended(config, {**FILE, "snapshot.mode": "no_data"}, stored)


@pytest.mark.parametrize("offset", [{"lsn": 1}, {"snapshot": "INITIAL", "snapshot_completed": True}])
def test_a_stream_and_an_ended_snapshot_may_be_taken_over(config: PipelineConfig, offset: dict[str, Any]) -> None:
    check_snapshot_ended(config, FILE, [Offset({"server": "shop"}, offset)])


def test_connect_gets_what_the_hand_over_rests_on_and_keeps_whose_the_connector_is() -> None:
    made = connect_config({**FILE, "snapshot.mode": "initial", "slot.drop.on.stop": "true"}, None, "team")
    assert (made["snapshot.mode"], made["slot.drop.on.stop"], made["seam.owner"]) == ("no_data", "false", "team")
    assert connect_config(FILE, {"seam.owner": "others"}, "team")["seam.owner"] == "others"


def test_what_is_sent_again_is_counted_by_stretches() -> None:
    assert stretches_sent_again([(1, 1), (2, 2), (2, 3)]) == []
    assert stretches_sent_again([(1, 1), (2, 2), (2, 3), (2, 2), (2, 3), (3, 4)]) == [2]
    assert stretches_sent_again([(1, 1), (2, 2), (1, 1), (2, 2), (2, 3)]) == [2]


@pytest.mark.parametrize(
    ("sent", "complaint"),
    [
        ([(1, 1), (2, 2), (2, 3), (2, 3), (3, 4)], "from within its transaction"),
        ([(1, 1), (2, 2), (3, 3), (1, 1), (3, 3)], "from within|came before|is sent again"),
        ([(1, 1), (2, 2), (3, 3), (1, 1)], "before it has caught up"),
    ],
)
def test_what_is_sent_again_in_part_is_a_fault(sent: list[tuple[int, int]], complaint: str) -> None:
    with pytest.raises(AssertionError, match=complaint):
        stretches_sent_again(sent)
