"""The changes of a view as server-sent events.

An event's id is a position: a client that reconnects with it as `Last-Event-ID` goes on there, also at another server
and after a restart. It may see the last few changes again, never miss one.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Final

import orjson
from starlette.concurrency import run_in_threadpool

from cdc.kafka.follower import Follower
from views.batch import Offsets, ViewState
from views.changes import Change, changes_of, offsets_text
from views.keys import key_text
from views.loading import places_of
from views.runner import View
from views.unwrap import Unwrapper

KEEP_ALIVE_SECONDS: Final = 15.0
STEP: Final = 500


async def events(
    view: View, offsets: Offsets | None, disconnected: Callable[[], Awaitable[bool]]
) -> AsyncIterator[bytes]:
    """Events from a position on.

    Args:
        view: Whose changes.
        offsets: Where to begin; None for now.
        disconnected: Whether the client is gone.
    """
    loop = asyncio.get_running_loop()
    woken = asyncio.Event()

    def wake() -> None:
        loop.call_soon_threadsafe(woken.set)

    view.changes.listen(wake)
    try:
        seen = dict(view.changes.end) if offsets is None else {**dict.fromkeys(view.changes.start, 0), **offsets}
        yield _event("position", b"{}", seen)
        stands = 0
        while not await disconnected():
            woken.clear()
            if not view.changes.covers(seen):
                async for piece in _from_topics(view, seen):
                    yield piece
                stands = 0
                continue
            changes, stands = view.changes.after(seen, stands)
            for piece in _pieces(changes, seen):
                yield piece
            try:
                await asyncio.wait_for(woken.wait(), KEEP_ALIVE_SECONDS)
            except TimeoutError:
                yield b": alive\n\n"
    finally:
        view.changes.forget(wake)


async def _from_topics(view: View, seen: Offsets) -> AsyncIterator[bytes]:
    """What is not kept any more, read from the topics up to what the view has applied."""
    goal = dict(view.changes.end)
    follower = await run_in_threadpool(Follower, view.config.kafka)
    try:
        bounds = await run_in_threadpool(lambda: follower.bounds(places_of(follower, view.config)))
        starts = {place: max(seen.get(place, 0), held.begin) for place, held in bounds.items()}
        follower.assign(starts)
        config = view.config
        unwrapper = Unwrapper(
            ViewState(key_columns=await run_in_threadpool(_key_columns, view)),
            fields=config.fields, key=config.key, max_value_bytes=config.max_value_bytes, check=follower.check,
        )  # fmt: skip
        while True:
            positions = follower.positions()
            if all(positions.get(place, starts.get(place, end)) >= end for place, end in goal.items()):
                break
            messages = await run_in_threadpool(follower.read, STEP, 0.2)
            batch = unwrapper.batch(messages)
            fresh = [c for c in changes_of(batch) if c.offset >= seen.get((c.topic, c.partition), 0)]
            for change in fresh:
                seen[change.topic, change.partition] = change.offset + 1
            for piece in _pieces(fresh, seen):
                yield piece
        for place, end in goal.items():
            seen[place] = max(seen.get(place, 0), end)
    finally:
        await run_in_threadpool(follower.close)


def _key_columns(view: View) -> dict[str, tuple[str, ...]]:
    with view.reading() as store:
        return dict(store.state.key_columns)


def _pieces(changes: list[Change], seen: Offsets) -> list[bytes]:
    """Events of changes; the last one carries the position behind all of them."""
    found = []
    for number, change in enumerate(changes):
        name = "truncate" if change.key is None else "delete" if change.value is None else "row"
        key = b"null" if change.key is None else orjson.dumps(key_text(change.key))
        row = change.value if change.value is not None else b"null"
        # An event's data ends with its line; in JSON a line's end only stands between tokens.
        row = row.replace(b"\n", b" ").replace(b"\r", b" ")
        data = b'{"key":%b,"row":%b,"topic":%b,"position":%b}' % (
            key, row, orjson.dumps(change.topic), orjson.dumps(change.position),
        )  # fmt: skip
        found.append(_event(name, data, seen if number == len(changes) - 1 else None))
    return found


def _event(name: str, data: bytes, seen: Offsets | None) -> bytes:
    lines = [b"event: " + name.encode(), b"data: " + data]
    if seen is not None:
        lines.insert(0, b"id: " + offsets_text(seen).encode())
    return b"\n".join(lines) + b"\n\n"
