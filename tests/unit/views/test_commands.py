"""What `seam view` refuses before it reaches for a server: exit code 2, and a sentence that says what to do."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.command_line import run
from views.commands import app

FILE = """
[worker]
"bootstrap.servers" = "127.0.0.1:1"
[views.m]
topics = ["shop.public.products"]
[views.r]
kind = "rocksdb"
topics = ["shop.public.products"]
path = "state/r"
"""


@pytest.fixture
def file(tmp_path: Path) -> str:
    (tmp_path / "seam.toml").write_text(FILE)
    return str(tmp_path / "seam.toml")


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (["get", "FILE", "1"], 2, "--only NAME"),
        (["get", "FILE", "1", "--only", "x"], 2, "the file holds m, r"),
        (["search", "FILE", "word", "--only", "m"], 2, 'kind = "sqlite"'),
        (["sql", "FILE", "select 1", "--only", "r"], 2, 'kind = "sqlite"'),
        (["rebuild", "FILE", "--only", "m"], 2, "built anew at every start"),
        (["get", "FILE", "1", "--only", "r"], 4, "seam view run FILE --once"),
    ],
)
def test_what_cannot_be_is_said_at_once(file: str, arguments: list[str], code: int, said: str):
    ended = run(app, *(file if argument == "FILE" else argument for argument in arguments))
    assert (ended.code, said in ended.everything) == (code, True), ended.everything


@pytest.mark.parametrize(
    "arguments", [["get"], ["run"], ["serve", "FILE", "--port", "70000"], ["sql", "FILE"], ["nothing"]]
)
def test_a_call_that_is_none_is_usage(file: str, arguments: list[str]):
    ended = run(app, *(file if argument == "FILE" else argument for argument in arguments))
    assert ended.code == 2
    assert "Usage" in ended.everything


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ('partitions = ["0"]\ntransactions = "shop.transaction"', "does not go with partitions"),
        ('partitions = ["x"]', "neither a partition nor a range"),
        ('memory_limit = "much"', "is not a size as 512MB"),
        ('kind = "rocksdb"', "is required with kind"),
        ('selct = "select 1"', "select"),
    ],
)
def test_a_view_that_cannot_be_is_named_with_its_option(tmp_path: Path, line: str, said: str):
    file = tmp_path / "seam.toml"
    file.write_text(f'[worker]\n"bootstrap.servers" = "127.0.0.1:1"\n[views.v]\ntopics = ["shop.public.a"]\n{line}\n')
    ended = run(app, "status", str(file))
    assert ended.code == 2
    assert "views.v." in ended.everything
    assert said in ended.everything
