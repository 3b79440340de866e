"""Every option of the native connector, declared once, with Debezium's names and defaults.

Source: Debezium documentation, Postgres connector, "Connector configuration properties", and the ConfigDef of 3.6.3.
"""

from __future__ import annotations

import re
from typing import Any, Final

from cdc.options import REQUIRED, Kind, Option, OptionSet, Support
from cdc.selection import patterns_complaint


def _slot_name(value: Any) -> str | None:
    if not re.fullmatch(r"[a-z0-9_]{1,63}", str(value)):
        return "a slot name has 1 to 63 of the characters a-z, 0-9 and _"
    return None


def _prefix(value: Any) -> str | None:
    if not re.fullmatch(r"[A-Za-z0-9._-]+", str(value)):
        return "a topic prefix has only the characters A-Z, a-z, 0-9, ., _ and -"
    return "topics of our own begin with __seam." if str(value).startswith("__seam") else None


def _at_least(least: int) -> Any:
    return lambda value: None if value >= least else f"must be at least {least}"


def _port(value: Any) -> str | None:
    return None if 0 < value < 65536 else "is not a port"


def _operations(value: Any) -> str | None:
    unknown = sorted(set(value) - {"c", "u", "d", "t", "none"})
    return f"{', '.join(unknown)}: not among c, u, d, t, none" if unknown else None


def _present(value: Any) -> str | None:
    return None if str(value).strip() else "must not be empty"


