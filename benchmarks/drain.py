"""Draining a prepared backlog: seam beside Debezium on Connect, same Postgres, same broker, one run.

Beside the rates: what the processor did for a row, in the engine, its main thread, the walsender and the broker; then
what the main thread was seen doing in a run of its own.

Run as: python -m benchmarks drain [--rows 400000] [--transaction 1000 1] [--only seam debezium_tuned ...]
"""

from __future__ import annotations

import argparse
import json
import os
import tempfile
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from benchmarks.bench import (
    DEBEZIUM_TUNED,
    Watched,
    connect_worker,
    cpu_seconds,
    execute,
    say,
    seam_process,
    servers,
    span_seconds,
    wait_for_records,
    walsender_cpu,
    watched,
)
from tests.stack.kafka import KafkaBroker

TABLE = """create table orders (id bigserial primary key, customer_id int not null, status varchar(12) not null,
  amount numeric(10,2) not null, note text, created_at timestamptz not null default clock_timestamp(), paid boolean)"""

INSERT = """insert into orders (customer_id, status, amount, note, paid)
  select n % 1000, (array['new','paid','sent','done'])[1 + n % 4], (n % 10000) / 100.0,
         case when n % 5 = 0 then null else 'order note number ' || n end, n % 2 = 0 from generate_series({}, {}) n"""

FILL = """do $$ begin for i in 0..{} loop {}; commit; end loop; end $$"""


@dataclass(frozen=True, slots=True)
class Drained:
    """What one engine did.

    Attributes:
        name: Of the variant.
        rate: Rows a second, by the timestamps of the first and the last record.
        cpu: Microseconds a row of the engine's process.
        main: The part of its main thread, for an engine that has one.
        walsender: Microseconds a row of Postgres' walsender.
        broker: Microseconds a row of the broker, what readers of the benchmark ask of it included.
        rss: Most bytes.
    """

    name: str
    rate: float
    cpu: float
    main: float
    walsender: float
    broker: float
    rss: int


def config(server: object, prefix: str, **more: str) -> dict[str, str]:
    return {
        "connector.class": "io.debezium.connector.postgresql.PostgresConnector", "plugin.name": "pgoutput",
        "database.hostname": "127.0.0.1", "database.port": str(server.port), "database.user": "postgres",  # type: ignore[attr-defined]
        "database.password": "x", "database.dbname": "postgres", "topic.prefix": prefix, "table.include.list": "public.orders",
        "slot.name": prefix, "publication.name": "bench", "publication.autocreate.mode": "disabled",
        "snapshot.mode": "no_data", "key.converter.schemas.enable": "false", "value.converter.schemas.enable": "false",
        "key.converter": "org.apache.kafka.connect.json.JsonConverter",
        "value.converter": "org.apache.kafka.connect.json.JsonConverter", **more,
    }  # fmt: skip


