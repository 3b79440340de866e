"""A pipeline and a slice under test: their file, their bridge, and the command line."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import orjson

import cli
from connectors.postgres import PipelineConfig
from connectors.worker import Worker
from legacy_db.bridge import Bridge
from legacy_db.context_commands import make_bridge
from legacy_db.sample.wholesaler import SERVICE_TABLES
from legacy_db.shape import TableShape, published_tables, read_shape
from legacy_db.verify import LegacyVerification
from legacy_db.verify_model import HopResult, Options
from tests.stack.postgres import Database, installation
from tests.support.command_line import run
from tests.support.engine import properties
from tests.support.processes import REPOSITORY
from tests.support.waiting import wait_until


def bridge_of(config: PipelineConfig) -> Bridge:
    """A pipeline as legacy_db sees it."""

    def run(stop: threading.Event, once: bool, _rows: bool) -> None:
        worker = Worker(config, lambda _finding: None)
        worker.stop = stop
        worker.run(once=once)

    return make_bridge(config, run)


def shapes_of(bridge: Bridge, *tables: str) -> list[TableShape]:
    """The published tables, or those of them that are named."""
    catalog = bridge.catalog()
    try:
        types = catalog.types()
        found = published_tables(catalog, bridge)
        return [read_shape(catalog, bridge, t, m, types) for t, m in found.items() if not tables or t in tables]
    finally:
        catalog.connection.close()


def compare(bridge: Bridge, *tables: str, **options: Any) -> HopResult:
    """Compare the legacy tables with their topics."""
    return LegacyVerification(bridge, shapes_of(bridge, *tables), Options(**options)).run()


def seam_toml(
    path: Path,
    database: Database,
    bootstrap: str,
    name: str,
    slices: Mapping[str, Mapping[str, Any]],
    **more: str,
) -> Path:
    """Write a file with one connector and its slices."""
    lines = ["[worker]", f'"bootstrap.servers" = "{bootstrap}"', f"[connectors.{name}]"]
    lines += [f'"{key}" = {orjson.dumps(value).decode()}' for key, value in properties(database, name, **more).items()]
    for slice_name, entry in slices.items():
        lines.append(f"[slices.{slice_name}]")
        plain = {key: value for key, value in entry.items() if not isinstance(value, dict)}
        lines += [f"{key} = {orjson.dumps(value).decode()}" for key, value in plain.items()]
        for key in entry.keys() - plain.keys():
            lines.append(f"[slices.{slice_name}.{key}]")
            lines += [f'"{name}" = {orjson.dumps(value).decode()}' for name, value in entry[key].items()]
    path.write_text("\n".join(lines) + "\n")
    return path


class Ended(Exception):
    """A command ended with another exit code than expected."""


@dataclass(frozen=True)
class Done:
    """How a command ended: exit code, and what it wrote."""

    returncode: int
    stdout: str
    stderr: str


def seam(
    *arguments: str, expect: int | None = 0, failpoint: str = "", apart: bool = False, timeout: float = 120.0
) -> Done:
    """Run a command; in a process of its own when `apart`, or where a failpoint kills it. `expect` is its exit code, None for any."""
    done = _in_process(arguments, failpoint, timeout) if failpoint or apart else _here(arguments)
    if expect is not None and done.returncode != expect:
        raise Ended(f"seam {' '.join(arguments)} ended with {done.returncode}:\n{done.stdout}\n{done.stderr}")
    return done


def _here(arguments: Sequence[str]) -> Done:
    """As the process would do it, without the second that a process takes to begin."""
    result = run(cli.app, *arguments)
    error = f"{result.error.code} {result.error.message}\n{result.error.hint or ''}" if result.error else ""
    return Done(result.code, result.out, f"{result.err}\n{error}")


def _in_process(arguments: Sequence[str], failpoint: str, timeout: float) -> Done:
    done = subprocess.run(
        [sys.executable, "-m", "cli", *arguments],
        cwd=REPOSITORY,
        env={**os.environ, "SEAM_MIGRATE_FAILPOINT": failpoint, "COLUMNS": "200", "NO_COLOR": "1"},
        capture_output=True,
        text=True,
        timeout=timeout,
        check=False,
    )
    return Done(done.returncode, done.stdout, done.stderr)


def seam_json(*arguments: str, expect: int = 0) -> Any:
    """Run a command for its JSON document."""
    return orjson.loads(seam(*arguments, "--output", "json", expect=expect).stdout)


KILLED = -signal.SIGKILL


def schema_dump(database: Database) -> list[str]:
    """What pg_dump says of the schema, without the lines that differ from run to run."""
    # Not every installation has the program; a newer one dumps older servers too.
    here = database.server.installation.bin / "pg_dump"
    program = here if here.exists() else installation(18).bin / "pg_dump"
    dump = subprocess.run(
        [str(program), "--schema-only", database.dsn],
        capture_output=True,
        check=True,
    )
    return [line for line in dump.stdout.decode("latin1").splitlines() if "restrict" not in line]


@contextmanager
def serving(file: Path) -> Iterator[subprocess.Popen[bytes]]:
    """`seam run FILE` in a process of its own."""
    process = subprocess.Popen(
        [sys.executable, "-m", "cli", "run", str(file)],
        cwd=REPOSITORY,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
    )
    try:
        yield process
    finally:
        process.terminate()
        try:
            process.wait(40)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        assert process.stderr is not None
        process.stderr.close()


def names_of(hop: HopResult) -> list[str]:
    """The names of all differences."""
    return sorted({name for table in hop.tables for one in table.differences for name in one.names})


def tables_of(document: Mapping[str, Any], hop: str) -> Mapping[str, Any]:
    """Table -> its figures in one hop of a command's document."""
    hops: Sequence[Mapping[str, Any]] = document["hops"]
    return {table["table"]: table for one in hops if one["hop"] == hop for table in one["tables"]}


def streams(migration: Migration) -> None:
    """Wait until somebody reads the pipeline's slot."""
    slot = "select active from pg_replication_slots where slot_name = %s"
    wait_until(lambda: migration.legacy.rows(slot, migration.name) == [(True,)], 60, "the engine to stream")


_SERVICE = {"tables": list(SERVICE_TABLES), "accept_open": True, "accept_loss": True}
_CONNECTOR = {
    "table__include__list": r"service\.(device|technician|ticket|ticket_note|visit)",
    "snapshot__mode": "initial",
    "interval__handling__mode": "string",
    "topic__creation__default__partitions": "2",
    "topic__creation__default__replication__factor": "1",
}


def url_of(database: Database) -> str:
    """A database as SQLAlchemy names it."""
    return f"postgresql://postgres@127.0.0.1:{database.server.port}/{database.name}"


class Migration:
    """One file with one slice of the wholesaler's database."""

    def __init__(self, file: Path, legacy: Database, target: Database, bootstrap: str, name: str) -> None:
        self.file, self.legacy, self.target, self.bootstrap, self.name = file, legacy, target, bootstrap, name

    def write(self, **entry: Any) -> None:
        """Write the file, with other options of the slice."""
        slices = {"service": {**_SERVICE, "target": url_of(self.target), **entry}}
        seam_toml(self.file, self.legacy, self.bootstrap, self.name, slices, **_CONNECTOR)

    def migrate(self, command: str, *more: str, **options: Any) -> Done:
        return seam("migrate", command, str(self.file), "service", *more, **options)

    def status(self) -> Any:
        return seam_json("migrate", "status", str(self.file), "service")

    def to(self, state: str) -> None:
        self.migrate("advance", "--to", state)

    def back(self) -> None:
        self.migrate("undo", "--to", "discovered", "--yes")
