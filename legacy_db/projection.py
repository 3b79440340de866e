"""Topic -> target database: upserts, with the offsets in the same transaction, so that each record counts once.

The view is built from the topic only. One process projects a slice at a time: it holds an advisory lock of the target, and
should that be lost, the offsets are compared and moved under their rows' locks, and whoever finds them moved leaves.
"""

from __future__ import annotations

import contextlib
import threading
import time
import zlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, Final

import psycopg
from sqlalchemy.engine import URL

from cdc.errors import OperatorError, WaitExpired
from cdc.kafka.reader import Offsets, TopicReader
from cdc.postgres.connection import Source, translated
from legacy_db.bridge import Bridge
from legacy_db.shape import key_payload
from legacy_db.slices import Slice
from legacy_db.table_writer import TableWriter
from legacy_db.target import CONTRACT, OFFSETS, TargetTable, revisions
from legacy_db.topic_fold import RecordParser

BATCH_EVENTS: Final = 5_000
POLL_SECONDS: Final = 0.2


def target_source(url: URL) -> Source:
    """The target database as a connection of ours."""
    parameters = {key: value if isinstance(value, str) else value[0] for key, value in url.query.items()}
    return Source(
        host=url.host or "localhost", port=url.port or 5432, dbname=url.database or "postgres",
        user=url.username or "postgres", password=url.password, parameters=parameters, application_name="seam projection",
    )  # fmt: skip


def connect_target(url: URL) -> psycopg.Connection[Any]:
    """A connection to the target, in transactions.

    Raises:
        SourceUnavailable: It cannot be reached.
        AuthFailed: It refuses us.
    """
    source = target_source(url)
    with translated(source, "connecting to the target"):
        return psycopg.connect(source.conninfo(settings={"statement_timeout": "0"}))


class ProjectionHeld(OperatorError):
    """Another process projects the slice."""

    code = "PROJECTION_HELD"


class Contracted(OperatorError):
    """The target has the keys of its contract branch, which rows that arrive topic by topic would violate."""

    code = "CONTRACTED"


def _refuse_contracted(connection: psycopg.Connection[Any], slice_: Slice) -> None:
    found = revisions(slice_.directory, slice_.name)
    query = "select quote_ident(schemaname) || '.' || quote_ident(tablename) from pg_tables where tablename = %s"
    with connection.transaction():
        table = connection.execute(query.encode(), (found.version_table,)).fetchone()
        if table is None:
            return
        rows = connection.execute(f"select version_num from {table[0]}".encode()).fetchall()
    if any(row[0].endswith(f"_{CONTRACT}") for row in rows):
        raise Contracted(
            f"the target of slice {slice_.name!r} has its unique and foreign keys, which rows that arrive topic by topic "
            "would violate",
            hint=f"seam migrate contract FILE {slice_.name} --back",
        )


def _lock_key(slice_name: str) -> int:
    return zlib.crc32(f"seam projection {slice_name}".encode())


def _held(connection: psycopg.Connection[Any], slice_name: str) -> bool:
    """Take the lock of a slice's projection, for as long as the connection lives."""
    with connection.transaction():
        row = connection.execute(b"select pg_try_advisory_lock(%s)", (_lock_key(slice_name),)).fetchone()
    return bool(row and row[0])


@contextlib.contextmanager
def alone(slice_: Slice, *, seconds: float = 20.0) -> Iterator[None]:
    """Nobody projects the slice in this block; who does at its begin is given time to leave.

    Raises:
        ProjectionHeld: It did not leave.
    """
    with contextlib.closing(connect_target(slice_.require_target())) as connection:
        deadline = time.monotonic() + seconds
        while not _held(connection, slice_.name):
            if time.monotonic() > deadline:
                raise ProjectionHeld(
                    f"another process projects slice {slice_.name!r}, and does not leave", hint="stop it first"
                )
            time.sleep(POLL_SECONDS)
        yield


