"""What the commands of this room share: a pipeline as legacy_db sees it, a slice's context, what people are told."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from rich.markup import escape

from cdc.postgres.slot import read_slot
from cdc.properties import load
from connectors.console import STDERR, tell
from connectors.converters import Form
from connectors.pipeline_commands import read_config
from connectors.postgres import PipelineConfig
from connectors.snapshot_plan import snapshot_mode
from connectors.worker import Worker
from legacy_db import machine
from legacy_db.bridge import Bridge
from legacy_db.cut import is_running
from legacy_db.ledger import Ledger
from legacy_db.slices import Slice, read_slice, read_slices
from legacy_db.steps.base import Context
from legacy_db.verify_model import Options


def failpoint_from_environment() -> Callable[[str], None]:
    """A function that kills the process at the boundary that `SEAM_MIGRATE_FAILPOINT` names; for fault tests."""
    wanted = os.environ.get("SEAM_MIGRATE_FAILPOINT", "")

    def reached(name: str) -> None:
        if wanted and name == wanted:
            os.kill(os.getpid(), 9)

    return reached


def bridge_of(
    file: Path, connector: str | None, settings: list[str] | None, servers: str | None
) -> tuple[PipelineConfig, Bridge]:
    """The pipeline of a file as legacy_db sees it.

    Raises:
        ConfigError: Every problem at once.
    """
    config = read_config(file, connector, settings, servers)

    def run(stop: threading.Event, once: bool, rows: bool) -> None:
        chosen = config
        if rows:
            chosen = read_config(file, connector, [*(settings or []), "snapshot.mode=initial"], servers)
        worker = Worker(chosen, tell)
        worker.stop = stop
        worker.run(once=once)

    return config, make_bridge(config, run)


def make_bridge(
    config: PipelineConfig, run: Callable[[threading.Event, bool, bool], None], *, administered: bool = True
) -> Bridge:
    """A pipeline as legacy_db sees it.

    Args:
        config: Its configuration.
        run: Runs it in this process; see `Bridge.run`.
        administered: Whether topics can be created and deleted.
    """
    obstacle = None
    if config.options["transforms"]:
        obstacle = "its transforms rewrite what is in the topics"
    for choice in config.converters:
        if choice.form is not Form.JSON:
            obstacle = f"its {choice.side}.converter does not write JSON"
    return Bridge(
        config.name, config.source, config.kafka, config.layout, config.render, config.wanted,
        via_root=config.options["publish.via.partition.root"], snapshot=snapshot_mode(config.options).first, run=run,
        administered=administered, obstacle=obstacle,
    )  # fmt: skip


def say(text: str) -> None:
    """What is being done, on standard error."""
    STDERR.print(f"[dim]{escape(text)}[/]")


@contextmanager
def progress_line(*, quiet: bool = False) -> Iterator[Callable[[str, int, int], None]]:
    """A line on a terminal while something long runs."""
    if quiet or not STDERR.is_terminal:
        yield lambda _what, _done, _of: None
        return
    with STDERR.status("starting") as status:

        def show(what: str, done: int, of: int) -> None:
            status.update(f"{escape(what)} {done:,} of {of:,}" if of else escape(what) + (f" {done:,}" if done else ""))

        yield show


@contextmanager
def slice_context(
    file: Path, name: str, settings: list[str] | None, servers: str | None, options: Options | None = None, *,
    quiet: bool = False,
) -> Iterator[Context]:  # fmt: skip
    """What the steps of a command work with.

    Args:
        file: The pipelines' file.
        name: The slice.
        settings: `--set`.
        servers: `--bootstrap-servers`.
        options: How verifications go about it.
        quiet: Whether no progress is shown: something else has the line.

    Raises:
        ConfigError: The file or the slice cannot be used.
    """
    loaded = load(file)
    one = read_slice(loaded, name)
    _, bridge = bridge_of(file, one.connector, settings, servers)
    siblings = {
        other.name: _state_of(other)
        for other in read_slices(loaded).values()
        if other.connector == one.connector and other.name != one.name
    }
    with Ledger(one.ledger, one.name) as ledger, progress_line(quiet=quiet) as progress:
        context = Context(
            one, bridge, ledger, siblings=siblings, options=options or Options(), say=say, progress=progress,
            failpoint=failpoint_from_environment(),
        )  # fmt: skip
        try:
            yield context
        finally:
            context.close()


def _state_of(one: Slice) -> str | None:
    with Ledger(one.ledger, one.name) as ledger:
        return ledger.state()


def say_what_stands_still(context: Context, file: Path, state: str | None) -> None:
    """After a command that ran the engine itself: what waits now, and what goes on with it."""
    if machine.index_of(state) < machine.index_of("captured"):
        return
    if is_running(read_slot(context.catalog, context.bridge.wanted.slot)):
        return
    waits = f"nobody runs {context.bridge.name} now: the legacy's log waits for it"
    if machine.index_of(state) >= machine.index_of("projected"):
        say(f"{waits}, and the view of {context.slice.name} stands still. `seam run {file}` goes on with both")
    else:
        say(f"{waits}. `seam run {file}` goes on")
