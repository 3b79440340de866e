"""Legacy = topic, at one exact cut, while writers write.

The database's rows are read under snapshots; then a mark is written into the log, and when Kafka holds everything up to
it, the topic is folded to what each snapshot saw. Nothing is locked, nobody is asked, and no guess about log positions
is made: a transaction can be in the stream and still be invisible to a snapshot (docs/verify.md has the measurement).
"""

from __future__ import annotations

import contextlib
import shutil
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from psycopg import sql

from cdc.errors import OperatorError
from cdc.postgres.catalog import Catalog
from cdc.visibility import Snapshot
from legacy_db.bridge import Bridge
from legacy_db.compare import Tally, compare_file, compare_multiset, leftovers
from legacy_db.cut import wait_for_mark, write_mark
from legacy_db.folding import TopicAtCut
from legacy_db.pausing import no_cycle_search
from legacy_db.reading import Reading, read_manifest, write_manifest
from legacy_db.recheck import Rechecker
from legacy_db.shape import TableShape, copy_rows, leads_with_key
from legacy_db.spill import Order, Piece, Spilled
from legacy_db.verify_model import TOPIC, HopResult, Options, Progress, TableResult

ATTEMPTS = 3


class LegacyVerification:
    """Compares tables with their topics.

    Args:
        bridge: The pipeline.
        shapes: The tables.
        options: How to go about it.
        on_progress: Told of it.
    """

    def __init__(
        self,
        bridge: Bridge,
        shapes: Sequence[TableShape],
        options: Options,
        on_progress: Progress = lambda _what, _done, _of: None,
    ) -> None:
        if bridge.obstacle is not None:
            raise OperatorError(f"{bridge.name}: {bridge.obstacle}, so its topics cannot be compared with tables")
        self.bridge = bridge
        self.shapes = tuple(shapes)
        self.options = options
        self.on_progress = on_progress

    def run(self) -> HopResult:
        """Compare all tables.

        Raises:
            SeamError: A comparison could not be made; differences are no error here.
        """
        result = HopResult(TOPIC)
        started = time.monotonic()
        catalog = self.bridge.catalog(statement_timeout="0")
        try:
            waiting = list(self.shapes)
            for attempt in range(ATTEMPTS):
                with self._directory() as directory, no_cycle_search():
                    waiting = self._pass(catalog, waiting, directory, result)
                if not waiting:
                    break
                if attempt == ATTEMPTS - 1:
                    names = ", ".join(shape.table for shape in waiting)
                    raise OperatorError(
                        f"{names}: was read anew by a snapshot of the pipeline during each of {ATTEMPTS} comparisons",
                        hint="verify it when it is quieter",
                    )
        finally:
            catalog.connection.close()
        result.tables.sort(key=lambda table: [shape.table for shape in self.shapes].index(table.table))
        result.seconds = time.monotonic() - started
        return result

    @contextlib.contextmanager
    def _directory(self) -> Iterator[Path]:
        """Where files go; it is left behind only when the verification was interrupted and has a place of its own."""
        if self.options.directory is None:
            with tempfile.TemporaryDirectory(prefix="seam-verify-") as name:
                yield Path(name)
            return
        self.options.directory.mkdir(parents=True, exist_ok=True)
        yield self.options.directory
        shutil.rmtree(self.options.directory)

    def _pass(
        self, catalog: Catalog, shapes: Sequence[TableShape], directory: Path, result: HopResult
    ) -> list[TableShape]:
        """One comparison of some tables; returns those that must be read again."""
        topics = {
            shape.table: TopicAtCut(self.bridge, shape, self.options.memory_rows, digests=self.options.digests)
            for shape in shapes
        }
        reading: Reading | None = None
        try:
            for topic in topics.values():
                topic.look()
            topics[shapes[0].table].begin()
            order = Order(
                self.bridge.source, tuple(self._pieces(shapes)), str(directory), self.options.rate,
                self.options.snapshot_seconds, self._resumed(catalog, directory),
            )  # fmt: skip
            rows = sum(catalog_rows(catalog, shape) for shape in shapes)
            reading = Reading(order, own_process=rows >= self.options.process_rows)
            self._fold_meanwhile(shapes, topics, reading)
            progress = reading.finish()
            result.snapshots += progress.taken
            result.snapshot_age = max(result.snapshot_age, progress.oldest_seconds)
            result.read_seconds += sum(one.seconds for one in progress.files)
            self._reach(catalog, topics)
            again = []
            for index, shape in enumerate(shapes):
                self.on_progress(f"comparing {shape.table}", index, len(shapes))
                files = [one for one in progress.files if one.table == shape.table]
                result.cut[shape.table] = list(dict.fromkeys(one.snapshot for one in files))
                found = self._compare(catalog, shape, topics[shape.table], files, directory)
                if found is None:
                    again.append(shape)
                else:
                    result.tables.append(found)
            return again
        finally:
            if reading is not None:
                reading.close()
            for topic in topics.values():
                topic.close()

    def _pieces(self, shapes: Sequence[TableShape]) -> Iterator[Piece]:
        for shape in shapes:
            keyed = not leads_with_key(shape)
            for member in shape.members:
                schema, _, name = member.partition(".")
                quoted = sql.Identifier(schema, name).as_string()
                statement = copy_rows(shape, quoted, only=True, condition="{range}", keyed=keyed and bool(shape.key))
                name_text = sql.Literal(quoted).as_string()
                size = (
                    f"select coalesce(pg_relation_filenode(to_regclass({name_text})), 0)::int8, "
                    f"coalesce(pg_relation_size(to_regclass({name_text})) / current_setting('block_size')::int, 0)::int8"
                )
                yield Piece(shape.table, member, statement, size, whole=not shape.literal_key or not shape.key)

    def _resumed(self, catalog: Catalog, directory: Path) -> tuple[Spilled, ...]:
        """What an interrupted verification has left and is still good: of tables that were not rewritten since."""
        wanted = {member for shape in self.shapes for member in shape.members}
        files = {member: [one for one in read_manifest(directory) if one.member == member] for member in wanted}
        kept: list[Spilled] = []
        for member, found in files.items():
            schema, _, name = member.partition(".")
            node = catalog.value(
                "select pg_relation_filenode(to_regclass(%s))::int8", (sql.Identifier(schema, name).as_string(),)
            )
            if found and all(one.filenode == node for one in found):
                kept += found
        write_manifest(directory, tuple(kept))
        for path in directory.glob("*.copy"):
            if path.name not in {one.file for one in kept}:
                path.unlink()
        return tuple(kept)

    def _fold_meanwhile(self, shapes: Sequence[TableShape], topics: Mapping[str, TopicAtCut], reading: Reading) -> None:
        """Fold what the topics held before the cut, while the database is read; as much as memory may take."""
        left = self.options.memory_rows
        for index, shape in enumerate(shapes):
            topic = topics[shape.table]
            text = reading.snapshot(shape.table)
            if text is None:
                return
            topic.at(Snapshot.parse(text))
            left -= topic.weight
            self.on_progress(f"reading {shape.table} and {topic.shape.topic}", index, len(shapes))
            if left >= 0:
                topic.fold_early()

    def _reach(self, catalog: Catalog, topics: Mapping[str, TopicAtCut]) -> None:
        mark = write_mark(catalog, "verify")
        wait_for_mark(
            catalog, self.bridge, mark, seconds=self.options.wait_seconds,
            on_wait=lambda what: self.on_progress(what, 0, 0),
        )  # fmt: skip
        for topic in topics.values():
            topic.reach()
        horizon = Snapshot.parse(str(catalog.value("select pg_current_snapshot()::text"))).xmax
        for topic in topics.values():
            topic.bound(horizon)

    def _compare(
        self, catalog: Catalog, shape: TableShape, topic: TopicAtCut, files: Sequence[Spilled], directory: Path
    ) -> TableResult | None:
        """Compare one table; None when it has to be read again."""
        started = time.monotonic()
        tally = Tally()
        result = TableResult(
            shape.table, shape.topic, key=bool(shape.key),
            own_codec=tuple(name for name, one in shape.expected.items() if one.own_codec),
        )  # fmt: skip
        paths = [(directory / one.file, topic.visibility(one.snapshot)) for one in files]
        if not shape.key:
            multiset = topic.multiset()
            if not multiset.finish():
                return None
            result.differences = compare_multiset([path for path, _ in paths], shape, multiset, tally)
            result.events = multiset.events
        else:
            quick = topic.quick(paths)
            if quick is not None:
                result.rows, result.events = quick.rows, quick.events
                if not quick.doubts:
                    result.seconds = time.monotonic() - started
                    return result
                paths = list(topic.narrowed(paths, quick.doubts))
            rechecker = Rechecker(self.bridge, catalog, shape, topic, self.options)
            several = len({one.snapshot for one in files}) > 1 or len(shape.members) > 1
            kept = 0
            for fold, chosen in topic.folds(paths):
                fold.finish()
                matched: set[bytes] = set()
                for path, visibility in chosen:
                    compare_file(
                        path, shape, fold, visibility, tally, matched, once=not several, leading=leads_with_key(shape)
                    )
                last = chosen[-1][1] if chosen else fold.visibility
                leftovers(fold, shape, last, tally, matched)
                result.events += fold.events if quick is None else 0
                rechecker.keep(fold, tally.candidates[kept:])
                kept = len(tally.candidates)
            result.differences, result.passed = rechecker.settle(tally)
        result.rows, result.rules = result.rows or tally.rows, dict(tally.rules)
        result.missing, result.extra, result.different = tally.missing, tally.extra, tally.different
        result.seconds = time.monotonic() - started
        return result


def catalog_rows(catalog: Catalog, shape: TableShape) -> int:
    """The planner's estimate of a table's rows."""
    names = [sql.Identifier(*member.split(".", 1)).as_string() for member in shape.members]
    rows = catalog.value(
        "select coalesce(sum(greatest(reltuples, 0)), 0)::int8 from pg_class where oid = any(%s::regclass[])", (names,)
    )
    return int(rows)