_GROUPS: Final[dict[str, tuple[Option, ...]]] = {
    "Connector": (
        Option("name", Kind.STRING, None, "The connector's name: the key of its position record."),
        Option("connector.class", Kind.CLASS, "io.debezium.connector.postgresql.PostgresConnector",
               "The connector. The native engine runs Debezium's Postgres connector under its Java name.",
               choices=("io.debezium.connector.postgresql.PostgresConnector", "PostgresConnector")),
        Option("topic.prefix", Kind.STRING, REQUIRED, "The first part of every topic's name, and the name of the source.", check=_prefix),
        Option("tasks.max", Kind.INT, 1, "One slot is read by one task.", support=Support.NOTED),
        Option("seam.compat", Kind.STRING, "safe", "`safe` mends Debezium's reproduced data defects; `strict` reproduces Debezium 3.6 byte for byte.", choices=("safe", "strict")),
        Option("seam.retry.timeout.ms", Kind.LONG, 300_000, "How long to try again without progress before giving up with exit code 3, milliseconds.", check=_at_least(0)),
        Option("seam.progress.enable", Kind.BOOLEAN, True, "Whether `__seam.progress` says how far the log is in Kafka, so that readers can wait for their own writes."),
        Option("seam.topic.latest", Kind.STRING, "none",
               "A compacted `TOPIC.latest` beside each history topic: `transaction` writes both in one Kafka transaction, `copy` leaves it to `seam log copy --latest`.",
               choices=("none", "transaction", "copy")),
        Option("seam.event.form", Kind.STRING, "fact", "`fact`: whole rows; `delta`: the changed columns with a digest of the row before.", choices=("fact", "delta")),
        Option("bootstrap.servers", Kind.STRING, None, "Kafka brokers, `host:port,...`; also `[worker]` of seam.toml or `--bootstrap-servers`."),
    ),
    "Connection": (
        Option("database.hostname", Kind.STRING, REQUIRED, "Host of the Postgres server.", check=_present),
        Option("database.port", Kind.INT, 5432, "Its port.", check=_port),
        Option("database.user", Kind.STRING, REQUIRED, "The role that reads the log; `seam check --role NAME` prints what it needs.", check=_present),
        Option("database.password", Kind.PASSWORD, None, "Its password; write `${env:NAME}` or `${file:/path:key}`."),
        Option("database.dbname", Kind.STRING, REQUIRED, "The database.", check=_present),
        Option("database.sslmode", Kind.STRING, "prefer", "libpq's sslmode.", choices=("disable", "allow", "prefer", "require", "verify-ca", "verify-full")),
        Option("database.sslcert", Kind.STRING, None, "Client certificate, a file."),
        Option("database.sslkey", Kind.STRING, None, "Its key, a file."),
        Option("database.sslpassword", Kind.PASSWORD, None, "The key's password."),
        Option("database.sslrootcert", Kind.STRING, None, "Certificates of the authorities that are trusted, a file."),
        Option("database.tcpKeepAlive", Kind.BOOLEAN, True, "Keepalive probes of TCP; always on here.", support=Support.NOTED),
        Option("database.query.timeout.ms", Kind.INT, 600_000, "Limit of one catalogue query, milliseconds.", check=_at_least(0)),
        Option("database.initial.statements", Kind.STRING, None, "Statements at the start of each connection.", support=Support.REFUSED),
    ),
    "Slot and publication": (
        Option("plugin.name", Kind.STRING, "pgoutput", "The output plugin; only pgoutput is read.", choices=("pgoutput",)),
        Option("slot.name", Kind.STRING, "debezium", "The replication slot.", check=_slot_name),
        Option("slot.drop.on.stop", Kind.BOOLEAN, False, "Whether a stop drops the slot, which loses the position.", support=Support.REFUSED),
        Option("slot.failover", Kind.BOOLEAN, False, "Whether the slot is created as a failover slot (17 and newer)."),
        Option("slot.stream.params", Kind.STRING, None, "Further parameters of the plugin.", support=Support.REFUSED),
        Option("slot.max.retries", Kind.INT, 6, "Use seam.retry.timeout.ms.", support=Support.IGNORED),
        Option("slot.retry.delay.ms", Kind.LONG, 10_000, "Use seam.retry.timeout.ms.", support=Support.IGNORED),
        Option("publication.name", Kind.STRING, "dbz_publication", "The publication.", check=_present),
        Option("publication.autocreate.mode", Kind.STRING, "filtered",
               "What is created when there is no publication: for the captured tables, for all tables, or nothing. "
               "Debezium's default is all_tables, which makes UPDATE and DELETE fail in tables without identity.",
               choices=("filtered", "all_tables", "disabled", "no_tables")),
        Option("publish.via.partition.root", Kind.BOOLEAN, False, "Whether rows of partitions are published under their root."),
        Option("replica.identity.autoset.values", Kind.STRING, None, "Changes the identity of tables in the legacy database.", support=Support.REFUSED),
        Option("status.update.interval.ms", Kind.INT, 10_000, "Longest time between status updates; fixed at 10 s.", support=Support.IGNORED),
        Option("xmin.fetch.interval.ms", Kind.LONG, 0, "How often xmin is read for source.xmin.", support=Support.REFUSED),
        Option("lsn.flush.mode", Kind.STRING, "connector", "When the slot moves; always after Kafka holds data and position.", support=Support.NOTED,
               choices=("connector", "connector_and_driver", "manual")),
        Option("flush.lsn.source", Kind.BOOLEAN, True, "Whether the slot moves at all.", support=Support.REFUSED),
        Option("lsn.flush.timeout.ms", Kind.LONG, 30_000, "Bound of one flush.", support=Support.IGNORED),
        Option("lsn.flush.timeout.action", Kind.STRING, "fail", "What a slow flush does.", support=Support.IGNORED),
        Option("offset.mismatch.strategy", Kind.STRING, "no_validation", "The position is always checked, and a mismatch always stops.", support=Support.NOTED),
        Option("internal.log.position.check.enable", Kind.BOOLEAN, True, "The position is always checked.", support=Support.NOTED),
        Option("read.only", Kind.BOOLEAN, False, "The source is never written to, but for logical messages.", support=Support.NOTED),
    ),
    "Selection": (
        Option("schema.include.list", Kind.STRING, None, "Captured schemas, regular expressions.", check=patterns_complaint),
        Option("schema.exclude.list", Kind.STRING, None, "Schemas that are not captured.", check=patterns_complaint),
        Option("table.include.list", Kind.STRING, None, "Captured tables, regular expressions of schema.table.", check=patterns_complaint),
        Option("table.exclude.list", Kind.STRING, None, "Tables that are not captured.", check=patterns_complaint),
        Option("column.include.list", Kind.STRING, None, "Published columns, regular expressions of schema.table.column.", check=patterns_complaint),
        Option("column.exclude.list", Kind.STRING, None, "Columns left out of values; a key column stays in the key.", check=patterns_complaint),
        Option("table.ignore.builtin", Kind.BOOLEAN, True, "Tables of the system are never captured.", support=Support.REFUSED),
        Option("message.key.columns", Kind.STRING, None, "`schema.table:column,...;...`: keys other than the replica identity."),
        Option("skipped.operations", Kind.LIST, ["t"], "Operations without events: c, u, d, t or none.", check=_operations),
        Option("skip.messages.without.change", Kind.BOOLEAN, False, "Leaves out updates that change no captured column; needs REPLICA IDENTITY FULL."),
        Option("message.prefix.include.list", Kind.STRING, None, "Prefixes of logical messages that are published.", check=patterns_complaint),
        Option("message.prefix.exclude.list", Kind.STRING, None, "Prefixes of logical messages that are not.", check=patterns_complaint),
        Option("guardrail.collections.max", Kind.INT, 0, "Most tables that may be captured; 0 for any number."),
        Option("guardrail.collections.limit.action", Kind.STRING, "warn", "What happens above it.", choices=("warn", "fail")),
    ),
    "Types": (
        Option("decimal.handling.mode", Kind.STRING, "precise", "How numeric looks.", choices=("precise", "double", "string")),
        Option("time.precision.mode", Kind.STRING, "adaptive", "How dates and times look.",
               choices=("adaptive", "adaptive_time_microseconds", "connect", "isostring", "microseconds", "nanoseconds")),
        Option("interval.handling.mode", Kind.STRING, "numeric", "How interval looks.", choices=("numeric", "string")),
        Option("binary.handling.mode", Kind.STRING, "bytes", "How bytea looks.", choices=("bytes", "base64", "base64-url-safe", "hex")),
        Option("hstore.handling.mode", Kind.STRING, "json", "How hstore looks.", choices=("json", "map")),
        Option("money.fraction.digits", Kind.INT, 2, "Digits of money after the point.", check=_at_least(0)),
        Option("include.unknown.datatypes", Kind.BOOLEAN, False, "Whether columns of types without a mapping are published as bytes."),
        Option("unavailable.value.placeholder", Kind.STRING, "__debezium_unavailable_value", "Stands for an unchanged TOAST value; `hex:` for bytes."),
        Option("schema.refresh.mode", Kind.STRING, "columns_diff", "The schema always comes from the stream.", support=Support.NOTED,
               choices=("columns_diff", "columns_diff_exclude_unchanged_toast")),
        Option("schema.name.adjustment.mode", Kind.STRING, "none", "How schema names are adjusted.", choices=("none", "avro", "avro_unicode")),
        Option("field.name.adjustment.mode", Kind.STRING, "none", "How field names are adjusted.", choices=("none", "avro", "avro_unicode")),
        Option("include.schema.comments", Kind.BOOLEAN, False, "Column comments as the doc of schemas."),
        Option("converters", Kind.LIST, [], "Custom converters, Java classes.", support=Support.REFUSED),
        Option("post.processors", Kind.LIST, [], "Post processors, Java classes.", support=Support.REFUSED),
        Option("event.converting.failure.handling.mode", Kind.STRING, "warn", "A value that fails is never published as null; see event.processing.failure.handling.mode.", support=Support.NOTED),
        Option("column.propagate.source.type", Kind.STRING, None, "Columns whose schema carries their Postgres type.", check=patterns_complaint),
        Option("datatype.propagate.source.type", Kind.STRING, None, "Types whose columns carry their Postgres type.", check=patterns_complaint),
    ),
    "Events": (
        Option("tombstones.on.delete", Kind.BOOLEAN, True, "Whether a delete is followed by a tombstone."),
        Option("provide.transaction.metadata", Kind.BOOLEAN, False, "Whether records carry a transaction block and boundaries have a topic."),
        Option("extended.headers.enabled", Kind.BOOLEAN, True, "Whether records carry context headers and their position."),
        Option("heartbeat.interval.ms", Kind.INT, 0, "How often a logical message moves an idle slot, milliseconds; 0 for never.", check=_at_least(0)),
        Option("heartbeat.action.query", Kind.STRING, None, "A statement to run with each heartbeat."),
        Option("heartbeat.topics.prefix", Kind.STRING, None, "Older name of topic.heartbeat.prefix."),
        Option("topic.naming.strategy", Kind.CLASS, "io.debezium.schema.SchemaTopicNamingStrategy", "How topics are named.",
               choices=("io.debezium.schema.SchemaTopicNamingStrategy", "io.debezium.schema.DefaultTopicNamingStrategy",
                        "io.debezium.schema.SchemaRegexTopicNamingStrategy", "io.debezium.schema.DefaultRegexTopicNamingStrategy",
                        "io.debezium.schema.SchemaUnicodeTopicNamingStrategy", "io.debezium.schema.DefaultUnicodeTopicNamingStrategy")),
        Option("topic.regex", Kind.STRING, None, "With a regex strategy: what of a table's topic is replaced, a Java expression."),
        Option("topic.replacement", Kind.STRING, None, "With a regex strategy: the replacement."),
        Option("topic.key.enforce.uniqueness", Kind.BOOLEAN, True, "With a regex strategy: whether keys say which table they came from."),
        Option("topic.key.field.name", Kind.STRING, "__dbz__physicalTableIdentifier", "With a regex strategy: the field of the key that says so.", check=_present),
        Option("topic.key.field.regex", Kind.STRING, None, "With a regex strategy: what of the table's topic becomes that field, a Java expression."),
        Option("topic.key.field.replacement", Kind.STRING, None, "With a regex strategy: its replacement."),
        Option("topic.delimiter", Kind.STRING, ".", "Between the parts of a topic's name.", check=_present),
        Option("topic.heartbeat.prefix", Kind.STRING, "__debezium-heartbeat", "First part of the heartbeat topic's name."),
        Option("topic.heartbeat.name", Kind.STRING, None, "The heartbeat topic's whole name."),
        Option("topic.transaction", Kind.STRING, "transaction", "Last part of the transaction topic's name."),
        Option("topic.cache.size", Kind.INT, 10_000, "Names kept in memory.", support=Support.IGNORED),
        Option("event.processing.failure.handling.mode", Kind.STRING, "fail", "What a record that cannot be carried does.", choices=("fail", "warn", "skip", "ignore")),
        Option("exactly.once.support", Kind.STRING, "requested", "Whether records must be there exactly once.", choices=("requested", "required", "disabled")),
        Option("transaction.boundary", Kind.STRING, "poll", "Where Kafka transactions end; source transactions decide here.", support=Support.NOTED),
    ),
    "Snapshot": (
        Option("snapshot.mode", Kind.STRING, "initial", "What of the existing rows is published.",
               choices=("initial", "always", "initial_only", "no_data", "never", "when_needed", "configuration_based", "custom")),
        Option("snapshot.include.collection.list", Kind.STRING, None, "Tables of the snapshot among the captured ones.", check=patterns_complaint),
        Option("snapshot.select.statement.overrides", Kind.LIST, [], "Tables whose snapshot has a SELECT of its own."),
        Option("snapshot.fetch.size", Kind.INT, 10_240, "Rows of one fetch; COPY streams them here.", check=_at_least(1), support=Support.IGNORED),
        Option("snapshot.max.threads", Kind.INT, 1, "Connections of the snapshot.", check=_at_least(1)),
        Option("snapshot.max.threads.multiplier", Kind.INT, 1, "Chunks for each connection.", support=Support.IGNORED),
        Option("snapshot.isolation.mode", Kind.STRING, "serializable", "Isolation of the snapshot; it is always exact.", support=Support.NOTED),
        Option("snapshot.locking.mode", Kind.STRING, "none", "Locks of the snapshot; none are needed.", support=Support.NOTED),
        Option("snapshot.lock.timeout.ms", Kind.LONG, 10_000, "Limit of waiting for locks.", support=Support.IGNORED),
        Option("snapshot.delay.ms", Kind.LONG, 0, "Waits before the snapshot.", support=Support.NOTED),
        Option("snapshot.tables.order.by.row.count", Kind.STRING, "disabled", "Order of tables.", support=Support.NOTED),
        Option("snapshot.mode.configuration.based.snapshot.data", Kind.BOOLEAN, False, "With configuration_based: rows are published."),
        Option("snapshot.mode.configuration.based.snapshot.schema", Kind.BOOLEAN, False, "With configuration_based: no effect on Postgres."),
        Option("snapshot.mode.configuration.based.start.stream", Kind.BOOLEAN, False, "With configuration_based: streaming follows."),
        Option("snapshot.mode.configuration.based.snapshot.on.schema.error", Kind.BOOLEAN, False, "With configuration_based: no effect on Postgres."),
        Option("snapshot.mode.configuration.based.snapshot.on.data.error", Kind.BOOLEAN, False, "With configuration_based: rows again when the position is lost."),
        Option("incremental.snapshot.chunk.size", Kind.INT, 1024, "Rows of a chunk; the size adapts here.", support=Support.IGNORED),
        Option("incremental.snapshot.watermarking.strategy", Kind.STRING, "INSERT_INSERT", "Nothing is written to the source here.", support=Support.NOTED),
        Option("incremental.snapshot.allow.schema.changes", Kind.BOOLEAN, False, "Schemas may change meanwhile here.", support=Support.NOTED),
        Option("streaming.delay.ms", Kind.LONG, 0, "Waits between snapshot and stream.", support=Support.NOTED),
    ),
    "Signals": (
        Option("signal.data.collection", Kind.STRING, None, "The signal table."),
        Option("signal.enabled.channels", Kind.LIST, ["source"], "Channels that signals are read from."),
        Option("signal.poll.interval.ms", Kind.LONG, 5_000, "How often signals are looked for.", support=Support.IGNORED),
        Option("signal.kafka.topic", Kind.STRING, None, "The topic of signals; `<prefix>-signal` when left out."),
        Option("signal.kafka.groupId", Kind.STRING, "kafka-signal", "No group is needed here.", support=Support.IGNORED),
        Option("signal.kafka.bootstrap.servers", Kind.STRING, None, "The pipeline's brokers are used.", support=Support.IGNORED),
        Option("seam.signal.message.sql", Kind.BOOLEAN, False,
               "Whether signals in logical messages may carry SQL, which the engine's role runs; every role of the database may write such messages."),
        Option("signal.file", Kind.STRING, "file-signals.txt", "The file of signals."),
        Option("notification.enabled.channels", Kind.LIST, [], "Channels of notifications.", support=Support.NOTED),
        Option("notification.sink.topic.name", Kind.STRING, None, "The topic of notifications.", support=Support.NOTED),
    ),
    "Tuning of Debezium": (
        Option("max.batch.size", Kind.INT, 2048, "Debezium's batch.", support=Support.IGNORED),
        Option("max.queue.size", Kind.INT, 8192, "Debezium's queue.", support=Support.IGNORED),
        Option("max.queue.size.in.bytes", Kind.LONG, 0, "Debezium's queue; memory is always bounded by bytes here.", support=Support.IGNORED),
        Option("poll.interval.ms", Kind.LONG, 500, "Debezium's idle sleep.", support=Support.IGNORED),
        Option("errors.max.retries", Kind.INT, -1, "Use seam.retry.timeout.ms.", support=Support.IGNORED),
        Option("retriable.restart.connector.wait.ms", Kind.LONG, 10_000, "Use seam.retry.timeout.ms.", support=Support.IGNORED),
        Option("statistics.metrics.enabled", Kind.BOOLEAN, True, "Debezium's metrics.", support=Support.IGNORED),
        Option("custom.metric.tags", Kind.STRING, None, "Tags of Debezium's metrics.", support=Support.IGNORED),
        Option("offset.flush.interval.ms", Kind.LONG, 60_000, "The worker's interval.", support=Support.IGNORED),
        Option("offset.flush.timeout.ms", Kind.LONG, 5_000, "The worker's limit.", support=Support.IGNORED),
        Option("executor.shutdown.timeout.ms", Kind.LONG, 4_000, "Debezium's limit of a stop.", support=Support.IGNORED),
        Option("snapshot.database.errors.max.retries", Kind.INT, 0, "Use seam.retry.timeout.ms.", support=Support.IGNORED),
        Option("connection.validation.timeout.ms", Kind.LONG, 60_000, "Debezium's limit of a validation.", support=Support.IGNORED),
        Option("config.action.reload", Kind.STRING, "restart", "The worker's reaction to changed secrets.", support=Support.IGNORED),
    ),
    "Converters, transforms and errors": (
        Option("key.converter", Kind.CLASS, "org.apache.kafka.connect.json.JsonConverter", "Writes keys."),
        Option("value.converter", Kind.CLASS, "org.apache.kafka.connect.json.JsonConverter", "Writes values."),
        Option("header.converter", Kind.CLASS, "org.apache.kafka.connect.storage.SimpleHeaderConverter", "Writes headers.",
               choices=("org.apache.kafka.connect.storage.SimpleHeaderConverter",)),
        Option("transforms", Kind.LIST, [], "The chain of single message transforms."),
        Option("predicates", Kind.LIST, [], "The predicates of the chain."),
        Option("errors.tolerance", Kind.STRING, "none", "`all` sends records that cannot be carried to the dead-letter topic.", choices=("none", "all")),
        Option("errors.deadletterqueue.topic.name", Kind.STRING, None, "The dead-letter topic; required with errors.tolerance=all."),
        Option("errors.deadletterqueue.topic.replication.factor", Kind.INT, 3, "Copies of the dead-letter topic."),
        Option("errors.deadletterqueue.context.headers.enable", Kind.BOOLEAN, True, "Whether dead letters say what happened, in headers."),
        Option("errors.retry.timeout", Kind.LONG, 0, "Use seam.retry.timeout.ms.", support=Support.IGNORED),
        Option("errors.retry.delay.max.ms", Kind.LONG, 60_000, "Use seam.retry.timeout.ms.", support=Support.IGNORED),
        Option("errors.log.enable", Kind.BOOLEAN, False, "Errors are always logged.", support=Support.NOTED),
        Option("errors.log.include.messages", Kind.BOOLEAN, False, "Row values are never logged.", support=Support.NOTED),
        Option("topic.creation.enable", Kind.BOOLEAN, True, "Whether topics are created as declared."),
        Option("topic.creation.groups", Kind.LIST, [], "Groups of topics with a declaration of their own."),
    ),
}  # fmt: skip

OPEN_PREFIXES: Final = (
    "producer.override.", "key.converter.", "value.converter.", "header.converter.", "transforms.", "predicates.",
    "topic.creation.", "seam.topic.", "snapshot.select.statement.overrides.", "config.providers", "signal.consumer.",
    "admin.override.", "consumer.override.", "config.storage.", "offset.storage.", "status.storage.",
)  # fmt: skip

PATTERNS: Final = (
    r"column\.mask\.hash(\.v2)?\.[^.]+\.with\.salt\..+", r"column\.mask\.with\.\d+\.chars", r"column\.truncate\.to\.\d+\.chars",
)  # fmt: skip

OPTIONS: Final = OptionSet(
    [
        Option(o.name, o.kind, o.default, o.doc, o.choices, o.check, o.support, group, o.refused_unless)
        for group, options in _GROUPS.items()
        for o in options
    ],
    open_prefixes=OPEN_PREFIXES,
    patterns=PATTERNS,
)
