"""The native connector: from a configuration to a task that streams.

`read` turns text into what the pipe needs, with every problem at once; `Pipeline.start` looks at the world, creates what
may be created, and starts the stream only when recorded position, slot, timeline and publication fit.
"""

from __future__ import annotations

import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Final

from cdc.column_rules import ColumnRules, column_rules
from cdc.errors import ConfigError, Problem
from cdc.kafka.client import ClientOptions, client_options
from cdc.layout import LayoutOptions
from cdc.options import Options
from cdc.postgres.connection import Source
from cdc.postgres.preflight import Wanted
from cdc.properties import Properties, literal_secrets, resolve
from cdc.render import RenderOptions
from cdc.report import Finding
from cdc.selection import compile_patterns, literal_tables, select, selection_problems, split_patterns
from cdc.source import SourceOptions
from cdc.topics import ADJUSTMENTS, Routing, TopicNames, escape_topic, sanitize_topic
from cdc.transforms import Chain, Surroundings, compile_chain
from cdc.values.registry import ValueModes
from connectors.converters import ConverterChoice, read_converter
from connectors.form_options import form_problems
from connectors.postgres_options import OPTIONS
from connectors.routed import renamed
from connectors.topic_rules import TopicRule, read_rules

_WORDS: Final = {"c": "insert", "u": "update", "d": "delete", "t": "truncate"}


@dataclass(frozen=True, slots=True)
class PipelineConfig:
    """A configuration, read.

    Attributes:
        name: The connector's name.
        options: All options by name.
        source: The database.
        kafka: How Kafka is reached.
        layout: What it says about rows.
        render: What it says about records.
        source_options: What it says about everything around the row.
        converters: What writes keys, and what writes values.
        wanted: What it asks of the database.
        findings: What is worth saying about it.
        topic_rules: Topics as declared.
        chain: The single message transforms.
    """

    name: str
    options: Options
    source: Source
    kafka: ClientOptions
    layout: LayoutOptions
    render: RenderOptions
    source_options: SourceOptions
    converters: tuple[ConverterChoice, ConverterChoice]
    wanted: Wanted
    findings: tuple[Finding, ...]
    topic_rules: tuple[TopicRule, ...] = ()
    chain: Chain = field(default_factory=lambda: Chain(()))

    def publishes_message(self, prefix: str) -> bool:
        """Whether logical messages of a prefix are published."""
        include, exclude = (self.options[f"message.prefix.{list_name}.list"] for list_name in ("include", "exclude"))
        if include:
            return any(pattern.fullmatch(prefix) for pattern in compile_patterns(include))
        return not any(pattern.fullmatch(prefix) for pattern in compile_patterns(exclude))

    @property
    def exactly_once(self) -> bool:
        """Whether records, position and snapshot progress are written in Kafka transactions."""
        return bool(self.options["exactly.once.support"] == "required")

    @property
    def strict(self) -> bool:
        """Whether Debezium's behaviour is reproduced, defects included."""
        return bool(self.options["seam.compat"] == "strict")


def read(
    name: str,
    properties: Properties,
    *,
    bootstrap_servers: str | None = None,
    origin: str | None = None,
    environ: Mapping[str, str] | None = None,
) -> PipelineConfig:
    """Read a connector's configuration.

    Args:
        name: The connector's name.
        properties: As they stand in the file, worker options included, references unresolved.
        bootstrap_servers: `--bootstrap-servers`, which wins over the file.
        origin: The file, for messages.
        environ: Where `${env:...}` looks; the process's own when left out.

    Raises:
        ConfigError: Every problem at once.
    """
    secrets = literal_secrets(properties)
    resolved = (
        resolve(properties, source=origin) if environ is None else resolve(properties, environ=environ, source=origin)
    )
    options, problems = OPTIONS.examine(resolved)
    problems += selection_problems(resolved)
    servers = bootstrap_servers or options.get("bootstrap.servers")
    if not servers:
        problems.append(
            Problem(
                "bootstrap.servers",
                "is not given: name Kafka's brokers with --bootstrap-servers, or in [worker] of seam.toml",
            )
        )
    problems += _combinations(options)
    value_schemas = str(resolved.get("value.converter.schemas.enable", "true")).lower() == "true"
    problems += [Problem(*found) for found in form_problems(options, value_schemas=value_schemas)]
    kafka = ClientOptions("")
    try:
        kafka = client_options(str(servers or ""), resolved, prefix="producer.override.")
    except ConfigError as error:
        problems += error.problems
    key, value = (read_converter(side, resolved, problems) for side in ("key", "value"))
    key_columns = _key_columns(options, problems)
    strict = options.get("seam.compat") == "strict"
    rules, routing = ColumnRules(), None
    try:
        rules = column_rules(resolved, strict=strict)
        routing = _routing(options)
    except ConfigError as error:
        problems += error.problems
    topic_rules = _topic_rules(options, resolved, problems)
    chain = Chain(())
    try:
        chain = compile_chain(resolved, _surroundings(options, strict=strict))
    except ConfigError as error:
        problems += error.problems
    if options.get("seam.topic.latest") == "copy" and renamed(chain, "") is None:
        text = "is copy, and transforms lead records to topics by what they hold: no topic has a latest one of its own"
        problems.append(Problem("seam.topic.latest", text))
    if problems:
        raise ConfigError(problems, source=origin)
    findings = (*secrets, *options.findings)
    config = _assemble(name, options, kafka, (key, value), _Shapes(key_columns, rules, routing), findings, topic_rules)
    return replace(config, chain=chain)


