"""Which rows a row message is about, beside the plain parser."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cdc.errors import ProtocolError
from cdc.model.relation import Column, Relation, ReplicaIdentity
from cdc.wire.identity import RowIdentity
from cdc.wire.pgoutput import UNCHANGED
from tests.support import pgoutput as write

OID = 16_384
RELATION = Relation(
    OID, "public", "item", ReplicaIdentity.DEFAULT,
    (Column("a", 25), Column("id", 23, key=True), Column("b", 25), Column("part", 23, key=True)),
)  # fmt: skip
ONE, TWO = RowIdentity(RELATION, ["id"]), RowIdentity(RELATION, ["part", "id"])
NEW = [b"u", b"1", UNCHANGED, b"2"]


def test_an_insert_is_about_its_row():
    payload = write.insert(OID, [b"x", b"1", None, b"2"])
    assert ONE.read(payload) == ([b"1"], None)
    assert TWO.read(payload) == ([(b"2", b"1")], None)


def test_a_delete_is_about_the_old_row():
    assert TWO.read(write.delete(OID, [None, b"1", None, b"2"])) == ([(b"2", b"1")], None)


def test_an_update_that_leaves_a_value_out_says_so():
    assert ONE.read(write.update(OID, NEW)) == ([b"1"], b"1")
    assert ONE.read(write.update(OID, [b"u", b"1", b"u", b"2"])) == ([b"1"], None)


def test_a_key_change_is_about_two_rows():
    assert ONE.read(write.update(OID, NEW, [None, b"7", None, b"2"])) == ([b"1", b"7"], b"1")


def test_a_whole_old_row_holds_what_the_new_one_leaves_out():
    assert ONE.read(write.update(OID, NEW, [b"u", b"1", b"long", b"2"], "O")) == ([b"1"], None)


def test_a_key_that_was_not_touched_and_not_sent_is_that_of_the_old_row():
    new = [b"x", UNCHANGED, b"y", b"2"]
    assert ONE.read(write.update(OID, new, [None, b"long key", None, b"2"])) == ([b"long key"], b"long key")


def test_a_relation_without_the_column_is_refused():
    with pytest.raises(ValueError, match="gone"):
        RowIdentity(RELATION, ["gone"])


def test_a_truncated_row_is_a_protocol_error():
    payload = write.update(OID, NEW)
    for end in range(6, len(payload) - 6):
        with pytest.raises(ProtocolError):
            ONE.read(payload[:end])


cells = st.one_of(st.none(), st.just(UNCHANGED), st.binary(max_size=5))


@given(
    st.lists(cells, min_size=4, max_size=4),
    st.lists(st.one_of(st.none(), st.binary(max_size=5)), min_size=4, max_size=4),
)
def test_it_agrees_with_the_plain_parser(new, old):
    keys, _ = TWO.read(write.update(OID, new, old, "O"))
    filled = [o if n is UNCHANGED else n for n, o in zip(new, old, strict=True)]
    assert keys[0] == (filled[3], filled[1])
    assert set(keys) == {(filled[3], filled[1]), (old[3], old[1])}
