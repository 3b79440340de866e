"""From commit to a consumer at 1,000 events a second: p50 and p99, and the time from start to streaming.

A record's timestamp is taken when it is handed to the producer, and parts our share from the brokers' and the consumer's.

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
    parser.add_argument("--warm-up", type=int, default=3, help="seconds before, for the broker's compiler")
    options = parser.parse_args(arguments)
    with tempfile.TemporaryDirectory() as directory, servers(Path(directory)) as (server, broker):
        execute(server.dsn(), TABLE, "create publication bench for table orders")
        settings = config(server, "latency", **{"extended.headers.enabled": "false"})
        started = time.monotonic()
        with seam_process(settings, broker.bootstrap) as process, watched(process.pid) as used:
            until_active(server.dsn(), "latency")
            say(f"start to streaming, interpreter included: {time.monotonic() - started:.2f} s")
            write(server.dsn(), options.rate, options.warm_up)
            while not count_records(broker.bootstrap, "latency.public.orders"):
                time.sleep(0.05)
            found: list[tuple[float, float, float]] = []
            stop = threading.Event()
            reader = threading.Thread(target=read, args=(broker.bootstrap, found, stop))
            reader.start()
            time.sleep(1.0)
            write(server.dsn(), options.rate, options.seconds)
            time.sleep(1.0)
            stop.set()
            reader.join()
        say(f"{len(found)} events at {options.rate}/s, RSS {used.peak_rss / 1e6:.0f} MB")
        say(f"commit to consumer:        {_ranks([there - commit for commit, _, there in found])}")
        say(f"commit to produce:         {_ranks([produced - commit for commit, produced, _ in found])}")
        say(f"produce to consumer:       {_ranks([there - produced for _, produced, there in found])}")
        for second in range(options.seconds):
            part = [there - commit for at, (commit, _, there) in enumerate(found) if at // options.rate == second]
            if part:
                say(f"  second {second + 1:>3}:              {_ranks(part)}")


def _ranks(millis: list[float]) -> str:
    ranked = sorted(millis)
    p99 = ranked[int(len(ranked) * 0.99)]
    return f"p50 {statistics.median(ranked):6.1f} ms, p99 {p99:6.1f} ms, most {ranked[-1]:6.1f} ms"


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


def read(bootstrap: str, found: list[tuple[float, float, float]], stop: threading.Event) -> None:
    consumer = confluent_kafka.Consumer({"bootstrap.servers": bootstrap, "group.id": "latency", "fetch.wait.max.ms": 5})
    _, high = consumer.get_watermark_offsets(TopicPartition("latency.public.orders", 0), timeout=10)
    consumer.assign([TopicPartition("latency.public.orders", 0, high)])
    while not stop.is_set():
        for message in consumer.consume(100, 0.005):
            if message.error() is None:
                committed = orjson.loads(message.value())["source"]["ts_us"] / 1000
                found.append((committed, message.timestamp()[1], time.time_ns() / 1_000_000))
    consumer.close()
