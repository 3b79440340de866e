"""The demonstration's story is the real thing on embedded parts, and ends as it says."""

from __future__ import annotations

import cli
from legacy_db.demo_commands import PROOFS
from tests.support.command_line import run


def test_the_story_refuses_finds_mends_and_leaves_no_trace():
    summary = run(cli.app, "demo", "--story", "migration", "--output", "json").document
    assert summary["refused"] == "plan: its gate is closed:"
    assert summary["found"] == ["FOREIGN_WRITE", "ROW_LOST"]
    assert summary["mended"]
    assert summary["catalogue_as_before"]
    assert summary["legacy_failures"] == 0
    assert summary["transactions"] > 10
    assert len(summary["proven"]) == PROOFS
    assert summary["seconds"] < 120


def test_a_story_that_nobody_knows_is_refused():
    refused = run(cli.app, "demo", "--story", "migraton")
    assert refused.code == 2
    assert "did you mean" in refused.everything
