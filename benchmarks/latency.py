"""From commit to a consumer at 1,000 events a second: p50 and p99, and the time from start to streaming.

Run as: python -m benchmarks latency [--seconds 10] [--rate 1000]
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import threading
import time
from pathlib import Path

import confluent_kafka
import orjson
import psycopg
from confluent_kafka import TopicPartition

from benchmarks.bench import count_records, execute, say, seam_process, servers, watched
from benchmarks.drain import TABLE, config


def main(arguments: list[str]) -> None:
    parser = argparse.ArgumentParser(prog="benchmarks latency", description=__doc__)
    parser.add_argument("--seconds", type=int, default=10)
    parser.add_argument("--rate", type=int, default=1000)
    options = parser.parse_args(arguments)
    with tempfile.TemporaryDirectory() as directory, servers(Path(directory)) as (server, broker):
        execute(server.dsn(), TABLE, "create publication bench for table orders")
        settings = config(server, "latency", **{"extended.headers.enabled": "false"})
        started = time.monotonic()
        with seam_process(settings, broker.bootstrap) as process, watched(process.pid) as used:
            until_active(server.dsn(), "latency")
            say(f"start to streaming, interpreter included: {time.monotonic() - started:.2f} s")
            write(server.dsn(), 5, 1)
            while not count_records(broker.bootstrap, "latency.public.orders"):
                time.sleep(0.05)
            found: list[float] = []
            stop = threading.Event()
            reader = threading.Thread(target=read, args=(broker.bootstrap, found, stop))
            reader.start()
            time.sleep(1.0)
            write(server.dsn(), options.rate, options.seconds)
            time.sleep(1.0)
            stop.set()
            reader.join()
        ranked = sorted(found)
        p99 = ranked[int(len(ranked) * 0.99)]
        say(f"{len(ranked)} events at {options.rate}/s: p50 {statistics.median(ranked):.1f} ms, p99 {p99:.1f} ms")
        say(f"RSS {used.peak_rss / 1e6:.0f} MB")


def until_active(dsn: str, slot: str) -> None:
    with psycopg.connect(dsn, autocommit=True) as connection:
        while not connection.execute(
            "select 1 from pg_replication_slots where active and slot_name = %s", [slot]
        ).fetchone():
            time.sleep(0.01)


def write(dsn: str, rate: int, seconds: int) -> None:
    with psycopg.connect(dsn, autocommit=True) as connection:
        begin = time.monotonic()
        for number in range(rate * seconds):
            connection.execute("insert into orders (customer_id, status, amount) values (1, 'new', 1.5)", prepare=True)
            ahead = begin + (number + 1) / rate - time.monotonic()
            if ahead > 0:
                time.sleep(ahead)


def read(bootstrap: str, found: list[float], stop: threading.Event) -> None:
    consumer = confluent_kafka.Consumer({"bootstrap.servers": bootstrap, "group.id": "latency", "fetch.wait.max.ms": 5})
    _, high = consumer.get_watermark_offsets(TopicPartition("latency.public.orders", 0), timeout=10)
    consumer.assign([TopicPartition("latency.public.orders", 0, high)])
    while not stop.is_set():
        for message in consumer.consume(100, 0.005):
            if message.error() is None:
                committed = orjson.loads(message.value())["source"]["ts_us"]
                found.append((time.time_ns() / 1000 - committed) / 1000)
    consumer.close()
