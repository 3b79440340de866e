"""kill -9 of an engine that writes a latest topic in step: a read_committed reader sees both topics alike, always."""

from __future__ import annotations

from tests.support.consume import Record, read_topic
from tests.support.engine import pipeline, properties, run_once
from tests.support.fold import events
from tests.support.versions import faults, table, writers

KILLED = -9
ROWS = 800


def by_partition(records: list[Record]) -> dict[int, list[tuple]]:
    found: dict[int, list[tuple]] = {}
    for record in records:
        found.setdefault(record.partition, []).append((record.key, record.value))
    return found


def test_three_kills_leave_history_and_latest_alike(database, kafka, prefix, start_process):
    database.execute(*table(ROWS))
    options = {
        "exactly__once__support": "required", "seam__topic__latest": "transaction", "snapshot__mode": "initial",
        "topic__creation__default__partitions": "3",
    }  # fmt: skip
    topic = f"{prefix}.public.item"
    run_once(pipeline(database, kafka.bootstrap, prefix, **options))
    seen = 0
    with writers(database, ROWS):
        for failpoint in ("produced, not committed:2", "committed, not acknowledged:2", "commit received:40"):
            engine = start_process(
                database, kafka.bootstrap, properties(database, prefix, **options), wait=False, failpoint=failpoint
            )
            assert engine.ended(90) == KILLED, engine.output()
            history = by_partition(read_topic(kafka.bootstrap, topic))
            assert history == by_partition(read_topic(kafka.bootstrap, f"{topic}.latest"))
            now = sum(map(len, history.values()))
            assert now >= seen
            seen = now
    run_once(pipeline(database, kafka.bootstrap, prefix, **options))
    found = events(kafka.bootstrap, f"{topic}.latest")
    assert len(found) > seen
    assert faults(found, database) == []
