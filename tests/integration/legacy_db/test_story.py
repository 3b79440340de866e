"""The demonstration's story is the real thing on embedded parts, and ends as it says."""

from __future__ import annotations

from connectors.console import Output
from legacy_db.demo_commands import migration_story


def test_the_story_refuses_finds_mends_and_leaves_no_trace(capsys):
    summary = migration_story(Output.json, size="test")
    assert summary["refused"] == "plan: its gate is closed:"
    assert summary["found"] == ["FOREIGN_WRITE"]
    assert summary["mended"]
    assert summary["catalogue_as_before"]
    assert summary["legacy_failures"] == 0
    assert summary["transactions"] > 10
    assert summary["seconds"] < 120
