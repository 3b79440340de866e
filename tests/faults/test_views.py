"""A stored view is killed in mid-batch, runs out of disk, loses its broker: its store stays a fold of the topic."""

from __future__ import annotations

import contextlib
import random
import resource
import shutil
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.processes import REPOSITORY
from tests.support.proxy import Proxy
from tests.support.views import Rows, Topic, running_view, view_config
from tests.support.waiting import wait_until
from views.batch import Offsets
from views.generations import Generations
from views.kinds import open_store
from views.options import ViewConfig

RUN = "import sys; from views.commands import app; app(['run', sys.argv[1]])"
KILLED_AGAIN_AND_AGAIN = """
import os, signal, sys
from views import applying, commands

take, left, delay = applying.Applier.take, -1, 1.0

def counted(self, messages):
    global left
    left -= self.store.state.complete
    if left == 0:
        # Nobody handles it: the kernel ends the process in the middle of whatever it does by then.
        signal.setitimer(signal.ITIMER_REAL, delay)
    return take(self, messages)

applying.Applier.take = counted
for line in sys.stdin:  # a process for each line; forked, since imports take longest
    left, delay = int(line.split()[0]), float(line.split()[1])
    child = os.fork()
    if child == 0:
        commands.app(["run", sys.argv[1]])
    print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), flush=True)
"""
LIMIT = 3_000_000


@pytest.fixture(params=["rocksdb", "sqlite"])
def config(request: pytest.FixtureRequest, kafka, prefix: str, tmp_path: Path) -> ViewConfig:
    return view_config(request.param, [f"{prefix}.public.rows"], kafka.bootstrap, tmp_path / "store")


@pytest.fixture
def topic(kafka, config: ViewConfig) -> Topic:
    return Topic(kafka.bootstrap, config.topics[0])


def configuration_file(config: ViewConfig) -> Path:
    assert config.path is not None
    file = config.path.parent / "seam.toml"
    file.write_text(
        f'[worker]\n"bootstrap.servers" = "{config.kafka.bootstrap_servers}"\n'
        f'[views.v]\nkind = "{config.kind}"\ntopics = ["{config.topics[0]}"]\npath = "{config.path.name}"\n'
        + (f'changelog = "{config.changelog}"\n' if config.changelog else "")
    )
    return file


@contextlib.contextmanager
def view_process(
    config: ViewConfig, program: str = RUN, *, file_limit: int | None = None
) -> Iterator[subprocess.Popen[str]]:
    """`seam view run` in a process of its own, whose files may be bounded as a full disk bounds them."""
    file = configuration_file(config)
    with (file.parent / "log").open("ab") as log:
        process = subprocess.Popen(
            [sys.executable, "-c", program, str(file)],
            cwd=REPOSITORY, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=log, text=True,
        )  # fmt: skip
    if file_limit is not None:
        resource.prlimit(process.pid, resource.RLIMIT_FSIZE, (file_limit, resource.RLIM_INFINITY))
    with process:
        try:
            yield process
        finally:
            process.kill()


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


def killed_again_and_again(
    config: ViewConfig, topic: Topic, count: int, seed: int, *, lose_every: int | None = None
) -> None:
    assert config.path is not None
    choose = random.Random(seed)
    topic.put([(b"%05d" % n, b'{"n":0}') for n in range(3000)])
    load = Load(topic, seed)
    try:
        with view_process(config, KILLED_AGAIN_AND_AGAIN) as process:
            assert process.stdin is not None
            assert process.stdout is not None
            last: Offsets = {}
            moved = 0
            for number in range(1, count + 1):
                process.stdin.write(f"{choose.randrange(2, 15)} {choose.uniform(0.0001, 0.01)}\n")
                process.stdin.flush()
                assert process.stdout.readline().strip() == str(-signal.SIGALRM), (
                    config.path.parent / "log"
                ).read_text()
                rows, offsets = stored(config)
                below = {partition: offset for (_, partition), offset in offsets.items()}
                assert rows == topic.fold(below), f"seed {seed}"
                assert all(offsets[place] >= offset for place, offset in last.items())
                moved += offsets != last
                last = offsets
                if lose_every is not None and number % lose_every == 0:
                    shutil.rmtree(config.path)
            assert moved > count / 2, "most kills came before anything was applied"
    finally:
        load.stop()
    with view_process(config):
        wait_until(lambda: stored(config, read_only=True)[0] == topic.fold(), 40, "the view to catch up", every=0.3)


def test_ten_kills_leave_the_fold_of_the_topic_up_to_the_stored_offset(config: ViewConfig, topic: Topic):
    killed_again_and_again(config, topic, 10, seed=5)


def test_kills_and_lost_stores_leave_the_fold_and_so_does_the_changelog(kafka, prefix: str, tmp_path: Path):
    topic = Topic(kafka.bootstrap, f"{prefix}.public.rows")
    config = view_config("rocksdb", [topic], kafka.bootstrap, tmp_path / "store", changelog=f"{prefix}-changes")
    killed_again_and_again(config, topic, 3, seed=7, lose_every=2)
    written = Topic.existing(topic.bootstrap, f"{config.changelog}.{topic.name}")
    assert written.fold() == topic.fold()


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


def test_a_broker_that_goes_away_and_comes_back_costs_a_view_nothing(
    kafka, kafka_proxy: Proxy, prefix: str, tmp_path: Path
):
    topic = Topic(kafka.bootstrap, f"{prefix}.public.rows")
    topic.put([(b"%05d" % n, b'{"n":0}') for n in range(100)])
    with running_view(view_config("rocksdb", [topic], f"127.0.0.1:{kafka_proxy.port}", tmp_path / "v")) as view:
        kafka_proxy.refuse()
        topic.put([(b"00001", b'{"n":1}')])
        assert view.rows() == {b"%05d" % n: b'{"n":0}' for n in range(100)}, "reads are answered, of what is there"
        kafka_proxy.heal()
        view.shows(topic.fold(), deadline=40)
        assert view.meter.rebuilds == 1
