"""Exceptions of Kafka Connect and of the JVM, by class and text, kept as data.

A chain must fail here where it fails on a Connect worker, and dead letters carry the class and the text in headers; so
both are reproduced. They become a `TransformError`, `ConvertError` or `ConfigError` at the edge of their room.
"""

from __future__ import annotations

from typing import ClassVar, Final

PACKAGES: Final = {
    "DataException": "org.apache.kafka.connect.errors",
    "ConnectException": "org.apache.kafka.connect.errors",
    "SchemaBuilderException": "org.apache.kafka.connect.errors",
    "ConfigException": "org.apache.kafka.common.config",
    "DebeziumException": "io.debezium",
    "DateTimeException": "java.time",
    "DateTimeParseException": "java.time.format",
    "ZoneRulesException": "java.time.zone",
    "NoSuchElementException": "java.util",
}


class JavaError(ValueError):
    """What Java would have thrown.

    Args:
        message: `getMessage()`.
        java_class: The simple name of the exception's class.
        shown: The text for logs and consoles, where the message itself quotes a row's value.
    """

    default_class: ClassVar[str] = "DataException"

    def __init__(self, message: str | None, java_class: str | None = None, *, shown: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.java_class = java_class or self.default_class
        self.shown = shown if shown is not None else (message or "")

    def __str__(self) -> str:
        return str(self.message)

    @property
    def qualified_class(self) -> str:
        """The exception's full class name, as dead-letter headers carry it."""
        return f"{PACKAGES.get(self.java_class, 'java.lang')}.{self.java_class}"


class DataError(JavaError):
    """Connect's DataException: a value does not fit its schema."""


class SchemaBuilderError(JavaError):
    """Connect's SchemaBuilderException: a schema that cannot be."""

    default_class = "SchemaBuilderException"


class ConfigException(JavaError):
    """Kafka's ConfigException: an option's text cannot be used."""

    default_class = "ConfigException"


def invalid_value(value: object, name: str, complaint: str | None = None) -> ConfigException:
    """A ConfigException of the form `Invalid value V for configuration K: M`."""
    shown = "null" if value is None else value
    return ConfigException(f"Invalid value {shown} for configuration {name}" + (f": {complaint}" if complaint else ""))


def list_text(values: list[str]) -> str:
    """A list as Java prints it."""
    return "[" + ", ".join(values) + "]"
