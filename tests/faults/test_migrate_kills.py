"""Killed at any line, a migration goes on where it was, or goes back without a trace; the legacy never notices."""

from __future__ import annotations

import random
import signal
import subprocess
import sys
import time
from typing import Any

import pytest

from legacy_db.sample.load import Load
from tests.support.consume import topics
from tests.support.migration import KILLED, Migration, schema_dump, seam_json
from tests.support.processes import REPOSITORY

_FORTH = (
    "plan: intended", "plan: designed", "plan: revision written", "plan: done", "plan: confirmed",
    "capture: intended", "capture: identities set", "capture: publication stands", "capture: slot stands",
    "capture: position recorded", "capture: done", "capture: confirmed", "bootstrap: intended", "bootstrap: asked for",
    "bootstrap: rows read", "bootstrap: done", "project: intended", "project: schema created", "project: caught up",
    "project: done", "verify: intended", "verify: first hop", "verify: compared", "verify: done",
)  # fmt: skip
_BACK = (
    "undo verify: intended", "undo project: intended", "undo project: schema dropped", "undo project: done",
    "undo bootstrap: intended", "undo bootstrap: topics deleted", "undo bootstrap: done", "undo capture: intended",
    "undo capture: position taken back", "undo capture: slot dropped", "undo capture: publication dropped",
    "undo capture: done", "undo plan: intended", "undo plan: done",
)  # fmt: skip
_QUICK = ("capture: slot stands", "project: schema created", "undo capture: slot dropped")


def _marked(boundaries: tuple[str, ...]) -> list[Any]:
    return [pytest.param(one, marks=() if one in _QUICK else pytest.mark.soak) for one in boundaries]


@pytest.mark.parametrize("boundary", _marked(_FORTH))
def test_a_kill_at_a_boundary_of_the_way_forth_costs_nothing(migration: Migration, boundary: str):
    before = schema_dump(migration.legacy)
    with Load(migration.legacy.dsn, writers=4, pause=0.2, schema_changes=False) as load:
        migration.migrate("advance", "--to", "verified", failpoint=boundary, expect=KILLED)
        migration.to("verified")
        assert seam_json("verify", str(migration.file), "service")["equal"]
        migration.back()
    assert load.tally.failures == []
    assert schema_dump(migration.legacy) == before


@pytest.mark.parametrize("boundary", _marked(_BACK))
def test_a_kill_at_a_boundary_of_the_way_back_costs_nothing(migration: Migration, boundary: str):
    before = schema_dump(migration.legacy)
    migration.to("verified")
    migration.migrate("undo", "--to", "discovered", "--yes", failpoint=boundary, expect=KILLED)
    migration.back()
    assert schema_dump(migration.legacy) == before
    assert topics(migration.bootstrap, migration.name) == []
    assert migration.target.rows("select 1 from pg_tables where schemaname in ('service', 'seam')") == []


@pytest.mark.soak
@pytest.mark.parametrize("part", range(5))
def test_ten_of_fifty_kills_at_random_moments_cost_nothing(migration: Migration, part: int):
    seed = time.time_ns()
    print(f"part {part}, seed {seed}")
    chance = random.Random(seed)
    before = schema_dump(migration.legacy)
    forth = ["advance", str(migration.file), "service", "--to", "verified"]
    back = ["undo", str(migration.file), "service", "--to", "discovered", "--yes"]
    kills = 0
    with Load(migration.legacy.dsn, pause=0.2, schema_changes=False) as load:
        while kills < 10:
            process = subprocess.Popen(
                [sys.executable, "-m", "cli", "migrate", *chance.choice((forth, forth, back))],
                cwd=REPOSITORY, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
            )  # fmt: skip
            try:
                process.wait(chance.uniform(0.5, 12))
            except subprocess.TimeoutExpired:
                process.send_signal(signal.SIGKILL)
                kills += 1
                process.wait()
        migration.back()
        migration.to("verified")
        assert seam_json("verify", str(migration.file), "service")["equal"]
        migration.back()
    assert load.tally.failures == []
    assert schema_dump(migration.legacy) == before
