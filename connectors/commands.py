"""`seam connectors`: connectors on Kafka Connect as files ask for them, and day-to-day work on them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Annotated

import typer

from cdc.errors import BrokerUnavailable, ConfigError
from cdc.report import Finding
from connectors import show
from connectors.apply import Applier, ApplyFailed, ApplyInterrupted, Outcome
from connectors.cluster import examine, examine_all, observe
from connectors.connect_api import ConnectApi
from connectors.connect_settings import ConnectSettings
from connectors.console import Output, write_json
from connectors.daily_commands import (
    OutputOption,
    ServersOption,
    SettleOption,
    TimeoutOption,
    UrlOption,
    YesOption,
    confirm,
    daily,
    let_sigterm_interrupt,
    open_cluster,
)
from connectors.desired import DesiredSet, read
from connectors.files_commands import files
from connectors.lock import Journal, exclusive
from connectors.offsets_commands import offsets_app
from connectors.overview import drifted
from connectors.plan import Observed, Plan, make_plan

app = typer.Typer(name="connectors", help=__doc__, no_args_is_help=True, add_completion=False)

FileArgument = Annotated[
    Path, typer.Argument(metavar="FILE|DIR", help="Connect JSON, .properties, seam.toml, or a directory of these.")
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
        self.api = stack.enter_context(open_cluster(url, self.everything.connect, str(file)))
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
        float, typer.Option("--lock-timeout", min=0, help="Seconds until another apply must have ended.")
    ] = 60.0,
) -> None:
    """Make the cluster as the files say, wait until it runs, and roll back what does not."""
    journal: Journal | None = None
    with ExitStack() as stack:
        planned = _Planned(file, connect_url, only=only, settings=settings, stack=stack)
        if not dry_run:
            journal = _hold(stack, planned, bootstrap_servers, lock_timeout)
        content = planned.plan(prune=prune, validate=not no_validate, owner=owner)
        if dry_run or output is Output.table:
            _show_plan(content, planned.api, output)
        _refuse(content, file, allow_unknown_keys, refuse_literal_secrets)
        if dry_run:
            return
        if content.deletions:
            confirm(f"delete {', '.join(change.connector for change in content.deletions)}?", yes)
        let_sigterm_interrupt()
        applier = Applier(planned.api, settle=settle, timeout=timeout, report=show.step, journal=journal)
        try:
            outcomes: Sequence[Outcome] = applier.apply(content, planned.observed)
        except (ApplyFailed, ApplyInterrupted) as error:
            _show_outcomes(error.outcomes, output)
            raise
        _show_outcomes(outcomes, output)


def _hold(stack: ExitStack, planned: _Planned, servers: str | None, wait: float) -> Journal:
    """Keep other appliers out: on this machine always, on others where Kafka is named."""
    cluster = planned.api.server().kafka_cluster_id
    waiting = "another apply works on this cluster; waiting until it has ended"
    journal = stack.enter_context(exclusive(cluster, wait=wait, waiting=lambda: show.say(waiting)))
    worker = planned.everything.worker
    if not (servers or worker.get("bootstrap.servers")):
        return journal
    from connectors.kafka_side import exclusive_everywhere, kafka_options

    options = kafka_options(worker, servers)
    assert options is not None
    try:
        stack.enter_context(exclusive_everywhere(options, cluster, wait=wait, waiting=lambda: show.say(waiting)))
    except BrokerUnavailable as error:
        if servers:
            raise
        show.say(f"appliers on other machines are not kept out: {error}")
    return journal


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


app.add_typer(daily)
app.add_typer(files)
app.add_typer(offsets_app)
