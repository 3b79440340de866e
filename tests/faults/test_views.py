"""A stored view is killed in mid-batch, runs out of disk, loses its broker: its store stays a fold of the topic."""

from __future__ import annotations

import contextlib
import random
import resource
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.processes import REPOSITORY
from tests.support.views import Rows, Topic, running_view, view_config
from tests.support.waiting import wait_until
from views.batch import Offsets
from views.generations import Generations
from views.kinds import open_store
from views.options import ViewConfig

RUN = "import sys; from views.commands import app; app(['run', sys.argv[1]])"
LIMIT = 3_000_000


@pytest.fixture(params=["rocksdb", "sqlite"])
def config(request: pytest.FixtureRequest, kafka, prefix: str, tmp_path: Path) -> ViewConfig:
    return view_config(request.param, [f"{prefix}.public.rows"], kafka.bootstrap, tmp_path / "store")


@pytest.fixture
def topic(kafka, config: ViewConfig) -> Topic:
    return Topic(kafka.bootstrap, config.topics[0])


@contextlib.contextmanager
def view_process(config: ViewConfig, *, file_limit: int | None = None) -> Iterator[subprocess.Popen[bytes]]:
    """`seam view run` in a process of its own, whose files may be bounded as a full disk bounds them."""
    assert config.path is not None
    file = config.path.parent / "seam.toml"
    search = 'search = ["note"]\n' if config.search else ""
    file.write_text(
        f'[worker]\n"bootstrap.servers" = "{config.kafka.bootstrap_servers}"\n'
        f'[views.v]\nkind = "{config.kind}"\ntopics = ["{config.topics[0]}"]\npath = "{config.path.name}"\n{search}'
    )

    log = config.path.parent / "log"
    with log.open("ab") as output:
        process = subprocess.Popen([sys.executable, "-c", RUN, str(file)], cwd=REPOSITORY, stdout=output, stderr=output)
    if file_limit is not None:
        resource.prlimit(process.pid, resource.RLIMIT_FSIZE, (file_limit, resource.RLIM_INFINITY))
    try:
        yield process
    finally:
        process.kill()
        process.wait()


def stored(config: ViewConfig, *, read_only: bool = False) -> tuple[Rows, Offsets]:
    """Rows and offsets as they lie on disk."""
    assert config.path is not None
    generations = Generations(config.path)
    number = generations.current()
    assert number is not None
    with open_store(config, generations.store(number), read_only=read_only) as store:
        return {row.key: row.value for row in store.scan()}, dict(store.state.offsets)


class Load:
    """Writes random puts and deletes until it is stopped."""

    def __init__(self, topic: Topic, seed: int) -> None:
        self.topic = topic
        self._choose = random.Random(seed)
        self._end = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def _run(self) -> None:
        n = 0
        while not self._end.wait(0.02):
            pairs: list[tuple[bytes, bytes | None]] = []
            for _ in range(50):
                n += 1
                key = b"%05d" % self._choose.randrange(3000)
                pairs.append((key, None if self._choose.random() < 0.2 else b'{"n":%d,"note":"row %d"}' % (n, n)))
            self.topic.put(pairs)

    def stop(self) -> None:
        self._end.set()
        self._thread.join()


def killed_again_and_again(config: ViewConfig, topic: Topic, count: int, seed: int) -> None:
    assert config.path is not None
    choose, generations = random.Random(seed), Generations(config.path)
    topic.put([(b"%05d" % n, b'{"n":0}') for n in range(3000)])
    load = Load(topic, seed)
    try:
        with view_process(config) as process:
            wait_until(generations.current, 40, "the first store to be complete")
        last: Offsets = {}
        moved = 0
        for _ in range(count):
            with view_process(config) as process:
                wait_until(generations.locked_by_another, 20, "the process to take the view")
                began = time.monotonic()
                while time.monotonic() - began < 0.05 + choose.random():
                    assert process.poll() is None, (config.path.parent / "log").read_text()
                    time.sleep(0.01)  # not a condition: the moment of the kill is what is random
            rows, offsets = stored(config)
            below = {partition: offset for (_, partition), offset in offsets.items()}
            assert rows == topic.fold(below), f"seed {seed}"
            assert all(offsets[place] >= offset for place, offset in last.items())
            moved += offsets != last
            last = offsets
        assert moved > count / 3, "most kills came before anything was applied"
    finally:
        load.stop()
    with view_process(config):
        wait_until(lambda: stored(config, read_only=True)[0] == topic.fold(), 40, "the view to catch up", every=0.3)


def test_ten_kills_leave_the_fold_of_the_topic_up_to_the_stored_offset(config: ViewConfig, topic: Topic):
    killed_again_and_again(config, topic, 10, seed=5)


@pytest.mark.soak
def test_a_hundred_kills_leave_the_fold_of_the_topic_up_to_the_stored_offset(config: ViewConfig, topic: Topic):
    killed_again_and_again(config, topic, 100, seed=random.randrange(1000))


def test_a_full_disk_stops_the_view_where_it_was_and_it_goes_on_when_there_is_room(config: ViewConfig, topic: Topic):
    assert config.path is not None
    log = config.path.parent / "log"
    topic.put([(b"%05d" % n, b'{"n":0}') for n in range(100)])
    with view_process(config, file_limit=LIMIT) as process:
        wait_until(lambda: Generations(config.path or Path()).current(), 40, "the first store to be complete")
        noise = random.Random(1)
        for n in range(60):
            topic.put(
                [
                    (b"%05d" % i, b'{"n":%d,"x":"%b"}' % (n, noise.randbytes(600).hex().encode()))
                    for i in range(n * 100, n * 100 + 100)
                ]
            )
        wait_until(lambda: "STORE_FULL" in log.read_text(), 40, "the disk to be full")
        assert process.poll() is None, log.read_text()
        rows, offsets = stored(config, read_only=True)
        assert rows == topic.fold({partition: offset for (_, partition), offset in offsets.items()})
        assert len(rows) < len(topic.fold())
        resource.prlimit(process.pid, resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
        wait_until(lambda: stored(config, read_only=True)[0] == topic.fold(), 60, "the view to go on", every=0.3)


def test_a_broker_that_goes_away_and_comes_back_costs_a_view_nothing(make_kafka, tmp_path: Path):
    broker = make_kafka()
    topic = Topic(broker.bootstrap, "rows")
    topic.put([(b"%05d" % n, b'{"n":0}') for n in range(100)])
    with running_view(view_config("rocksdb", [topic], broker.bootstrap, tmp_path / "v")) as view:
        broker.kill()
        assert view.rows() == {b"%05d" % n: b'{"n":0}' for n in range(100)}
        broker.start()
        topic.put([(b"00001", b'{"n":1}')])
        view.shows(topic.fold(), deadline=40)
        assert view.meter.rebuilds == 1
