"""The converters of a configuration: which one writes keys and values, and with which options."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from enum import Enum
from typing import Any, Final

from cdc.errors import Problem
from cdc.model.schema import Schema

Convert = Callable[[str, Schema | None, Any], bytes | None]
"""Topic, schema, value -> bytes; None for null."""


class Form(Enum):
    """What a converter writes."""

    JSON = "JsonConverter"
    STRING = "StringConverter"
    BYTES = "ByteArrayConverter"
    AVRO = "AvroConverter"


_CLASSES: Final = {
    "org.apache.kafka.connect.json.JsonConverter": Form.JSON,
    "org.apache.kafka.connect.storage.StringConverter": Form.STRING,
    "org.apache.kafka.connect.converters.ByteArrayConverter": Form.BYTES,
    "io.confluent.connect.avro.AvroConverter": Form.AVRO,
}
_BY_NAME: Final = {**_CLASSES, **{name.rpartition(".")[2]: form for name, form in _CLASSES.items()}}

_OPTIONS: Final = {
    Form.JSON: {"schemas.enable", "decimal.format", "replace.null.with.default", "schemas.cache.size", "schema.content", "converter.type"},
    Form.STRING: {"converter.encoding", "converter.encoding.serializer", "converter.encoding.deserializer", "converter.type"},
    Form.BYTES: {"converter.type"},
    Form.AVRO: None,
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class ConverterChoice:
    """One side's converter.

    Attributes:
        side: `key` or `value`.
        form: What it writes.
        schemas: `schemas.enable`, of JSON.
        numeric: `decimal.format=NUMERIC`, of JSON.
        null_as_default: `replace.null.with.default`; None where it is not set.
        settings: All options of the converter, without `key.converter.`.
    """

    side: str
    form: Form = Form.JSON
    schemas: bool = True
    numeric: bool = False
    null_as_default: bool | None = None
    settings: Mapping[str, str] = field(default_factory=dict)


def _check_avro(side: str, settings: Mapping[str, str], problems: list[Problem]) -> None:
    if not settings.get("schema.registry.url"):
        problems.append(Problem(f"{side}.converter.schema.registry.url", "is required by AvroConverter"))
    strategy = settings.get(f"{side}.subject.name.strategy", "TopicNameStrategy").rpartition(".")[2]
    if strategy not in ("TopicNameStrategy", "RecordNameStrategy", "TopicRecordNameStrategy"):
        problems.append(Problem(f"{side}.converter.{side}.subject.name.strategy", f"there is no {strategy}"))


def read_converter(side: str, properties: Mapping[str, str], problems: list[Problem]) -> ConverterChoice:
    """Read `key.converter` or `value.converter` and its options.

    Args:
        side: `key` or `value`.
        properties: All options as text.
        problems: Takes what is wrong.
    """
    name = properties.get(f"{side}.converter", "org.apache.kafka.connect.json.JsonConverter").strip()
    prefix = f"{side}.converter."
    settings = {key[len(prefix) :]: text for key, text in properties.items() if key.startswith(prefix)}
    form = _BY_NAME.get(name)
    if form is None:
        known = ", ".join(_CLASSES)
        problems.append(
            Problem(f"{side}.converter", f"{name} is not carried out by the native engine; there are {known}")
        )
        return ConverterChoice(side, settings=settings)
    known_options = _OPTIONS[form]
    if known_options is not None:
        problems += [
            Problem(prefix + option, f"{form.value} has no such option")
            for option in settings
            if option not in known_options
        ]
    if form is Form.AVRO:
        _check_avro(side, settings, problems)
    decimal = settings.get("decimal.format", "BASE64").strip().upper()
    if form is Form.JSON and decimal not in ("BASE64", "NUMERIC"):
        problems.append(Problem(f"{prefix}decimal.format", "is neither BASE64 nor NUMERIC"))

    def flag(option: str, default: bool) -> bool:
        text = settings.get(option, str(default)).strip().lower()
        if text not in ("true", "false"):
            problems.append(Problem(prefix + option, f"{text!r} is neither true nor false"))
        return text == "true"

    option = "replace.null.with.default"
    return ConverterChoice(
        side, form,
        schemas=form is Form.JSON and flag("schemas.enable", True),
        numeric=form is Form.JSON and decimal == "NUMERIC",
        null_as_default=flag(option, True) if option in settings else None,
        settings=settings,
    )  # fmt: skip
