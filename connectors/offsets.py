"""Offsets of connectors: shown, set, reset and copied; the connector is stopped for it and goes on as before."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cdc.errors import ConfigError, Problem, SeamError
from connectors import health
from connectors.connect_types import Offset
from connectors.operate import Operator


@dataclass(frozen=True, slots=True)
class OffsetChange:
    """What was stored before and is stored now.

    Attributes:
        connector: Its name.
        before: What was stored: the way back.
        after: What is stored.
        message: The worker's text, which may warn of offsets that the connector keeps elsewhere.
    """

    connector: str
    before: Sequence[Offset]
    after: Sequence[Offset]
    message: str

    def as_json(self) -> dict[str, Any]:
        """The change as a JSON object; `before` is what `offsets set` takes to undo it."""
        return {
            "connector": self.connector,
            "before": as_documents(self.before),
            "after": as_documents(self.after),
            "message": self.message,
        }


def as_documents(offsets: Sequence[Offset]) -> list[dict[str, Any]]:
    """Offsets in the form of Connect's REST API."""
    return [{"partition": offset.partition, "offset": offset.offset} for offset in offsets]


def read_offsets(path: str | Path) -> list[Offset]:
    """Offsets from a JSON file: what `offsets show --output json` writes, or the list itself.

    Raises:
        ConfigError: The file cannot be read or is of another form.
    """
    path = Path(path)
    try:
        document = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise ConfigError(f"{path}: there is no such file") from None
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path}: {error}") from error
    except json.JSONDecodeError as error:
        raise ConfigError(f"{path}: line {error.lineno}, column {error.colno}: {error.msg}") from error
    entries = document.get("offsets") if isinstance(document, dict) else document
    if not isinstance(entries, list) or not entries:
        raise ConfigError(f"{path}: holds no list of offsets")
    problems = [
        Problem(f"offsets[{number}]", "is not {partition: {...}, offset: {...} or null}")
        for number, entry in enumerate(entries)
        if not isinstance(entry, dict)
        or not isinstance(entry.get("partition"), dict)
        or not isinstance(entry.get("offset", ""), (dict, type(None)))
    ]
    if problems:
        raise ConfigError(problems, source=str(path))
    return [Offset(entry["partition"], entry["offset"]) for entry in entries]


def change(operator: Operator, name: str, alter: Callable[[list[Offset]], Sequence[Offset] | None]) -> OffsetChange:
    """Change the offsets of a connector, which is stopped meanwhile and then has its former state again.

    Args:
        operator: Stops and resumes.
        name: The connector.
        alter: Stored offsets -> those to be set; None resets all.
    """
    operator.existing(name)
    with stopped(operator, name):
        before = operator.api.offsets(name)
        wanted = alter(before)
        message = operator.api.reset_offsets(name) if wanted is None else operator.api.alter_offsets(name, wanted)
        return OffsetChange(name, before, operator.api.offsets(name), message)


@contextmanager
def stopped(operator: Operator, name: str) -> Iterator[None]:
    """A connector is stopped inside, and has its former target state again afterwards, whatever happens."""
    status = operator.api.status(name)
    former = status.connector.state if status is not None else health.RUNNING
    operator.stop(name)
    try:
        yield
    except BaseException:
        _return_to(operator, name, former, wait=False)
        raise
    _return_to(operator, name, former, wait=True)


def _return_to(operator: Operator, name: str, former: str, *, wait: bool) -> None:
    if former == health.STOPPED:
        return
    try:
        if former == health.PAUSED:
            operator.api.pause(name)
        else:
            operator.api.resume(name)
        if wait:
            operator.reach(name, former if former == health.PAUSED else health.RUNNING)
    except SeamError as error:
        error.add_note(f"{name} was stopped to change its offsets; `seam connectors resume {name}` lets it go on")
        raise


def translated(offsets: Sequence[Offset], source: Mapping[str, str], target: Mapping[str, str]) -> list[Offset]:
    """Offsets of one connector as another one would have stored them.

    Debezium's partition is `{"server": topic.prefix}`, the file source's is `{"filename": file}`; others are kept.

    Args:
        offsets: Those of the first.
        source: The first one's configuration.
        target: The second one's.
    """
    names = {"server": "topic.prefix", "filename": "file"}
    found: list[Offset] = []
    for entry in offsets:
        partition = dict(entry.partition)
        for member, key in names.items():
            if key in source and partition.get(member) == source[key] and key in target:
                partition[member] = target[key]
        found.append(Offset(partition, entry.offset))
    return found
