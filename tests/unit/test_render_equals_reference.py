"""The composed renderer gives the records of the plain rows, byte for byte, whatever relation, row and options."""

from __future__ import annotations

import contextlib
from dataclasses import dataclass
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from cdc.converters.header import SimpleHeaderConverter
from cdc.converters.json import JsonConverter
from cdc.errors import DecodeError, ProtocolError
from cdc.layout import LayoutOptions, make_layout
from cdc.lsn import LSN
from cdc.model.record import SourceRecord
from cdc.model.relation import Column, ColumnFacts, Relation, ReplicaIdentity, TableFacts
from cdc.render import ComposedRender, Record, Refusal, RenderOptions
from cdc.rows import RowRecords
from cdc.selection import Selection
from cdc.source import SourceOptions, SourceState
from cdc.topics import TopicNames
from cdc.values.builtin import BUILTIN
from cdc.values.registry import ValueModes
from cdc.wire.pgoutput import UNCHANGED, Cell
from tests.support import pgoutput as write

OIDS = {pg_type.name: oid for oid, pg_type in BUILTIN.items()}
everything = Selection(lambda _: True, lambda _: True, lambda _: True)

names = st.text(st.characters(blacklist_characters="\0", blacklist_categories=["Cs"]), min_size=1, max_size=12) | st.sampled_from(
    ["id", 'say "hi"', "back\\slash", "{brace}", "%s", "f'{x}'", "line\nbreak", "\u2028", "é\U0001f600", "'''", "p", "n", "lsn"]
)  # fmt: skip
texts = st.text(st.characters(blacklist_characters="\0", blacklist_categories=["Cs"]), max_size=20)
digits = st.decimals(allow_nan=False, allow_infinity=False, min_value=-9999, max_value=9999, places=2).map(str)

VALUES: dict[str, tuple[int, st.SearchStrategy[str]]] = {
    "bool": (-1, st.sampled_from("tf")),
    "int4": (-1, st.integers(-(2**31), 2**31 - 1).map(str)),
    "int8": (-1, st.integers(-(2**63), 2**63 - 1).map(str)),
    "text": (-1, texts),
    "varchar": (36, texts),
    "numeric": (((6 << 16) | 2) + 4, digits | st.just("NaN")),
    "float8": (-1, st.sampled_from(["0", "-0", "1.5", "-2.25e-07", "1e+300", "NaN", "Infinity", "-Infinity", "123456789.123"])),
    "date": (-1, st.dates().map(str) | st.sampled_from(["infinity", "-infinity", "0044-03-15 BC"])),
    "timestamp": (-1, st.datetimes().map(str) | st.just("infinity")),
    "timestamptz": (-1, st.datetimes().map(lambda moment: f"{moment}+00")),
    "uuid": (-1, st.uuids().map(str)),
    "bytea": (-1, st.binary(max_size=12).map(lambda data: "\\x" + data.hex())),
    "jsonb": (-1, texts.map(lambda text: f'{{"a": "{text}"}}')),
    "_int4": (-1, st.lists(st.integers(-9, 9).map(str) | st.just("NULL"), max_size=4).map(lambda items: f"{{{','.join(items)}}}")),
}  # fmt: skip


@dataclass(frozen=True)
class Case:
    """A relation with what the catalogue knows of it, and what the configuration says."""

    relation: Relation
    facts: TableFacts
    layout: LayoutOptions
    render: RenderOptions
    source: SourceOptions
    types: tuple[str, ...]


