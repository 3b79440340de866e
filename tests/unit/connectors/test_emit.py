"""Which form renders a relation, and that a chain gives the same records by each."""

from __future__ import annotations

from typing import Any

import pytest

from cdc.connect_form import connect_render
from cdc.layout import Layout, make_layout
from cdc.lsn import LSN
from cdc.model.relation import Column, ColumnFacts, Relation, ReplicaIdentity, TableFacts
from cdc.source import SourceState
from connectors.emit import Emitter
from connectors.postgres import read
from tests.support import pgoutput

UNWRAP = {
    "transforms.unwrap.type": "io.debezium.transforms.ExtractNewRecordState",
    "transforms.unwrap.add.fields": "op,lsn",
}
ROUTE = {
    "transforms.route.type": "RegexRouter",
    "transforms.route.regex": r"(.*)\.public\.(.*)",
    "transforms.route.replacement": "$1-$2",
}
DROP = {
    "transforms.drop.type": "Filter", "transforms.drop.predicate": "gone", "predicates": "gone",
    "predicates.gone.type": "RecordIsTombstone",
}  # fmt: skip
CAST = {"transforms.cast.type": "Cast$Value", "transforms.cast.spec": "id:string,n:string"}
HOIST = {"transforms.hoist.type": "HoistField$Value", "transforms.hoist.field": "row"}


def emitter_of(*steps: dict[str, str], **more: str) -> Emitter:
    names = ",".join(next(iter(step)).split(".")[1] for step in steps)
    properties = {
        "database.hostname": "h", "database.user": "u", "database.dbname": "d", "topic.prefix": "p",
        "table.include.list": "public.*", **({"transforms": names} if steps else {}), **more,
    }  # fmt: skip
    for step in steps:
        properties |= step
    return Emitter(read("c", properties, bootstrap_servers="unused:9092"))


def layout_of(emitter: Emitter) -> Layout:
    columns = (Column("id", 23, -1, True), Column("n", 25, -1))
    relation = Relation(9, "public", "item", ReplicaIdentity.DEFAULT, columns)
    return make_layout(
        relation, TableFacts(("id",), columns={"id": ColumnFacts(not_null=True)}), {}, emitter.config.layout
    )


def form_of(emitter: Emitter) -> str:
    writer = emitter.writer(layout_of(emitter))
    return "plain" if writer is None else type(writer).__name__


@pytest.mark.parametrize(
    ("steps", "more", "form"),
    [
        ((), {}, "Writer"),
        ((ROUTE,), {}, "Writer"),
        ((DROP,), {}, "Writer"),
        ((ROUTE, DROP), {}, "Writer"),
        ((UNWRAP,), {}, "UnwrapWriter"),
        ((UNWRAP, ROUTE), {}, "UnwrapWriter"),
        ((UNWRAP, DROP), {}, "UnwrapWriter"),
        ((UNWRAP, DROP), {"seam.compat": "strict"}, "plain"),
        ((ROUTE, UNWRAP), {}, "plain"),
        ((UNWRAP, HOIST), {}, "plain"),
        ((UNWRAP, CAST), {}, "ColumnWriter"),
        ((HOIST,), {}, "plain"),
        ((ROUTE,), {"value.converter": "org.apache.kafka.connect.storage.StringConverter"}, "plain"),
    ],
)  # fmt: skip
def test_rows_stay_text_where_the_chain_allows_it(steps, more, form):
    emitter = emitter_of(*steps, **more)
    assert form_of(emitter) == form
    render, plain = _renders(emitter)
    left, right = _state(emitter), _state(emitter)
    payloads = [
        pgoutput.insert(9, [b"1", b"x"]), pgoutput.update(9, [b"1", None]), pgoutput.update(9, [b"2", b"y"], [b"1", None], "K"),
        pgoutput.delete(9, [b"2", None], "K"),
    ]  # fmt: skip
    sent = [list(render(payload, b"77", left)) for payload in payloads]
    assert sent == [list(plain(payload, b"77", right)) for payload in payloads]
    assert any(sent)


def _renders(emitter: Emitter) -> Any:
    def outgrown(column: str) -> Any:
        raise AssertionError(f"no room in {column}")

    layout = layout_of(emitter)
    return emitter.make_render(layout, outgrown), connect_render(layout, emitter.config.render, outgrown, emitter.emit)


def _state(emitter: Emitter) -> SourceState:
    state = SourceState(emitter.config.source_options, 7, 1)
    state.set_clock(1_700_000_000_123_456_789)
    state.begin(LSN(99), 1_700_000_000_654_321, 770, 90)
    return state
