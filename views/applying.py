"""From messages to a store: unwrap, hold back what belongs to unfinished transactions, complete, apply."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from views.batch import Batch, ViewState
from views.changelog import Changelog
from views.options import ViewConfig
from views.partials import complete_rows
from views.store import Store
from views.transactions import TransactionGate
from views.unwrap import Unwrapper


class Applier:
    """Applies messages to one store, from the state that it is at.

    Args:
        store: The store.
        config: The view.
        check: See `Unwrapper`.
        state: Where a store that holds nothing yet begins.
        gate: Holds back transactions that are not whole yet; None lets every record through.
        changelog: Takes each batch before the store does.
    """

    def __init__(
        self, store: Store, config: ViewConfig, check: Callable[[Any], bool], *, state: ViewState | None = None,
        gate: TransactionGate | None = None, changelog: Changelog | None = None,
    ) -> None:  # fmt: skip
        self.gate = gate
        self.changelog = changelog
        self.store = store
        self.config = config
        self.unwrapper = Unwrapper(
            state if state is not None else store.state,
            fields=config.fields,
            key=config.key if config.select is None else (),
            max_value_bytes=config.max_value_bytes,
            check=check,
            single_topic=len(config.topics) == 1,
        )

    @property
    def state(self) -> ViewState:
        """The state that the store is at."""
        return self.store.state

    def take(self, messages: Sequence[Any]) -> Batch:
        """Apply messages; returns what was applied.

        Raises:
            StoreFull: There is no room; nothing was applied, and another applier has to go on from the store's state.
            SchemaIncompatible: As the message says.
            OffsetGone: The same.
        """
        if self.gate is not None:
            messages = self.gate.admit(messages)
            self.unwrapper.state.boundaries = self.gate.offsets()
        batch = self.unwrapper.batch(messages)
        self.apply(batch)
        return batch

    @property
    def holding(self) -> bool:
        """Whether records wait for the rest of their transaction."""
        return self.gate is not None and self.gate.holding

    def let_go(self) -> Batch:
        """Apply what is held, whole or not; returns what was applied."""
        batch = self.unwrapper.batch([] if self.gate is None else self.gate.admit((), give_up=True))
        self.apply(batch)
        return batch

    def apply(self, batch: Batch) -> None:
        """Apply a batch."""
        complete_rows(batch, self.store)
        if self.changelog is not None and (len(batch) or batch.items or batch.state.offsets != self.state.offsets):
            self.changelog.write(batch, self.store)
        self.store.apply(batch)

    def stamp(self, seen_until: float, *, complete: bool = False) -> None:
        """Store that everything written up to a moment is applied.

        Args:
            seen_until: Unix time, seconds.
            complete: Whether the view is complete from here on.
        """
        state = self.unwrapper.state
        state.seen_until = seen_until
        state.complete = state.complete or complete
        batch = Batch([], state.copy())
        if self.changelog is not None:
            self.changelog.write(batch, self.store)
        self.store.apply(batch)
