"""`[views.NAME]` of `seam.toml`: what a view is."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from cdc.errors import ConfigError, Problem
from cdc.kafka.client import ClientOptions, client_options
from cdc.options import REQUIRED, Kind, Option, OptionSet
from cdc.properties import ConfigFile, resolve

_SIZE = re.compile(r"(\d+)\s*(kB|MB|GB|KiB|MiB|GiB|B)?")
_UNITS: Final = {
    None: 1, "B": 1, "kB": 1000, "MB": 1000**2, "GB": 1000**3, "KiB": 1024, "MiB": 1024**2, "GiB": 1024**3,
}  # fmt: skip
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,63}")
_TOPIC = re.compile(r"[A-Za-z0-9._-]{1,120}")
_COLUMN = re.compile(r'[^"\x00]+')


def read_size(text: Any) -> int:
    """Bytes of `512MB`, `2GiB` or a plain number.

    Raises:
        ValueError: It is none of these.
    """
    match = _SIZE.fullmatch(str(text).strip())
    if match is None:
        raise ValueError(f"{text!r} is not a size as 512MB")
    return int(match[1]) * _UNITS[match[2]]


def _is_size(value: Any) -> str | None:
    try:
        read_size(value)
    except ValueError as error:
        return str(error)
    return None


def _is_partitions(value: Any) -> str | None:
    try:
        read_partitions(value)
    except ValueError as error:
        return str(error)
    return None


def read_partitions(texts: list[str]) -> frozenset[int]:
    """The partitions of `["0-9", "12"]`.

    Raises:
        ValueError: One is neither a number nor a range.
    """
    found: set[int] = set()
    for text in texts:
        first, dash, last = text.partition("-")
        if not first.strip().isdigit() or (dash and not last.strip().isdigit()):
            raise ValueError(f"{text!r} is neither a partition nor a range as 0-9")
        found.update(range(int(first), int(last if dash else first) + 1))
    return frozenset(found)


VIEW_OPTIONS: Final = OptionSet(
    [
        Option("kind", Kind.STRING, "memory", "Where the rows live.", choices=("memory", "rocksdb", "sqlite")),
        Option("topics", Kind.LIST, REQUIRED, "The topics that the view is built from."),
        Option("path", Kind.STRING, None, "Its directory; required but for memory, which keeps a snapshot there."),
        Option("changelog", Kind.STRING, None, "rocksdb, sqlite: each change is also written to compacted topics CHANGELOG.TOPIC, from which a lost store is loaded; for topics that do not keep all rows."),
        Option("select", Kind.STRING, None, "sqlite: one SQL statement over the topics' tables, whose result is shown."),
        Option("key", Kind.LIST, [], "Columns that make the key: of the result of select, or in place of the record's key."),
        Option("fields", Kind.LIST, None, "The columns to keep; all when left out."),
        Option("search", Kind.LIST, [], "sqlite: the columns of full-text search."),
        Option("index", Kind.LIST, [], "sqlite: columns to index, as table.column."),
        Option("partitions", Kind.LIST, None, "The partitions that this process holds, as 0-9; all when left out.", check=_is_partitions),
        Option("progress", Kind.STRING, None, "The topic prefix whose progress is waited for, where topics are named otherwise."),
        Option("transactions", Kind.STRING, "auto", "The topic of transaction boundaries; auto finds it, none does without."),
        Option("memory_limit", Kind.STRING, None, "memory: how much the rows may take, as 2GB; half of the machine's memory by default.", check=_is_size),
        Option("max_value_bytes", Kind.STRING, "16MiB", "A longer row becomes a dead letter.", check=_is_size),
        Option("snapshot_seconds", Kind.INT, 300, "memory with a path: how often the snapshot is written."),
    ]
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class ViewConfig:
    """One view, read.

    Attributes:
        name: As in `[views.NAME]`.
        kind: memory, rocksdb or sqlite.
        topics: What it is built from.
        kafka: How Kafka is reached.
        path: Its directory.
        changelog: Prefix of the topics that the rows are also written to.
        select: The SQL statement whose result it shows.
        key: The key's columns.
        fields: The columns to keep.
        search: The columns of full-text search.
        index: The columns with an index.
        partitions: The partitions that this process holds.
        progress: The prefix whose progress is waited for.
        transactions: The topic of transaction boundaries, "auto" or "none".
        memory_limit: Bytes.
        max_value_bytes: Bytes.
        snapshot_seconds: How often the snapshot of a memory image is written.
    """

    name: str
    kind: str
    topics: tuple[str, ...]
    kafka: ClientOptions
    path: Path | None = None
    select: str | None = None
    key: tuple[str, ...] = ()
    fields: tuple[str, ...] | None = None
    search: tuple[str, ...] = ()
    index: tuple[str, ...] = ()
    partitions: frozenset[int] | None = None
    progress: str | None = None
    transactions: str = "auto"
    memory_limit: int | None = None
    max_value_bytes: int = 16 * 1024**2
    snapshot_seconds: int = 300
    changelog: str | None = None

    @property
    def digest(self) -> str:
        """Of what shapes the stored rows: a store that was built with another one is built anew."""
        shape = (
            self.kind, self.topics, self.fields, self.key if self.select is None else (), self.search, self.index,
            self.select, sorted(self.partitions) if self.partitions is not None else None, self.max_value_bytes,
        )  # fmt: skip
        return hashlib.sha256(repr(shape).encode()).hexdigest()[:16]


def read_view(file: ConfigFile, name: str, *, bootstrap_servers: str | None = None) -> ViewConfig:
    """One view of a file.

    Args:
        file: The file, as loaded.
        name: As in `[views.NAME]`.
        bootstrap_servers: `--bootstrap-servers`, which wins over `[worker]`.

    Raises:
        ConfigError: Every problem at once.
    """
    if name not in file.views:
        known = ", ".join(sorted(file.views)) or "none"
        raise ConfigError(f"{file.path}: there is no view {name!r}; the file holds {known}")
    options, problems = VIEW_OPTIONS.examine(file.views[name])
    problems = [Problem(f"views.{name}.{p.key}", p.message, p.nearest) for p in problems]
    worker = resolve(file.worker, source=str(file.path))
    servers = bootstrap_servers or worker.get("bootstrap.servers")
    if not servers:
        problems.append(
            Problem(
                "bootstrap.servers",
                "is not given: name Kafka's brokers with --bootstrap-servers, or in [worker] of seam.toml",
            )
        )
    if not _NAME.fullmatch(name):
        problems.append(Problem(f"views.{name}", "a view's name is letters, digits, - and _"))
    if not problems:
        problems += [Problem(f"views.{name}.{key}", message) for key, message in _combinations(options)]
    if problems:
        raise ConfigError(problems, source=str(file.path))
    kafka = client_options(str(servers), worker, prefix="consumer.")
    path = options["path"]
    return ViewConfig(
        name=name,
        kind=options["kind"],
        topics=tuple(options["topics"]),
        kafka=kafka,
        path=None if path is None else file.path.parent / path,
        select=options["select"],
        key=tuple(options["key"]),
        fields=None if options["fields"] is None else tuple(options["fields"]),
        search=tuple(options["search"]),
        index=tuple(options["index"]),
        partitions=None if options["partitions"] is None else read_partitions(options["partitions"]),
        progress=options["progress"],
        transactions=options["transactions"],
        memory_limit=None if options["memory_limit"] is None else read_size(options["memory_limit"]),
        max_value_bytes=read_size(options["max_value_bytes"]),
        snapshot_seconds=options["snapshot_seconds"],
        changelog=options["changelog"],
    )


def _combinations(options: Mapping[str, Any]) -> list[tuple[str, str]]:
    problems = []
    kind = options["kind"]
    if not options["topics"] or not all(options["topics"]):
        problems.append(("topics", "names no topic"))
    if len(set(options["topics"])) != len(options["topics"]):
        problems.append(("topics", "names a topic twice"))
    if len(options["topics"]) > 200:
        problems.append(("topics", "names more than 200 topics"))
    if kind != "memory" and not options["path"]:
        problems.append(("path", f"is required with kind = {kind!r}"))
    for name in ("select", "search", "index"):
        if options[name] and kind != "sqlite":
            problems.append((name, f'needs kind = "sqlite", not {kind!r}'))
    if options["select"] and options["search"]:
        problems.append(("search", "does not go with select: full text is kept of topics' rows"))
    if options["memory_limit"] and kind != "memory":
        problems.append(("memory_limit", 'needs kind = "memory"'))
    if options["partitions"] is not None and options["transactions"] not in ("auto", "none"):
        problems.append(
            (
                "transactions",
                "does not go with partitions: the rest of a transaction may lie in a partition of another process",
            )
        )
    if options["changelog"] is not None:
        if kind == "memory":
            problems.append(("changelog", 'needs kind = "rocksdb" or "sqlite"'))
        if not _TOPIC.fullmatch(options["changelog"]):
            problems.append(("changelog", "is no topic name: letters, digits, . _ and -"))
    if options["fields"] is not None and options["key"] and not set(options["key"]) <= set(options["fields"]):
        problems.append(("fields", "leaves out a column of key"))
    for name in ("search", "index", "key"):
        problems += [
            (name, f"{column!r} is no column name") for column in options[name] if not _COLUMN.fullmatch(column)
        ]
    return problems


def view_names(file: ConfigFile, only: str | None) -> list[str]:
    """The views that a command is about.

    Raises:
        ConfigError: The file holds none, or not the named one.
    """
    if only is not None:
        if only not in file.views:
            raise ConfigError(
                f"{file.path}: there is no view {only!r}; the file holds {', '.join(sorted(file.views)) or 'none'}"
            )
        return [only]
    if not file.views:
        raise ConfigError(f"{file.path}: the file holds no view", hint="add a section [views.NAME]")
    return sorted(file.views)
