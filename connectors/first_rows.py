"""Rows that are read whole before the stream starts, under a snapshot that fits the slot."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

from cdc.acks import AckTracker
from cdc.errors import BrokerUnavailable, SourceUnavailable
from cdc.exported import copy_tables
from cdc.kafka.faults import delivery_error
from cdc.kafka.producer import Producer
from cdc.lsn import LSN
from cdc.postgres.connection import Source, connect, translated
from cdc.postgres.snapshot import SnapshotReader
from cdc.postgres.snapshot_tables import SnapshotTable
from cdc.render import Placed, Record
from cdc.render_copy import CopyForm
from cdc.telemetry import Meter

STALL_SECONDS: Final = 300.0


class FirstRows:
    """Copies whole tables into their topics and waits until Kafka holds them.

    Args:
        source: The database.
        producer: Where rows go; a transactional one has a transaction open.
        meter: Counts.
        stop: Ends it early.
    """

    def __init__(self, source: Source, producer: Producer, meter: Meter, stop: threading.Event) -> None:
        self.source = source
        self.producer = producer
        self.meter = meter
        self.stop = stop
        self._window = AckTracker(LSN(0)).open()
        self._tracker = self._window._tracker  # noqa: SLF001 - its failures are the window's

    def copy(
        self,
        tables: Sequence[SnapshotTable],
        renders: Mapping[str, CopyForm],
        *,
        snapshot: str | None,
        lsn: LSN,
        headers: Callable[[], Any],
        query_timeout: int,
    ) -> int:
        """Copy tables.

        Returns:
            How many rows there were.

        Raises:
            SeamError: What ended it; the snapshot is to be started again.
        """
        waiting = {table.name: {"rows": 0, "estimate": table.rows} for table in tables}
        self.meter.snapshot = {"phase": "exported", "tables": waiting}
        reader = SnapshotReader(self.source, query_timeout=query_timeout)
        try:
            xid = reader.catalog.value("select txid_current()::int8")

            def send(record: Record) -> None:
                topic, key, value, own = record
                own = headers() if own is None else own
                place = (record.partition, record.timestamp) if isinstance(record, Placed) else (None, None)
                self._window.outstanding += 1
                while not self.producer.send(
                    topic,
                    value,
                    key,
                    on_delivery=self._window.delivered,
                    headers=own,
                    partition=place[0],
                    timestamp=place[1],
                ):
                    self._wait()
                self.meter.records += 1

            rows = copy_tables(
                reader, tables, renders, send, snapshot=snapshot, lsn=lsn, xid=xid & 0xFFFFFFFF,
                on_progress=self._progress,
            )  # fmt: skip
        finally:
            reader.close()
        self._flush()
        self.meter.snapshot = {**self.meter.snapshot, "phase": "done"}
        return rows

    def _progress(self, table: str, rows: int) -> None:
        tables = dict(self.meter.snapshot["tables"])
        for name, state in tables.items():
            if name == table:
                tables[name] = {**state, "rows": rows}
                break
            if not state.get("done"):  # they are read one after the other
                tables[name] = {**state, "done": True}
        self.meter.snapshot = {"phase": "exported", "tables": tables}
        self.producer.poll(0)
        self._raise()

    def _wait(self) -> None:
        self.producer.poll(0.05)
        self._raise()
        if self.stop.is_set():
            raise SourceUnavailable("stopped while the snapshot was being read; it starts again")

    def _raise(self) -> None:
        self.producer.raise_fatal()
        if self._tracker.failures:
            raise delivery_error(*self._tracker.failures[0], where=self.producer.where)

    def _flush(self) -> None:
        progress, delivered = time.monotonic(), self._tracker.delivered
        while self._window.outstanding:
            self._wait()
            if self._tracker.delivered != delivered:
                progress, delivered = time.monotonic(), self._tracker.delivered
            elif time.monotonic() - progress > STALL_SECONDS:
                raise BrokerUnavailable(f"{self.producer.where}: nothing was acknowledged for {STALL_SECONDS:.0f} s")


class ExportedSnapshot:
    """A snapshot of our own, for reading without a slot; it lives as long as this object.

    Args:
        source: The database.

    Attributes:
        name: To be imported by readers.
        lsn: The end of the log when it was taken.
    """

    def __init__(self, source: Source) -> None:
        self._connection = connect(source, statement_timeout="0")
        with translated(source, "exporting a snapshot of"):
            self._connection.execute("begin isolation level repeatable read read only")
            row = self._connection.execute("select pg_export_snapshot(), pg_current_wal_lsn()::text").fetchone()
        assert row is not None
        self.name: str = row[0]
        self.lsn = LSN.parse(row[1])

    def close(self) -> None:
        """Let the snapshot go."""
        self._connection.close()
