"""What rooms beside this one add to its commands; `cli.py` registers them, so that nothing here imports them.

CARRIERS    `seam run FILE` enters each around the engine: views of slices follow the topics
STORIES     `seam demo --story NAME`
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, Protocol

from connectors.console import Output


@dataclass(frozen=True, slots=True)
class Run:
    """What `seam run` was asked.

    Attributes:
        file: The pipelines' file.
        slices: Its `[slices.NAME]`, as they stand there.
        connector: The pipeline that runs.
        settings: `--set`.
        servers: `--bootstrap-servers`.
        once: `--once`.
    """

    file: Path
    connector: str
    slices: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    settings: tuple[str, ...] = ()
    servers: str | None = None
    once: bool = False


class Carrier(Protocol):
    """Does something beside the engine for as long as it runs."""

    def __call__(self, run: Run) -> AbstractContextManager[Any]:
        """Begin; the end of the block ends it."""


class Story(Protocol):
    """One demonstration."""

    def __call__(self, output: Output, *, seed: int) -> Any:
        """Tell it."""


CARRIERS: Final[list[Carrier]] = []
STORIES: Final[dict[str, Story]] = {}


@contextmanager
def carried(run: Run) -> Iterator[None]:
    """Everything that was registered, around the engine."""
    with ExitStack() as stack:
        for carrier in CARRIERS:
            stack.enter_context(carrier(run))
        yield
