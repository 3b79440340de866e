"""Rows that came without their unchanged large columns, completed by the rows before them."""

from __future__ import annotations

from views.batch import Batch, Truncation
from views.envelopes import merge
from views.store import Store


def complete_rows(batch: Batch, store: Store) -> None:
    """Fill in what an update left out, from earlier changes of the batch or from the store.

    Postgres sends an unchanged TOAST value only with REPLICA IDENTITY FULL. Where no row before is known the column is
    left out of the row: it is neither null nor the placeholder.
    """
    if not any(run.partial for run in batch.runs()):
        return
    latest: dict[tuple[str, bytes], bytes | None] = {}
    emptied: set[str] = set()
    for item in batch.items:
        if isinstance(item, Truncation):
            emptied.add(item.topic)
            for place in [place for place in latest if place[0] == item.topic]:
                latest[place] = None
            continue
        for index, key in enumerate(item.keys):
            value = item.values[index]
            names = item.partial.get(index)
            if names and value is not None:
                if (item.topic, key) in latest:
                    before = latest[item.topic, key]
                else:
                    row = None if item.topic in emptied else store.get(key, item.topic)
                    before = None if row is None else row.value
                value = item.values[index] = merge(value, before, names)
            latest[item.topic, key] = value
        item.partial = {}
