"""Whole tables under one exported snapshot, before the stream starts.

The snapshot fits the slot exactly: it holds what was committed before the slot's first change, and nothing after. It
lives as long as the connection that exported it, so an interrupted one cannot be resumed: it starts again.
Tables without a key are read so, since a chunk of them could not be told apart from a change; and in strict mode all
tables are, with Debezium's markers.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from cdc.errors import SourceUnavailable
from cdc.lsn import LSN
from cdc.postgres.snapshot import Extent, SnapshotReader
from cdc.postgres.snapshot_tables import SnapshotTable
from cdc.render import Record
from cdc.render_copy import CopyForm, Reading

Send = Callable[[Record], None]


def marked(tables: Sequence[Iterator[bytes]]) -> Iterator[tuple[int, bytes, str]]:
    """Give each row its marker, which needs a look at the next one.

    Args:
        tables: The rows of each table.

    Yields:
        The table's index, the row, and `source.snapshot`, in the order of Debezium: `last` for the very last row,
        `first` for the very first, then the ends of each table.
    """
    for index, rows in enumerate(tables):
        last_table = index == len(tables) - 1
        held: bytes | None = None
        first_row = index == 0
        fresh = True
        for row in rows:
            if held is not None:
                yield index, held, _marker(first=first_row, fresh=fresh, last_row=False, last_table=last_table)
                first_row = fresh = False
            held = row
        if held is not None:
            yield index, held, _marker(first=first_row, fresh=fresh, last_row=True, last_table=last_table)


def _marker(*, first: bool, fresh: bool, last_row: bool, last_table: bool) -> str:
    if last_row and last_table:
        return "last"
    if first:
        return "first"
    if last_row:
        return "last_in_data_collection"
    return "first_in_data_collection" if fresh else "true"


def copy_tables(
    reader: SnapshotReader,
    tables: Sequence[SnapshotTable],
    renders: Mapping[str, CopyForm],
    send: Send,
    *,
    snapshot: str | None,
    lsn: LSN,
    xid: int | None,
    on_progress: Callable[[str, int], None] = lambda _table, _rows: None,
) -> int:
    """Read whole tables and send their rows.

    Args:
        reader: The connection.
        tables: In the order in which they are read.
        renders: Published `schema.table` -> how its rows are rendered.
        send: Takes a record; headers of None stand for the usual ones.
        snapshot: The exported snapshot's name; None for one taken now, per table.
        lsn: `source.lsn` of all rows.
        xid: `source.txId` of all rows.
        on_progress: Told of a table's rows every 10,000, and at its first one.

    Returns:
        How many rows there were.

    Raises:
        SourceUnavailable: A table was rewritten, altered or dropped meanwhile.
    """
    micros = time.time_ns() // 1000

    def rows(table: SnapshotTable) -> Iterator[bytes]:
        moment = reader.begin(table, imported=snapshot)
        yield from reader.rows(table, Extent())
        if not reader.end(table, moment):
            raise SourceUnavailable(f"{table.name} was rewritten since its snapshot was taken; it starts again")

    count = begun = 0
    last = -1
    tails: dict[tuple[int, str], Any] = {}
    refreshed = 0
    for index, line, marker in marked([rows(table) for table in tables]):
        table = tables[index]
        if index != last:
            begun, last = count, index
        render = renders[table.relation.qualified]
        if count - refreshed >= 500:
            # The processing clock of the records; the source's own is one value for the whole snapshot.
            tails.clear()
            refreshed = count
        tail = tails.get((index, marker))
        if tail is None:
            tail = tails[index, marker] = render.tail(Reading(marker, lsn, micros, time.time_ns(), xid))
        record = render.row(line, tail)[1]
        if record is not None:
            send(record)
        count += 1
        if (count - begun) % 10_000 == 1:
            on_progress(table.name, count - begun)
    return count
