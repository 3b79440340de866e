"""`seam view ...`: parse, bind options, call one function, print its result."""

from __future__ import annotations

import signal
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any

import orjson
import typer

from cdc.errors import ConfigError, OperatorError, SeamError
from cdc.kafka.progress import ProgressFeed
from cdc.properties import ConfigFile, load
from cdc.report import Finding
from connectors.console import STDERR, STDOUT, Output, bytes_text, tell, write_json, write_table
from views.batch import Row
from views.errors import ViewBusy, ViewNotBuilt
from views.generations import Generations
from views.keys import candidates, key_columns, key_text
from views.kinds import open_store
from views.memory_use import collect_seldom
from views.options import ViewConfig, read_view, view_names
from views.runner import View
from views.status import view_status
from views.store import Store

app = typer.Typer(
    no_args_is_help=True, add_completion=False, help="Views: state built from topics, in memory, RocksDB or SQLite."
)

File = Annotated[Path, typer.Argument(help="seam.toml with \\[views.NAME].")]
Only = Annotated[str | None, typer.Option("--only", help="The view, of a file with several.")]
Servers = Annotated[
    str | None,
    typer.Option("--bootstrap-servers", envvar="SEAM_BOOTSTRAP_SERVERS", help="Kafka brokers, host:port,..."),
]
Topic = Annotated[str | None, typer.Option("--topic", help="Which, in a view of several.")]
Limit = Annotated[int, typer.Option("--limit", min=1, help="How many rows at most.")]
OutputOption = Annotated[Output, typer.Option("--output", help="A table for people or JSON for programs.")]

FETCHING_SECONDS = 0.5
"""How long the server lets its views ask for their first records before it imports what answers."""

PATIENCE_SECONDS = 20.0
"""How long a command that ends by itself lets a view try again before it ends with what the view cannot overcome."""


class NoSuchKey(OperatorError):
    """The view has no row of that key."""

    code = "NO_SUCH_KEY"


def _configs(file: ConfigFile, only: str | None, servers: str | None) -> list[ViewConfig]:
    return [read_view(file, name, bootstrap_servers=servers) for name in view_names(file, only)]


def _config(path: Path, only: str | None, servers: str | None) -> ViewConfig:
    file = load(path)
    names = view_names(file, only)
    if len(names) > 1:
        raise ConfigError(f"the file holds the views {', '.join(names)}", hint="name one with --only NAME")
    return read_view(file, names[0], bootstrap_servers=servers)


@app.command()
def run(
    file: File,
    only: Only = None,
    once: Annotated[bool, typer.Option("--once", help="End when complete as of the start.")] = False,
    bootstrap_servers: Servers = None,
    output: OutputOption = Output.table,
) -> None:
    """Keep views up to date."""
    collect_seldom()
    views = [View(config, on_finding=tell) for config in _configs(load(file), only, bootstrap_servers)]
    stop = _stop_on_signals()
    with _running(views):
        _until_complete(views, stop, patience=PATIENCE_SECONDS if once else None)
        if not once:
            _until_stopped(views, stop)
        found = [view_status(view.config, view) for view in views]
    if output is Output.json:
        write_json({"views": found})
    else:
        for row in found:
            STDERR.print(f"{row['view']}: {row['rows']} rows, {row['applied']} records applied")


@app.command()
def serve(
    file: File,
    only: Only = None,
    host: Annotated[str, typer.Option("--host", help="The address to listen on.")] = "127.0.0.1",
    port: Annotated[int, typer.Option("--port", min=0, max=65535, help="The port; 0 takes a free one.")] = 8085,
    bootstrap_servers: Servers = None,
) -> None:
    """Keep views up to date and answer over HTTP."""
    collect_seldom()
    loaded = load(file)
    configs = _configs(loaded, only, bootstrap_servers)
    feed = ProgressFeed(configs[0].kafka)
    views = [View(config, on_finding=tell, feed=feed) for config in configs]
    topics = {topic for config in configs for topic in config.topics}
    stop = _stop_on_signals()
    with _running(views):
        # Imported while the first records come in: two threads that import get in each other's way.
        deadline = time.monotonic() + FETCHING_SECONDS
        for view in views:
            view.meter.fetching.wait(max(0.0, deadline - time.monotonic()))
        from views.databases import probe_of
        from views.http_server import HttpServer

        server = HttpServer({v.config.name: v for v in views}, host=host, port=port, probe=probe_of(loaded, topics))
        threading.Thread(target=_say_when_complete, args=(views, stop), name="say", daemon=True).start()
        server.run(stop, lambda: STDERR.print(f"listening on http://{server.host}:{server.port}/views"))
    feed.close()


