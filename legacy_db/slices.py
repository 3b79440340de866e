"""`[slices.NAME]` of seam.toml: the tables that move together, where they come from and where they go."""

from __future__ import annotations

import difflib
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import ArgumentError

from cdc.errors import ConfigError, Problem
from cdc.properties import ConfigFile, resolve

_KNOWN: Final = (
    "connector", "tables", "where", "target", "ledger", "max_evidence_age", "max_mismatches", "accept_open", "accept_loss",
    "replica_identity",
)  # fmt: skip
_AGE: Final = re.compile(r"(\d+)\s*(s|m|h|d)?")
_SECONDS: Final = {"s": 1, "m": 60, "h": 3600, "d": 86400}


@dataclass(frozen=True, slots=True)
class Slice:
    """One slice, read.

    Attributes:
        name: Its name.
        connector: The pipeline of the same file that carries it.
        tables: `schema.table`, in the order of the file.
        where: `schema.table` -> SQL predicate over that table's columns; rows that do not fulfil it stay behind.
        target: The new service's database, None until there is one.
        ledger: Where what was done is written down.
        max_evidence_age: How old a verification may be, seconds.
        max_mismatches: How many differences a gate lets through.
        accept_open: Whether triggers, rules and actions may cross the border.
        accept_loss: Whether a mapping to the target may lose information.
        set_identity: Whether a table without a usable key may be given REPLICA IDENTITY FULL.
        directory: Where files of the slice go: its revisions, and what a verification has to resume.
    """

    name: str
    connector: str
    tables: tuple[str, ...]
    where: Mapping[str, str] = field(default_factory=dict)
    target: URL | None = None
    ledger: URL = field(default_factory=lambda: make_url("sqlite://"))
    max_evidence_age: float = 900.0
    max_mismatches: int = 0
    accept_open: bool = False
    accept_loss: bool = False
    set_identity: bool = False
    directory: Path = Path()

    def require_target(self) -> URL:
        """The target, for a step that needs one.

        Raises:
            ConfigError: None is declared.
        """
        if self.target is None:
            raise ConfigError([Problem(f"slices.{self.name}.target", "is not given: the new service's database")])
        return self.target


def read_slices(file: ConfigFile) -> dict[str, Slice]:
    """All slices of a file.

    Raises:
        ConfigError: Every problem at once.
    """
    problems: list[Problem] = []
    found = {name: _read(file, name, entry, problems) for name, entry in file.slices.items()}
    if problems:
        raise ConfigError(problems, source=str(file.path))
    return {name: one for name, one in found.items() if one is not None}


def read_slice(file: ConfigFile, name: str) -> Slice:
    """One slice of a file.

    Raises:
        ConfigError: There is none of that name, or something is wrong with one of them.
    """
    found = read_slices(file)
    if name not in found:
        known = ", ".join(sorted(found)) or "none"
        nearest = difflib.get_close_matches(name, found, n=1)
        meant = f"; did you mean {nearest[0]}?" if nearest else ""
        raise ConfigError(f"{file.path}: there is no slice {name!r}; the file holds {known}{meant}")
    return found[name]


def _read(file: ConfigFile, name: str, entry: Mapping[str, Any], problems: list[Problem]) -> Slice | None:
    place = f"slices.{name}"
    before = len(problems)
    if not re.fullmatch(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,62}", name):
        problems.append(Problem(place, "a slice's name has letters, digits, _, . and -"))
    for key in entry:
        if key not in _KNOWN:
            problems.append(
                Problem(f"{place}.{key}", "there is no such option", tuple(difflib.get_close_matches(key, _KNOWN, n=1)))
            )
    connector = _connector(file, entry, place, problems)
    tables = _tables(entry, place, problems)
    identity = entry.get("replica_identity", "keep")
    if identity not in ("keep", "full"):
        problems.append(Problem(f"{place}.replica_identity", "is neither 'keep' nor 'full'"))
    default_ledger = f"sqlite:///{file.path.resolve().with_suffix('.ledger.sqlite')}"
    where = _where(entry, tables, place, problems)
    target = _url(file, entry, "target", None, place, problems)
    ledger = _url(file, entry, "ledger", default_ledger, place, problems)
    age = _age(entry, place, problems)
    mismatches = _number(entry, place, problems)
    accept_open = _flag(entry, "accept_open", place, problems)
    accept_loss = _flag(entry, "accept_loss", place, problems)
    if target is not None and target.get_backend_name() != "postgresql":
        problems.append(Problem(f"{place}.target", f"{target.get_backend_name()} is not carried out; postgresql is"))
    if len(problems) > before or ledger is None:
        return None
    directory = file.path.with_name(file.path.name + ".d") / name
    return Slice(
        name,
        connector,
        tables,
        where,
        target,
        ledger,
        age,
        mismatches,
        accept_open,
        accept_loss,
        identity == "full",
        directory,
    )


