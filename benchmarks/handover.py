"""What a hand-over costs under load: rows lost, rows sent again, and the pause that a consumer sees, each way.

    python -m benchmarks handover [--rate 1000] [--turns 2] [--seconds 5]

A turn goes from `seam run` to Connect and back to `seam run`, with every process started as a user starts it.
"""

from __future__ import annotations

import argparse
import itertools
import json
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import psycopg

from benchmarks.bench import ROOT, connect_worker, say
from tests.stack.kafka import KafkaBroker
from tests.stack.postgres import Database, fresh_database, postgres_server
from tests.support.consume import read_topic
from tests.support.handover import HandedOver, sent_again, sent_again_in_part, stretches_sent_again
from tests.support.workload import check

PAUSE_LIMIT = 10.0  # seconds
KEYS, BATCH = 500, 5  # a transaction changes five rows of each of two tables
_STEP = """
with moved as (update state set seq = seq + 1 where key = any(%s) returning key, seq)
insert into journal (key, seq, op) select key, seq, 'u' from moved
"""


def main(arguments: Sequence[str] = ()) -> None:
    parser = argparse.ArgumentParser(prog="benchmarks handover", description=__doc__)
    parser.add_argument("--rate", type=int, default=1000, help="changes in a second")
    parser.add_argument("--turns", type=int, default=2, help="there and back")
    parser.add_argument("--seconds", type=float, default=5.0, help="between two hand-overs")
    options = parser.parse_args(arguments)
    with (
        tempfile.TemporaryDirectory() as directory,
        postgres_server(18) as postgres,
        KafkaBroker(Path(directory) / "kafka", heap="512m", quick_start=False) as broker,
        connect_worker(Path(directory), broker) as worker,
        fresh_database(postgres, "handover") as database,
    ):
        pipeline = HandedOver(database, "handover", broker, worker, Path(directory))
        try:
            _measure(pipeline, database, options.rate, options.turns, options.seconds)
        finally:
            worker.delete("handover")
            pipeline.close()


def _measure(pipeline: HandedOver, database: Database, rate: int, turns: int, seconds: float) -> None:
    seams: list[tuple[str, float, float]] = []
    engine = pipeline.native()
    database.execute(
        f"insert into state select k, 1, '' from generate_series(0, {KEYS - 1}) k",
        f"insert into journal (key, seq, op) select k, 1, 'c' from generate_series(0, {KEYS - 1}) k",
    )
    with _load(database, rate) as rates:
        for _ in range(turns):
            time.sleep(seconds)
            began = time.time()
            _seam(pipeline, "connect")
            engine.ended()
            seams.append(("native -> connect", began, time.time()))
            time.sleep(seconds)
            began = time.time()
            _seam(pipeline, "native")
            engine = pipeline.native()
            seams.append(("connect -> native", began, time.time()))
        time.sleep(seconds)
    with engine:
        engine.caught_up(120)
    report = check(database, pipeline.kafka.bootstrap, pipeline.name)
    stretches_sent_again(pipeline.journal())
    events = pipeline.events()
    again, parts = sent_again(events), sent_again_in_part(events)
    say(f"{report.operations} operations in {2 * turns} hand-overs, {rates[0]:.0f} changes/s (asked for {rate})")
    say(f"rows lost or out of a key's order: {len(report.faults)} {report.faults[:3] or ''}")
    say(f"records sent again: {again}; transactions sent again in part: {len(parts)}   {'MISSED' if parts else 'kept'}")
    stamps = sorted(
        record.timestamp / 1000 for record in read_topic(pipeline.kafka.bootstrap, f"{pipeline.name}.public.journal")
    )
    for what, began, ended in seams:
        gaps = [b - a for a, b in itertools.pairwise(stamps) if b > began and a < ended + 5]
        pause = max(gaps)
        verdict = "kept" if pause <= PAUSE_LIMIT else "MISSED"
        say(f"{what}: a consumer saw nothing for {pause:.2f} s   limit {PAUSE_LIMIT:.0f} s: {verdict}")


def _seam(pipeline: HandedOver, to: str) -> None:
    command = [
        sys.executable, "-m", "cli", "handover", str(pipeline.file), "--to", to, "--bootstrap-servers",
        pipeline.kafka.bootstrap, "--connect-url", pipeline.url, "--output", "json",
    ]  # fmt: skip
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    say(f"--to {to}: {json.dumps(json.loads(done.stdout))}")


@contextmanager
def _load(database: Database, rate: int) -> Iterator[list[float]]:
    """Changes at a steady rate; at the end the list holds the rate that was reached."""
    stop, rates = threading.Event(), [0.0]
    failed: list[BaseException] = []

    def write() -> None:
        begin, done = time.monotonic(), 0
        try:
            with psycopg.connect(database.dsn, autocommit=True) as connection:
                while not stop.is_set():
                    first = done % (KEYS // BATCH) * BATCH
                    connection.execute(_STEP, [list(range(first, first + BATCH))], prepare=True)
                    done += 1
                    stop.wait(max(0.0, begin + done * 2 * BATCH / rate - time.monotonic()))
        except psycopg.Error as error:
            failed.append(error)
        rates[0] = done * 2 * BATCH / (time.monotonic() - begin)

    thread = threading.Thread(target=write, daemon=True)
    thread.start()
    try:
        yield rates
    finally:
        stop.set()
        thread.join()
    assert not failed, failed
