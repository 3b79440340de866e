"""A stored view that cannot go on is built anew, never trusted: truncated, recreated, slept too long, damaged."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.stack.kafka import KafkaBroker
from tests.stack.stack import Stack
from tests.support.views import Topic, running_view, view_config
from tests.support.waiting import wait_until
from views.batch import Batch
from views.generations import Generations
from views.kinds import open_store

KINDS = ("memory", "rocksdb", "sqlite")


@pytest.fixture(params=KINDS)
def kind(request: pytest.FixtureRequest) -> str:
    return request.param


@pytest.fixture
def topic(kafka, prefix: str) -> Topic:
    return Topic(kafka.bootstrap, f"{prefix}.public.products")


@pytest.fixture(scope="module")
def compacting(stack: Stack) -> Iterator[KafkaBroker]:
    """A broker whose cleaner does not wait."""
    eager = {"log.cleaner.backoff.ms": "100", "log.initial.task.delay.ms": "100"}
    with KafkaBroker(stack.own_directory("kafka"), properties=eager) as broker:
        yield broker


def rows(numbers, version: int = 0) -> dict[bytes, bytes]:
    return {b"%05d" % n: b'{"id":%d,"v":%d}' % (n, version) for n in numbers}


def rebuilt(view) -> str:
    return next((finding.evidence for finding in view.findings if finding.code == "VIEW_REBUILT"), "")


def test_a_topic_truncated_above_the_stored_offset_is_read_anew(kafka, topic: Topic, kind: str, tmp_path: Path):
    config = view_config(kind, [topic], kafka.bootstrap, tmp_path / "v")
    topic.put(rows(range(100)))
    with running_view(config):
        pass
    topic.put(rows(range(200), 1))
    ends = {p: sum(record.partition == p for record in topic.records()) for p in range(3)}
    topic.drop_below({partition: end - 1 for partition, end in ends.items()})
    with running_view(config) as view:
        assert "what was between is not known" in rebuilt(view)
        assert view.rows() == topic.fold()
        assert len(view.rows()) == 3


def test_a_topic_made_anew_is_read_anew_even_when_it_has_grown_past_the_stored_offset(
    kafka, topic: Topic, kind: str, tmp_path: Path
):
    config = view_config(kind, [topic], kafka.bootstrap, tmp_path / "v")
    topic.put(rows(range(20)))
    with running_view(config):
        pass
    topic.recreate()
    topic.put(rows(range(1000, 1100)))
    with running_view(config) as view:
        assert "was made anew" in rebuilt(view)
        assert view.rows() == rows(range(1000, 1100))


def test_a_topic_that_is_gone_leaves_the_view_as_it_was(kafka, topic: Topic, kind: str, tmp_path: Path):
    config = view_config(kind, [topic], kafka.bootstrap, tmp_path / "v")
    topic.put(rows(range(20)))
    with running_view(config):
        pass
    from confluent_kafka.admin import AdminClient

    admin = AdminClient({"bootstrap.servers": kafka.bootstrap, "log_level": 3})
    admin.delete_topics([topic.name])[topic.name].result(30)
    wait_until(lambda: topic.name not in admin.list_topics(timeout=10).topics, 20, "the topic to go")
    with running_view(config, complete=False) as view:
        wait_until(lambda: "TOPIC_GONE" in view.codes(), 20, "the view to notice")
        assert view.rows() == rows(range(20))
        assert not view.complete.is_set()


@pytest.mark.parametrize("change", [{"fields": ("id",)}, {"max_value_bytes": 100}])
def test_another_configuration_of_the_rows_builds_the_view_anew(
    kafka, topic: Topic, kind: str, tmp_path: Path, change: dict
):
    topic.put(rows(range(20)))
    with running_view(view_config(kind, [topic], kafka.bootstrap, tmp_path / "v")):
        pass
    with running_view(view_config(kind, [topic], kafka.bootstrap, tmp_path / "v", **change)) as view:
        assert "configuration" in rebuilt(view)
        expected = b'{"id":7}' if "fields" in change else b'{"id":7,"v":0}'
        assert view.rows()[b"00007"] == expected


def test_a_damaged_store_is_built_anew(kafka, topic: Topic, kind: str, tmp_path: Path):
    config = view_config(kind, [topic], kafka.bootstrap, tmp_path / "v")
    topic.put(rows(range(500)))
    with running_view(config):
        pass
    for file in (tmp_path / "v").rglob("*"):
        if file.is_file() and file.stat().st_size > 100 and file.name not in ("CURRENT", "LOCK"):
            content = bytearray(file.read_bytes())
            content[20 : len(content) - 20] = b"\x07" * (len(content) - 40)
            file.write_bytes(content)
    with running_view(config) as view:
        assert view.rows() == topic.fold()
        assert view.meter.applied == 500


def compacted_topic(broker: KafkaBroker, name: str, **more: str) -> Topic:
    return Topic(
        broker.bootstrap, name, partitions=1, cleanup_policy="compact", segment_ms="100", min_cleanable_dirty_ratio="0.01",
        max_compaction_lag_ms="200", **more,
    )  # fmt: skip


def test_compaction_holes_are_passed_over(compacting: KafkaBroker, kind: str, tmp_path: Path, prefix: str):
    topic = compacted_topic(compacting, f"{prefix}.compacted")
    for version in range(6):
        topic.put(rows(range(30), version))

    def has_holes() -> bool:
        topic.put(rows([99], int(time.monotonic() * 1000)))  # a write makes the broker roll the segment
        return len(topic.records()) < 120

    wait_until(has_holes, 30, "compaction", every=0.2)
    with running_view(view_config(kind, [topic], compacting.bootstrap, tmp_path / "v")) as view:
        assert view.rows() == topic.fold()
        topic.put(rows(range(5), 77))
        view.shows(topic.fold())


@pytest.mark.parametrize("careless", [False, True], ids=["as it is", "without the check: the test can fail"])
def test_a_view_that_slept_while_tombstones_went_keeps_no_deleted_row(
    compacting: KafkaBroker, tmp_path: Path, prefix: str, monkeypatch: pytest.MonkeyPatch, careless: bool
):
    topic = compacted_topic(compacting, f"{prefix}.sleep", delete_retention_ms="100")
    topic.put(rows(range(30)))
    config = view_config("rocksdb", [topic], compacting.bootstrap, tmp_path / "v")
    with running_view(config) as view:
        assert b"00003" in view.rows()
    topic.put([(b"00003", None)])

    def tombstone_is_gone() -> bool:
        topic.put(rows([99], int(time.monotonic() * 1000)))
        return all(record.key != b"00003" for record in topic.records())

    wait_until(tombstone_is_gone, 40, "the tombstone to be dropped", every=0.2)
    if careless:
        monkeypatch.setattr("views.validity.tombstones_gone", lambda *_: None)
        monkeypatch.setattr("views.runner.tombstones_gone", lambda *_: None)
    with running_view(config) as view:
        assert (b"00003" in view.rows()) is careless
        assert (view.rows() == topic.fold()) is not careless


def test_a_view_that_never_was_complete_is_not_used(kafka, topic: Topic, tmp_path: Path):
    topic.put(rows(range(20)))
    config = view_config("rocksdb", [topic], kafka.bootstrap, tmp_path / "v")
    with running_view(config):
        pass
    generations = Generations(tmp_path / "v")
    with open_store(config, generations.store(generations.current() or 0)) as store:
        state = store.state.copy()
        state.complete = False
        store.apply(Batch([], state))
    with running_view(config) as view:
        assert "never complete" in rebuilt(view)
        assert view.rows() == topic.fold()
