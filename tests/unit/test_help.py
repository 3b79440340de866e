"""Every help page shows what its declaration says."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
import typer
from rich.text import Text
from typer.core import TyperGroup

from cli import app


def commands(command: Any, path: str) -> Iterator[tuple[str, Any]]:
    """A command and all below it, by the words that call it."""
    yield path, command
    if isinstance(command, TyperGroup):
        for name in command.list_commands(None):  # type: ignore[arg-type] # the context is not asked
            yield from commands(command.get_command(None, name), f"{path} {name}")  # type: ignore[arg-type] # the context is not asked


ALL = dict(commands(typer.main.get_command(app), "seam"))


def test_the_commands_were_found():
    assert {"seam run", "seam view sql", "seam connectors offsets copy", "seam migrate why-not"} <= set(ALL)


@pytest.mark.parametrize("path", ALL)
def test_no_bracket_of_a_help_text_is_taken_for_colour(path: str):
    command = ALL[path]
    for text in [command.help, *(getattr(parameter, "help", None) for parameter in command.params)]:
        if text:
            shown = Text.from_markup(text).plain
            assert shown == text.replace("\\[", "["), f"{text!r} is shown as {shown!r}: write \\[ for a bracket"
