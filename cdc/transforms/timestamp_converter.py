"""`org.apache.kafka.connect.transforms.TimestampConverter`: between texts, Unix times and Connect's date types."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, ClassVar, Final

from cdc.model.javaerrors import ConfigException, DataError, JavaError, invalid_value
from cdc.model.javatypes import LONG_MAX, LONG_MIN, Byte, Integer, Short, class_name, wrap_integer
from cdc.model.record import SourceRecord
from cdc.model.schema import DATE, INT64, STRING, TIME, TIMESTAMP, JavaDate, Schema, Struct, Type
from cdc.transforms.base import PartTransform, PerSchema, require_map, require_struct, told
from cdc.transforms.configdef import NO_DEFAULT, REPLACE_NULL_WITH_DEFAULT, ConfigDef, Key, Kind, one_of, trim
from cdc.transforms.headers import schema_text
from cdc.transforms.schemas import Change, Columns, Read, field_pairs, struct_like, values_of, with_default
from cdc.values.javacalendar import MILLIS_PER_DAY
from cdc.values.simpledateformat import SimpleDateFormat

_PURPOSE: Final = "converting timestamp formats"
_TARGETS: Final = {
    "string": STRING, "unix": INT64, "Date": Schema(Type.INT32, name=DATE, version=1),
    "Time": Schema(Type.INT32, name=TIME, version=1), "Timestamp": Schema(Type.INT64, name=TIMESTAMP, version=1),
}  # fmt: skip
_TO_MILLIS: Final = {
    "nanoseconds": (1, 1_000_000),
    "microseconds": (1, 1000),
    "milliseconds": (1, 1),
    "seconds": (1000, 1),
}
_LOGICAL: Final = {TIMESTAMP: "Timestamp", DATE: "Date", TIME: "Time"}


def _scaled(value: int, multiplier: int, divisor: int) -> int:
    """`TimeUnit` conversion: truncated toward zero, saturated at the ends of a long."""
    if divisor > 1:
        return -(-value // divisor) if value < 0 else value // divisor
    return max(LONG_MIN, min(LONG_MAX, value * multiplier))


class TimestampConverter(PartTransform):
    """Converts one field, or the whole key or value."""

    config: ClassVar = ConfigDef((
        Key("field", Kind.STRING, "", "The field; empty for the whole key or value."),
        Key("target.type", Kind.STRING, NO_DEFAULT, "string, unix, Date, Time or Timestamp.", (one_of(*_TARGETS),)),
        Key("format", Kind.STRING, "", "SimpleDateFormat pattern of texts, UTC."),
        REPLACE_NULL_WITH_DEFAULT,
        Key("unix.precision", Kind.STRING, "milliseconds", "Unit of Unix times.", (one_of(*_TO_MILLIS),)),
    ))  # fmt: skip

    def configure(self) -> None:
        """Compile the pattern."""
        self._field: str = self.options["field"]
        self._target: str = self.options["target.type"]
        self._precision: str = self.options["unix.precision"]
        self._replace_null: bool = self.options["replace.null.with.default"]
        pattern: str = self.options["format"]
        blank = not trim(pattern)
        if self._target == "string" and blank:
            raise ConfigException(
                "TimestampConverter requires format option to be specified when using string timestamps"
            )
        self._format: SimpleDateFormat | None = None
        if not blank:
            try:
                self._format = SimpleDateFormat(pattern)
            except ValueError as error:
                raise invalid_value(
                    f"java.lang.IllegalArgumentException: {error}",
                    "TimestampConverter requires a SimpleDateFormat-compatible pattern for string timestamps: "
                    + pattern,
                ) from error
        self._sources: dict[str, Callable[[Any], int]] = {
            "string": self._from_text, "unix": self._from_unix, "Date": _from_date("Date"), "Time": _from_date("Time"),
            "Timestamp": _from_date("Timestamp"),
        }  # fmt: skip
        self._write = self._writer()
        self._plans = PerSchema(self._plan)

    def convert(self, record: SourceRecord, schema: Schema | None, value: Any) -> tuple[Schema | None, Any]:
        """The value with its timestamp converted."""
        if schema is None:
            return None, self._schemaless(value)
        if not self._field:
            target = _TARGETS[self._target]
            converted = self._converted(value, _source_of(schema))
            return target.as_optional() if schema.optional else target, converted
        struct = None if value is None else require_struct(value, _PURPOSE, schema)
        updated, read = self._plans(schema)
        return updated, None if struct is None else Struct(updated, read(struct.values))

    def columns(self, schema: Schema) -> tuple[Schema, Columns, Sequence[Callable[[SourceRecord], Any]]] | None:
        """The step field by field."""
        return told(*self._plans(schema)) if self._field else None

    def _schemaless(self, value: Any) -> Any:
        if value is None or not self._field:
            return self._converted(value, None)
        updated = dict(require_map(value, _PURPOSE))
        updated[self._field] = self._converted(updated.get(self._field), None)
        return updated

    def _plan(self, schema: Schema) -> tuple[Schema, Read]:
        pairs = field_pairs(schema)
        changes: dict[int, Change] = {}
        field = schema.field(self._field)
        if field is not None:
            target = _TARGETS[self._target]
            pairs[field.index] = (field.name, target.as_optional() if field.schema.optional else target)
            changes[field.index] = self._change(field.schema)
        read = values_of(schema.fields, replace_null=self._replace_null, changes=changes)
        updated = struct_like(schema, pairs, optional=schema.optional)
        if schema.default is not None:
            updated = with_default(updated, Struct(updated, read(schema.default.values)))
        return updated, read

    def _change(self, schema: Schema) -> Change:
        try:
            source = _source_of(schema)
        except JavaError as error:  # Java builds the schema first and finds it at each value, nulls included
            return partial(_refuse, error)
        read, write = self._sources[source], self._write
        return lambda value: None if value is None else write(read(value))

    def _converted(self, value: Any, source: str | None) -> Any:
        if value is None:
            return None
        return self._write(self._sources[source or _inferred(value)](value))

    def _writer(self) -> Callable[[int], Any]:
        """What makes the target's value of milliseconds since the epoch."""
        if self._target == "string":
            assert self._format is not None
            return self._format.format
        if self._target == "unix":
            divisor, multiplier = _TO_MILLIS[self._precision]
            return lambda millis: _scaled(millis, multiplier, divisor)
        if self._target == "Date":
            return lambda millis: JavaDate(wrap_integer(millis - millis % MILLIS_PER_DAY, 64))
        return JavaDate if self._target == "Timestamp" else lambda millis: JavaDate(millis % MILLIS_PER_DAY)

    def _from_text(self, value: Any) -> int:
        if not isinstance(value, str):
            raise DataError(f"Expected string timestamp to be a String, but found class {class_name(value)}")
        if self._format is None:
            raise JavaError(
                'Cannot invoke "java.text.SimpleDateFormat.parse(String)" because "config.format" is null',
                "NullPointerException",
            )
        millis = self._format.parse(value)
        if millis is None:
            raise DataError(
                f"Could not parse timestamp: value ({value}) does not match pattern ({self._format.pattern})",
                shown=f"a text does not match the date pattern {self._format.pattern}",
            )
        return millis

    def _from_unix(self, value: Any) -> int:
        if not isinstance(value, int) or isinstance(value, (bool, JavaDate, Byte, Short, Integer)):
            raise DataError(f"Expected Unix timestamp to be a Long, but found class {class_name(value)}")
        multiplier, divisor = _TO_MILLIS[self._precision]
        return _scaled(int(value), multiplier, divisor)


