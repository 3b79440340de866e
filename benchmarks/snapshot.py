"""Reading a table that is older than the slot while two writers change it: seam beside tuned Debezium, one run.

Prints both rates and their ratio, the memory of each, and the share of rows that is sent again after a kill -9 in the
middle.

Run as: python -m benchmarks snapshot [--rows 2000000] [--rate 200] [--only seam killed debezium]
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import confluent_kafka
import orjson
import psycopg
from confluent_kafka import TopicPartition

from benchmarks.bench import (
    DEBEZIUM_TUNED,
    connect_worker,
    count_records,
    execute,
    say,
    seam_process,
    servers,
    wait_for_records,
    watched,
)
from benchmarks.drain import HEADERS_OFF, INSERT, LZ4, TABLE, config
from benchmarks.replay import Live
from cdc.kafka.admin import Admin
from cdc.kafka.client import ClientOptions
from cdc.kafka.positions import read_positions

RATIO, RSS, AGAIN = 2.0, 300e6, 0.15
SECONDS = 300.0


@dataclass(frozen=True, slots=True)
class Read:
    """The rows of a snapshot as they lie in the topic.

    Attributes:
        rows: Records `r`.
        distinct: Keys among them.
        seconds: From the first to the last of them, by the broker's clock.
    """

    rows: int
    distinct: int
    seconds: float


def fill(dsn: str, rows: int) -> None:
    execute(
        dsn, "drop table if exists orders", TABLE, "drop publication if exists bench",
        "create publication bench for table orders", INSERT.format(1, rows), "vacuum analyze orders", "checkpoint",
    )  # fmt: skip


@contextmanager
def writers(dsn: str, rows: int, rate: int) -> Iterator[None]:
    """Two of them, each with so many single-row updates in a second."""
    both = [Live(dsn, rows, rate) for _ in range(2)]
    try:
        yield
    finally:
        for writer in both:
            writer.close()


def settings(server: Any, prefix: str, **more: str) -> dict[str, str]:
    return {**config(server, prefix, **more), "snapshot.mode": "initial"}


def topic_of(bootstrap: str, prefix: str) -> str:
    """The topic, made with the broker's clock, so that both engines are timed by the same one."""
    topic = f"{prefix}.public.orders"
    log = {"message.timestamp.type": "LogAppendTime"}
    Admin(ClientOptions(bootstrap)).create(topic, partitions=1, replication=1, config=log)
    return topic


def until_done(bootstrap: str, prefix: str) -> None:
    """Wait until seam has recorded that every row is read."""
    deadline = time.monotonic() + SECONDS
    while time.monotonic() < deadline:
        record = read_positions(ClientOptions(bootstrap)).get(prefix)
        if record is not None and record.snapshot.get("phase") == "done":
            return
        time.sleep(0.2)
    raise TimeoutError(f"the snapshot was not done after {SECONDS:.0f} s")


def read_rows(bootstrap: str, topic: str) -> Read:
    consumer = confluent_kafka.Consumer(
        {
            "bootstrap.servers": bootstrap, "group.id": "bench", "enable.auto.commit": False,
            "fetch.queue.backoff.ms": 5, "queued.max.messages.kbytes": 65536,
        }
    )  # fmt: skip
    keys: set[int] = set()
    count, first, last = 0, 0, 0
    try:
        place = TopicPartition(topic, 0, 0)
        end = consumer.get_watermark_offsets(place, timeout=5)[1]
        consumer.assign([place])
        reached = 0
        while reached < end:
            for message in consumer.consume(500, 0.1):
                reached = message.offset() + 1
                if b'"op":"r"' not in (message.value() or b""):
                    continue
                count += 1
                keys.add(orjson.loads(message.key())["id"])
                last = message.timestamp()[1]
                first = first or last
            # What follows the last record may be markers of transactions only.
            reached = max(reached, consumer.position([place])[0].offset)
    finally:
        consumer.close()
    return Read(count, len(keys), max(0.001, (last - first) / 1000))


def drop(dsn: str, slot: str) -> None:
    with psycopg.connect(dsn, autocommit=True) as connection:
        connection.execute(
            "select pg_terminate_backend(active_pid, 10000) from pg_replication_slots where slot_name = %s and active_pid is not null",
            [slot],
        )
        connection.execute("select pg_drop_replication_slot(%s)", [slot])