def _combinations(options: Options) -> list[Problem]:
    problems = []
    if options.get("errors.tolerance") == "all" and not options.get("errors.deadletterqueue.topic.name"):
        problems.append(
            Problem("errors.tolerance", "is all without errors.deadletterqueue.topic.name: records would vanish")
        )
    mode = options.get("event.processing.failure.handling.mode")
    if mode != "fail" and not options.get("errors.deadletterqueue.topic.name"):
        problems.append(
            Problem(
                "event.processing.failure.handling.mode",
                f"is {mode} without errors.deadletterqueue.topic.name: records would vanish",
            )
        )
    if options.get("snapshot.mode") == "custom":
        problems.append(Problem("snapshot.mode", "custom names a Java class, which the native engine cannot run"))
    return problems


def _surroundings(options: Options, *, strict: bool) -> Surroundings:
    """What transforms may know of the pipeline beside their own options."""
    known = {
        "host": options.get("database.hostname"), "database": options.get("database.dbname"),
        "slot": options.get("slot.name"), "connector": options.get("name"), "prefix": options.get("topic.prefix"),
    }  # fmt: skip
    source = {name: str(value) for name, value in known.items() if value is not None}
    return Surroundings(strict=strict, source=source)


def _topic_rules(options: Options, resolved: Mapping[str, str], problems: list[Problem]) -> tuple[TopicRule, ...]:
    if not options.get("topic.creation.enable", True):
        return ()
    return read_rules(resolved, options.get("topic.creation.groups") or [], problems)


KeyColumns = Callable[[str, str], tuple[str, ...] | None]


def _key_columns(options: Options, problems: list[Problem]) -> KeyColumns:
    rules = []
    for rule in (options.get("message.key.columns") or "").split(";"):
        if not rule.strip():
            continue
        table, separator, columns = rule.rpartition(":")
        names = tuple(column.strip() for column in columns.split(",") if column.strip())
        if not separator or not table.strip() or not names:
            problems.append(Problem("message.key.columns", f"{rule.strip()!r} is not schema.table:column,..."))
            continue
        try:
            rules.append((compile_patterns(table.strip()), names))
        except ValueError as error:
            problems.append(Problem("message.key.columns", str(error)))

    def look_up(schema: str, table: str) -> tuple[str, ...] | None:
        for patterns, names in rules:
            if any(pattern.fullmatch(f"{schema}.{table}") for pattern in patterns):
                return names
        return None

    return look_up


@dataclass(frozen=True, slots=True)
class _Shapes:
    key_columns: KeyColumns
    rules: ColumnRules
    routing: Routing | None


def _routing(options: Options) -> Routing | None:
    """The regex strategies' options.

    Raises:
        ConfigError: An expression that cannot be read, or none.
    """
    if "Regex" not in options["topic.naming.strategy"]:
        return None
    from cdc.transforms.javaregex import JavaPattern

    patterns: dict[str, JavaPattern | None] = {}
    problems = []
    for option in ("topic.regex", "topic.key.field.regex"):
        text = options.get(option)
        try:
            patterns[option] = None if text is None else JavaPattern(text)
        except ValueError as error:
            problems.append(Problem(option, str(error)))
    for option in ("topic.regex", "topic.replacement"):
        if options.get(option) is None:
            problems.append(Problem(option, f"is required with {options['topic.naming.strategy']}"))
    regex = patterns.get("topic.regex")
    if problems or regex is None:
        raise ConfigError(problems)
    return Routing(
        regex,
        options["topic.replacement"],
        options["topic.key.field.name"] if options["topic.key.enforce.uniqueness"] else None,
        patterns["topic.key.field.regex"],
        options["topic.key.field.replacement"],
    )


