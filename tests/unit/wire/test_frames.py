"""Frames: read exactly, refused by name, and never anything else."""

from __future__ import annotations

import contextlib
import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cdc.errors import ProtocolError
from cdc.lsn import LSN
from cdc.wire.frames import POSTGRES_EPOCH_MICROS, PrimaryKeepalive, XLogData, parse_frame, status_update
from tests.support.pgoutput import keepalive, xlog_data

lsns = st.integers(0, 2**64 - 1)
clocks = st.integers(-(2**62), 2**62)


@given(start=lsns, end=lsns, clock=clocks, payload=st.binary(max_size=40))
def test_xlog_data_comes_back_as_it_was_written(start, end, clock, payload):
    frame = parse_frame(xlog_data(payload, start=start, end=end, clock=clock))
    assert frame == XLogData(LSN(start), LSN(end), clock + POSTGRES_EPOCH_MICROS, payload)


@given(end=lsns, clock=clocks, reply=st.booleans())
def test_a_keepalive_comes_back_as_it_was_written(end, clock, reply):
    frame = parse_frame(keepalive(end, reply=reply, clock=clock))
    assert frame == PrimaryKeepalive(LSN(end), clock + POSTGRES_EPOCH_MICROS, reply)


@pytest.mark.parametrize("length", range(25))
def test_an_xlog_data_header_cut_anywhere_is_refused_with_its_length(length):
    with pytest.raises(ProtocolError) as caught:
        parse_frame(xlog_data(b"")[:length])
    assert caught.value.length == length


@pytest.mark.parametrize("length", range(18))
def test_a_keepalive_cut_anywhere_is_refused(length):
    with pytest.raises(ProtocolError):
        parse_frame(keepalive(77)[:length])


def test_a_keepalive_with_a_byte_too_many_is_refused():
    with pytest.raises(ProtocolError, match="18 bytes"):
        parse_frame(keepalive(77) + b"\0")


def test_an_unknown_frame_is_named_by_its_tag():
    with pytest.raises(ProtocolError) as caught:
        parse_frame(b"zzz")
    assert (caught.value.tag, caught.value.offset, caught.value.length) == ("z", 0, 3)


@given(st.binary(max_size=60))
def test_random_bytes_are_a_frame_or_a_protocol_error(data):
    with contextlib.suppress(ProtocolError):
        parse_frame(data)


@given(written=lsns, flushed=lsns, applied=lsns, clock=clocks, reply=st.booleans())
def test_a_status_update_has_the_layout_of_the_protocol(written, flushed, applied, clock, reply):
    update = status_update(written, flushed, applied, clock + POSTGRES_EPOCH_MICROS, reply=reply)
    assert struct.unpack(">cQQQqB", update) == (b"r", written, flushed, applied, clock, reply)
