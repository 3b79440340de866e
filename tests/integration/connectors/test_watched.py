"""A running pipeline as its operator sees it: metrics, status, the check of its topics, a chain tried on real records."""

from __future__ import annotations

import json
import urllib.request
from pathlib import Path

import pytest
from confluent_kafka.admin import AdminClient, NewTopic

import cli
from cdc.errors import ConfigError, TopicMismatch
from connectors.metrics import MetricsServer, PipelineCollector
from tests.stack.kafka import KafkaBroker
from tests.stack.postgres import Database
from tests.support.command_line import Result, run
from tests.support.consume import read_topic
from tests.support.engine import pipeline, properties, run_once, running
from tests.support.waiting import wait_until

FOREVER = {"topic.creation.default.partitions": "2", "topic.creation.default.retention.ms": "-1"}
ROUTED = {
    "transforms": "route,tell",
    "transforms.route.type": "org.apache.kafka.connect.transforms.RegexRouter",
    "transforms.route.regex": "(.*)\\.public\\.(.*)",
    "transforms.route.replacement": "$1.rows.$2",
    "transforms.tell.type": "seam.transforms.InsertSource",
    "transforms.tell.facts": "system_id,timeline,slot,position",
}


class Line:
    """`seam` over one file."""

    def __init__(self, database: Database, kafka: KafkaBroker, prefix: str, directory: Path) -> None:
        self.database, self.kafka, self.prefix = database, kafka, prefix
        self.file = directory / "pipeline.json"
        self.more: dict[str, str] = {}

    def write(self, **more: str) -> None:
        self.more = more
        content = properties(self.database, self.prefix, **more)
        self.file.write_text(json.dumps({"name": self.prefix, "config": content}))

    def run(self, command: str, *arguments: object) -> Result:
        texts = [str(argument) for argument in arguments]
        return run(cli.app, command, str(self.file), "--bootstrap-servers", self.kafka.bootstrap, *texts)

    def findings(self) -> dict[str, dict[str, str]]:
        return {finding["code"]: finding for finding in self.run("check", "--output", "json").document["findings"]}

    def topic(self, name: str, partitions: int, **config: str) -> None:
        admin = AdminClient({"bootstrap.servers": self.kafka.bootstrap})
        options = {key.replace("_", "."): value for key, value in config.items()}
        admin.create_topics([NewTopic(name, partitions, 1, config=options)])[name].result(30)
        wait_until(lambda: name in admin.list_topics(timeout=10).topics, 10, "the topic to be there")


@pytest.fixture
def line(database: Database, kafka: KafkaBroker, prefix: str, tmp_path: Path) -> Line:
    database.execute("create table t (id int primary key)", "insert into t values (1), (2)", "analyze t")
    made = Line(database, kafka, prefix, tmp_path)
    made.write()
    return made


def test_metrics_and_status_follow_a_running_pipeline(line: Line) -> None:
    line.write(snapshot__mode="initial")
    config = pipeline(line.database, line.kafka.bootstrap, line.prefix, **line.more)
    with running(config, line.database) as engine:
        server = MetricsServer(PipelineCollector(line.prefix, engine.worker.meter), 0)
        try:
            with pytest.raises(ConfigError, match="cannot be listened on"):
                MetricsServer(PipelineCollector(line.prefix, engine.worker.meter), server.port)

            def scraped() -> dict[str, float]:
                with urllib.request.urlopen(f"http://127.0.0.1:{server.port}/metrics", timeout=5) as answer:
                    lines = answer.read().decode().replace(f'connector="{line.prefix}"', "").splitlines()
                return {
                    name: float(value) for name, _, value in (text.rpartition(" ") for text in lines if text[0] != "#")
                }

            line.database.execute("insert into t values (3)", "delete from t where id = 3")
            engine.caught_up()
            wait_until(lambda: scraped()['seam_phase{,phase="streaming"}'] == 1, 20, "the snapshot to be done")
            found = scraped()
            assert found["seam_rows_total{}"] == 2
            assert found["seam_records_total{}"] == 5, "two rows, an insert, a delete and its tombstone"
            assert found["seam_received_bytes_total{}"] > 100
            assert found['seam_snapshot_rows{,table="public.t"}'] == 2
            assert found['seam_snapshot_done{,table="public.t"}'] == 1
            assert found["seam_lag_bytes{}"] < 100_000
            assert found["seam_acknowledged_lsn{}"] > 0
        finally:
            server.close()
    (row,) = line.run("status", "--output", "json").document["connectors"]
    assert row["snapshot"]["running"] is False
    assert row["snapshot"]["tables"] == {"public.t": {"rows": 2, "expected_rows": 2, "done": True}}


