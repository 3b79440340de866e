"""The short way for Debezium's envelopes: what most events are is told at a glance, and the others go the plain way.

An event is taken here when all of this holds: its key is like the ones before it, its value is an envelope without a
schema beside it that holds a row, or a tombstone, and nothing in it needs to be completed. It is then taken exactly as
`Unwrapper.one` would.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Final

import msgspec

from cdc.lsn import LSN, Position
from views.batch import Batch, Place, Run, ViewState
from views.envelopes import ROW_OPERATIONS, UNAVAILABLE_MARKS, decode_envelope

POSITION_HEADER: Final = "seam.position"
PIPELINE_HEADER: Final = "__debezium.context.connectorLogicalName"

_TEXT, _TEXT_IN_BASE64 = UNAVAILABLE_MARKS
_NONE: Final = (b"", b"null")
_TOMBSTONE: Final = "", None


def position_of(text: bytes) -> Position | None:
    """The position of a header; None for another program's header of that name."""
    try:
        system_id, timeline, high, low, ordinal = text.split(b"/")
        return Position(int(system_id), int(timeline), LSN((int(high, 16) << 32) | int(low, 16)), int(ordinal))
    except ValueError:
        return None


def take_envelopes(
    messages: Sequence[Any], columns: tuple[str, ...], state: ViewState, most: int, runs: dict[Place, Run],
    take: Callable[[Any], None], batch: Batch,
) -> None:  # fmt: skip
    """Take messages of one partition, in their order.

    Args:
        messages: The messages.
        columns: Names of the key's columns, one at most.
        state: Goes on with each message.
        most: A longer value goes the plain way, bytes.
        runs: Where changes are collected.
        take: The plain way.
        batch: A new run is added to it.
    """
    topic, partition = messages[0].topic(), messages[0].partition()
    place = topic, partition
    guards, offsets = state.guards, state.offsets
    truncated = state.truncated.get(topic)
    lead = b'{"%b":' % columns[0].encode() if columns else b""
    run = runs.get(place)
    pipeline, guard = "", f"{topic}/{partition}/"
    for message in messages:
        key, value = message.key(), message.value()
        if (
            key is None or message.error() is not None
            or (not key.startswith(lead) or b',"' in key if columns else key[:1] == b"{")
        ):  # fmt: skip
            take(message)
            run, truncated = runs.get(place), state.truncated.get(topic)
            continue
        found = _TOMBSTONE if value is None else _told(value, most)
        if found is None:
            take(message)
            run, truncated = runs.get(place), state.truncated.get(topic)
            continue
        operation, row = found
        offset = message.offset()
        offsets[place] = offset + 1
        source = None
        headers = message.headers()
        if headers:
            told = ""
            for name, text in headers:
                if text is None:
                    continue
                if name == POSITION_HEADER:
                    source = position_of(text)
                elif name == PIPELINE_HEADER:
                    told = text.decode("utf-8", "replace")
            if told != pipeline:
                pipeline, guard = told, f"{topic}/{partition}/{told}"
            if source is not None:
                if operation != "r":
                    last = guards.get(guard)
                    if last is not None and last.system_id == source.system_id and source <= last:
                        continue
                    guards[guard] = source
                if truncated is not None and source < truncated:
                    continue
        elif pipeline:
            pipeline, guard = "", f"{topic}/{partition}/"
        if run is None:
            run = runs[place] = Run(topic, partition, [], [], [], [])
            batch.items.append(run)
        append(run, key, row, offset, source)


def _told(value: bytes, most: int) -> tuple[str, bytes | None] | None:
    """Operation and row of an envelope that needs nothing else; None for any other value."""
    if (
        len(value) > most or b'"op":' not in value or value.startswith(b'{"schema":')
        or _TEXT in value or _TEXT_IN_BASE64 in value
    ):  # fmt: skip
        return None
    try:
        if not value.isascii():
            value.decode()
        envelope = decode_envelope(value)
    except (UnicodeDecodeError, msgspec.DecodeError):
        return None
    if bytes(envelope.source)[:1] != b"{":
        return None
    operation = envelope.op
    if operation == "d":
        return operation, None
    row = bytes(envelope.after)
    return None if operation not in ROW_OPERATIONS or row in _NONE else (operation, row)


def append(run: Run, key: bytes, value: bytes | None, offset: int, source: Position | None) -> None:
    """Add a change to a run that is being collected."""
    run.keys.append(key)
    run.values.append(value)
    run.offsets.append(offset)  # type: ignore[attr-defined] # a list as long as it is collected
    run.sources.append(source)  # type: ignore[union-attr] # the same
