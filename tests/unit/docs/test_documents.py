"""What the documents say is what the code does."""

from __future__ import annotations

import json
import re
import shlex
import tomllib
from pathlib import Path

import pytest
import typer

from cdc.properties import load
from connectors.postgres import read
from connectors.reference import options_page
from views.options import read_view

ROOT = Path(__file__).resolve().parents[3]
DOCUMENTS = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]


def test_the_options_page_is_generated_from_the_declarations():
    assert (ROOT / "docs/reference/options.md").read_text() == options_page(), "run `make docs`"


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_links_between_documents_lead_somewhere(document):
    for target in re.findall(r"\]\(([^)#\s]+)(?:#[^)]*)?\)", document.read_text()):
        if not target.startswith(("http://", "https://")):
            assert (document.parent / target).exists(), f"{document.name} links to {target}"


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_json_and_toml_that_documents_show_can_be_read(document):
    text = document.read_text()
    for block in re.findall(r"```json\n(.*?)```", text, re.DOTALL):
        if "..." not in block:
            json.loads(block)
    for block in re.findall(r"```toml\n(.*?)```", text, re.DOTALL):
        tomllib.loads(block)


def test_the_pipeline_of_the_readme_is_a_pipeline(tmp_path):
    text = (ROOT / "README.md").read_text()
    block = next(b for b in re.findall(r"```json\n(.*?)```", text, re.DOTALL) if "connector.class" in b)
    file = tmp_path / "orders.json"
    file.write_text(block)
    name, properties = load(file).connector()
    config = read(name, properties, bootstrap_servers="localhost:9092", environ={"PGPASSWORD": "secret"})
    assert config.name == "orders"
    assert not config.findings


def test_the_views_of_the_guide_are_views(tmp_path):
    text = (ROOT / "docs/views.md").read_text()
    (block,) = re.findall(r"```toml\n(.*?)```", text, re.DOTALL)
    file = tmp_path / "seam.toml"
    file.write_text(block)
    loaded = load(file)
    kinds = [read_view(loaded, name).kind for name in sorted(loaded.views)]
    assert kinds == ["sqlite", "sqlite", "memory", "rocksdb"]


@pytest.mark.parametrize("guide", ["views.md", "read-your-writes.md"])
def test_the_commands_of_the_guides_are_parsed_as_they_stand(guide):
    import cli

    root = typer.main.get_command(cli.app)
    lines = [
        line
        for block in re.findall(r"```sh\n(.*?)```", (ROOT / "docs" / guide).read_text(), re.DOTALL)
        for line in block.splitlines()
        if line.startswith("seam ")
    ]
    assert lines
    for line in lines:
        _, name, *arguments = shlex.split(line)
        context = root.make_context("seam", [name, *arguments], resilient_parsing=True)
        command = root.get_command(context, name)
        if hasattr(command, "get_command"):
            sub, *arguments = arguments
            command = command.get_command(context, sub)
            assert command is not None, f"{guide}: there is no `seam {name} {sub}`"
        command.make_context(name, list(arguments), parent=context)


def test_every_command_that_documents_show_exists():
    from cli import _COMMANDS

    shown = set()
    for document in DOCUMENTS:
        for block in re.findall(r"```(?:sh|bash|console)\n(.*?)```", document.read_text(), re.DOTALL):
            shown |= set(re.findall(r"^\$?\s*seam ([a-z]+)", block, re.MULTILINE))
    assert shown
    assert shown <= set(_COMMANDS), f"documents show {sorted(shown - set(_COMMANDS))}"
