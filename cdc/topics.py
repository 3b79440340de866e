"""Topic names, and the names of schemas that follow from them.

Source: Debezium documentation, "Topic names", "Topic naming strategies" and the naming options of the Postgres
connector; results of 3.6.3.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:  # the package of transforms is large, and few pipelines route
    from cdc.transforms.javaregex import JavaPattern

MAX_TOPIC_LENGTH: Final = 249

STRATEGIES: Final = (
    "SchemaTopicNamingStrategy", "DefaultTopicNamingStrategy", "SchemaRegexTopicNamingStrategy",
    "DefaultRegexTopicNamingStrategy", "SchemaUnicodeTopicNamingStrategy", "DefaultUnicodeTopicNamingStrategy",
)  # fmt: skip
"""Simple names of `topic.naming.strategy`."""

Replace = Callable[[str], str]


def _underscores(character: str) -> str:
    # Java looks at UTF-16 units.
    return "_" * (2 if character > "\uffff" else 1)


def _escapes(character: str) -> str:
    units = character.encode("utf-16-be")
    numbers = [int.from_bytes(units[place : place + 2], "big") for place in range(0, len(units), 2)]
    return "".join("_u" + (f"00{number:x}" if number < 0x100 else f"{number:x}") for number in numbers)


def _is_letter(character: str) -> bool:
    return "a" <= character <= "z" or "A" <= character <= "Z"


def _is_digit(character: str) -> bool:
    return "0" <= character <= "9"


def _sanitized(name: str, replace: Replace, *, underscore: bool) -> str:
    """A legal topic name, cut at 249 characters."""
    clean = "".join(
        c if _is_letter(c) or _is_digit(c) or c in ".-" or (underscore and c == "_") else replace(c) for c in name
    )[:MAX_TOPIC_LENGTH]
    return clean.replace(".", "_") if clean in (".", "..") else clean


def sanitize_topic(name: str) -> str:
    """A legal topic name: every other UTF-16 unit becomes `_`, and the name is cut at 249 characters."""
    return _sanitized(name, _underscores, underscore=True)


def escape_topic(name: str) -> str:
    """A legal topic name of the Unicode strategies: what is refused, and `_` itself, becomes `_uXXXX`."""
    return _sanitized(name, _escapes, underscore=False)


def _adjusted(name: str, replace: Replace, *, underscore: bool, dots: bool) -> str:
    pieces = []
    for place, c in enumerate(name):
        plain = _is_letter(c) or (underscore and c == "_") or (place > 0 and (_is_digit(c) or (dots and c == ".")))
        # A digit that only cannot come first stays behind its underscore.
        pieces.append(c if plain else "_" + c if underscore and _is_digit(c) else replace(c))
    return "".join(pieces)


@dataclass(frozen=True, slots=True)
class Adjustment:
    """A mode of `schema.name.adjustment.mode` and `field.name.adjustment.mode`.

    Attributes:
        schema: Adjusts the full name of a schema, whose dots part a namespace.
        field: Adjusts the name of a field.
    """

    schema: Replace
    field: Replace


def _same(name: str) -> str:
    return name


ADJUSTMENTS: Final[dict[str, Adjustment]] = {
    "none": Adjustment(_same, _same),
    "avro": Adjustment(
        lambda name: _adjusted(name, _underscores, underscore=True, dots=True),
        lambda name: _adjusted(name, _underscores, underscore=True, dots=False),
    ),
    "avro_unicode": Adjustment(
        lambda name: _adjusted(name, _escapes, underscore=False, dots=True),
        lambda name: _adjusted(name, _escapes, underscore=False, dots=False),
    ),
}
"""`avro`: what Avro refuses becomes `_`; `avro_unicode`: that, and `_` itself, becomes `_uXXXX`."""


@dataclass(frozen=True, slots=True)
class Routing:
    """The regex strategies: several tables in one topic, told apart by a field of the key.

    Attributes:
        pattern: `topic.regex`, of the whole name.
        replacement: `topic.replacement`.
        key_field: `topic.key.field.name`; None with `topic.key.enforce.uniqueness=false`.
        key_pattern: `topic.key.field.regex`.
        key_replacement: `topic.key.field.replacement`.
    """

    pattern: JavaPattern
    replacement: str
    key_field: str | None = "__dbz__physicalTableIdentifier"
    key_pattern: JavaPattern | None = None
    key_replacement: str | None = None

    def topic(self, name: str) -> str:
        """Where the records of the topic `name` go; an empty name changes nothing."""
        return (self.pattern.replace_first(name, self.replacement) if self.pattern.matches(name) else name) or name

    def identifier(self, name: str) -> str:
        """What the key's field says of the topic `name`."""
        if self.key_pattern is None or self.key_replacement is None or not self.key_pattern.matches(name):
            return name
        return self.key_pattern.replace_first(name, self.key_replacement)


@dataclass(frozen=True, slots=True)
class TopicNames:
    """Names every topic of a pipeline.

    Attributes:
        prefix: `topic.prefix`.
        delimiter: `topic.delimiter`.
        heartbeat_prefix: `topic.heartbeat.prefix`.
        heartbeat_name: `topic.heartbeat.name`, the whole name where it is set.
        transaction_name: `topic.transaction`.
        with_schema: Whether the schema is part of a table's topic.
        sanitize: Makes a name legal.
        routing: Of the regex strategies.
        adjust_schema: Of `schema.name.adjustment.mode`.
    """

    prefix: str
    delimiter: str = "."
    heartbeat_prefix: str = "__debezium-heartbeat"
    heartbeat_name: str | None = None
    transaction_name: str = "transaction"
    with_schema: bool = True
    sanitize: Replace = sanitize_topic
    routing: Routing | None = None
    adjust_schema: Replace = _same

    def _physical(self, schema: str, table: str) -> str:
        parts = (self.prefix, schema, table) if self.with_schema else (self.prefix, table)
        return self.delimiter.join(parts)

    def data(self, schema: str, table: str) -> str:
        """The topic of a table."""
        name = self._physical(schema, table)
        return self.sanitize(name if self.routing is None else self.routing.topic(name))

    def key_identifier(self, schema: str, table: str) -> tuple[str, str] | None:
        """Field and value that the regex strategies add to the keys of a table's records."""
        if self.routing is None or self.routing.key_field is None:
            return None
        return self.routing.key_field, self.routing.identifier(self._physical(schema, table))

    def message(self) -> str:
        """The topic of logical messages."""
        return f"{self.prefix}.message"  # whatever the delimiter is

    def transaction(self) -> str:
        """The topic of transaction boundaries."""
        return self.sanitize(self.delimiter.join((self.prefix, self.transaction_name)))

    def heartbeat(self) -> str:
        """The topic of heartbeats."""
        if self.heartbeat_name:
            return self.sanitize(self.heartbeat_name)
        return self.sanitize(self.delimiter.join((self.heartbeat_prefix, self.prefix)))

    def schema_name(self, topic: str, suffix: str) -> str:
        """`<topic>.Key`, `.Value`, `.Envelope`, adjusted."""
        return self.adjust_schema(f"{topic}.{suffix}")
