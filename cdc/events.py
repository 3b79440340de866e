"""Events that are not rows: truncate, logical messages, transaction boundaries, heartbeats.

Source: Debezium documentation, Postgres connector, "Truncate events", "message events", "Transaction metadata"; shapes
as measured on 3.6.3.Final.
"""

from __future__ import annotations

import base64
from collections.abc import Callable, Sequence
from typing import Any, Final

from cdc.envelope import BLOCK_SCHEMA, SOURCE_SCHEMA, envelope_schema
from cdc.layout import Layout
from cdc.model.record import Header, SourceRecord
from cdc.model.schema import (
    BYTES,
    INT64,
    OPTIONAL_INT64,
    OPTIONAL_STRING,
    STRING,
    Schema,
    Struct,
    Type,
    array_schema,
    struct_schema,
)
from cdc.render import Record, RenderOptions
from cdc.source import SourceState
from cdc.values.javahash import hash_order, string_hash
from cdc.wire.pgoutput import Begin, Commit, Message, PgOutput, Truncate

OWN_PREFIX: Final = "seam."
"""Logical messages of our own begin with it and are never published."""

_MESSAGE_ID: Final = "io.debezium.connector.postgresql.LogicalDecodingMessageMonitor$LogicalDecodingMessageId"

HEARTBEAT_PREFIX: Final = OWN_PREFIX + "heartbeat"
TOKEN_PREFIX: Final = OWN_PREFIX + "token"

_MESSAGE_KEY: Final = struct_schema(
    [("prefix", OPTIONAL_STRING)], name="io.debezium.connector.postgresql.MessageKey", version=1
)

_TRANSACTION_KEY: Final = struct_schema(
    [("id", STRING)], name="io.debezium.connector.common.TransactionMetadataKey", version=1
)
_COLLECTION: Final = struct_schema(
    [("data_collection", STRING), ("event_count", INT64)], name="event.collection", version=1, optional=True
)
_TRANSACTION_VALUE: Final = struct_schema(
    [
        ("status", STRING),
        ("id", STRING),
        ("event_count", OPTIONAL_INT64),
        ("data_collections", array_schema(_COLLECTION, optional=True)),
        ("ts_ms", INT64),
    ],
    name="io.debezium.connector.common.TransactionMetadataValue",
    version=1,
)
_HEARTBEAT_KEY: Final = struct_schema(
    [("serverName", STRING)], name="io.debezium.connector.common.ServerNameKey", version=1
)
_HEARTBEAT_VALUE: Final = struct_schema([("ts_ms", INT64)], name="io.debezium.connector.common.Heartbeat", version=1)

Emit = Callable[[SourceRecord], Sequence[Record]]
"""Transforms and converters: a Connect record becomes what the producer takes."""


