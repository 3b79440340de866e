"""`io.debezium.transforms.outbox.EventRouter`: rows of an outbox table become messages of their own."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Final

from cdc.model.javaerrors import DataError, JavaError, SchemaBuilderError, list_text
from cdc.model.record import SinkRecord, SourceRecord
from cdc.model.schema import STRING, Schema, Struct, Type
from cdc.model.validation import validate_value
from cdc.transforms.base import Transform, require_struct
from cdc.transforms.configdef import ConfigDef, Key, Kind, split, trim
from cdc.transforms.debezium.envelopes import is_change_event, null_pointer, typed_member
from cdc.transforms.debezium.json_schema import JsonSchemas, NotJson, parse
from cdc.transforms.debezium.names import ADJUSTMENT_MODES, adjuster
from cdc.transforms.debezium.options import is_regex, literal, literal_of
from cdc.transforms.headers import checked_header
from cdc.transforms.routers import RegexRouter
from cdc.transforms.schemas import checked_fields, struct_field
from cdc.values.javastring import java_string

_INVALID: Final = ("warn", "error", "fatal")
_MISSING: Final = ("error", "ignore")
_NULLS: Final = ("ignore", "optional_bytes")
_PLACEMENTS: Final = ("header", "envelope", "partition")
_DIVISORS: Final = {
    "io.debezium.time.Timestamp": 1, "io.debezium.time.MicroTimestamp": 1000,
    "io.debezium.time.NanoTimestamp": 1_000_000,
}  # fmt: skip


def _are_pairs(text: str | None) -> str | None:
    if text is None:
        return None
    entries = split(text, ",")
    if all(len(split(entry, ":")) in (2, 3) for entry in entries):
        return None
    return f"A comma-separated list of valid String pairs or trios is expected but got: {list_text(entries)}"


@dataclass(frozen=True, slots=True)
class _Additional:
    """One entry of `table.fields.additional.placement`."""

    field: str
    placement: str | None
    alias: str


def _additional(text: str | None) -> list[_Additional]:
    found: list[_Additional] = []
    for entry in split(text, ",") if text is not None else []:
        parts = [trim(part) for part in split(entry, ":")]
        placement = parts[1].lower() if parts[1].lower() in _PLACEMENTS else None
        found.append(_Additional(parts[0], placement, parts[2] if len(parts) == 3 else parts[0]))
    return found


class EventRouter(Transform):
    """Routes inserts of the outbox table by a column, with the payload as value."""

    java_name = "io.debezium.transforms.outbox.EventRouter"
    routes = True
    reads = frozenset({"value", "key"})
    config: ClassVar = ConfigDef((
        Key("route.by.field", Kind.STRING, "aggregatetype", "Column that names the destination."),
        Key("route.tombstone.on.empty.payload", Kind.BOOLEAN, False, "Whether an empty payload becomes a tombstone."),
        Key("route.topic.regex", Kind.STRING, "(?<routedByValue>.*)", "What the column's value must match.",
            late=(is_regex,)),
        Key("route.topic.replacement", Kind.STRING, "outbox.event.${routedByValue}", "The topic."),
        Key("table.expand.json.payload", Kind.BOOLEAN, False, "Whether a JSON text becomes a struct."),
        Key("table.field.event.id", Kind.STRING, "id", "Column with the event's id."),
        Key("table.field.event.key", Kind.STRING, "aggregateid", "Column with the message's key."),
        Key("table.field.event.payload", Kind.STRING, "payload", "Column with the payload."),
        Key("table.field.event.schema.version", Kind.STRING, None, "Column with the schema's version."),
        Key("table.field.event.timestamp", Kind.STRING, None, "INT64 column with the message's timestamp."),
        Key("table.field.event.type", Kind.STRING, "type", "Column with the event's type; has no effect."),
        Key("table.field.additional.missing", Kind.STRING, "error", "What a missing additional column does.",
            late=(literal_of(_MISSING, required=True),)),
        Key("table.fields.additional.placement", Kind.LIST, None, "`column:placement[:alias]` entries.",
            late=(_are_pairs,)),
        Key("table.json.payload.null.behavior", Kind.STRING, "ignore", "What becomes of null members of a JSON payload.",
            late=(literal_of(_NULLS, required=True),)),
        Key("table.op.invalid.behavior", Kind.STRING, "warn", "What an update does.",
            late=(literal_of(_INVALID, required=True),)),
    ), undeclared=(
        "field.name.adjustment.mode", "tracing.span.context.field", "tracing.operation.name",
        "tracing.with.context.field.only",
    ))  # fmt: skip

    def configure(self) -> None:
        """Read the options."""
        texts: Mapping[str, str] = self.texts
        self._id = texts.get("table.field.event.id", "id")
        self._key = texts.get("table.field.event.key", "aggregateid")
        self._payload = texts.get("table.field.event.payload", "payload")
        self._timestamp = texts.get("table.field.event.timestamp")
        self._version = texts.get("table.field.event.schema.version")
        self._route_by = texts.get("route.by.field", "aggregatetype")
        self._fatal = literal(texts, "table.op.invalid.behavior", _INVALID, "warn") == "fatal"
        self._additional = _additional(texts.get("table.fields.additional.placement"))
        self._ignore_missing = literal(texts, "table.field.additional.missing", _MISSING, "error") == "ignore"
        self._enveloped = any(entry.placement == "envelope" for entry in self._additional)
        self._tombstones: bool = self.options["route.tombstone.on.empty.payload"]
        self._json: JsonSchemas | None = None
        if self.options["table.expand.json.payload"]:
            mode = literal(texts, "field.name.adjustment.mode", ADJUSTMENT_MODES, "none")
            nulls = literal(texts, "table.json.payload.null.behavior", _NULLS, "ignore")
            self._json = JsonSchemas(null_bytes=nulls == "optional_bytes", adjust=adjuster(mode, dots=False))
        router = {
            "regex": texts.get("route.topic.regex", "(?<routedByValue>.*)"),
            "replacement": texts.get("route.topic.replacement", "outbox.event.${routedByValue}"),
        }
        self._router = RegexRouter({name: trim(text) for name, text in router.items()}, self.surroundings)
        self._schemas: dict[Any, Schema] = {}

    def apply(self, record: SourceRecord) -> SourceRecord | None:
        """The message, or None for tombstones, deletes and updates."""
        if record.value is None:
            return None
        if not is_change_event(record):
            return record
        event = require_struct(record.value, "Detect Debezium Operation")
        operation = typed_member(event, "op", Type.STRING)
        if operation is None:
            raise null_pointer()
        if operation == "d":
            return None
        if operation == "u":
            self._refuse_update(record)
            return None
        return self._routed(record, event)

    def _refuse_update(self, record: SourceRecord) -> None:
        if self._fatal:
            raise JavaError(
                f"Unexpected update message received {java_string(record.key, record.key_schema)}, fail.",
                "IllegalStateException",
                shown="an update of the outbox table, which table.op.invalid.behavior forbids",
            )

    def _routed(self, record: SourceRecord, event: Struct) -> SourceRecord:
        field = event.schema.field("after")
        if field is None:
            raise JavaError("Unknown field: after", "IllegalArgumentException")
        row = require_struct(event.get("after"), "Read Outbox Event")
        columns = field.schema
        payload_field = columns.field(self._payload)
        if payload_field is None:
            raise JavaError(f"Unable to find payload field {self._payload} in event", "ConnectException")
        timestamp = self._timestamp_of(event, row)
        event_id = _column(row, self._id)
        schema, payload = self._expanded(payload_field.schema, _column(row, self._payload))
        added = [checked_header("id", struct_field(row, self._id).schema, event_id)]
        value_schema: Schema | None = schema
        value = payload
        if self._enveloped:
            enveloped = self._value_schema(schema, columns, row)
            value_schema, value = enveloped, _put(Struct(enveloped), "payload", payload)
        partition: int | None = None
        for entry in self._additional:
            if self._ignore_missing and columns.field(entry.field) is None:
                continue
            if entry.placement is None:
                raise null_pointer()
            if entry.placement == "partition":
                partition = typed_member(row, entry.field, Type.INT32)
                continue
            content = _column(row, entry.field)
            if entry.placement == "header":
                added.append(checked_header(entry.alias, struct_field(row, entry.field).schema, content))
            else:
                assert isinstance(value, Struct)
                _put(value, entry.alias, content)
        if self._tombstones and (payload is None or not trim(java_string(payload, schema))):
            value_schema = value = None
        key = _column(row, self._key)
        topic = typed_member(row, self._route_by, Type.STRING)
        if partition is None and isinstance(record, SinkRecord):
            raise null_pointer('Cannot invoke "java.lang.Integer.intValue()" because "kafkaPartition" is null')
        message = record.replace(
            topic=topic, partition=partition, key_schema=_key_schema(columns, self._key), key=key,
            value_schema=value_schema, value=value, timestamp=timestamp, headers=(*record.headers, *added),
        )  # fmt: skip
        return self._router.apply(message)

    def _timestamp_of(self, event: Struct, row: Struct) -> int | None:
        """Milliseconds since the epoch."""
        sent: int | None = None
        if self._timestamp is not None:
            field = row.schema.field(self._timestamp)
            if field is None:
                raise JavaError(f"Unable to find timestamp field {self._timestamp} in event", "ConnectException")
            sent = typed_member(row, self._timestamp, Type.INT64)
            if sent is not None:
                return _in_millis(sent, field.schema)
        created: int | None = typed_member(event, "ts_ms", Type.INT64)
        return created

    def _expanded(self, schema: Schema, payload: Any) -> tuple[Schema, Any]:
        """The payload as a struct where it is a JSON text; as it was where it cannot be read.

        Where only the reading by the inferred schema fails, Debezium keeps the new schema with the old text.
        """
        if self._json is None or not isinstance(payload, str) or payload[:1] not in ("{", "["):
            return schema, payload
        try:
            document = parse(payload)
            inferred = self._json.schema_of(self._payload, document)
        except (NotJson, JavaError):
            return schema, payload
        try:
            return inferred, self._json.read(document, inferred)  # type: ignore[return-value] # None fails in the reading
        except DataError:
            return inferred, payload  # type: ignore[return-value] # an empty array leaves no schema at all

    def _value_schema(self, payload: Schema, columns: Schema, row: Struct) -> Schema:
        """The schema of an enveloped value.

        Debezium looks it up by the payload's schema alone, or by the version alone, whatever the route.
        """
        version: int | None = None
        route = None
        if self._version is not None:
            version = typed_member(row, self._version, Type.INT32)
        route = typed_member(row, self._route_by, Type.STRING)
        key: Any = version if self._version is not None else payload
        if not self.surroundings.strict:
            key = (payload, version, columns, route)
        known = self._schemas.get(key)
        if known is None:
            if len(self._schemas) >= JsonSchemas.LIMIT:
                self._schemas.clear()
            known = self._schemas[key] = self._built(payload, columns, route, version)
        return known

    def _built(self, payload: Schema, columns: Schema, route: str | None, version: int | None) -> Schema:
        if payload is None:
            raise SchemaBuilderError("fieldSchema for field payload cannot be null.")
        pairs = [("payload", payload)]
        for entry in self._additional:
            if entry.placement != "envelope":
                continue
            field = columns.field(entry.field)
            if field is None:
                if not self._ignore_missing:
                    raise JavaError(f"Unable to find field {entry.field} in event", "ConnectException")
                continue
            pairs.append((entry.alias, field.schema))
        routed = java_string(route)
        if columns.name is None:
            name = routed
        else:
            front, dot, last = columns.name.rpartition(".")
            name = f"{front}{dot}{routed}.{last}"
        return Schema(Type.STRUCT, name=name, version=version, fields=checked_fields(pairs))


def _column(row: Struct, name: str) -> Any:
    """A column's value, the default standing in for null."""
    struct_field(row, name)
    return row.get(name)


def _put(struct: Struct, name: str, value: Any) -> Struct:
    field = struct_field(struct, name)
    validate_value(field.schema, value, f'field: "{name}"')
    return struct.put(name, value)


def _key_schema(columns: Schema, name: str) -> Schema:
    field = columns.field(name)
    return STRING if field is None else field.schema


def _in_millis(timestamp: int, schema: Schema) -> int:
    if schema.name is None:
        raise JavaError(
            f"Unsupported field type {schema.type.name} (without logical schema name) for event timestamp",
            "ConnectException",
        )
    divisor = _DIVISORS.get(schema.name)
    if divisor is None:
        raise JavaError(f"Unsupported field type {schema.name} for event timestamp", "ConnectException")
    return -(-timestamp // divisor) if timestamp < 0 else timestamp // divisor
