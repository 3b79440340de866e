"""`seam.compat=strict` equals Debezium 3.6.3 byte for byte: schemas, values, defaults, fillers, TOAST placeholders.

The golden files are recorded from a real Connect worker by

    python -m tests.integration.values.capture [FAMILY...]

which needs what `tests/stack` starts (Java, Maven, Postgres 15 with postgresql-contrib and postgis, and 18).
"""

from __future__ import annotations

from typing import Any

import pytest

from cdc.converters.json import JsonConverter
from cdc.model.schema import Schema
from cdc.values.registry import NO_DEFAULT, Codec, default_value, fitted
from tests.unit.values.golden import Recorded, name, recorded


def converter(entry: Recorded) -> JsonConverter:
    numeric = entry.modes(strict=True).decimal_numeric
    return JsonConverter(decimal_numeric=numeric, replace_null_with_default=False)


def codec_of(entry: Recorded) -> Codec:
    codec = entry.codec(strict=True)
    assert codec is not None
    return codec


def column_schema(entry: Recorded, codec: Codec) -> Schema:
    schema = codec.schema if entry.column["not_null"] else codec.schema.as_optional()
    modes, typmod = entry.modes(strict=True), entry.column["typmod"]
    default = default_value(entry.column["default"], codec, entry.pg_type, modes, typmod)
    return schema if default is NO_DEFAULT else schema.replace(default=default)


def without_field(text: str | None, field: str) -> str | None:
    ending = f',"field":"{field}"}}'
    assert text is None or text.endswith(ending)
    return text and text[: -len(ending)] + "}"


def fragment_or_null(codec: Codec, text: str) -> str:
    """Debezium publishes null for what it cannot convert (`event.converting.failure.handling.mode=warn`)."""
    try:
        return codec.to_json(text.encode()).decode()
    except ValueError:
        return "null"


def payload_or_null(codec: Codec, schema: Schema, to_json: JsonConverter, text: str) -> str:
    try:
        value = codec.values_of(schema)(text.encode())
    except ValueError:
        return "null"
    return to_json.payload(schema, value)


ALL = [entry for kind in ("values", "unavailable", "filler", "default") for entry in recorded(kind)]


def of_kind(kind: str) -> Any:
    entries = [entry for entry in ALL if entry.kind == kind and entry.schema is not None]
    return pytest.mark.parametrize("entry", entries, ids=name)


@pytest.mark.parametrize("entry", ALL, ids=name)
def test_the_schema_is_debeziums(entry: Recorded):
    codec = entry.codec(strict=True)
    written = None if codec is None else converter(entry).schema_text(column_schema(entry, codec))
    assert written == without_field(entry.schema, entry.column["name"])


@of_kind("values")
def test_the_values_are_debeziums(entry: Recorded):
    codec = codec_of(entry)
    expected = {text: payload for text, payload in entry.values if text is not None}
    assert {text: fragment_or_null(codec, text) for text in expected} == expected


@of_kind("values")
def test_the_plain_path_writes_the_same(entry: Recorded):
    codec, to_json = codec_of(entry), converter(entry)
    schema = codec.schema.as_optional()
    expected = {text: payload for text, payload in entry.values if text is not None}
    assert {text: payload_or_null(codec, schema, to_json, text) for text in expected} == expected


@of_kind("unavailable")
def test_an_unchanged_toast_value_is_debeziums(entry: Recorded):
    codec = codec_of(entry)
    schema = codec.schema.as_optional()
    assert converter(entry).payload(schema, fitted(codec.unavailable, schema)) == entry.payload


@of_kind("filler")
def test_a_value_that_was_not_sent_is_debeziums(entry: Recorded):
    codec = codec_of(entry)
    assert converter(entry).payload(codec.schema, codec.filler) == entry.payload