class Events:
    """Makes the records of messages that are not rows.

    Args:
        options: What the configuration says about records.
        layouts: OID -> layout of the captured tables.
        emit: Transforms and converters.
        binary_mode: `binary.handling.mode`, for the content of messages.
        publishes: Whether logical messages of a prefix are published.
        on_message: Told of each logical message of our own, which is never published.
    """

    def __init__(
        self,
        options: RenderOptions,
        layouts: dict[int, Layout],
        emit: Emit,
        *,
        binary_mode: str = "bytes",
        publishes: Callable[[str], bool] = lambda _prefix: True,
        on_message: Callable[[Message], None] = lambda _message: None,
    ) -> None:
        self.options = options
        self.layouts = layouts
        self.emit = emit
        self.publishes = publishes
        self.on_message = on_message
        content, self._content = _content_form(binary_mode)
        topics = options.topics
        block = struct_schema([("prefix", OPTIONAL_STRING), ("content", content)], name=topics.adjust_schema(
            "io.debezium.connector.postgresql.Message"), version=1)  # fmt: skip
        self._message_block = block
        self._message_schema = struct_schema(
            [
                ("op", STRING), ("ts_ms", OPTIONAL_INT64), ("source", SOURCE_SCHEMA), ("transaction", BLOCK_SCHEMA),
                ("message", self._message_block),
            ],
            name="io.debezium.connector.postgresql.MessageValue", version=1,
        )  # fmt: skip

    def records_of(self, message: PgOutput, lsn: int, state: SourceState) -> Sequence[Record]:
        """The records of one message, none for most."""
        if isinstance(message, Truncate):
            return [] if "t" in self.options.skipped else self._truncate(message, lsn, state)
        if isinstance(message, Message):
            if not message.transactional:
                state.message_position(message.lsn)
            return self._message(message, lsn, state)
        if not self.options.transaction_metadata:
            return ()
        if isinstance(message, Begin):
            return self._boundary("BEGIN", state.transaction_id, state, None)
        if isinstance(message, Commit) and state.transaction_id:
            transaction_id = f"{state.xid}:{lsn}" if state.options.strict else state.transaction_id
            return self._boundary("END", transaction_id, state, state.counts)
        return ()

    def _truncate(self, message: Truncate, lsn: int, state: SourceState) -> list[Record]:
        records: list[Record] = []
        nanos = state.clock_nanos
        for oid in message.relations:
            layout = self.layouts.get(oid)
            if layout is None:
                continue
            relation = layout.relation
            schema = envelope_schema(layout, self.options.topics)
            block = state.block_struct(relation.qualified, lsn) if self.options.transaction_metadata else None
            source = state.source_struct(relation.schema, relation.name, lsn)
            value = Struct(schema, [None, None, source, block, "t", nanos // 1_000_000, nanos // 1000, nanos])
            records += self.emit(
                SourceRecord(layout.topic, None, None, None, schema, value, headers=self._headers(state))
            )
        return records

    def _headers(self, state: SourceState) -> tuple[Header, ...]:
        return state.connect_headers() if self.options.extended_headers else ()

    def _message(self, message: Message, lsn: int, state: SourceState) -> Sequence[Record]:
        if message.prefix.startswith(OWN_PREFIX):
            self.on_message(message)
            return ()
        if not self.publishes(message.prefix):
            return ()
        source = state.source_struct("", "", int(message.lsn) if not message.transactional else lsn)
        block = None
        if not message.transactional:
            source.put("txId", None)
        elif self.options.transaction_metadata:
            block = state.block_struct(self._collection_of(message, state), lsn)
        value = Struct(
            self._message_schema,
            [
                "m", state.clock_nanos // 1_000_000, source, block,
                Struct(self._message_block, [message.prefix, self._content(message.content)]),
            ],
        )  # fmt: skip
        key = Struct(_MESSAGE_KEY, [message.prefix])
        return self.emit(
            SourceRecord(self.options.topics.message(), None, _MESSAGE_KEY, key, self._message_schema, value)
        )

    def _collection_of(self, message: Message, state: SourceState) -> str:
        """What a message counts as among a transaction's data collections."""
        if state.options.strict:
            # Debezium prints a Java object, another one for each message.
            return f"{_MESSAGE_ID}@{message.lsn & 0xFFFFFFFF:x}"
        return self.options.topics.message()

    def _boundary(
        self, status: str, transaction_id: str, state: SourceState, counts: dict[str, int] | None
    ) -> Sequence[Record]:
        collections = None
        total = None
        if counts is not None:
            total = sum(counts.values())
            names = hash_order(list(counts), [string_hash(name) for name in counts])
            collections = [Struct(_COLLECTION, [name, counts[name]]) for name in names]
        value = Struct(_TRANSACTION_VALUE, [status, transaction_id, total, collections, state.commit_micros // 1000])
        key = Struct(_TRANSACTION_KEY, [transaction_id])
        topic = self.options.topics.transaction()
        return self.emit(SourceRecord(topic, None, _TRANSACTION_KEY, key, _TRANSACTION_VALUE, value))

    def heartbeat(self, millis: int) -> Sequence[Record]:
        """The record of one heartbeat.

        Args:
            millis: Now, milliseconds since the Unix epoch.
        """
        return self.emit(
            SourceRecord(
                self.options.topics.heartbeat(), 0, _HEARTBEAT_KEY, Struct(_HEARTBEAT_KEY, [self.options.topics.prefix]),
                _HEARTBEAT_VALUE, Struct(_HEARTBEAT_VALUE, [millis]),
            )
        )  # fmt: skip


def _content_form(mode: str) -> tuple[Schema, Callable[[bytes], Any]]:
    if mode == "base64":
        return Schema(Type.STRING, optional=True), lambda data: base64.b64encode(data).decode()
    if mode == "base64-url-safe":
        return Schema(Type.STRING, optional=True), lambda data: base64.urlsafe_b64encode(data).decode()
    if mode == "hex":
        return Schema(Type.STRING, optional=True), lambda data: data.hex()
    return BYTES.as_optional(), lambda data: data
