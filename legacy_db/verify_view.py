"""Topic = view, at the offsets that the view has applied; the legacy database is not asked.

The view's offsets are written in the transaction of its rows, so one REPEATABLE READ snapshot of the target holds both:
the topic folded up to exactly these offsets must be these rows. A row that somebody wrote straight into the view shows.
"""

from __future__ import annotations

import contextlib
import shutil
import tempfile
import time
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

import orjson
import psycopg

from cdc.kafka.reader import Offsets, TopicReader
from cdc.postgres.connection import Source, connect, translated
from cdc.visibility import Snapshot
from legacy_db.bridge import Bridge
from legacy_db.compare import (
    SHOWN,
    Candidate,
    Difference,
    RowComparer,
    Tally,
    compare_file,
    compare_multiset,
    leftovers,
)
from legacy_db.digests import FileDigests, KeyDigest, TopicDigest, digestible, doubtful, narrow_file, only
from legacy_db.expected import target_expectation
from legacy_db.pausing import no_cycle_search
from legacy_db.projection import target_source
from legacy_db.reading import Reading
from legacy_db.shape import TableShape, copy_rows, leads_with_key
from legacy_db.slices import Slice
from legacy_db.spill import Order, Piece
from legacy_db.target import OFFSETS, TargetTable, name, quote
from legacy_db.topic_fold import Fold, Multiset, RecordParser, Visibility
from legacy_db.verify_model import VIEW, HopResult, Options, Progress, TableResult

_STAGED: Final = 5_000


def _everything() -> Visibility:
    """Up to the view's offsets, every record counts."""
    visibility = Visibility(Snapshot(0, 0, frozenset()))
    visibility.horizon = -(1 << 62)
    return visibility


def view_shape(table: TargetTable) -> TableShape:
    """The target's table as a side of a comparison: its own types, in the topic's form."""
    shape = table.shape
    expected = {
        c.name: target_expectation(table.columns[c.name].type, c.column, c.codec, shape.types, shape.layout.modes)
        for c in shape.layout.columns
    }
    return replace(
        shape,
        expected=expected,
        literal_key=all(expected[key].literal for key in shape.key),
        members=(shape.table,),
        filter=None,
    )


