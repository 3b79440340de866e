"""How long a plan of 200 connectors and an apply of one changed connector take on a live Connect worker.

    python -m benchmarks connect_plan [--connectors 200]

Beside them, in the same run, what the cluster itself needs: one expanded read of all connectors, and one change by hand
until its task shows the new configuration.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from connectors.connect_api import ConnectApi
from connectors.connect_settings import ConnectSettings
from tests.stack.connect import ConnectWorker
from tests.stack.kafka import KafkaBroker
from tests.support.waiting import wait_until

PLAN_LIMIT, APPLY_LIMIT = 3.0, 6.0  # seconds


def main(arguments: Sequence[str] = ()) -> None:
    parser = argparse.ArgumentParser(prog="connect_plan", description=__doc__)
    parser.add_argument("--connectors", type=int, default=200)
    count = parser.parse_args(arguments).connectors
    with (
        tempfile.TemporaryDirectory() as directory,
        _worker(Path(directory)) as url,
        ConnectApi(ConnectSettings((url,))) as api,
    ):
        _measure(api, Path(directory), url, count)


@contextmanager
def _worker(directory: Path) -> Iterator[str]:
    with (
        KafkaBroker(directory / "kafka") as broker,
        ConnectWorker(directory / "connect", broker.bootstrap, plugins=(), heap="1g", quick_start=False) as worker,
    ):
        yield worker.url


def _measure(api: ConnectApi, directory: Path, url: str, count: int) -> None:
    files = directory / "connectors"
    files.mkdir()
    for number in range(count):
        _write(files, number, directory)
        config = json.loads((files / f"c{number}.json").read_text())["config"]
        # Stopped: 200 running tasks would measure the machine, not the plan.
        api.create(f"c{number}", config, initial_state="STOPPED")
    wait_until(lambda: len(api.statuses()) == count, 120, f"{count} connectors")
    read = _best(api.connectors)
    _report(f"one expanded read of {count} connectors", read)
    _report(
        f"seam connectors plan, {count} connectors, nothing to do", _best(lambda: _seam("plan", files, url)), PLAN_LIMIT
    )
    for number in range(count):
        _write(files, number, directory, changed=True)
    _report(
        f"seam connectors plan, {count} connectors, all changed", _best(lambda: _seam("plan", files, url)), PLAN_LIMIT
    )
    for number in range(count):
        _write(files, number, directory)
    api.resume("c0")
    wait_until(lambda: (status := api.status("c0")) is not None and bool(status.tasks), 60, "a running connector")
    config = {**(api.config("c0") or {}), "batch.size": "7"}
    by_hand = _timed(lambda: _change(api, config))
    _report("one change by hand, until its task has it", by_hand)
    _write(files, 0, directory, changed=True)
    took = _timed(lambda: _seam("apply", files, url))
    _report(f"seam connectors apply, 1 of {count} changed, settled for 3 s", took, APPLY_LIMIT)


def _write(files: Path, number: int, directory: Path, *, changed: bool = False) -> None:
    config = {
        "connector.class": "org.apache.kafka.connect.file.FileStreamSourceConnector",
        "topic": f"topic-{number}",
        "file": str(directory / "nothing.txt"),
        "tasks.max": 1,
        "batch.size": 500 if changed else 100,
    }
    (files / f"c{number}.json").write_text(json.dumps({"name": f"c{number}", "config": config}))


def _change(api: ConnectApi, config: dict[str, str]) -> None:
    api.put_config("c0", config)
    wait_until(lambda: [task.config.get("batch.size") for task in api.tasks("c0")] == ["7"], 30, "the change")


def _seam(command: str, files: Path, url: str) -> None:
    arguments = [sys.executable, "-m", "cli", "connectors", command, str(files), "--connect-url", url]
    done = subprocess.run(arguments, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def _timed(deed: Callable[[], object]) -> float:
    began = time.perf_counter()
    deed()
    return time.perf_counter() - began


def _best(deed: Callable[[], object], times: int = 3) -> float:
    return min(_timed(deed) for _ in range(times))


def _report(what: str, seconds: float, limit: float | None = None) -> None:
    verdict = "" if limit is None else f"   limit {limit:.1f} s: {'kept' if seconds <= limit else 'MISSED'}"
    print(f"{what:<70} {seconds:6.2f} s{verdict}", flush=True)


if __name__ == "__main__":
    main(sys.argv[1:])
