"""A configuration's transforms, configured and run over sample records without a worker.

A worker parses a transform's options when it validates; what the transform itself checks, and whether it takes a
deletion, a tombstone or a heartbeat, it finds out in the running task. The table of the samples is invented, so all
that is found is a warning: the worker and the real table have the last word.
"""

from __future__ import annotations

from collections.abc import Container, Iterator, Mapping
from typing import Final

from cdc.envelope import BLOCK_SCHEMA, SOURCE_SCHEMA
from cdc.errors import ConfigError, TransformError
from cdc.model.record import SourceRecord
from cdc.model.schema import INT32, INT64, OPTIONAL_INT64, OPTIONAL_STRING, STRING, Struct, struct_schema
from cdc.report import Finding, Severity
from cdc.transforms import Chain, Surroundings, compile_chain
from cdc.transforms.registry import PREDICATES, TRANSFORMS

_DEBEZIUM: Final = "io.debezium.connector."
# Enough for what people unwrap, route by and take as an outbox.
_COLUMNS: Final = {
    "id": INT32, "name": OPTIONAL_STRING, "aggregatetype": OPTIONAL_STRING, "aggregateid": OPTIONAL_STRING,
    "type": OPTIONAL_STRING, "payload": OPTIONAL_STRING,
}  # fmt: skip
_ROW: Final = (1, "sample", "order", "1", "OrderPlaced", "{}")


def check_chain(config: Mapping[str, str]) -> list[Finding]:
    """Findings about a configuration's transforms."""
    if not config.get("transforms", "").strip():
        return []
    unknown = _unknown(config)
    if unknown:
        return [
            Finding(
                "TRANSFORM_NOT_TRIED", Severity.UNKNOWN, key, f"{value} is not known here, so the chain was not tried"
            )
            for key, value in unknown.items()
        ]
    try:
        chain = compile_chain(config, Surroundings())
    except ConfigError as error:
        return [
            Finding(
                "TRANSFORM_CONFIG",
                Severity.WARNING,
                problem.key,
                f"{problem.message}; the task would fail on its start",
            )
            for problem in error.problems
        ]
    class_ = config.get("connector.class", "")
    samples = _changes(config) if class_.startswith(_DEBEZIUM) and "topics" not in config else ()
    return list(_refused(chain, samples))


def _unknown(config: Mapping[str, str]) -> dict[str, str]:
    kinds: dict[str, Container[str]] = {"transforms.": TRANSFORMS, "predicates.": PREDICATES}
    return {
        key: value
        for key, value in config.items()
        for prefix, known in kinds.items()
        if key.startswith(prefix) and key.endswith(".type") and key.count(".") == 2 and value.strip() not in known
    }


def _refused(chain: Chain, samples: Iterator[tuple[str, SourceRecord]] | tuple[()]) -> Iterator[Finding]:
    seen: dict[str, list[str]] = {}
    for kind, record in samples:
        try:
            chain.apply(record)
        except TransformError as error:
            seen.setdefault(error.reason, []).append(kind)
    for reason, kinds in seen.items():
        yield Finding(
            "TRANSFORM_SAMPLE", Severity.WARNING, "transforms", f"on a sample of {', '.join(kinds)}: {reason}",
            "guard the transform with a predicate, or check that your own table has what it asks for",
        )  # fmt: skip


def _changes(config: Mapping[str, str]) -> Iterator[tuple[str, SourceRecord]]:
    """What a Debezium source sends: a row read, inserted, updated, deleted, its tombstone, and a heartbeat."""
    prefix = config.get("topic.prefix", "sample")
    topic = f"{prefix}.public.orders"
    row = struct_schema(list(_COLUMNS.items()), name=f"{topic}.Value", optional=True)
    key_schema = struct_schema([("id", INT32)], name=f"{topic}.Key")
    envelope = struct_schema(
        [
            ("before", row), ("after", row), ("source", SOURCE_SCHEMA), ("transaction", BLOCK_SCHEMA), ("op", STRING),
            ("ts_ms", OPTIONAL_INT64), ("ts_us", OPTIONAL_INT64), ("ts_ns", OPTIONAL_INT64),
        ],
        name=f"{topic}.Envelope", version=2,
    )  # fmt: skip
    key = Struct(key_schema, [1])
    present = Struct(row, _ROW)
    for kind, op, before, after in (
        ("a snapshot row", "r", None, present),
        ("an insert", "c", None, present),
        ("an update", "u", present, present),
        ("a delete", "d", present, None),
    ):
        value = Struct(envelope, [before, after, _source(prefix), None, op, 1, 1000, 1_000_000])
        yield kind, SourceRecord(topic, None, key_schema, key, envelope, value, 1)
    yield "a tombstone", SourceRecord(topic, None, key_schema, key, None, None, 1)
    yield "a heartbeat", _heartbeat(prefix)


def _source(prefix: str) -> Struct:
    return Struct(
        SOURCE_SCHEMA,
        ["3.6.3.Final", "postgresql", prefix, 1, "false", "shop", None, 1000, 1_000_000, "public", "orders", 1, 1, None]
        + [None] * (len(SOURCE_SCHEMA.fields) - 14),
    )


def _heartbeat(prefix: str) -> SourceRecord:
    key_schema = struct_schema([("serverName", STRING)], name="io.debezium.connector.common.ServerNameKey", version=1)
    value_schema = struct_schema([("ts_ms", INT64)], name="io.debezium.connector.common.Heartbeat", version=1)
    key, value = Struct(key_schema, [prefix]), Struct(value_schema, [1])
    return SourceRecord(f"__debezium-heartbeat.{prefix}", None, key_schema, key, value_schema, value, 1)
