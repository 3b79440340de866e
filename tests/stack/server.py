"""A server process of the tests: started in a directory of its own, watched, stopped, killed or frozen."""

from __future__ import annotations

import contextlib
import pwd
import shutil
import signal
import subprocess
import time
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Self

from cdc.postgres.owned_process import start_owned
from tests.stack.maven import kafka_jars
from tests.stack.missing import java

HOST = "127.0.0.1"


class Server(ABC):
    """One process that can be ended and started again on its ports and its data.

    Args:
        directory: Its own; made here, removed by whoever gave it.
    """

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        directory.mkdir(parents=True, exist_ok=True)
        self.log = directory / "log"
        self._process: subprocess.Popen[bytes] | None = None

    name = "server"
    start_deadline = 60.0
    stop_deadline = 30.0
    _account: pwd.struct_passwd | None = None

    @abstractmethod
    def _command(self) -> Sequence[str]: ...

    @abstractmethod
    def _answers(self) -> bool:
        """Whether it does its work; called again and again after the start."""

    def _environment(self) -> Mapping[str, str] | None:
        return None

    def _prepare(self) -> None:  # noqa: B027 - most have nothing to prepare
        """What has to be there before the first start."""

    @property
    def pid(self) -> int | None:
        """Its process id while it runs."""
        return self._process.pid if self._process is not None and self._process.poll() is None else None

    def start(self) -> None:
        """Start it and wait until it answers; nothing if it runs."""
        if self.pid is not None:
            return
        self._prepare()
        self._process = start_owned(
            self._command(),
            log=self.log,
            directory=self.directory,
            environment=self._environment(),
            account=self._account,
        )
        end = time.monotonic() + self.start_deadline
        while not self._answers():
            if self.pid is None or time.monotonic() > end:
                state = "ended" if self.pid is None else f"did not answer within {self.start_deadline:g} s"
                self.kill()
                raise RuntimeError(f"{self.name} {state} after its start; the end of {self.log}:\n{self.tail()}")
            time.sleep(0.02)

    def stop(self) -> None:
        """SIGTERM, and wait for its end."""
        if self._process is None:
            return
        self._process.terminate()
        try:
            self._process.wait(self.stop_deadline)
        except subprocess.TimeoutExpired:
            self.kill()
            raise RuntimeError(f"{self.name} did not end within {self.stop_deadline:g} s of SIGTERM") from None

    def kill(self) -> None:
        """SIGKILL: it gets no chance to write anything."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()

    def restart(self) -> None:
        """Stop and start: the same ports, the same data."""
        self.stop()
        self.start()

    def freeze(self) -> None:
        """SIGSTOP: its connections stay open and nothing answers."""
        assert self._process is not None
        self._process.send_signal(signal.SIGSTOP)

    def thaw(self) -> None:
        """SIGCONT."""
        assert self._process is not None
        self._process.send_signal(signal.SIGCONT)

    def close(self) -> None:
        """End it, kindly only where that is quick, and remove its directory."""
        self.kill()
        shutil.rmtree(self.directory, ignore_errors=True)

    def tail(self, lines: int = 30) -> str:
        """The end of its output."""
        with contextlib.suppress(OSError):
            return "\n".join(self.log.read_text(errors="replace").splitlines()[-lines:])
        return ""

    def __enter__(self) -> Self:
        try:
            self.start()
        except BaseException:
            self.close()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()


_LOG4J = """\
status = error
appender.console.type = Console
appender.console.name = console
appender.console.layout.type = PatternLayout
appender.console.layout.pattern = %d %p %c %m%n
rootLogger.level = info
rootLogger.appenderRef.console.ref = console
"""


def java_command(
    directory: Path, main: Sequence[str], *, heap: str, quick_start: bool = True, options: Sequence[str] = ()
) -> list[str]:
    """The command line of a JVM that leaves nothing outside of its directory.

    Args:
        directory: For its temporary files.
        main: Class and arguments, or `-jar` and so on.
        heap: Its maximum, as in `512m`.
        quick_start: Halves the cost of a start and slows long runs: for tests, not for benchmarks.
        options: More options.
    """
    temporary = directory / "tmp"
    temporary.mkdir(exist_ok=True)
    quick = ["-XX:TieredStopAtLevel=1", "-XX:+UseSerialGC", "-Xshare:auto"] if quick_start else []
    return [java(), f"-Xmx{heap}", *quick, "-XX:-UsePerfData", f"-Djava.io.tmpdir={temporary}", *options, *main]


def kafka_command(
    directory: Path,
    main: Sequence[str],
    *,
    heap: str,
    quick_start: bool = True,
    options: Sequence[str] = (),
    jars: Sequence[Path] = (),
) -> list[str]:
    """A JVM on Kafka's class path and further directories of jars, logging to its standard output."""
    logging = directory / "log4j2.properties"
    logging.write_text(_LOG4J)
    more = [f"-Dlog4j2.configurationFile={logging}", *options]
    more += ["-cp", ":".join(f"{path}/*" for path in [kafka_jars(), *jars])]
    return java_command(directory, main, heap=heap, quick_start=quick_start, options=more)
