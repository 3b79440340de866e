"""A replay beside live changes, an audit of one key, and what a latest topic in step costs.

Run as: python -m benchmarks replay [--rows 1000000] [--live 1000]
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import threading
import time
from pathlib import Path
from typing import Any

import confluent_kafka
import orjson
import psutil
import psycopg
from confluent_kafka import TopicPartition

from benchmarks.bench import execute, say, seam_process, servers, span_seconds, wait_for_records
from benchmarks.drain import config, prepare
from cdc.kafka.admin import Admin
from cdc.kafka.client import ClientOptions
from cdc.kafka.log import TopicLog
from cdc.kafka.signals import read_requests, write_requests
from cdc.partitioner import partition_of
from cdc.requests import Request, State
from cdc.versions import History, LogRecord

LIVE_TOPIC = "replay.public.orders"


class Live:
    """So many updates of random rows in a second, each in a transaction of its own, until it is closed.

    Each writes the time into the row, so that the record in Kafka says how late it came.
    """

    def __init__(self, dsn: str, rows: int, rate: int) -> None:
        self.committed = 0
        self._end = threading.Event()
        self._thread = threading.Thread(target=self._run, args=(dsn, rows, rate), daemon=True)
        self._thread.start()

    def _run(self, dsn: str, rows: int, rate: int) -> None:
        update = "update orders set note = 'live', paid = not paid where id = %s"
        with psycopg.connect(dsn, autocommit=True) as connection:
            started = time.monotonic()
            while not self._end.is_set():
                due = int((time.monotonic() - started) * rate)
                with connection.pipeline():
                    for number in range(self.committed, min(due, self.committed + 50)):
                        connection.execute(update, [1 + number * 7919 % rows], prepare=True)
                self.committed = min(due, self.committed + 50)
                if self.committed >= due:
                    time.sleep(0.002)

    def close(self) -> None:
        self._end.set()
        self._thread.join()


def latencies(bootstrap: str, topic: str, start: int) -> list[float]:
    """Milliseconds from each live change's commit to its record's time in Kafka, from an offset on."""
    consumer = confluent_kafka.Consumer(
        {"bootstrap.servers": bootstrap, "group.id": "bench", "fetch.queue.backoff.ms": 5}
    )
    end = int(consumer.get_watermark_offsets(TopicPartition(topic, 0), timeout=10)[1] or 0)
    consumer.assign([TopicPartition(topic, 0, start)])
    found = []
    offset = start
    while offset < end:
        for message in consumer.consume(5000, 0.2):
            offset = int(message.offset() or 0) + 1
            value = message.value() or b""
            if b'"op":"u"' in value:
                source = orjson.loads(value)["source"]
                found.append(message.timestamp()[1] - source["ts_us"] / 1000)
    consumer.close()
    return found


def replay_beside_live(server: Any, broker: Any, rows: int, live: int) -> dict[str, float]:
    bootstrap = broker.bootstrap
    # The broker's own time, so that a record's latency ends when it can be read.
    Admin(ClientOptions(bootstrap)).create(
        LIVE_TOPIC, partitions=1, replication=1, config={"message.timestamp.type": "LogAppendTime"}
    )
    options = ClientOptions(bootstrap)
    more = {
        "snapshot.max.threads": "1",
        "producer.override.compression.type": "lz4",
        "extended.headers.enabled": "false",
    }
    with seam_process(config(server, "replay", **more), bootstrap) as process:
        writer = Live(server.dsn(), rows, live)
        try:
            wait_for_records(bootstrap, LIVE_TOPIC, live * 3)  # the engine streams, and is warm
            log = TopicLog(options, LIVE_TOPIC)
            start = log.bounds(0)[1]
            log.close()
            began, used = time.monotonic(), _cpu(process.pid)
            write_requests(options, [Request("replay", "bench", tables=(r"public\.orders",), time=time.time())])
            while (one := read_requests(options, "replay").by_id["bench"]).state is not State.DONE:
                if one.state is State.FAILED:
                    raise RuntimeError(one.message)
                time.sleep(0.1)
            seconds = time.monotonic() - began
            changes, used = writer.committed, _cpu(process.pid) - used
        finally:
            writer.close()
        late = sorted(latencies(bootstrap, LIVE_TOPIC, start))
    return {
        "rows_per_second": one.rows / seconds, "rows_per_cpu_second": one.rows / used, "seconds": seconds, "rows": one.rows, "live_committed": changes,
        "live_p50_ms": statistics.median(late), "live_p99_ms": late[int(len(late) * 0.99)], "live_max_ms": late[-1],
    }  # fmt: skip


def _cpu(pid: int) -> float:
    times = psutil.Process(pid).cpu_times()
    return float(times.user + times.system)


def tell(name: str, **figures: float) -> None:
    say(f"{name}: " + ", ".join(f"{what} {value:,.3f}" for what, value in figures.items()))


def audit(bootstrap: str, records: int, partitions: int) -> dict[str, float]:
    """Every version of one key, of a topic with so many records."""
    topic, options = "audited", ClientOptions(bootstrap)
    Admin(options).create(topic, partitions=partitions, replication=1, config={})
    producer = confluent_kafka.Producer(
        {"bootstrap.servers": bootstrap, "partitioner": "murmur2_random", "linger.ms": 20, "compression.type": "lz4"}
    )
    keys = records // 10
    for number in range(records):
        key = b'{"id":%d}' % (number % keys)
        value = b'{"before":null,"after":{"id":%d,"n":%d},"source":{"lsn":%d,"ts_ms":1},"op":"u"}' % (
            number % keys,
            number,
            number,
        )
        while True:
            try:
                producer.produce(topic, value, key)
                break
            except BufferError:
                producer.poll(0.01)
    producer.flush(60)
    times = []
    for number in range(5):
        key = b'{"id":%d}' % (number * 17)
        began = time.perf_counter()
        log = TopicLog(options, topic)
        partition = partition_of(key, len(log.partitions))
        history = History()
        found: list[LogRecord] = list(log.read({partition: log.bounds(partition)[0]}, key=key))
        versions = [history.add(record) for record in found]
        times.append(time.perf_counter() - began)
        log.close()
        if len(versions) != 10:
            raise RuntimeError(f"found {len(versions)} versions of 10")
    return {"seconds": statistics.median(times)}


def latest_in_step(server: Any, broker: Any, rows: int) -> dict[str, float]:
    """A backlog drained exactly once, without and with a latest topic."""
    prefixes = {"alone": "alone", "in_step": "instep"}
    prepare(server.dsn(), list(prefixes.values()), rows, 1000)
    rates = {}
    for what, prefix in prefixes.items():
        topic = f"{prefix}.public.orders"
        more = {
            "exactly.once.support": "required", "producer.override.compression.type": "lz4", "extended.headers.enabled": "false",
            "seam.topic.latest": "transaction" if what == "in_step" else "none",
        }  # fmt: skip
        with seam_process(config(server, prefix, **more), broker.bootstrap):
            wait_for_records(broker.bootstrap, topic, rows)
        rates[what] = rows / span_seconds(broker.bootstrap, topic, rows)
    return {**rates, "cost": 1 - rates["in_step"] / rates["alone"]}


def main(arguments: list[str]) -> None:
    parser = argparse.ArgumentParser(prog="benchmarks replay", description=__doc__)
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--live", type=int, default=1_000)
    parser.add_argument("--only", nargs="*", choices=("replay", "audit", "latest"))
    options = parser.parse_args(arguments)
    wanted = options.only or ("replay", "audit", "latest")
    with tempfile.TemporaryDirectory() as directory, servers(Path(directory)) as (server, broker):
        if "replay" in wanted:
            prepare(server.dsn(), [], options.rows, 1000)
            execute(
                server.dsn(), "vacuum analyze orders", "select pg_create_logical_replication_slot('replay', 'pgoutput')"
            )
            tell("replay", **replay_beside_live(server, broker, options.rows, options.live))
        if "audit" in wanted:
            tell("audit", **audit(broker.bootstrap, options.rows, 40))
        if "latest" in wanted:
            tell("latest", **latest_in_step(server, broker, options.rows // 2))
