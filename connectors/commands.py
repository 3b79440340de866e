"""`seam connectors`: connectors on Kafka Connect as files ask for them, and day-to-day work on them."""

from __future__ import annotations

import signal
import sys
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import typer

from cdc.errors import BrokerUnavailable, ConfigError
from cdc.report import Finding
from connectors import export as exporting
from connectors import offsets as offset_work
from connectors import show
from connectors.apply import Applier, ApplyFailed, ApplyInterrupted, Outcome
from connectors.cluster import examine, examine_all, observe
from connectors.connect_api import ConnectApi
from connectors.connect_settings import ConnectSettings, connect_settings
from connectors.connect_types import Offset
from connectors.console import Output, write_json
from connectors.desired import DesiredSet, read, section
from connectors.lock import exclusive
from connectors.operate import Operator, status_document
from connectors.overview import drifted, explained, learn_plugins, listed, shown
from connectors.plan import Observed, Plan, make_plan
from connectors.templates import PRESETS
from connectors.templates import kinds as template_kinds
from connectors.templates import template as make_template

app = typer.Typer(name="connectors", help=__doc__, no_args_is_help=True, add_completion=False)
offsets_app = typer.Typer(name="offsets", help="Offsets of a connector; it is stopped meanwhile.", no_args_is_help=True)
app.add_typer(offsets_app)


class Format(StrEnum):
    """A form of configuration file."""

    TOML = "toml"
    PROPERTIES = "properties"


FileArgument = Annotated[
    Path, typer.Argument(metavar="FILE|DIR", help="Connect JSON, .properties, seam.toml, or a directory of these.")
]
NameArgument = Annotated[str, typer.Argument(metavar="NAME", help="The connector.")]
UrlOption = Annotated[
    str | None,
    typer.Option(
        "--connect-url", help="Workers of the cluster, separated by commas. Or SEAM_CONNECT_URL, or [connect] url."
    ),
]
OutputOption = Annotated[Output, typer.Option("--output", help="A table for people, or one JSON document.")]
ServersOption = Annotated[
    str | None,
    typer.Option("--bootstrap-servers", envvar="SEAM_BOOTSTRAP_SERVERS", help="Kafka brokers, host:port,..."),
]
OnlyOption = Annotated[list[str] | None, typer.Option("--only", help="This connector of the files; may be repeated.")]
SetOption = Annotated[list[str] | None, typer.Option("--set", help="name=value over each connector; may be repeated.")]
PruneOption = Annotated[bool, typer.Option("--prune", help="Delete what carries our mark and stands in no file.")]
OfflineOption = Annotated[
    bool, typer.Option("--no-validate", help="Read the plugins' declarations, do not have the worker validate.")
]
UnknownOption = Annotated[bool, typer.Option("--allow-unknown-keys", help="Let misspelt-looking keys pass.")]
RefuseOption = Annotated[bool, typer.Option("--refuse-literal-secrets", help="A secret in a file is an error.")]
OwnerOption = Annotated[
    str | None, typer.Option("--owner", help="What our mark on the cluster's connectors says (default: seam).")
]
TimeoutOption = Annotated[float, typer.Option("--timeout", help="Seconds for a connector to get there.")]
SettleOption = Annotated[
    float, typer.Option("--settle", help="Seconds that connector and tasks must run without a pause.")
]
YesOption = Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")]


@contextmanager
def _cluster(
    url: str | None, content: Mapping[str, Any] | None = None, source: str | None = None
) -> Iterator[ConnectApi]:
    """The client for a command; `content` is a file's `[connect]`, else that of `seam.toml` here."""
    settings = connect_settings(section(None) if content is None else content, url=url, source=source)
    show.findings(settings.findings())
    with ConnectApi(settings) as api:
        yield api


def _check_chain(config: Mapping[str, str]) -> Iterable[Finding]:
    """Most connectors have no transforms, and need not wait for them to be imported."""
    if not config.get("transforms"):
        return ()
    from connectors.chain_check import check_chain

    return check_chain(config)