def _say_when_complete(views: list[View], stop: threading.Event) -> None:
    """Say it of each view; end the server when there is none that could answer."""
    waiting = list(views)
    while waiting and not stop.wait(0.05):
        for view in [v for v in waiting if v.complete.is_set() or v.ended.is_set()]:
            waiting.remove(view)
            if view.complete.is_set():
                STDERR.print(f"{view.config.name}: complete after {view.meter.loaded_seconds:.2f} s")
    if all(view.ended.is_set() and not view.complete.is_set() for view in views):
        stop.set()


@app.command()
def get(
    file: File,
    key: Annotated[str, typer.Argument(help="The value of a one-column key, or the key as JSON.")],
    only: Only = None,
    topic: Topic = None,
    bootstrap_servers: Servers = None,
) -> None:
    """Print one row as JSON."""
    config = _config(file, only, bootstrap_servers or _unless_memory(file, only))
    with _opened(config) as store:
        for candidate in candidates(key, key_columns(store, topic, config.key)):
            row = store.get(candidate, topic)
            if row is not None:
                STDOUT.print(row.value.decode(), markup=False, soft_wrap=True)
                return
    raise NoSuchKey(f"view {config.name} has no row of key {key!r}")


@app.command()
def search(
    file: File,
    text: Annotated[str, typer.Argument(help='Words, "phrases", AND, OR, NOT, prefix*.')],
    only: Only = None,
    topic: Topic = None,
    limit: Limit = 20,
    bootstrap_servers: Servers = None,
    output: OutputOption = Output.table,
) -> None:
    """Full-text search, the best rows first."""
    from views.sqlite import SqliteStore

    config = _config(file, only, bootstrap_servers or _unless_memory(file, only))
    if config.kind != "sqlite" or not config.search:
        raise ConfigError(f'view {config.name} has no full text: it needs kind = "sqlite" and search = [...]')
    with _opened(config) as store:
        assert isinstance(store, SqliteStore)
        rows = store.search(text, limit=limit, topic=topic)
    if output is Output.json:
        write_json({"rows": [_row_json(row) for row in rows]})
    else:
        write_table("Found", ("key", "row"), [(key_text(row.key), row.value.decode()) for row in rows])


@app.command()
def sql(
    file: File,
    query: Annotated[str, typer.Argument(help="One SELECT over the topics' tables, or over result.")],
    only: Only = None,
    limit: Limit = 10_000,
    bootstrap_servers: Servers = None,
    output: OutputOption = Output.table,
) -> None:
    """Ask a SQLite view in SQL; nothing can be written."""
    from views.sqlite import SqliteStore

    config = _config(file, only, bootstrap_servers or _unless_memory(file, only))
    if config.kind != "sqlite":
        raise ConfigError(f'view {config.name} cannot be asked in SQL: it needs kind = "sqlite"')
    with _opened(config) as store:
        assert isinstance(store, SqliteStore)
        names, rows = store.sql(query, limit=limit)
    if output is Output.json:
        write_json({"columns": names, "rows": [[_cell(value) for value in row] for row in rows]})
    else:
        write_table(config.name, names, [[_cell(value) for value in row] for row in rows])


@app.command()
def rebuild(file: File, only: Only = None, bootstrap_servers: Servers = None) -> None:
    """Build a view anew from its topics; readers see the old store until the new one is complete."""
    config = _config(file, only, bootstrap_servers)
    stop = _stop_on_signals()
    if config.path is None:
        raise ConfigError(f"view {config.name} lives in memory only: it is built anew at every start")
    generations = Generations(config.path)
    before = generations.current()
    if config.kind != "memory" and generations.locked_by_another():
        generations.ask_for_rebuild()
        STDERR.print("asked the process that keeps the view up to date")
        with STDERR.status("rebuilding"):
            while generations.current() == before and not stop.wait(0.1):
                if not generations.locked_by_another():
                    raise ViewBusy("the process that kept the view up to date has ended", hint="call again")
        return
    view = View(config, on_finding=tell, fresh=True)
    with _running([view]):
        _until_complete([view], stop, patience=PATIENCE_SECONDS)


