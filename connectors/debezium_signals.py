"""Debezium's signals, read: type and data of one signal become a request, or an error that names what is wrong.

Source: Debezium documentation, "Sending signals to a Debezium connector"; shapes as measured on 3.6.3.Final.
"""

from __future__ import annotations

import difflib
import re
import time
from collections.abc import Mapping, Sequence
from typing import Any, Final

import msgspec

from cdc.errors import ConfigError, Problem
from cdc.requests import Kind, Request

SIGNAL_PREFIX: Final = "seam.signal"
"""Of logical messages that carry a signal."""

_SNAPSHOT_FIELDS: Final = ("data-collections", "type", "additional-conditions", "additional-condition", "surrogate-key")
_FIELDS: Final[dict[Kind, tuple[str, ...]]] = {
    Kind.SNAPSHOT: _SNAPSHOT_FIELDS,
    Kind.STOP: ("data-collections", "type"),
    Kind.PAUSE: ("data-collections", "type"),
    Kind.RESUME: ("data-collections", "type"),
    Kind.LOG: ("message",),
}


def read_signal(pipeline: str, text: str | bytes, *, id: str) -> Request:
    """A signal as one JSON object with `type` and `data`, and possibly `id`.

    Args:
        pipeline: The connector's name.
        text: The object; its own id is for people, since they may use one twice.
        id: The request's id.

    Raises:
        ConfigError: It is not one; every problem is named.
    """
    document = _object(text, "signal")
    problems = _unknown(document, ("id", "type", "data"), "")
    kind = document.get("type")
    if not isinstance(kind, str):
        problems.append(Problem("type", "is missing"))
    if problems:
        raise ConfigError(problems)
    return signal_request(pipeline, id, str(kind), document.get("data"))


def signal_request(pipeline: str, id: str, kind: str, data: Any) -> Request:
    """The request that a signal asks for.

    Args:
        pipeline: The connector's name.
        id: The signal's id.
        kind: Its type, as `execute-snapshot`.
        data: Its data: an object, or the text of one.

    Raises:
        ConfigError: Unknown fields, wrong types, an expression that cannot be read; every problem is named.
    """
    known = {one.value: one for one in Kind}
    if kind not in known:
        raise ConfigError(
            [Problem("type", f"{kind!r} is not a signal", tuple(difflib.get_close_matches(kind, known, n=1)))]
        )
    document = _object(data, "data") if isinstance(data, (str, bytes)) and data else data or {}
    if not isinstance(document, dict):
        raise ConfigError([Problem("data", "is not an object")])
    found = known[kind]
    problems = _unknown(document, _FIELDS[found], "data.")
    tables = _tables(document.get("data-collections"), problems, required=found is Kind.SNAPSHOT)
    mode = str(document.get("type", "incremental")).lower()
    if mode not in ("incremental", "blocking"):
        problems.append(Problem("data.type", f"{mode!r} is neither incremental nor blocking"))
    conditions = _conditions(document, problems)
    if problems:
        raise ConfigError(problems)
    # A blocking snapshot's filter is a whole SELECT, an incremental one's a condition (Debezium's own distinction).
    return Request(
        pipeline, id, found, tables=tables,
        where=conditions if mode == "incremental" else {}, selects=conditions if mode == "blocking" else {},
        message=str(document.get("message", "")) if found is Kind.LOG else "", time=time.time(),
    )  # fmt: skip


def _object(text: str | bytes, what: str) -> dict[str, Any]:
    try:
        document = msgspec.json.decode(text)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise ConfigError([Problem(what, f"is not JSON: {error}")]) from error
    if not isinstance(document, dict):
        raise ConfigError([Problem(what, "is not a JSON object")])
    return document


def _unknown(document: Mapping[str, Any], known: Sequence[str], prefix: str) -> list[Problem]:
    return [
        Problem(prefix + name, "is not a field of this signal", tuple(difflib.get_close_matches(name, known, n=1)))
        for name in document
        if name not in known
    ]


def _tables(value: Any, problems: list[Problem], *, required: bool) -> tuple[str, ...]:
    if value is None and not required:
        return ()
    if not isinstance(value, list) or not all(isinstance(one, str) for one in value) or (required and not value):
        problems.append(Problem("data.data-collections", "is not a list of expressions of schema.table"))
        return ()
    for expression in value:
        try:
            re.compile(expression)
        except re.error as error:
            problems.append(Problem("data.data-collections", f"{expression!r} is not a regular expression: {error}"))
    return tuple(value)


def _conditions(document: Mapping[str, Any], problems: list[Problem]) -> dict[str, str]:
    found: dict[str, str] = {}
    value = document.get("additional-conditions") or []
    if not isinstance(value, list) or not all(isinstance(one, dict) for one in value):
        problems.append(Problem("data.additional-conditions", "is not a list of objects"))
        return found
    for number, one in enumerate(value):
        place = f"data.additional-conditions[{number}]."
        problems += _unknown(one, ("data-collection", "filter"), place)
        table, text = one.get("data-collection"), one.get("filter")
        if not isinstance(table, str) or not isinstance(text, str):
            problems.append(Problem(place.rstrip("."), "needs data-collection and filter, both texts"))
            continue
        found[table.lower()] = text
    # The older form, which holds for every table of the signal.
    single = document.get("additional-condition")
    if single:
        found |= dict.fromkeys(
            (table.lower() for table in document.get("data-collections") or [] if isinstance(table, str)), str(single)
        )
    return found