class _Planned:
    """What plan, apply and drift have in common: files, cluster, and what differs."""

    def __init__(
        self, file: Path, url: str | None, *, only: list[str] | None, settings: list[str] | None, stack: ExitStack
    ) -> None:
        self.everything: DesiredSet = read(file, settings=settings or ())
        self.desired: DesiredSet = self.everything.only(only or (), source=file)
        self.api = stack.enter_context(_cluster(url, self.everything.connect, str(file)))
        self.settings: ConnectSettings = self.api.settings
        for entry in self.desired.connectors.values():
            self.api.redaction.learn(entry.config)
        self.observed: dict[str, Observed] = {}

    def plan(self, *, prune: bool, validate: bool, owner: str | None) -> Plan:
        self.observed = observe(self.api)
        examinations = examine(self.api, self.desired.connectors, self.observed, validate=validate)
        for there in self.observed.values():
            self.api.redaction.learn(there.config)
        return make_plan(
            self.desired.connectors,
            self.observed,
            examinations,
            owner=owner or self.settings.owner,
            prune=prune,
            all_desired=list(self.everything.connectors),
            chain=_check_chain,
        )


@app.command()
def plan(
    file: FileArgument,
    connect_url: UrlOption = None,
    output: OutputOption = Output.table,
    only: OnlyOption = None,
    settings: SetOption = None,
    prune: PruneOption = False,
    no_validate: OfflineOption = False,
    allow_unknown_keys: UnknownOption = False,
    refuse_literal_secrets: RefuseOption = False,
    owner: OwnerOption = None,
    detailed_exitcode: Annotated[
        bool, typer.Option("--detailed-exitcode", help="Exit 2 when there are changes.")
    ] = False,
) -> None:
    """Show what an apply would change, key by key, and what is risky about it."""
    with ExitStack() as stack:
        planned = _Planned(file, connect_url, only=only, settings=settings, stack=stack)
        content = planned.plan(prune=prune, validate=not no_validate, owner=owner)
        _show_plan(content, planned.api, output)
        _refuse(content, file, allow_unknown_keys, refuse_literal_secrets)
    if detailed_exitcode and content.pending:
        raise typer.Exit(2)


@app.command()
def apply(
    file: FileArgument,
    connect_url: UrlOption = None,
    bootstrap_servers: ServersOption = None,
    output: OutputOption = Output.table,
    only: OnlyOption = None,
    settings: SetOption = None,
    prune: PruneOption = False,
    no_validate: OfflineOption = False,
    allow_unknown_keys: UnknownOption = False,
    refuse_literal_secrets: RefuseOption = False,
    owner: OwnerOption = None,
    yes: YesOption = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only show the plan.")] = False,
    settle: SettleOption = 3.0,
    timeout: TimeoutOption = 60.0,
    lock_timeout: Annotated[
        float, typer.Option("--lock-timeout", help="Seconds until another apply must have ended.")
    ] = 60.0,
) -> None:
    """Make the cluster as the files say, wait until it runs, and roll back what does not."""
    with ExitStack() as stack:
        planned = _Planned(file, connect_url, only=only, settings=settings, stack=stack)
        if not dry_run:
            _hold(stack, planned, bootstrap_servers, lock_timeout)
        content = planned.plan(prune=prune, validate=not no_validate, owner=owner)
        if dry_run or output is Output.table:
            _show_plan(content, planned.api, output)
        _refuse(content, file, allow_unknown_keys, refuse_literal_secrets)
        if dry_run:
            return
        if content.deletions:
            _confirm(f"delete {', '.join(change.connector for change in content.deletions)}?", yes)
        _let_sigterm_interrupt()
        applier = Applier(planned.api, settle=settle, timeout=timeout, report=show.step)
        try:
            outcomes: Sequence[Outcome] = applier.apply(content, planned.observed)
        except (ApplyFailed, ApplyInterrupted) as error:
            _show_outcomes(error.outcomes, output)
            raise
        _show_outcomes(outcomes, output)


def _hold(stack: ExitStack, planned: _Planned, servers: str | None, wait: float) -> None:
    """Keep other appliers out: on this machine always, on others where Kafka is named."""
    cluster = planned.api.server().kafka_cluster_id
    waiting = "another apply works on this cluster; waiting until it has ended"
    stack.enter_context(exclusive(cluster, wait=wait, waiting=lambda: show.say(waiting)))
    worker = planned.everything.worker
    if not (servers or worker.get("bootstrap.servers")):
        return
    from connectors.kafka_side import exclusive_everywhere, kafka_options

    options = kafka_options(worker, servers)
    assert options is not None
    try:
        stack.enter_context(exclusive_everywhere(options, cluster, wait=wait, waiting=lambda: show.say(waiting)))
    except BrokerUnavailable as error:
        if servers:
            raise
        show.say(f"appliers on other machines are not kept out: {error}")


