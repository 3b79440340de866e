"""What a record does to a view."""

from __future__ import annotations

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.support.messages import FakeLog, envelope, position
from views.batch import Run, Truncation, ViewState
from views.envelopes import UNAVAILABLE, merge
from views.errors import KeysMissing, SchemaIncompatible
from views.unwrap import Unwrapper

TOPIC = "shop.public.orders"
ROW = {"id": 1, "note": "x"}


def taken(log: FakeLog, **options) -> list[tuple[bytes, bytes | None]]:
    batch = Unwrapper(ViewState(), **options).batch(log.messages)
    return [pair for run in batch.runs() for pair in zip(run.keys, run.values, strict=True)]


def reasons(log: FakeLog, **options) -> list[str]:
    return [letter.reason for letter in Unwrapper(ViewState(), **options).batch(log.messages).dead]


@pytest.mark.parametrize("op", ["c", "u", "r"])
def test_an_event_becomes_the_row_after_it(op: str):
    log = FakeLog()
    log.append(TOPIC, b'{"id":1}', envelope(op, None, ROW))
    assert taken(log) == [(b'{"id":1}', b'{"id":1,"note":"x"}')]


def test_a_delete_and_its_tombstone_take_the_row_away():
    log = FakeLog()
    log.append(TOPIC, b'{"id":1}', envelope("d", ROW, None))
    log.append(TOPIC, b'{"id":1}', None)
    assert taken(log) == [(b'{"id":1}', None)] * 2


def test_numbers_and_escapes_stay_as_they_were_written():
    log = FakeLog()
    row = b'{"price":1.10,"big":12345678901234567890123,"t":"\\u00e9"}'
    event = envelope("c", None, None).replace(b'"after":null', b'"after":' + row)
    log.append(TOPIC, b'{"id":1}', event)
    assert taken(log) == [(b'{"id":1}', row)]


def test_schemas_beside_key_and_value_are_left_out():
    log = FakeLog()
    schema = {"type": "struct", "fields": []}
    key = json.dumps({"schema": schema, "payload": {"id": 1}}, separators=(",", ":")).encode()
    value = b'{"schema":{"type":"struct"},"payload":' + envelope("c", None, ROW) + b"}"
    log.append(TOPIC, key, value)
    log.append(TOPIC, b'{"schema":{"type":"int32"},"payload":7}', b'{"schema":{"type":"struct"},"payload":{"a":1}}')
    unwrapper = Unwrapper(ViewState())
    batch = unwrapper.batch(log.messages[:1])
    assert next(batch.runs()).keys == [b'{"id":1}']
    assert next(batch.runs()).values == [b'{"id":1,"note":"x"}']
    second = next(Unwrapper(ViewState()).batch(log.messages[1:]).runs())
    assert (second.keys, second.values) == ([b"7"], [b'{"a":1}'])


def test_a_plain_row_is_taken_as_it_is_even_with_a_column_called_op():
    log = FakeLog()
    log.append(TOPIC, b"1", b'{"op":"c","after":{"x":1}}')
    assert taken(log) == [(b"1", b'{"op":"c","after":{"x":1}}')]


def test_only_the_wanted_fields_are_kept():
    log = FakeLog()
    log.append(TOPIC, b'{"id":1}', envelope("c", None, {"id": 1, "a": [1], "b": "x"}))
    assert taken(log, fields=["b", "id", "missing"]) == [(b'{"id":1}', b'{"b":"x","id":1}')]


def test_other_columns_can_make_the_key_and_a_changed_key_moves_the_row():
    log = FakeLog()
    log.append(TOPIC, None, envelope("c", None, {"code": "a", "n": 1}))
    log.append(TOPIC, None, envelope("u", {"code": "a", "n": 1}, {"code": "b", "n": 2}))
    log.append(TOPIC, None, envelope("d", {"code": "b", "n": 2}, None))
    assert taken(log, key=["code"]) == [
        (b'{"code":"a"}', b'{"code":"a","n":1}'),
        (b'{"code":"a"}', None),
        (b'{"code":"b"}', b'{"code":"b","n":2}'),
        (b'{"code":"b"}', None),
    ]


