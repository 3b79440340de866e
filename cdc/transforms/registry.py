"""From the names in a configuration to classes: full Java names, and the short ones that a Connect worker knows."""

from __future__ import annotations

import difflib
from collections.abc import Iterator, Mapping
from types import ModuleType
from typing import Any, Final, TypeVar

from cdc.transforms import (
    cast,
    extract_field,
    filtering,
    flatten,
    headers,
    hoist_field,
    insert_field,
    mask_field,
    predicates,
    replace_field,
    routers,
    set_schema_metadata,
    timestamp_converter,
    value_to_key,
)
from cdc.transforms.base import Predicate, Transform
from cdc.transforms.debezium import (
    changed_record_state,
    header_to_value,
    logical_table_router,
    message_content,
    new_record_state,
    outbox,
    partition_routing,
    record_size,
    schema_change_filter,
    timezone_converter,
    vectors,
)
from cdc.transforms.native import insert_source, lookup

_MODULES: Final[tuple[ModuleType, ...]] = (
    cast, extract_field, filtering, flatten, headers, hoist_field, insert_field, mask_field, predicates, replace_field,
    routers, set_schema_metadata, timestamp_converter, value_to_key,
    changed_record_state, header_to_value, logical_table_router, message_content, new_record_state, outbox,
    partition_routing, record_size, schema_change_filter, timezone_converter, vectors,
    insert_source, lookup,
)  # fmt: skip

_SCRIPTED: Final = (
    "scripts run in a JVM; write it as a Python transform, `type=python:package.module:name`, a function of a record "
    "that gives back the record, another one, or None to drop it"
)
_NOT_HERE: Final = "it is known from Debezium, and this engine does not have it"
REFUSED: Final[dict[str, str]] = {
    "io.debezium.transforms.Filter": _SCRIPTED,
    "io.debezium.transforms.ContentBasedRouter": _SCRIPTED,
    "ContentBasedRouter": _SCRIPTED,
    **dict.fromkeys(
        (
            "io.debezium.transforms.ExtractSchemaToNewRecord", "io.debezium.transforms.SwapGeometryCoordinates",
            "io.debezium.transforms.GeometryFormatTransformer", "io.debezium.transforms.tracing.ActivateTracingSpan",
            "io.debezium.transforms.openlineage.OpenLineage",
            "io.debezium.connector.postgresql.transforms.timescaledb.TimescaleDb",
            "io.debezium.connector.mysql.transforms.ReadToInsertEvent",
            "io.debezium.connector.mongodb.transforms.ExtractNewDocumentState",
            "io.debezium.connector.mongodb.transforms.outbox.MongoEventRouter",
        ),
        _NOT_HERE,
    ),
}  # fmt: skip
"""Transforms that are known and not carried out, with the reason and what to do instead."""

Plugin = TypeVar("Plugin", Transform, Predicate)


def _named(kind: type[Plugin]) -> Iterator[tuple[str, type[Plugin]]]:
    for module in _MODULES:
        for found in vars(module).values():
            if isinstance(found, type) and issubclass(found, kind) and found.java_name:
                yield found.java_name, found
                yield found.java_name.rpartition(".")[2], found


TRANSFORMS: Final[dict[str, type[Transform]]] = dict(_named(Transform))  # type: ignore[type-abstract] # a filter only
PREDICATES: Final[dict[str, type[Predicate]]] = dict(_named(Predicate))  # type: ignore[type-abstract] # a filter only


def nearest(name: str, known: Mapping[str, Any]) -> tuple[str, ...]:
    """Names that were probably meant, best first."""
    return tuple(difflib.get_close_matches(name, known, n=2, cutoff=0.7))
