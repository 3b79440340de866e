"""CopyData frames of streaming replication.

Source: PostgreSQL documentation, "Streaming Replication Protocol" (XLogData, Primary keepalive message, Standby status
update). Times on the wire are microseconds since 2000-01-01 UTC.
"""

from __future__ import annotations

import struct
from typing import Final, NamedTuple

from cdc.errors import ProtocolError
from cdc.lsn import LSN

POSTGRES_EPOCH_MICROS: Final = 946_684_800_000_000
"""2000-01-01 in microseconds since 1970-01-01."""

XLOG_DATA: Final = 0x77
KEEPALIVE: Final = 0x6B
XLOG_HEADER: Final = 25
"""Bytes of an XLogData frame before its payload."""

_XLOG = struct.Struct(">cQQq")
_KEEPALIVE = struct.Struct(">cQqB")
_STATUS = struct.Struct(">cQQQqB")


class XLogData(NamedTuple):
    """A piece of the log.

    Attributes:
        start: Where the piece begins.
        server_end: The server's current end of the log.
        clock: Server time, microseconds since the Unix epoch.
        payload: One message of the output plugin.
    """

    start: LSN
    server_end: LSN
    clock: int
    payload: bytes


class PrimaryKeepalive(NamedTuple):
    """The server is alive, and has sent everything up to `wal_end`.

    Attributes:
        wal_end: May lie inside the next transaction: it may complete a wait, it never lets messages be skipped.
        clock: Server time, microseconds since the Unix epoch.
        reply_requested: Whether an answer is due at once.
    """

    wal_end: LSN
    clock: int
    reply_requested: bool


def parse_frame(data: bytes) -> XLogData | PrimaryKeepalive:
    """Read one CopyData frame.

    Raises:
        ProtocolError: Unknown tag or wrong length.
    """
    if not data:
        raise ProtocolError("empty frame")
    if data[0] == XLOG_DATA:
        if len(data) < XLOG_HEADER:
            raise ProtocolError("truncated XLogData header", tag="w", offset=len(data), length=len(data))
        _, start, end, clock = _XLOG.unpack_from(data)
        return XLogData(LSN(start), LSN(end), clock + POSTGRES_EPOCH_MICROS, data[XLOG_HEADER:])
    if data[0] == KEEPALIVE:
        if len(data) != _KEEPALIVE.size:
            raise ProtocolError("a keepalive has 18 bytes", tag="k", offset=len(data), length=len(data))
        _, end, clock, reply = _KEEPALIVE.unpack(data)
        return PrimaryKeepalive(LSN(end), clock + POSTGRES_EPOCH_MICROS, reply != 0)
    raise ProtocolError("unknown frame", tag=chr(data[0]), offset=0, length=len(data))


def status_update(written: int, flushed: int, applied: int, clock_micros: int, *, reply: bool = False) -> bytes:
    """A Standby status update.

    Args:
        written: Received up to here.
        flushed: Durable up to here; the slot's `confirmed_flush_lsn` follows it.
        applied: Applied up to here.
        clock_micros: Our time, microseconds since the Unix epoch.
        reply: Whether the server is asked for a keepalive at once.
    """
    return _STATUS.pack(b"r", written, flushed, applied, clock_micros - POSTGRES_EPOCH_MICROS, reply)
