"""`org.apache.kafka.connect.transforms.Cast`: fields, or the whole key or value, to another primitive type."""

from __future__ import annotations

import base64
import re
from collections.abc import Callable, Sequence
from decimal import Decimal
from typing import Any, ClassVar, Final

from cdc.converters.inference import date_text
from cdc.model.javaerrors import ConfigException, DataError, JavaError, invalid_value, list_text
from cdc.model.javatypes import (
    EXPECTED_CLASSES,
    boxed,
    class_name,
    double_value,
    float_value,
    hash_map_order,
    inferred_type,
    int_value,
    long_value,
    parse_float32,
    wrap_integer,
)
from cdc.model.record import SourceRecord
from cdc.model.schema import DATE, TIME, TIMESTAMP, JavaDate, Schema, Struct, Type
from cdc.transforms.base import PartTransform, PerSchema, Surroundings, require_map, require_struct, told
from cdc.transforms.configdef import NO_DEFAULT, REPLACE_NULL_WITH_DEFAULT, ConfigDef, Key, Kind, split, trim
from cdc.transforms.schemas import Change, Columns, Read, field_pairs, struct_like, values_of, with_default
from cdc.values.javacalendar import MILLIS_PER_DAY
from cdc.values.javastring import java_string

_PURPOSE: Final = "cast types"
_TARGETS: Final = ("INT8", "INT16", "INT32", "INT64", "FLOAT32", "FLOAT64", "BOOLEAN", "STRING")
_TARGETS_TEXT: Final = list_text(list(_TARGETS))
_SOURCES_TEXT: Final = list_text([*_TARGETS, "BYTES"])
_BITS: Final = {Type.INT8: 8, Type.INT16: 16, Type.INT32: 32, Type.INT64: 64}
_NUMBER_TEXT: Final = re.compile(r"[+-]?(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][+-]?[0-9]+)?[fFdD]?")
_HEX_TEXT: Final = re.compile(r"([+-]?)(0[xX][0-9a-fA-F]*\.?[0-9a-fA-F]*[pP][+-]?[0-9]+)[fFdD]?")

Casts = dict[str | None, Type]


def parse_spec(mappings: list[str]) -> Casts:
    """The casts by field; the name None stands for the whole key or value.

    Raises:
        ConfigException: With Java's text.
    """
    casts: Casts = {}
    whole = False
    for mapping in mappings:
        parts = split(mapping, ":")
        if len(parts) > 2:
            raise invalid_value(list_text(mappings), "renames", f"Invalid rename mapping: {mapping}")
        if len(parts) == 1:
            casts[None] = _target(trim(parts[0]))
            whole = True
        elif not parts:
            raise JavaError("Index 1 out of bounds for length 0", "ArrayIndexOutOfBoundsException")
        else:
            casts[trim(parts[0])] = _target(trim(parts[1]))
    if whole and len(mappings) > 1:
        raise ConfigException(
            "Cast transformations that specify a type to cast the entire value to "
            "may only specify a single cast in their spec"
        )
    return casts


def _target(word: str) -> Type:
    name = word.upper()
    if name not in Type.__members__:
        raise invalid_value(
            "java.lang.IllegalArgumentException: No enum constant org.apache.kafka.connect.data.Schema.Type." + name,
            f"Invalid type found in casting spec: {word}",
        )
    if name not in _TARGETS:
        raise ConfigException(
            f"Cast transformation does not support casting to {name}; supported types are {_TARGETS_TEXT}"
        )
    return Type[name]


def _check_spec(_: str, value: list[str]) -> None:
    if not value:
        raise ConfigException("Must specify at least one field to cast.")
    parse_spec(value)


