"""Views on a real broker: complete as of their start, live, and going on where they stood."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest
from confluent_kafka import Producer

from cdc.errors import OperatorError
from tests.support.views import RunningView, Topic, running_view, view_config
from tests.support.waiting import wait_until
from views.errors import KeysMissing, SchemaIncompatible, ViewBusy

KINDS = ("memory", "rocksdb", "sqlite")


@pytest.fixture(params=KINDS)
def kind(request: pytest.FixtureRequest) -> str:
    return request.param


@pytest.fixture
def topic(kafka, prefix: str) -> Topic:
    return Topic(kafka.bootstrap, f"{prefix}.public.products")


def rows(numbers, version: int = 0) -> dict[bytes, bytes]:
    return {b"%05d" % n: b'{"id":%d,"v":%d}' % (n, version) for n in numbers}


def test_a_view_holds_everything_at_its_start_and_what_comes_after(kafka, topic: Topic, kind: str, tmp_path: Path):
    topic.put(rows(range(500)))
    topic.put(rows(range(100), 1))
    topic.put([(b"%05d" % n, None) for n in range(50)])
    with running_view(view_config(kind, [topic], kafka.bootstrap, tmp_path / "v")) as view:
        assert view.rows() == topic.fold()
        topic.put(rows(range(40, 60), 2))
        topic.put([(b"00060", None)])
        view.shows(topic.fold())


def test_a_stored_view_reads_only_what_it_has_not_seen(kafka, topic: Topic, kind: str, tmp_path: Path):
    config = view_config(kind, [topic], kafka.bootstrap, tmp_path / "v")
    topic.put(rows(range(300)))
    with running_view(config) as view:
        assert view.meter.applied == 300
    topic.put(rows(range(290, 310), 1))
    with running_view(config) as view:
        assert view.meter.applied == 20
        assert "VIEW_REBUILT" not in view.codes()
        assert view.rows() == topic.fold()
        topic.put(rows(range(5), 2))
        view.shows(topic.fold())


def test_control_records_and_aborted_transactions_at_the_end_do_not_hang_it(
    kafka, topic: Topic, kind: str, tmp_path: Path, prefix: str
):
    topic.put(rows(range(3)))
    producer = Producer({"bootstrap.servers": kafka.bootstrap, "transactional.id": prefix})
    producer.init_transactions(30)
    for value, end in ((b'{"t":1}', producer.commit_transaction), (b'{"t":2}', producer.abort_transaction)):
        producer.begin_transaction()
        for partition in range(3):
            producer.produce(topic.name, value, b"t%d" % partition, partition=partition)
        producer.flush(10)
        end(30)
    with running_view(view_config(kind, [topic], kafka.bootstrap, tmp_path / "v")) as view:
        expected = {**rows(range(3)), b"t0": b'{"t":1}', b"t1": b'{"t":1}', b"t2": b'{"t":1}'}
        assert view.rows() == expected
        producer.begin_transaction()
        producer.produce(topic.name, b'{"t":3}', b"t0", partition=0)
        producer.flush(10)
        topic.put(rows([7]))
        assert view.rows()[b"t0"] == b'{"t":1}'
        producer.commit_transaction(30)
        view.shows(topic.fold())


def test_an_open_transaction_does_not_keep_a_view_from_being_complete(
    kafka, topic: Topic, kind: str, tmp_path: Path, prefix: str
):
    topic.put(rows(range(10)))
    producer = Producer({"bootstrap.servers": kafka.bootstrap, "transactional.id": prefix})
    producer.init_transactions(30)
    producer.begin_transaction()
    producer.produce(topic.name, b'{"open":true}', b"open")
    producer.flush(10)
    with running_view(view_config(kind, [topic], kafka.bootstrap, tmp_path / "v")) as view:
        assert view.rows() == rows(range(10))
    producer.abort_transaction(30)


def test_an_empty_topic_and_a_missing_one_are_complete_at_once_and_filled_later(
    kafka, topic: Topic, kind: str, tmp_path: Path, prefix: str, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr("views.runner.METADATA_SECONDS", 0.2)
    monkeypatch.setattr("views.runner.HOUSEKEEPING_SECONDS", 0.1)
    later = f"{prefix}.public.later"
    with running_view(view_config(kind, [topic, later], kafka.bootstrap, tmp_path / "v")) as view:
        assert view.rows(topic.name) == view.rows(later) == {}
        topic.put(rows(range(3)))
        view.shows(rows(range(3)), topic.name)
        made = Topic(kafka.bootstrap, later, partitions=1)
        made.put(rows(range(4)))
        view.shows(rows(range(4)), later)
        topic.add_partitions(4)
        topic.put(rows(range(10, 60)))
        view.shows(topic.fold(), topic.name)


def test_a_part_of_the_partitions_can_be_held_by_each_of_two_processes(kafka, topic: Topic, kind: str, tmp_path: Path):
    topic.put(rows(range(200)))
    halves = [
        view_config(kind, [topic], kafka.bootstrap, tmp_path / name, partitions=frozenset(held))
        for name, held in (("a", {0}), ("b", {1, 2}))
    ]
    with running_view(halves[0]) as one, running_view(halves[1]) as other:
        assert one.rows().keys().isdisjoint(other.rows())
        assert {**one.rows(), **other.rows()} == topic.fold()
        assert one.rows()
        assert other.rows()


def test_a_rebuild_shows_readers_the_old_or_the_new_and_never_less(
    kafka, topic: Topic, kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr("views.runner.HOUSEKEEPING_SECONDS", 0.05)  # a rebuild is asked for and begins there
    topic.put(rows(range(2000)))
    with running_view(view_config(kind, [topic], kafka.bootstrap, tmp_path / "v")) as view:
        ended, seen, counts = threading.Event(), [], []

        def read() -> None:
            last = -1
            while not ended.is_set():
                with view.reading() as store:
                    row = store.get(b"00007")
                    counts.append(store.count())
                assert row is not None
                version = int(row.value.split(b":")[2][:-1])
                seen.append((last, version))
                last = version

        reader = threading.Thread(target=read)
        reader.start()
        try:
            for version in range(1, 4):
                view.rebuild()
                topic.put(rows(range(50), version))
                wait_until(lambda v=version: view.meter.rebuilds == v + 1 and not view.rebuilding, 30, "the rebuild")
                wait_until(lambda v=version: view.codes().count("VIEW_SWITCHED") == v, 30, "readers to switch")
                view.shows(topic.fold())
        finally:
            ended.set()
            reader.join()
        assert set(counts) == {2000}
        assert all(before <= after for before, after in seen), "a reader went back in time"
        assert seen[-1][1] == 3


def test_one_process_at_a_time_keeps_a_stored_view(kafka, topic: Topic, tmp_path: Path):
    config = view_config("rocksdb", [topic], kafka.bootstrap, tmp_path / "v")
    with running_view(config), pytest.raises(ViewBusy, match=r"process \d+ keeps this view"):
        RunningView(config).start()
    with running_view(config):
        pass


def test_a_poison_record_is_set_aside_and_the_view_goes_on(kafka, topic: Topic, kind: str, tmp_path: Path):
    topic.put(rows(range(10)))
    with running_view(view_config(kind, [topic], kafka.bootstrap, tmp_path / "v", max_value_bytes=1000)) as view:
        topic.put([(b"00003", b"{broken"), (b"00004", b'{"big":"' + b"x" * 2000 + b'"}'), (None, b'{"a":1}')])
        topic.put(rows([5], 9))
        view.shows({**rows(range(10)), **rows([5], 9)})
        with view.reading() as store:
            wait_until(lambda: len(store.dead_letters()) == 3, 10, "three dead letters")
            reasons = sorted(letter.reason.split()[0] for letter in store.dead_letters())
            assert reasons == ["NULL_KEY", "OVERSIZE", "UNDECODABLE"]
            places = {(record.partition, record.offset) for record in topic.records()}
            assert all((letter.partition, letter.offset) in places for letter in store.dead_letters())


@pytest.mark.parametrize(
    ("records", "error"),
    [
        ([(None, b'{"a":1}')] * 3, KeysMissing),
        ([(b'{"id":1}', b'{"a":1}'), (b'{"id":1,"region":2}', b'{"a":1}')], SchemaIncompatible),
    ],
)
def test_a_topic_that_cannot_be_a_view_is_a_named_error(
    kafka, prefix: str, kind: str, tmp_path: Path, records, error: type[OperatorError]
):
    topic = Topic(kafka.bootstrap, f"{prefix}.bad", partitions=1)
    topic.put(records)
    with running_view(view_config(kind, [topic], kafka.bootstrap, tmp_path / "v"), complete=False) as view:
        with pytest.raises(error):
            view.wait_complete(20)
        assert not view.complete.is_set()


def test_more_rows_than_the_memory_that_is_allowed_are_refused(kafka, topic: Topic):
    topic.put(rows(range(3000)))
    config = view_config("memory", [topic], kafka.bootstrap, None, memory_limit=50_000)
    with running_view(config, complete=False) as view, pytest.raises(OperatorError, match="are allowed"):
        view.wait_complete(20)
