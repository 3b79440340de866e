"""Views of 1,000,000 products: ready, resident, a get; beside Quix Streams and ktables; and a wait at 1,000 writes a second.

Run as: python -m benchmarks views [--rows 1000000] [--partitions 40] [--only memory rocksdb sqlite get quix ktables wait]
"""

from __future__ import annotations

import argparse
import contextlib
import random
import statistics
import subprocess
import sys
import tempfile
import threading
import time
import urllib.error
import urllib.request
import venv
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import confluent_kafka
import psutil
import psycopg

from benchmarks.bench import ROOT, execute, say, seam_process, servers
from benchmarks.drain import config as pipeline_config
from cdc.kafka.admin import Admin
from cdc.kafka.client import ClientOptions
from cdc.kafka.progress import ProgressFeed
from cdc.tokens import after_commit, wait_for
from views.options import ViewConfig
from views.runner import View

TOPIC = "catalogue.public.products"
KINDS = ("memory", "rocksdb", "sqlite")

# The first line runs as soon as there is an interpreter: imports of ours count.
SERVE = "import time, sys; print(time.time(), flush=True); from cli import app; sys.argv[0] = 'seam'; app()"

QUIX_PACKAGE = "quixstreams==3.28.1"
QUIX = """
import sys, time
print(time.time(), flush=True)
from quixstreams import Application
from quixstreams.models import TopicConfig

bootstrap, topic, rows, directory = sys.argv[1], sys.argv[2], int(sys.argv[3]), sys.argv[4]
app = Application(
    broker_address=bootstrap, consumer_group="bench-views", auto_offset_reset="earliest", state_dir=directory,
    use_changelog_topics=False, loglevel="ERROR", commit_interval=5.0,
    consumer_extra_config={"fetch.queue.backoff.ms": 5},
)
source = app.topic(topic, key_deserializer="bytes", value_deserializer="bytes")
seen = 0

def keep(value, state):
    global seen
    state.set_bytes("row", value)
    seen += 1
    if seen == rows:
        print(time.time(), flush=True)
        app.stop()

app.dataframe(source).update(keep, stateful=True)
app.run()
"""


KTABLES_PACKAGE = "ktables==2.0.0"
KTABLES = """
import asyncio, sys, time
print(time.time(), flush=True)
from ktables import KafkaTable

bootstrap, topic, rows = sys.argv[1], sys.argv[2], int(sys.argv[3])

async def main():
    table = KafkaTable(
        connection=bootstrap, topic=topic, value_decoder=bytes, ensure_topic=False, catchup_timeout=120.0
    )
    async with table:
        if len(table) != rows:
            raise SystemExit(f"{len(table)} rows of {rows}: {table.status}")
        print(time.time(), flush=True)

asyncio.run(main())
"""


def fill(bootstrap: str, rows: int, partitions: int) -> None:
    """Products of exactly 100 bytes under keys of eight digits."""
    Admin(ClientOptions(bootstrap)).create(TOPIC, partitions=partitions, replication=1, config={})
    producer = confluent_kafka.Producer(
        {"bootstrap.servers": bootstrap, "partitioner": "murmur2_random", "linger.ms": 50, "batch.size": 500_000}
    )
    for number in range(rows):
        value = b'{"id":%d,"name":"product %d","price":%d.%02d,"stock":%d' % (
            number, number, number % 977, number % 100, number % 31,
        )  # fmt: skip
        value += b',"note":"' + b"x" * (100 - len(value) - 11) + b'"}'
        while True:
            try:
                producer.produce(TOPIC, value, b"%08d" % number)
                break
            except BufferError:
                producer.poll(0.01)
    if left := producer.flush(60):
        raise RuntimeError(f"{left} records were not acknowledged")


@contextlib.contextmanager
def served(directory: Path, bootstrap: str, kind: str, *, port: int) -> Iterator[tuple[subprocess.Popen[str], float]]:
    """`seam view serve`; yields the process and the Unix time at which its interpreter was up."""
    directory.mkdir(parents=True, exist_ok=True)
    file = directory / "seam.toml"
    path = "" if kind == "memory" else 'path = "store"\n'
    file.write_text(
        f'[worker]\n"bootstrap.servers" = "{bootstrap}"\n[views.products]\nkind = "{kind}"\ntopics = ["{TOPIC}"]\n{path}'
    )
    with (directory / "log").open("wb") as log:
        process = subprocess.Popen(
            [sys.executable, "-c", SERVE, "view", "serve", str(file), "--port", str(port)],
            cwd=ROOT, stdout=subprocess.PIPE, stderr=log, text=True,
        )  # fmt: skip
    try:
        assert process.stdout is not None
        yield process, float(process.stdout.readline())
    except TimeoutError:
        sys.stderr.write((directory / "log").read_text())
        raise
    finally:
        process.terminate()
        process.wait(60)


