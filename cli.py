"""The command line: mounts the sub-apps, and turns errors into messages and exit codes in one place.

Exit codes: 0 done, 1 a defect of ours, 2 usage or configuration, 3 an outside system is unavailable after retries,
4 the operator must decide, 5 verification found differences, 6 waited in vain.
"""

from __future__ import annotations

import importlib
import sys
import traceback
from contextlib import AbstractContextManager, nullcontext
from typing import Annotated, Any, Final

import typer
from rich.markup import escape
from typer.core import TyperGroup

from cdc.errors import SeamError
from connectors.additions import CARRIERS, STORIES, Run
from connectors.console import STDERR, STDOUT, Output

# Command -> module and attribute; a module is imported when its command is asked for, so that `seam run` neither waits
# for nor carries what other commands need.
_COMMANDS: Final[dict[str, tuple[str, str]]] = {
    "demo": ("connectors.demo_commands", "demo"),
    "run": ("connectors.pipeline_commands", "run"),
    "check": ("connectors.pipeline_commands", "check"),
    "status": ("connectors.pipeline_commands", "status"),
    "slots": ("connectors.pipeline_commands", "slots"),
    "publications": ("connectors.pipeline_commands", "publications"),
    "connectors": ("connectors.commands", "app"),
    "handover": ("connectors.handover_commands", "handover"),
    "replay": ("connectors.replay_commands", "replay"),
    "log": ("connectors.log_commands", "app"),
    "deadletter": ("connectors.deadletter_commands", "app"),
    "transform": ("connectors.transform_commands", "transform"),
    "debug": ("connectors.debug_commands", "app"),
    "view": ("views.commands", "app"),
    "token": ("views.token_commands", "token"),
    "wait": ("views.token_commands", "wait"),
    "verify": ("legacy_db.verify_commands", "verify"),
    "migrate": ("legacy_db.commands", "app"),
}


def _carry_slices(run: Run) -> AbstractContextManager[Any]:
    """The views of the file's slices; nothing of migrations is imported for a file without any."""
    if not run.slices:
        return nullcontext()
    from legacy_db.carry_commands import carried

    return carried(run)


def _migration_story(output: Output, *, seed: int) -> None:
    from legacy_db.demo_commands import migration_story

    migration_story(output, seed=seed)


CARRIERS.append(_carry_slices)
STORIES["migration"] = _migration_story


class _Commands(TyperGroup):
    """The sub-commands, imported when they are asked for."""

    def list_commands(self, ctx: Any) -> list[str]:
        del ctx
        return list(_COMMANDS)

    def get_command(self, ctx: Any, cmd_name: str) -> Any:
        del ctx
        place = _COMMANDS.get(cmd_name)
        if place is None:
            return None
        found = getattr(importlib.import_module(place[0]), place[1])
        if not isinstance(found, typer.Typer):
            alone = typer.Typer(add_completion=False)
            alone.command(cmd_name)(found)
            found = alone
        command = typer.main.get_command(found)
        command.name = cmd_name
        return command


class _Seam(typer.Typer):
    """The root app: the one table from error to exit code."""

    def __call__(self, *arguments: Any, **more: Any) -> Any:
        try:
            return super().__call__(*arguments, **more)
        except SeamError as error:
            _say(error)
            sys.exit(error.exit_code)
        except BrokenPipeError:
            # The reader of our output went away, as `head` does.
            sys.stderr.close()
            sys.exit(0)
        except Exception as error:  # noqa: BLE001 - everything that is not ours is a defect of ours
            STDERR.print(f"[bold red]a defect of seam[/]: {escape(type(error).__name__)}: {escape(str(error))}")
            STDERR.print(escape("".join(traceback.format_exception(error))), style="dim")
            STDERR.print("please report it with the lines above")
            sys.exit(1)


def _say(error: SeamError) -> None:
    STDERR.print(f"[bold red]{error.code}[/] {escape(error.message)}")
    if error.hint:
        STDERR.print(f"[dim]{escape(error.hint)}[/]")


app = _Seam(
    cls=_Commands,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    add_completion=False,
    help="Change data capture and legacy migration: Postgres to Kafka in Debezium's format, without a JVM.",
)


def _version(wanted: bool) -> None:
    if wanted:
        from importlib.metadata import PackageNotFoundError, version

        import confluent_kafka
        from psycopg import pq

        try:
            ours = version("seam-cdc")
        except PackageNotFoundError:
            ours = "not installed"
        STDOUT.print(
            f"seam {ours}, librdkafka {confluent_kafka.libversion()[0]}, libpq {pq.version()}, "
            f"Python {sys.version.split()[0]}"
        )
        raise typer.Exit


@app.callback()
def _root(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Versions, and leave.")
    ] = False,
) -> None:
    """Change data capture and legacy migration: Postgres to Kafka in Debezium's format, without a JVM."""


if __name__ == "__main__":
    app()
