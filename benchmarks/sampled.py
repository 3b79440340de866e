"""The command line with a look, every millisecond, at what the main thread is doing.

Run as: python -m benchmarks.sampled OUT run FILE ...; what was seen is written to OUT as JSON, step -> samples.
"""

from __future__ import annotations

import atexit
import json
import linecache
import signal
import sys
from collections import Counter
from pathlib import Path
from types import FrameType

from cli import app

INTERVAL = 0.001
# Seen in this order from the innermost frame outwards; the first that fits names the step.
_FUNCTIONS = {
    "wait": "waiting", "_other": "parse (begin, commit)", "delivered": "delivery callbacks", "acknowledge": "acknowledge",
    "_send_slowly": "queue full",
}  # fmt: skip
_LINES = {
    "get_copy_data(": "receive", "bytes(view)": "receive", "produce(": "produce", "render(": "render", "poll(": "delivery callbacks",
}  # fmt: skip


def _step(frame: FrameType | None) -> str:
    while frame is not None:
        code = frame.f_code
        if code.co_filename.startswith("<render") or "/cdc/values/" in code.co_filename:
            return "render"
        if code.co_name in _FUNCTIONS:
            return _FUNCTIONS[code.co_name]
        if code.co_filename.endswith("cdc/task.py"):
            line = linecache.getline(code.co_filename, frame.f_lineno)
            return next((step for text, step in _LINES.items() if text in line), "loop")
        frame = frame.f_back
    return "start"


def sampled(out: Path) -> None:
    seen: Counter[str] = Counter()
    signal.signal(signal.SIGALRM, lambda _number, frame: seen.update((_step(frame),)))
    signal.setitimer(signal.ITIMER_REAL, INTERVAL, INTERVAL)

    def write() -> None:
        signal.setitimer(signal.ITIMER_REAL, 0)
        out.write_text(json.dumps(seen))

    atexit.register(write)


if __name__ == "__main__":
    place = Path(sys.argv.pop(1))
    sampled(place)
    app()
