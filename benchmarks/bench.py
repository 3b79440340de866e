"""What the benchmarks share: servers for measuring, processes watched, topics timed."""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import confluent_kafka
import psutil
import psycopg
from confluent_kafka import TopicPartition

from tests.stack.connect import ConnectWorker
from tests.stack.kafka import KafkaBroker
from tests.stack.postgres import postgres_server

ROOT = Path(__file__).resolve().parent.parent

# Measured with, as "tuned": what an operator who knows Debezium sets.
DEBEZIUM_TUNED: Mapping[str, str] = {
    "max.batch.size": "16384", "max.queue.size": "65536", "poll.interval.ms": "5", "extended.headers.enabled": "false",
    "producer.override.compression.type": "lz4", "producer.override.linger.ms": "5", "producer.override.batch.size": "262144",
}  # fmt: skip


@dataclass(slots=True)
class Watched:
    """What a process used.

    Attributes:
        cpu_seconds: Of the process and its threads while it was watched.
        main_seconds: Of its main thread, which runs the interpreter; the rest is librdkafka's.
        peak_rss: Bytes.
    """

    cpu_seconds: float = 0.0
    main_seconds: float = 0.0
    peak_rss: int = 0


@contextmanager
def watched(pid: int) -> Iterator[Watched]:
    """Sample a process's memory every 50 ms and count its CPU time."""
    process = psutil.Process(pid)
    result = Watched()
    ended = threading.Event()
    before = process.cpu_times()

    def sample() -> None:
        while not ended.wait(0.05):
            try:
                result.peak_rss = max(result.peak_rss, process.memory_info().rss)
                now = process.cpu_times()
                result.cpu_seconds = now.user + now.system - before.user - before.system
                main = next(thread for thread in process.threads() if thread.id == pid)
                result.main_seconds = main.user_time + main.system_time
            except psutil.NoSuchProcess:
                return

    thread = threading.Thread(target=sample, daemon=True)
    thread.start()
    try:
        yield result
    finally:
        ended.set()
        thread.join()


@contextmanager
def servers(directory: Path) -> Iterator[tuple[Any, KafkaBroker]]:
    """A Postgres and a broker with room to work in."""
    with postgres_server(15, settings={"shared_buffers": "512MB", "max_wal_size": "8GB", "fsync": "off"}) as postgres:
        broker = KafkaBroker(
            directory / "kafka", heap="1g", quick_start=False,
            properties={"num.partitions": "1", "log.retention.bytes": "-1", "message.max.bytes": "10000000"},
        )  # fmt: skip
        broker.start()
        try:
            yield postgres, broker
        finally:
            broker.close()


@contextmanager
def connect_worker(directory: Path, broker: KafkaBroker) -> Iterator[ConnectWorker]:
    """A Connect worker with Debezium, with the heap and the compiler of production."""
    worker = ConnectWorker(
        directory / "connect", broker.bootstrap, plugins=["debezium-postgres"], heap="1g", quick_start=False,
        properties={"connector.client.config.override.policy": "All", "offset.flush.interval.ms": "10000"},
    )  # fmt: skip
    worker.start()
    try:
        yield worker
    finally:
        worker.close()


def execute(dsn: str, *statements: str) -> None:
    with psycopg.connect(dsn, autocommit=True) as connection:
        for statement in statements:
            connection.execute(statement)


def count_records(bootstrap: str, topic: str) -> int:
    consumer = confluent_kafka.Consumer({"bootstrap.servers": bootstrap, "group.id": "bench", "log_level": 0})
    try:
        metadata = consumer.list_topics(topic, timeout=5).topics.get(topic)
        if metadata is None or metadata.error is not None:
            return 0
        return sum(
            high - low
            for low, high in (
                consumer.get_watermark_offsets(TopicPartition(topic, partition), timeout=5)
                for partition in metadata.partitions
            )
        )
    except confluent_kafka.KafkaException:
        return 0
    finally:
        consumer.close()


def wait_for_records(bootstrap: str, topic: str, count: int, seconds: float = 300.0) -> None:
    deadline = time.monotonic() + seconds
    while (found := count_records(bootstrap, topic)) < count:
        if time.monotonic() > deadline:
            raise TimeoutError(f"{topic} holds {found} of {count} records after {seconds:.0f} s")
        time.sleep(0.2)


def span_seconds(bootstrap: str, topic: str, count: int) -> float:
    """Seconds from the first record's timestamp to the last one's."""
    consumer = confluent_kafka.Consumer(
        {
            "bootstrap.servers": bootstrap,
            "group.id": "bench",
            "auto.offset.reset": "earliest",
            "enable.auto.commit": False,
        }
    )
    try:
        stamps = []
        for offset in (0, count - 1):
            consumer.assign([TopicPartition(topic, 0, offset)])
            message = consumer.poll(20)
            while message is None or message.error():
                message = consumer.poll(20)
            stamps.append(message.timestamp()[1])
        return max(0.001, (stamps[1] - stamps[0]) / 1000)
    finally:
        consumer.close()


@contextmanager
def seam_process(
    config: Mapping[str, str], bootstrap: str, *arguments: str, module: Sequence[str] = ("cli",)
) -> Iterator[subprocess.Popen[bytes]]:
    """`seam run` as its users start it, or under another module that watches it."""
    with tempfile.TemporaryDirectory() as directory:
        file = Path(directory) / "pipeline.json"
        file.write_text(json.dumps({"name": config["topic.prefix"], "config": dict(config)}))
        process = subprocess.Popen(
            [sys.executable, "-m", *module, "run", str(file), "--bootstrap-servers", bootstrap, *arguments],
            cwd=ROOT, stdout=subprocess.DEVNULL, stderr=(Path(directory) / "log").open("wb"),
        )  # fmt: skip
        try:
            yield process
        finally:
            if process.poll() is None:
                process.terminate()
            process.wait(60)
            if process.returncode not in (0, -15):
                sys.stderr.write((Path(directory) / "log").read_text())


def walsender_cpu(dsn: str) -> float:
    """CPU seconds of all walsenders so far."""
    with psycopg.connect(dsn) as connection:
        pids = [
            row[0] for row in connection.execute("select pid from pg_stat_activity where backend_type = 'walsender'")
        ]
    total = 0.0
    for pid in pids:
        times = psutil.Process(pid).cpu_times()
        total += times.user + times.system
    return total


def cpu_seconds(pid: int) -> float:
    """CPU seconds of a process so far."""
    times = psutil.Process(pid).cpu_times()
    return times.user + times.system


def say(text: str) -> None:
    print(text, flush=True)