def prepare(dsn: str, slots: list[str], rows: int, transaction: int) -> None:
    execute(
        dsn,
        "drop table if exists orders",
        TABLE,
        "drop publication if exists bench",
        "create publication bench for table orders",
    )
    for slot in slots:
        execute(dsn, f"select pg_create_logical_replication_slot('{slot}', 'pgoutput')")
    one = INSERT.format(f"i * {transaction} + 1", f"(i + 1) * {transaction}")
    execute(dsn, FILL.format(rows // transaction - 1, one), "checkpoint")


class Drain:
    """Runs engines over one backlog.

    Args:
        server: The Postgres.
        broker: The Kafka broker.
        rows: Of the backlog.
    """

    def __init__(self, server: Any, broker: KafkaBroker, rows: int) -> None:
        self.server = server
        self.broker = broker
        self.rows = rows

    def seam(self, prefix: str, topic: str, options: Mapping[str, str]) -> Drained:
        settings = config(self.server, prefix, **options)
        with seam_process(settings, self.broker.bootstrap) as process, watched(process.pid) as used:
            return self._drained(prefix, topic, used)

    def debezium(self, worker: Any, prefix: str, topic: str, options: Mapping[str, str]) -> Drained:
        with watched(worker.pid) as used:
            worker.run(prefix, config(self.server, prefix, **options))
            drained = self._drained(prefix, topic, used)
            worker.delete(prefix)
        return drained

    def _drained(self, prefix: str, topic: str, used: Watched) -> Drained:
        before, rows = cpu_seconds(self.broker.pid), self.rows
        wait_for_records(self.broker.bootstrap, topic, rows)
        walsender, broker = walsender_cpu(self.server.dsn()), cpu_seconds(self.broker.pid) - before
        micros = [1e6 * seconds / rows for seconds in (used.cpu_seconds, used.main_seconds, walsender, broker)]
        return Drained(prefix, rows / span_seconds(self.broker.bootstrap, topic, rows), *micros, used.peak_rss)

    def steps(self, prefix: str, topic: str, options: Mapping[str, str]) -> dict[str, int]:
        """What the main thread was seen doing, step -> samples."""
        with tempfile.TemporaryDirectory() as directory:
            out = Path(directory) / "seen.json"
            settings = config(self.server, prefix, **options)
            with seam_process(settings, self.broker.bootstrap, module=("benchmarks.sampled", str(out))):
                wait_for_records(self.broker.bootstrap, topic, self.rows)
            return dict(json.loads(out.read_text()))


HEADERS_OFF = {"extended.headers.enabled": "false"}
LZ4 = {"producer.override.compression.type": "lz4"}
SCHEMAS = {"key.converter.schemas.enable": "true", "value.converter.schemas.enable": "true"}
SMT = "org.apache.kafka.connect.transforms."
UNWRAP = {
    "transforms": "unwrap", "transforms.unwrap.type": "io.debezium.transforms.ExtractNewRecordState",
    "transforms.unwrap.add.fields": "op,source.ts_ms",
}  # fmt: skip
ROUTE = {
    "transforms": "route", "transforms.route.type": SMT + "RegexRouter", "transforms.route.regex": "(.*)\\.public\\.(.*)",
    "transforms.route.replacement": "$1.public.$2",
}  # fmt: skip
FIVE = {
    **UNWRAP, "transforms": "unwrap,cast,rename,mask,insert,time",
    "transforms.cast.type": SMT + "Cast$Value", "transforms.cast.spec": "customer_id:int64,paid:string",
    "transforms.rename.type": SMT + "ReplaceField$Value", "transforms.rename.renames": "customer_id:customer",
    "transforms.mask.type": SMT + "MaskField$Value", "transforms.mask.fields": "note",
    "transforms.insert.type": SMT + "InsertField$Value", "transforms.insert.static.field": "origin",
    "transforms.insert.static.value": "legacy",
    "transforms.time.type": SMT + "TimestampConverter$Value", "transforms.time.field": "__source_ts_ms",
    "transforms.time.target.type": "Timestamp",
}  # fmt: skip
AVRO = {
    "key.converter": "io.confluent.connect.avro.AvroConverter",
    "value.converter": "io.confluent.connect.avro.AvroConverter",
}
# Each beside the peer that it is compared with.
VARIANTS: Mapping[str, tuple[Mapping[str, str], str]] = {
    "seam": ({**HEADERS_OFF, **LZ4}, "debezium_tuned"),
    "seam_headers": ({**LZ4}, "debezium_tuned_headers"),
    "seam_schemas": ({**HEADERS_OFF, **LZ4, **SCHEMAS}, "debezium_tuned_schemas"),
    "seam_five": ({**HEADERS_OFF, **LZ4, **FIVE}, "debezium_tuned_five"),
    "seam_unwrap": ({**HEADERS_OFF, **LZ4, **UNWRAP}, "seam"),
    "seam_route": ({**HEADERS_OFF, **LZ4, **ROUTE}, "seam"),
    "seam_avro": ({**HEADERS_OFF, **LZ4, **AVRO}, "seam"),
}
PEERS: Mapping[str, Mapping[str, str]] = {
    "debezium_default": {},
    "debezium_tuned": dict(DEBEZIUM_TUNED),
    "debezium_tuned_headers": {**DEBEZIUM_TUNED, "extended.headers.enabled": "true"},
    "debezium_tuned_schemas": {**DEBEZIUM_TUNED, **SCHEMAS},
    "debezium_tuned_five": {**DEBEZIUM_TUNED, **FIVE},
}
# What each ratio must reach: in large transactions, and in transactions of one row.
FLOORS = {
    ("seam", "debezium_tuned"): (2.0, 1.3), ("seam", "debezium_default"): (3.5, None),
    ("seam_headers", "debezium_tuned_headers"): (1.5, None), ("seam_schemas", "debezium_tuned_schemas"): (1.5, None),
    ("seam_five", "debezium_tuned_five"): (1.5, None), ("seam_unwrap", "seam"): (0.7, None), ("seam_avro", "seam"): (0.5, None),
}  # fmt: skip
RSS_LIMIT = 120e6


def main(arguments: Sequence[str] = ()) -> None:
    parser = argparse.ArgumentParser(prog="benchmarks drain", description=__doc__)
    parser.add_argument("--rows", type=int, default=400_000)
    parser.add_argument("--transaction", type=int, nargs="*", default=[1000, 1])
    parser.add_argument("--only", nargs="*", help="variants to run")
    options = parser.parse_args(arguments)
    wanted = [v for v in (*PEERS, *VARIANTS) if not options.only or v in options.only]
    say(f"{os.cpu_count()} cores, load before {os.getloadavg()[0]:.1f}; everything on one machine")
    with tempfile.TemporaryDirectory() as directory, ExitStack() as stack:
        server, broker = stack.enter_context(servers(Path(directory)))
        worker = None
        if any(name in PEERS for name in wanted):
            worker = stack.enter_context(connect_worker(Path(directory), broker))
        registry = stack.enter_context(ids()) if "seam_avro" in wanted else ""
        for transaction in options.transaction:
            rows = options.rows if transaction > 1 else options.rows // 2
            prefixes = {variant: f"{variant}_{transaction}" for variant in wanted} | {
                each: f"{each}_{transaction}" for each in ("warm", "warm_worker", "steps")
            }
            prepare(server.dsn(), list(prefixes.values()), rows, transaction)
            drain, results = Drain(server, broker, rows), {}
            # Whoever came first would pay for the broker's compiler, and Debezium for its worker's: a whole backlog
            # goes through both before anything is measured.
            drain.seam(prefixes["warm"], f"{prefixes['warm']}.public.orders", VARIANTS["seam"][0])
            if worker is not None:
                warm = prefixes["warm_worker"]
                drain.debezium(worker, warm, f"{warm}.public.orders", PEERS["debezium_tuned"])
            for variant in wanted:
                prefix = prefixes[variant]
                topic = f"{prefix}.public.orders"
                if variant in PEERS:
                    results[variant] = drain.debezium(worker, prefix, topic, PEERS[variant])
                else:
                    urls = {f"{side}.converter.schema.registry.url": registry for side in ("key", "value")}
                    chosen = VARIANTS[variant][0]
                    results[variant] = drain.seam(prefix, topic, {**chosen, **(urls if variant == "seam_avro" else {})})
            report(transaction, rows, results)
            if "seam" in wanted:
                prefix = prefixes["steps"]
                report_steps(drain.steps(prefix, f"{prefix}.public.orders", VARIANTS["seam"][0]))


def report(transaction: int, rows: int, results: Mapping[str, Drained]) -> None:
    say(f"\n{rows} rows in transactions of {transaction}; CPU in microseconds a row")
    say(f"{'':<26}{'rows/s':>9}{'engine':>9}{'its main':>10}{'walsender':>11}{'broker':>8}{'RSS MB':>8}")
    for name, each in results.items():
        main = f"{each.main:.1f}" if name in VARIANTS else ""
        say(
            f"{name:<26}{each.rate:>9,.0f}{each.cpu:>9.1f}{main:>10}{each.walsender:>11.1f}{each.broker:>8.1f}{each.rss / 1e6:>8.0f}"
        )
    pairs = [(name, VARIANTS[name][1]) for name in results if name in VARIANTS]
    for ours, peer in [*pairs[:1], ("seam", "debezium_default"), *pairs[1:]]:
        if ours in results and peer in results:
            ratio, floor = (
                results[ours].rate / results[peer].rate,
                FLOORS.get((ours, peer), (None, None))[transaction == 1],
            )
            said = "" if floor is None else f", wanted {floor}: {'kept' if ratio >= floor else 'MISSED'}"
            say(f"{ours} / {peer} = {ratio:.2f}{said}")
    for name, each in results.items():
        if name in VARIANTS and each.rss > RSS_LIMIT:
            say(f"{name}: {each.rss / 1e6:.0f} MB are over the limit of {RSS_LIMIT / 1e6:.0f} MB")


def report_steps(seen: Mapping[str, int]) -> None:
    total = sum(count for step, count in seen.items() if step != "start")
    shares = sorted(((count / total, step) for step, count in seen.items() if step != "start"), reverse=True)
    say("the main thread's time: " + ", ".join(f"{step} {share:.0%}" for share, step in shares if share >= 0.005))


@contextmanager
def ids() -> Iterator[str]:
    """A registry that gives each schema the next number: schemas are asked for once, so its own speed counts for nothing."""
    given: dict[bytes, int] = {}

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            asked = self.rfile.read(int(self.headers["Content-Length"]))
            answer = json.dumps({"id": given.setdefault(asked, len(given) + 1)}).encode()
            self.send_response(200)
            self.send_header("Content-Type", "application/vnd.schemaregistry.v1+json")
            self.send_header("Content-Length", str(len(answer)))
            self.end_headers()
            self.wfile.write(answer)

        def log_message(self, *_: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
