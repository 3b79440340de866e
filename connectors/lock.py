"""One applier at a time on this machine, per Kafka cluster.

The lock belongs to the process and goes with it, however it ends.
"""

from __future__ import annotations

import fcntl
import hashlib
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


@contextmanager
def exclusive(
    cluster_id: str,
    *,
    wait: float = 60.0,
    waiting: Callable[[], None] = lambda: None,
    directory: Path | None = None,
) -> Iterator[None]:
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
        yield
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
