"""Runs a typer application as the command line would, and keeps what it wrote."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

import typer
from typer.testing import CliRunner

from cdc.errors import SeamError


@dataclass(frozen=True)
class Result:
    """How a command ended.

    `code` is the exit code, `error` the error that ended it.
    """

    code: int
    out: str
    err: str
    error: SeamError | None

    @property
    def document(self) -> Any:
        """Standard output, which is exactly one JSON document."""
        return json.loads(self.out)

    @property
    def everything(self) -> str:
        """All that a person could have seen."""
        hint = (self.error.hint or "") if self.error else ""
        return f"{self.out}\n{self.err}\n{self.error}\n{hint}"


def run(app: typer.Typer, *arguments: str, answers: str | None = None) -> Result:
    """Run a command; an error that is not ours goes to the caller."""
    result = CliRunner().invoke(app, [str(argument) for argument in arguments], input=answers)
    error = result.exception
    if isinstance(error, SeamError):
        return Result(error.exit_code, result.stdout, result.stderr, error)
    if error is not None and not isinstance(error, SystemExit):
        raise error
    return Result(result.exit_code, result.stdout, result.stderr, None)