@app.command()
def validate(
    file: FileArgument,
    connect_url: UrlOption = None,
    output: OutputOption = Output.table,
    only: OnlyOption = None,
    settings: SetOption = None,
    allow_unknown_keys: UnknownOption = False,
    refuse_literal_secrets: RefuseOption = False,
) -> None:
    """Have the worker validate every connector of the files, and check what it lets through."""
    with ExitStack() as stack:
        planned = _Planned(file, connect_url, only=only, settings=settings, stack=stack)
        examinations = examine_all(planned.api, planned.desired.connectors.values())
        content = make_plan(planned.desired.connectors, {}, examinations, chain=_check_chain)
        redaction = planned.api.redaction
        if output is Output.json:
            keep = ("connector", "problems", "findings", "notes", "file")
            documents = [{key: change.as_json(redaction)[key] for key in keep} for change in content.changes]
            write_json({"connectors": documents})
        else:
            show.validation(content, redaction)
        _refuse(content, file, allow_unknown_keys, refuse_literal_secrets)


@app.command()
def drift(
    file: FileArgument,
    connect_url: UrlOption = None,
    output: OutputOption = Output.table,
    settings: SetOption = None,
    owner: OwnerOption = None,
    detailed_exitcode: Annotated[bool, typer.Option("--detailed-exitcode", help="Exit 2 when there is drift.")] = False,
) -> None:
    """Show where the cluster is not as the files say: configurations, states, and connectors that no file names."""
    with ExitStack() as stack:
        planned = _Planned(file, connect_url, only=None, settings=settings, stack=stack)
        content = planned.plan(prune=True, validate=False, owner=owner)
        found = drifted(content, planned.observed, planned.api.redaction)
        if output is Output.json:
            write_json(found)
        else:
            show.drift(found, content, planned.api.redaction)
    if detailed_exitcode and found["drift"]:
        raise typer.Exit(2)


@app.command("list")
def list_(
    connect_url: UrlOption = None, bootstrap_servers: ServersOption = None, output: OutputOption = Output.table
) -> None:
    """List the connectors of the cluster: state, tasks, worker, version; with brokers the lag of sinks in offsets."""
    ends = None
    if bootstrap_servers:
        from connectors import kafka_side

        options = kafka_side.kafka_options({}, bootstrap_servers)
        ends = kafka_side.ends(options) if options is not None else None
    with _cluster(connect_url) as api:
        documents = listed(api, observe(api), ends)
    if output is Output.json:
        write_json({"connectors": documents})
    else:
        show.connectors(documents, lag=ends is not None)


@app.command("show")
def show_(name: NameArgument, connect_url: UrlOption = None, output: OutputOption = Output.table) -> None:
    """Show everything about one connector: state, configuration without secrets, topics, offsets."""
    with _cluster(connect_url) as api:
        found = shown(Operator(api), name)
    if output is Output.json:
        write_json(found)
    else:
        show.connector(found)


@app.command()
def status(
    name: Annotated[str | None, typer.Argument(metavar="[NAME]", help="One connector; default: all.")] = None,
    connect_url: UrlOption = None,
    output: OutputOption = Output.table,
    watch: Annotated[
        bool, typer.Option("--watch", help="Go on until interrupted; with --output json one line per change.")
    ] = False,
    every: Annotated[float, typer.Option("--every", help="Seconds between two looks of --watch.")] = 1.0,
) -> None:
    """Show connectors and tasks, with the cause of each failure and what to do about it."""
    with _cluster(connect_url) as api, suppress(*[KeyboardInterrupt] if watch else []):
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


@app.command()
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
    with _cluster(connect_url) as api:
        observed = observe(api)
        learn_plugins(api, observed)
        operator = Operator(api, settle=settle, timeout=timeout, say=show.say)
        results = [
            operator.restart(name, everything=everything, attempts=attempts) for name in names or sorted(observed)
        ]
    if output is Output.json:
        write_json({"restarts": [result.as_json() for result in results]})
    else:
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
    with _cluster(connect_url) as api:
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


NamesArgument = Annotated[list[str], typer.Argument(metavar="NAME...", help="The connectors.")]


@app.command()
def pause(
    names: NamesArgument,
    connect_url: UrlOption = None,
    output: OutputOption = Output.table,
    timeout: TimeoutOption = 60.0,
) -> None:
    """Pause connectors: tasks stay allocated and deliver nothing."""
    _each(names, connect_url, output, lambda api: Operator(api, timeout=timeout), Operator.pause, "PAUSED")


