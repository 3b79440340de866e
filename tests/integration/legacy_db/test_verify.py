"""Legacy = topic: exact at a cut while writers write, and never wrong about a table that is right."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest

from cdc.errors import OperatorError
from cdc.kafka.reader import TopicReader
from cdc.visibility import Snapshot
from legacy_db import reading, spill
from legacy_db.expected import AS_NULL, TRAILING_ZEROS
from legacy_db.sample.load import Load
from legacy_db.topic_fold import Fold, RecordParser, Visibility
from legacy_db.verify import LegacyVerification
from legacy_db.verify_model import Options
from tests.stack.kafka import KafkaBroker
from tests.stack.postgres import Database
from tests.support.engine import pipeline, run_once
from tests.support.engine_fixtures import StartEngine
from tests.support.migration import bridge_of, compare, shapes_of

EVERYTHING = {"table__include__list": r"(stock|sales|service)\..*", "skipped__operations": "none"}


def test_the_whole_wholesaler_is_equal_while_its_users_write(
    legacy: Database, kafka: KafkaBroker, prefix: str, start_engine: StartEngine
):
    legacy.execute(
        "alter table sales.order_log replica identity full", "alter table sales.prospect replica identity full",
        'alter table stock."Lieferant" replica identity full',
    )  # fmt: skip
    config = pipeline(legacy, kafka.bootstrap, prefix, snapshot__mode="initial", **EVERYTHING)
    run_once(config)
    start_engine(config, legacy)
    bridge = bridge_of(config)
    # A column that is added with a default is a difference for good: its old rows are in no record (next test).
    with Load(legacy.dsn, pause=0.05, schema_changes=False) as load:
        found = [compare(bridge, snapshot_seconds=seconds) for seconds in (60.0, 0.0)]
    assert load.tally.failures == []
    assert [hop.mismatches for hop in found] == [0, 0]
    assert len(found[0].tables) == 25
    assert found[1].rows > found[0].rows > 4000
    rules = {table.table: table.rules for table in found[0].tables}
    assert rules["stock.part"][AS_NULL] >= 40  # NaN in an unbounded numeric
    assert rules["sales.payment"][TRAILING_ZEROS] >= 50


def test_a_column_that_was_added_with_a_default_is_missing_in_old_rows(
    legacy: Database, kafka: KafkaBroker, prefix: str
):
    config = pipeline(legacy, kafka.bootstrap, prefix, snapshot__mode="initial", table__include__list="stock.warehouse")
    run_once(config)
    legacy.execute("alter table stock.warehouse add column floor integer default 3, add column note text")
    legacy.execute("update stock.warehouse set name = 'neu' where id = 1")
    table = compare(bridge_of(config)).tables[0]
    assert [(one.kind, one.key, one.columns) for one in table.differences] == [
        ("different", {"id": 2}, {"floor": (3, None)})
    ]
    assert table.rules == {"a column added later is NULL in rows that were not written since": 1}


def test_a_truncate_empties_the_fold(legacy: Database, kafka: KafkaBroker, prefix: str):
    config = pipeline(
        legacy, kafka.bootstrap, prefix, snapshot__mode="initial", table__include__list="stock.price_list",
        skipped__operations="none", topic__creation__default__partitions="3",
        topic__creation__default__replication__factor="1",
    )  # fmt: skip
    run_once(config)
    legacy.execute("truncate stock.price_list", "insert into stock.price_list values ('X', '2024-05-01', default, 7)")
    table = compare(bridge_of(config)).tables[0]
    assert (table.rows, table.mismatches) == (1, 0)


def test_without_truncates_in_the_topic_every_row_of_before_is_extra(legacy: Database, kafka: KafkaBroker, prefix: str):
    config = pipeline(
        legacy, kafka.bootstrap, prefix, snapshot__mode="initial", table__include__list="stock.price_list"
    )
    run_once(config)
    legacy.execute("truncate stock.price_list")
    assert compare(bridge_of(config)).tables[0].extra == 200


# Column -> type, and a literal for each of four rows.
_COLUMNS: dict[str, tuple[str, ...]] = {
    "i2": ("int2", "-32768", "null", "0", "1"),
    "i8": ("int8", "9223372036854775807", "null", "0", "1"),
    "f4": ("float4", "1.1", "'NaN'", "'-0'", "1e-45"),
    "f8": ("float8", "1e20", "'-Infinity'", "3.4028234663852886e38", "4.9e-324"),
    "n": ("numeric", "12345.678900", "'NaN'", "1e-10", "-100"),
    "n2": ("numeric(12,2)", "1.50", "null", "0", "-0.01"),
    "m": ("money", "'1234.56'", "'-0.01'", "null", "0::money"),
    "b": ("bool", "true", "false", "null", "true"),
    "t": ("text", "E'tab\\there \"q\" \\\\ \\n'", "''", "null", "'naïve 日本 \U0001f600'"),
    "v": ("varchar(9)", "'ä'", "''", "null", "'x'"),
    "c": ("char(5)", "'ab'", "''", "null", "'abcde'"),
    "ba": ("bytea", "'\\x00ff10'", "''", "null", "'a'"),
    "d": ("date", "'2024-02-29'", "'0044-03-15 BC'", "'infinity'", "'9999-12-31'"),
    "tm": ("time", "'13:14:15.123456'", "'24:00:00'", "null", "'00:00:00.000001'"),
    "tm0": ("time(0)", "'10:00'", "'00:00:00'", "null", "'23:59:59'"),
    "tz": ("timetz", "'13:14:15.5+02'", "null", "null", "'00:00+14'"),
    "ts": ("timestamp", "'2024-02-29 13:14:15.123456'", "'1969-12-31 23:59:59.999999'", "'infinity'", "'2261-12-31 23:59:59'"),
    "ts3": ("timestamp(3)", "'2039-01-19 03:14:08.999'", "'1969-12-31 23:59:59.999'", "'-infinity'", "'2024-01-01'"),
    "tsz": ("timestamptz", "'2024-01-01 00:00:00.5+00'", "'0044-03-15 10:00:00+00 BC'", "'infinity'", "'2500-06-01 00:00:00.000001+00'"),
    "tsz0": ("timestamptz(0)", "'2024-01-01 00:00:00+00'", "'9999-12-31 23:59:59+00'", "null", "'2024-07-01 12:00:00+02'"),
    "iv": ("interval", "'1 year 2 mons 3 days 04:05:06.7'", "'-1 day'", "null", "'100 years'"),
    "u": ("uuid", "'a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11'", "null", "null", "null"),
    "j": ("json", "'{\"b\":1,  \"a\":2}'", "'null'", "null", "'[1.0, 1e5]'"),
    "jb": ("jsonb", "'{\"b\":1,  \"a\":2}'", "'null'", "null", "'[1.0, 1e5]'"),
    "bi": ("bit(5)", "b'10110'", "b'00000'", "null", "b'11111'"),
    "vb": ("varbit", "b'00101'", "b''", "null", "b'1'"),
    "b1": ("bit", "b'1'", "b'0'", "null", "b'1'"),
    "ia": ("int4[]", "'{1,null,3}'", "'{}'", "null", "'{5}'"),
    "ta": ("text[]", "array['a,b', 'q\"', null, '', E'\\\\']", "'{}'", "null", "'{}'"),
    "na": ("numeric(6,2)[]", "'{1.5,2}'", "null", "null", "'{}'"),
    "da": ("date[]", "'{2024-01-01}'", "null", "null", "'{}'"),
    "ip": ("inet", "'192.168.1.5'", "'::1/64'", "null", "'10.0.0.0/8'"),
    "mac": ("macaddr", "'08:00:2b:01:02:03'", "null", "null", "null"),
    "r": ("int4range", "'[1,10)'", "'empty'", "null", "'(,)'"),
    "o": ("oid", "4294967295", "0", "null", "1"),
    "p": ("point", "'(1.5,-2)'", "null", "null", "'(0,0)'"),
    "e": ("mood", "'glad'", "null", "null", "'sad \"2\"'"),
    "dom": ("positive", "7", "1", "null", "3"),
}  # fmt: skip


@pytest.mark.parametrize(
    "modes",
    [
        {},
        {"decimal__handling__mode": "string", "interval__handling__mode": "string", "binary__handling__mode": "hex"},
        {"decimal__handling__mode": "double", "time__precision__mode": "connect"},
        {"time__precision__mode": "isostring", "binary__handling__mode": "base64"},
        {"time__precision__mode": "nanoseconds", "value__converter__schemas__enable": "true", "key__converter__schemas__enable": "true"},
    ],
    ids=lambda modes: "-".join(modes.values()) or "defaults",
)  # fmt: skip
def test_every_type_compares_equal_whatever_its_mode(
    database: Database, kafka: KafkaBroker, prefix: str, modes: dict[str, str]
):
    columns = ", ".join(f"{name} {values[0]}" for name, values in _COLUMNS.items())
    rows = [f"insert into types values ({n}, {', '.join(v[n] for v in _COLUMNS.values())})" for n in range(1, 5)]
    database.execute(
        "create type mood as enum ('glad', 'sad \"2\"')", "create domain positive as int check (value > 0)",
        f"create table types (id integer primary key, {columns})", *rows[:2],
    )  # fmt: skip
    config = pipeline(database, kafka.bootstrap, prefix, snapshot__mode="initial", **modes)
    run_once(config)
    database.execute(*rows[2:])
    table = compare(bridge_of(config)).tables[0]
    assert [(one.kind, one.columns) for one in table.differences] == []
    assert table.rows == 4


def test_equal_rows_without_a_key_are_counted(database: Database, kafka: KafkaBroker, prefix: str):
    database.execute(
        "create table twins (a integer, b text)", "alter table twins replica identity full",
        "insert into twins select 1, 'x' from generate_series(1, 3)",
    )  # fmt: skip
    config = pipeline(database, kafka.bootstrap, prefix, snapshot__mode="initial")
    run_once(config)
    database.execute(
        "delete from twins where ctid = (select min(ctid) from twins)", "insert into twins values (2, null)"
    )
    bridge = bridge_of(config)
    table = compare(bridge).tables[0]
    assert (table.key, table.rows, table.mismatches) == (False, 3, 0)
    database.execute("alter table twins disable trigger all")
    run_once(config)
    with database.connect() as connection:
        # What no event tells: a row that was there before the pipeline looked.
        connection.execute("drop publication if exists other")
        connection.execute(f"alter publication {prefix} set (publish = 'insert')")
        connection.execute("delete from twins where a = 2")
        connection.execute(f"alter publication {prefix} set (publish = 'insert, update, delete')")
    with contextlib.suppress(OperatorError):
        run_once(config)
    assert [(d.kind, d.times) for d in _compare_without_engine(bridge)] == [("extra", 1)]


def _compare_without_engine(bridge) -> list:
    """Compare although the engine refuses to go on with a publication that was changed."""
    from dataclasses import replace

    from legacy_db import cut

    shapes = shapes_of(bridge)
    quiet = replace(bridge, run=lambda _stop, _once, _rows: None)
    original, cut.read_slot = cut.read_slot, lambda catalog, name: replace(original(catalog, name), confirmed_flush_lsn=1 << 62)  # fmt: skip
    try:
        return LegacyVerification(quiet, shapes, Options()).run().tables[0].differences
    finally:
        cut.read_slot = original


def test_it_waits_for_an_engine_that_runs_and_runs_one_where_none_does(
    database: Database, kafka: KafkaBroker, prefix: str, start_engine: StartEngine
):
    database.execute("create table t (id integer primary key, v text)", "insert into t values (1, 'a')")
    config = pipeline(database, kafka.bootstrap, prefix, snapshot__mode="initial")
    run_once(config)
    database.execute("update t set v = 'b'")
    assert compare(bridge_of(config)).mismatches == 0
    start_engine(config, database)
    database.execute("update t set v = 'c'")
    assert compare(bridge_of(config)).mismatches == 0


def test_a_pipeline_that_was_never_started_is_refused(database: Database, kafka: KafkaBroker, prefix: str):
    database.execute("create table t (id integer primary key)")
    with pytest.raises(OperatorError, match="never started"):
        compare(bridge_of(pipeline(database, kafka.bootstrap, prefix)))


def test_a_topic_that_transforms_rewrote_is_refused(database: Database, kafka: KafkaBroker, prefix: str):
    database.execute("create table t (id integer primary key)")
    config = pipeline(
        database, kafka.bootstrap, prefix, transforms="unwrap",
        transforms__unwrap__type="io.debezium.transforms.ExtractNewRecordState",
    )  # fmt: skip
    with pytest.raises(OperatorError, match="transforms"):
        compare(bridge_of(config))


# -- gentle, bounded, resumable ------------------------------------------------------------------------------------------


@pytest.fixture
def wide(database: Database, kafka: KafkaBroker, prefix: str, monkeypatch: pytest.MonkeyPatch):
    """A table of several ranges of pages, all in its topic."""
    monkeypatch.setattr(spill, "RANGE_BLOCKS", 8)
    database.execute(
        "create table wide (id integer primary key, v text)",
        "insert into wide select g, repeat('x', 100) from generate_series(1, 3000) g",
    )
    config = pipeline(
        database, kafka.bootstrap, prefix, snapshot__mode="initial", topic__creation__default__partitions="3",
        topic__creation__default__replication__factor="1",
    )  # fmt: skip
    run_once(config)
    return bridge_of(config)


def test_no_snapshot_is_held_longer_than_allowed(wide):
    found = compare(wide, snapshot_seconds=0.0)
    assert found.mismatches == 0
    assert found.snapshots > 3
    assert found.snapshot_age < 5


def test_rows_that_move_between_two_snapshots_are_no_difference(wide, database: Database):
    stop = threading.Event()

    def move() -> None:
        with database.connect() as connection:
            while not stop.is_set():
                connection.execute(
                    "update wide set v = v || 'y' where id in (select id from wide order by random() limit 50)"
                )

    mover = threading.Thread(target=move)
    mover.start()
    try:
        found = compare(wide, snapshot_seconds=0.0, rate=20_000)
    finally:
        stop.set()
        mover.join()
    assert found.mismatches == 0


def test_the_load_on_the_database_is_bounded_and_stated(wide):
    found = compare(wide, rate=3_000)
    assert 0.7 < found.read_seconds < 20
    assert found.as_json()["load"]["rows_per_second"] < 4_500


def test_a_topic_larger_than_memory_goes_through_files(wide, database: Database):
    database.execute("delete from wide where id % 10 = 0", "update wide set id = -id where id % 7 = 0")
    found = compare(wide, memory_rows=500)
    assert (found.mismatches, found.rows) == (0, 2700)


def test_an_interrupted_verification_goes_on_with_the_rows_that_it_has(
    wide, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    original = spill.Spiller._copy
    count = 0

    def dies(self, statement, write):
        nonlocal count
        count += 1
        if count == 4:
            raise OperatorError("killed")
        return original(self, statement, write)

    monkeypatch.setattr(spill.Spiller, "_copy", dies)
    with pytest.raises(OperatorError, match="killed"):
        compare(wide, directory=tmp_path / "work")
    assert len(reading.read_manifest(tmp_path / "work")) == 3
    first = count
    found = compare(wide, directory=tmp_path / "work")
    ranges = count - first
    assert (found.mismatches, found.rows) == (0, 3000)
    count = -1000
    compare(wide, directory=tmp_path / "work")
    assert ranges == count + 1000 - 3
    assert not (tmp_path / "work").exists()


# -- the negative control ------------------------------------------------------------------------------------------------


@contextlib.contextmanager
def busy_writers(database: Database, count: int) -> Iterator[None]:
    """Writers of one small table, each committing as fast as it can."""
    stop = threading.Event()

    def write(number: int) -> None:
        with database.connect() as connection:
            while not stop.is_set():
                connection.execute(
                    "update hot set n = n + 1 where id = %s", [number * 8 + connection.info.backend_pid % 8]
                )

    threads = [threading.Thread(target=write, args=[number]) for number in range(count)]
    for thread in threads:
        thread.start()
    try:
        yield
    finally:
        stop.set()
        for thread in threads:
            thread.join()


class LsnCut(Visibility):
    """The tempting design: what was logged before a position is taken for visible."""

    def __init__(self, lsn: int) -> None:
        super().__init__(Snapshot(0, 0, frozenset()))
        self.lsn = lsn


def test_log_positions_as_cut_are_wrong_and_visible_transactions_are_not(
    database: Database, kafka: KafkaBroker, prefix: str, start_engine: StartEngine
):
    database.execute("create table hot (id integer primary key, n bigint)", "insert into hot select g, 0 from generate_series(0, 63) g")  # fmt: skip
    config = pipeline(database, kafka.bootstrap, prefix, snapshot__mode="initial")
    run_once(config)
    engine = start_engine(config, database)
    cuts = []
    with busy_writers(database, 8), psycopg.connect(database.dsn) as connection:
        for _ in range(60):
            before = connection.execute("select pg_current_wal_insert_lsn()::text").fetchone()[0]
            connection.commit()
            connection.execute("set transaction isolation level repeatable read")
            rows = connection.execute("select id, n, pg_current_snapshot()::text from hot").fetchall()
            cuts.append((before, {row[0]: row[1] for row in rows}, Snapshot.parse(rows[0][2])))
            connection.commit()
    engine.caught_up()
    shape = shapes_of(bridge_of(config))[0]
    parser = RecordParser(shape.topic, None)
    events = []
    with contextlib.closing(TopicReader(config.kafka, shape.topic)) as reader:
        low, high = reader.bounds()
        for messages in reader.batches(low, high):
            for message in messages:
                headers = dict(message.headers() or ())
                commit = headers.get("seam.position", b"0/0/0/0/0").decode().split("/")
                events.append((parser.event(message), (int(commit[2], 16) << 32) | int(commit[3], 16)))
    wrong_by_lsn = wrong_by_xid = 0
    for before, content, snapshot in cuts:
        high_part, low_part = before.split("/")
        limit = (int(high_part, 16) << 32) | int(low_part, 16)
        by_lsn, by_xid = (Fold(shape, Visibility(snapshot), {}, parser) for _ in range(2))
        for event, commit_lsn in events:
            by_xid.apply(event)
            if commit_lsn < limit or event.xid is None:
                by_lsn.apply(event._replace(xid=None))
        wrong_by_lsn += _content(by_lsn) != content
        wrong_by_xid += _content(by_xid) != content
    assert wrong_by_xid == 0
    assert wrong_by_lsn > 0, "the wrong design was not caught: it must be, or the check proves nothing"


def _content(fold: Fold) -> dict[int, int]:
    import orjson

    rows = [orjson.loads(row) for row in fold.rows.values()]
    return {row["id"]: row["n"] for row in rows}
