"""Snapshots in small chunks, with something happening between them."""

from __future__ import annotations

from collections.abc import Callable
from itertools import count

import pytest

from cdc import snapshot_state
from cdc.postgres.snapshot import SnapshotReader
from cdc.snapshot_state import TableState


def one_page_each(monkeypatch: pytest.MonkeyPatch) -> None:
    """Chunks of one page, so that a small table has many."""
    monkeypatch.setattr(snapshot_state, "FIRST_PAGES", 1)
    monkeypatch.setattr(TableState, "adapt", lambda *_, **__: None)


def before_mark(monkeypatch: pytest.MonkeyPatch, action: Callable[[int], None]) -> None:
    """Call `action` with the number of each chunk that was read, before its mark is written."""
    _before(monkeypatch, "mark", action)


def before_copy(monkeypatch: pytest.MonkeyPatch, action: Callable[[int], None]) -> None:
    """Call `action` with the number of each chunk whose snapshot was taken, before its rows are read."""
    _before(monkeypatch, "copy_statement", action)


def _before(monkeypatch: pytest.MonkeyPatch, name: str, action: Callable[[int], None]) -> None:
    numbers = count(1)
    method = getattr(SnapshotReader, name)

    def instead(self, *arguments):
        action(next(numbers))
        return method(self, *arguments)

    monkeypatch.setattr(SnapshotReader, name, instead)