class ValueCast:
    """The casts of single values to one type.

    Args:
        target: The type.
        surroundings: For the default time zone.
    """

    def __init__(self, target: Type, surroundings: Surroundings) -> None:
        self.target = target
        self._zone = surroundings.zone

    def __call__(self, schema: Schema | None, value: Any) -> Any:
        """The value in the target's type; null stays null.

        Raises:
            DataError: It cannot be cast.
        """
        if value is None:
            return None
        source = schema.type if schema is not None else inferred_type(value)
        if source is None:
            raise DataError(
                f"Cast transformation was passed a value of type class {class_name(value)} "
                "which is not supported by Connect's data API"
            )
        if source in (Type.ARRAY, Type.MAP, Type.STRUCT):
            raise DataError(
                f"Cast transformation does not support casting from {source.name}; supported types are {_SOURCES_TEXT}"
            )
        if isinstance(value, JavaDate) and self.target is not Type.STRING:
            value = _encoded(schema, value)
        try:
            return self._cast(schema, value)
        except ArithmeticError:
            raise DataError(
                f"Value ({java_string(value, schema)}) was out of range for requested data type",
                shown="a value was out of range for requested data type",
            ) from None

    def _cast(self, schema: Schema | None, value: Any) -> Any:
        target = self.target
        if target is Type.STRING:
            return self._text(schema, value)
        if isinstance(value, JavaDate) or not isinstance(value, (bool, int, float, Decimal, str)):
            raise DataError(f"Unexpected type in Cast transformation: class {class_name(value, schema)}")
        if target is Type.BOOLEAN:
            if isinstance(value, str):
                return value.lower() == "true"
            return value if isinstance(value, bool) else long_value(value) != 0
        if isinstance(value, bool):
            return float(value) if target in (Type.FLOAT32, Type.FLOAT64) else int(value)
        if target is Type.FLOAT64:
            return _parse_double(value) if isinstance(value, str) else double_value(value)
        if target is Type.FLOAT32:
            return _parse_float(value) if isinstance(value, str) else float_value(value)
        bits = _BITS[target]
        if isinstance(value, str):
            return _parse_integer(value, bits)
        if bits == 64:
            return long_value(value)
        return wrap_integer(int_value(value), bits)

    def _text(self, schema: Schema | None, value: Any) -> str:
        if isinstance(value, JavaDate):
            return date_text(int(value), self._zone)
        if isinstance(value, (bytes, bytearray, memoryview)):
            return base64.b64encode(value).decode()
        return java_string(value, schema)