def _topics(options: Options, routing: Routing | None) -> TopicNames:
    strategy = options["topic.naming.strategy"].rpartition(".")[2]
    return TopicNames(
        prefix=options["topic.prefix"],
        delimiter=options["topic.delimiter"],
        heartbeat_prefix=options["heartbeat.topics.prefix"] or options["topic.heartbeat.prefix"],
        heartbeat_name=options["topic.heartbeat.name"],
        transaction_name=options["topic.transaction"],
        with_schema=strategy.startswith("Schema"),
        sanitize=escape_topic if "Unicode" in strategy else sanitize_topic,
        routing=routing,
        adjust_schema=ADJUSTMENTS[options["schema.name.adjustment.mode"]].schema,
    )


def _modes(options: Options, *, numeric: bool) -> ValueModes:
    placeholder = options["unavailable.value.placeholder"]
    return ValueModes(
        decimal=options["decimal.handling.mode"],
        time_precision=options["time.precision.mode"],
        interval=options["interval.handling.mode"],
        hstore=options["hstore.handling.mode"],
        binary=options["binary.handling.mode"],
        money_fraction_digits=options["money.fraction.digits"],
        include_unknown=options["include.unknown.datatypes"],
        unavailable=bytes.fromhex(placeholder[4:]) if placeholder.startswith("hex:") else placeholder.encode(),
        decimal_numeric=numeric,
        strict=options["seam.compat"] == "strict",
    )


def _assemble(
    name: str,
    options: Options,
    kafka: ClientOptions,
    converters: tuple[ConverterChoice, ConverterChoice],
    shapes: _Shapes,
    findings: tuple[Finding, ...],
    topic_rules: tuple[TopicRule, ...],
) -> PipelineConfig:
    strict = options["seam.compat"] == "strict"
    topics = _topics(options, shapes.routing)
    key, value = converters
    selection = select(options)
    skipped = frozenset(options["skipped.operations"]) - {"none"}
    # Where nobody decided, NULL is a null, and only strict mode replaces it as Connect's converters do.
    null_as_default = strict if value.null_as_default is None else value.null_as_default
    return PipelineConfig(
        name=name,
        options=options,
        source=_source(name, options),
        kafka=kafka,
        layout=LayoutOptions(
            topics,
            selection,
            _modes(options, numeric=value.numeric),
            _modes(options, numeric=key.numeric) if key.numeric != value.numeric else None,
            shapes.key_columns,
            shapes.rules,
            ADJUSTMENTS[options["field.name.adjustment.mode"]].field,
            # Debezium's stream has no comments, whatever the option says.
            options["include.schema.comments"] and not strict,
        ),
        render=RenderOptions(
            topics=topics,
            key_schemas=key.schemas,
            value_schemas=value.schemas,
            key_decimal_numeric=key.numeric,
            value_decimal_numeric=value.numeric,
            null_as_default=null_as_default,
            key_null_as_default=strict if key.null_as_default is None else key.null_as_default,
            tombstones=options["tombstones.on.delete"],
            skipped=skipped,
            skip_unchanged=options["skip.messages.without.change"],
            transaction_metadata=options["provide.transaction.metadata"],
            extended_headers=options["extended.headers.enabled"],
        ),
        source_options=SourceOptions(
            prefix=options["topic.prefix"],
            database=options["database.dbname"],
            extended_headers=options["extended.headers.enabled"],
            run_id=str(uuid.uuid4()),
            strict=strict,
            transaction_metadata=options["provide.transaction.metadata"],
            snapshot_null=strict and not null_as_default,
        ),
        converters=converters,
        wanted=Wanted(
            selection=selection,
            slot=options["slot.name"],
            publication=options["publication.name"],
            autocreate=options["publication.autocreate.mode"],
            operations=frozenset(word for letter, word in _WORDS.items() if letter not in skipped),
            literal_tables=literal_tables(split_patterns(options["table.include.list"])),
        ),
        findings=findings,
        topic_rules=topic_rules,
    )


def _source(name: str, options: Options) -> Source:
    renamed = {
        "sslmode": "sslmode",
        "sslcert": "sslcert",
        "sslkey": "sslkey",
        "sslpassword": "sslpassword",
        "sslrootcert": "sslrootcert",
    }
    parameters = {
        libpq: options[f"database.{ours}"] for ours, libpq in renamed.items() if options[f"database.{ours}"] is not None
    }
    return Source(
        host=options["database.hostname"],
        port=options["database.port"],
        dbname=options["database.dbname"],
        user=options["database.user"],
        password=options["database.password"],
        parameters=parameters,
        application_name=f"seam {name}"[:63],
    )


def with_run_id(config: PipelineConfig) -> PipelineConfig:
    """The same configuration for another start, which has a run id of its own."""
    return replace(config, source_options=replace(config.source_options, run_id=str(uuid.uuid4())))


def shown(config: PipelineConfig) -> dict[str, Any]:
    """The configuration as a JSON object, secrets masked."""
    return {
        option: "[hidden]" if OPTIONS.options[option].secret and value is not None else value
        for option, value in config.options.items()
        if option in OPTIONS.options
    }
