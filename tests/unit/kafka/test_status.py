"""What a running pipeline says of itself."""

from __future__ import annotations

import msgspec

from cdc.kafka.status import encode_status
from cdc.lsn import LSN
from cdc.telemetry import Meter


def test_a_position_is_told_as_its_number():
    # The acknowledged position is an LSN after a reconnect, and a plain number in the loop.
    meter = Meter(flushed_lsn=LSN.parse("0/16B3748"))
    assert msgspec.json.decode(encode_status(meter, 1.0))["flushed_lsn"] == 0x16B3748