def test_a_topic_that_is_not_as_declared_is_found_by_the_check_with_the_command_that_mends_it(line: Line) -> None:
    line.write(**FOREVER)
    assert "created as declared" in line.findings()["TOPICS_MISSING"]["evidence"]
    line.topic(f"{line.prefix}.public.t", 1, retention_ms="1000", retention_bytes="5000")
    checked = line.run("check", "--output", "json")
    assert checked.code == 4
    told = [f for f in checked.document["findings"] if f["severity"] == "blocks"]
    assert [f["code"] for f in told] == ["TOPIC_PARTITIONS", "TOPIC_POLICY", "TOPIC_POLICY"]
    assert "keeps records for 1000 ms, for ever is declared" in told[1]["evidence"]
    assert told[1]["remedy"].endswith(f"--entity-name {line.prefix}.public.t --add-config retention.ms=-1")
    assert "keeps 5000 bytes of each partition, for ever is declared" in told[2]["evidence"]
    with pytest.raises(TopicMismatch):
        run_once(pipeline(line.database, line.kafka.bootstrap, line.prefix, **FOREVER))
    line.write()
    assert not [f for f in line.findings().values() if f["severity"] == "blocks"], "nothing is declared"


def test_topics_that_transforms_choose_are_created_as_declared_and_records_say_where_they_come_from(line: Line) -> None:
    line.write(**ROUTED, **FOREVER)
    assert "TOPICS_ROUTED" in line.findings()
    config = pipeline(line.database, line.kafka.bootstrap, line.prefix, **line.more)
    run_once(config)
    line.database.execute("insert into t values (3), (4)")
    run_once(config)
    topic = f"{line.prefix}.rows.t"
    listed = AdminClient({"bootstrap.servers": line.kafka.bootstrap}).list_topics(timeout=10).topics
    assert len(listed[topic].partitions) == 2
    assert f"{line.prefix}.public.t" not in listed
    headers = [dict(record.headers) for record in read_topic(line.kafka.bootstrap, topic)]
    system = str(line.database.value("select system_identifier::text from pg_control_system()")).encode()
    assert len(headers) == 2
    assert {h["__seam_system_id"] for h in headers} == {system}
    assert {(h["__seam_timeline"], h["__seam_slot"]) for h in headers} == {(b"1", line.prefix.encode())}
    positions = {h["__seam_position"] for h in headers}
    assert len(positions) == 2
    assert positions == {h["seam.position"] for h in headers}, "the position that the engine's own header tells"


def test_a_chain_is_tried_on_the_newest_records_of_a_topic(line: Line) -> None:
    schemas = {"key.converter.schemas.enable": "true", "value.converter.schemas.enable": "true"}
    config = pipeline(line.database, line.kafka.bootstrap, line.prefix, **schemas)
    run_once(config)
    line.database.execute("insert into t select g from generate_series(11, 15) g", "delete from t where id = 15")
    run_once(config)
    topic = f"{line.prefix}.public.t"
    line.write(
        **{
            **schemas,
            "transforms": "unwrap,name",
            "transforms.unwrap.type": "io.debezium.transforms.ExtractNewRecordState",
            "transforms.unwrap.delete.tombstone.handling.mode": "drop",
            "transforms.name.type": "seam.transforms.Lookup",
            "transforms.name.topic": f"{line.prefix}.names",
            "transforms.name.key.field": "id",
            "transforms.name.fields": "id:known",
        }
    )
    missing = line.run("transform", "--from-topic", topic, "--max", 4)
    assert missing.code == 2
    assert f"{line.prefix}.names" in missing.everything
    changed = line.run("transform", "--from-topic", topic, "--max", 4, "--set", f"transforms.name.topic={topic}")
    made = [json.loads(text) for text in changed.out.splitlines()]
    # The last four are the inserts of 14 and 15, the delete of 15 and its tombstone; after it 15 is not known any more.
    assert [record["value"]["payload"] for record in made] == [{"id": 14, "known": "14"}, {"id": 15, "known": None}]
    nowhere = run(cli.app, "transform", str(line.file), "--from-topic", topic)
    assert nowhere.code == 2
    assert "--bootstrap-servers" in nowhere.everything
    absent = line.run("transform", "--from-topic", "no.such.topic", "--set", f"transforms.name.topic={topic}")
    assert absent.code == 2
