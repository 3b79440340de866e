"""What exactly once costs beside at least once, in one run, and how late a read_committed consumer sees a commit.

Run as: python -m benchmarks exactly_once [--rows 400000] [--rounds 2] [--seconds 10] [--rate 1000]
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import threading
import time
from pathlib import Path
from typing import Any

from benchmarks.bench import count_records, execute, say, seam_process, servers
from benchmarks.drain import HEADERS_OFF, LZ4, Drain, config, prepare
from benchmarks.latency import read, until_active, write

COST, P99_MS = 0.15, 300.0
MODES = {"at_least_once": "requested", "exactly_once": "required"}


def cost(server: Any, broker: Any, rows: int, transaction: int, rounds: int) -> float:
    """The share of throughput that is lost; the best of several drains of one backlog each, in turns."""
    names = {mode: [f"{mode}_{transaction}_{number}" for number in range(rounds)] for mode in MODES}
    prepare(server.dsn(), [slot for slots in names.values() for slot in slots], rows, transaction)
    rates: dict[str, list[float]] = {mode: [] for mode in MODES}
    for number in range(rounds):
        for mode, support in MODES.items():
            more = {**HEADERS_OFF, **LZ4, "exactly.once.support": support}
            name = names[mode][number]
            rates[mode].append(Drain(server, broker, rows).seam(name, f"{name}.public.orders", more).rate)
    for mode, found in rates.items():
        say(f"{mode}, transactions of {transaction}: {', '.join(f'{rate:,.0f}' for rate in found)} rows/s")
    return 1 - max(rates["exactly_once"]) / max(rates["at_least_once"])


def latency(server: Any, bootstrap: str, rate: int, seconds: int) -> tuple[float, float]:
    """p50 and p99 from commit to a read_committed consumer, milliseconds."""
    how = config(server, "latency", **HEADERS_OFF, **{"exactly.once.support": "required"})
    with seam_process(how, bootstrap):
        until_active(server.dsn(), "latency")
        write(server.dsn(), 5, 1)
        while not count_records(bootstrap, "latency.public.orders"):
            time.sleep(0.05)
        found: list[tuple[float, float, float]] = []
        stop = threading.Event()
        reader = threading.Thread(target=read, args=(bootstrap, found, stop))
        reader.start()
        time.sleep(1.0)
        write(server.dsn(), rate, seconds)
        time.sleep(1.0)
        stop.set()
        reader.join()
    ranked = sorted(there - commit for commit, _, there in found)
    return statistics.median(ranked), ranked[int(len(ranked) * 0.99)]


def main(arguments: list[str]) -> None:
    parser = argparse.ArgumentParser(prog="benchmarks exactly_once", description=__doc__)
    parser.add_argument("--rows", type=int, default=400_000)
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--transaction", type=int, nargs="*", default=[1000, 1])
    parser.add_argument("--seconds", type=int, default=10)
    parser.add_argument("--rate", type=int, default=1000)
    options = parser.parse_args(arguments)
    with tempfile.TemporaryDirectory() as directory, servers(Path(directory)) as (server, broker):
        for transaction in options.transaction:
            rows = options.rows if transaction > 1 else options.rows // 2
            lost = cost(server, broker, rows, transaction, options.rounds)
            verdict = "kept" if lost <= COST else "MISSED"
            say(f"exactly once costs {lost:.1%} with transactions of {transaction}   {verdict}")
        execute(server.dsn(), "truncate orders restart identity")
        p50, p99 = latency(server, broker.bootstrap, options.rate, options.seconds)
        verdict = "kept" if p99 <= P99_MS else "MISSED"
        say(f"commit -> read_committed consumer at {options.rate}/s: p50 {p50:.0f} ms, p99 {p99:.0f} ms   {verdict}")
