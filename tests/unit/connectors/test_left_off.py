"""Where a stopped connector had come to in the log, by what Connect stores and what the topics hold."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from types import SimpleNamespace
from typing import Any

import pytest

from cdc.errors import DecodeError
from cdc.lsn import LSN
from cdc.source import SourceOptions, SourceState
from connectors import arrived as topics
from connectors.connect_types import Offset
from connectors.left_off import LeftOff, Stored, _Reading
from tests.support import pgoutput as write
from tests.support.fakes import FakeWalsender

OID = 16_384
XID = 700  # of the writers of messages


def stored(lsn: int, commit: int = 0, xid: int = XID) -> Stored:
    return Stored(lsn, xid, commit)


def envelope(key: str, lsn: int, xid: int = XID) -> bytes:
    return json.dumps({"after": key, "source": {"lsn": lsn, "txId": xid}}).encode()


def transaction(commit: int, *lsns: int, xid: int = XID) -> list[bytes]:
    """A row at each of these positions, whose only column is its number in the transaction."""
    rows = [write.xlog_data(write.insert(OID, [b"%d" % number]), start=lsn) for number, lsn in enumerate(lsns)]
    return [
        write.xlog_data(write.begin(commit, xid), start=lsns[0]), *rows,
        write.xlog_data(write.commit(commit, commit + 10), start=commit + 10),
    ]  # fmt: skip


def reading(position: Stored, *frames: bytes, tombstones: bool = False) -> _Reading:
    def render(payload: bytes, lsn: bytes, _state: SourceState) -> list[Any]:
        key = payload[-1:]
        record = ("t", key, envelope(key.decode(), int(lsn)), None)
        return [record, ("t", key, None, None)] if tombstones else [record]

    relations = SimpleNamespace(renderers={OID.to_bytes(4, "big"): render}, define=lambda _relation: None)
    config = SimpleNamespace(kafka=None)
    ours = _Reading(config, relations, SourceState(SourceOptions("p", "d")), position)  # type: ignore[arg-type] # fakes
    ours.read(FakeWalsender([*frames, write.keepalive(9000)]), LSN(5000), 1.0)  # type: ignore[arg-type] # fakes
    return ours


@pytest.fixture
def held(monkeypatch: pytest.MonkeyPatch) -> list[tuple[bytes, bytes | None]]:
    """(key, value) of the records that the topic ends with; a test adds to it."""
    records: list[tuple[bytes, bytes | None]] = []

    class Reader:
        def __init__(self, _options: object, _topic: str) -> None: ...

        def close(self) -> None: ...

        def bounds(self) -> tuple[dict[int, int], dict[int, int]]:
            return {0: 0}, {0: len(records)}

        def batches(self, _starts: Mapping[int, int], _ends: Mapping[int, int]) -> Iterator[list[Any]]:
            yield [SimpleNamespace(key=lambda k=key: k, value=lambda v=value: v) for key, value in records]

    monkeypatch.setattr(topics, "TopicReader", Reader)
    return records


def test_only_a_streams_offset_is_a_place_in_a_transaction() -> None:
    def of(**offset: object) -> Stored | None:
        return Stored.of([Offset({"server": "p"}, offset)], "p")

    assert of(lsn=7, txId=3, lsn_commit=5) == Stored(7, 3, 5)
    assert of(lsn=7) == Stored(7, None, 0)
    assert of(lsn=7, txId=3, snapshot="INITIAL") is None
    assert of() is None
    assert Stored.of([], "p") is None
    assert Stored.of([Offset({"server": "other"}, {"lsn": 7})], "p") is None


def test_rows_up_to_the_stored_one_are_counted_with_their_begin() -> None:
    found = reading(stored(1020), *transaction(1100, 1010, 1020, 1030)).found()
    assert found == LeftOff(LSN(1100), 3)


def test_whole_transactions_before_the_stored_commit_are_passed() -> None:
    frames = [*transaction(1100, 1010, 1050, xid=1), *transaction(1200, 1020, 1150)]
    assert reading(stored(1020, commit=1110), *frames).found() == LeftOff(LSN(1200), 2)
    # A heartbeat or the idle log stored the commit itself: nothing of the next transaction was sent.
    assert reading(stored(1110, commit=1110, xid=1), *frames).found() == LeftOff(LSN(1100), 4)


def test_a_commit_record_right_behind_another_is_not_taken_for_sent() -> None:
    frames = [*transaction(1100, 1010, xid=1), *transaction(1110, 1020, xid=2)]
    assert reading(stored(1110, commit=1110, xid=1), *frames).found() == LeftOff(LSN(1100), 3)


def test_nothing_was_sent_where_another_transaction_comes_first() -> None:
    assert reading(stored(900, xid=9), *transaction(1100, 1010)).found() == LeftOff()


def test_an_idle_log_ends_the_reading() -> None:
    assert reading(stored(900)).found() == LeftOff()


@pytest.mark.parametrize("arrived", [1, 2, 3])
def test_rows_of_one_position_are_told_apart_by_what_the_topic_holds(
    held: list[tuple[bytes, bytes | None]], arrived: int
) -> None:
    held += [(b"%d" % number, envelope(str(number), 1020)) for number in range(1, arrived + 1)]
    found = reading(stored(1020), *transaction(1100, 1010, 1020, 1020, 1020, 1030)).found()
    assert found == LeftOff(LSN(1100), 2 + arrived)


def test_a_record_of_the_past_with_the_same_key_has_not_arrived_now(held: list[tuple[bytes, bytes | None]]) -> None:
    held += [(b"1", envelope("1", 1020)), (b"2", envelope("2", 500, xid=9))]
    assert reading(stored(1020), *transaction(1100, 1010, 1020, 1020)).found() == LeftOff(LSN(1100), 3)


@pytest.mark.parametrize("records", [[], [(b"2", envelope("2", 1020))]], ids=["nothing", "a later one alone"])
def test_what_cannot_be_told_is_sent_again(
    held: list[tuple[bytes, bytes | None]], records: list[tuple[bytes, bytes]]
) -> None:
    held += records
    found = reading(stored(1020), *transaction(1100, 1010, 1020, 1020)).found()
    assert found == LeftOff(LSN(1100), 2, doubtful=2)


def test_a_tombstone_that_is_missing_behind_its_deletion_is_what_is_left(
    held: list[tuple[bytes, bytes | None]],
) -> None:
    held.append((b"1", envelope("1", 1020)))
    frames = transaction(1100, 1010, 1020, 1030)
    found = reading(stored(1020), *frames, tombstones=True).found()
    assert found == LeftOff(LSN(1100), 3, rest=[("t", b"1", None, None)])
    held.append((b"1", None))
    assert reading(stored(1020), *frames, tombstones=True).found() == LeftOff(LSN(1100), 3)


def test_a_truncation_and_a_message_are_one_record_each(held: list[tuple[bytes, bytes | None]]) -> None:
    for message in (write.truncate([OID]), write.message("p", b"c")):
        frames = transaction(1100, 1010)
        frames.insert(2, write.xlog_data(message, start=1020))
        assert reading(stored(1020), *frames).found() == LeftOff(LSN(1100), 3)


def test_a_row_that_we_cannot_render_does_not_keep_the_pipeline_from_changing_hands(
    held: list[tuple[bytes, bytes | None]], monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(_self: object, _payload: bytes) -> None:
        raise DecodeError("no text")

    monkeypatch.setattr("tests.unit.connectors.test_left_off.envelope", refuse)
    alone = reading(stored(1020), *transaction(1100, 1010, 1020, 1030)).found()
    assert alone == LeftOff(LSN(1100), 3)  # it was acknowledged, whatever it is
    several = reading(stored(1020), *transaction(1100, 1010, 1020, 1020)).found()
    assert several == LeftOff(LSN(1100), 2, doubtful=2)


def test_without_a_source_block_what_was_written_tells_records_apart(held: list[tuple[bytes, bytes | None]]) -> None:
    assert topics._same(b'{"a":1,"ts_ms":5}', b'{"a":1,"ts_ms":6}', XID, 7)
    assert not topics._same(b'{"a":1,"ts_ms":5}', b'{"a":2,"ts_ms":5}', XID, 7)
    assert not topics._same(b"\\x00\\x01", b"\\x00\\x02", XID, 7)
    assert topics._same(b'{"schema":{},"payload":{"source":{"lsn":7,"txId":700}}}', b"whatever", XID, 7)
