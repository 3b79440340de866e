"""Rows that go from text to Avro are what the plain rows and the Avro converter make of them."""

from __future__ import annotations

import io
import json
from typing import Any

import fastavro
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from cdc.avro_form import AvroCopy, AvroWriter, long
from cdc.connect_form import ConnectCopy, connect_render
from cdc.converters.avro import AvroConverter, AvroSchemas, compose
from cdc.converters.header import SimpleHeaderConverter
from cdc.errors import ConvertError, DecodeError
from cdc.layout import LayoutOptions, make_layout
from cdc.lsn import LSN
from cdc.model.record import SourceRecord
from cdc.model.relation import Column, Relation, ReplicaIdentity, TableFacts
from cdc.model.schema import INT64
from cdc.render import ComposedRender, Record, RenderOptions
from cdc.render_copy import Reading
from cdc.source import SourceOptions, SourceState
from cdc.topics import TopicNames
from tests.support import pgoutput
from tests.unit.converters.test_avro import Ids
from tests.unit.test_outer_chain import escaped
from tests.unit.test_render_equal import KINDS, LSN_TEXT, OIDS, Case, _state, cases
from tests.unit.test_render_equals_reference import everything


def converters(options: RenderOptions) -> tuple[AvroConverter, AvroConverter]:
    schemas = AvroSchemas(scrub=True)
    return (
        AvroConverter(Ids(), key=True, schemas=schemas, null_as_default=options.key_null_as_default),
        AvroConverter(Ids(), key=False, schemas=schemas, null_as_default=options.null_as_default),
    )


class Emit:
    """The plain way."""

    def __init__(self, options: RenderOptions) -> None:
        self.key, self.value = converters(options)

    def __call__(self, made: SourceRecord) -> list[Record]:
        header = SimpleHeaderConverter().from_connect
        return [
            (
                made.topic, self.key.from_connect(made.topic, made.key_schema, made.key),
                self.value.from_connect(made.topic, made.value_schema, made.value),
                [(each.name, header(each.schema, each.value)) for each in made.headers] or None,
            )
        ]  # fmt: skip


def outcome(call: Any) -> Any:
    try:
        return [tuple(record) for record in call() if record is not None]
    except DecodeError:
        return "refused"  # which of several columns is named is a matter of order


def narrow(column: str) -> Any:
    raise DecodeError(f"no room in {column}", table="", position="")


@settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.data())
def test_the_records_are_those_of_the_plain_form(data):
    case: Case = data.draw(cases(numeric=False))
    plain = connect_render(case.layout, case.options, narrow, Emit(case.options))
    writer = AvroWriter(case.layout, case.options, *converters(case.options))
    composed = ComposedRender(case.layout, case.options, narrow, writer).render
    for payload in case.payloads:
        left, right = _state(case), _state(case)
        found = outcome(lambda: composed(payload, LSN_TEXT, left))  # noqa: B023
        assert found == outcome(lambda: plain(payload, LSN_TEXT, right)), payload  # noqa: B023


@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.data())
def test_rows_that_are_read_are_those_of_the_plain_form(data):
    case: Case = data.draw(cases(numeric=False))
    plain = ConnectCopy(case.layout, case.options, case.source, Emit(case.options))
    writer = AvroWriter(case.layout, case.options, *converters(case.options))
    composed = AvroCopy(case.layout, case.options, case.source, writer)
    usual = composed.headers() if case.options.extended_headers else None
    reading = Reading("true", LSN(9), 1_700_000_000_000_001, 1_700_000_000_000_000_001, 7)
    columns = case.layout.relation.columns
    texts = {(OIDS[name], typmod): strategy for (name, typmod), strategy in KINDS.items()}
    row = [data.draw(st.one_of(texts[column.type_oid, column.typmod], st.none())) for column in columns]
    line = "\t".join("\\N" if text is None else escaped(text) for text in row).encode() + b"\n"
    left = outcome(lambda: [composed.row(line, composed.tail(reading))[1]])
    if isinstance(left, list):
        left = [(*record[:3], usual if record[3] is None else record[3]) for record in left]
    assert left == outcome(lambda: [plain.row(line, reading)[1]])


@given(st.integers(-(2**63), 2**63 - 1))
def test_a_number_is_written_as_the_converter_writes_it(number):
    out = bytearray()
    compose(INT64)(out, number)
    assert long(number) == bytes(out)


def item() -> tuple[Any, RenderOptions, SourceState]:
    columns = (Column("id", OIDS["int4"], -1, True), Column("odd name", OIDS["text"]))
    relation = Relation(9, "public", "item", ReplicaIdentity.DEFAULT, columns)
    layout = make_layout(relation, TableFacts(("id",)), {}, LayoutOptions(TopicNames("p"), everything))
    state = SourceState(SourceOptions("p", "shop", extended_headers=False))
    state.set_clock(1_700_000_000_123_456_789)
    state.begin(LSN(9), 1_700_000_000_000_000, 5, 9)
    return layout, RenderOptions(TopicNames("p"), extended_headers=False), state


def test_another_implementation_reads_a_whole_event():
    layout, options, state = item()
    writer = AvroWriter(layout, options, *converters(options))
    ((_, key, value, _),) = ComposedRender(layout, options, None, writer).render(
        pgoutput.insert(9, [b"1", b"x"]), b"77", state
    )
    assert key == b"\x00\x00\x00\x00\x01\x02"
    schema = fastavro.parse_schema(json.loads(AvroSchemas(scrub=True).text(writer.event)))
    event = fastavro.schemaless_reader(io.BytesIO(value[5:]), schema)
    assert event["after"] == {"id": 1, "odd_name": "x"}
    assert (event["op"], event["source"]["db"], event["source"]["sequence"]) == ("c", "shop", '[null,"77"]')


def test_a_name_that_avro_does_not_allow_is_told_of_the_topic_at_the_first_row():
    layout, options, state = item()
    refusing = AvroConverter(Ids(), key=True), AvroConverter(Ids(), key=False)
    render = ComposedRender(layout, options, None, AvroWriter(layout, options, *refusing)).render
    with pytest.raises(ConvertError, match="no Avro name") as told:
        render(pgoutput.insert(9, [b"1", b"x"]), b"77", state)
    assert "p.public.item" in str(told.value)


def test_a_registry_that_is_away_is_asked_again_with_the_next_row():
    layout, options, state = item()

    class Away(Ids):
        def register(self, subject: str, schema: str) -> int:
            if len(self.asked) < 2:
                self.asked.append((subject, schema))
                raise ConvertError("away", topic="t")
            return super().register(subject, schema)

    away = Away()
    schemas = AvroSchemas(scrub=True)
    key, value = AvroConverter(away, key=True, schemas=schemas), AvroConverter(away, key=False, schemas=schemas)
    render = ComposedRender(layout, options, None, AvroWriter(layout, options, key, value)).render
    for _ in range(2):
        with pytest.raises(ConvertError, match="away"):
            render(pgoutput.insert(9, [b"1", b"x"]), b"77", state)
    assert len(render(pgoutput.insert(9, [b"1", b"x"]), b"77", state)) == 1
