"""What a codec is, and the options that decide how values look."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

from cdc.model.schema import STRING, Schema, Struct
from cdc.values.jsontext import quote


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
        bind: Of types whose values are Structs: `to_value` for the column's own schema; see `values_of`.

    `to_json` and `to_value` raise ValueError with the reason, which never holds the value, when the text is malformed
    or the mode cannot express the value. A special value that the schema has no room for (NaN in a precise numeric, an
    infinite date) is None from `to_value` and `null` from `to_json`; what a required column makes of it is the
    caller's decision. `to_json` trusts the server where checking would cost as much as the work: an integer's digits
    pass through (`IDENTITY`), a text is only quoted (`jsontext.quote`).
    """

    schema: Schema
    to_json: Callable[[bytes], bytes]
    to_value: Callable[[bytes], Any]
    unavailable: Any = None
    exact: bool = True
    filler: Any = None
    bind: Callable[[Schema], Callable[[bytes], Any]] | None = None

    def values_of(self, schema: Schema) -> Callable[[bytes], Any]:
        """`to_value` for a column whose schema is `schema` made optional or given a default.

        A Struct carries its schema, and Connect refuses one whose schema is not the field's own.
        """
        return self.to_value if self.bind is None else self.bind(schema)


IDENTITY: Final[Callable[[bytes], bytes]] = bytes
"""`to_json` of types whose Postgres text is their JSON text; a renderer may leave the call out."""


def decode(text: bytes) -> str:
    """A server text as a Python one.

    Raises:
        ValueError: It is not UTF-8.
    """
    try:
        return text.decode()
    except UnicodeDecodeError as error:
        raise ValueError(f"text is not UTF-8 at byte {error.start}") from None


def _checked_quote(text: bytes) -> bytes:
    decode(text)
    return quote(text)


def quoting(modes: ValueModes) -> Callable[[bytes], bytes]:
    """The `to_json` of plain text: checked where the database's encoding promises nothing."""
    return _checked_quote if modes.verify_encoding else quote


def text_codec(modes: ValueModes, schema: Schema = STRING, *, exact: bool = True) -> Codec:
    """A codec that carries the server's text as it is."""
    return Codec(schema, quoting(modes), decode, unavailable=placeholder_text(modes), exact=exact, filler="")


def placeholder_text(modes: ValueModes) -> str:
    """The placeholder of unchanged TOAST values as Java reads its bytes."""
    return modes.unavailable.decode("utf-8", "replace")


def fitted(value: Any, schema: Schema) -> Any:
    """An `unavailable` or `filler` for a column whose schema is `schema`: a Struct carries the field's own."""
    return Struct(schema, value.values) if isinstance(value, Struct) else value