def _encoded(schema: Schema | None, value: JavaDate) -> Any:
    millis = int(value)
    name = None if schema is None else schema.name
    if name == DATE:
        if millis % MILLIS_PER_DAY:
            raise DataError("Kafka Connect Date type should not have any time fields set to non-zero values.")
        return wrap_integer(millis // MILLIS_PER_DAY, 32)
    if name == TIME:
        if not 0 <= millis <= MILLIS_PER_DAY:
            raise DataError("Kafka Connect Time type should not have any date fields set to non-zero values.")
        return millis
    return millis if name == TIMESTAMP else value


def _parse_integer(text: str, bits: int) -> int:
    if not re.fullmatch(r"[+-]?\d+", text):
        raise ArithmeticError
    value = int(text)
    if not -(1 << (bits - 1)) <= value < 1 << (bits - 1):
        raise ArithmeticError
    return value


def _parse_double(text: str) -> float:
    return _parse_floating(text, double_value, float)


def _parse_float(text: str) -> float:
    return _parse_floating(text, float_value, parse_float32)


def _parse_floating(text: str, narrow: Callable[[Any], float], parse: Callable[[str], float]) -> float:
    trimmed = trim(text)
    if trimmed.lstrip("+-") in ("NaN", "Infinity") and len(trimmed) - len(trimmed.lstrip("+-")) <= 1:
        return float(trimmed)
    hexadecimal = _HEX_TEXT.fullmatch(trimmed)
    if hexadecimal:
        try:
            return narrow(float.fromhex(hexadecimal[1] + hexadecimal[2]))
        except (ValueError, OverflowError):
            raise ArithmeticError from None
    if not _NUMBER_TEXT.fullmatch(trimmed):
        raise ArithmeticError
    return parse(trimmed.rstrip("fFdD"))


class Cast(PartTransform):
    """Casts fields of a map or struct, or the whole key or value."""

    config: ClassVar = ConfigDef((
        Key("spec", Kind.LIST, NO_DEFAULT, "`field:type` pairs, or one type for the whole key or value.", (_check_spec,)),
        REPLACE_NULL_WITH_DEFAULT,
    ))  # fmt: skip

    def configure(self) -> None:
        """Read the casts."""
        casts = parse_spec(self.options["spec"])
        whole = casts.pop(None, None)
        self._whole = None if whole is None else ValueCast(whole, self.surroundings)
        self._fields = {
            name: ValueCast(casts[name], self.surroundings)
            for name in hash_map_order(name for name in casts if name is not None)
        }
        self._replace_null: bool = self.options["replace.null.with.default"]
        self._whole_schemas = PerSchema(self._whole_schema)
        self._plans = PerSchema(self._plan)

    def convert(self, record: SourceRecord, schema: Schema | None, value: Any) -> tuple[Schema | None, Any]:
        """The cast value under its new schema."""
        if value is None:
            return schema, None
        if schema is None:
            return None, self._schemaless(value)
        if self._whole is not None:
            return self._whole_schemas(schema), self._whole(schema, value)
        updated, read = self._plans(schema)
        if type(value) is not Struct:
            require_struct(value, _PURPOSE, schema)
        return updated, Struct(updated, read(value.values))

    def columns(self, schema: Schema) -> tuple[Schema, Columns, Sequence[Callable[[SourceRecord], Any]]] | None:
        """The step field by field."""
        return None if self._whole is not None else told(*self._plans(schema))

    def _schemaless(self, value: Any) -> Any:
        if self._whole is not None:
            return boxed(self._whole(None, value), self._whole.target)
        updated = dict(require_map(value, _PURPOSE))
        for name, cast in self._fields.items():
            updated[name] = boxed(cast(None, updated.get(name)), cast.target)
        return updated

    def _whole_schema(self, schema: Schema) -> Schema:
        assert self._whole is not None
        updated = Schema(
            self._whole.target, name=schema.name, version=schema.version, doc=schema.doc, parameters=schema.parameters,
            optional=schema.optional,
        )  # fmt: skip
        if schema.default is None:
            return updated
        return with_default(updated, self._whole(schema, schema.default))

    def _plan(self, schema: Schema) -> tuple[Schema, Read]:
        pairs: list[tuple[str, Schema]] = []
        casts: dict[int, Change] = {}
        for index, (name, field_schema) in enumerate(field_pairs(schema)):
            cast = self._fields.get(name)
            if cast is None:
                pairs.append((name, field_schema))
                continue
            target = Schema(cast.target, optional=field_schema.optional)
            if field_schema.default is not None:
                target = with_default(target, cast(field_schema, field_schema.default))
            pairs.append((name, target))
            casts[index] = _bound(cast, field_schema)
        updated = struct_like(schema, pairs, optional=schema.optional)
        if schema.default is not None:
            updated = with_default(updated, ValueCast(Type.STRUCT, self.surroundings)(schema, schema.default))
        return updated, values_of(schema.fields, replace_null=self._replace_null, changes=casts)


def _bound(cast: ValueCast, schema: Schema) -> Change:
    """The cast of one field's values; the plain ones by the shortest way."""
    if schema.name not in EXPECTED_CLASSES:
        integer = schema.type in _BITS
        if cast.target is schema.type and schema.type is not Type.BYTES:
            return _unchanged
        if integer and cast.target is Type.STRING:
            return lambda value: None if value is None else str(value)
        if integer and _BITS.get(cast.target, 0) > _BITS[schema.type]:
            return _unchanged
    return lambda value: cast(schema, value)


def _unchanged(value: Any) -> Any:
    return value


class CastKey(Cast):
    """Cast on keys."""

    java_name = "org.apache.kafka.connect.transforms.Cast$Key"
    part = "key"


class CastValue(Cast):
    """Cast on values."""

    java_name = "org.apache.kafka.connect.transforms.Cast$Value"
    part = "value"
