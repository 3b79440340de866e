"""The database's side of a verification: a reader that spills rows to files while the topic is being folded."""

from __future__ import annotations

import os
import pickle
import queue
import subprocess
import sys
import threading
from dataclasses import asdict
from pathlib import Path
from typing import Any, Final

import orjson

import legacy_db
from cdc.errors import SeamError, SourceUnavailable
from legacy_db.spill import Order, Progress, Spilled, Spiller

MANIFEST: Final = "manifest.jsonl"


class Reading:
    """One order that is being carried out beside us: in a thread, or in a process of its own when there is much to read.

    Args:
        order: The order.
        own_process: Whether a process of its own reads.

    Attributes:
        progress: What it has said so far.
    """

    def __init__(self, order: Order, *, own_process: bool) -> None:
        self.order = order
        self.progress = Progress()
        self._reports: queue.SimpleQueue[dict[str, Any] | None] = queue.SimpleQueue()
        self._error: BaseException | None = None
        self._process: subprocess.Popen[bytes] | None = None
        self._manifest = (Path(order.directory) / MANIFEST).open("ab")
        for spilled in order.done:
            self.progress.files.append(spilled)
            self.progress.snapshots.setdefault(spilled.table, spilled.snapshot)
        target = self._run_process if own_process else self._run_here
        self._thread = threading.Thread(target=target, name="reading rows", daemon=True)
        self._thread.start()

    def _run_here(self) -> None:
        try:
            Spiller(self.order, self._reports.put).run()
        except BaseException as error:  # noqa: BLE001 - handed to whoever waits
            self._error = error
        finally:
            self._reports.put(None)

    def _run_process(self) -> None:
        try:
            # The package may lie anywhere: the process must find the same one.
            root = str(Path(legacy_db.__file__).parents[1])
            paths = os.pathsep.join([root, *filter(None, [os.environ.get("PYTHONPATH")])])
            self._process = subprocess.Popen(
                [sys.executable, "-m", "legacy_db.spill"], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                env={**os.environ, "PYTHONPATH": paths},
            )  # fmt: skip
            assert self._process.stdin is not None
            assert self._process.stdout is not None
            with self._process.stdin as order:
                pickle.dump(self.order, order)
            for line in self._process.stdout:
                message = orjson.loads(line)
                if "error" in message:
                    self._error = pickle.loads(bytes.fromhex(message["error"]))  # noqa: S301 - from our own process
                else:
                    self._reports.put(message)
            self._process.stdout.close()
            if self._process.wait() and self._error is None:
                self._error = SourceUnavailable(f"the process that reads rows ended with {self._process.returncode}")
        except BaseException as error:  # noqa: BLE001 - handed to whoever waits
            self._error = error
        finally:
            self._reports.put(None)

    def _take(self) -> bool:
        message = self._reports.get()
        if message is None:
            self._reports.put(None)
            self._thread.join()
            if self._error is not None:
                raise self._error
            return False
        if "file" in message:
            self._manifest.write(orjson.dumps(message["file"]) + b"\n")
            self._manifest.flush()
        self.progress.take(message)
        return True

    def snapshot(self, table: str) -> str | None:
        """Wait for a table's first snapshot; None when it ended without one.

        Raises:
            SeamError: The reading failed.
        """
        while table not in self.progress.snapshots and self._take():
            pass
        return self.progress.snapshots.get(table)

    def finish(self) -> Progress:
        """Wait for its end.

        Raises:
            SeamError: It failed.
        """
        while self._take():
            pass
        return self.progress

    def close(self) -> None:
        """End it."""
        if self._process is not None and self._process.poll() is None:
            self._process.kill()
        self._thread.join(10)
        self._manifest.close()


def read_manifest(directory: Path) -> tuple[Spilled, ...]:
    """What an interrupted reading has left, in order; files that are not whole are not in it."""
    try:
        lines = (directory / MANIFEST).read_bytes().splitlines()
    except FileNotFoundError:
        return ()
    found = []
    for line in lines:
        try:
            spilled = Spilled(**orjson.loads(line))
        except (orjson.JSONDecodeError, TypeError):
            break  # the line that was being written
        if (directory / spilled.file).exists():
            found.append(spilled)
    return tuple(found)


def write_manifest(directory: Path, files: tuple[Spilled, ...]) -> None:
    """Write down what is to be kept of an interrupted reading."""
    text = b"".join(orjson.dumps(asdict(one)) + b"\n" for one in files)
    (directory / MANIFEST).write_bytes(text)


__all__ = ["Reading", "SeamError", "read_manifest", "write_manifest"]