def _connector(file: ConfigFile, entry: Mapping[str, Any], place: str, problems: list[Problem]) -> str:
    connector = entry.get("connector")
    if connector is None and len(file.connectors) == 1:
        return next(iter(file.connectors))
    if connector not in file.connectors:
        known = ", ".join(sorted(file.connectors)) or "none"
        problems.append(Problem(f"{place}.connector", f"names no connector of this file, which holds {known}"))
    return str(connector)


def _tables(entry: Mapping[str, Any], place: str, problems: list[Problem]) -> tuple[str, ...]:
    listed = entry.get("tables")
    if isinstance(listed, str):
        listed = [item.strip() for item in listed.split(",")]
    if not isinstance(listed, list) or not listed or not all(isinstance(table, str) for table in listed):
        problems.append(Problem(f"{place}.tables", "is a list of schema.table"))
        return ()
    for table in listed:
        if not re.fullmatch(r"[^.]+\..+", table):
            problems.append(Problem(f"{place}.tables", f"{table!r} is not schema.table"))
    if len(set(listed)) < len(listed):
        problems.append(Problem(f"{place}.tables", "names a table twice"))
    return tuple(listed)


def _where(
    entry: Mapping[str, Any], tables: tuple[str, ...], place: str, problems: list[Problem]
) -> dict[str, str]:  # fmt: skip
    where = entry.get("where")
    if where is None:
        return {}
    if isinstance(where, str):
        return dict.fromkeys(tables, where)
    if not isinstance(where, dict) or not all(isinstance(text, str) for text in where.values()):
        problems.append(Problem(f"{place}.where", "is an SQL predicate, or a table of schema.table = predicate"))
        return {}
    for table in where:
        if table not in tables:
            problems.append(Problem(f"{place}.where", f"{table} is not a table of the slice"))
    return dict(where)


def _url(
    file: ConfigFile, entry: Mapping[str, Any], key: str, default: str | None, place: str, problems: list[Problem]
) -> URL | None:  # fmt: skip
    text = entry.get(key, default)
    if text is None:
        return None
    try:
        url = make_url(resolve({f"{place}.{key}": str(text)}, source=str(file.path))[f"{place}.{key}"])
    except ConfigError as error:
        problems.extend(error.problems)
        return None
    except ArgumentError:
        # The text may hold a password: it is not repeated.
        problems.append(Problem(f"{place}.{key}", "is not an SQLAlchemy URL, as postgresql://user@host:5432/database"))
        return None
    backend = url.get_backend_name()
    if backend == "postgresql":
        return url.set(drivername="postgresql+psycopg")
    if backend != "sqlite":
        problems.append(Problem(f"{place}.{key}", f"{backend} is not carried out; postgresql and sqlite are"))
        return None
    if url.database and url.database != ":memory:" and not Path(url.database).is_absolute():
        url = url.set(database=str(file.path.resolve().parent / url.database))
    return url


def _age(entry: Mapping[str, Any], place: str, problems: list[Problem]) -> float:
    match = _AGE.fullmatch(str(entry.get("max_evidence_age", "15m")).strip())
    if match is None:
        problems.append(Problem(f"{place}.max_evidence_age", "is not an age such as 30s, 15m, 2h or 1d"))
        return 0.0
    return float(match[1]) * _SECONDS[match[2] or "s"]


def _number(entry: Mapping[str, Any], place: str, problems: list[Problem]) -> int:
    number = entry.get("max_mismatches", 0)
    if isinstance(number, bool) or not isinstance(number, int) or number < 0:
        problems.append(Problem(f"{place}.max_mismatches", "is not a whole number from 0"))
        return 0
    return number


def _flag(entry: Mapping[str, Any], key: str, place: str, problems: list[Problem]) -> bool:
    value = entry.get(key, False)
    if not isinstance(value, bool):
        problems.append(Problem(f"{place}.{key}", "is neither true nor false"))
        return False
    return value
