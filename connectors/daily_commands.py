"""`seam connectors list, show, status, restart, pause, ...`: day-to-day work on the connectors of a cluster."""

from __future__ import annotations

import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from typing import Annotated, Any

import typer

from cdc.errors import ConfigError
from connectors import show
from connectors.cluster import observe
from connectors.connect_api import ConnectApi
from connectors.connect_settings import connect_settings
from connectors.console import Output, write_json
from connectors.desired import section
from connectors.operate import Operator, status_document
from connectors.overview import explained, learn_plugins, listed, shown

daily = typer.Typer(add_completion=False)

NameArgument = Annotated[str, typer.Argument(metavar="NAME", help="The connector.")]
NamesArgument = Annotated[list[str], typer.Argument(metavar="NAME...", help="The connectors.")]
UrlOption = Annotated[
    str | None,
    typer.Option(
        "--connect-url", help="Workers of the cluster, separated by commas. Or SEAM_CONNECT_URL, or \\[connect] url."
    ),
]
OutputOption = Annotated[Output, typer.Option("--output", help="A table for people, or one JSON document.")]
ServersOption = Annotated[
    str | None,
    typer.Option("--bootstrap-servers", envvar="SEAM_BOOTSTRAP_SERVERS", help="Kafka brokers, host:port,..."),
]
TimeoutOption = Annotated[float, typer.Option("--timeout", min=0, help="Seconds for a connector to get there.")]
SettleOption = Annotated[
    float, typer.Option("--settle", min=0, help="Seconds that connector and tasks must run without a pause.")
]
YesOption = Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")]


@contextmanager
def open_cluster(
    url: str | None, content: Mapping[str, Any] | None = None, source: str | None = None
) -> Iterator[ConnectApi]:
    """The client for a command; `content` is a file's `[connect]`, else that of `seam.toml` here."""
    settings = connect_settings(section(None) if content is None else content, url=url, source=source)
    show.findings(settings.findings())
    with ConnectApi(settings) as api:
        yield api


def confirm(question: str, yes: bool) -> None:
    """Ask before something is taken away; without a terminal nobody can answer.

    Raises:
        ConfigError: Nobody can answer, and `--yes` was not given.
    """
    if yes:
        return
    if not sys.stdin.isatty():
        raise ConfigError(f"not done without an answer: {question}", hint="give --yes")
    typer.confirm(question, abort=True, err=True)


def let_sigterm_interrupt() -> None:
    """A service manager's signal ends a command with the message of what is and what is not, as Ctrl-C does."""
    if threading.current_thread() is threading.main_thread():
        signal.signal(signal.SIGTERM, signal.default_int_handler)


@daily.command("list")
def list_(
    connect_url: UrlOption = None, bootstrap_servers: ServersOption = None, output: OutputOption = Output.table
) -> None:
    """List the connectors of the cluster: state, tasks, worker, version; with brokers the lag of sinks in offsets."""
    ends = None
    if bootstrap_servers:
        from connectors import kafka_side

        options = kafka_side.kafka_options({}, bootstrap_servers)
        ends = kafka_side.ends(options) if options is not None else None
    with open_cluster(connect_url) as api:
        documents = listed(api, observe(api), ends)
    if output is Output.json:
        write_json({"connectors": documents})
    else:
        show.connectors(documents, lag=ends is not None)


@daily.command("show")
def show_(name: NameArgument, connect_url: UrlOption = None, output: OutputOption = Output.table) -> None:
    """Show everything about one connector: state, configuration without secrets, topics, offsets."""
    with open_cluster(connect_url) as api:
        found = shown(Operator(api), name)
    if output is Output.json:
        write_json(found)
    else:
        show.connector(found)


@daily.command()
def status(
    name: Annotated[str | None, typer.Argument(metavar="[NAME]", help="One connector; default: all.")] = None,
    connect_url: UrlOption = None,
    output: OutputOption = Output.table,
    watch: Annotated[
        bool, typer.Option("--watch", help="Go on until interrupted; with --output json one line per change.")
    ] = False,
    every: Annotated[float, typer.Option("--every", min=0.01, help="Seconds between two looks of --watch.")] = 1.0,
) -> None:
    """Show connectors and tasks, with the cause of each failure and what to do about it."""
    with open_cluster(connect_url) as api, suppress(*[KeyboardInterrupt] if watch else []):
        operator = Operator(api)
        learn_plugins(api, observe(api))
        last: list[dict[str, Any]] | None = None
        while True:
            if name is not None:
                operator.existing(name)
            statuses = {name: api.status(name)} if name is not None else dict(sorted(api.statuses().items()))
            documents = [status_document(n, s, api.redaction.text) for n, s in statuses.items()]
            if documents != last:
                _show_statuses(documents, output, watch=watch)
            if not watch:
                return
            last = documents
            time.sleep(every)


def _show_statuses(documents: list[dict[str, Any]], output: Output, *, watch: bool) -> None:
    if output is Output.table:
        show.statuses(documents)
    elif watch:
        show.line({"connectors": documents})
    else:
        write_json({"connectors": documents})