def test_a_delete_without_the_old_row_cannot_be_found_by_other_columns():
    log = FakeLog()
    log.append(TOPIC, None, envelope("d", {"id": 1}, None))
    assert reasons(log, key=["code"]) == [
        "NULL_KEY the before row has no code: the table needs REPLICA IDENTITY FULL for this key"
    ]


@pytest.mark.parametrize(
    ("key", "value", "code"),
    [
        (None, b'{"a":1}', "NULL_KEY"),
        (b"1", b"{", "UNDECODABLE"),
        (b"1", b"", "UNDECODABLE"),
        (b"1", b'{"a":"\xff"}', "UNDECODABLE"),
        (b"1", b"\x00\x00\x00\x00\x01\x02", "UNDECODABLE"),
        (b'{"id":', b'{"a":1}', "UNDECODABLE"),
        (b"1", envelope("c", None, None), "UNDECODABLE"),
        (b"1", b'{"a":"' + b"x" * 400 + b'"}', "OVERSIZE"),
    ],
)
def test_what_cannot_be_taken_is_set_aside_with_its_place_and_the_view_goes_on(key, value, code: str):
    log = FakeLog()
    log.append(TOPIC, b"0", b'{"a":0}')
    poison = log.append(TOPIC, key, value)
    log.append(TOPIC, b"2", b'{"a":2}')
    batch = Unwrapper(ViewState(), max_value_bytes=300).batch(log.messages)
    (letter,) = batch.dead
    assert letter.reason.split()[0] == code
    assert (letter.topic, letter.partition, letter.offset) == (TOPIC, 0, poison.offset())
    assert next(batch.runs()).keys == [b"0", b"2"]
    assert batch.state.offsets == {(TOPIC, 0): 3}
    assert batch.state.dead == 1


def test_a_topic_none_of_whose_records_has_a_key_is_an_error():
    log = FakeLog()
    log.append(TOPIC, None, b'{"a":1}')
    unwrapper = Unwrapper(ViewState())
    unwrapper.batch(log.messages)
    with pytest.raises(KeysMissing, match="none of its records has a key"):
        unwrapper.check_keys()
    log.append(TOPIC, b"1", b'{"a":1}')
    unwrapper.batch(log.messages)
    unwrapper.check_keys()


def test_a_key_of_other_columns_is_an_error():
    log = FakeLog()
    log.append(TOPIC, b'{"id":1}', b'{"a":1}')
    log.append(TOPIC, b'{"id":1,"region":"x"}', b'{"a":1}')
    with pytest.raises(SchemaIncompatible, match="were id and are id, region now"):
        Unwrapper(ViewState()).batch(log.messages)


def test_what_comes_again_after_a_restart_of_the_engine_does_not_turn_the_view_back():
    log = FakeLog()
    for commit, note in ((10, "a"), (20, "b"), (30, "c"), (20, "b"), (30, "c"), (40, "d")):
        log.append(TOPIC, b'{"id":1}', envelope("u", None, {"id": 1, "note": note}), headers=position(commit))
    assert [json.loads(value)["note"] for _, value in taken(log)] == ["a", "b", "c", "d"]


def test_a_snapshot_row_is_taken_whatever_position_it_carries():
    log = FakeLog()
    log.append(TOPIC, b'{"id":1}', envelope("u", None, {"id": 1, "note": "a"}), headers=position(30))
    log.append(TOPIC, b'{"id":1}', envelope("r", None, {"id": 1, "note": "b"}), headers=position(20))
    assert [json.loads(value)["note"] for _, value in taken(log)] == ["a", "b"]


def test_another_timeline_is_later_and_another_system_starts_anew():
    log = FakeLog()
    for where in ({}, {"timeline": 2}, {"system": 8}):
        log.append(
            TOPIC, b'{"id":1}', envelope("u", None, {"id": 1, "w": len(log.messages)}), headers=position(5, **where)
        )
    assert [json.loads(value)["w"] for _, value in taken(log)] == [0, 1, 2]