def by_seam(server: Any, bootstrap: str, rows: int, rate: int, **more: str) -> tuple[Read, int]:
    prefix = "snapshot"
    topic = topic_of(bootstrap, prefix)
    with (
        writers(server.dsn(), rows, rate),
        seam_process(settings(server, prefix, **HEADERS_OFF, **LZ4, **more), bootstrap) as process,
        watched(process.pid) as used,
    ):
        until_done(bootstrap, prefix)
    drop(server.dsn(), prefix)
    return read_rows(bootstrap, topic), used.peak_rss


def killed(server: Any, bootstrap: str, rows: int, rate: int) -> float:
    """The share of rows that is sent again after a kill -9 in the middle."""
    prefix = "killed"
    topic, how = topic_of(bootstrap, prefix), settings(server, prefix, **HEADERS_OFF, **LZ4)
    with writers(server.dsn(), rows, rate):
        with seam_process(how, bootstrap) as process:
            wait_for_records(bootstrap, topic, rows // 2)
            process.kill()
        sent = count_records(bootstrap, topic)
        with seam_process(how, bootstrap):
            until_done(bootstrap, prefix)
    drop(server.dsn(), prefix)
    found = read_rows(bootstrap, topic)
    say(f"killed with {sent:,} records sent; {found.rows - found.distinct:,} of {rows:,} rows were sent again")
    return (found.rows - found.distinct) / rows


def by_debezium(worker: Any, server: Any, bootstrap: str, rows: int, rate: int) -> tuple[Read, int]:
    prefix = "debezium"
    topic = topic_of(bootstrap, prefix)
    with writers(server.dsn(), rows, rate), watched(worker.pid) as used:
        worker.run(prefix, settings(server, prefix, **DEBEZIUM_TUNED))
        wait_for_records(bootstrap, topic, rows, SECONDS)  # its stream starts after its snapshot
        worker.delete(prefix)
    drop(server.dsn(), prefix)
    return read_rows(bootstrap, topic), used.peak_rss


def verdict(what: str, value: str, *, kept: bool) -> None:
    say(f"{what}: {value}   {'kept' if kept else 'MISSED'}")


def main(arguments: list[str]) -> None:
    parser = argparse.ArgumentParser(prog="benchmarks snapshot", description=__doc__)
    parser.add_argument("--rows", type=int, default=2_000_000)
    parser.add_argument("--rate", type=int, default=200, help="transactions in a second of each writer")
    parser.add_argument("--threads", default="1", help="snapshot.max.threads of seam")
    parser.add_argument("--only", nargs="*", choices=("seam", "killed", "debezium"))
    options = parser.parse_args(arguments)
    wanted = options.only or ("seam", "killed", "debezium")
    rates: dict[str, float] = {}
    with tempfile.TemporaryDirectory() as directory, servers(Path(directory)) as (server, broker):
        fill(server.dsn(), options.rows)
        one = (server, broker.bootstrap, options.rows, options.rate)
        if "seam" in wanted:
            found, rss = by_seam(*one, **{"snapshot.max.threads": options.threads})
            rates["seam"] = found.rows / found.seconds
            say(f"seam: {found.rows:,} rows in {found.seconds:.1f} s, {rates['seam']:,.0f} rows/s")
            verdict("seam, RSS", f"{rss / 1e6:.0f} MB", kept=rss <= RSS)
        if "killed" in wanted:
            again = killed(*one)
            verdict("rows sent again after a kill -9 in the middle", f"{again:.1%}", kept=again <= AGAIN)
        if "debezium" in wanted:
            with connect_worker(Path(directory), broker) as worker:
                found, rss = by_debezium(worker, *one)
            rates["debezium"] = found.rows / found.seconds
            say(
                f"debezium tuned: {found.rows:,} rows in {found.seconds:.1f} s, {rates['debezium']:,.0f} rows/s, RSS {rss / 1e6:.0f} MB"
            )
    if {"seam", "debezium"} <= rates.keys():
        ratio = rates["seam"] / rates["debezium"]
        verdict("seam / debezium tuned", f"{ratio:.2f}", kept=ratio >= RATIO)