@st.composite
def cases(draw: st.DrawFn) -> Case:
    types = tuple(draw(st.lists(st.sampled_from(sorted(VALUES)), min_size=1, max_size=6)))
    columns_named = draw(st.lists(names, min_size=len(types), max_size=len(types), unique=True))
    key = draw(st.sets(st.sampled_from(columns_named), max_size=3))
    identity = draw(st.sampled_from(list(ReplicaIdentity)))
    columns = tuple(
        Column(name, OIDS[kind], VALUES[kind][0], identity is ReplicaIdentity.FULL or name in key)
        for name, kind in zip(columns_named, types, strict=True)
    )
    relation = Relation(draw(st.integers(1, 2**32 - 1)), draw(names), draw(names), identity, columns)
    primary = tuple(draw(st.permutations(sorted(key))))
    facts = TableFacts(
        primary_key=primary if draw(st.booleans()) else (),
        unique_key=primary if draw(st.booleans()) else (),
        columns={name: ColumnFacts(not_null=name in key or draw(st.booleans())) for name in columns_named},
    )
    topics = TopicNames(prefix="p")
    strict = draw(st.booleans())
    modes = ValueModes(
        decimal=draw(st.sampled_from(("precise", "double", "string"))),
        time_precision=draw(st.sampled_from(("adaptive", "connect", "isostring"))),
        binary=draw(st.sampled_from(("bytes", "base64", "hex"))), strict=strict,
    )  # fmt: skip
    extended, metadata = draw(st.booleans()), draw(st.booleans())
    hidden = draw(st.sets(st.sampled_from(columns_named), max_size=2))
    layout = LayoutOptions(
        topics,
        Selection(lambda _: True, lambda _: True, lambda name: not any(name.endswith(f".{h}") for h in hidden)),
        modes,
    )
    render = RenderOptions(
        topics, key_schemas=draw(st.booleans()), value_schemas=draw(st.booleans()), tombstones=draw(st.booleans()),
        skipped=draw(st.frozensets(st.sampled_from("cud"), max_size=1)), transaction_metadata=metadata,
        skip_unchanged=draw(st.booleans()), extended_headers=extended,
    )  # fmt: skip
    source = SourceOptions(
        "p", draw(names), extended_headers=extended, run_id="run", strict=strict, transaction_metadata=metadata
    )
    return Case(relation, facts, layout, render, source, types)


# Not numeric and, in strict mode, not bytea: long ones have no marker of their own.
TOASTABLE = frozenset({"text", "varchar", "jsonb", "_int4"})


def cell(kind: str, *, nullable: bool) -> st.SearchStrategy[Cell]:
    text = VALUES[kind][1].map(str.encode)
    rare = [*([st.none()] if nullable else []), *([st.just(UNCHANGED)] if kind in TOASTABLE else [])]
    return st.one_of(text, text, *rare)


@st.composite
def messages(draw: st.DrawFn, case: Case) -> bytes:
    columns = list(zip(case.relation.columns, case.types, strict=True))

    def row() -> list[Cell]:
        return [draw(cell(kind, nullable=not case.facts.columns[column.name].not_null)) for column, kind in columns]

    oid = case.relation.oid
    shape = draw(st.sampled_from(("insert", "update", "update key", "update whole", "delete key", "delete whole")))
    if shape == "insert":
        return write.insert(oid, row())
    if shape == "update":
        return write.update(oid, row())
    old = row()
    if shape.endswith("key"):
        old = [each if column.key else None for each, column in zip(old, case.relation.columns, strict=True)]
    letter = "K" if shape.endswith("key") else "O"
    if shape.startswith("delete"):
        return write.delete(oid, old, letter)
    # Most updates keep the key: each column is now and then the one of the old row.
    new = [before if draw(st.booleans()) else after for before, after in zip(old, row(), strict=True)]
    return write.update(oid, new, old, letter)


def state(case: Case) -> SourceState:
    made = SourceState(case.source, system_id=7, timeline=3)
    made.begin(LSN(0x1_0000_0010), write.COMMIT_MICROS, 700, 4_294_967_312)
    made.set_clock(1_700_000_000_123_456_789)
    return made


