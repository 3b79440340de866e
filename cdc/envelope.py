"""Debezium's envelope: the schemas of `source`, of the transaction block and of the change value.

Source: Debezium documentation, Postgres connector, "Data change events"; field order and versions as measured on
3.6.3.Final.
"""

from __future__ import annotations

from typing import Final

from cdc.layout import Layout
from cdc.model.schema import (
    INT64,
    OPTIONAL_INT64,
    OPTIONAL_STRING,
    STRING,
    Schema,
    Type,
    struct_schema,
)
from cdc.topics import TopicNames

DEBEZIUM_VERSION: Final = "3.6.3.Final"
CONNECTOR: Final = "postgresql"

SNAPSHOT_SCHEMA: Final = Schema(
    Type.STRING,
    optional=True,
    name="io.debezium.data.Enum",
    version=1,
    parameters={"allowed": "true,first,first_in_data_collection,last_in_data_collection,last,false,incremental"},
    default="false",
)

SOURCE_SCHEMA: Final = struct_schema(
    [
        ("version", STRING),
        ("connector", STRING),
        ("name", STRING),
        ("ts_ms", INT64),
        ("snapshot", SNAPSHOT_SCHEMA),
        ("db", STRING),
        ("sequence", OPTIONAL_STRING),
        ("ts_us", OPTIONAL_INT64),
        ("ts_ns", OPTIONAL_INT64),
        ("schema", STRING),
        ("table", STRING),
        ("txId", OPTIONAL_INT64),
        ("lsn", OPTIONAL_INT64),
        ("xmin", OPTIONAL_INT64),
        ("origin", OPTIONAL_STRING),
        ("origin_lsn", OPTIONAL_INT64),
    ],
    name="io.debezium.connector.postgresql.Source",
    version=1,
)

BLOCK_SCHEMA: Final = struct_schema(
    [("id", STRING), ("total_order", INT64), ("data_collection_order", INT64)],
    name="event.block",
    version=1,
    optional=True,
)


def envelope_schema(layout: Layout, topics: TopicNames) -> Schema:
    """The schema of a table's change values."""
    return struct_schema(
        [
            ("before", layout.before_schema),
            ("after", layout.row_schema),
            ("source", SOURCE_SCHEMA),
            ("transaction", BLOCK_SCHEMA),
            ("op", STRING),
            ("ts_ms", OPTIONAL_INT64),
            ("ts_us", OPTIONAL_INT64),
            ("ts_ns", OPTIONAL_INT64),
        ],
        name=topics.schema_name(layout.topic, "Envelope"),
        version=2,
    )
