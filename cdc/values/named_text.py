"""Types whose value is the server's text under a schema name: uuid, json, jsonb, xml, ltree, tsvector, enum."""

from __future__ import annotations

from dataclasses import replace
from typing import Final

from cdc.model.schema import Schema, Type
from cdc.values.codec import Codec, ValueModes, text_codec

UUID: Final = Schema(Type.STRING, name="io.debezium.data.Uuid", version=1)
JSON: Final = Schema(Type.STRING, name="io.debezium.data.Json", version=1)
XML: Final = Schema(Type.STRING, name="io.debezium.data.Xml", version=1)
LTREE: Final = Schema(Type.STRING, name="io.debezium.data.Ltree", version=1)
TSVECTOR: Final = Schema(Type.STRING, name="io.debezium.data.Tsvector", version=1)

SCHEMAS: Final = {"uuid": UUID, "json": JSON, "jsonb": JSON, "xml": XML, "ltree": LTREE, "tsvector": TSVECTOR}


def resolve(name: str, modes: ValueModes) -> Codec:
    """The codec of one of `SCHEMAS`."""
    return text_codec(modes, SCHEMAS[name])


def enum(labels: tuple[str, ...], modes: ValueModes) -> Codec:
    """The codec of an enum; its labels are joined without escaping, as Debezium does."""
    schema = Schema(Type.STRING, name="io.debezium.data.Enum", version=1, parameters={"allowed": ",".join(labels)})
    return replace(text_codec(modes, schema))
