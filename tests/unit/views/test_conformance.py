"""One suite for every kind of view: whatever comes, a view is the fold of its topics up to the offsets it stores."""

from __future__ import annotations

import random
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from tests.support.messages import FakeLog, envelope, position
from views.batch import Batch, Row, ViewState
from views.errors import QueryRefused
from views.memory import MemoryImage
from views.objects import ObjectImage
from views.rocks import RocksStore
from views.sqlite import SqliteStore
from views.store import Store
from views.unwrap import Unwrapper

TOPICS = ("shop.public.orders", "shop.public.lines")

Open = Callable[[], Store]


@pytest.fixture(params=["memory", "objects", "rocksdb", "sqlite"])
def kind(request: pytest.FixtureRequest) -> str:
    return request.param


@pytest.fixture
def open_store(kind: str, tmp_path: Path) -> Open:
    """Opens the store; for kinds on disk, again and again the same one."""
    kinds: dict[str, Open] = {
        "memory": lambda: MemoryImage(TOPICS),
        "objects": lambda: ObjectImage(TOPICS, bytes),
        "rocksdb": lambda: RocksStore(tmp_path / "store", TOPICS),
        "sqlite": lambda: SqliteStore(tmp_path / "store", TOPICS, search=["note"]),
    }
    return kinds[kind]


@pytest.fixture
def store(open_store: Open):
    with open_store() as opened:
        yield opened


@dataclass
class Model:
    """The fold, written down as plainly as can be."""

    rows: dict[str, dict[bytes, Row]] = field(default_factory=lambda: {topic: {} for topic in TOPICS})

    def apply(self, batch: Batch) -> None:
        for item in batch.items:
            table = self.rows[item.topic]
            if not hasattr(item, "keys"):
                for key in [key for key, row in table.items() if item.covers(row.source)]:
                    del table[key]
                continue
            for i, key in enumerate(item.keys):
                if item.values[i] is None:
                    table.pop(key, None)
                else:
                    table[key] = Row(key, item.values[i], item.topic, item.partition, item.offsets[i], item.source(i))

    def ordered(self, topic: str) -> list[Row]:
        return [row for _, row in sorted(self.rows[topic].items())]


def random_log(seed: int, count: int) -> FakeLog:
    """Inserts, updates, deletes, tombstones, replays after a restart of the engine, and now and then a truncation."""
    choose, log = random.Random(seed), FakeLog()
    commit = 1000
    recent: list[tuple] = []
    for _ in range(count):
        topic, number = choose.choice(TOPICS), choose.randrange(60)
        partition = number % 3
        key = b'{"id":%d}' % number
        commit += choose.randrange(1, 50)
        row = {"id": number, "note": choose.choice(["red fox", "blue whale", "grey wolf"]), "n": commit}
        what = choose.random()
        if what < 0.02:
            partition = 0
            record = (topic, None, envelope("t", None, None), partition, position(commit))
        elif what < 0.25:
            record = (topic, key, envelope("d", row, None), partition, position(commit))
            log.append(record[0], record[1], record[2], partition=partition, headers=record[4])
            recent.append(record)
            record = (topic, key, None, partition, position(commit, 1))
        else:
            record = (topic, key, envelope(choose.choice("cu"), None, row), partition, position(commit))
        log.append(record[0], record[1], record[2], partition=record[3], headers=record[4])
        recent.append(record)
        if what > 0.97:
            for again in recent[-8:]:
                log.append(again[0], again[1], again[2], partition=again[3], headers=again[4])
        if choose.random() < 0.1:
            log.skip(topic, partition, choose.randrange(1, 4))
    return log


def batches(log: FakeLog, seed: int, state: ViewState | None = None) -> list[Batch]:
    choose, unwrapper = random.Random(seed), Unwrapper(state or ViewState())
    found, at = [], 0
    while at < len(log.messages):
        step = choose.randrange(1, 40)
        found.append(unwrapper.batch(log.messages[at : at + step]))
        at += step
    return found


def assert_same(store: Store, model: Model, at: ViewState) -> None:
    assert store.state.offsets == at.offsets
    for topic in TOPICS:
        expected = model.ordered(topic)
        assert list(store.scan(topic, step=7)) == expected
        assert store.count(topic) == len(expected)
        keys = [row.key for row in expected] + [b'{"id":99999}']
        assert store.get_many(keys, topic) == [*expected, None]
    assert store.count() == sum(len(rows) for rows in model.rows.values())


@pytest.mark.parametrize("seed", range(4))
def test_a_view_is_the_fold_of_what_it_applied(store: Store, seed: int):
    model = Model()
    for batch in batches(random_log(seed, 400), seed):
        store.apply(batch)
        model.apply(batch)
        assert_same(store, model, batch.state)


@pytest.mark.parametrize("seed", range(4))
def test_a_first_load_gives_the_same_rows_as_one_change_after_the_other(store: Store, seed: int):
    model, log = Model(), random_log(seed, 600)
    made = batches(log, seed)
    store.begin_load()
    for batch in made[:-5]:
        store.apply(batch)
        model.apply(batch)
    store.end_load()
    assert_same(store, model, made[-6].state)
    for batch in made[-5:]:
        store.apply(batch)
        model.apply(batch)
    assert_same(store, model, made[-1].state)