@daily.command()
def restart(
    names: Annotated[
        list[str] | None, typer.Argument(metavar="[NAME]...", help="Default: every connector that has failed.")
    ] = None,
    connect_url: UrlOption = None,
    output: OutputOption = Output.table,
    everything: Annotated[bool, typer.Option("--everything", help="Restart what runs, too.")] = False,
    timeout: TimeoutOption = 60.0,
    settle: SettleOption = 3.0,
    attempts: Annotated[int, typer.Option("--attempts", min=1, help="Tries before it is given up.")] = 3,
) -> None:
    """Restart only what failed, with growing pauses between the tries; Debezium for Postgres in its safe form."""
    with open_cluster(connect_url) as api:
        observed = observe(api)
        learn_plugins(api, observed)
        operator = Operator(api, settle=settle, timeout=timeout, say=show.say)
        results = [
            operator.restart(name, everything=everything, attempts=attempts) for name in names or sorted(observed)
        ]
    if output is Output.json:
        write_json({"restarts": [result.as_json() for result in results]})
    else:
        if not results:
            show.say_result("the cluster has no connectors")
        for result in results:
            show.say_result(f"{result.connector}: {result.form} {', '.join(result.restarted)} {result.note}".strip())


def _each(
    names: list[str],
    connect_url: str | None,
    output: Output,
    operator_of: Callable[[ConnectApi], Operator],
    deed: Callable[[Operator, str], None],
    state: str,
) -> None:
    with open_cluster(connect_url) as api:
        operator = operator_of(api)
        for name in names:
            operator.existing(name)
        for name in names:
            deed(operator, name)
    if output is Output.json:
        write_json({"connectors": [{"name": name, "state": state} for name in names]})
    else:
        for name in names:
            show.say_result(f"{name}: {state}")


@daily.command()
def pause(
    names: NamesArgument,
    connect_url: UrlOption = None,
    output: OutputOption = Output.table,
    timeout: TimeoutOption = 60.0,
) -> None:
    """Pause connectors: tasks stay allocated and deliver nothing."""
    _each(names, connect_url, output, lambda api: Operator(api, timeout=timeout), Operator.pause, "PAUSED")


@daily.command()
def resume(
    names: NamesArgument,
    connect_url: UrlOption = None,
    output: OutputOption = Output.table,
    timeout: TimeoutOption = 60.0,
    settle: SettleOption = 3.0,
) -> None:
    """Resume paused or stopped connectors, and wait until they run."""
    _each(
        names,
        connect_url,
        output,
        lambda api: Operator(api, settle=settle, timeout=timeout),
        Operator.resume,
        "RUNNING",
    )


@daily.command()
def stop(
    names: NamesArgument,
    connect_url: UrlOption = None,
    output: OutputOption = Output.table,
    timeout: TimeoutOption = 60.0,
) -> None:
    """Stop connectors: their tasks end, configuration and offsets stay."""
    _each(names, connect_url, output, lambda api: Operator(api, timeout=timeout), Operator.stop, "STOPPED")


@daily.command()
def delete(
    names: NamesArgument,
    connect_url: UrlOption = None,
    output: OutputOption = Output.table,
    offsets: Annotated[bool, typer.Option("--offsets", help="Forget the offsets too.")] = False,
    yes: YesOption = False,
    timeout: TimeoutOption = 60.0,
) -> None:
    """Delete connectors; their offsets stay, so that the same name goes on from them, unless told otherwise."""
    kept = "and forget their offsets" if offsets else "(their offsets stay)"
    confirm(f"delete {', '.join(names)} {kept}?", yes)

    def deed(operator: Operator, name: str) -> None:
        operator.delete(name, offsets=offsets)

    _each(names, connect_url, output, lambda api: Operator(api, timeout=timeout), deed, "deleted")


@daily.command()
def plugins(
    connect_url: UrlOption = None,
    output: OutputOption = Output.table,
    everything: Annotated[bool, typer.Option("--all", help="Converters, transforms and predicates too.")] = False,
) -> None:
    """List the plugins that are installed on the worker, with their versions."""
    with open_cluster(connect_url) as api:
        found = sorted(api.plugins(connectors_only=not everything), key=lambda plugin: (plugin.type, plugin.class_))
    if output is Output.json:
        write_json({"plugins": [{"class": p.class_, "type": p.type, "version": p.version} for p in found]})
    else:
        show.plain_table(("type", "class", "version"), [(p.type, p.class_, p.version or "") for p in found])


@daily.command()
def explain(
    key: Annotated[str, typer.Argument(metavar="KEY", help="A key of a connector's configuration.")],
    plugin: Annotated[
        str | None, typer.Option("--plugin", help="As this plugin declares it; default: every plugin that does.")
    ] = None,
    connect_url: UrlOption = None,
    output: OutputOption = Output.table,
) -> None:
    """Tell what a key means, its type and default, and what is risky about changing it."""
    with open_cluster(connect_url) as api:
        found = explained(api, key, plugin)
    if not found["definitions"] and found["risk"] is None:
        near = f"; did you mean {found['near'][0]}?" if found["near"] else ""
        raise ConfigError(
            f"no installed plugin declares {key}{near}", hint="seam connectors plugins lists what is installed"
        )
    if output is Output.json:
        write_json(found)
    else:
        show.explanation(found)
