"""What `seam run FILE` does for the slices of its file: it keeps their views up to date while it streams."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from cdc.errors import SeamError
from cdc.properties import load
from cdc.report import Finding, Severity
from connectors.console import tell
from legacy_db import machine
from legacy_db.commands import slice_context
from legacy_db.projection import Projector
from legacy_db.slices import read_slices


@contextmanager
def carried(file: Path, connector: str, settings: list[str] | None, servers: str | None) -> Iterator[list[str]]:
    """Project, in threads of this process, the slices that are recorded as projected or further.

    Args:
        file: The pipelines' file.
        connector: The one that runs.
        settings: `--set`.
        servers: `--bootstrap-servers`.

    Yields:
        The slices' names. What ends a projection is told; the stream goes on, and the view keeps its offsets.
    """
    stop = threading.Event()
    threads: list[threading.Thread] = []
    names = []
    loaded = load(file)
    for name, one in (read_slices(loaded) if loaded.slices else {}).items():
        if one.connector != connector or one.target is None:
            continue
        with slice_context(file, name, settings, servers) as context:
            if machine.index_of(context.ledger.state()) < machine.index_of("projected"):
                continue
            projector = Projector(context.bridge, one, context.target_tables)
        names.append(name)
        tell(Finding("SLICE_CARRIED", Severity.NOTE, name, "its view follows the topics"))
        thread = threading.Thread(target=_project, args=(projector, name, stop), name=f"projecting {name}", daemon=True)
        thread.start()
        threads.append(thread)
    try:
        yield names
    finally:
        stop.set()
        for thread in threads:
            thread.join(30)


def _project(projector: Projector, name: str, stop: threading.Event) -> None:
    try:
        projector.run(stop)
    except SeamError as error:
        tell(Finding(error.code, Severity.WARNING, name, f"its projection ended: {error.message}"))
    finally:
        projector.close()
