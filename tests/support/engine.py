"""The native engine under test: in a thread of this process, or in a process of its own that may be killed."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, Self

from cdc.postgres.embedded import HOST, SUPERUSER
from cdc.report import Finding
from connectors.postgres import PipelineConfig, read
from connectors.worker import Worker
from tests.stack.postgres import Database
from tests.support.processes import REPOSITORY
from tests.support.waiting import wait_until


def properties(database: Database, name: str, **more: str) -> dict[str, str]:
    """A configuration file's content; in the names of `more`, `__` stands for a dot."""
    return {
        "connector.class": "io.debezium.connector.postgresql.PostgresConnector",
        "topic.prefix": name,
        "database.hostname": HOST,
        "database.port": str(database.server.port),
        "database.user": SUPERUSER,
        "database.dbname": database.name,
        "slot.name": name,
        "publication.name": name,
        "table.include.list": r"public\..*",
        "snapshot.mode": "no_data",
        "key.converter.schemas.enable": "false",
        "value.converter.schemas.enable": "false",
        **{key.replace("__", "."): value for key, value in more.items()},
    }


def pipeline(database: Database, bootstrap: str, name: str, **more: str) -> PipelineConfig:
    return read(name, properties(database, name, **more), bootstrap_servers=bootstrap)


def run_once(config: PipelineConfig) -> Worker:
    """Deliver all that is committed now, in this thread."""
    worker = Worker(config, lambda _finding: None)
    worker.run(once=True)
    return worker


class RunningEngine:
    """The engine in a thread.

    Attributes:
        findings: What it said.
        error: What ended it, None while it runs and after a stop.
    """

    def __init__(self, config: PipelineConfig, database: Database, *, once: bool = False) -> None:
        self.config = config
        self.database = database
        self.findings: list[Finding] = []
        self.error: BaseException | None = None
        self.worker = Worker(config, self.findings.append)
        self._thread = threading.Thread(target=self._run, args=[once], name="engine", daemon=True)
        self._thread.start()

    def _run(self, once: bool) -> None:
        try:
            self.worker.run(once=once)
        except BaseException as error:
            self.error = error

    @property
    def running(self) -> bool:
        return self._thread.is_alive()

    def raise_error(self) -> None:
        if self.error is not None:
            raise self.error

    def streaming(self, deadline: float = 20.0) -> None:
        """Wait until its slot is read."""

        def active() -> bool:
            self.raise_error()
            return slot_is_active(self.database, self.config.wanted.slot)

        wait_until(active, deadline, f"the slot to become active; it said {self.findings}")

    def caught_up(self, deadline: float = 30.0) -> None:
        """Wait until all that is committed now is acknowledged."""
        target = current_lsn(self.database)

        def reached() -> bool:
            self.raise_error()
            return confirmed(self.database, self.config.wanted.slot) >= target

        wait_until(reached, deadline, f"the slot to reach {target}")

    def ended(self, deadline: float = 30.0) -> BaseException:
        """Wait until it has given up; the error."""
        self._thread.join(deadline)
        assert not self.running, f"the engine still runs after {deadline:g} s"
        assert self.error is not None, "the engine ended without an error"
        return self.error

    def stop(self, deadline: float = 40.0) -> None:
        """Stop it as SIGTERM does, and see that it ended well."""
        self.worker.stop.set()
        self._thread.join(deadline)
        assert not self.running, f"the engine still runs {deadline:g} s after its stop"
        self.raise_error()

    def leave(self) -> None:
        """Stop it whatever it did."""
        self.worker.stop.set()
        self._thread.join(60)


@contextlib.contextmanager
def running(config: PipelineConfig, database: Database) -> Iterator[RunningEngine]:
    """The engine streams when the block begins; the block may have stopped it at its end."""
    engine = RunningEngine(config, database)
    try:
        engine.streaming()
        yield engine
    finally:
        engine.leave()


