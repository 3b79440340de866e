"""`seam.compat=safe` differs from Debezium's recorded values only where a defect of Debezium's is mended.

The names are the rows of the table of mended defects; a difference that none of them covers fails, and so does one
that no longer occurs.
"""

from __future__ import annotations

import re
from collections.abc import Callable

import pytest

from cdc.converters.json import JsonConverter
from cdc.model.schema import Schema, Type
from cdc.values.registry import Codec, fitted
from tests.unit.values.golden import Recorded, recorded

# Reason -> the column's type, and the server's text ("" for the schema), that it covers.
MENDED: dict[str, list[tuple[str, str]]] = {
    "B5 name is null in the stream": [("name", ".*")],
    "elements that Debezium declares required may be null": [(r"(mood|tsvector|isbn)\[\]", "")],
    "T2 arrays are truncated or corrupted": [
        (r"time.*\[\]", ".*"),
        (r"bit.*\[\]", ".*"),
        (r"int2vector|oidvector", ".+"),
        # More dimensions than one: nested where the column declares them, else refused.
        (r".*\[\]", r"|\{\{.*"),
        (r"numeric.*\[\]", r".*(NaN|Infinity).*"),
        (r"ltree\[\]", ".*NULL.*"),
    ],
    "T3 infinite, Julian and overflowing dates": [
        (r"date|date\[\]|interval", r".*infinity.*"),
        (r"(date|timestamp).*\[\]", r".*( BC|1582-|infinity|294276).*"),
        (r"timestamp.*", r"2942[47].*|.* BC|12345.*|0001.*|1600.*|2262.*"),
        (r"interval", r"178000000 years|2147483647 days"),
    ],
    "T4 negative scale": [(r"numeric\(3,-2\)", ".*")],
    "T5 spelling of special numbers": [(r"numeric.*", "NaN|-?Infinity")],
}
OMITTED = "T6 left out"

ENTRIES = list(recorded("values"))


def reason(entry: Recorded, text: str) -> str | None:
    if entry.schema is None:
        return OMITTED
    for name, cases in MENDED.items():
        for column_type, pattern in cases:
            if re.fullmatch(column_type, entry.column["type"]) and re.fullmatch(pattern, text):
                return name
    return None


def codec_of(entry: Recorded) -> Codec:
    codec = entry.codec(strict=False)
    assert codec is not None
    return codec


def fragment(codec: Codec, text: str) -> str:
    try:
        return codec.to_json(text.encode()).decode()
    except ValueError as error:
        return f"refused: {error}"


def differences() -> list[tuple[Recorded, str]]:
    found = []
    for entry in ENTRIES:
        codec = codec_of(entry)
        recorded_schema = entry.schema and re.sub(r',"field":"[^"]*"\}$', "}", entry.schema)
        if JsonConverter().schema_text(codec.schema.as_optional()) != recorded_schema:
            found.append((entry, ""))
        for text, payload in entry.values:
            if text is not None and fragment(codec, text) != payload:
                found.append((entry, text))
    return found


DIFFERENCES = differences()


def test_each_difference_mends_a_named_defect():
    unexplained = [(e.column["type"], e.mode, text) for e, text in DIFFERENCES if reason(e, text) is None]
    assert unexplained == []


def test_each_named_defect_occurs():
    assert {reason(entry, text) for entry, text in DIFFERENCES} == {*MENDED, OMITTED}


def test_what_debezium_leaves_out_is_text_or_an_array():
    schemas = {codec_of(entry).schema.type for entry, _ in DIFFERENCES if entry.schema is None}
    assert schemas == {Type.STRING, Type.ARRAY}


@pytest.mark.parametrize(
    "entry", list(recorded("unavailable")), ids=lambda entry: f"{entry.mode}-{entry.column['type']}"
)
def test_an_unchanged_toast_value_has_a_marker_that_fits_the_schema(entry: Recorded):
    codec = codec_of(entry)
    schema = codec.schema.as_optional()
    marker = fitted(codec.unavailable, schema)
    if codec.schema.type is Type.FLOAT64:
        assert marker is None  # a double has no value that could not be a real one
        return
    assert marker is not None
    # The writer refuses a value that does not fit.
    assert JsonConverter().payload(schema, marker) != "null"


def all_codecs() -> list[tuple[str, Codec, str]]:
    found = []
    for entry in ENTRIES:
        for text, _ in entry.values:
            if text is not None:
                found.append((f"{entry.mode} {entry.column['type']} {text}", codec_of(entry), text))
    return found


def outcome(write: Callable[[], str]) -> str:
    try:
        return write()
    except ValueError as error:
        return f"refused: {error}"


def test_both_paths_write_the_same():
    different = []
    for name, codec, text in all_codecs():
        schema: Schema = codec.schema.as_optional()
        to_json = JsonConverter(decimal_numeric=name.startswith("nanos "))
        values_of = codec.values_of(schema)
        raw = text.encode()
        fast = outcome(lambda codec=codec, raw=raw: codec.to_json(raw).decode())
        plain = outcome(
            lambda to_json=to_json, schema=schema, values_of=values_of, raw=raw: to_json.payload(schema, values_of(raw))
        )
        if fast != plain:
            different.append((name, fast, plain))
    assert different == []
