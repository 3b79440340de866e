"""The native engine's position in Debezium's shape: a Connect worker goes on from it, and hands its own back."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from cdc.errors import ConfigError, SlotAhead, SlotInUse
from cdc.kafka.positions import read_positions
from connectors.commands import app
from connectors.handover import connect_config
from connectors.native_offsets import set_native
from connectors.offsets import read_offsets
from connectors.retire import write_record
from tests.stack.connect import ConnectWorker
from tests.stack.kafka import KafkaBroker
from tests.stack.postgres import Database
from tests.support.command_line import Result, run
from tests.support.consume import read_topic
from tests.support.engine import confirmed, pipeline, properties, run_once, running, slot_is_active
from tests.support.waiting import wait_until


class Line:
    """`seam connectors offsets` over the file of one pipeline."""

    def __init__(self, database: Database, kafka: KafkaBroker, name: str, directory: Path) -> None:
        self.database, self.kafka, self.name, self.directory = database, kafka, name, directory
        self.file = directory / "pipeline.json"
        self.config = pipeline(database, kafka.bootstrap, name, snapshot__mode="initial")
        self.properties = properties(database, name, snapshot__mode="initial")
        self.file.write_text(json.dumps({"name": name, "config": self.properties}))

    def offsets(self, *arguments: object) -> Result:
        return run(app, "offsets", *(str(argument) for argument in arguments))

    def native(self, verb: str, *arguments: object) -> Result:
        servers = ["--bootstrap-servers", self.kafka.bootstrap]
        return self.offsets(verb, self.file, *arguments, "--native", *servers, "--output", "json")

    def kept(self, document: object) -> Path:
        path = self.directory / "offsets.json"
        path.write_text(json.dumps(document))
        return path

    def rows(self) -> list[tuple[str, int]]:
        """Operation and id of every record, in the topic's order."""
        records = read_topic(self.kafka.bootstrap, f"{self.name}.public.t")
        values = [json.loads(record.value) for record in records if record.value is not None]
        return [(value["op"], value["after"]["id"]) for value in values]


@pytest.fixture
def line(database: Database, kafka: KafkaBroker, prefix: str, tmp_path: Path) -> Line:
    database.execute("create table t (id int primary key)", "insert into t values (1), (2)")
    return Line(database, kafka, prefix, tmp_path)


def test_a_worker_goes_on_from_the_native_position_and_back(line: Line, connect: ConnectWorker) -> None:
    run_once(line.config)
    line.database.execute("insert into t values (3)")
    run_once(line.config)
    shown = line.native("show").document
    (entry,) = shown["offsets"]
    end = confirmed(line.database, line.name)
    assert entry["partition"] == {"server": line.name}
    assert {entry["offset"][name] for name in ("lsn", "lsn_proc", "lsn_commit")} == {end}

    line.database.execute("insert into t values (4)")
    forced = {
        **connect_config(line.properties, None, "tests"),
        "snapshot.mode": "initial",
    }  # without the offsets it would read 1 to 4
    connect.request("POST", "/connectors", {"name": line.name, "config": forced, "initial_state": "STOPPED"})
    change = line.offsets("set", line.name, line.kept(shown), "--connect-url", connect.url, "--settle", "0.1")
    assert change.code == 0, change.everything
    connect.request("PUT", f"/connectors/{line.name}/resume")
    line.database.execute("insert into t values (5)")
    wait_until(lambda: connect.running(line.name) and ("c", 5) in line.rows(), 40, "row 5 from Debezium")

    connect.request("PUT", f"/connectors/{line.name}/stop")
    wait_until(lambda: not slot_is_active(line.database, line.name), 20, "the worker to leave the slot")
    line.database.execute("insert into t values (6)")
    theirs = line.offsets("show", line.name, "--connect-url", connect.url, "--output", "json").document
    changed = line.native("set", line.kept(theirs)).document
    assert changed["before"][0]["offset"]["lsn"] == end
    assert changed["after"][0]["offset"]["lsn"] == theirs["offsets"][0]["offset"]["lsn_commit"]
    run_once(line.config)
    found = line.rows()
    assert list(dict.fromkeys(found)) == [("r", 1), ("r", 2), *(("c", n) for n in (3, 4, 5, 6))]
    assert found.count(("c", 6)) == 1
    assert len(found) <= 7, "only the transaction in which Debezium was stopped is sent again"


def test_a_position_that_does_not_fit_the_slot_is_refused_and_nothing_is_written(line: Line) -> None:
    run_once(line.config)
    record = read_positions(line.config.kafka)[line.name]

    def set_to(lsn: int, server: str = line.name) -> None:
        entry = {"partition": {"server": server}, "offset": {"lsn": lsn, "lsn_commit": lsn, "messageType": "INSERT"}}
        set_native(line.config, read_offsets(line.kept([entry])))

    with pytest.raises(SlotAhead, match="cannot be read any more"):
        set_to(confirmed(line.database, line.name) - 1)
    with pytest.raises(Exception, match="beyond the end of this server's log"):
        set_to(1 << 60)
    with pytest.raises(ConfigError, match="somebody"):
        set_to(int(record.end_lsn), "somebody")
    with running(line.config, line.database), pytest.raises(SlotInUse, match="read from by process"):
        set_to(int(record.end_lsn))
    assert read_positions(line.config.kafka)[line.name].made == record.made


def test_a_pipeline_without_a_position_has_no_offsets(line: Line) -> None:
    assert line.native("show").document == {"connector": line.name, "offsets": []}
    run_once(line.config)
    write_record(line.config, None)
    assert line.native("show").document["offsets"] == []


def test_what_only_the_native_engine_reads_is_said_to_be_so(line: Line) -> None:
    refused = line.offsets("show", line.file, "--only", "a", "--connect-url", "http://127.0.0.1:1")
    assert refused.code == 2
    assert "--native" in refused.everything
