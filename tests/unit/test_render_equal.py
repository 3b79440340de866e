"""The composed renderer writes what the plain one and the converters write, on relations and rows of every kind."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from cdc.column_rules import column_rules
from cdc.converters.inference import connect_text
from cdc.converters.json import JsonConverter
from cdc.errors import DecodeError
from cdc.layout import Layout, LayoutOptions, make_layout
from cdc.lsn import LSN
from cdc.model.relation import Column, ColumnFacts, Relation, ReplicaIdentity, TableFacts
from cdc.render import ComposedRender, Refusal, RenderOptions
from cdc.rows import RowRecords
from cdc.selection import select
from cdc.source import SourceOptions, SourceState
from cdc.topics import ADJUSTMENTS, Routing, TopicNames
from cdc.transforms.javaregex import JavaPattern
from cdc.values.builtin import BUILTIN
from cdc.values.registry import ValueModes
from cdc.wire.pgoutput import UNCHANGED
from tests.support import pgoutput

OID = 4711
OIDS = {pg_type.name: oid for oid, pg_type in BUILTIN.items()}
LSN_TEXT = b"123456789"

plain = st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), max_size=12)
# Type and modifier -> texts that the server may send.
KINDS: dict[tuple[str, int], st.SearchStrategy[str]] = {
    ("text", -1): plain,
    ("varchar", 9): plain,
    ("int4", -1): st.integers(-(2**31), 2**31 - 1).map(str),
    ("int8", -1): st.integers(-(2**63), 2**63 - 1).map(str),
    ("bool", -1): st.sampled_from(["t", "f"]),
    ("numeric", -1): st.one_of(st.decimals(allow_nan=False, allow_infinity=False, places=3).map(lambda d: f"{d:f}"), st.sampled_from(["NaN", "Infinity"])),
    ("numeric", ((10 << 16) | 2) + 4): st.one_of(st.integers(-(10**9), 10**9).map(lambda n: f"{n}.25"), st.just("NaN")),
    ("float8", -1): st.sampled_from(["1.5", "1e+300", "NaN", "-Infinity", "0"]),
    ("date", -1): st.sampled_from(["2024-02-29", "0044-03-15 BC", "infinity"]),
    ("timestamptz", -1): st.sampled_from(["2024-02-29 12:00:00.123456+00", "infinity"]),
    ("jsonb", -1): st.sampled_from(["{}", '{"a": "\\"x\\""}', "null"]),
    ("uuid", -1): st.uuids().map(str),
    ("bytea", -1): st.binary(max_size=9).map(lambda data: "\\x" + data.hex()),
    ("point", -1): st.just("(1.5,-2)"),
    ("_int4", -1): st.sampled_from(["{}", "{1,NULL,3}"]),
    ("_text", -1): st.sampled_from(["{}", '{a,NULL,"b c"}']),
}  # fmt: skip
DEFAULTS = {"text": "'d'::text", "int4": "5", "numeric": "1.5", "bool": "true", "varchar": "'v'::character varying"}

names = st.one_of(
    st.sampled_from(["id", "Key Col", 'quo"te', "ä.b", "😀", "back\\slash", "1st", "tab\t", "under_score"]),
    plain.filter(bool),
)


@dataclass(frozen=True)
class Case:
    """A relation with its layout, and what its rows are rendered with."""

    layout: Layout
    options: RenderOptions
    source: SourceOptions
    payloads: tuple[bytes, ...]


@st.composite
def cases(draw: Any, *, numeric: bool = True) -> Case:
    strict = draw(st.booleans())
    kinds = draw(st.lists(st.sampled_from(list(KINDS)), min_size=1, max_size=6))
    chosen = draw(st.lists(names, min_size=len(kinds), max_size=len(kinds), unique=True))
    identity = draw(st.sampled_from(list(ReplicaIdentity)))
    key = draw(st.lists(st.sampled_from(chosen), max_size=3, unique=True))
    flagged = set(chosen) if identity is ReplicaIdentity.FULL else set(key)
    columns = tuple(Column(n, OIDS[k], m, n in flagged) for n, (k, m) in zip(chosen, kinds, strict=True))
    relation = Relation(OID, draw(names), draw(names), identity, columns)
    facts = TableFacts(
        tuple(key),
        (),
        (),
        {
            n: ColumnFacts(
                not_null=n in key or draw(st.booleans()),
                default=DEFAULTS.get(k) if draw(st.booleans()) else None,
                dimensions=1 if k.startswith("_") else 0,
            )
            for n, (k, _) in zip(chosen, kinds, strict=True)
            if draw(st.integers(0, 9))
        },
    )
    render = _render_options(draw, strict=strict, numeric=numeric)
    rules = draw(
        st.sampled_from(
            [{}, {"column.truncate.to.3.chars": ".*"}, {"column.propagate.source.type": ".*"}]
            + (
                [{"column.mask.with.2.chars": ".*"}, {"column.mask.hash.v2.SHA-256.with.salt.s": ".*"}]
                if strict
                else []
            )
        )
    )
    modes = ValueModes(strict=strict, decimal_numeric=render.value_decimal_numeric)
    key_modes = replace(modes, decimal_numeric=render.key_decimal_numeric)
    excluded = draw(st.sampled_from(["", "nothing", ".*[.]id"]))
    options = LayoutOptions(
        render.topics,
        select({"column.exclude.list": excluded}),
        modes,
        None if key_modes == modes else key_modes,
        draw(st.sampled_from([lambda _s, _t: None, lambda _s, _t: tuple(chosen[:2])])),
        column_rules(rules, strict=strict),
        ADJUSTMENTS[draw(st.sampled_from(list(ADJUSTMENTS)))].field,
    )
    rows = st.tuples(*[st.one_of(st.none(), KINDS[kind].map(str.encode)) for kind in kinds])
    new_rows = st.tuples(*[st.one_of(st.none(), st.just(UNCHANGED), KINDS[kind].map(str.encode)) for kind in kinds])

    def old_key(row: tuple[Any, ...]) -> tuple[Any, ...]:
        return tuple(cell if column.key else None for cell, column in zip(row, columns, strict=True))

    payloads = [pgoutput.insert(OID, draw(rows)), pgoutput.update(OID, draw(new_rows))]
    payloads.append(pgoutput.update(OID, draw(new_rows), old_key(draw(rows)), "K"))
    payloads.append(pgoutput.update(OID, draw(new_rows), draw(rows), "O"))
    payloads.append(pgoutput.delete(OID, old_key(draw(rows)), "K"))
    payloads.append(pgoutput.delete(OID, draw(rows), "O"))
    source = SourceOptions(
        "srv", "db", render.extended_headers, "run", strict, render.transaction_metadata,
        snapshot_null=strict and not render.null_as_default,
    )  # fmt: skip
    layout = make_layout(relation, facts, {}, options)
    return Case(layout, render, source, tuple(payloads))


def _render_options(draw: Any, *, strict: bool, numeric: bool) -> RenderOptions:
    routing = draw(st.sampled_from([None, Routing(JavaPattern("(.*)"), "one")]))
    flags = [draw(st.booleans()) for _ in range(9)]
    return RenderOptions(
        TopicNames("srv", routing=routing),
        key_schemas=flags[0],
        value_schemas=flags[1],
        key_decimal_numeric=numeric and flags[2],
        value_decimal_numeric=numeric and flags[3],
        null_as_default=flags[4],
        key_null_as_default=flags[8],
        tombstones=flags[5],
        skipped=frozenset(draw(st.sets(st.sampled_from("cud"), max_size=2))),
        skip_unchanged=draw(st.integers(0, 4)) == 0,
        transaction_metadata=flags[6],
        extended_headers=flags[7],
    )


def _state(case: Case) -> SourceState:
    state = SourceState(case.source, 7, 1)
    state.set_clock(1_700_000_000_123_456_789)
    state.begin(LSN(0x16B3748), 1_700_000_000_654_321, 770, 0x16B3700)
    return state


def _plain(case: Case, payload: bytes) -> Any:
    key = JsonConverter(
        schemas_enable=case.options.key_schemas, decimal_numeric=case.options.key_decimal_numeric,
        replace_null_with_default=case.options.key_null_as_default,
    )  # fmt: skip
    value = JsonConverter(
        schemas_enable=case.options.value_schemas, decimal_numeric=case.options.value_decimal_numeric,
        replace_null_with_default=case.options.null_as_default,
    )  # fmt: skip
    try:
        records = RowRecords(case.layout, case.options).records(payload, int(LSN_TEXT), _state(case))
    except (Refusal, DecodeError):
        return "refused"  # which of several columns is named is a matter of order
    return [
        (
            record.topic,
            key.from_connect(record.key_schema, record.key),
            value.from_connect(record.value_schema, record.value),
            [(header.name, connect_text(header.value).encode()) for header in record.headers] or None,
        )
        for record in records
    ]


def _composed(case: Case, payload: bytes) -> Any:
    try:
        return list(ComposedRender(case.layout, case.options).render(payload, LSN_TEXT, _state(case)))
    except DecodeError:
        return "refused"


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(cases())
def test_the_composed_form_writes_what_the_plain_one_writes(case):
    for payload in case.payloads:
        assert _composed(case, payload) == _plain(case, payload), payload
