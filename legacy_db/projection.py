"""Topic -> target database: upserts, with the offsets in the same transaction, so that each record counts once.

The view is built from the topic only. Two projectors of one slice cannot both write: the offsets are compared and moved
under their rows' locks, and whoever finds them moved by another leaves.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

import orjson
import psycopg
from sqlalchemy.engine import URL

from cdc.errors import OperatorError
from cdc.kafka.reader import Offsets, TopicReader
from cdc.postgres.connection import Source, translated
from legacy_db.bridge import Bridge
from legacy_db.left_behind import LeftBehind
from legacy_db.moves import Moves
from legacy_db.shape import key_payload
from legacy_db.slices import Slice
from legacy_db.target import OFFSETS, TargetTable, name, quote
from legacy_db.topic_fold import Event, RecordParser

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


@dataclass(slots=True)
class _Batch:
    """What a run of records amounts to, by key."""

    rows: dict[bytes, dict[str, Any]] = field(default_factory=dict)
    partial: dict[bytes, tuple[dict[str, Any], frozenset[str]]] = field(default_factory=dict)
    gone: set[bytes] = field(default_factory=set)
    keyless: list[tuple[Any, Any]] = field(default_factory=list)

    def __bool__(self) -> bool:
        return bool(self.rows or self.partial or self.gone or self.keyless)


class TableWriter:
    """Writes one table of the target.

    Args:
        connection: In a transaction.
        table: The table.
        slice_name: Whose it is.
        where: Predicate of the rows that belong to the slice, None for all.
    """

    def __init__(
        self, connection: psycopg.Connection[Any], table: TargetTable, slice_name: str, where: str | None
    ) -> None:
        self.connection = connection
        self.table = table
        self.shape = table.shape
        self.where = where
        self.columns = list(table.columns)
        self.moves = Moves(connection, table, slice_name)
        self._stage = name(f"stage_{table.shape.relation.oid}")
        self._quoted = quote(table.shape.table)
        self._key = ", ".join(name(column) for column in self.shape.key)
        self._pairs = " and ".join(f"t.{name(c)} = s.{name(c)}" for c in self.shape.key)
        self._batch = _Batch()
        self._staged = False
        self._left = None if where is None else LeftBehind(connection, table, slice_name, where, self._stage)

    def take(self, event: Event) -> None:
        """Take one record."""
        if event.op == "t":
            self.flush()
            self.connection.execute(f"truncate {self._quoted}".encode())
            return
        if not self.shape.key:
            if event.op:
                self._batch.keyless.append((_row(event.before), _row(event.after)))
            return
        if event.key is None:
            return
        if event.moved is not None and self.shape.markers:
            self._move(event)
            return
        self._change(event.key, event.after if event.op not in ("d", "") else None)

    def _change(self, key: bytes, after: bytes | None) -> None:
        batch = self._batch
        if after is None:
            batch.rows.pop(key, None)
            batch.partial.pop(key, None)
            batch.gone.add(key)
            return
        row = orjson.loads(after)
        batch.gone.discard(key)
        lacking = frozenset(c for c, marker in self.shape.markers.items() if row.get(c) == marker)
        if not lacking:
            batch.partial.pop(key, None)
            batch.rows[key] = row
        elif key in batch.rows:
            row.update({column: batch.rows[key].get(column) for column in lacking})
            batch.rows[key] = row
        else:
            if key in batch.partial:
                earlier, still = batch.partial[key]
                row.update({column: earlier.get(column) for column in lacking - still})
                lacking &= still
            batch.partial[key] = (row, lacking)

    def _move(self, event: Event) -> None:
        """A key change: unchanged TOAST values stay with the old key's record, which may lie in another partition."""
        assert event.key is not None
        assert event.moved is not None
        self.flush()
        if event.op == "d":
            self.moves.leave(event.key, event.lsn)
            self._change(event.key, None)
            self.flush()
        else:
            self._change(event.key, event.after)
            self.flush()
            self.moves.arrive(event.moved, event.lsn, event.key)

    # -- SQL ---------------------------------------------------------------------------------------------------------

    def flush(self) -> None:
        """Write what was taken."""
        batch, self._batch = self._batch, _Batch()
        if not batch:
            return
        if batch.keyless:
            self._write_keyless(batch.keyless)
            return
        if not self._staged:
            columns = ", ".join(name(column) for column in self.columns)
            self._run(f"create temp table {self._stage} as select {columns} from {self._quoted} with no data")
            self._staged = True
        if batch.gone:
            self._stage_keys(batch.gone)
            self._run(f"delete from {self._quoted} t using {self._stage} s where {self._pairs}")
            if self._left is not None:
                self._left.forget_staged()
            self._run(f"truncate {self._stage}")
        if batch.rows:
            self._write_rows(batch.rows.values())
        for lacking in {lacking for _, lacking in batch.partial.values()}:
            self._write_partial([row for row, other in batch.partial.values() if other == lacking], lacking)

    def _run(self, statement: str) -> None:
        self.connection.execute(statement.encode())

    def _stage_keys(self, keys: Iterable[bytes]) -> None:
        with self.connection.cursor().copy(f"copy {self._stage} ({self._key}) from stdin".encode()) as copy:
            for key in keys:
                values = orjson.loads(key)
                copy.write_row([self._text(column, values[column]) for column in self.shape.key])

    def _stage_rows(self, rows: Iterable[Mapping[str, Any]]) -> None:
        columns = ", ".join(name(column) for column in self.columns)
        with self.connection.cursor().copy(f"copy {self._stage} ({columns}) from stdin".encode()) as copy:
            for row in rows:
                copy.write_row([self._text(column, row.get(column)) for column in self.columns])

    def _text(self, column: str, value: Any) -> str | None:
        return None if value is None else self.table.columns[column].decode(value)

    def _write_rows(self, rows: Iterable[Mapping[str, Any]]) -> None:
        self._stage_rows(rows)
        self._upsert(self.columns)
        if self._left is not None:
            self._left.keep_staged()
        self._run(f"truncate {self._stage}")

    def _upsert(self, columns: Sequence[str]) -> None:
        listed = ", ".join(name(column) for column in columns)
        others = [column for column in columns if column not in self.shape.key]
        action = "update set " + ", ".join(f"{name(c)} = excluded.{name(c)}" for c in others) if others else "nothing"
        chosen = f" where ({self.where})" if self.where else ""
        self._run(
            f"insert into {self._quoted} ({listed}) overriding system value select {listed} from {self._stage}{chosen} "
            f"on conflict ({self._key}) do {action}"
        )
        if self.where:
            self._run(
                f"delete from {self._quoted} where ({self._key}) in "
                f"(select {self._key} from {self._stage} where ({self.where}) is not true)"
            )

    def _write_partial(self, rows: Sequence[Mapping[str, Any]], lacking: frozenset[str]) -> None:
        """Rows that left unchanged values out: these stay as they are in the target."""
        texts = {c: m if isinstance(m, str) else None for c, m in self.shape.markers.items() if c in lacking}
        # A row that the target does not have keeps the marker where its type can hold it: never a NULL in its place.
        self._stage_rows({**row, **texts} for row in rows)
        present = [column for column in self.columns if column not in lacking and column not in self.shape.key]
        if present:
            changes = ", ".join(f"{name(c)} = s.{name(c)}" for c in present)
            self._run(f"update {self._quoted} t set {changes} from {self._stage} s where {self._pairs}")
        if self._left is not None:
            self._left.leave_staged()
            self._left.complete_staged(lacking)
        self._run(f"delete from {self._stage} s using {self._quoted} t where {self._pairs}")
        self._upsert(self.columns)
        if self._left is not None:
            self._left.keep_staged()
        self._run(f"truncate {self._stage}")

    def _write_keyless(self, changes: Sequence[tuple[Any, Any]]) -> None:
        columns = ", ".join(name(column) for column in self.columns)
        marks = ", ".join(f"%s::{self.table.columns[column].type}" for column in self.columns)
        insert = f"insert into {self._quoted} ({columns}) overriding system value values ({marks})"
        same = " and ".join(
            f"{name(c)}::text is not distinct from (%s::{self.table.columns[c].type})::text" for c in self.columns
        )
        delete = f"delete from {self._quoted} where ctid = (select ctid from {self._quoted} where {same} limit 1)"
        for before, after in changes:
            for statement, row in ((delete, before), (insert, after)):
                if row is not None:
                    values = [self._text(column, row.get(column)) for column in self.columns]
                    self.connection.execute(statement.encode(), values)


def _row(text: bytes | None) -> Any:
    return None if text is None else orjson.loads(text)


class Projector:
    """Projects the topics of a slice into its target.

    Args:
        bridge: The pipeline.
        slice_: The slice.
        tables: Its target.
        on_progress: Told of records applied.

    Attributes:
        applied: Records applied since the start.
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
        self._readers = {table.shape.topic: TopicReader(bridge.kafka, table.shape.topic) for table in self.tables}
        self._writers: dict[str, TableWriter] = {}
        self._parsers: dict[str, RecordParser] = {}
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
            rows = self.connection.execute(
                f"select topic, part, next_offset from {OFFSETS} where slice = %s".encode(), (self.slice.name,)
            ).fetchall()
        found: dict[str, Offsets] = {table.shape.topic: {} for table in self.tables}
        for topic, partition, offset in rows:
            found.setdefault(topic, {})[partition] = offset
        return found

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
