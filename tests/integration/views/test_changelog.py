"""A stored view's changelog: what a topic has dropped is not lost with the store."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from cdc.errors import ConfigError
from cdc.properties import load
from tests.support.messages import envelope, position
from tests.support.views import Topic, running_view, view_config
from views.options import ViewConfig, read_view


@pytest.fixture(params=["rocksdb", "sqlite"])
def config(request: pytest.FixtureRequest, kafka, prefix: str, tmp_path: Path) -> ViewConfig:
    topics = [f"{prefix}.public.rows", f"{prefix}.public.others"]
    return view_config(request.param, topics, kafka.bootstrap, tmp_path / "store", changelog=f"{prefix}-changes")


@pytest.fixture
def topics(kafka, config: ViewConfig) -> list[Topic]:
    return [Topic(kafka.bootstrap, name) for name in config.topics]


def rows(numbers, version: int = 0) -> dict[bytes, bytes]:
    return {b"%05d" % n: b'{"id":%d,"v":%d}' % (n, version) for n in numbers}


def drop_all(topic: Topic) -> None:
    """As a topic without compaction does when its retention is over."""
    ends = dict.fromkeys(range(topic.partitions), 0)
    for record in topic.records():
        ends[record.partition] = record.offset + 1
    topic.drop_below(ends)


def lose(config: ViewConfig) -> None:
    assert config.path is not None
    shutil.rmtree(config.path)


def test_a_lost_store_is_loaded_from_it_and_only_what_is_missing_from_the_topics(
    config: ViewConfig, topics: list[Topic]
):
    for topic in topics:
        topic.put(rows(range(200)))
    with running_view(config) as view:
        topics[0].put([(b"00001", None), (b"00002", b'{"id":2,"v":5}')])
        view.shows(topics[0].fold(), topics[0].name)
    expected = [topic.fold() for topic in topics]
    for topic in topics:
        drop_all(topic)
    lose(config)
    topics[0].put({b"00003": b'{"id":3,"v":9}'})
    with running_view(config) as view:
        assert view.rows(topics[0].name) == expected[0] | {b"00003": b'{"id":3,"v":9}'}
        assert view.rows(topics[1].name) == expected[1]
        assert view.meter.applied == 1, "all but one record came from the changelog"
        with view.reading() as store:
            row = store.get(b"00002", topics[0].name)
        assert row is not None
        assert row.topic == topics[0].name
    lose(config)
    with running_view(config) as view:
        assert view.rows(topics[0].name)[b"00003"] == b'{"id":3,"v":9}', "what came after the loss is in it too"


def test_without_it_what_the_topic_dropped_is_gone(config: ViewConfig, topics: list[Topic]):
    config = view_config(config.kind, config.topics, topics[0].bootstrap, config.path)
    topics[0].put(rows(range(20)))
    with running_view(config):
        pass
    drop_all(topics[0])
    lose(config)
    with running_view(config) as view:
        assert view.rows(topics[0].name) == {}


def test_a_store_that_is_older_than_it_is_written_out_whole_and_one_of_another_form_is_not_loaded(
    config: ViewConfig, topics: list[Topic]
):
    topics[0].put(rows(range(50)))
    without = view_config(config.kind, config.topics, topics[0].bootstrap, config.path)
    with running_view(without):
        pass
    with running_view(config) as view:
        assert view.meter.rebuilds == 0, "an existing store is written out"
    lose(config)
    other = view_config(
        config.kind, config.topics, topics[0].bootstrap, config.path, changelog=config.changelog, fields=("id",)
    )
    with running_view(other) as view:
        assert "CHANGELOG_UNUSED" in view.codes()
        assert view.rows(topics[0].name) == {key: b'{"id":%d}' % int(key) for key in rows(range(50))}
    drop_all(topics[0])
    lose(config)
    with running_view(other) as view:
        assert view.rows(topics[0].name) == {key: b'{"id":%d}' % int(key) for key in rows(range(50))}


def test_a_truncation_empties_it_too_and_positions_are_kept(config: ViewConfig, topics: list[Topic]):
    name = topics[0].name
    for number, commit in ((1, 10), (2, 30)):
        topics[0].put(
            [(b'{"id":%d}' % number, envelope("c", None, {"id": number}))], headers=position(commit), partition=0
        )
    with running_view(config) as view:
        topics[0].put([(None, envelope("t", None, None))], headers=position(20), partition=1)
        view.shows({b'{"id":2}': b'{"id":2}'}, name)
        with view.reading() as store:
            before = store.get(b'{"id":2}', name)
    drop_all(topics[0])
    lose(config)
    with running_view(config) as view, view.reading() as store:
        assert store.get(b'{"id":2}', name) == before
        assert store.get(b'{"id":1}', name) is None


def test_it_is_for_stored_views_and_named_as_a_topic(tmp_path: Path):
    file = tmp_path / "seam.toml"
    view = {"kind": "memory", "topics": ["t"], "changelog": "no topic"}
    lines = "\n".join(f"{name} = {json.dumps(value)}" for name, value in view.items())
    file.write_text(f'[worker]\n"bootstrap.servers" = "x:1"\n[views.v]\n{lines}\n')
    with pytest.raises(ConfigError) as caught:
        read_view(load(file), "v")
    assert "views.v.changelog" in str(caught.value)
    assert "is no topic name" in str(caught.value)
    assert 'needs kind = "rocksdb" or "sqlite"' in str(caught.value)
