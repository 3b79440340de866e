"""A chain tried out on records that stand in a file: one JSON object a line, in and out.

A line holds `topic`, and where there are any `partition`, `timestamp`, `key`, `value`, `headers`. Key and value are
documents of Connect's JsonConverter (`{"schema", "payload"}`), or plain JSON where the configuration turns schemas off
(`value.converter.schemas.enable=false`); a header is `{"name", "schema", "value"}`.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from decimal import Decimal
from typing import Any, Final

from cdc.converters.header import SimpleHeaderConverter
from cdc.converters.json import JsonConverter
from cdc.converters.json_reading import JsonReader, parse_json
from cdc.errors import ConvertError, TransformError
from cdc.model.javaerrors import JavaError
from cdc.model.record import Header, SinkRecord, SourceRecord
from cdc.model.schema import Schema
from cdc.transforms.chain import Chain
from cdc.transforms.configdef import Kind, parse_type
from cdc.versions import LogRecord

_MEMBERS: Final = frozenset({"topic", "partition", "timestamp", "key", "value", "headers", "offset", "position"})
Line = dict[str, Any]
ToConnect = Callable[[bytes | None], tuple[Schema | None, Any]]
"""A key's or value's bytes -> its schema and value."""
Given = str | LogRecord
"""A line, or a record as it lies in Kafka."""


def _flag(properties: Mapping[str, str], name: str, default: bool) -> bool:
    return bool(parse_type(name, properties[name], Kind.BOOLEAN)) if name in properties else default


class DryRun:
    """Reads records, sends them through a chain, and writes what comes out.

    Args:
        chain: The chain.
        properties: The connector's configuration; its converters say how keys and values are written down.
        sink: Whether records from Kafka are those of a sink connector, with their offsets.
        readers: What reads keys and values from Kafka; the JsonConverter where a side is left out.

    Raises:
        JavaError: A converter's option cannot be read.
    """

    def __init__(
        self, chain: Chain, properties: Mapping[str, str], *, sink: bool = False,
        readers: Mapping[str, ToConnect] | None = None,
    ) -> None:  # fmt: skip
        self.chain = chain
        self._from_bytes = dict(readers or {})
        self._sink = sink
        self._headers = SimpleHeaderConverter()
        self.failed = 0
        self._tolerant = properties.get("errors.tolerance", "none").strip().lower() == "all"
        self._readers: dict[str, JsonReader] = {}
        self._writers: dict[str, JsonConverter] = {}
        for side in ("key", "value"):
            prefix = f"{side}.converter."
            schemas = _flag(properties, f"{prefix}schemas.enable", True)
            defaults = _flag(properties, f"{prefix}replace.null.with.default", True)
            numeric = properties.get(f"{prefix}decimal.format", "BASE64").strip().upper() == "NUMERIC"
            self._readers[side] = JsonReader(schemas_enable=schemas, replace_null_with_default=defaults)
            self._from_bytes.setdefault(side, self._readers[side].to_connect)
            self._writers[side] = JsonConverter(
                schemas_enable=schemas, decimal_numeric=numeric, replace_null_with_default=defaults
            )

    def run(self, lines: Iterable[Given]) -> Iterator[Line]:
        """What comes out of the chain, one line a record."""
        for number, record in self._records(lines):
            try:
                made = [self.document(result) for result in self.chain.apply(record)]
            except (TransformError, ConvertError) as error:
                yield self._failure(number, error)
                continue
            yield from made

    def explain(self, lines: Iterable[Given]) -> Iterator[Line]:
        """What comes out of each step: `{"line", "step", "class", "applied", "records"}`."""
        for number, record in self._records(lines):
            yield {"line": number, "step": None, "records": [self.document(record)]}
            try:
                for outcome in self.chain.explain(record):
                    yield {
                        "line": number,
                        "step": outcome.step.alias,
                        "class": outcome.step.transform.java_name,
                        "applied": outcome.applied,
                        "records": [self.document(made) for made in outcome.records],
                    }
            except (TransformError, ConvertError) as error:
                yield self._failure(number, error)

    def diff(self, lines: Iterable[Given]) -> Iterator[Line]:
        """Before and after: `{"line", "before", "after", "changed"}`; `changed` lists the members that differ."""
        for number, record in self._records(lines):
            before = self.document(record)
            try:
                after = [self.document(made) for made in self.chain.apply(record)]
            except (TransformError, ConvertError) as error:
                yield self._failure(number, error)
                continue
            changed = sorted({name for made in after for name in made if made[name] != before.get(name)})
            yield {"line": number, "before": before, "after": after, "changed": changed}

    def _failure(self, number: int, error: TransformError | ConvertError) -> Line:
        """The line that tells of a refused record, where `errors.tolerance` is all.

        Raises:
            RecordError: The error itself, otherwise.
        """
        if not self._tolerant:
            raise error
        self.failed += 1
        told: Line = {"line": number, "error": error.reason, "stage": error.stage}
        if isinstance(error, TransformError):
            told |= {"class": error.java_class, "message": error.java_message}
        return told

    def _records(self, lines: Iterable[Given]) -> Iterator[tuple[int, SourceRecord]]:
        for number, line in enumerate(lines, start=1):
            if isinstance(line, LogRecord):
                yield number, self._from_kafka(line)
                continue
            if not line.strip():
                continue
            try:
                yield number, self.record(line)
            except JavaError as error:
                raise ConvertError(f"line {number} is no record: {error.shown}") from error

    def _from_kafka(self, given: LogRecord) -> SourceRecord:
        """The record of a topic, read by the configuration's converters."""
        parts: dict[str, Any] = {"topic": given.topic, "partition": given.partition, "timestamp": given.timestamp}
        for side, data in (("key", given.key), ("value", given.value)):
            try:
                parts[f"{side}_schema"], parts[side] = self._from_bytes[side](data)
            except JavaError as error:
                raise ConvertError(
                    f"the {side} cannot be read: {error.shown}", topic=given.topic, stage=f"{side.upper()}_CONVERTER",
                    position=f"{given.partition}@{given.offset}",
                    hint=f"does {side}.converter say how the topic was written?",
                ) from error  # fmt: skip
        parts["headers"] = tuple(Header(name, *self._headers.to_connect(data)) for name, data in given.headers)
        if self._sink:
            return SinkRecord(**parts, kafka_offset=given.offset)
        # A record that a source connector makes has neither partition nor time yet.
        return SourceRecord(**{**parts, "partition": None, "timestamp": None})

    def record(self, line: str) -> SourceRecord:
        """The record that a line holds.

        Raises:
            JavaError: It holds none.
        """
        given = parse_json(line.encode())
        if not isinstance(given, dict):
            raise JavaError("it is not a JSON object")
        unknown = sorted(given.keys() - _MEMBERS)
        if unknown:
            raise JavaError(f"it has members that are none of a record: {', '.join(unknown)}")
        if not isinstance(given.get("topic"), str):
            raise JavaError("it names no topic")
        key_schema, key = self._read("key", given.get("key"))
        value_schema, value = self._read("value", given.get("value"))
        parts: dict[str, Any] = {
            "topic": given["topic"], "partition": _whole(given, "partition"), "key_schema": key_schema, "key": key,
            "value_schema": value_schema, "value": value, "timestamp": _whole(given, "timestamp"),
            "headers": tuple(self._header(header) for header in given.get("headers") or ()),
        }  # fmt: skip
        if given.get("offset") is not None:
            return SinkRecord(**parts, kafka_offset=_whole(given, "offset") or 0)
        position = given.get("position")
        return SourceRecord(**parts, source_offset=None if position is None else {"position": position})

    def _read(self, side: str, document: Any) -> tuple[Schema | None, Any]:
        if document is None:
            return None, None
        reader = self._readers[side]
        if reader.schemas_enable:
            return reader.from_document(document)
        return None, reader.value(None, document)

    def _header(self, header: Any) -> Header:
        if not isinstance(header, dict) or not isinstance(header.get("name"), str):
            raise JavaError("a header is {name, schema, value}")
        reader = self._readers["value"]
        schema = reader.schema(header.get("schema"))
        return Header(header["name"], schema, reader.value(schema, header.get("value")))

    def document(self, record: SourceRecord) -> Line:
        """The record as a line's object.

        Raises:
            ConvertError: The converter refuses it.
        """
        line: Line = {
            "topic": record.topic, "partition": record.partition, "timestamp": record.timestamp,
            "key": self._written("key", record, record.key_schema, record.key),
            "value": self._written("value", record, record.value_schema, record.value),
            "headers": [self._header_document(record, header) for header in record.headers],
        }  # fmt: skip
        if isinstance(record, SinkRecord):
            line["offset"] = record.kafka_offset
        elif record.source_offset is not None and "position" in record.source_offset:
            line["position"] = record.source_offset["position"]
        return line

    def _written(self, side: str, record: SourceRecord, schema: Schema | None, value: Any) -> Any:
        try:
            data = self._writers[side].from_connect(schema, value)
        except JavaError as error:
            raise ConvertError(
                f"the {side} converter refused a record: {error.java_class}: {error.shown}",
                stage=f"{side.upper()}_CONVERTER", topic=record.topic,
            ) from error  # fmt: skip
        return None if data is None else Raw(data)

    def _header_document(self, record: SourceRecord, header: Header) -> Line:
        writer = self._writers["value"]
        try:
            payload = writer.payload(header.schema, header.value)
        except JavaError as error:
            raise ConvertError(
                f"the header {header.name} cannot be written: {error.shown}",
                stage="HEADER_CONVERTER",
                topic=record.topic,
            ) from error
        return {
            "name": header.name,
            "schema": Raw(writer.schema_text(header.schema).encode()),
            "value": Raw(payload.encode()),
        }


class Raw:
    """JSON that was written already; kept as it is, so that numbers keep their digits."""

    __slots__ = ("data",)

    def __init__(self, data: bytes) -> None:
        self.data = data

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Raw) and self.data == other.data

    def __hash__(self) -> int:
        return hash(self.data)


def line_text(line: Any) -> str:
    """A line's JSON."""
    if isinstance(line, Raw):
        return line.data.decode()
    if isinstance(line, dict):
        return "{" + ",".join(f"{json.dumps(name)}:{line_text(member)}" for name, member in line.items()) + "}"
    if isinstance(line, (list, tuple)):
        return "[" + ",".join(map(line_text, line)) + "]"
    if isinstance(line, Decimal):
        return str(line)
    return json.dumps(line, ensure_ascii=False)


def _whole(given: Mapping[str, Any], name: str) -> int | None:
    number = given.get(name)
    if number is not None and (not isinstance(number, int) or isinstance(number, bool)):
        raise JavaError(f"its {name} is no whole number")
    return number