@app.command()
def status(
    file: File, only: Only = None, bootstrap_servers: Servers = None, output: OutputOption = Output.table
) -> None:
    """Rows, position, lag and dead letters of each view, as it is stored."""
    found = [view_status(config) for config in _configs(load(file), only, bootstrap_servers)]
    if output is Output.json:
        write_json({"views": found})
        return
    write_table(
        "Views",
        ("view", "kind", "phase", "rows", "size", "behind", "dead letters", "last error"),
        [
            (
                row["view"], row["kind"], row["phase"], row["rows"], bytes_text(row["bytes"]),
                "-" if row["behind"] is None else f"{row['behind']} records", row["dead_letters"], row["last_error"],
            )
            for row in found
        ],
    )  # fmt: skip


# -- running ---------------------------------------------------------------------------------------------------------


def _stop_on_signals() -> threading.Event:
    """The first SIGTERM or SIGINT ends gracefully, a second one at once."""
    stop = threading.Event()

    def on_signal(number: int, _frame: Any) -> None:
        if stop.is_set():
            raise SystemExit(128 + number)
        stop.set()

    signal.signal(signal.SIGTERM, on_signal)
    signal.signal(signal.SIGINT, on_signal)
    return stop


@contextmanager
def _running(views: list[View]) -> Iterator[None]:
    started: list[View] = []
    try:
        for view in views:
            view.start()
            started.append(view)
        yield
    finally:
        for view in started:
            view.stop()
    for view in views:
        if view.error is not None:
            raise view.error


def _until_complete(views: list[View], stop: threading.Event, *, patience: float | None = None) -> None:
    """Wait until views are complete, or have ended, or have tried again and again for so many seconds."""
    waiting = _waiting(views, stop, patience)
    if not STDERR.is_terminal:
        for _ in waiting:
            pass
        return
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=STDERR, transient=True) as progress:
        tasks = {view: progress.add_task(view.config.name, total=None) for view in views}
        for _ in waiting:
            for view, task in tasks.items():
                if (backlog := view.meter.backlog) is not None:
                    progress.update(task, completed=backlog.read, total=max(backlog.total, backlog.read))


def _waiting(views: list[View], stop: threading.Event, patience: float | None) -> Iterator[None]:
    calm = time.monotonic()
    while not all(view.complete.is_set() or view.ended.is_set() for view in views) and not stop.wait(0.05):
        trouble = next((view.trouble for view in views if view.trouble is not None), None)
        if trouble is None:
            calm = time.monotonic()
        elif patience is not None and time.monotonic() - calm > patience:
            raise trouble
        yield


def _until_stopped(views: list[View], stop: threading.Event) -> None:
    while not stop.wait(0.2):
        if all(view.ended.is_set() for view in views):
            return


@contextmanager
def _opened(config: ViewConfig) -> Iterator[Store]:
    """A view's store, read beside whoever keeps it up to date; a memory image is loaded first."""
    if config.kind == "memory":
        view = View(config, on_finding=_quiet)
        with _running([view]):
            _until_complete([view], threading.Event(), patience=PATIENCE_SECONDS)
            view.wait_complete(0.0)
            with view.reading() as store:
                yield store
        return
    assert config.path is not None
    generations = Generations(config.path)
    for attempt in range(5):
        number = generations.current()
        if number is None:
            raise ViewNotBuilt(
                f"view {config.name}: nothing is built at {config.path}", hint="seam view run FILE --once"
            )
        try:
            store = open_store(config, generations.store(number), read_only=True)
        except SeamError:
            # The store was replaced or compacted between two steps of opening it.
            if attempt == 4:
                raise
            time.sleep(0.1)
            continue
        break
    with store:
        yield store


def _unless_memory(file: Path, only: str | None) -> str | None:
    """A stored view is read without Kafka, so that its address is not needed."""
    loaded = load(file)
    names = view_names(loaded, only)
    kinds = {loaded.views[name].get("kind", "memory") for name in names}
    return "unused:0" if "memory" not in kinds and "bootstrap.servers" not in loaded.worker else None


def _quiet(_finding: Finding) -> None:
    return


def _row_json(row: Row) -> dict[str, Any]:
    return {"key": key_text(row.key), "row": orjson.Fragment(row.value), "position": row.position}


def _cell(value: Any) -> Any:
    return value.decode("utf-8", "replace") if isinstance(value, bytes) else value
