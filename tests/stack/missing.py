"""What the real parts need from the machine: found, or named with the line that installs it. Never a skip."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from pathlib import Path

_JAVA = 17


class MissingPart(Exception):
    """A program that the tests need is not on this machine."""

    def __init__(self, what: str, install: str) -> None:
        super().__init__(f"{what} is missing; the real servers of the tests need it. Install it: {install}")


def program(name: str, install: str, *, also_in: tuple[str, ...] = ()) -> str:
    """The path of a program, searched in PATH and then in other directories."""
    path = os.pathsep.join((os.environ.get("PATH", ""), *also_in))
    found = shutil.which(name, path=path)
    if found is None:
        raise MissingPart(name, install)
    return found


def java() -> str:
    """A Java 17 or newer: JAVA_HOME's, or the one in PATH."""
    install = "apt-get install openjdk-17-jdk-headless (or set JAVA_HOME)"
    home = os.environ.get("JAVA_HOME")
    in_home = (str(Path(home) / "bin"),) if home else ()
    found = shutil.which("java", path=in_home[0]) if in_home else None
    path = found or program("java", install)
    told = subprocess.run([path, "-version"], capture_output=True, text=True, check=False)
    version = re.search(r'version "(\d+)', told.stderr + told.stdout)
    if version is None or int(version[1]) < _JAVA:
        raise MissingPart(f"Java {_JAVA} or newer (found {path}, {version[1] if version else 'unknown'})", install)
    return path


def maven() -> str:
    return program("mvn", "apt-get install maven")
