"""The native engine in strict mode writes what Debezium once wrote for the same script, here without a JVM."""

from __future__ import annotations

from dataclasses import replace

from tests.differential import golden
from tests.differential.canonical import Canonical, canonical, renumbered
from tests.differential.capture import by_seam, prepare
from tests.differential.compare import check_equal
from tests.differential.script import Script
from tests.stack.postgres import Database


def test_the_engine_writes_what_debezium_wrote(recorded_script: Script, mock_kafka: str, database: Database) -> None:
    theirs = golden.read(recorded_script)
    case = prepare(recorded_script, database, ("seam",))
    ours = renumbered(canonical(by_seam(case, mock_kafka, manage_topics=False)))
    check_equal(recorded_script.name, _by_key(theirs), _by_key(ours), live=False)


def _by_key(records: list[Canonical]) -> list[Canonical]:
    """Records in the order of their keys: the mock broker has partitions of its own, and keeps the order of each key."""
    ordered = sorted(
        records, key=lambda record: (record.key is None, record.key or record.value or "", _is_end(record))
    )
    return [replace(record, partition=0) for record in ordered]


def _is_end(record: Canonical) -> bool:
    # The keys of a transaction's two boundaries differ in strict mode, in the position that is numbered anew.
    return (record.value or "").startswith('{"status":"END"')
