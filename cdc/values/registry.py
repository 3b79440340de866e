"""From a column's type to its codec.

A codec is resolved once per relation; per row only its two functions run. Both take the text that Postgres sent
(pgoutput and COPY send the same), so that one codec serves the stream and the snapshot.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from cdc.model.schema import Schema


@dataclass(frozen=True, slots=True)
class ValueModes:
    """The options that decide how values look, with Debezium's names and defaults.

    Attributes:
        decimal: `decimal.handling.mode`: precise, double, string.
        time_precision: `time.precision.mode`.
        interval: `interval.handling.mode`: numeric, string.
        hstore: `hstore.handling.mode`: json, map.
        binary: `binary.handling.mode`: bytes, base64, base64-url-safe, hex.
        money_fraction_digits: `money.fraction.digits`.
        include_unknown: `include.unknown.datatypes`.
        unavailable: `unavailable.value.placeholder`, with the prefix `hex:` already resolved to bytes.
        decimal_numeric: Whether the JSON converter's `decimal.format` is NUMERIC.
        strict: `seam.compat=strict`: Debezium's results, defects included.
        verify_encoding: Whether texts may hold bytes that are not UTF-8 (a SQL_ASCII database) and must be checked.
    """

    decimal: str = "precise"
    time_precision: str = "adaptive"
    interval: str = "numeric"
    hstore: str = "json"
    binary: str = "bytes"
    money_fraction_digits: int = 2
    include_unknown: bool = False
    unavailable: bytes = b"__debezium_unavailable_value"
    decimal_numeric: bool = False
    strict: bool = False
    verify_encoding: bool = False


@dataclass(frozen=True, slots=True)
class Codec:
    """How the values of one column are written.

    Attributes:
        schema: The Connect schema of a NOT NULL column of that type, without a default.
        to_json: Postgres text (bytes, UTF-8) -> the JSON fragment that JsonConverter would write for the value.
        to_value: The same text -> the Connect value.
        unavailable: The Connect value that stands for an unchanged TOAST value; None where Debezium publishes null.
        exact: False where the type is not mapped and its text stands in for it (a finding at start).
        filler: Debezium's stand-in for a value that was not sent for a NOT NULL column (strict mode only).

    `to_json` and `to_value` raise ValueError with the reason when the mode cannot express the value.
    """

    schema: Schema
    to_json: Callable[[bytes], bytes]
    to_value: Callable[[bytes], Any]
    unavailable: Any = None
    exact: bool = True
    filler: Any = None
