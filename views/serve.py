"""Views over HTTP.

    GET /views                          what is served
    GET /views/NAME                     how it stands
    GET /views/NAME/KEY                 one row, as it is; NAME/rows/KEY where the key is one of the words below
    GET /views/NAME/range               rows in key order: start, end, limit
    GET /views/NAME/search?q=           full text
    GET /views/NAME/changes             server-sent events, resumable by Last-Event-ID
    GET /views/NAME/dead-letters        records that could not be taken
    GET /metrics, /health/live, /health/ready

A read may carry `Seam-Token` (tokens or positions between commas) and `Seam-Timeout` (milliseconds): it is answered when
the view shows those writes. Every answer carries `Seam-Token`, which asks any other server of the view for no less.
Errors are problem documents.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Mapping
from functools import cached_property
from typing import TYPE_CHECKING, Any, Final

import orjson
from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse
from starlette.routing import Route

from cdc.errors import SeamError
from cdc.frontier import Outcome, Waited, Waiter
from cdc.lsn import LSN
from cdc.tokens import AnyToken, PlaceToken, Token, merge, parse_tokens
from views.batch import Row
from views.changes import offsets_text, parse_offsets
from views.errors import QueryRefused, ViewNotBuilt
from views.event_stream import events
from views.keys import candidates, key_columns, key_text
from views.problems import problem, problem_of
from views.runner import View
from views.store import Store

if TYPE_CHECKING:
    from views.metrics import Metrics


TOKEN_HEADER: Final = "Seam-Token"  # noqa: S105 - a header's name
POSITION_HEADER: Final = "Seam-Position"
TIMEOUT_HEADER: Final = "Seam-Timeout"
DEFAULT_TIMEOUT_MS: Final = 5000
LONGEST_TIMEOUT_MS: Final = 300_000
LARGEST_LIMIT: Final = 10_000

_ENDED: Final = {
    Outcome.TIMEOUT: (504, "WRITE_NOT_SHOWN", "the view does not show the write yet"),
    Outcome.ABORTED: (409, "WRITE_ABORTED", "the write's transaction was rolled back"),
    Outcome.LOST: (409, "WRITE_LOST", "the write was lost before it was durable"),
    Outcome.WRONG_TIMELINE: (409, "WRONG_TIMELINE", "the write was made on another system or timeline"),
}

Probe = Callable[[int], str | None]
Handler = Callable[[Request], Awaitable[Response]]


class ViewServer:
    """The application.

    Args:
        views: By name.
        probe: Tells what became of a transaction, where a database is known; for tokens that carry one.
    """

    def __init__(self, views: Mapping[str, View], *, probe: Probe | None = None) -> None:
        self.views = dict(views)
        self._probe = probe
        self.app = Starlette(
            routes=[
                Route("/health/live", self._live),
                Route("/health/ready", self._ready),
                Route("/metrics", self._metrics),
                Route("/views", self._guarded(self._list)),
                Route("/views/{view}", self._guarded(self._status)),
                Route("/views/{view}/range", self._guarded(self._range)),
                Route("/views/{view}/search", self._guarded(self._search)),
                Route("/views/{view}/changes", self._guarded(self._changes)),
                Route("/views/{view}/dead-letters", self._guarded(self._dead_letters)),
                Route("/views/{view}/rows/{key:path}", self._guarded(self._get)),
                Route("/views/{view}/{key:path}", self._guarded(self._get)),
            ],
            exception_handlers={HTTPException: _http_problem, Exception: _defect},
        )

    @cached_property
    def metrics(self) -> Metrics:
        """The figures; what they need is imported for the first answer, not while the views load."""
        from views.metrics import Metrics

        return Metrics(self.views)

    # -- around every request ----------------------------------------------------------------------------------------

    def _guarded(self, handler: Handler) -> Handler:
        async def guarded(request: Request) -> Response:
            name = request.path_params.get("view", "")
            try:
                if name and name not in self.views:
                    response = problem(404, "NO_SUCH_VIEW", f"there is no view {name!r}")
                else:
                    response = await handler(request)
            except SeamError as error:
                response = problem_of(error)
            self.metrics.requests.labels(name if name in self.views else "", str(response.status_code)).inc()
            return response

        return guarded

    def _view(self, request: Request) -> View:
        return self.views[request.path_params["view"]]

    async def _shown(self, request: Request, view: View) -> Response | None:
        """Wait for the writes that a request asks for; a response when they cannot be shown."""
        text = request.headers.get(TOKEN_HEADER)
        if not text:
            return None
        seconds = _timeout(request)
        deadline = time.monotonic() + seconds
        for token in merge(parse_tokens(text)):
            waited = await wait_for(view, token, max(0.0, deadline - time.monotonic()), self._probe)
            self.metrics.waits.labels(view.config.name, waited.outcome.value).observe(waited.seconds)
            if waited.outcome is not Outcome.VISIBLE:
                status, code, detail = _ENDED[waited.outcome]
                return problem(status, code, detail, **waited.as_json())
        return None

    def _answer(self, view: View, content: bytes, *, row: Row | None = None, **headers: str) -> Response:
        token = _token_of(view, row)
        sent = dict(headers)
        if row is not None and row.partition >= 0:
            sent[POSITION_HEADER] = row.position
        if token is not None:
            sent[TOKEN_HEADER] = token
        return Response(content, media_type="application/json", headers=sent)

    # -- rows --------------------------------------------------------------------------------------------------------

    async def _get(self, request: Request) -> Response:
        view = self._view(request)
        if (ended := await self._shown(request, view)) is not None:
            return ended
        key = request.path_params["key"]
        topic = request.query_params.get("topic")
        row = await _read(view, lambda store: find(store, view, key, topic), quick=True)
        if row is None:
            return problem(404, "NO_SUCH_KEY", f"view {view.config.name} has no row of key {key[:200]!r}")
        return self._answer(view, row.value, row=row)

    async def _range(self, request: Request) -> Response:
        view = self._view(request)
        if (ended := await self._shown(request, view)) is not None:
            return ended
        query = request.query_params
        limit = _number(query.get("limit"), 100, "limit")
        topic = query.get("topic")

        def read(store: Store) -> tuple[list[Row], bool]:
            columns = key_columns(store, topic, view.config.key)
            start, end = (None if (t := query.get(n)) is None else candidates(t, columns)[0] for n in ("start", "end"))
            rows = store.range(start, end, limit=limit + 1, topic=topic)
            return rows[:limit], len(rows) > limit

        rows, more = await _read(view, read)
        content = b'{"rows":[%b],"more":%b}' % (b",".join(map(_row_json, rows)), b"true" if more else b"false")
        return self._answer(view, content)

    async def _search(self, request: Request) -> Response:
        view = self._view(request)
        if (ended := await self._shown(request, view)) is not None:
            return ended
        query = request.query_params
        text = query.get("q")
        if not text:
            raise QueryRefused("search needs ?q=")
        limit = _number(query.get("limit"), 20, "limit")

        def read(store: Store) -> list[Row]:
            from views.sqlite import SqliteStore

            if not isinstance(store, SqliteStore):
                raise QueryRefused(f'view {view.config.name} has no full text: it needs kind = "sqlite" and search')
            return store.search(text, limit=limit, topic=query.get("topic"))

        rows = await _read(view, read)
        return self._answer(view, b'{"rows":[%b]}' % b",".join(map(_row_json, rows)))

    async def _changes(self, request: Request) -> Response:
        view = self._view(request)
        if not view.complete.is_set():
            raise ViewNotBuilt(f"view {view.config.name} is not complete yet")
        if view.config.select is not None:
            raise QueryRefused("the result of select has no changes of its own: follow a view of its topics")
        last = request.headers.get("Last-Event-ID") or request.query_params.get("from")
        try:
            offsets = None if last is None else parse_offsets(last)
        except ValueError as error:
            raise QueryRefused(f"Last-Event-ID: {error}") from error
        return StreamingResponse(
            events(view, offsets, request.is_disconnected), media_type="text/event-stream",
            headers={"Cache-Control": "no-cache", "X-Accel-Buffering": "no"},
        )  # fmt: skip

    async def _dead_letters(self, request: Request) -> Response:
        view = self._view(request)
        letters = await _read(view, lambda store: [letter.as_json() for letter in store.dead_letters()])
        return self._answer(view, orjson.dumps({"dead_letters": letters}))

    # -- how it stands -----------------------------------------------------------------------------------------------

    async def _list(self, request: Request) -> Response:
        del request
        return Response(
            orjson.dumps({"views": [describe(v) for v in self.views.values()]}), media_type="application/json"
        )

    async def _status(self, request: Request) -> Response:
        view = self._view(request)
        return self._answer(view, orjson.dumps(await run_in_threadpool(describe, view)))

    async def _metrics(self, request: Request) -> Response:
        del request
        content = await run_in_threadpool(self.metrics.text)
        return Response(content, media_type="text/plain; version=0.0.4; charset=utf-8")

    async def _live(self, request: Request) -> Response:
        del request
        return Response(b'{"status":"alive"}', media_type="application/json")

    async def _ready(self, request: Request) -> Response:
        del request
        waiting = {n: v.error.message if v.error else v.meter.phase for n, v in self.views.items() if not is_ready(v)}
        if waiting:
            said = "; ".join(f"{name}: {why}" for name, why in waiting.items())
            return problem(503, "NOT_READY", f"not complete: {said}", views=waiting)
        return Response(b'{"status":"ready"}', media_type="application/json")


def is_ready(view: View) -> bool:
    """Whether a view is complete as of its start, and alive."""
    return view.complete.is_set() and view.error is None


async def wait_for(view: View, token: AnyToken, seconds: float, probe: Probe | None) -> Waited:
    """`View.wait_for` without a thread per wait."""
    started = time.monotonic()
    if not view.knows_progress:
        await run_in_threadpool(view.wait_for_progress, seconds)
    loop = asyncio.get_running_loop()
    ended = asyncio.Event()

    def on_end(_waiter: Waiter) -> None:
        loop.call_soon_threadsafe(ended.set)

    waiter = view.frontier.register(token, on_end)
    try:
        for pause in (min(0.2, seconds), max(0.0, seconds - 0.2)):
            if waiter.outcome is None:
                left = min(pause, max(0.0, started + seconds - time.monotonic()))
                try:
                    await asyncio.wait_for(ended.wait(), left)
                except TimeoutError:
                    if await run_in_threadpool(view.frontier.aborted, token, probe):
                        waiter.end(Outcome.ABORTED)
    finally:
        view.frontier.abandon(waiter)
    return view.frontier.answer(token, waiter.outcome or Outcome.TIMEOUT, time.monotonic() - started)


def find(store: Store, view: View, key: str, topic: str | None) -> Row | None:
    """The row of a key as people write it."""
    for candidate in candidates(key, key_columns(store, topic, view.config.key)):
        row = store.get(candidate, topic)
        if row is not None:
            return row
    return None


async def _read(view: View, read: Callable[[Store], Any], *, quick: bool = False) -> Any:
    """Read in this thread where that takes microseconds, beside it where it may take longer."""
    if quick and view.config.kind == "memory":
        with view.reading() as store:
            return read(store)

    def beside() -> Any:
        with view.reading() as store:
            return read(store)

    return await run_in_threadpool(beside)


def _token_of(view: View, row: Row | None) -> str | None:
    """What asks another server for no less than this answer: its frontier, and the row's own write beyond it."""
    tokens: list[AnyToken] = []
    frontier = view.frontier.position()
    if frontier is not None:
        tokens.append(frontier)
    if row is not None and row.partition >= 0:
        if frontier is not None and row.source is not None:
            source = row.source
            if source.system_id == frontier.system_id and source.timeline == frontier.timeline:
                tokens.append(Token(source.system_id, source.timeline, LSN(source.commit_lsn + 1)))
        else:
            tokens.append(PlaceToken(row.topic, row.partition, row.offset))
    return ",".join(map(str, merge(tokens))) or None


