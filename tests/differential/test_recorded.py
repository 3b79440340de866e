"""The native engine in strict mode writes what Debezium once wrote for the same script, here without a JVM."""

from __future__ import annotations

from dataclasses import replace

from tests.differential import golden
from tests.differential.canonical import canonical, renumbered
from tests.differential.capture import by_seam, prepare
from tests.differential.compare import check_equal
from tests.differential.script import Script
from tests.stack.postgres import Database


def test_the_engine_writes_what_debezium_wrote(recorded_script: Script, mock_kafka: str, database: Database) -> None:
    theirs = golden.read(recorded_script)
    case = prepare(recorded_script, database, ("seam",))
    ours = renumbered(canonical(by_seam(case, mock_kafka, manage_topics=False)))
    # The mock broker has its own number of partitions; it keeps the order of each key, and so of each topic's record.
    check_equal(recorded_script.name, *([replace(record, partition=0) for record in side] for side in (theirs, ours)))
