"""`org.apache.kafka.connect.storage.SimpleHeaderConverter`: header values as texts, and back by inference."""

from __future__ import annotations

from datetime import UTC, tzinfo
from typing import Any

from cdc.converters.inference import connect_text, infer
from cdc.model.javatypes import Float
from cdc.model.schema import BYTES, Schema, Type


class SimpleHeaderConverter:
    """Texts raw, maps and arrays like JSON, bytes as base64; a header text `1` is read as INT8.

    Args:
        zone: The JVM's default zone, in which dates are written and read.
    """

    def __init__(self, zone: tzinfo = UTC) -> None:
        self._zone = zone

    def from_connect(self, schema: Schema | None, value: Any) -> bytes | None:
        """The header's bytes; None for null."""
        if value is None:
            return None
        if schema is not None and schema.type is Type.FLOAT32 and isinstance(value, float):
            value = Float(value)
        return connect_text(value, self._zone).encode("utf-8", "replace")

    def to_connect(self, data: bytes | None) -> tuple[Schema | None, Any]:
        """What the text stands for; bytes that are no text stay bytes."""
        if data is None:
            return None, None
        try:
            text = data.decode("utf-8", "replace")
            return infer(text, self._zone)
        except ArithmeticError:
            return BYTES, data
