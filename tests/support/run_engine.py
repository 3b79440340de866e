"""Runs the engine in a process of its own, for tests that kill it: `FILE BOOTSTRAP [--once]`."""

from __future__ import annotations

import json
import os
import signal
import sys

from cdc.errors import SeamError
from connectors.postgres import read
from connectors.worker import Worker


def main() -> int:
    file, bootstrap, *flags = sys.argv[1:]
    with open(file, encoding="utf-8") as opened:
        document = json.load(opened)
    config = read(document["name"], document["config"], bootstrap_servers=bootstrap)
    worker = Worker(config, lambda finding: print(finding, file=sys.stderr, flush=True))

    def stop(number: int, _frame: object) -> None:
        if worker.stop.is_set():
            os._exit(128 + number)
        worker.stop.set()

    signal.signal(signal.SIGTERM, stop)
    try:
        worker.run(once="--once" in flags)
    except SeamError as error:
        print(f"{type(error).__name__}: {error}", file=sys.stderr, flush=True)
        return error.exit_code
    return 0


if __name__ == "__main__":
    sys.exit(main())
