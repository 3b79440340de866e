"""Server processes that end with the process that started them, whatever ends that one.

Linux sends a child its parent-death signal when the *thread* that forked it ends, so every start goes through one
thread that lives as long as this process (prctl(2), PR_SET_PDEATHSIG).
"""

from __future__ import annotations

import contextlib
import os
import pwd
import queue
import shutil
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future
from pathlib import Path
from typing import TypeVar

from cdc.postgres.account import run_as

_T = TypeVar("_T")

# Servers that were just told to end may still write while their directory goes, hence the repetition.
_REMOVE_WITH_OWNER = """
cat >/dev/null
for attempt in 1 2 3 4 5 6 7 8 9 10; do
  rm -rf -- "$1" 2>/dev/null
  test -e "$1" || exit 0
  sleep 0.3
done
"""


def start_owned(
    command: Sequence[str],
    *,
    log: Path,
    directory: Path,
    environment: Mapping[str, str] | None = None,
    account: pwd.struct_passwd | None = None,
    death_signal: signal.Signals = signal.SIGKILL,
) -> subprocess.Popen[bytes]:
    """Start a server in a session of its own, so that a Ctrl-C in the terminal reaches us and not it.

    Args:
        command: Program and arguments.
        log: Gets its standard output and error, appended.
        directory: Its working directory.
        environment: Its whole environment; None hands ours on.
        account: Whom it runs as; None keeps the caller's account.
        death_signal: Sent to it by the kernel when this process is gone (Linux with `setpriv`; elsewhere nothing is).
    """
    setpriv = shutil.which("setpriv")
    guarded = [setpriv, "--pdeathsig", death_signal.name.removeprefix("SIG"), *command] if setpriv else list(command)

    def spawn() -> subprocess.Popen[bytes]:
        with log.open("ab") as output:
            return subprocess.Popen(  # noqa: S603 - the callers pass programs of their own installation
                guarded,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                cwd=directory,
                env=environment,
                start_new_session=True,
                **run_as(account),
            )

    return _launcher().call(spawn)


class RemoveWithOwner:
    """Removes a directory when this process is gone, even after kill -9; `close` is for the ordinary end."""

    def __init__(self, directory: Path) -> None:
        shell = shutil.which("sh") or "/bin/sh"
        self._watcher = subprocess.Popen(  # noqa: S603 - a constant script
            [shell, "-c", _REMOVE_WITH_OWNER, "sh", str(directory)],
            stdin=subprocess.PIPE,  # its end of file is our end
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            cwd="/",
            start_new_session=True,
        )

    def close(self) -> None:
        """Remove the directory now."""
        if self._watcher.stdin is not None:
            self._watcher.stdin.close()
        self._watcher.wait()


def kill_family(process: subprocess.Popen[bytes]) -> None:
    """Kill a server and its children at one moment, and wait until none of them is left."""
    process.send_signal(signal.SIGSTOP)  # so that it starts nobody new while we look
    family = [*_children(process.pid), process.pid]
    for pid in family:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
    process.wait()
    for pid in family:
        _wait_until_gone(pid)


def _children(pid: int) -> list[int]:
    found = []
    for entry in Path("/proc").glob("[0-9]*/stat"):
        try:
            text = entry.read_text()
        except OSError:
            continue  # it ended while we looked
        # pid (name) state ppid ...; the name may hold anything, parentheses too
        if int(text.rpartition(")")[2].split()[1]) == pid:
            found.append(int(entry.parent.name))
    return found


def _wait_until_gone(pid: int, deadline: float = 10.0) -> None:
    end = time.monotonic() + deadline
    while time.monotonic() < end:
        try:
            state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
        except OSError:
            return
        if state in "ZX":  # init has yet to collect it; it holds nothing any more
            return
        time.sleep(0.01)


class _Launcher:
    """One thread that starts all processes and never ends before its process does."""

    def __init__(self) -> None:
        self.owner = os.getpid()
        self._requests: queue.SimpleQueue[Callable[[], None]] = queue.SimpleQueue()
        threading.Thread(target=self._run, name="seam-launcher", daemon=True).start()

    def _run(self) -> None:
        while True:
            self._requests.get()()

    def call(self, function: Callable[[], _T]) -> _T:
        answer: Future[_T] = Future()

        def run() -> None:
            try:
                answer.set_result(function())
            except BaseException as error:  # noqa: BLE001 - it is raised again in the caller's thread
                answer.set_exception(error)

        self._requests.put(run)
        return answer.result()


_lock = threading.Lock()
_current: _Launcher | None = None


def _launcher() -> _Launcher:
    global _current  # noqa: PLW0603 - one per process, like the thread that it stands for
    with _lock:
        if _current is None or _current.owner != os.getpid():  # a forked process has no copy of the thread
            _current = _Launcher()
        return _current
