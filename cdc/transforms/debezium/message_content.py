"""`io.debezium.connector.postgresql.transforms.DecodeLogicalDecodingMessageContent`: WAL messages as change events."""

from __future__ import annotations

from typing import Any, ClassVar, Final

from cdc.model.javaerrors import DataError, JavaError
from cdc.model.record import SourceRecord
from cdc.model.schema import Field, Schema, Struct, Type
from cdc.model.validation import validate_value
from cdc.transforms.base import Transform, require_struct
from cdc.transforms.configdef import ConfigDef, Key, Kind
from cdc.transforms.debezium.envelopes import null_pointer, typed_member
from cdc.transforms.debezium.json_schema import JsonSchemas, NotJson, parse
from cdc.transforms.debezium.names import adjuster
from cdc.transforms.schemas import checked_fields, struct_field

_MESSAGE_VALUE: Final = "io.debezium.connector.postgresql.MessageValue"


class DecodeLogicalDecodingMessageContent(Transform):
    """Puts the JSON content of a message into `after`, for the outbox router behind it; the key is dropped."""

    java_name = "io.debezium.connector.postgresql.transforms.DecodeLogicalDecodingMessageContent"
    reads = frozenset({"value"})
    config: ClassVar = ConfigDef((
        Key("fields.null.include", Kind.BOOLEAN, False, "Whether null members are kept, as optional bytes."),
    ))  # fmt: skip

    def configure(self) -> None:
        """Prepare the inference."""
        self._json = JsonSchemas(null_bytes=self.options["fields.null.include"], adjust=adjuster(None, dots=False))
        self._schemas: dict[tuple[int, int], tuple[Schema, Schema, Schema]] = {}

    def apply(self, record: SourceRecord) -> SourceRecord:
        """The event of a message; other records pass."""
        if record.value_schema is None:
            raise null_pointer()
        if record.value_schema.name != _MESSAGE_VALUE:
            return record
        event = require_struct(record.value, "Retrieve a record value", record.value_schema)
        content = self._content(event)
        schema = self._schema(event.schema, content.schema)
        values: list[Any] = []
        for field in schema.fields:
            if field.name == "after":
                values.append(content)
            else:
                values.append("c" if field.name == "op" else self._member(event, field))
        return record.replace(key_schema=None, key=None, value_schema=schema, value=Struct(schema, values))

    def _member(self, event: Struct, field: Field) -> Any:
        """A member that stays; Debezium takes it by its new place, which is another's where `message` is not the last."""
        if not self.surroundings.strict or event.schema.fields[field.index].name == field.name:
            return event.get(field.name)
        value = event.values[field.index]
        value = field.schema.default if value is None else value
        validate_value(field.schema, value, f'field: "{field.name}"')
        return value

    def _content(self, event: Struct) -> Struct:
        struct_field(event, "message")
        message = require_struct(event.get("message"), "Retrieve content of a logical decoding message")
        field = message.schema.field("content")
        if field is None:
            raise null_pointer()
        if field.schema.type is not Type.BYTES:
            raise JavaError("The content of a logical decoding message is non-binary", "DebeziumException")
        content = typed_member(message, "content", Type.BYTES)
        if content is None:
            raise null_pointer()
        text = bytes(content).decode("utf-8", "replace")
        if text[:1] not in ("{", "["):
            raise JavaError(
                f"Unable to parse logical decoding message content JSON string '{text}'", "DebeziumException",
                shown="the content of a logical message does not begin like JSON",
            )  # fmt: skip
        try:
            document = parse(text)
        except NotJson as error:
            raise JavaError(
                "com.fasterxml.jackson.core.JsonParseException", "DebeziumException",
                shown="the content of a logical message is not JSON",
            ) from error  # fmt: skip
        schema = self._json.schema_of(None, document)
        if schema is None:
            raise null_pointer()
        if schema.type is not Type.STRUCT:
            raise DataError(f"Not a struct schema: Schema{{{schema.type.name}}}")
        return self._json.read(document, schema)

    def _schema(self, event: Schema, content: Schema) -> Schema:
        known = self._schemas.get((id(event), id(content)))
        if known is None:
            pairs = [(field.name, field.schema) for field in event.fields if field.name != "message"]
            made = Schema(
                Type.STRUCT, name=f"{event.name}.Envelope", fields=checked_fields([*pairs, ("after", content)])
            )
            if len(self._schemas) >= JsonSchemas.LIMIT:
                self._schemas.clear()
            known = self._schemas[id(event), id(content)] = (event, content, made)
        return known[2]
