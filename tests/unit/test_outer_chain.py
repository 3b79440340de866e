"""A chain that does not look inside the row makes of rendered records what it makes of Connect records."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from cdc.connect_form import ConnectCopy, connect_render
from cdc.converters.header import SimpleHeaderConverter
from cdc.converters.json import JsonConverter
from cdc.errors import DecodeError, TransformError
from cdc.layout import LayoutOptions, make_layout
from cdc.lsn import LSN
from cdc.model.record import SourceRecord
from cdc.model.relation import Column, ColumnFacts, Relation, ReplicaIdentity, TableFacts
from cdc.outer_chain import OuterChain, OuterCopy, fits
from cdc.render import ComposedRender, Placed, Record, RenderOptions
from cdc.render_copy import CopyRender, Reading
from cdc.source import SourceOptions
from cdc.topics import TopicNames
from cdc.transforms import compile_chain
from cdc.transforms.chain import Chain
from tests.support import pgoutput as write
from tests.unit.test_render_equals_reference import OIDS, VALUES, Case, cases, everything, messages, state

KAFKA = "org.apache.kafka.connect.transforms."
HEADERS = ["__debezium.newkey", "__debezium.oldkey", "seam.position", "seam.unavailable", "__debezium.context.taskId"]

STEPS: dict[str, st.SearchStrategy[dict[str, str]]] = {
    KAFKA + "RegexRouter": st.sampled_from([
        {"regex": "p\\.(.*)", "replacement": "q-$1"}, {"regex": ".*", "replacement": "all"}, {"regex": "q.*", "replacement": "r"},
    ]),
    KAFKA + "InsertHeader": st.builds(
        lambda name, text: {"header": name, "value.literal": text},
        st.sampled_from(["origin", "seam.position"]), st.sampled_from(["legacy", "1", '{"a":[1]}', "2024-01-01"]),
    ),
    KAFKA + "DropHeaders": st.lists(st.sampled_from([*HEADERS, "origin"]), min_size=1, max_size=3, unique=True).map(lambda n: {"headers": ",".join(n)}),
    KAFKA + "Filter": st.just({}),
    "seam.transforms.InsertSource": st.just({"facts": "host,slot:from"}),
}  # fmt: skip
PREDICATES: dict[str, dict[str, str]] = {
    "deleted": {"type": KAFKA + "predicates.RecordIsTombstone"},
    "moved": {"type": KAFKA + "predicates.HasHeaderKey", "name": "__debezium.newkey"},
    "marked": {"type": KAFKA + "predicates.HasHeaderKey", "name": "origin"},
    "routed": {"type": KAFKA + "predicates.TopicNameMatches", "pattern": "q-.*"},
}


@st.composite
def chains(draw: st.DrawFn) -> Chain:
    steps = draw(st.lists(st.sampled_from(sorted(STEPS)), min_size=1, max_size=4))
    properties = {"transforms": ",".join(f"s{at}" for at in range(len(steps))), "predicates": ",".join(PREDICATES)}
    for name, options in PREDICATES.items():
        properties |= {f"predicates.{name}.{option}": text for option, text in options.items()}
    for at, step in enumerate(steps):
        options = {"type": step, **draw(STEPS[step])}
        if step.endswith("Filter") or draw(st.booleans()):
            options |= {
                "predicate": draw(st.sampled_from(sorted(PREDICATES))),
                "negate": draw(st.sampled_from(["true", "false"])),
            }
        properties |= {f"transforms.s{at}.{option}": text for option, text in options.items()}
    return compile_chain(properties)


class Emit:
    """The plain way: chain, then converters."""

    def __init__(self, case: Case, chain: Chain) -> None:
        self.chain = chain
        self.key = JsonConverter(schemas_enable=case.render.key_schemas)
        self.value = JsonConverter(schemas_enable=case.render.value_schemas)

    def __call__(self, record: SourceRecord) -> list[Record]:
        header = SimpleHeaderConverter().from_connect
        return [
            Placed.of((
                made.topic, self.key.from_connect(made.key_schema, made.key),
                self.value.from_connect(made.value_schema, made.value),
                [(each.name, header(each.schema, each.value)) for each in made.headers] or None,
            ), made.partition, made.timestamp)
            for made in self.chain.apply(record)
        ]  # fmt: skip


def outcome(call: Any) -> Any:
    try:
        return [(*record, getattr(record, "partition", None)) for record in call()]
    except DecodeError as error:
        return "not decoded" if "Refusal" in repr(error.__cause__) else str(error)
    except TransformError as error:
        return str(error)


def narrow(column: str) -> Any:
    raise DecodeError(f"no room in {column}", table="", position="")


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.data())
def test_the_records_are_those_of_the_plain_form(data):
    case = data.draw(cases())
    chain = data.draw(chains())
    assert fits(chain)
    payloads = data.draw(st.lists(messages(case), min_size=1, max_size=5))
    layout = make_layout(case.relation, case.facts, {}, case.layout)
    plain = connect_render(layout, case.render, narrow, Emit(case, chain))
    outer = OuterChain(chain, "p")
    composed = outer.around(lambda inner: ComposedRender(layout, case.render, inner).render, narrow)
    left, right = state(case), state(case)
    for payload in payloads:
        assert outcome(lambda: composed(payload, b"55", left)) == outcome(lambda: plain(payload, 55, right))  # noqa: B023


@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.data())
def test_rows_that_are_read_are_those_of_the_plain_form(data):
    case = data.draw(cases())
    chain = data.draw(chains())
    layout = make_layout(case.relation, case.facts, {}, case.layout)
    plain = ConnectCopy(layout, case.render, case.source, Emit(case, chain))
    rows = CopyRender(layout, case.render, case.source)
    usual = rows.headers() if case.render.extended_headers else None
    composed = OuterCopy(rows, OuterChain(chain, "p"), usual, layout.relation.qualified)
    reading = Reading("true", LSN(9), 1_700_000_000_000_001, 1_700_000_000_000_000_001, 7)
    for _ in range(3):
        row = [data.draw(st.one_of(VALUES[kind][1], st.none())) for kind in case.types]
        line = "\t".join("\\N" if text is None else escaped(text) for text in row).encode() + b"\n"
        left = outcome(lambda: [r for r in [composed.row(line, composed.tail(reading))[1]] if r is not None])  # noqa: B023
        right = outcome(lambda: [r for r in [plain.row(line, reading)[1]] if r is not None])  # noqa: B023
        assert left == right or (isinstance(left, str) and isinstance(right, str))


def escaped(text: str) -> str:
    for raw, sign in (("\\", "\\\\"), ("\t", "\\t"), ("\n", "\\n"), ("\r", "\\r")):
        text = text.replace(raw, sign)
    return text


def one_table() -> tuple[Case, Any]:
    relation = Relation(
        9, "public", "item", ReplicaIdentity.DEFAULT, (Column("id", OIDS["int4"], -1, True), Column("n", OIDS["text"]))
    )
    facts = TableFacts(("id",), columns={"n": ColumnFacts(not_null=True)})
    options = LayoutOptions(TopicNames("p"), everything)
    case = Case(relation, facts, options, RenderOptions(TopicNames("p"), extended_headers=False), SourceOptions("p", "d", extended_headers=False), ("int4", "text"))  # fmt: skip
    return case, make_layout(relation, facts, {}, options)


def test_a_row_that_outgrows_its_schema_goes_through_the_chain_once():
    case, layout = one_table()
    chain = compile_chain(
        {
            "transforms": "a",
            "transforms.a.type": "RegexRouter",
            "transforms.a.regex": "(.*)",
            "transforms.a.replacement": "$1x",
        }
    )
    outer = OuterChain(chain, "p")

    def widened(column: str) -> Any:
        assert column == "n"
        wide = make_layout(case.relation, case.facts, {}, case.layout, nullable=frozenset({column}))
        return outer.around(lambda inner: ComposedRender(wide, case.render, inner).render, widened)

    render = outer.around(lambda inner: ComposedRender(layout, case.render, inner).render, widened)
    (record,) = render(write.insert(9, [b"1", None]), b"5", state(case))
    assert record[0] == "p.public.itemx"


def loud(record: SourceRecord) -> SourceRecord:
    return record.replace(topic=record.topic.upper(), partition=3)


def liar(record: SourceRecord) -> SourceRecord:
    return record.replace(value="something else")


loud.reads = liar.reads = ("topic",)  # type: ignore[attr-defined]


def python_chain(name: str) -> Chain:
    return compile_chain({"transforms": "a", "transforms.a.type": f"python:{__name__}:{name}"})


def test_a_step_of_the_users_own_that_names_what_it_reads_gets_rows_that_are_not_decoded():
    case, layout = one_table()
    chain = python_chain("loud")
    assert fits(chain)
    render = OuterChain(chain, "p").around(lambda inner: ComposedRender(layout, case.render, inner).render, narrow)
    (record,) = render(write.insert(9, [b"1", b"x"]), b"5", state(case))
    assert (record[0], record.partition) == ("P.PUBLIC.ITEM", 3)
    assert b'"n":"x"' in record[2]


def test_a_step_that_changes_what_it_says_it_does_not_read_is_refused():
    case, layout = one_table()
    render = OuterChain(python_chain("liar"), "p").around(
        lambda inner: ComposedRender(layout, case.render, inner).render, narrow
    )
    with pytest.raises(TransformError, match="though its `reads` names neither"):
        render(write.insert(9, [b"1", b"x"]), b"5", state(case))


@pytest.mark.parametrize(
    "step", ["ReplaceField$Value", "ValueToKey", "io.debezium.transforms.ExtractNewRecordState"], ids=str
)
def test_a_chain_that_looks_into_the_row_keeps_the_plain_form(step):
    assert not fits(compile_chain({"transforms": "a", "transforms.a.type": step, "transforms.a.fields": "id"}))


def test_a_chain_that_tells_positions_is_left_to_the_plain_form():
    step = {"type": "seam.transforms.InsertSource", "facts": "position"}
    assert not fits(compile_chain({"transforms": "s", **{f"transforms.s.{k}": v for k, v in step.items()}}))


def test_a_topic_that_the_chain_chooses_is_told_before_its_first_record():
    chain = compile_chain({
        "transforms": "s", "transforms.s.type": KAFKA + "RegexRouter",
        "transforms.s.regex": ".*", "transforms.s.replacement": "all",
    })  # fmt: skip
    told: list[str] = []
    outer = OuterChain(chain, "p", told.append)
    assert [sent[0] for _ in range(2) for sent in outer.apply(("p.a", b"k", b"v", None))] == ["all", "all"]
    assert told == ["all"]
