"""One applier at a time on this machine, per Kafka cluster, and what a killed one must be known to have stopped.

The lock belongs to the process and goes with it, however it ends.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from cdc.errors import RetriableError

_POLL: Final = 0.1  # seconds


class ApplierBusy(RetriableError):
    """Another apply works on the same cluster."""

    code = "APPLIER_BUSY"


class Journal:
    """Names of connectors that an apply has stopped for a change and not yet resumed.

    A stopped connector stays stopped; only this tells one that a killed apply stopped from one that its operator did.

    Args:
        path: Where they are kept; None keeps them for this process only.
    """

    def __init__(self, path: Path | None = None) -> None:
        self._path = path
        self._names: set[str] = set()
        if path is not None and path.is_file():
            try:
                self._names = {str(name) for name in json.loads(path.read_text(encoding="utf-8"))}
            except (OSError, ValueError):
                self._names = set()  # another user's, or cut short: then a stopped connector stays stopped

    def __contains__(self, name: object) -> bool:
        return name in self._names

    def stopped(self, name: str) -> None:
        """A connector is about to be stopped for a change."""
        self._write(self._names | {name})

    def resumed(self, name: str) -> None:
        """It was resumed."""
        self._write(self._names - {name})

    def _write(self, names: set[str]) -> None:
        self._names = names
        if self._path is None:
            return
        if not names:
            self._path.unlink(missing_ok=True)
            return
        handle, temporary = tempfile.mkstemp(dir=self._path.parent, prefix=self._path.name)
        with os.fdopen(handle, "w", encoding="utf-8") as file:
            json.dump(sorted(names), file)
        Path(temporary).replace(self._path)


@contextmanager
def exclusive(
    cluster_id: str,
    *,
    wait: float = 60.0,
    waiting: Callable[[], None] = lambda: None,
    directory: Path | None = None,
) -> Iterator[Journal]:
    """Hold the cluster against other appliers of this machine.

    Args:
        cluster_id: `kafka_cluster_id` of the worker.
        wait: Seconds until another applier must have ended.
        waiting: Called once when another one holds the lock.
        directory: Where the lock's file lies; default: the machine's directory of temporary files.

    Raises:
        ApplierBusy: The other one has not ended.
    """
    digest = hashlib.sha256(cluster_id.encode()).hexdigest()[:16]
    path = (directory or Path(tempfile.gettempdir())) / f"seam-connectors-{digest}.lock"
    handle = _open(path)
    try:
        end = time.monotonic() + wait
        said = False
        while not _try(handle):
            if not said:
                waiting()
                said = True
            if time.monotonic() >= end:
                raise ApplierBusy(
                    f"another apply works on this cluster (it holds {path})",
                    hint="run the command again when it has ended",
                )
            time.sleep(_POLL)
        yield Journal(path.with_suffix(".stopped"))
    finally:
        os.close(handle)


def _open(path: Path) -> int:
    # Another user's file in a sticky directory may be opened, but not with O_CREAT; reading suffices for a lock.
    for flags in (os.O_RDONLY, os.O_RDONLY | os.O_CREAT):
        try:
            return os.open(path, flags | os.O_NOFOLLOW | os.O_CLOEXEC, 0o644)
        except FileNotFoundError:
            continue
    raise FileNotFoundError(path)


def _try(handle: int) -> bool:
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
