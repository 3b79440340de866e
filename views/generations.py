"""A stored view's directory: one store that readers use, and now and then a second one that is being built.

path/CURRENT        the number of the store that is read
path/3/             that store
path/4/             the next one, while it is built
path/LOCK           held by the process that keeps the view up to date
path/REBUILD        asks that process for a new store
"""

from __future__ import annotations

import fcntl
import os
import shutil
from pathlib import Path
from typing import IO, Final

from views.errors import StoreFull, ViewBusy

_CURRENT: Final = "CURRENT"
_LOCK: Final = "LOCK"
_REBUILD: Final = "REBUILD"


class Generations:
    """The directory of one view.

    Args:
        path: The directory; made when it is first written to.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._lock: IO[str] | None = None

    def current(self) -> int | None:
        """The number of the store that is read; None before the first was built."""
        try:
            text = (self.path / _CURRENT).read_text().strip()
        except FileNotFoundError:
            return None
        return int(text) if text.isdigit() else None

    def store(self, number: int) -> Path:
        """A store's directory."""
        return self.path / str(number)

    def next(self) -> int:
        """The number for a store to build; what an earlier attempt left there is removed.

        Raises:
            StoreFull: The directory cannot be written.
        """
        number = (self.current() or 0) + 1
        try:
            shutil.rmtree(self.store(number), ignore_errors=True)
            self.store(number).mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise StoreFull(f"{self.path}: {error.strerror}") from error
        return number

    def switch(self, number: int) -> None:
        """Let readers use a store from here on: a rename, so that they find the old or the new one."""
        try:
            write_atomically(self.path / _CURRENT, f"{number}\n".encode())
            (self.path / _REBUILD).unlink(missing_ok=True)
        except OSError as error:
            raise StoreFull(f"{self.path}: {error.strerror}") from error

    def remove_others(self) -> None:
        """Remove stores that are not read; a reader in another process keeps its open files."""
        current = self.current()
        for entry in self.path.iterdir():
            if entry.is_dir() and entry.name.isdigit() and int(entry.name) != current:
                shutil.rmtree(entry, ignore_errors=True)

    def lock(self) -> None:
        """Become the process that keeps the view up to date.

        Raises:
            ViewBusy: Another one is.
            StoreFull: The directory cannot be written.
        """
        try:
            self.path.mkdir(parents=True, exist_ok=True)
            lock = (self.path / _LOCK).open("a+")
        except OSError as error:
            raise StoreFull(f"{self.path}: {error.strerror}") from error
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            lock.seek(0)
            holder = lock.read().strip() or "unknown"
            lock.close()
            raise ViewBusy(f"{self.path}: process {holder} keeps this view up to date", hint="stop it first") from None
        lock.truncate(0)
        lock.write(str(os.getpid()))
        lock.flush()
        self._lock = lock

    def locked_by_another(self) -> bool:
        """Whether some process keeps the view up to date."""
        try:
            lock = (self.path / _LOCK).open("r")
        except FileNotFoundError:
            return False
        with lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                return True
            return False

    def ask_for_rebuild(self) -> None:
        """Ask the process that keeps the view up to date for a new store."""
        (self.path / _REBUILD).touch()

    def rebuild_is_asked_for(self) -> bool:
        """Whether somebody asked for a new store."""
        return (self.path / _REBUILD).exists()

    def close(self) -> None:
        """Give the lock back."""
        if self._lock is not None:
            self._lock.close()
            self._lock = None


def write_atomically(file: Path, data: bytes) -> None:
    """Replace a file so that it is there as before or as wanted, whatever happens in between."""
    temporary = file.with_name(file.name + ".new")
    with temporary.open("wb") as out:
        out.write(data)
        out.flush()
        os.fsync(out.fileno())
    temporary.replace(file)
    sync_directory(file.parent)


def sync_directory(path: Path) -> None:
    """Make a rename in a directory outlive a loss of power."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
