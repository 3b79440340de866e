"""Deltas: events that carry the changed columns only, and facts, whole rows, rebuilt from them.

A delta names the row that it was made from by a digest, so that a missing event is found, not guessed. Values stay the
JSON text that they were: nothing is read as a number here.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import Any, Final

import msgspec

from cdc.errors import DecodeError

Raw = msgspec.Raw
Row = dict[str, Raw]

DELTA: Final = "delta"
"""The member of an envelope that says what a delta was made from: `{"base": digest or null}`."""

_NULL: Final = Raw(b"null")
_ENVELOPE: Final = msgspec.json.Decoder(dict[str, Raw])
_ROW: Final = msgspec.json.Decoder(dict[str, Raw] | None)
_TEXT: Final = msgspec.json.Decoder(str)
_BASE: Final = msgspec.json.Decoder(dict[str, Any] | None)


class Gap(DecodeError):
    """A delta was not made from the row that the events before it left: one of them is missing."""

    code = "DELTA_GAP"


def digest(row: Mapping[str, Raw] | None) -> str | None:
    """What tells two versions of a row apart: 16 hexadecimal digits; None for no row.

    A column that is null counts as one that is not there, so that adding a column changes no digest.
    """
    if row is None:
        return None
    whole = hashlib.sha256()
    for name in sorted(row):
        value = bytes(row[name])
        if value != b"null":
            whole.update(b"%d:%b%d:%b" % (len(name), name.encode(), len(value), value))
    return whole.hexdigest()[:16]


def to_delta(value: bytes) -> bytes:
    """The delta of an event.

    Args:
        value: An envelope as JSON without a schema, its `before` whole.

    Raises:
        DecodeError: An update or delete without the row before it.
    """
    event = _ENVELOPE.decode(value)
    operation = _TEXT.decode(event["op"])
    if operation not in ("u", "d"):
        event[DELTA] = Raw(b'{"base":null}')
        return msgspec.json.encode(event)
    before, after = _ROW.decode(event["before"]), _ROW.decode(event["after"])
    if before is None:
        raise DecodeError("an event without its row before: a delta needs REPLICA IDENTITY FULL")
    if after is not None:
        changed = {name: raw for name, raw in after.items() if bytes(before.get(name, _NULL)) != bytes(raw)}
        event["after"] = Raw(msgspec.json.encode(changed))
    event["before"] = _NULL
    event[DELTA] = Raw(msgspec.json.encode({"base": digest(before)}))
    return msgspec.json.encode(event)


class Facts:
    """Rebuilds rows from the deltas of a topic, key by key.

    Attributes:
        rows: Key -> its row, whose values are JSON texts.
    """

    def __init__(self) -> None:
        self.rows: dict[bytes, Row] = {}

    def add(self, key: bytes, value: bytes | None) -> bytes | None:
        """Take the next event of the topic.

        Returns:
            The event as a fact: `before` and `after` whole; None for a tombstone.

        Raises:
            Gap: It was not made from the row that is known.
            DecodeError: It is no delta.
        """
        if value is None:
            self.rows.pop(key, None)
            return None
        try:
            event = _ENVELOPE.decode(value)
            operation, base = _TEXT.decode(event["op"]), _BASE.decode(event.pop(DELTA, _NULL))
            after = _ROW.decode(event["after"])
        except (msgspec.DecodeError, KeyError) as error:
            raise DecodeError(f"not a delta: {type(error).__name__}") from error
        known = self.rows.get(key)
        if operation in ("u", "d"):
            if base is None or digest(known) != base.get("base"):
                raise Gap(
                    f"the {'update' if operation == 'u' else 'delete'} was made from another row than the events "
                    f"before it left ({base and base.get('base')}, not {digest(known)}): an event is missing"
                )
            event["before"] = _raw(known)
        if operation == "d":
            self.rows.pop(key, None)
        elif after is not None:
            row = {**known, **after} if operation == "u" and known is not None else after
            self.rows[key] = row
            event["after"] = _raw(row)
        return msgspec.json.encode(event)


def _raw(row: Row | None) -> Raw:
    return _NULL if row is None else Raw(msgspec.json.encode(row))
