"""What a difference looks like: the names of the defects that bridges are known to have.

A name is a reading of the evidence, not a proof; the difference itself is exact.
"""

from __future__ import annotations

import contextlib
import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, Final

import orjson
from psycopg import sql

from cdc.kafka.reader import TopicReader
from legacy_db.bridge import Bridge
from legacy_db.compare import Difference
from legacy_db.expected import base_type
from legacy_db.repair import condition
from legacy_db.shape import TableShape, key_payload
from legacy_db.verify_model import TOPIC, HopResult, TableResult

PADDING_LOST: Final = "PADDING_LOST"
TIME_SHIFTED: Final = "TIME_SHIFTED"
TOAST_DROPPED: Final = "TOAST_DROPPED"
DELETE_MISSED: Final = "DELETE_MISSED"
OLD_KEY_LEFT: Final = "OLD_KEY_LEFT"
UNKNOWN_CODE: Final = "UNKNOWN_CODE"
FOREIGN_WRITE: Final = "FOREIGN_WRITE"
HALF_TRANSACTION: Final = "HALF_TRANSACTION"
ROW_LOST: Final = "ROW_LOST"
NOT_REREAD: Final = "COLUMN_NOT_REREAD"

_HOUR: Final = 3_600_000_000
_XID: Final = re.compile(rb'"txId":(\d+),')
_LOOKED_AT: Final = 200_000


def diagnose(bridge: Bridge, shapes: Mapping[str, TableShape], hops: Sequence[HopResult]) -> None:
    """Give every shown difference its names."""
    for hop in hops:
        for table in hop.tables:
            if table.differences and table.key:
                shape = shapes[table.table]
                moved = _moved_keys(bridge, shape, table) if hop.hop == TOPIC else set()
                table.differences = [
                    replace(one, names=tuple(_names(one, shape, hop, moved))) for one in table.differences
                ]
    for hop in hops:
        if hop.hop == TOPIC:
            _name_halves(bridge, shapes, hop)


def _names(one: Difference, shape: TableShape, hop: HopResult, moved: set[str]) -> list[str]:
    if one.kind == "extra":
        if hop.hop != TOPIC:
            return [FOREIGN_WRITE]
        return [OLD_KEY_LEFT if repr(one.key) in moved else DELETE_MISSED]
    if one.kind == "missing":
        return [ROW_LOST]
    names: list[str] = []
    for column, (first, second) in one.columns.items():
        names += _of_value(column, first, second, shape)
    if not names and hop.hop != TOPIC:
        names.append(FOREIGN_WRITE)
    return list(dict.fromkeys(names))


def _of_value(column: str, first: Any, second: Any, shape: TableShape) -> list[str]:
    found = next(c for c in shape.layout.columns if c.name == column) if column in shape.expected else None
    marker = shape.markers.get(column)
    if marker is not None and (second == marker or (second is None and first is not None)):
        return [TOAST_DROPPED]
    if isinstance(first, str) and isinstance(second, str) and first != second and first.rstrip() == second.rstrip():
        return [PADDING_LOST]
    if _shifted(first, second):
        return [TIME_SHIFTED]
    if found is not None:
        pg_type, _ = base_type(found.column, shape.types)
        if pg_type.kind == "e" and second not in pg_type.labels:
            return [UNKNOWN_CODE]
        if second is None and first is not None:
            return [NOT_REREAD]
    return []


def _shifted(first: Any, second: Any) -> bool:
    """Whether two instants lie whole hours apart, at most a day."""
    if isinstance(first, int) and isinstance(second, int) and not isinstance(first, bool):
        distance = abs(first - second)
        return any(distance and distance % hour == 0 and distance <= 24 * hour for hour in (_HOUR, 3_600_000))
    if isinstance(first, str) and isinstance(second, str) and re.fullmatch(r"\d{4}-\d\d-\d\dT.*Z", first):
        return first[13:] == second[13:] and first[:13] != second[:13] and first[:8] == second[:8]
    return False


def _moved_keys(bridge: Bridge, shape: TableShape, table: TableResult) -> set[str]:
    """Keys of extra rows that another row says that it came from: `__debezium.oldkey`."""
    if not any(one.kind == "extra" for one in table.differences):
        return set()
    found: set[str] = set()
    with contextlib.closing(TopicReader(bridge.kafka, shape.topic)) as reader:
        low, high = reader.bounds()
        starts = {p: max(low[p], high[p] - _LOOKED_AT) for p in low}
        for messages in reader.batches(starts, high):
            for message in messages:
                for name, text in message.headers() or ():
                    if name == "__debezium.oldkey" and text is not None:
                        found.add(repr(orjson.loads(key_payload(text))))
    return found


def _name_halves(bridge: Bridge, shapes: Mapping[str, TableShape], hop: HopResult) -> None:
    """A row whose last writer has other records in the topics: half of that transaction is missing."""
    lacking: dict[int, list[tuple[TableResult, int]]] = {}
    catalog = bridge.catalog()
    try:
        for table in hop.tables:
            if not table.key:
                continue
            shape = shapes[table.table]
            for index, one in enumerate(table.differences):
                if one.kind == "extra":
                    continue
                for member in shape.members:
                    quoted = sql.Identifier(*member.split(".", 1)).as_string()
                    where = condition(shape, [one.key])
                    for (xid,) in catalog.rows(f"select xmin::text::int8 from only {quoted} where {where}"):
                        lacking.setdefault(int(xid), []).append((table, index))
    finally:
        catalog.connection.close()
    if not lacking:
        return
    seen: set[int] = set()
    for table in hop.tables:
        with contextlib.closing(TopicReader(bridge.kafka, table.topic)) as reader:
            low, high = reader.bounds()
            starts = {p: max(low[p], high[p] - _LOOKED_AT) for p in low}
            for messages in reader.batches(starts, high):
                for message in messages:
                    found = _XID.search(message.value() or b"", (message.value() or b"").rfind(b'"source":'))
                    if found is not None and int(found[1]) in lacking:
                        seen.add(int(found[1]))
    for xid in seen:
        for table, index in lacking[xid]:
            one = table.differences[index]
            table.differences[index] = replace(one, names=(*one.names, HALF_TRANSACTION))
