"""The store that readers use: another one takes its place between two reads, and the one before ends with its last reader."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from views.errors import ViewNotBuilt
from views.store import Store


@dataclass(slots=True)
class _Held:
    """A store with its readers."""

    store: Store
    readers: int = 0
    retired: bool = False


class CurrentStore:
    """Holds the store of one view.

    Args:
        name: The view, for errors.
    """

    def __init__(self, name: str) -> None:
        self._name = name
        self._held: _Held | None = None
        self._lock = threading.Lock()
        self._retired: list[_Held] = []

    @property
    def store(self) -> Store | None:
        """The store, for whoever writes to it; None before there is one."""
        held = self._held
        return None if held is None else held.store

    @contextmanager
    def reading(self) -> Iterator[Store]:
        """The store, which stays open meanwhile.

        Raises:
            ViewNotBuilt: There is none yet.
        """
        with self._lock:
            held = self._held
            if held is None:
                raise ViewNotBuilt(f"view {self._name}: nothing was loaded yet")
            held.readers += 1
        try:
            yield held.store
        finally:
            with self._lock:
                held.readers -= 1
                close = held.retired and not held.readers
            if close:
                held.store.close()

    def put(self, store: Store | None) -> None:
        """Let readers use a store from here on; None when there is to be none any more."""
        with self._lock:
            before = self._held
            if before is not None and before.store is store:
                return
            self._held = None if store is None else _Held(store)
            close = before is not None and not before.readers
            if before is not None:
                before.retired = True
                self._retired.append(before)
        if close and before is not None:
            before.store.close()

    def take_retired(self) -> int | None:
        """How many stores nobody reads any more since the last call; None while somebody still reads one."""
        with self._lock:
            if any(held.readers for held in self._retired):
                return None
            gone, self._retired = len(self._retired), []
            return gone