def read_offsets(connection: psycopg.Connection[Any], slice_name: str) -> dict[str, Offsets]:
    """Topic -> partition -> the next offset that the view has not applied."""
    rows = connection.execute(
        f"select topic, part, next_offset from {OFFSETS} where slice = %s".encode(), (slice_name,)
    ).fetchall()
    found: dict[str, Offsets] = {}
    for topic, partition, offset in rows:
        found.setdefault(topic, {})[partition] = offset
    return found


def wait_for_projection(
    bridge: Bridge, slice_: Slice, tables: Sequence[TargetTable], *, seconds: float = 120.0
) -> None:  # fmt: skip
    """Wait until the process that projects a slice has applied what the topics hold now.

    Args:
        bridge: The pipeline.
        slice_: The slice.
        tables: Its target.
        seconds: How long the view may stand still.

    Raises:
        WaitExpired: It stood still.
    """
    ends: dict[str, Offsets] = {}
    for table in tables:
        with contextlib.closing(TopicReader(bridge.kafka, table.shape.topic)) as reader:
            _, ends[table.shape.topic] = reader.bounds()
    before: dict[str, Offsets] = {}
    progress = time.monotonic()
    with contextlib.closing(connect_target(slice_.require_target())) as connection:
        while True:
            with connection.transaction():
                reached = read_offsets(connection, slice_.name)
            behind = sum(
                max(0, end - reached.get(topic, {}).get(partition, 0))
                for topic, places in ends.items()
                for partition, end in places.items()
            )
            if not behind:
                return
            if reached != before:
                before, progress = reached, time.monotonic()
            elif time.monotonic() - progress > seconds:
                raise WaitExpired(
                    f"the view of slice {slice_.name!r} is {behind} records behind and stands still since {seconds:.0f} s",
                    hint="another process projects it, perhaps `seam run FILE`: what does that one say?",
                )
            time.sleep(POLL_SECONDS)


