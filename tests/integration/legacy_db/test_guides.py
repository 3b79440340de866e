"""What the guides show is what happens: their file and their commands, in order."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.support.migration import Migration, schema_dump, seam

DOCS = Path(__file__).resolve().parents[3] / "docs"


def _blocks(document: str, language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", (DOCS / document).read_text(), re.DOTALL)


def _here(text: str, migration: Migration) -> str:
    """The guide's names replaced by this test's."""
    legacy, target = migration.legacy, migration.target
    return (
        text.replace("localhost:9092", migration.bootstrap)
        .replace("postgres@localhost:5432/desk", f"postgres@127.0.0.1:{target.server.port}/{target.name}")
        .replace('"localhost"', '"127.0.0.1"').replace('"5432"', f'"{legacy.server.port}"')
        .replace('"legacy"', f'"{legacy.name}"').replace('"desk"', f'"{migration.name}"')
    )  # fmt: skip


def _commands(document: str) -> list[tuple[list[str], int]]:
    """Each command's words, and the exit code that the guide promises."""
    found = []
    for line in "".join(_blocks(document, "sh")).splitlines():
        command, _, comment = line.partition("#")
        code = re.search(r"exit (\d)", comment)
        found.append((command.split()[1:], int(code[1]) if code else 0))
    return found


def _file(migration: Migration, *, accepted: bool) -> None:
    """Write the guide's file, with the slice as it is described first or as it is accepted."""
    whole, entry = (_here(block, migration) for block in _blocks("migration.md", "toml"))
    migration.file.write_text(whole[: whole.index("[slices.")] + entry if accepted else whole)


def _run(document: str, migration: Migration) -> list[str]:
    """Run a guide's commands; what they wrote."""
    output = []
    for words, code in _commands(document):
        output.append(seam(*words, expect=code).stdout)
        if code:
            _file(migration, accepted=True)
    return output


def test_the_guide_to_migrations_does_what_it_says(migration: Migration, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir(migration.file.parent)
    _file(migration, accepted=False)
    before = schema_dump(migration.legacy)
    output = _run("migration.md", migration)
    assert len(output) > 12
    assert "<svg" in (migration.file.parent / "report.html").read_text()
    assert any("FOREIGN KEY" in text for text in output)
    assert migration.status()["state"] == "discovered"
    assert schema_dump(migration.legacy) == before


def test_the_guide_to_verification_does_what_it_says(migration: Migration, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir(migration.file.parent)
    _file(migration, accepted=True)
    migration.to("projected")
    output = _run("verify.md", migration)
    assert len(output) > 5
    assert any('"snapshot_age_seconds"' in text for text in output)
