"""What a record's value is: Debezium's envelope, a plain row, either of them under Connect's `{"schema", "payload"}`."""

from __future__ import annotations

import base64
from collections.abc import Sequence
from typing import Any, Final

import msgspec

UNAVAILABLE: Final = b"__debezium_unavailable_value"

_UNAVAILABLE_TEXTS: Final = frozenset({UNAVAILABLE.decode(), base64.b64encode(UNAVAILABLE).decode()})
UNAVAILABLE_MARKS: Final = (UNAVAILABLE, base64.b64encode(UNAVAILABLE))
ROW_OPERATIONS: Final = frozenset("cur")


class Envelope(msgspec.Struct, gc=False):
    """What is read of an event; the rest stays text."""

    op: str = ""
    before: msgspec.Raw = msgspec.Raw()
    after: msgspec.Raw = msgspec.Raw()
    source: msgspec.Raw = msgspec.Raw()


class _Wrapped(msgspec.Struct, gc=False):
    payload: msgspec.Raw


decode_envelope: Final = msgspec.json.Decoder(Envelope).decode
decode_wrapped: Final = msgspec.json.Decoder(_Wrapped).decode
check_json: Final = msgspec.json.Decoder(msgspec.Raw).decode
decode_columns: Final = msgspec.json.Decoder(dict[str, msgspec.Raw]).decode


class Refused(ValueError):
    """A record cannot be taken; the text is code and sentence."""


def unwrapped(value: bytes) -> bytes | msgspec.Raw:
    """The payload of `{"schema", "payload"}`, or the value itself; checked to be JSON."""
    check_json(value)
    if value.startswith(b'{"schema":'):
        try:
            return decode_wrapped(value).payload
        except msgspec.ValidationError:
            return value
    return value


def as_envelope(value: bytes) -> Envelope | None:
    """The envelope that a value is, or None for a plain row."""
    if b'"op":' not in value and b'"op" :' not in value:
        return None
    inner = unwrapped(value)
    try:
        envelope = decode_envelope(inner)
    except msgspec.ValidationError:
        return None  # a row that has a column called op
    is_one = len(envelope.op) == 1 and bytes(envelope.source)[:1] == b"{"
    return envelope if is_one else None


def is_truncate(value: bytes | None) -> bool:
    """Whether an event says that the table was emptied."""
    if value is None or b'"op":"t"' not in value:
        return False
    try:
        envelope = as_envelope(value)
    except msgspec.DecodeError:
        return False
    return envelope is not None and envelope.op == "t"


def object_of(row: bytes) -> dict[str, msgspec.Raw]:
    """The columns of a row.

    Raises:
        Refused: It is no JSON object.
    """
    try:
        return decode_columns(row)
    except msgspec.DecodeError as error:
        raise Refused("UNDECODABLE the row is not a JSON object") from error


def is_unavailable(item: Any) -> bool:
    """Whether a column says that its value is unchanged and was not sent."""
    if isinstance(item, list):
        return any(is_unavailable(part) for part in item)
    return isinstance(item, str) and item in _UNAVAILABLE_TEXTS


def merge(row: bytes, previous: bytes | None, unchanged: Sequence[str]) -> bytes:
    """A row whose unchanged columns were not sent, completed by the row before it.

    Args:
        row: As it came.
        previous: The row that stands in the view; None where there is none, and the columns are left out.
        unchanged: Their names.
    """
    columns = decode_columns(row)
    before = {} if previous is None else decode_columns(previous)
    for name in unchanged:
        if name in before:
            columns[name] = before[name]
        else:
            del columns[name]
    return msgspec.json.encode(columns)
