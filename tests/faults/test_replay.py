"""What is sent again after a restart ends where it ended before, however often the restarts are cut short."""

from __future__ import annotations

from tests.support.engine import EngineProcess, confirmed, pipeline, properties, run_once
from tests.support.fold import events, fold_rows, rows_of

_ROWS = 3000
_KILLED = -9


def test_a_kill_while_changes_are_sent_again_leaves_no_older_value_last(database, kafka, prefix, tmp_path):
    # 1. Kafka holds both updates and the position behind them, but the slot was not told. 2. The first update is sent
    # again, and the process dies before the second. Had the slot been told the recorded position meanwhile, the second
    # would never come, and the topic would end with the older values.
    database.execute(
        "create table item (id int primary key, version int)",
        f"insert into item select n, 0 from generate_series(1, {_ROWS}) n",
    )
    config = properties(database, prefix)
    run_once(pipeline(database, kafka.bootstrap, prefix))
    start = confirmed(database, prefix)
    database.execute("update item set version = 1", "update item set version = 2")
    for failpoint in ("position acknowledged:1", "begin received:2"):
        with EngineProcess(database, kafka.bootstrap, config, tmp_path, failpoint=failpoint) as engine:
            assert engine.ended() == _KILLED
    assert confirmed(database, prefix) == start
    run_once(pipeline(database, kafka.bootstrap, prefix))
    found = events(kafka.bootstrap, f"{prefix}.public.item")
    assert len([each for each in found if each.after["version"] == 1]) > _ROWS, "nothing was sent again"
    assert fold_rows(found) == rows_of(database, "item")
