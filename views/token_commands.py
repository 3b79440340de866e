"""`seam token` and `seam wait`: read-your-writes from the command line."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Annotated

import typer

from cdc.errors import ConfigError, WaitExpired
from cdc.frontier import Frontier, Outcome, Waited
from cdc.kafka.client import client_options
from cdc.kafka.progress import ProgressFeed
from cdc.postgres.connection import connect
from cdc.properties import load, resolve
from cdc.tokens import AnyToken, after_commit, parse_token
from cdc.topic_wait import wait_for_topic
from connectors.console import STDOUT, Output, write_json
from views.databases import probe_of, source_of
from views.generations import Generations
from views.kinds import open_store
from views.loading import places_of
from views.options import ViewConfig, read_view

_POLL_SECONDS = 0.02

File = Annotated[Path, typer.Argument(help="A connector configuration or seam.toml.")]
Servers = Annotated[
    str | None,
    typer.Option("--bootstrap-servers", envvar="SEAM_BOOTSTRAP_SERVERS", help="Kafka brokers, host:port,..."),
]


def token(
    file: File,
    only: Annotated[str | None, typer.Option("--only", help="The connector, of a file with several.")] = None,
    output: Annotated[Output, typer.Option("--output", help="A text for people or JSON for programs.")] = Output.table,
) -> None:
    """Print a token of everything that is committed now in the connector's database."""
    _, properties = load(file).connector(only)
    with connect(source_of(properties, origin=str(file))) as connection:
        taken = after_commit(connection)
    if output is Output.json:
        write_json({"token": str(taken)})
    else:
        STDOUT.print(str(taken), markup=False, soft_wrap=True)


def wait(
    file: File,
    text: Annotated[str, typer.Argument(metavar="TOKEN", help="What `seam token` or an application gave.")],
    topic: Annotated[str | None, typer.Option("--topic", help="Wait until this topic holds the write.")] = None,
    view: Annotated[str | None, typer.Option("--view", help="Wait until this stored view shows the write.")] = None,
    timeout: Annotated[int, typer.Option("--timeout", min=0, help="Milliseconds.")] = 5000,
    bootstrap_servers: Servers = None,
    output: Annotated[
        Output, typer.Option("--output", help="A sentence for people or JSON for programs.")
    ] = Output.table,
) -> None:
    """Wait until a write is in a topic or shown by a view; exit code 6 when it is not."""
    loaded = load(file)
    asked = parse_token(text)
    if (topic is None) == (view is None):
        raise ConfigError("name what is waited for: --topic TOPIC or --view NAME")
    if view is not None:
        config = read_view(loaded, view, bootstrap_servers=bootstrap_servers)
        waited = wait_for_stored(asked, config, timeout / 1000)
    else:
        assert topic is not None
        worker = resolve(loaded.worker, source=str(file))
        servers = bootstrap_servers or worker.get("bootstrap.servers")
        if not servers:
            raise ConfigError("name Kafka's brokers with --bootstrap-servers, or in [worker] of seam.toml")
        kafka = client_options(servers, worker, prefix="consumer.")
        probe = probe_of(loaded, [topic])
        waited = wait_for_topic(asked, topic, timeout / 1000, kafka=kafka, probe=probe)
    if output is Output.json:
        write_json(waited.as_json())
    else:
        STDOUT.print(f"{waited.outcome.value} after {waited.seconds * 1000:.0f} ms", markup=False)
    if waited.outcome is not Outcome.VISIBLE:
        raise WaitExpired(f"the write is not shown: {waited.outcome.value}", hint=waited.reason or None)


def wait_for_stored(asked: AnyToken, config: ViewConfig, seconds: float) -> Waited:
    """Wait until a view that another process keeps up to date shows a write.

    Args:
        asked: The write.
        config: The view; of a kind that is stored.
        seconds: How long at most.

    Raises:
        ConfigError: The view lives in another process's memory.
        NoProgress: Nobody tells the progress of its topics.
        BrokerUnavailable: Kafka cannot be reached.
    """
    from cdc.kafka.follower import Follower

    if config.kind == "memory" or config.path is None:
        raise ConfigError(
            f"view {config.name} lives in the memory of its process",
            hint="ask it there: seam view serve takes the token in the header Seam-Token",
        )
    deadline = time.monotonic() + seconds

    def ends() -> dict[tuple[str, int], int]:
        with Follower(config.kafka) as asker:
            return asker.ends(places_of(asker, config))

    frontier = Frontier(config.topics, prefix=config.progress, partitions=config.partitions, ends=ends)
    generations = Generations(config.path)
    feed = ProgressFeed(config.kafka).start()
    try:
        feed.listen(frontier.told)
        feed.loaded.wait(seconds)
        waiter = frontier.register(asked)
        while waiter.outcome is None and time.monotonic() < deadline:
            number = generations.current()
            if number is not None:
                with open_store(config, generations.store(number), read_only=True) as store:
                    frontier.applied(store.state.offsets)
            waiter.ended.wait(_POLL_SECONDS)
        frontier.abandon(waiter)
        if waiter.outcome is None and not feed.loaded.is_set() and feed.error is not None:
            raise feed.error
        return frontier.answer(asked, waiter.outcome or Outcome.TIMEOUT, seconds - (deadline - time.monotonic()))
    finally:
        feed.close()