@app.command()
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


@app.command()
def stop(
    names: NamesArgument,
    connect_url: UrlOption = None,
    output: OutputOption = Output.table,
    timeout: TimeoutOption = 60.0,
) -> None:
    """Stop connectors: their tasks end, configuration and offsets stay."""
    _each(names, connect_url, output, lambda api: Operator(api, timeout=timeout), Operator.stop, "STOPPED")


@app.command()
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
    _confirm(f"delete {', '.join(names)} {kept}?", yes)

    def deed(operator: Operator, name: str) -> None:
        operator.delete(name, offsets=offsets)

    _each(names, connect_url, output, lambda api: Operator(api, timeout=timeout), deed, "deleted")


@app.command()
def export(
    directory: Annotated[Path, typer.Argument(metavar="DIR", help="Where one file per connector is written.")],
    names: Annotated[list[str] | None, typer.Argument(metavar="[NAME]...", help="Default: all.")] = None,
    connect_url: UrlOption = None,
    output: OutputOption = Output.table,
    force: Annotated[bool, typer.Option("--force", help="Replace files that are there.")] = False,
) -> None:
    """Write a live cluster into files, with references in place of secrets."""
    with _cluster(connect_url) as api:
        observed = observe(api)
        learn_plugins(api, observed)
        operator = Operator(api)
        for name in names or ():
            operator.existing(name)
        chosen = [exporting.exported(name, observed[name].config, api.redaction) for name in sorted(names or observed)]
    files = exporting.write_files(chosen, directory, force=force)
    if output is Output.json:
        documents = [
            {"name": one.name, "file": str(files[one.name]), "variables": dict(one.variables)} for one in chosen
        ]
        write_json({"connectors": documents})
        return
    for one in chosen:
        show.say_result(f"{one.name}: {files[one.name]}")
        for variable, key in one.variables.items():
            show.say(f"    {variable} must hold the value of {key} on every worker (config.providers=env)")


@app.command()
def plugins(
    connect_url: UrlOption = None,
    output: OutputOption = Output.table,
    everything: Annotated[bool, typer.Option("--all", help="Converters, transforms and predicates too.")] = False,
) -> None:
    """List the plugins that are installed on the worker, with their versions."""
    with _cluster(connect_url) as api:
        found = sorted(api.plugins(connectors_only=not everything), key=lambda plugin: (plugin.type, plugin.class_))
    if output is Output.json:
        write_json({"plugins": [{"class": p.class_, "type": p.type, "version": p.version} for p in found]})
    else:
        show.plain_table(("type", "class", "version"), [(p.type, p.class_, p.version or "") for p in found])


@app.command()
def explain(
    key: Annotated[str, typer.Argument(metavar="KEY", help="A key of a connector's configuration.")],
    plugin: Annotated[
        str | None, typer.Option("--plugin", help="As this plugin declares it; default: every plugin that does.")
    ] = None,
    connect_url: UrlOption = None,
    output: OutputOption = Output.table,
) -> None:
    """Tell what a key means, its type and default, and what is risky about changing it."""
    with _cluster(connect_url) as api:
        found = explained(api, key, plugin)
    if not found["definitions"] and found["risk"] is None:
        raise ConfigError(f"no installed plugin declares {key}", hint="seam connectors plugins lists what is installed")
    if output is Output.json:
        write_json(found)
    else:
        show.explanation(found)


@app.command()
def template(
    kind: Annotated[str | None, typer.Argument(metavar="[KIND]", help="The system; default: list them.")] = None,
    name: Annotated[str | None, typer.Option("--name", help="The connector's name (default: the kind).")] = None,
    preset: Annotated[
        list[str] | None, typer.Option("--preset", help=f"Transforms: {', '.join(PRESETS)}; may be repeated.")
    ] = None,
    format: Annotated[
        Format, typer.Option("--format", help="Of the file that is written to standard output.")
    ] = Format.TOML,
    output: OutputOption = Output.table,
) -> None:
    """Write a complete, commented configuration for a system, with a check list for the system's own side."""
    if kind is None:
        titles = template_kinds()
        if output is Output.json:
            write_json(
                {"kinds": [{"kind": kind, "title": title} for kind, title in titles.items()], "presets": PRESETS}
            )
        else:
            show.plain_table(("kind", "what it is"), titles.items())
        return
    made = make_template(kind, name=name, presets=preset or ())
    if output is Output.json:
        write_json({"name": made.name, "config": made.config})
        for entry in made.checklist:
            show.say(f"[ ] {entry}")
    else:
        sys.stdout.write(made.properties() if format is Format.PROPERTIES else made.text)


