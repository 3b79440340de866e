"""Draining a prepared backlog: seam beside Debezium on Connect, same Postgres, same broker, one run.

Run as: python -m benchmarks drain [--rows 400000] [--transaction 1000]
"""

from __future__ import annotations

import argparse
import tempfile
from dataclasses import dataclass
from pathlib import Path

from benchmarks.bench import (
    DEBEZIUM_TUNED,
    connect_worker,
    execute,
    say,
    seam_process,
    servers,
    span_seconds,
    wait_for_records,
    watched,
)

TABLE = """create table orders (id bigserial primary key, customer_id int not null, status varchar(12) not null,
  amount numeric(10,2) not null, note text, created_at timestamptz not null default clock_timestamp(), paid boolean)"""

INSERT = """insert into orders (customer_id, status, amount, note, paid)
  select n % 1000, (array['new','paid','sent','done'])[1 + n % 4], (n % 10000) / 100.0,
         case when n % 5 = 0 then null else 'order note number ' || n end, n % 2 = 0 from generate_series({}, {}) n"""

FILL = """do $$ begin for i in 0..{} loop {}; commit; end loop; end $$"""


@dataclass(frozen=True, slots=True)
class Drained:
    """What one engine did."""

    name: str
    rate: float
    cpu_per_row: float
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


def drain_seam(server: object, bootstrap: str, prefix: str, rows: int, **more: str) -> Drained:
    with seam_process(config(server, prefix, **more), bootstrap) as process, watched(process.pid) as used:
        wait_for_records(bootstrap, f"{prefix}.public.orders", rows)
    return Drained(
        prefix, rows / span_seconds(bootstrap, f"{prefix}.public.orders", rows), used.cpu_seconds / rows, used.peak_rss
    )


def drain_debezium(worker: object, server: object, bootstrap: str, prefix: str, rows: int, **more: str) -> Drained:
    with watched(worker.pid) as used:  # type: ignore[attr-defined]
        worker.run(prefix, config(server, prefix, **more))  # type: ignore[attr-defined]
        wait_for_records(bootstrap, f"{prefix}.public.orders", rows)
        worker.delete(prefix)  # type: ignore[attr-defined]
    return Drained(
        prefix, rows / span_seconds(bootstrap, f"{prefix}.public.orders", rows), used.cpu_seconds / rows, used.peak_rss
    )


HEADERS_OFF = {"extended.headers.enabled": "false"}
LZ4 = {"producer.override.compression.type": "lz4"}
VARIANTS = {
    "seam": {**HEADERS_OFF, **LZ4},
    "seam_headers": {**LZ4},
    "seam_schemas": {
        **HEADERS_OFF,
        **LZ4,
        "key.converter.schemas.enable": "true",
        "value.converter.schemas.enable": "true",
    },
}
PEERS = {
    "debezium_default": {},
    "debezium_tuned": dict(DEBEZIUM_TUNED),
    "debezium_tuned_headers": {**DEBEZIUM_TUNED, "extended.headers.enabled": "true"},
    "debezium_tuned_schemas": {
        **DEBEZIUM_TUNED,
        "key.converter.schemas.enable": "true",
        "value.converter.schemas.enable": "true",
    },
}


def main(arguments: list[str]) -> None:
    parser = argparse.ArgumentParser(prog="benchmarks drain", description=__doc__)
    parser.add_argument("--rows", type=int, default=400_000)
    parser.add_argument("--transaction", type=int, nargs="*", default=[1000, 1])
    parser.add_argument("--only", nargs="*", help="variants to run")
    options = parser.parse_args(arguments)
    with (
        tempfile.TemporaryDirectory() as directory,
        servers(Path(directory)) as (server, broker),
        connect_worker(Path(directory), broker) as worker,
    ):
        for transaction in options.transaction:
            rows = options.rows if transaction > 1 else options.rows // 2
            wanted = [v for v in (*PEERS, *VARIANTS) if not options.only or v in options.only]
            prefixes = {variant: f"{variant}_{transaction}" for variant in wanted}
            prepare(server.dsn(), list(prefixes.values()), rows, transaction)
            results = {}
            for variant, prefix in prefixes.items():
                if variant in PEERS:
                    results[variant] = drain_debezium(worker, server, broker.bootstrap, prefix, rows, **PEERS[variant])
                else:
                    results[variant] = drain_seam(server, broker.bootstrap, prefix, rows, **VARIANTS[variant])
            report(transaction, rows, results)


def report(transaction: int, rows: int, results: dict[str, Drained]) -> None:
    say(f"\n{rows} rows in transactions of {transaction}")
    say(f"{'':<26}{'rows/s':>10}{'us CPU/row':>12}{'RSS MB':>9}")
    for name, drained in results.items():
        say(f"{name:<26}{drained.rate:>10,.0f}{drained.cpu_per_row * 1e6:>12.1f}{drained.rss / 1e6:>9.0f}")
    pairs = [
        ("seam", "debezium_tuned"), ("seam", "debezium_default"), ("seam_headers", "debezium_tuned_headers"),
        ("seam_schemas", "debezium_tuned_schemas"),
    ]  # fmt: skip
    for ours, peer in pairs:
        if ours in results and peer in results:
            say(f"{ours} / {peer} = {results[ours].rate / results[peer].rate:.2f}")