def _refuse(error: JavaError, _: Any) -> Any:
    raise error


def _from_date(kind: str) -> Callable[[Any], int]:
    def read(value: Any) -> int:
        if not isinstance(value, JavaDate):
            raise DataError(f"Expected {kind} to be a java.util.Date, but found class {class_name(value)}")
        return int(value)

    return read


def _source_of(schema: Schema) -> str:
    """The kind of timestamp that a schema describes."""
    if schema.name in _LOGICAL:
        return _LOGICAL[schema.name]
    if schema.type is Type.STRING:
        return "string"
    if schema.type is Type.INT64:
        return "unix"
    raise JavaError(
        f"Schema {schema_text(schema)} does not correspond to a known timestamp type format", "ConnectException"
    )


def _inferred(value: Any) -> str:
    """The kind of timestamp that a schemaless value is."""
    java_class = class_name(value)
    kind = {"java.util.Date": "Timestamp", "java.lang.Long": "unix", "java.lang.String": "string"}.get(java_class)
    if kind is None:
        raise DataError(f"TimestampConverter does not support class {java_class} objects as timestamps")
    return kind


class TimestampConverterKey(TimestampConverter):
    """TimestampConverter on keys."""

    java_name = "org.apache.kafka.connect.transforms.TimestampConverter$Key"
    part = "key"


class TimestampConverterValue(TimestampConverter):
    """TimestampConverter on values."""

    java_name = "org.apache.kafka.connect.transforms.TimestampConverter$Value"
    part = "value"