@offsets_app.command("show")
def offsets_show(name: NameArgument, connect_url: UrlOption = None, output: OutputOption = Output.table) -> None:
    """Show the offsets stored for a connector."""
    with _cluster(connect_url) as api:
        operator = Operator(api)
        operator.existing(name)
        documents = offset_work.as_documents(api.offsets(name))
    if output is Output.json:
        write_json({"connector": name, "offsets": documents})
    else:
        show.offsets(documents)


@offsets_app.command("set")
def offsets_set(
    name: NameArgument,
    file: Annotated[Path, typer.Argument(metavar="FILE", help="JSON as `offsets show --output json` writes it.")],
    connect_url: UrlOption = None,
    output: OutputOption = Output.table,
    timeout: TimeoutOption = 60.0,
    settle: SettleOption = 3.0,
) -> None:
    """Set offsets of a connector; it is stopped for that and then goes on as before."""
    wanted = offset_work.read_offsets(file)
    _change_offsets(name, connect_url, output, (settle, timeout), lambda _operator: lambda _before: wanted)


@offsets_app.command("reset")
def offsets_reset(
    name: NameArgument,
    connect_url: UrlOption = None,
    output: OutputOption = Output.table,
    timeout: TimeoutOption = 60.0,
    settle: SettleOption = 3.0,
) -> None:
    """Forget all offsets of a connector; it starts as its snapshot.mode or auto.offset.reset says."""
    _change_offsets(name, connect_url, output, (settle, timeout), lambda _operator: lambda _before: None)


@offsets_app.command("copy")
def offsets_copy(
    source: Annotated[str, typer.Argument(metavar="FROM", help="The connector whose offsets are read.")],
    target: Annotated[str, typer.Argument(metavar="TO", help="The connector that gets them.")],
    connect_url: UrlOption = None,
    output: OutputOption = Output.table,
    timeout: TimeoutOption = 60.0,
    settle: SettleOption = 3.0,
) -> None:
    """Give a connector the offsets of another one, under its own topic prefix."""

    def prepare(operator: Operator) -> Callable[[list[Offset]], Sequence[Offset]]:
        configs = operator.existing(source), operator.existing(target)
        stored = operator.api.offsets(source)
        if not stored:
            raise ConfigError(f"{source} has no offsets that could be copied")
        return lambda _before: offset_work.translated(stored, *configs)

    _change_offsets(target, connect_url, output, (settle, timeout), prepare)


def _change_offsets(
    name: str,
    connect_url: str | None,
    output: Output,
    patience: tuple[float, float],
    prepare: Callable[[Operator], Callable[[list[Offset]], Sequence[Offset] | None]],
) -> None:
    with _cluster(connect_url) as api:
        operator = Operator(api, settle=patience[0], timeout=patience[1])
        change = offset_work.change(operator, name, prepare(operator))
    if output is Output.json:
        write_json(change.as_json())
    else:
        show.offset_change(change)


def _let_sigterm_interrupt() -> None:
    """A service manager's signal ends an apply with the message of what is and what is not, as Ctrl-C does."""
    if threading.current_thread() is threading.main_thread():
        signal.signal(signal.SIGTERM, signal.default_int_handler)


def _show_plan(content: Plan, api: ConnectApi, output: Output) -> None:
    if output is Output.json:
        write_json(content.as_json(api.redaction))
    else:
        show.plan(content, api.redaction)


def _show_outcomes(outcomes: Sequence[Outcome], output: Output) -> None:
    if output is Output.json:
        write_json({"outcomes": [outcome.as_json() for outcome in outcomes]})
    else:
        show.outcomes(outcomes)


def _refuse(content: Plan, file: Path, allow_unknown_keys: bool, refuse_literal_secrets: bool) -> None:
    problems = content.problems(allow_unknown_keys=allow_unknown_keys, refuse_literal_secrets=refuse_literal_secrets)
    if problems:
        raise ConfigError(problems, source=str(file))


def _confirm(question: str, yes: bool) -> None:
    if yes:
        return
    if not sys.stdin.isatty():
        raise ConfigError(f"not done without an answer: {question}", hint="give --yes")
    typer.confirm(question, abort=True, err=True)
