"""Rows that are unwrapped as text are what ExtractNewRecordState and the converters make of the event."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from cdc.connect_form import ConnectCopy, connect_render
from cdc.converters.header import SimpleHeaderConverter
from cdc.converters.json import JsonConverter
from cdc.errors import DecodeError
from cdc.layout import LayoutOptions, make_layout
from cdc.lsn import LSN
from cdc.model.record import SourceRecord
from cdc.model.relation import Column, Relation, ReplicaIdentity, TableFacts
from cdc.render import ComposedRender, Record, RenderOptions
from cdc.render_copy import Reading
from cdc.topics import TopicNames
from cdc.transforms import Surroundings, compile_chain
from cdc.transforms.chain import Chain
from cdc.transforms.debezium.new_record_state import MODES
from cdc.unwrapping import Unfit, UnwrapCopy, UnwrapWriter
from tests.unit.test_outer_chain import escaped
from tests.unit.test_render_equal import KINDS, LSN_TEXT, OIDS, Case, _state, cases
from tests.unit.test_render_equals_reference import everything

SOURCE = (
    "version", "connector", "name", "ts_ms", "snapshot", "db", "sequence", "ts_us", "ts_ns", "schema", "table", "txId", "lsn",
    "xmin",
)  # fmt: skip
FIELDS = [
    "op",
    "ts_ms",
    "ts_us",
    "ts_ns",
    "id",
    "total_order",
    "nothing:there",
    *SOURCE[:3],
    *(f"source.{name}" for name in SOURCE),
    "source.lsn:log",
]

fields = st.lists(st.sampled_from(FIELDS), max_size=4).map(",".join)


def chain_of(options: dict[str, str], *, strict: bool) -> Chain:
    properties = {f"transforms.u.{name}": text for name, text in options.items()}
    name = "io.debezium.transforms.ExtractNewRecordState"
    return compile_chain({"transforms": "u", "transforms.u.type": name, **properties}, Surroundings(strict=strict))


@st.composite
def chains(draw: st.DrawFn, *, strict: bool) -> Chain:
    options = {
        "delete.tombstone.handling.mode": draw(st.sampled_from(MODES)), "add.fields": draw(fields), "add.headers": draw(fields),
        "replace.null.with.default": draw(st.sampled_from(["true", "false"])),
        "add.fields.prefix": draw(st.sampled_from(["__", "", 'q"'])),
    }  # fmt: skip
    return chain_of(options, strict=strict)


class Emit:
    """The plain way: chain, then converters."""

    def __init__(self, options: RenderOptions, chain: Chain) -> None:
        self.chain = chain
        self.key = JsonConverter(
            schemas_enable=options.key_schemas, decimal_numeric=options.key_decimal_numeric,
            replace_null_with_default=options.key_null_as_default,
        )  # fmt: skip
        self.value = JsonConverter(
            schemas_enable=options.value_schemas, decimal_numeric=options.value_decimal_numeric,
            replace_null_with_default=options.null_as_default,
        )  # fmt: skip

    def __call__(self, record: SourceRecord) -> list[Record]:
        header = SimpleHeaderConverter().from_connect
        return [
            (
                made.topic, self.key.from_connect(made.key_schema, made.key),
                self.value.from_connect(made.value_schema, made.value),
                [(each.name, header(each.schema, each.value)) for each in made.headers] or None,
            )
            for made in self.chain.apply(record)
        ]  # fmt: skip


def without_blocks(case: Case) -> Case:
    """Transaction blocks are left to the plain form."""
    options = replace(case.options, transaction_metadata=False)
    return replace(case, options=options, source=replace(case.source, transaction_metadata=False))


def outcome(call: Any) -> Any:
    try:
        return [(*record[:3], record[3] or None) for record in call() if record is not None]
    except DecodeError:
        return "refused"  # which of several columns is named is a matter of order


def narrow(column: str) -> Any:
    raise DecodeError(f"no room in {column}", table="", position="")


@settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much])
@given(st.data())
def test_the_records_are_those_of_the_plain_form(data):
    case: Case = without_blocks(data.draw(cases()))
    chain = data.draw(chains(strict=case.source.strict))
    assume(chain.unwrap is not None)
    plain = connect_render(case.layout, case.options, narrow, Emit(case.options, chain))
    left, right = _state(case), _state(case)
    try:
        writer = UnwrapWriter(case.layout, case.options, chain.unwrap)
    except Unfit:
        return
    composed = ComposedRender(case.layout, case.options, narrow, writer).render
    for payload in case.payloads:
        found = outcome(lambda: composed(payload, LSN_TEXT, left))  # noqa: B023
        assert found == outcome(lambda: plain(payload, LSN_TEXT, right)), payload  # noqa: B023
        # A refused row has had some positions in the plain form, which looks at one record after the other.
        right.ordinal = left.ordinal


@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.data())
def test_rows_that_are_read_are_those_of_the_plain_form(data):
    case: Case = without_blocks(data.draw(cases()))
    chain = data.draw(chains(strict=case.source.strict))
    assume(chain.unwrap is not None)
    try:
        composed = UnwrapCopy(
            case.layout, case.options, case.source, UnwrapWriter(case.layout, case.options, chain.unwrap)
        )
    except Unfit:
        return
    plain = ConnectCopy(case.layout, case.options, case.source, Emit(case.options, chain))
    reading = Reading("true", LSN(9), 1_700_000_000_000_001, 1_700_000_000_000_000_001, 7)
    kinds = {oid: texts for (name, typmod), texts in KINDS.items() for oid in [(OIDS[name], typmod)]}
    columns = case.layout.relation.columns
    for _ in range(3):
        row = [data.draw(st.one_of(kinds[column.type_oid, column.typmod], st.none())) for column in columns]
        line = "\t".join("\\N" if text is None else escaped(text) for text in row).encode() + b"\n"
        left = outcome(lambda: [composed.row(line, composed.tail(reading))[1]])  # noqa: B023
        right = outcome(lambda: [plain.row(line, reading)[1]])  # noqa: B023
        assert left == right


def one_table(**options: Any) -> tuple[Any, RenderOptions]:
    relation = Relation(
        9, "public", "item", ReplicaIdentity.DEFAULT, (Column("id", OIDS["int4"], -1, True), Column("n", OIDS["text"]))
    )
    layout = make_layout(
        relation,
        TableFacts(("id",)),
        {},
        LayoutOptions(TopicNames("p"), everything),
    )
    return layout, RenderOptions(TopicNames("p"), **options)


@pytest.mark.parametrize(
    "options",
    [{"add.fields": "before.n"}, {"add.fields": "after.n"}, {"add.fields": "source.origin"}, {"add.fields": "nowhere.n"},
     {"add.headers": "source"}, {"add.fields": "op,op"}],
    ids=str,
)  # fmt: skip
def test_what_the_form_does_not_have_is_left_to_the_plain_one(options):
    layout, render = one_table()
    unwrap = chain_of(options, strict=False).unwrap
    with pytest.raises(Unfit):
        UnwrapWriter(layout, render, unwrap)


def test_a_transaction_block_is_left_to_the_plain_form():
    layout, render = one_table(transaction_metadata=True)
    with pytest.raises(Unfit):
        UnwrapWriter(layout, render, chain_of({}, strict=False).unwrap)
