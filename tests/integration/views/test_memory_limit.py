"""A memory image that does not fit ends before it has taken the memory: with a named error and exit code 4."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.processes import REPOSITORY
from tests.support.views import RunningView, Topic, running_view, view_config
from views.errors import MemoryLimit
from views.estimate import SAMPLE_RECORDS
from views.image_file import FILE

RECORDS = 5 * SAMPLE_RECORDS
TAKES = 110 * RECORDS


@pytest.fixture(scope="module")
def topic(stack, request: pytest.FixtureRequest) -> Topic:
    topic = Topic(stack.kafka().bootstrap, f"limit{id(request):x}.public.rows", partitions=8)
    topic.put((b"%08d" % number, b'{"id":%d,"note":"%s"}' % (number, b"x" * 80)) for number in range(RECORDS))
    return topic


def test_a_load_that_will_not_fit_ends_after_its_first_records(topic: Topic):
    config = view_config("memory", [topic], topic.bootstrap, None, memory_limit=TAKES // 2)
    with running_view(config, complete=False) as view:
        with pytest.raises(MemoryLimit, match=r"the load would need .* MB for about .* rows .* are allowed"):
            view.wait_complete(20)
        assert view.meter.applied < RECORDS // 2


def test_a_load_that_fits_says_what_it_will_need(topic: Topic):
    config = view_config("memory", [topic], topic.bootstrap, None, memory_limit=2 * TAKES)
    with running_view(config) as view, view.reading() as store:
        assert "MEMORY_ESTIMATE" in view.codes()
        assert store.count() == RECORDS


def test_the_command_ends_with_exit_code_4(topic: Topic, tmp_path: Path):
    file = tmp_path / "seam.toml"
    file.write_text(
        f'[worker]\n"bootstrap.servers" = "{topic.bootstrap}"\n'
        f'[views.v]\nkind = "memory"\ntopics = ["{topic.name}"]\nmemory_limit = "1MB"\n'
    )
    ended = subprocess.run(
        [sys.executable, "-m", "cli", "view", "serve", str(file), "--port", "0"],
        cwd=REPOSITORY, capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    assert ended.returncode == 4, ended.stderr
    assert "MEMORY_LIMIT" in ended.stderr
    assert "memory_limit" in ended.stderr


def test_a_file_that_does_not_fit_is_not_read(topic: Topic, tmp_path: Path):
    with running_view(view_config("memory", [topic], topic.bootstrap, tmp_path / "v")):
        pass
    assert (tmp_path / "v" / FILE).stat().st_size > RECORDS * 80
    config = view_config("memory", [topic], topic.bootstrap, tmp_path / "v", memory_limit=TAKES // 2)
    view = RunningView(config).start()
    try:
        with pytest.raises(MemoryLimit, match="would take"):
            view.wait_complete(20)
    finally:
        view.stop()
