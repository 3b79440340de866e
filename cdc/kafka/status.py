"""`__seam.status`: what a running pipeline says of itself, for `seam status` in another process.

One partition, compacted, key = connector name; written every few seconds. Nothing rests on it.
"""

from __future__ import annotations

import time
from typing import Any, Final

import msgspec

from cdc.kafka.client import ClientOptions
from cdc.kafka.consumer import read_to_end
from cdc.telemetry import Meter

STATUS_TOPIC: Final = "__seam.status"


def encode_status(meter: Meter, rate: float, snapshot_rate: float | None = None) -> bytes:
    """The status of a pipeline now.

    Args:
        meter: Its figures.
        rate: Records per second since the last status.
        snapshot_rate: Rows of the snapshot per second; None for none.
    """
    return msgspec.json.encode(
        {
            **meter.as_json(),
            "rate": round(rate, 1),
            "snapshot_rate": snapshot_rate,
            "time": time.time(),
            "commit_time": meter.commit_micros / 1e6,
        }
    )


def read_status(options: ClientOptions, *, seconds: float = 10.0) -> dict[str, dict[str, Any]]:
    """The last status of every pipeline; a damaged one is left out."""
    found: dict[str, dict[str, Any]] = {}

    def keep(message: Any) -> None:
        try:
            found[message.key().decode()] = msgspec.json.decode(message.value())
        except (AttributeError, UnicodeDecodeError, TypeError, msgspec.DecodeError):
            return

    read_to_end(options, STATUS_TOPIC, keep, seconds=seconds)
    return found
