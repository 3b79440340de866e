"""Messages of pgoutput: read exactly; cut, overlong or random bytes give a ProtocolError and nothing else."""

from __future__ import annotations

import contextlib

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from cdc.errors import ProtocolError
from cdc.lsn import LSN
from cdc.model.relation import Column, Relation, ReplicaIdentity
from cdc.wire.pgoutput import (
    UNCHANGED,
    Begin,
    Commit,
    Delete,
    Insert,
    Message,
    Origin,
    Truncate,
    TypeMessage,
    Update,
    parse_message,
)
from tests.support import pgoutput as write

ITEM = Relation(
    16_384, "public", "Café \U0001f600", ReplicaIdentity.INDEX,
    (Column("id", 23, -1, True), Column("näme", 25), Column("price", 1700, 655_366)),
)  # fmt: skip
ROW = [b"1", None, b"12.50"]

MESSAGES = {
    "begin": (write.begin(2**63, 9), Begin(LSN(2**63), write.COMMIT_MICROS, 9)),
    "commit": (write.commit(7, 15), Commit(LSN(7), LSN(15), write.COMMIT_MICROS)),
    "origin": (write.origin(9, "elsewhere"), Origin(LSN(9), "elsewhere")),
    "relation": (write.relation(ITEM), ITEM),
    "type": (write.type_message(17_000, "app", "mood"), TypeMessage(17_000, "app", "mood")),
    "insert": (write.insert(1, ROW), Insert(1, ROW)),
    "insert of no columns": (write.insert(1, []), Insert(1, [])),
    "update": (write.update(1, [b"1", UNCHANGED, b""]), Update(1, None, "", [b"1", UNCHANGED, b""])),
    "update of the key": (write.update(1, ROW, [b"2", None, None]), Update(1, [b"2", None, None], "K", ROW)),
    "update with the old row": (write.update(1, ROW, ROW, "O"), Update(1, ROW, "O", ROW)),
    "delete by key": (write.delete(1, [b"1", None, None]), Delete(1, [b"1", None, None], "K")),
    "delete with the old row": (write.delete(1, ROW, "O"), Delete(1, ROW, "O")),
    "truncate": (write.truncate([1, 2], 3), Truncate([1, 2], True, True)),
    "message": (write.message("seam.x", b"\0\xff", lsn=5), Message(True, LSN(5), "seam.x", b"\0\xff")),
    "message outside": (
        write.message("", b"", lsn=5, transactional=False),
        Message(False, LSN(5), "", b""),
    ),
}
each_message = pytest.mark.parametrize("data, expected", MESSAGES.values(), ids=MESSAGES.keys())


@each_message
def test_a_message_comes_back_as_it_was_written(data, expected):
    assert parse_message(data) == expected


@each_message
def test_a_message_cut_at_any_byte_is_refused_with_tag_and_length(data, expected):
    for length in range(len(data)):
        with pytest.raises(ProtocolError) as caught:
            parse_message(data[:length])
        assert caught.value.length == length
        assert caught.value.tag == ("" if length == 0 else chr(data[0]))
        assert caught.value.offset <= length


@each_message
def test_a_byte_too_many_is_refused(data, expected):
    with pytest.raises(ProtocolError, match="trailing bytes"):
        parse_message(data + b"\0")


def test_a_null_an_empty_text_and_an_unchanged_value_are_three_values():
    found = parse_message(write.insert(1, [None, b"", UNCHANGED]))
    assert isinstance(found, Insert)
    assert found.new[0] is None
    assert found.new[1] == b""
    assert found.new[2] is UNCHANGED


def test_a_value_of_more_than_half_a_buffer_is_not_taken_for_a_negative_length():
    data = bytearray(write.insert(1, [b"abc"]))
    data[9:13] = b"\xff\xff\xff\xff"
    with pytest.raises(ProtocolError, match="truncated value"):
        parse_message(bytes(data))


def test_a_count_of_relations_beyond_the_message_is_refused_at_once():
    data = bytearray(write.truncate([1]))
    data[1:5] = b"\xff\xff\xff\xff"
    with pytest.raises(ProtocolError, match="truncated relation ids"):
        parse_message(bytes(data))


def test_a_name_that_is_not_utf8_is_refused_where_it_stands():
    with pytest.raises(ProtocolError) as caught:
        parse_message(b"Y\0\0\0\1" + b"app\0" + b"m\xffod\0")
    assert (caught.value.tag, caught.value.offset) == ("Y", 10)


def test_an_unknown_message_is_named_by_its_tag():
    with pytest.raises(ProtocolError) as caught:
        parse_message(b"S\0\0\0\1")
    assert (caught.value.tag, caught.value.offset, caught.value.length) == ("S", 0, 5)


@given(st.binary(max_size=200))
@example(b"")
def test_random_bytes_are_a_message_or_a_protocol_error(data):
    with contextlib.suppress(ProtocolError):
        parse_message(data)


@given(st.sampled_from(sorted(MESSAGES)), st.data())
def test_changed_bytes_are_a_message_or_a_protocol_error(name, data):
    changed = bytearray(MESSAGES[name][0])
    for _ in range(data.draw(st.integers(1, 4))):
        changed[data.draw(st.integers(0, len(changed) - 1))] = data.draw(st.integers(0, 255))
    with contextlib.suppress(ProtocolError):
        parse_message(bytes(changed))