class ViewVerification:
    """Compares topics with the tables that were built from them.

    Args:
        bridge: The pipeline.
        slice_: The slice.
        tables: Its target.
        options: How to go about it.
        on_progress: Told of it.
    """

    def __init__(
        self, bridge: Bridge, slice_: Slice, tables: Sequence[TargetTable], options: Options,
        on_progress: Progress = lambda _what, _done, _of: None,
    ) -> None:  # fmt: skip
        self.bridge = bridge
        self.slice = slice_
        self.tables = tuple(tables)
        self.options = options
        self.on_progress = on_progress
        self.source: Source = target_source(slice_.require_target())

    def run(self) -> HopResult:
        """Compare all tables.

        Raises:
            SeamError: A comparison could not be made; differences are no error here.
        """
        result = HopResult(VIEW)
        started = time.monotonic()
        # The snapshot that the reader imports holds offsets and rows at once.
        with (
            contextlib.closing(connect(self.source, statement_timeout="0")) as connection,
            _temporary() as directory,
            no_cycle_search(),
        ):
            with translated(self.source, "reading the view at"):
                connection.execute("begin isolation level repeatable read read only")
                snapshot = self._value(connection, "select pg_export_snapshot()")
                offsets = self._offsets(connection)
            shapes = {table.shape.table: view_shape(table) for table in self.tables}
            order = Order(
                self.source, tuple(self._pieces(shapes.values())), str(directory), self.options.rate, 1e9,
                imported=snapshot,
            )  # fmt: skip
            reading = Reading(order, own_process=self._is_large(connection, shapes.values()))
            try:
                folds = {
                    t.shape.table: self._fold(t, shapes[t.shape.table], offsets.get(t.shape.topic, {}))
                    for t in self.tables
                }
                progress = reading.finish()
            finally:
                reading.close()
            result.read_seconds = sum(one.seconds for one in progress.files)
            result.snapshots = progress.taken
            result.snapshot_age = progress.oldest_seconds
            result.cut = {topic: {str(p): o for p, o in places.items()} for topic, places in offsets.items()}
            for table in self.tables:
                paths = [directory / one.file for one in progress.files if one.table == table.shape.table]
                shape = shapes[table.shape.table]
                places = offsets.get(shape.topic, {})
                result.tables.append(self._compare(table, shape, folds.pop(shape.table), places, paths))
        result.seconds = time.monotonic() - started
        return result

    @staticmethod
    def _value(connection: psycopg.Connection[Any], query: str) -> Any:
        row = connection.execute(query.encode()).fetchone()
        return row[0] if row else None

    def _offsets(self, connection: psycopg.Connection[Any]) -> dict[str, Offsets]:
        rows = connection.execute(
            f"select topic, part, next_offset from {OFFSETS} where slice = %s".encode(), (self.slice.name,)
        ).fetchall()
        found: dict[str, Offsets] = {}
        for topic, partition, offset in rows:
            found.setdefault(topic, {})[partition] = offset
        return found

    def _is_large(self, connection: psycopg.Connection[Any], shapes: Any) -> bool:
        names = [quote(shape.table) for shape in shapes]
        row = connection.execute(
            "select coalesce(sum(greatest(reltuples, 0)), 0)::int8 from pg_class where oid = any(%s::regclass[])",
            (names,),
        ).fetchone()
        return bool(row and row[0] >= self.options.process_rows)

    @staticmethod
    def _pieces(shapes: Any) -> Iterator[Piece]:
        for shape in shapes:
            keyed = bool(shape.key) and not leads_with_key(shape)
            statement = copy_rows(shape, quote(shape.table), only=True, condition="{range}", keyed=keyed)
            yield Piece(shape.table, shape.table, statement, "select 0::int8, 0::int8", whole=True)

    def _fold(
        self, table: TargetTable, view: TableShape, offsets: Mapping[int, int], wanted: set[int] | None = None
    ) -> Fold | Multiset | TopicDigest:
        """The topic up to the view's offsets: as digests at first, folded where these leave doubts."""
        shape = table.shape
        parser = RecordParser(shape.topic, shape.key_of(schemas=self.bridge.render.key_schemas))
        visibility = _everything()
        found: Fold | Multiset | TopicDigest
        if not shape.key:
            found = Multiset(visibility, parser, lambda row: shape.canonical_row(row, topic=True), offsets)
        elif wanted is None and self._by_digests(table, view):
            found = TopicDigest(view, visibility, parser)
        else:
            found = Fold(shape, visibility, offsets, parser, ordered="t" not in self.bridge.render.skipped)
        key_digest = KeyDigest(view, parser)
        with contextlib.closing(TopicReader(self.bridge.kafka, shape.topic)) as reader:
            low, _ = reader.bounds()
            self.on_progress(f"reading {shape.topic}", 0, 0)
            for messages in reader.batches(low, dict(offsets)):
                kept = messages if wanted is None else only(messages, key_digest, wanted)
                if isinstance(found, TopicDigest):
                    found.take(kept)
                else:
                    found.take(kept, early=True)  # no snapshot of the legacy decides here
        if not isinstance(found, TopicDigest):
            found.finish()
        return found

    def _by_digests(self, table: TargetTable, view: TableShape) -> bool:
        """Whether digests can judge: a predicate of the slice asks for the rows themselves."""
        return (
            self.options.digests and digestible(view) and view.literal_key == table.shape.literal_key
            and table.shape.table not in self.slice.where
        )  # fmt: skip

    def _compare(
        self, table: TargetTable, shape: TableShape, fold: Fold | Multiset | TopicDigest, offsets: Offsets,
        paths: Sequence[Path],
    ) -> TableResult:  # fmt: skip
        started = time.monotonic()
        tally = Tally()
        result = TableResult(
            shape.table, shape.topic, events=fold.events, key=bool(shape.key),
            own_codec=tuple(column for column, one in shape.expected.items() if one.own_codec),
        )  # fmt: skip
        if isinstance(fold, TopicDigest):
            digests = FileDigests(fold.key_digest)
            for path in paths:
                digests.take(path)
            result.rows = digests.count
            doubts = None if fold.truncated else doubtful(fold, digests, one_snapshot=True)
            if doubts is not None and not doubts:
                result.seconds = time.monotonic() - started
                return result
            if doubts is not None:
                narrowed = [path.with_suffix(".narrow") for path in paths]
                for path, narrow in zip(paths, narrowed, strict=True):
                    narrow_file(path, narrow, fold.key_digest, doubts)
                paths = narrowed
            fold = self._fold(table, shape, offsets, doubts or set())
        if isinstance(fold, Multiset):
            result.differences = compare_multiset(paths, shape, fold, tally)
            # Seen from the topic: what the view lacks is missing there.
            tally.missing, tally.extra = tally.extra, tally.missing
            result.differences = [replace(d, kind=_mirrored(d.kind)) for d in result.differences]
        elif isinstance(fold, Fold):
            visibility = _everything()
            for path in paths:
                compare_file(path, shape, fold, visibility, tally, set(), once=True, leading=leads_with_key(shape))
            where = self.slice.where.get(shape.table)
            if where is not None:
                self._leave_out(table, fold, where)
            leftovers(fold, shape, visibility, tally, set())
            tally.missing, tally.extra = tally.extra, tally.missing
            comparer = RowComparer(shape, Counter())
            result.differences = [_difference(candidate, comparer) for candidate in tally.candidates[:SHOWN]]
        result.rows, result.rules = result.rows or tally.rows, dict(tally.rules)
        result.missing, result.extra, result.different = tally.missing, tally.extra, tally.different
        result.seconds = time.monotonic() - started
        return result

    def _leave_out(self, table: TargetTable, fold: Fold, where: str) -> None:
        """Rows of the topic that the predicate leaves behind are not missing; the target judges it, as when it wrote."""
        keys = list(fold.rows)
        columns = ", ".join(name(column) for column in table.columns)
        with contextlib.closing(connect(self.source, statement_timeout="0")) as connection:
            connection.execute(
                f"create temp table judged as select 0::bigint as seam_row, {columns} from {quote(table.shape.table)} "
                "with no data".encode()
            )
            for start in range(0, len(keys), _STAGED):
                connection.execute(b"truncate judged")
                with connection.cursor().copy(f"copy judged (seam_row, {columns}) from stdin".encode()) as copy:
                    for number, key in enumerate(keys[start : start + _STAGED], start):
                        values = orjson.loads(fold.rows[key])
                        copy.write_row([
                            str(number),
                            *(None if values.get(c) is None else mapped.decode(values[c]) for c, mapped in table.columns.items()),
                        ])  # fmt: skip
                left = connection.execute(f"select seam_row from judged where ({where}) is not true".encode())
                for (number,) in left.fetchall():
                    del fold.rows[keys[number]]


def _mirrored(kind: str) -> str:
    return {"missing": "extra", "extra": "missing"}.get(kind, kind)


def _difference(candidate: Candidate, comparer: RowComparer) -> Difference:
    key, row, have = candidate
    shown = orjson.loads(key)
    if row is None:
        return Difference("missing", shown)
    if have is None:
        return Difference("extra", shown)
    columns = {column: (second, first) for column, (first, second) in comparer.differing(row, have).items()}
    return Difference("different", shown, columns)


@contextlib.contextmanager
def _temporary() -> Iterator[Path]:
    directory = Path(tempfile.mkdtemp(prefix="seam-verify-"))
    try:
        yield directory
    finally:
        shutil.rmtree(directory, ignore_errors=True)