class Projector:
    """Projects the topics of a slice into its target.

    Args:
        bridge: The pipeline.
        slice_: The slice.
        tables: Its target.
        on_progress: Told of records applied.

    Attributes:
        applied: Records applied since the start.

    Raises:
        ProjectionHeld: Another process projects the slice.
        Contracted: The target has its contract branch.
        SourceUnavailable: The target cannot be reached.
    """

    def __init__(
        self, bridge: Bridge, slice_: Slice, tables: Sequence[TargetTable],
        on_progress: Callable[[int], None] = lambda _records: None,
    ) -> None:  # fmt: skip
        self.bridge = bridge
        self.slice = slice_
        self.tables = tuple(tables)
        self.on_progress = on_progress
        self.applied = 0
        self.connection = connect_target(slice_.require_target())
        self._source = target_source(slice_.require_target())
        self._readers: dict[str, TopicReader] = {}
        self._writers: dict[str, TableWriter] = {}
        self._parsers: dict[str, RecordParser] = {}
        self.offsets: dict[str, Offsets] = {}
        try:
            self._hold()
            with translated(self._source, "reading the revision of"):
                _refuse_contracted(self.connection, slice_)
            self._open()
        except BaseException:
            self.close()
            raise

    def _hold(self) -> None:
        with translated(self._source, "locking the projection of"):
            held = _held(self.connection, self.slice.name)
        if not held:
            raise ProjectionHeld(
                f"another process projects slice {self.slice.name!r}",
                hint="it is `seam run FILE`, or another command of this slice: stop it, or wait for it",
            )

    def _open(self) -> None:
        bridge, slice_ = self.bridge, self.slice
        self._readers = {table.shape.topic: TopicReader(bridge.kafka, table.shape.topic) for table in self.tables}
        for table in self.tables:
            shape = table.shape
            self._parsers[shape.topic] = RecordParser(shape.topic, key_payload if bridge.render.key_schemas else None)
            self._writers[shape.topic] = TableWriter(self.connection, table, slice_.name, slice_.where.get(shape.table))
        self.offsets = self._read_offsets()

    def close(self) -> None:
        """Leave; what was not committed is applied again the next time."""
        for reader in self._readers.values():
            reader.close()
        self.connection.close()

    def _read_offsets(self) -> dict[str, Offsets]:
        with translated(self._source, "reading the offsets of"), self.connection.transaction():
            found = read_offsets(self.connection, self.slice.name)
        return {**{table.shape.topic: {} for table in self.tables}, **found}

    def catch_up(self, stop: threading.Event | None = None) -> int:
        """Apply what lies in the topics now; returns how many records that were.

        Raises:
            OperatorError: Another projector of the slice is at work, or a record cannot be written.
        """
        before = self.applied
        for table in self.tables:
            topic = table.shape.topic
            reader = self._readers[topic]
            if not reader.partitions:
                self._readers[topic] = reader = self._again(topic)
            low, high = reader.bounds()
            if len(reader.partitions) > 1 and not table.shape.key and any(low[p] < high[p] for p in low):
                raise OperatorError(
                    f"{topic} has {len(reader.partitions)} partitions and {table.shape.table} no key: the order of its "
                    "changes is lost", hint="give the topic one partition, or the table a key",
                )  # fmt: skip
            self._check_truncates(table, reader)
            starts = {p: max(self.offsets[topic].get(p, 0), low[p]) for p in low}
            waiting: list[Any] = []
            for messages in reader.batches(starts, high):
                waiting += messages
                if len(waiting) >= BATCH_EVENTS:
                    self._apply(topic, waiting, {})
                    waiting = []
                if stop is not None and stop.is_set():
                    return self.applied - before
            if waiting or any(self.offsets[topic].get(p, 0) < high[p] for p in high):
                self._apply(topic, waiting, high)
        return self.applied - before

    def _again(self, topic: str) -> TopicReader:
        self._readers[topic].close()
        return TopicReader(self.bridge.kafka, topic)

    def _check_truncates(self, table: TargetTable, reader: TopicReader) -> None:
        if "t" not in self.bridge.render.skipped and len(reader.partitions) > 1:
            raise OperatorError(
                f"{table.shape.topic} has {len(reader.partitions)} partitions and carries TRUNCATE: whether a row came "
                "before or after it cannot be told", hint="give the topic one partition, or skip truncates",
            )  # fmt: skip

    def _apply(self, topic: str, messages: Sequence[Any], ends: Mapping[int, int]) -> None:
        """One transaction: rows and offsets."""
        reached = dict(self.offsets[topic])
        for message in messages:
            reached[message.partition()] = message.offset() + 1
        # Markers of Kafka transactions have offsets too.
        reached.update({partition: end for partition, end in ends.items() if end >= reached.get(partition, 0)})
        writer, parser = self._writers[topic], self._parsers[topic]
        with translated(self._source, f"projecting {topic} into"), self.connection.transaction():
            self._move_offsets(topic, reached)
            for message in messages:
                writer.take(parser.event(message))
            writer.flush()
        self.offsets[topic] = reached
        self.applied += len(messages)
        self.on_progress(self.applied)

    def _move_offsets(self, topic: str, reached: Mapping[int, int]) -> None:
        rows = self.connection.execute(
            f"select part, next_offset from {OFFSETS} where slice = %s and topic = %s for update".encode(),
            (self.slice.name, topic),
        ).fetchall()
        if dict(rows) != self.offsets[topic]:
            raise OperatorError(
                f"the offsets of {topic} were moved by another projector of slice {self.slice.name!r}",
                hint="one process projects a slice; stop the other one",
            )
        with self.connection.cursor() as cursor:
            cursor.executemany(
                f"insert into {OFFSETS} values (%s, %s, %s, %s) on conflict (slice, topic, part) "
                "do update set next_offset = excluded.next_offset".encode(),
                [(self.slice.name, topic, partition, offset) for partition, offset in reached.items()],
            )

    def run(self, stop: threading.Event) -> None:
        """Project until stopped.

        Raises:
            SeamError: What ended it; rows and offsets fit each other.
        """
        while not stop.is_set():
            if not self.catch_up(stop):
                stop.wait(POLL_SECONDS)