def until_ready(process: subprocess.Popen[str], port: int, seconds: float = 120.0) -> float:
    """The Unix time at which `/health/ready` answered 200."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline and process.poll() is None:
        with (
            contextlib.suppress(urllib.error.URLError, ConnectionError),
            urllib.request.urlopen(f"http://127.0.0.1:{port}/health/ready", timeout=5) as answer,
        ):
            if answer.status == 200:
                return time.time()
        time.sleep(0.05)  # asking takes from what is measured
    raise TimeoutError("the view was not ready")


def loads(directory: Path, bootstrap: str, kind: str, rounds: int) -> dict[str, float]:
    """Seconds from the interpreter's start to ready, and megabytes resident at ready."""
    seconds, resident = [], []
    for number in range(rounds):
        port = free_port()
        with served(directory / f"{kind}{number}", bootstrap, kind, port=port) as (process, up):
            seconds.append(until_ready(process, port) - up)
            resident.append(psutil.Process(process.pid).memory_info().rss / 1e6)
    return {"ready_s": statistics.median(seconds), "ready_worst_s": max(seconds), "resident_MB": max(resident)}


def free_port() -> int:
    from cdc.postgres.embedded import free_port as one

    return int(one())


def gets(bootstrap: str, rows: int) -> dict[str, float]:
    """Microseconds of a get in this process, of keys at random."""
    view = View(ViewConfig("products", "memory", (TOPIC,), ClientOptions(bootstrap))).start()
    try:
        view.wait_complete(60)
        choose = random.Random(1)
        keys = [b"%08d" % choose.randrange(rows) for _ in range(200_000)]
        found = []
        clock = time.perf_counter_ns
        with view.reading() as store:
            for key in keys:
                began = clock()
                row = store.get(key)
                found.append(clock() - began)
                if row is None:
                    raise RuntimeError(f"{key!r} is missing")
    finally:
        view.stop()
    found.sort()
    return {"p50_us": found[len(found) // 2] / 1000, "p99_us": found[len(found) * 99 // 100] / 1000}


def quix(directory: Path, bootstrap: str, rows: int) -> dict[str, float]:
    """Quix Streams keeps the same topic in its state store, which is RocksDB."""
    return peer(directory, QUIX_PACKAGE, QUIX, bootstrap, TOPIC, str(rows), str(directory / "quix-state"))


def ktables(directory: Path, bootstrap: str, rows: int) -> dict[str, float]:
    """The other library that keeps a topic in a dict."""
    return peer(directory, KTABLES_PACKAGE, KTABLES, bootstrap, TOPIC, str(rows))


def peer(directory: Path, package: str, program: str, *arguments: str) -> dict[str, float]:
    """Another library in an environment of its own: its program prints the time when it begins and when it is ready."""
    environment = directory / package
    venv.create(environment, with_pip=True)
    python = str(environment / "bin" / "python")
    subprocess.run([python, "-m", "pip", "install", "--quiet", package], check=True)
    process = subprocess.Popen([python, "-c", program, *arguments], stdout=subprocess.PIPE, text=True, cwd=directory)
    try:
        assert process.stdout is not None
        began = float(process.stdout.readline())
        resident = 0
        ended: list[str] = []
        reader = threading.Thread(target=lambda: ended.append(process.stdout.readline()))  # type: ignore[union-attr]
        reader.start()
        while reader.is_alive():
            with contextlib.suppress(psutil.NoSuchProcess):
                resident = max(resident, psutil.Process(process.pid).memory_info().rss)
            reader.join(0.05)
        return {"ready_s": float(ended[0]) - began, "resident_MB": resident / 1e6}
    finally:
        process.terminate()
        process.wait(60)


def waits(server: Any, bootstrap: str, rate: int, seconds: int) -> dict[str, float]:
    """Milliseconds from the end of a commit until the memory image shows it, among so many commits a second."""
    execute(
        server.dsn(),
        "create table orders (id bigserial primary key, n int not null)",
        "create publication bench for table orders",
        "insert into orders (n) select 0 from generate_series(1, 1000)",
    )
    topic = "waits.public.orders"
    with seam_process(pipeline_config(server, "waits"), bootstrap):
        until_active(server.dsn())
        writer = subprocess.Popen(
            [sys.executable, "-c", WRITER, server.dsn(), str(rate), str(seconds + 10)],
            stdout=subprocess.PIPE,
            text=True,
        )
        feed = ProgressFeed(ClientOptions(bootstrap))
        try:
            assert writer.stdout is not None
            writer.stdout.readline()  # it writes
            view = View(ViewConfig("orders", "memory", (topic,), ClientOptions(bootstrap)), feed=feed).start()
            try:
                view.wait_complete(60)
                found = _waited(server.dsn(), view, seconds)
            finally:
                view.stop()
            still = writer.poll() is None
        finally:
            writer.kill()
            writer.wait()
            feed.close()
    if not still:
        raise RuntimeError("the writer ended before the waits")
    found.sort()
    return {
        "waits": len(found), "p50_ms": found[len(found) // 2], "p99_ms": found[len(found) * 99 // 100], "max_ms": found[-1],
    }  # fmt: skip


WRITER = """
import sys, time, psycopg
dsn, rate, seconds = sys.argv[1], int(sys.argv[2]), float(sys.argv[3])
with psycopg.connect(dsn, autocommit=True) as connection:
    print("ready", flush=True)
    began = time.monotonic()
    for number in range(int(rate * seconds)):
        connection.execute("update orders set n = n + 1 where id = %s", [2 + number % 998], prepare=True)
        ahead = began + (number + 1) / rate - time.monotonic()
        if ahead > 0:
            time.sleep(ahead)
"""


def until_active(dsn: str) -> None:
    with psycopg.connect(dsn, autocommit=True) as connection:
        while not connection.execute("select 1 from pg_replication_slots where active").fetchone():
            time.sleep(0.01)


def _waited(dsn: str, view: View, seconds: int) -> list[float]:
    found = []
    end = time.monotonic() + seconds + 1
    with psycopg.connect(dsn) as connection:
        number = 0
        while time.monotonic() < end:
            number += 1
            connection.execute("update orders set n = %s where id = 1", [number], prepare=True)
            connection.commit()
            committed = time.perf_counter()
            waited = wait_for(after_commit(connection), view, 10.0)
            took = (time.perf_counter() - committed) * 1000
            with view.reading() as store:
                row = store.get(b'{"id":1}')
            if row is None or b'"n":%d}' % number not in row.value:
                raise RuntimeError(f"{waited}: the write {number} is not there: {row}")
            if time.monotonic() > end - seconds:
                found.append(took)
            time.sleep(0.01 * random.random())
    return found


def tell(name: str, figures: dict[str, float]) -> None:
    say(f"{name}: " + ", ".join(f"{what} {value:,.2f}" for what, value in figures.items()))


def main(arguments: Sequence[str]) -> None:
    parser = argparse.ArgumentParser(prog="benchmarks views", description=__doc__)
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--partitions", type=int, default=40)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--rate", type=int, default=1000)
    parser.add_argument("--only", nargs="*", choices=(*KINDS, "get", "quix", "ktables", "wait"))
    options = parser.parse_args(arguments)
    wanted = options.only or (*KINDS, "get", "quix", "ktables", "wait")
    with tempfile.TemporaryDirectory() as root, servers(Path(root)) as (server, broker):
        directory = Path(root)
        if set(wanted) != {"wait"}:
            fill(broker.bootstrap, options.rows, options.partitions)
        found = {}
        for kind in KINDS:
            if kind in wanted:
                found[kind] = loads(directory, broker.bootstrap, kind, options.rounds)
                tell(kind, found[kind])
        if "get" in wanted:
            tell("get from memory", gets(broker.bootstrap, options.rows))
        for name, package, measure in (("quix", QUIX_PACKAGE, quix), ("ktables", KTABLES_PACKAGE, ktables)):
            if name in wanted:
                other = measure(directory, broker.bootstrap, options.rows)
                tell(package, other)
                for kind, figures in found.items():
                    say(f"{kind} / {package} = {other['ready_s'] / figures['ready_s']:.1f} times as quick")
        if "wait" in wanted:
            tell("wait_for", waits(server, broker.bootstrap, options.rate, 10))
