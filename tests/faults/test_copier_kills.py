"""kill -9 of the copier of a latest topic: a read_committed reader never sees it ahead of its history, or twice."""

from __future__ import annotations

import os
import random
import subprocess
import sys
import threading
import time

import pytest
from confluent_kafka import Producer

from cdc.kafka.admin import Admin
from cdc.kafka.client import ClientOptions
from tests.support.consume import Record, read_topic
from tests.support.processes import REPOSITORY

KILLED = -9
STEPS = ("copied", "offsets sent", "copy committed")


class History:
    """Writes versions of fifty keys until it is closed."""

    def __init__(self, bootstrap: str, topic: str) -> None:
        self.topic = topic
        self._producer = Producer({"bootstrap.servers": bootstrap, "partitioner": "murmur2_random", "linger.ms": 2})
        self._end = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def _run(self) -> None:
        version = 0
        while not self._end.wait(0.005):
            for _ in range(20):
                version += 1
                self._producer.produce(self.topic, str(version), f"key {version % 50}")
            self._producer.poll(0)
        self._producer.flush(20)

    def close(self) -> None:
        self._end.set()
        self._thread.join(30)


def copier(bootstrap: str, topic: str, failpoint: str) -> subprocess.Popen:
    command = [sys.executable, "-m", "cli", "log", "copy", topic, "--latest", "--bootstrap-servers", bootstrap]
    return subprocess.Popen(
        [*command, *(["--follow"] if failpoint else [])],
        cwd=REPOSITORY,
        env={**os.environ, "SEAM_FAILPOINT": failpoint},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )


def by_partition(records: list[Record]) -> dict[int, list[tuple]]:
    found: dict[int, list[tuple]] = {}
    for record in records:
        found.setdefault(record.partition, []).append((record.key, record.value))
    return found


def assert_in_step(bootstrap: str, topic: str) -> int:
    """What the latest topic holds is a beginning of the history, record by record; returns how long it is."""
    latest = by_partition(read_topic(bootstrap, f"{topic}.latest"))
    history = by_partition(read_topic(bootstrap, topic))
    for partition, records in latest.items():
        assert records == history[partition][: len(records)], f"partition {partition} is not a beginning of its history"
    return sum(map(len, latest.values()))


def killed_again_and_again(kafka, topic, failpoints) -> None:
    Admin(ClientOptions(kafka.bootstrap)).create(topic, partitions=3, replication=1, config={})
    history = History(kafka.bootstrap, topic)
    held = 0
    try:
        for failpoint in failpoints:
            process = copier(kafka.bootstrap, topic, failpoint)
            try:
                assert process.wait(90) == KILLED, failpoint
            finally:
                process.kill()
                process.wait()
            now = assert_in_step(kafka.bootstrap, topic)
            assert now >= held, "the latest topic went back"
            held = now
    finally:
        history.close()
    last = copier(kafka.bootstrap, topic, "")
    assert last.wait(90) == 0
    total = len(read_topic(kafka.bootstrap, topic))
    assert assert_in_step(kafka.bootstrap, topic) == total
    assert held, "nothing was copied before the last run"


def test_five_kills_leave_a_beginning_of_the_history(kafka, prefix):
    failpoints = ["copy committed:2", "copied:1", "offsets sent:2", "copied:3", "offsets sent:1"]
    killed_again_and_again(kafka, f"{prefix}.history", failpoints)


@pytest.mark.soak
def test_twenty_kills_leave_a_beginning_of_the_history(kafka, prefix):
    chosen = random.Random(20)
    started = time.monotonic()
    killed_again_and_again(
        kafka, f"{prefix}.history", [f"{chosen.choice(STEPS)}:{chosen.randint(1, 5)}" for _ in range(20)]
    )
    assert time.monotonic() - started < 1800
