"""`seam demo`: the main job on embedded parts, in one process and under a minute.

A small legacy shop writes, rolls back and deletes; its changes arrive as events; and at the end the events, folded, are
exactly the tables' content.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from typing import Annotated, Any, Final

import confluent_kafka
import orjson
import typer
from rich.markup import escape

from cdc.errors import ConfigError, OperatorError, Problem, SeamError, VerificationFailed, WaitExpired
from cdc.fold import Fold, same_rows
from cdc.kafka.client import ClientOptions
from cdc.kafka.consumer import consumer_config, read_to_end
from cdc.kafka.embedded import PARTITION_LIMIT_BYTES, EmbeddedBroker
from cdc.lsn import LSN
from cdc.postgres.catalog import Catalog
from cdc.postgres.connection import connect
from cdc.postgres.embedded import EmbeddedPostgres
from cdc.postgres.slot import read_slot
from cdc.report import Finding, Severity
from connectors.additions import STORIES
from connectors.console import STDERR, STDOUT, Output, write_json
from connectors.postgres import PipelineConfig, read
from connectors.worker import Worker
from legacy_db.sample import shop

PREFIX: Final = "shop"
SHOP: Final = "shop"
WRITES: Final = 600
_COLOURS: Final = {"c": "green", "u": "yellow", "d": "red", "r": "cyan", "t": "magenta"}
_WORDS: Final = {"c": "create", "u": "update", "d": "delete", "r": "read", "t": "truncate"}


@dataclass(slots=True)
class _Live:
    """Prints events as they arrive."""

    bootstrap: str
    topics: Sequence[str]
    quiet: bool
    stop: threading.Event = field(default_factory=threading.Event)
    seen: int = 0
    first: float | None = None
    bytes: dict[tuple[str, int], int] = field(default_factory=dict)

    def run(self) -> None:
        config = {**consumer_config(ClientOptions(self.bootstrap)), "auto.offset.reset": "earliest"}
        consumer = confluent_kafka.Consumer(config)
        assigned: set[str] = set()
        try:
            while not self.stop.is_set():
                if len(assigned) < len(self.topics):
                    self._assign(consumer, assigned)
                for message in consumer.consume(200, 0.1):
                    if message.error() is None:
                        self._show(message)
        finally:
            consumer.close()

    def _assign(self, consumer: Any, assigned: set[str]) -> None:
        known = consumer.list_topics(timeout=5).topics
        for topic in self.topics:
            if topic in known and topic not in assigned and known[topic].partitions:
                assigned.add(topic)
                consumer.incremental_assign(
                    [confluent_kafka.TopicPartition(topic, partition, 0) for partition in known[topic].partitions]
                )

    def _show(self, message: Any) -> None:
        place = (message.topic(), message.partition())
        value = message.value()
        self.bytes[place] = self.bytes.get(place, 0) + len(value or b"") + len(message.key() or b"") + 200
        if value is None:
            return
        self.seen += 1
        self.first = self.first or time.monotonic()
        if self.quiet:
            return
        event = orjson.loads(value)
        op = event["op"]
        row = event["after"] or event["before"] or {}
        shown = "  ".join(f"[dim]{name}[/]={escape(_short(item))}" for name, item in row.items() if item is not None)
        STDOUT.print(
            f"[{_COLOURS[op]}]{_WORDS[op]:<8}[/] [bold]{event['source']['table']:<12}[/] {shown}",
            no_wrap=True, overflow="ellipsis", crop=True,
        )  # fmt: skip


def _short(value: Any) -> str:
    text = str(value)
    return text if len(text) <= 28 else text[:27] + "…"


def demo(
    output: Annotated[
        Output, typer.Option("--output", help="Only the summary, as JSON, or everything.")
    ] = Output.table,
    keep: Annotated[bool, typer.Option("--keep", help="Leave it running, to write with psql and watch.")] = False,
    seed: Annotated[int, typer.Option("--seed", help="Of the writer's choices.")] = 1998,
    story: Annotated[str, typer.Option("--story", help="shop, or migration: a slice of a legacy schema, there and back.")] = SHOP,
) -> None:  # fmt: skip
    """The main job on embedded parts: a legacy shop writes, its changes arrive as events, and the fold is exact."""
    if story != SHOP:
        _tell(story, output, seed, keep=keep)
        return
    quiet = output is Output.json
    with ExitStack() as stack:
        _say(quiet, "starting an embedded Postgres and an embedded broker")
        server = stack.enter_context(EmbeddedPostgres())
        broker = stack.enter_context(EmbeddedBroker())
        shop.create(server.dsn())
        config = _config(server, broker)
        worker = Worker(config, lambda finding: _finding(quiet, finding), manage_topics=False)
        live = _Live(broker.bootstrap, [f"{PREFIX}.public.{table}" for table in shop.TABLES], quiet)
        failure: list[SeamError] = []
        stack.callback(live.stop.set)
        threads = [_thread(lambda: _run(worker, failure), "engine"), _thread(live.run, "live")]
        for thread in threads:
            stack.callback(thread.join, 15)
        stack.callback(worker.stop.set)
        stack.callback(live.stop.set)
        _wait(lambda: worker.meter.phase == "streaming", "the engine to stream", failure)
        _say(quiet, f"streaming; the shop writes (seed {seed})")
        started = time.monotonic()
        writer = shop.Writer(server.dsn(), seed)
        writer.stock()
        writer.run(WRITES, threading.Event(), pace=lambda: time.sleep(0.01))
        catalog = Catalog(connect(config.source), config.source)
        stack.callback(catalog.connection.close)
        goal = LSN.parse(catalog.current_lsn())
        _wait(lambda: worker.meter.flushed_lsn >= goal, "every write to be acknowledged", failure)
        seconds = time.monotonic() - started
        slot = read_slot(catalog, config.wanted.slot)
        lag = max(0, goal - slot.confirmed_flush_lsn) if slot and slot.confirmed_flush_lsn is not None else None
        summary = {**_summary(config, server, writer), "seconds": round(seconds, 2), "lag_bytes": lag}
        _wait(lambda: live.seen >= summary["events"], "every event to be read", failure)
        _report(summary, output)
        if keep:
            _keep(config, server, broker, live, failure)
        if not summary["equal"]:
            raise VerificationFailed("the fold of the topics is not the content of the tables")


def _tell(story: str, output: Output, seed: int, *, keep: bool) -> None:
    if story not in STORIES:
        raise ConfigError([Problem("--story", f"there is no {story!r}", (SHOP, *STORIES))])
    if keep:
        raise ConfigError([Problem("--keep", f"the story {story!r} ends with everything taken back")])
    STORIES[story](output, seed=seed)


def _config(server: EmbeddedPostgres, broker: EmbeddedBroker) -> PipelineConfig:
    return read(
        "demo",
        {
            "connector.class": "io.debezium.connector.postgresql.PostgresConnector",
            "database.hostname": server.host, "database.port": str(server.port), "database.user": "postgres",
            "database.dbname": "postgres", "topic.prefix": PREFIX, "schema.include.list": "public",
            "slot.name": "seam_demo", "publication.name": "seam_demo", "publication.autocreate.mode": "filtered",
            "snapshot.mode": "no_data", "decimal.handling.mode": "string", "key.converter.schemas.enable": "false",
            "value.converter.schemas.enable": "false",
        },
        bootstrap_servers=broker.bootstrap,
    )  # fmt: skip


def _summary(config: PipelineConfig, server: EmbeddedPostgres, writer: shop.Writer) -> dict[str, Any]:
    content = shop.content(server.dsn())
    tables = {}
    events = 0
    for table in shop.TABLES:
        fold = Fold()
        read_to_end(
            config.kafka,
            f"{PREFIX}.public.{table}",
            lambda m, fold=fold: fold.apply(m.key(), m.value()),  # type: ignore[misc]
        )
        tables[table] = {
            "rows": len(content[table]), "events": fold.events, "equal": same_rows(fold.rows.values(), content[table]),
        }  # fmt: skip
        events += fold.events
    return {
        "writes": writer.writes, "rolled_back": writer.rolled_back, "events": events,
        "tables": tables, "equal": all(table["equal"] for table in tables.values()),
    }  # fmt: skip


def _report(summary: dict[str, Any], output: Output) -> None:
    if output is Output.json:
        write_json(summary)
        return
    STDOUT.rule("summary")
    STDOUT.print(
        f"{summary['writes']} writes committed, {summary['rolled_back']} transactions rolled back, "
        f"{summary['events']} events delivered, lag {summary['lag_bytes']} bytes"
    )
    for table, figures in summary["tables"].items():
        same = "[green]equal[/]" if figures["equal"] else "[red]different[/]"
        STDOUT.print(
            f"  {table:<12} {figures['rows']:>5} rows  {figures['events']:>5} events  fold of the topic = table: {same}"
        )


def _keep(
    config: PipelineConfig, server: EmbeddedPostgres, broker: EmbeddedBroker, live: _Live, failure: list[SeamError]
) -> None:
    STDERR.print(f"psql '{server.dsn()}'")
    STDERR.print(f"broker: {broker.bootstrap}   topics: {', '.join(live.topics)}")
    STDERR.print("write with psql and watch; Ctrl-C ends it")
    try:
        while not failure:
            time.sleep(0.5)
            if any(size > PARTITION_LIMIT_BYTES * 0.9 for size in live.bytes.values()):
                raise OperatorError(
                    "the embedded broker holds 5 MB per partition and is nearly full; it would drop records silently",
                    hint=f"use the real stack: docker compose up, then seam run FILE with slot {config.wanted.slot}",
                )
        raise failure[0]
    except KeyboardInterrupt:
        return


def _run(worker: Worker, failure: list[SeamError]) -> None:
    try:
        worker.run()
    except SeamError as error:
        failure.append(error)


def _thread(target: Any, name: str) -> threading.Thread:
    thread = threading.Thread(target=target, name=name, daemon=True)
    thread.start()
    return thread


def _wait(condition: Any, what: str, failure: list[SeamError], seconds: float = 40.0) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        if failure:
            raise failure[0]
        if time.monotonic() > deadline:
            raise WaitExpired(f"waited {seconds:.0f} s for {what}")
        time.sleep(0.02)


def _say(quiet: bool, text: str) -> None:
    if not quiet:
        STDERR.print(f"[dim]{text}[/]")


def _finding(quiet: bool, finding: Finding) -> None:
    if not quiet and finding.severity is Severity.BLOCKS:
        STDERR.print(finding.evidence, markup=False)
