"""The account that a server runs as, and directories that this account can use.

Postgres and MariaDB refuse to run as root. The account that takes root's place must own the server's directory and be
able to search the directories above it.
"""

from __future__ import annotations

import os
import pwd
import shutil
import subprocess
import tempfile
from pathlib import Path
from typing import Any

from cdc.errors import SourceUnavailable

_UNPRIVILEGED_ACCOUNTS = ("nobody", "daemon")


def run_as(account: pwd.struct_passwd | None) -> dict[str, Any]:
    """The arguments that make `subprocess` run a program as this account."""
    if account is None:
        return {}
    return {"user": account.pw_uid, "group": account.pw_gid, "extra_groups": ()}


def unprivileged_account() -> pwd.struct_passwd | None:
    """Whom a server that refuses root runs as: None (the caller's own account) unless that is root.

    Raises:
        SourceUnavailable: We are root and there is no account to change to.
    """
    if os.geteuid() != 0:
        return None
    for name in _UNPRIVILEGED_ACCOUNTS:
        try:
            return pwd.getpwnam(name)
        except KeyError:
            continue
    raise SourceUnavailable(
        f"Postgres does not run as root, and none of the accounts {', '.join(_UNPRIVILEGED_ACCOUNTS)} exists",
        hint="create one: useradd --system nobody",
    )


def temporary_directory(prefix: str, account: pwd.struct_passwd | None) -> Path:
    """A new directory of this account's own, where the account can reach it.

    Raises:
        SourceUnavailable: There is no such place.
    """
    for base in dict.fromkeys((tempfile.gettempdir(), "/tmp", "/var/tmp")):  # noqa: S108 - mkdtemp makes them safe
        directory = Path(tempfile.mkdtemp(prefix=prefix, dir=base)).resolve()
        give(directory, account)
        if usable(directory, account):
            return directory
        directory.rmdir()
    raise SourceUnavailable(
        "no temporary directory can be used by the account that runs the server",
        hint="set TMPDIR to a directory whose parents may be searched by all (mode 0755)",
    )


def usable(directory: Path, account: pwd.struct_passwd | None) -> bool:
    """Whether this account can reach the directory and write there."""
    if account is None:
        return os.access(directory, os.W_OK | os.X_OK)
    shell = shutil.which("sh") or "/bin/sh"
    script = 'cd -- "$1" && test -w .'
    done = subprocess.run(  # noqa: S603 - a constant script
        [shell, "-c", script, "sh", str(directory)], check=False, capture_output=True, cwd="/", **run_as(account)
    )
    return done.returncode == 0


def give(path: Path, account: pwd.struct_passwd | None) -> None:
    """Make a file, or a directory with all that it holds, this account's own."""
    if account is None:
        return
    os.chown(path, account.pw_uid, account.pw_gid)
    for parent, directories, files in os.walk(path):
        for name in (*directories, *files):
            os.chown(Path(parent) / name, account.pw_uid, account.pw_gid, follow_symlinks=False)