class EngineProcess:
    """The engine in a process of its own.

    Args:
        database: Its source.
        bootstrap: Kafka.
        config: Its configuration file's content.
        directory: For that file and its output.
        failpoint: The step where it kills itself, as in `status sent:3`.
    """

    def __init__(
        self,
        database: Database,
        bootstrap: str,
        config: Mapping[str, str],
        directory: Path,
        *,
        failpoint: str = "",
        once: bool = False,
        environment: Mapping[str, str] | None = None,
    ) -> None:
        self.database = database
        self.slot = config["slot.name"]
        name = config["topic.prefix"]
        file = directory / f"{name}.json"
        file.write_text(json.dumps({"name": name, "config": dict(config)}))
        self.log = directory / f"{name}.log"
        command = [sys.executable, "-m", "cli", "run", str(file), "--bootstrap-servers", bootstrap]
        with self.log.open("ab") as output:
            self.process = subprocess.Popen(
                [*command, *(["--once"] if once else [])],
                cwd=REPOSITORY,
                env={**os.environ, **(environment or {}), "SEAM_FAILPOINT": failpoint},
                stdout=output,
                stderr=output,
            )

    @property
    def pid(self) -> int:
        return self.process.pid

    @property
    def running(self) -> bool:
        return self.process.poll() is None

    def output(self) -> str:
        return self.log.read_text(errors="replace")

    def _check(self) -> None:
        assert self.running, f"the engine ended with {self.process.returncode}:\n{self.output()}"

    def streaming(self, deadline: float = 20.0) -> None:
        def active() -> bool:
            self._check()
            return slot_is_active(self.database, self.slot)

        wait_until(active, deadline, "the slot to become active")

    def caught_up(self, deadline: float = 30.0) -> None:
        target = current_lsn(self.database)

        def reached() -> bool:
            self._check()
            return confirmed(self.database, self.slot) >= target

        wait_until(reached, deadline, f"the slot to reach {target}; output:\n{self.output()}")

    def signal(self, number: signal.Signals) -> None:
        self.process.send_signal(number)

    def ended(self, deadline: float = 30.0) -> int:
        """Wait for its end; its exit code, or the negative number of the signal that killed it."""
        return self.process.wait(deadline)

    def kill(self) -> None:
        self.process.kill()
        self.process.wait()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.kill()


def slot_row(database: Database, slot: str) -> dict[str, Any]:
    with database.connect() as connection:
        cursor = connection.execute(
            "select active, coalesce(confirmed_flush_lsn - '0/0', 0)::int8 as confirmed, wal_status "
            "from pg_replication_slots where slot_name = %s",
            [slot],
        )
        row = cursor.fetchone()
        assert cursor.description is not None
        return dict(zip([column.name for column in cursor.description], row, strict=True)) if row else {}


def slot_is_active(database: Database, slot: str) -> bool:
    return bool(slot_row(database, slot).get("active"))


def confirmed(database: Database, slot: str) -> int:
    """`confirmed_flush_lsn` as a number; 0 without a slot."""
    return int(slot_row(database, slot).get("confirmed", 0))


def current_lsn(database: Database) -> int:
    """The end of the log, as a number."""
    return int(str(database.value("select (pg_current_wal_insert_lsn() - '0/0')::int8")))


KILLED = -signal.SIGKILL


def run_into(
    start: Callable[..., EngineProcess],
    database: Database,
    bootstrap: str,
    config: Mapping[str, str],
    failpoint: str | float,
    *,
    deadline: float = 30.0,
) -> None:
    """Let the engine be killed at a failpoint, or after that many seconds of streaming.

    Args:
        start: The fixture `start_process`.
        database: Its source.
        bootstrap: Kafka.
        config: Its configuration file's content.
        failpoint: The failpoint, or seconds.
        deadline: Seconds in which it must have come to the failpoint.
    """
    if isinstance(failpoint, float):
        engine = start(database, bootstrap, config)
        time.sleep(failpoint)  # not a condition: the moment of the kill is what is random
        engine.kill()
    else:
        engine = start(database, bootstrap, config, wait=False, failpoint=failpoint)
        assert engine.ended(deadline) == KILLED, f"{failpoint}: {engine.output()}"
