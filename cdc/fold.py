"""Folding a topic: its events, applied in order, give the content of the table they came from."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import orjson


class Fold:
    """The state that a topic's records amount to.

    Attributes:
        rows: Key bytes -> the row; of records with a key.
        events: Records with a value.
        tombstones: Records without one.
    """

    def __init__(self) -> None:
        self.rows: dict[bytes, Any] = {}
        self.events = 0
        self.tombstones = 0

    def apply(self, key: bytes | None, value: bytes | None) -> None:
        """Apply one record, JSON with or without schemas."""
        if value is None:
            self.tombstones += 1
            if key is not None:
                self.rows.pop(key, None)
            return
        self.events += 1
        document = orjson.loads(value)
        envelope = document["payload"] if "schema" in document and "payload" in document else document
        operation = envelope["op"]
        if operation == "t":
            self.rows.clear()
        elif operation == "d":
            if key is not None:
                self.rows.pop(key, None)
        elif operation in ("c", "u", "r") and key is not None:
            self.rows[key] = envelope["after"]


def same_rows(left: Iterable[Any], right: Iterable[Any]) -> bool:
    """Whether two collections of JSON rows hold the same rows, in any order."""

    def canonical(rows: Iterable[Any]) -> list[bytes]:
        return sorted(orjson.dumps(row, option=orjson.OPT_SORT_KEYS) for row in rows)

    return canonical(left) == canonical(right)
