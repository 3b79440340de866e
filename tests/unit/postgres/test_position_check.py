"""A recorded position against the slot and the server as they stand: what does not fit is named, and nothing starts."""

from __future__ import annotations

from dataclasses import replace

import pytest

from cdc.errors import OperatorError, SlotAhead, SlotLost, SystemChanged, TimelineForked
from cdc.lsn import LSN
from cdc.postgres.slot import Slot, check_position
from cdc.postgres.walsender import SystemIdentity

SERVER = SystemIdentity(7, 1, LSN(0))
END = LSN(5000)
SLOT = Slot("s", "pgoutput", "shop", None, LSN(100), LSN(4000), "reserved", None, 0, 0)


def slot(**changes) -> Slot:
    return replace(SLOT, **changes)


def check(found, *, recorded=SERVER, current=SERVER, fork=None) -> LSN:
    return check_position(found, "s", END, recorded=recorded, current=current, fork=fork)


@pytest.mark.parametrize("confirmed", [0, 4999, 5000])
def test_a_slot_at_or_before_the_position_is_streamed_from_where_it_stands(confirmed):
    assert check(slot(confirmed_flush_lsn=LSN(confirmed))) == confirmed


@pytest.mark.parametrize(
    ("found", "more", "error"),
    [
        ({"confirmed_flush_lsn": LSN(5001)}, {}, SlotAhead),
        ({}, {"current": SystemIdentity(8, 1, LSN(0))}, SystemChanged),
        ({}, {"current": SystemIdentity(7, 2, LSN(0)), "fork": LSN(4999)}, TimelineForked),
        (None, {}, SlotLost),
        ({"wal_status": "lost"}, {}, SlotLost),
        ({"plugin": "wal2json"}, {}, OperatorError),
    ],
)
def test_what_does_not_fit_is_named(found, more, error):
    with pytest.raises(error):
        check(None if found is None else slot(**found), **more)


def test_a_fork_behind_the_position_is_followed():
    follower = SystemIdentity(7, 2, LSN(0))
    assert check(slot(confirmed_flush_lsn=LSN(4000)), current=follower, fork=END) == 4000
