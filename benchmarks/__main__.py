"""`python -m benchmarks [NAME ...]`: all of them, or one with its own arguments."""

from __future__ import annotations

import importlib
import sys

ALL = (
    "forms",
    "drain",
    "latency",
    "transforms",
    "connect_plan",
    "replay",
    "values",
    "snapshot",
    "exactly_once",
    "handover",
    "verify",
    "views",
)


def main() -> None:
    name, arguments = (sys.argv[1], sys.argv[2:]) if len(sys.argv) > 1 else (None, [])
    for each in [name] if name else ALL:
        importlib.import_module(f"benchmarks.{each}").main(arguments)


if __name__ == "__main__":
    main()
