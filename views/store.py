"""The one interface of all kinds of views.

A store applies a batch with the offsets that it ends at in one atomic step: after a crash, or to a reader beside it,
both are there or neither. One conformance suite runs on every kind.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from types import TracebackType
from typing import ClassVar, Self

from views.batch import Batch, DeadLetter, Row, ViewState

DEAD_LETTERS_KEPT = 1000


class Store(ABC):
    """Rows by key, of one or more topics, and the state that they are at.

    Keys are ordered by their bytes. Readers in other threads see whole batches only, within one call.
    """

    kind: ClassVar[str]

    @property
    @abstractmethod
    def state(self) -> ViewState:
        """The state that the rows are at; not to be changed."""

    @abstractmethod
    def apply(self, batch: Batch) -> None:
        """Apply a batch and its state in one atomic step.

        Raises:
            StoreFull: The disk is full; nothing of the batch was applied.
            MemoryLimit: There is no room for it; nothing of the batch was applied.
        """

    @abstractmethod
    def get(self, key: bytes, topic: str | None = None) -> Row | None:
        """The row of a key; None where there is none.

        Args:
            key: Key bytes.
            topic: Which, in a view of several.
        """

    def get_many(self, keys: Sequence[bytes], topic: str | None = None) -> list[Row | None]:
        """The rows of several keys as of one moment."""
        return [self.get(key, topic) for key in keys]

    @abstractmethod
    def range(
        self, start: bytes | None = None, end: bytes | None = None, *, limit: int = 1000, topic: str | None = None
    ) -> list[Row]:
        """Rows in key order as of one moment.

        Args:
            start: The first key; None for the very first.
            end: The key to stop before; None for no end.
            limit: How many rows at most.
            topic: Which, in a view of several.
        """

    def scan(self, topic: str | None = None, *, step: int = 10_000) -> Iterator[Row]:
        """Every row in key order; each step as of one moment, the whole while the view moves on."""
        start: bytes | None = None
        while True:
            rows = self.range(start, limit=step, topic=topic)
            yield from rows
            if len(rows) < step:
                return
            start = rows[-1].key + b"\0"

    @abstractmethod
    def count(self, topic: str | None = None) -> int:
        """How many rows there are, in all topics when none is named."""

    @abstractmethod
    def dead_letters(self) -> list[DeadLetter]:
        """The last records that could not be taken."""

    def begin_load(self) -> None:  # noqa: B027 - most have nothing to prepare
        """The first load of an empty store begins: what is applied until `end_load` need not outlive a crash."""

    def end_load(self) -> None:  # noqa: B027
        """The first load is over: from here on, every batch is durable and can be read."""

    @abstractmethod
    def size_bytes(self) -> int:
        """Bytes of memory or disk that the rows take."""

    @abstractmethod
    def close(self) -> None:
        """Give everything back."""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
