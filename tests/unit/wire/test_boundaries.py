"""Begin and Commit read in one step say what the plain way says."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from cdc.wire.boundaries import BEGIN, BEGIN_FRAME, COMMIT, COMMIT_FRAME
from cdc.wire.frames import POSTGRES_EPOCH_MICROS, XLogData, parse_frame
from cdc.wire.pgoutput import Begin, Commit, parse_message

_LSNS = st.integers(0, 2**64 - 1)
_MICROS = st.integers(-(2**63), 2**63 - 1)


def plainly(frame: bytes) -> tuple[int, object]:
    parsed = parse_frame(frame)
    assert isinstance(parsed, XLogData)
    return int(parsed.start), parse_message(parsed.payload)


@given(_LSNS, _LSNS, _MICROS, _LSNS, _MICROS, st.integers(0, 2**32 - 1))
def test_a_begin(start: int, end: int, clock: int, final: int, micros: int, xid: int):
    frame = BEGIN_FRAME.pack(b"w", start, end, clock, b"B", final, micros, xid)
    assert plainly(frame) == (start, Begin(final, micros + POSTGRES_EPOCH_MICROS, xid))
    assert frame[25] == BEGIN


@given(_LSNS, _LSNS, _MICROS, st.integers(0, 255), _LSNS, _LSNS, _MICROS)
def test_a_commit(start: int, end: int, clock: int, flags: int, commit: int, ended: int, micros: int):
    frame = COMMIT_FRAME.pack(b"w", start, end, clock, b"C", flags, commit, ended, micros)
    assert plainly(frame) == (start, Commit(commit, ended, micros + POSTGRES_EPOCH_MICROS))
    assert frame[25] == COMMIT
