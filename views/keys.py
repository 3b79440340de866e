"""A key as people write it: the value of a one-column key, or the key's JSON."""

from __future__ import annotations

import contextlib

import msgspec
import orjson

from views.store import Store

_checked = msgspec.json.Decoder(msgspec.Raw).decode


def candidates(text: str, columns: tuple[str, ...] | None) -> list[bytes]:
    """The key bytes that a text may stand for, likeliest first.

    Args:
        text: As given.
        columns: Names of the topic's key columns; empty for keys that are no JSON object, None where not known.
    """
    raw = text.encode()
    found = []
    if columns is not None and len(columns) == 1 and not text.startswith("{"):
        name = orjson.dumps(columns[0])
        if _is_scalar(raw):
            found.append(b"{%b:%b}" % (name, raw))
        found.append(b"{%b:%b}" % (name, orjson.dumps(text)))
    if text.startswith("{"):
        with contextlib.suppress(msgspec.DecodeError):
            found.append(msgspec.json.encode(msgspec.json.decode(raw, type=dict[str, msgspec.Raw])))
    if raw not in found and (not columns or text.startswith("{")):
        found.append(raw)
    return found


def _is_scalar(raw: bytes) -> bool:
    """Whether a text is a JSON number, true, false or null as it stands."""
    try:
        _checked(raw)
    except msgspec.DecodeError:
        return False
    return raw[:1] not in b'{["'


def key_columns(store: Store, topic: str | None, own: tuple[str, ...] = ()) -> tuple[str, ...] | None:
    """The columns of a topic's key.

    Args:
        store: The view's store.
        topic: Which, in a view of several.
        own: The columns of the view's own key, where it has one.
    """
    if own:
        return own
    known = store.state.key_columns
    if topic is None:
        return next(iter(known.values()), None) if len(known) <= 1 else None
    return known.get(topic) or next((c for name, c in known.items() if name.rpartition(".")[2] == topic), None)


def key_text(key: bytes) -> str:
    """A key for people: the value of a one-column key, or its text."""
    if key[:1] == b"{":
        try:
            columns = msgspec.json.decode(key, type=dict[str, msgspec.Raw])
        except msgspec.DecodeError:
            return key.decode("utf-8", "replace")
        if len(columns) == 1:
            value = orjson.loads(bytes(next(iter(columns.values()))))
            if isinstance(value, str):
                return value
            return bytes(next(iter(columns.values()))).decode()
    return key.decode("utf-8", "replace")
