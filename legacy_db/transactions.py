"""Which tables are written together, learned from the transactions that lie in the topics."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Iterator
from typing import Final

from cdc.kafka.reader import TopicReader
from legacy_db.bridge import Bridge
from legacy_db.inventory import Inventory

RECORDS: Final = 200_000
"""How many of the newest records of each topic are looked at."""

_XID: Final = re.compile(rb'"txId":(\d+),"lsn":\d+')


def transactions_of(bridge: Bridge, inventory: Inventory) -> Iterator[set[str]]:
    """The tables of each transaction that the topics still hold; nothing is asked of the legacy database.

    Args:
        bridge: The pipeline.
        inventory: What the legacy database holds.
    """
    together: dict[bytes, set[str]] = {}
    for name, table in inventory.tables.items():
        if table.kind == "partitioned":
            continue
        with contextlib.closing(TopicReader(bridge.kafka, bridge.topic(name), seconds=10.0)) as reader:
            low, high = reader.bounds()
            starts = {p: max(low[p], high[p] - RECORDS // max(1, len(low))) for p in low}
            for messages in reader.batches(starts, high):
                for message in messages:
                    value = message.value()
                    # Rows of a snapshot were read by one transaction, which says nothing.
                    if value is None or b'"op":"r"' in value[-200:]:
                        continue
                    found = _XID.search(value, value.rfind(b'"source":'))
                    if found is not None:
                        together.setdefault(found[1], set()).add(name)
    yield from together.values()
