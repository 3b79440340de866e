"""Debezium on a real Connect worker and the native engine in strict mode read the same log and write the same records."""

from __future__ import annotations

import psycopg
import pytest

from tests.differential import golden
from tests.differential.canonical import canonical, renumbered
from tests.differential.capture import by_debezium, by_seam, prepare
from tests.differential.compare import check_equal, without_partitions_of_null_keys
from tests.differential.script import Script
from tests.stack.connect import ConnectWorker
from tests.stack.kafka import KafkaBroker
from tests.stack.postgres import Database


def test_both_engines_write_the_same(
    live_script: Script, kafka: KafkaBroker, connect: ConnectWorker, database: Database, request: pytest.FixtureRequest
) -> None:
    record = request.config.getoption("--record-golden") and not request.config.getoption("--sql-dir")
    _compare(live_script, kafka, connect, database, record=record)


@pytest.mark.soak
def test_both_engines_write_the_same_of_every_script(
    soak_script: Script, kafka: KafkaBroker, connect: ConnectWorker, database: Database
) -> None:
    _compare(soak_script, kafka, connect, database)


def _compare(
    script: Script, kafka: KafkaBroker, connect: ConnectWorker, database: Database, *, record: bool = False
) -> None:
    case = prepare(script, database, ("debezium", "seam"))
    theirs = by_debezium(case, connect, kafka.bootstrap)
    if record:
        golden.write(script, renumbered(canonical(theirs)), _versions(connect, database))
    ours = by_seam(case, kafka.bootstrap, like=theirs)
    both = [canonical(theirs), canonical(ours)]
    if script.partitions > 1:
        both = [without_partitions_of_null_keys(records) for records in both]
    check_equal(script.name, *both, live=True)


def _versions(connect: ConnectWorker, database: Database) -> dict[str, str]:
    plugins = {plugin["class"]: plugin["version"] for plugin in connect.request("GET", "/connector-plugins")}
    with psycopg.connect(database.dsn) as connection:
        postgres = connection.info.parameter_status("server_version")
    return {
        "debezium": plugins["io.debezium.connector.postgresql.PostgresConnector"],
        "connect": connect.request("GET", "/")["version"],
        "postgres": str(postgres),
    }
