"""How fast `verify` compares: rows per second of one table of seven columns, for each hop.

The load average is printed beside the figures: on a machine that does other things they say little.
"""

from __future__ import annotations

import argparse
import os
import tempfile
import threading
import time
from pathlib import Path
from typing import Any, Self

import psycopg
from sqlalchemy.engine import make_url

from benchmarks.bench import seam_process
from connectors.postgres import read
from connectors.worker import Worker
from legacy_db.context_commands import make_bridge
from legacy_db.ledger import Ledger
from legacy_db.slices import Slice
from legacy_db.steps.base import Context
from legacy_db.steps.plan import Plan
from legacy_db.steps.project import Project
from legacy_db.verify import LegacyVerification
from legacy_db.verify_model import HopResult, Options
from legacy_db.verify_view import ViewVerification
from tests.stack.kafka import KafkaBroker
from tests.stack.postgres import postgres_server
from tests.support.waiting import wait_until

TARGET = 400_000

_TABLE = """
create table orders (id bigint primary key, customer int, status varchar(12), amount numeric(10,2), created timestamp, note text, active bool)
"""
_ROWS = """
insert into orders select g, g % 1000, case when g % 3 = 0 then 'paid' else 'new' end, (g % 100000) / 100.0,
       timestamp '2020-01-01' + g * interval '1.234567 s', 'note ' || md5(g::text), g % 2 = 0 from generate_series(1, {}) g
"""


def main(arguments: list[str]) -> None:
    """Measure both hops."""
    parser = argparse.ArgumentParser(prog="benchmarks verify")
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--repeat", type=int, default=3)
    parser.add_argument("--partitions", type=int, default=4)
    parser.add_argument(
        "--headers", action="store_true", help="records with the context headers that are Debezium's default"
    )
    parser.add_argument("--load", action="store_true", help="what writers of the source notice of a verification")
    chosen = parser.parse_args(arguments)
    settings = {"shared_buffers": "512MB", "max_wal_size": "4GB"}
    with (
        tempfile.TemporaryDirectory() as name,
        KafkaBroker(Path(name) / "kafka", heap="600m", quick_start=False) as broker,
        postgres_server(18, settings=settings) as server,
    ):
        broker.start()
        _measure(server, broker.bootstrap, Path(name), chosen)


def _measure(server: Any, bootstrap: str, directory: Path, chosen: argparse.Namespace) -> None:
    with psycopg.connect(server.dsn(), autocommit=True) as connection:
        connection.execute("create database target")
        connection.execute(_TABLE)
        connection.execute(_ROWS.format(chosen.rows))
        connection.execute("vacuum analyze orders")
    properties = {
        "connector.class": "io.debezium.connector.postgresql.PostgresConnector", "database.hostname": server.host,
        "database.port": str(server.port), "database.user": "postgres", "database.dbname": "postgres",
        "topic.prefix": "bench", "slot.name": "bench", "publication.name": "bench",
        "publication.autocreate.mode": "filtered", "snapshot.mode": "initial", "decimal.handling.mode": "string",
        "key.converter.schemas.enable": "false", "value.converter.schemas.enable": "false",
        "extended.headers.enabled": str(chosen.headers).lower(), "topic.creation.default.partitions": str(chosen.partitions), "topic.creation.default.replication.factor": "1",
    }  # fmt: skip
    config = read("bench", properties, bootstrap_servers=bootstrap)

    def run(stop: threading.Event, once: bool, _rows: bool) -> None:
        worker = Worker(config, lambda _finding: None)
        worker.stop = stop
        worker.run(once=once)

    bridge = make_bridge(config, run)
    run(threading.Event(), True, False)
    one = Slice(
        "bench", "bench", ("public.orders",), target=make_url(f"postgresql+psycopg://postgres@{server.host}:{server.port}/target"),
        ledger=make_url("sqlite://"), directory=directory / "slice",
    )  # fmt: skip
    with Ledger(one.ledger, one.name) as ledger:
        context = Context(one, bridge, ledger)
        Plan().start(context)
        Project().start(context)
        shapes, tables = list(context.shapes.values()), context.target_tables
        options = Options(memory_rows=chosen.rows * 2)
        context.close()
        # As in daily use, the pipeline runs; otherwise each comparison would start and end one.
        with seam_process(properties, bootstrap):
            wait_until(lambda: _active(server), 60, "the engine to stream")
            if chosen.load:
                _load(server, bridge, shapes, chosen)
                return
            for hop in (
                LegacyVerification(bridge, shapes, options), ViewVerification(bridge, one, tables, options),
            ):  # fmt: skip
                _report(hop, chosen)


def _active(server: Any) -> bool:
    with psycopg.connect(server.dsn(), autocommit=True) as connection:
        row = connection.execute("select active from pg_replication_slots where slot_name = 'bench'").fetchone()
    return bool(row and row[0])


class Writer:
    """Updates single rows of the table at a steady rate, and notes how long each took.

    Args:
        server: The source.
        rows: How many the table has.
    """

    def __init__(self, server: Any, rows: int) -> None:
        self.seconds: list[float] = []
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._write, args=(server.dsn(), rows))

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_error: object) -> None:
        self._stop.set()
        self._thread.join()

    def _write(self, dsn: str, rows: int) -> None:
        with psycopg.connect(dsn, autocommit=True) as connection:
            due, row = time.monotonic(), 0
            while not self._stop.is_set():
                row = (row + 7919) % rows + 1
                started = time.monotonic()
                connection.execute("update orders set customer = customer + 1 where id = %s", [row])
                self.seconds.append(time.monotonic() - started)
                due += 1 / WRITES_PER_SECOND
                self._stop.wait(max(0.0, due - time.monotonic()))

    def said(self) -> str:
        """Percentiles in milliseconds."""
        ordered = sorted(self.seconds)
        p50, p99 = (1000 * ordered[int(len(ordered) * share)] for share in (0.5, 0.99))
        return f"{len(ordered)} updates, p50 {p50:.2f} ms, p99 {p99:.2f} ms"


WRITES_PER_SECOND = 200


def _load(server: Any, bridge: Any, shapes: Any, chosen: argparse.Namespace) -> None:
    """What one who writes beside a running pipeline notices: without a verification, with one, with a gentle one."""
    with Writer(server, chosen.rows) as writer:
        time.sleep(5)
    print(f"beside the pipeline alone: {writer.said()}")
    for rate in (0, 100_000, 50_000):
        options = Options(memory_rows=chosen.rows * 2, rate=rate, snapshot_seconds=10 if rate else 60)
        with Writer(server, chosen.rows) as writer:
            found = LegacyVerification(bridge, shapes, options).run()
        assert found.mismatches == 0
        print(f"beside a verification, rate {rate or 'unlimited'}: {writer.said()}; {found.as_json()['load']}")


def _report(hop: Any, chosen: argparse.Namespace) -> None:
    best = 0.0
    for _ in range(chosen.repeat):
        cpu, started = time.process_time(), time.monotonic()
        found: HopResult = hop.run()
        seconds, used = time.monotonic() - started, time.process_time() - cpu
        assert found.mismatches == 0
        assert found.rows == chosen.rows
        best = max(best, found.rows / seconds)
        print(
            f"{found.hop}: {found.rows / seconds:>9,.0f} rows/s, {seconds:.2f} s, {used:.2f} s of this process's CPU, "
            f"{found.as_json()['load']}, load average {os.getloadavg()[0]:.1f}"
        )
    print(f"{found.hop}: best {best:,.0f} rows/s; {best / TARGET:.2f} of {TARGET:,}")
