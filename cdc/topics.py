"""Topic names, and the names of schemas that follow from them.

Source: Debezium documentation, "Topic names" and "Topic naming strategies"; facts of 3.6.3.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

MAX_TOPIC_LENGTH: Final = 249
_TOPIC_REFUSED = re.compile(r"[^A-Za-z0-9._-]")
_AVRO_REFUSED = re.compile(r"[^A-Za-z0-9_]")


def _utf16_units(text: str) -> int:
    return 2 if ord(text) > 0xFFFF else 1


def sanitize_topic(name: str) -> str:
    """A legal topic name: every other UTF-16 unit becomes `_`, and the name is cut at 249 characters."""
    clean = _TOPIC_REFUSED.sub(lambda match: "_" * _utf16_units(match[0]), name)[:MAX_TOPIC_LENGTH]
    return clean.replace(".", "_") if clean in (".", "..") else clean


def _unicode_escape(character: str) -> str:
    units = character.encode("utf-16-be")
    return "".join(f"_u{units[i]:02x}{units[i + 1]:02x}" for i in range(0, len(units), 2))


def adjust_none(name: str) -> str:
    """`schema.name.adjustment.mode=none`."""
    return name


def adjust_avro(name: str) -> str:
    """`avro`: characters that Avro refuses become `_`; dots stay as the borders of a namespace."""
    return ".".join(_avro_part(part, lambda match: "_" * _utf16_units(match[0])) for part in name.split("."))


def adjust_avro_unicode(name: str) -> str:
    """`avro_unicode`: characters that Avro refuses, and `_` itself, become `_uXXXX`."""
    return ".".join(
        re.sub(r"[^A-Za-z0-9]", lambda match: _unicode_escape(match[0]), part) if part else part
        for part in name.split(".")
    )


def _avro_part(part: str, replace: Callable[[re.Match[str]], str]) -> str:
    clean = _AVRO_REFUSED.sub(replace, part)
    return "_" + clean[1:] if clean[:1].isdigit() else clean


ADJUSTMENTS: Final[dict[str, Callable[[str], str]]] = {
    "none": adjust_none,
    "avro": adjust_avro,
    "avro_unicode": adjust_avro_unicode,
}


@dataclass(frozen=True, slots=True)
class TopicNames:
    """Names every topic of a pipeline.

    Attributes:
        prefix: `topic.prefix`.
        delimiter: `topic.delimiter`.
        heartbeat_prefix: `topic.heartbeat.prefix`.
        heartbeat_name: `topic.heartbeat.name`, the whole name where it is set.
        transaction_name: `topic.transaction`.
        adjust_schema: The function of `schema.name.adjustment.mode`.
    """

    prefix: str
    delimiter: str = "."
    heartbeat_prefix: str = "__debezium-heartbeat"
    heartbeat_name: str | None = None
    transaction_name: str = "transaction"
    adjust_schema: Callable[[str], str] = adjust_none

    def data(self, schema: str, table: str) -> str:
        """The topic of a table."""
        return sanitize_topic(self.delimiter.join((self.prefix, schema, table)))

    def message(self) -> str:
        """The topic of logical messages."""
        return sanitize_topic(self.delimiter.join((self.prefix, "message")))

    def transaction(self) -> str:
        """The topic of transaction boundaries."""
        return sanitize_topic(self.delimiter.join((self.prefix, self.transaction_name)))

    def heartbeat(self) -> str:
        """The topic of heartbeats."""
        if self.heartbeat_name:
            return sanitize_topic(self.heartbeat_name)
        return sanitize_topic(self.delimiter.join((self.heartbeat_prefix, self.prefix)))

    def schema_name(self, topic: str, suffix: str) -> str:
        """`<topic>.Key`, `.Value`, `.Envelope`, adjusted."""
        return self.adjust_schema(f"{topic}.{suffix}")
