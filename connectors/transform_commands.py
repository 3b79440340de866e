"""`seam transform FILE < records.jsonl`: a chain tried out without a connector, and without Kafka where that is enough."""

from __future__ import annotations

import sys
from collections import deque
from collections.abc import Iterable, Iterator, Mapping
from contextlib import ExitStack
from typing import Annotated, Any, Final

import typer
from rich.markup import escape

from cdc.converters.avro_reading import AvroReader
from cdc.converters.plain import ByteArrayConverter, StringConverter
from cdc.errors import ConfigError, Problem
from cdc.kafka.client import ClientOptions, client_options
from cdc.kafka.log import TopicLog
from cdc.kafka.reference import ReferenceTopics
from cdc.kafka.registry import SchemaRegistry
from cdc.model.javaerrors import JavaError
from cdc.properties import load, override, resolve
from cdc.transforms import Chain, Surroundings, compile_chain
from cdc.transforms.dry_run import DryRun, Given, ToConnect, line_text
from cdc.versions import LogRecord
from connectors.console import STDERR
from connectors.converters import Form, read_converter
from connectors.pipeline_commands import File, Only, Servers, Settings
from connectors.postgres_options import OPTIONS

_LOOKED_AT: Final = (
    "transforms", "predicates", "key.converter", "value.converter", "header.converter", "errors.", "seam.", "topics",
    "connector.class",
)  # fmt: skip
_KAFKA: Final = ("bootstrap.servers", "producer.override.", "security.", "sasl.", "ssl.")
_FACTS: Final = {
    "host": "database.hostname", "database": "database.dbname", "slot": "slot.name", "prefix": "topic.prefix",
}  # fmt: skip


def transform(
    file: File,
    only: Only = None,
    settings: Settings = None,
    explain: Annotated[bool, typer.Option("--explain", help="What comes out of each step.")] = False,
    diff: Annotated[bool, typer.Option("--diff", help="Each record before and after.")] = False,
    from_topic: Annotated[
        str | None, typer.Option("--from-topic", help="Take the newest records of this topic, not standard input.")
    ] = None,
    most: Annotated[int, typer.Option("--max", min=1, help="With --from-topic: how many records.")] = 10,
    bootstrap_servers: Servers = None,
) -> None:
    """Run the chain of FILE over records on standard input, one JSON object a line, and print what comes out.

    A line holds topic, key, value, headers, partition, timestamp; key and value are {"schema", "payload"} documents, or
    plain JSON where the file says value.converter.schemas.enable=false. Ends with 4 at the first record that the chain
    refuses; with errors.tolerance=all the refusal is printed as a line and the run goes on.
    """
    if explain and diff:
        raise ConfigError([Problem("--explain, --diff", "are two views of one run; give one of them")])
    name, properties = load(file).connector(only)
    declared = [(option.name, option.environment_name) for option in OPTIONS.options.values()]
    given = override(properties, declared=declared, settings=settings or ())
    # A laptop has no password of the database, and needs none.
    properties = resolve({key: text for key, text in given.items() if key.startswith(_LOOKED_AT)}, source=str(file))
    chain = compile_chain(properties, _surroundings(name, given, properties))
    for finding in chain.findings:
        STDERR.print(
            f"[yellow]{finding.code}[/] {escape(finding.subject)}: {escape(finding.evidence)}; {escape(finding.remedy or '')}"
        )
    with ExitStack() as closing:
        readers = {} if from_topic is None else _readers(properties, str(file), closing)
        sink = "topics" in properties or "topics.regex" in properties
        try:
            run = DryRun(chain, properties, sink=sink, readers=readers)
        except JavaError as error:
            raise ConfigError(error.shown, source=str(file)) from error
        view = run.explain if explain else run.diff if diff else run.run
        kafka = None
        if from_topic is not None or chain.needs_reader:
            kafka = _kafka(given, bootstrap_servers, str(file), chain)
        if kafka is not None and chain.needs_reader:
            tables = ReferenceTopics(kafka)
            closing.callback(tables.close)
            chain.open(tables)
        lines: Iterable[Given] = sys.stdin
        if from_topic is not None and kafka is not None:
            lines = _newest(kafka, from_topic, most)
        elif sys.stdin.isatty():
            STDERR.print("[dim]reading records from the terminal, one JSON object a line; Ctrl-D ends[/]")
        for line in view(lines):
            sys.stdout.write(line_text(line) + "\n")
            sys.stdout.flush()
    if run.failed:
        STDERR.print(f"{run.failed} record(s) refused, passed over because of errors.tolerance=all")


def _surroundings(name: str, given: Mapping[str, str], properties: Mapping[str, str]) -> Surroundings:
    """What InsertSource can tell without a connection; a reference is not resolved for it."""
    strict = properties.get("seam.compat", "safe").strip().lower() == "strict"
    facts = {fact: given[key] for fact, key in _FACTS.items() if key in given and "${" not in given[key]}
    return Surroundings(strict=strict, source={"connector": name, **facts})


def _kafka(given: Mapping[str, str], servers: str | None, source: str, chain: Chain) -> ClientOptions:
    """How Kafka is reached.

    Raises:
        ConfigError: It is named nowhere.
    """
    own: dict[str, Any] = resolve({key: text for key, text in given.items() if key.startswith(_KAFKA)}, source=source)
    brokers = servers or own.get("bootstrap.servers")
    if not brokers:
        why = "--from-topic reads from Kafka"
        if chain.needs_reader:
            why = "a Lookup reads its reference topic from Kafka"
        raise ConfigError(
            [Problem("bootstrap.servers", f"is not given, and {why}")],
            hint="name Kafka's brokers with --bootstrap-servers, or in [worker] of seam.toml",
        )
    return client_options(str(brokers), own, prefix="producer.override.")


def _readers(properties: Mapping[str, str], source: str, closing: ExitStack) -> dict[str, ToConnect]:
    """What reads keys and values of a topic, by the file's converters.

    Raises:
        ConfigError: There is no such converter, or its registry is not named.
    """
    problems: list[Problem] = []
    choices = [read_converter(side, properties, problems) for side in ("key", "value")]
    if problems:
        raise ConfigError(problems, source=source, hint="pipe the records in as lines instead")
    found: dict[str, ToConnect] = {}
    for choice in choices:
        if choice.form is Form.AVRO:
            registry = SchemaRegistry(choice.settings)
            closing.callback(registry.close)
            found[choice.side] = AvroReader(registry).to_connect
        elif choice.form is Form.STRING:
            found[choice.side] = StringConverter().to_connect
        elif choice.form is Form.BYTES:
            found[choice.side] = ByteArrayConverter().to_connect
    return found


def _newest(kafka: ClientOptions, topic: str, most: int) -> Iterator[LogRecord]:
    """The last records of a topic, oldest first by time."""
    log = TopicLog(kafka, topic)
    try:
        starts = {}
        for partition in log.partitions:
            low, high = log.bounds(partition)
            starts[partition] = max(low, high - most)
        newest: dict[int, deque[LogRecord]] = {}
        for record in log.read(starts):
            newest.setdefault(record.partition, deque(maxlen=most)).append(record)
    finally:
        log.close()
    found = sorted(
        (r for records in newest.values() for r in records), key=lambda r: (r.timestamp, r.partition, r.offset)
    )
    if not found:
        STDERR.print(f"topic {escape(topic)} holds no records")
    yield from found[-most:]
