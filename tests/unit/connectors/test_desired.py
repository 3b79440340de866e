"""What files ask of a Connect cluster."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from cdc.errors import ConfigError
from connectors.desired import in_order, needs_of, read, section

SOURCE = {"connector.class": "FileStreamSource", "topic": "t"}


def write(path: Path, content: object) -> Path:
    path.write_text(content if isinstance(content, str) else json.dumps(content), encoding="utf-8")
    return path


def test_connect_json_flat_json_properties_and_toml_mean_the_same(tmp_path: Path) -> None:
    write(tmp_path / "one.json", {"name": "one", "config": {**SOURCE, "tasks.max": 1}})
    write(tmp_path / "two.json", {"name": "two", **SOURCE, "tasks.max": "1"})
    write(tmp_path / "three.properties", "name=three\nconnector.class=FileStreamSource\ntopic=t\ntasks.max=1\n")
    write(
        tmp_path / "four.toml",
        '[connectors.four]\n"connector.class" = "FileStreamSource"\ntopic = "t"\n"tasks.max" = 1\n',
    )
    found = read(tmp_path).connectors
    assert sorted(found) == ["four", "one", "three", "two"]
    assert {json.dumps(entry.config, sort_keys=True) for entry in found.values()} == {
        json.dumps({**SOURCE, "tasks.max": "1"}, sort_keys=True)
    }


def test_our_own_options_do_not_go_to_connect(tmp_path: Path) -> None:
    file = write(tmp_path / "a.json", {"name": "a", **SOURCE, "seam.compat": "strict", "seam.depends.on": "b, c"})
    desired = read(file).connectors["a"]
    assert desired.config == SOURCE
    assert desired.own["seam.compat"] == "strict"
    assert desired.depends_on == ("b", "c")


def test_the_workers_converters_go_along_and_its_own_affairs_do_not(tmp_path: Path) -> None:
    text = """
[worker]
"bootstrap.servers" = "k:9092"
"offset.flush.interval.ms" = 1000
"value.converter" = "JsonConverter"
"value.converter.schemas.enable" = false
"key.converter" = "JsonConverter"
"key.converter.schemas.enable" = false
[connectors.a]
"connector.class" = "FileStreamSource"
topic = "t"
"key.converter" = "StringConverter"
"""
    content = read(write(tmp_path / "seam.toml", text))
    assert content.connectors["a"].config == {
        **SOURCE,
        "value.converter": "JsonConverter",
        "value.converter.schemas.enable": "false",
        "key.converter": "StringConverter",
    }
    assert content.worker["bootstrap.servers"] == "k:9092"


def test_an_initial_state_is_kept(tmp_path: Path) -> None:
    file = write(tmp_path / "a.json", {"name": "a", "config": SOURCE, "initial_state": "stopped"})
    assert read(file).connectors["a"].initial_state == "STOPPED"
    write(file, {"name": "a", "config": SOURCE, "initial_state": "asleep"})
    with pytest.raises(ConfigError, match="none of RUNNING, PAUSED, STOPPED"):
        read(file)


def test_settings_go_over_every_connector(tmp_path: Path) -> None:
    file = write(tmp_path / "a.json", {"name": "a", **SOURCE})
    assert read(file, settings=["topic=u", "file=/x=y"]).connectors["a"].config == {
        **SOURCE,
        "topic": "u",
        "file": "/x=y",
    }


def test_a_broken_file_is_named_with_line_and_column_beside_every_other_problem(tmp_path: Path) -> None:
    write(tmp_path / "a.json", '{\n  "name": "a",\n  oops\n}')
    write(tmp_path / "b.json", {"name": "b", "topic": "t"})
    write(tmp_path / "c.json", {"name": "x/y", **SOURCE})
    with pytest.raises(ConfigError) as failure:
        read(tmp_path)
    text = str(failure.value)
    assert "a.json: line 3, column 3" in text
    assert "b: connector.class" in text
    assert "cannot be the name of a connector" in text


def test_a_missing_file_and_an_empty_directory_are_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="there is no such file"):
        read(tmp_path / "none.json")
    with pytest.raises(ConfigError, match=r"holds no file that ends in \.json"):
        read(tmp_path)


def test_a_connector_that_stands_twice_is_refused(tmp_path: Path) -> None:
    write(tmp_path / "a.json", {"name": "same", **SOURCE})
    write(tmp_path / "b.json", {"name": "same", **SOURCE})
    with pytest.raises(ConfigError, match=r"connector same stands in .*a\.json too"):
        read(tmp_path)


def test_only_a_part_of_the_files_may_be_meant(tmp_path: Path) -> None:
    write(tmp_path / "a.json", {"name": "a", **SOURCE})
    write(tmp_path / "b.json", {"name": "b", **SOURCE})
    assert list(read(tmp_path).only(["b"], source=tmp_path).connectors) == ["b"]
    with pytest.raises(ConfigError, match="no connector c; there is a, b"):
        read(tmp_path).only(["c"], source=tmp_path)


def test_hidden_files_are_left_alone(tmp_path: Path) -> None:
    write(tmp_path / ".draft.json", "{broken")
    write(tmp_path / "a.json", {"name": "a", **SOURCE})
    assert list(read(tmp_path).connectors) == ["a"]


def test_the_cluster_comes_from_the_file_or_from_the_working_directory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert section(None) == {}
    file = write(tmp_path / "seam.toml", '[connect]\nurl = "http://c:8083"\n')
    assert section(None) == section(file) == {"url": "http://c:8083"}


def test_a_sink_comes_after_the_source_whose_topics_it_reads(tmp_path: Path) -> None:
    sink = {"connector.class": "FileStreamSink", "file": "/x"}
    write(tmp_path / "a.json", {"name": "a", **sink, "topics": "shop.public.orders"})
    write(tmp_path / "b.json", {"name": "b", **sink, "topics.regex": r"shop\.public\..*"})
    write(tmp_path / "c.json", {"name": "c", **SOURCE, "topic.prefix": "shop"})
    write(tmp_path / "d.json", {"name": "d", **sink, "topics": "shopping.x", "seam.depends.on": "a"})
    assert in_order(needs_of(read(tmp_path).connectors)) == [["c"], ["a", "b"], ["d"]]


def test_a_circle_of_dependencies_is_refused(tmp_path: Path) -> None:
    write(tmp_path / "a.json", {"name": "a", **SOURCE, "seam.depends.on": "b"})
    write(tmp_path / "b.json", {"name": "b", **SOURCE, "seam.depends.on": "a"})
    with pytest.raises(ConfigError, match="in a circle: a, b"):
        in_order(needs_of(read(tmp_path).connectors))