def describe(view: View) -> dict[str, Any]:
    """How a view stands, as a JSON object."""
    told, shown = view.frontier.told_position(), view.frontier.position()
    found: dict[str, Any] = {
        "view": view.config.name, "kind": view.config.kind, "topics": list(view.config.topics),
        "phase": view.meter.phase, "ready": is_ready(view), "error": view.error.message if view.error else None,
        "applied": view.meter.applied, "loaded_seconds": view.meter.loaded_seconds, "rebuilds": view.meter.rebuilds,
        "shows": None if shown is None else str(shown), "told": None if told is None else str(told),
        "rows": None, "bytes": None, "dead_letters": None, "position": None,
    }  # fmt: skip
    try:
        with view.reading() as store:
            found.update(
                rows=store.count(), bytes=store.size_bytes(), dead_letters=store.state.dead,
                position=offsets_text(store.state.offsets),
            )  # fmt: skip
    except ViewNotBuilt:
        pass
    return found


def _row_json(row: Row) -> bytes:
    return b'{"key":%b,"row":%b,"position":%b}' % (
        orjson.dumps(key_text(row.key)), row.value, orjson.dumps(row.position if row.partition >= 0 else None),
    )  # fmt: skip


def _number(text: str | None, default: int, name: str) -> int:
    if text is None:
        return default
    if not text.isdigit() or not 1 <= int(text) <= LARGEST_LIMIT:
        raise QueryRefused(f"{name} is a number from 1 to {LARGEST_LIMIT}, not {text[:20]!r}")
    return int(text)


def _timeout(request: Request) -> float:
    text = request.headers.get(TIMEOUT_HEADER)
    if text is None:
        return DEFAULT_TIMEOUT_MS / 1000
    if not text.strip().isdigit() or int(text) > LONGEST_TIMEOUT_MS:
        raise QueryRefused(f"{TIMEOUT_HEADER} is milliseconds up to {LONGEST_TIMEOUT_MS}, not {text[:20]!r}")
    return int(text) / 1000


async def _http_problem(_request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    return problem(error.status_code, "HTTP", str(error.detail))


async def _defect(_request: Request, error: Exception) -> Response:
    return problem(500, "DEFECT", f"a defect of seam: {type(error).__name__}")