def plain(case: Case, payloads: list[bytes]) -> list[Any]:
    """The reference: rows, then converters."""
    rows = RowRecords(make_layout(case.relation, case.facts, {}, case.layout), case.render)
    key = JsonConverter(schemas_enable=case.render.key_schemas)
    value = JsonConverter(schemas_enable=case.render.value_schemas)
    header = SimpleHeaderConverter().from_connect

    def converted(record: SourceRecord) -> Record:
        headers = [(each.name, header(each.schema, each.value)) for each in record.headers]
        return (
            record.topic, key.from_connect(record.key_schema, record.key),
            value.from_connect(record.value_schema, record.value), headers or None,
        )  # fmt: skip

    made = state(case)
    return [_outcome(lambda: [converted(record) for record in rows.records(p, 55, made)]) for p in payloads]  # noqa: B023


def composed(case: Case, payloads: list[bytes]) -> list[Any]:
    render = ComposedRender(make_layout(case.relation, case.facts, {}, case.layout), case.render).render
    made = state(case)
    return [_outcome(lambda: [tuple(record) for record in render(p, b"55", made)]) for p in payloads]  # noqa: B023


def _outcome(call: Any) -> Any:
    try:
        return call()
    except Refusal:
        return "refused"  # of two columns that may be refused, each names the one that it looks at first
    except DecodeError as error:
        return "refused" if isinstance(error.__cause__, Refusal) else ("not decoded", str(error))
    except ProtocolError as error:
        return ("broken", str(error))


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.data())
def test_the_composed_renderer_gives_the_records_of_the_plain_rows(data):
    case = data.draw(cases())
    payloads = data.draw(st.lists(messages(case), min_size=1, max_size=4))
    assert composed(case, payloads) == plain(case, payloads)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.data())
def test_a_message_cut_or_changed_at_any_byte_gives_records_or_an_error_of_ours(data):
    case = data.draw(cases())
    payload = bytearray(data.draw(messages(case)))
    render = ComposedRender(make_layout(case.relation, case.facts, {}, case.layout), case.render).render
    length = data.draw(st.integers(5, len(payload)))
    with contextlib.suppress(ProtocolError, DecodeError):
        rendered = render(bytes(payload[:length]), b"55", state(case))
        assert length == len(payload), f"a cut message became {rendered}"
    for _ in range(data.draw(st.integers(1, 4))):
        # The loop has read the tag and the relation already.
        payload[data.draw(st.integers(5, len(payload) - 1))] = data.draw(st.integers(0, 255))
    with contextlib.suppress(ProtocolError, DecodeError):
        render(bytes(payload), b"55", state(case))


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.data())
def test_random_bytes_after_the_relation_give_records_or_an_error_of_ours(data):
    case = data.draw(cases())
    head = data.draw(st.sampled_from(b"IUD")).to_bytes(1, "big") + case.relation.oid.to_bytes(4, "big")
    payload = head + data.draw(st.binary(min_size=3, max_size=80))
    render = ComposedRender(make_layout(case.relation, case.facts, {}, case.layout), case.render).render
    with contextlib.suppress(ProtocolError, DecodeError):
        render(payload, b"55", state(case))


def test_a_message_cut_at_each_byte_is_a_protocol_error():
    columns = (Column("id", OIDS["int4"], -1, True), Column("note", OIDS["text"]), Column("price", OIDS["numeric"]))
    relation = Relation(9, "public", "item", ReplicaIdentity.DEFAULT, columns)
    layout = make_layout(relation, TableFacts(("id",)), {}, LayoutOptions(TopicNames("p"), everything))
    render = ComposedRender(layout, RenderOptions(TopicNames("p"))).render
    made = SourceState(SourceOptions("p", "d"))
    made.begin(LSN(9), write.COMMIT_MICROS, 1, 9)
    made.set_clock(1)
    new, old = [b"12", b"text", b"1.5"], [b"11", None, None]
    for whole in (
        write.insert(9, new),
        write.update(9, new, old),
        write.update(9, new, new, "O"),
        write.delete(9, old),
    ):
        assert render(whole, b"9", made)
        for length in range(5, len(whole)):
            with pytest.raises(ProtocolError) as caught:
                render(whole[:length], b"9", made)
            assert caught.value.length == length