def test_a_store_on_disk_goes_on_from_where_it_was_closed(open_store: Open, kind: str):
    if kind in ("memory", "objects"):
        with open_store() as fresh:
            assert fresh.state == ViewState()
            assert fresh.count() == 0
        return
    model, log = Model(), random_log(11, 500)
    made = batches(log, 11)
    for first in range(0, len(made), 5):
        with open_store() as store:
            if first:
                assert_same(store, model, made[first - 1].state)
                assert store.state == made[first - 1].state
            for batch in made[first : first + 5]:
                store.apply(batch)
                model.apply(batch)


def test_ranges_are_in_the_order_of_the_keys_bytes_and_end_before_their_end(store: Store):
    log = FakeLog()
    for number in (10, 9, 1, 100, 2):
        log.append(TOPICS[0], b"%d" % number, b'{"n":%d}' % number)
    for batch in batches(log, 1):
        store.apply(batch)
    assert [row.key for row in store.range(topic=TOPICS[0])] == [b"1", b"10", b"100", b"2", b"9"]
    assert [row.key for row in store.range(b"10", b"2", topic=TOPICS[0])] == [b"10", b"100"]
    assert [row.key for row in store.range(b"10", limit=2, topic=TOPICS[0])] == [b"10", b"100"]
    assert store.range(b"3", b"4", topic=TOPICS[0]) == []


def test_values_come_back_byte_for_byte(store: Store):
    log = FakeLog()
    values = [
        b'{"price":1.10}',
        b'{"n":123456789012345678901234567890.50}',
        b'{"t":"\xc3\xa9 \\u00e9"}',
        b"[1, 2]",
        b"7",
    ]
    for number, value in enumerate(values):
        log.append(TOPICS[0], b"k%d" % number, value)
    for batch in batches(log, 3):
        store.apply(batch)
    assert [row.value for row in store.scan(TOPICS[0])] == values


def test_a_topic_is_named_by_its_last_part_and_must_be_named_in_a_view_of_several(store: Store):
    log = FakeLog()
    log.append(TOPICS[0], b"1", b'{"n":1}')
    for batch in batches(log, 1):
        store.apply(batch)
    assert store.get(b"1", "orders") == store.get(b"1", TOPICS[0])
    assert store.get(b"1", "lines") is None
    assert (store.count("orders"), store.count("lines")) == (1, 0)
    for ask in (lambda: store.get(b"1"), lambda: store.range(topic="nobody"), lambda: store.count("nobody")):
        with pytest.raises(QueryRefused):
            ask()


def test_a_row_tells_which_write_it_shows(store: Store):
    log = FakeLog()
    log.append(TOPICS[0], b'{"id":1}', envelope("c", None, {"id": 1}), headers=position(0x16_B374D848, 3))
    log.append(TOPICS[0], b'{"id":2}', envelope("c", None, {"id": 2}))
    for batch in batches(log, 3):
        store.apply(batch)
    told, untold = store.get_many([b'{"id":1}', b'{"id":2}'], TOPICS[0])
    assert told is not None
    assert untold is not None
    assert told.position == "7/1/16/B374D848/3"
    assert untold.position == f"{TOPICS[0]}/0/1"


def test_a_reader_beside_the_writer_sees_whole_batches(store: Store, kind: str):
    """Each batch sets all rows to one number: a reader never sees two."""
    keys = [b"%d" % n for n in range(20)]
    log = FakeLog()
    for round_ in range(60):
        for key in keys:
            log.append(TOPICS[0], key, b'{"round":%d}' % round_)
    unwrapper = Unwrapper(ViewState())
    made = [unwrapper.batch(log.messages[i : i + 20]) for i in range(0, len(log.messages), 20)]
    store.apply(made[0])
    ended, seen, torn = threading.Event(), set(), []

    def read() -> None:
        while not ended.is_set():
            many = {row.value for row in store.get_many(keys, TOPICS[0]) if row is not None}
            ranged = {row.value for row in store.range(topic=TOPICS[0])}
            seen.update(many)
            torn.extend(values for values in (many, ranged) if len(values) != 1)

    readers = [threading.Thread(target=read) for _ in range(2)]
    for reader in readers:
        reader.start()
    for batch in made[1:]:
        store.apply(batch)
    ended.set()
    for reader in readers:
        reader.join()
    assert torn == []
    assert seen


def test_dead_letters_are_kept_with_their_place(store: Store):
    log = FakeLog()
    log.append(TOPICS[0], b"1", b"{broken")
    log.append(TOPICS[0], None, b'{"a":1}')
    log.append(TOPICS[0], b"2", b'{"a":"\xff"}')
    log.append(TOPICS[0], b"3", b'{"a":1}')
    for batch in batches(log, 5):
        store.apply(batch)
    letters = store.dead_letters()
    assert [(letter.offset, letter.reason.split()[0]) for letter in letters] == [
        (0, "UNDECODABLE"),
        (1, "NULL_KEY"),
        (2, "UNDECODABLE"),
    ]
    assert [row.key for row in store.scan(TOPICS[0])] == [b"3"]
    assert store.state.dead == 3