def test_a_truncation_covers_what_was_written_before_it_wherever_it_is_read():
    log = FakeLog()
    log.append(TOPIC, None, envelope("t", None, None), headers=position(20))
    log.append(TOPIC, b'{"id":1}', envelope("c", None, {"id": 1}), partition=1, headers=position(10))
    log.append(TOPIC, b'{"id":2}', envelope("c", None, {"id": 2}), partition=1, headers=position(30))
    batch = Unwrapper(ViewState()).batch(log.messages)
    truncation, run = batch.items
    assert isinstance(truncation, Truncation)
    assert isinstance(run, Run)
    assert run.keys == [b'{"id":2}']


def test_columns_that_were_not_sent_are_named_and_completed_by_the_row_before():
    log = FakeLog()
    log.append(TOPIC, b'{"id":1}', envelope("u", None, {"id": 1, "big": UNAVAILABLE.decode(), "n": 2}))
    run = next(Unwrapper(ViewState()).batch(log.messages).runs())
    assert run.partial == {0: ("big",)}
    assert merge(run.values[0], b'{"id":1,"big":"long 1.10","n":1}', ("big",)) == b'{"id":1,"big":"long 1.10","n":2}'
    assert merge(run.values[0], None, ("big",)) == b'{"id":1,"n":2}'


values = st.sampled_from(
    [b'{"a":1}', b'{"op":"c"}', b"[1]", b"1,2", b"{", b"]", b'{"a":[{}', b"{}]}", b'"\xc3\xa9"', b'"\xff"', b"", None,
     b'{"schema":{},"payload":{"a":2}}', envelope("c", None, {"id": 1}), envelope("d", {"id": 1}, None),
     b'{"x":"__debezium_unavailable_value"}', b" 7 ", envelope("u", {"id": 1}, {"id": 1, "a": 2}), envelope("r", None, {"id": 3}),
     envelope("t", None, None), envelope("m", None, None), envelope("c", None, None), envelope("cu", None, {"id": 1}),
     envelope("u", None, {"x": "__debezium_unavailable_value"}), envelope("c", None, {"id": 1}).replace(b'"op"', b'"op" '),
     envelope("c", None, {"id": 1}) + b"}", envelope("c", None, {"t": "\u00e9"}), envelope("c", None, {"id": 4}).replace(b"4", b"\xff"),
     b'{"schema":{},"payload":' + envelope("c", None, {"id": 5}) + b"}", b'{"a":"' + b"y" * 90 + b'"}']
)  # fmt: skip
keys = st.sampled_from([b"a", b"b", b"zz", b"|", b'{"id":1}', b'{"id":2}', b'{"id":"x"}', b"7", None])
headers = st.none() | st.sampled_from(
    [tuple(position(5)), tuple(position(9)), tuple(position(7, system=8)), (("seam.position", b"no position"),),
     (("seam.position", None), ("other", b"x")), (*position(6), ("__debezium.context.connectorLogicalName", b"other"))]
)  # fmt: skip


@settings(deadline=None, max_examples=400)
@given(
    st.lists(st.tuples(keys, values, headers, st.integers(0, 1)), max_size=12),
    st.sampled_from([(), ("id",)]),
    st.sampled_from([60, 1000]),
)
def test_the_short_way_gives_what_the_reference_gives(records, columns, most):
    log = FakeLog()
    for key, value, head, partition in records:
        log.append(TOPIC, key, value, partition=partition, headers=head)
    known = ViewState(key_columns={TOPIC: columns})
    quick, plain = (Unwrapper(known, max_value_bytes=most) for _ in range(2))
    plain._plain = lambda messages, batch: False
    plain._quick = False
    outcomes = []
    for unwrapper in (quick, plain):
        try:
            batch = unwrapper.batch(log.messages)
        except SchemaIncompatible as error:
            outcomes.append(str(error))
            continue
        rows = [
            (run.partition, key, value, offset, run.source(i), run.partial.get(i))
            for run in batch.runs()
            for i, (key, value, offset) in enumerate(zip(run.keys, run.values, run.offsets, strict=True))
        ]
        letters = [(letter.partition, letter.offset, letter.reason) for letter in batch.dead]
        outcomes.append((rows, letters, batch.state))
    assert outcomes[0] == outcomes[1]
