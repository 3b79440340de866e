"""How fast rows become records, without servers: each fast form beside the plain form, and beside JSON without a chain.

Run as: python -m benchmarks forms [--seconds 2]
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Mapping, Sequence

from benchmarks.bench import say
from benchmarks.drain import FIVE
from cdc.connect_form import connect_render
from cdc.layout import Layout, make_layout
from cdc.lsn import LSN
from cdc.model.relation import Column, ColumnFacts, Relation, ReplicaIdentity, TableFacts
from cdc.render import Render
from cdc.source import SourceState
from connectors.emit import Emitter
from connectors.postgres import read
from tests.support import pgoutput

ROWS = 2_000
COLUMNS = (
    ("id", 20, -1), ("customer_id", 23, -1), ("status", 1043, 16), ("amount", 1700, ((10 << 16) | 2) + 4), ("note", 25, -1),
    ("created_at", 1184, -1), ("paid", 16, -1),
)  # fmt: skip
UNWRAP = {"transforms": "unwrap", "transforms.unwrap.type": "io.debezium.transforms.ExtractNewRecordState"}
ROUTE = {
    "transforms": "route,mark",
    "transforms.route.type": "org.apache.kafka.connect.transforms.RegexRouter",
    "transforms.route.regex": "(.*)\\.public\\.(.*)",
    "transforms.route.replacement": "$1-$2",
    "transforms.mark.type": "org.apache.kafka.connect.transforms.InsertHeader",
    "transforms.mark.header": "origin",
    "transforms.mark.value.literal": "legacy",
}
AVRO = {
    f"{side}.converter{more}": value
    for side in ("key", "value")
    for more, value in (("", "io.confluent.connect.avro.AvroConverter"), (".schema.registry.url", "http://unused:1"))
}
FORMS: Mapping[str, Mapping[str, str]] = {
    "JSON": {},
    "JSON, headers": {"extended.headers.enabled": "true"},
    "RegexRouter, InsertHeader": ROUTE,
    "RegexRouter, InsertHeader, headers": {**ROUTE, "extended.headers.enabled": "true"},
    "ExtractNewRecordState": UNWRAP,
    "ExtractNewRecordState, op and ts_ms": {**UNWRAP, "transforms.unwrap.add.fields": "op,source.ts_ms"},
    "ExtractNewRecordState and five field transforms": FIVE,
    "Avro": AVRO,
}


def _layout(emitter: Emitter) -> Layout:
    columns = tuple(Column(name, oid, typmod, name == "id") for name, oid, typmod in COLUMNS)
    relation = Relation(4711, "public", "orders", ReplicaIdentity.DEFAULT, columns)
    facts = {name: ColumnFacts(not_null=name not in ("note", "paid")) for name, _, _ in COLUMNS}
    return make_layout(relation, TableFacts(("id",), columns=facts), {}, emitter.config.layout)


def _payloads() -> list[bytes]:
    return [
        pgoutput.insert(4711, [
            b"%d" % n, b"%d" % (n % 1000), b"paid", b"%d.25" % n, None if n % 5 == 0 else b"order note number %d" % n,
            b"2024-02-29 12:00:00.123456+00", b"t" if n % 2 else b"f",
        ])
        for n in range(ROWS)
    ]  # fmt: skip


def _state(emitter: Emitter) -> SourceState:
    state = SourceState(emitter.config.source_options, 7, 1)
    state.set_clock(time.time_ns())
    state.begin(LSN(0x1_0000_0000), 1_700_000_000_654_321, 770, 0x1_0000_0000)
    return state


def emitter_of(properties: Mapping[str, str]) -> Emitter:
    plain = {
        "database.hostname": "unused", "database.user": "unused", "database.dbname": "shop", "topic.prefix": "bench",
        "table.include.list": "public.orders", "extended.headers.enabled": "false",
    }  # fmt: skip
    converters = {"key.converter.schemas.enable": "false", "value.converter.schemas.enable": "false"}
    chosen = plain | properties
    if "value.converter" not in properties:
        chosen = converters | chosen
    emitter = Emitter(read("bench", chosen, bootstrap_servers="unused:9092"))
    for converter in emitter.avro.values():
        converter.registry = _Ids()
    return emitter


class _Ids:
    """A registry that knows each schema already."""

    def register(self, subject: str, schema: str) -> int:
        return len(subject) + len(schema)


def rate(render: Render, payloads: Sequence[bytes], state: SourceState, seconds: float) -> float:
    """Rows a second, the best of the runs that fit into the time: other work on the machine only ever takes away."""
    best, ends = 0.0, time.perf_counter() + seconds
    while time.perf_counter() < ends:
        began = time.perf_counter()
        for payload in payloads:
            render(payload, b"4294967296", state)
        best = max(best, len(payloads) / (time.perf_counter() - began))
    return best


def main(arguments: Sequence[str] = ()) -> None:
    parser = argparse.ArgumentParser(prog="benchmarks forms", description=__doc__)
    parser.add_argument("--seconds", type=float, default=2.0, help="how long each form is measured")
    seconds = parser.parse_args(arguments).seconds
    payloads, base = _payloads(), 0.0
    say(f"{'rows/s on one core':<50}{'fast':>10}{'plain':>10}{'fast/plain':>12}{'of JSON':>9}")
    for name, properties in FORMS.items():
        emitter = emitter_of(properties)
        layout, state = _layout(emitter), _state(emitter)

        def narrow(column: str) -> Render:
            raise AssertionError(f"no room in {column}")

        fast = rate(emitter.make_render(layout, narrow), payloads, state, seconds)
        plain = rate(connect_render(layout, emitter.config.render, narrow, emitter.emit), payloads, state, seconds)
        base = base or fast
        say(f"{name:<50}{fast:>10,.0f}{plain:>10,.0f}{fast / plain:>12.1f}{fast / base:>9.0%}")
        emitter.close()


if __name__ == "__main__":
    main()
