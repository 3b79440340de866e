"""`seam.transforms.Lookup`: fields from a reference topic, by a key that the value holds."""

from __future__ import annotations

from typing import Any, ClassVar, Final

from cdc.errors import OperatorError
from cdc.model.javaerrors import ConfigException, DataError, invalid_value
from cdc.model.javatypes import LONG_MAX, LONG_MIN
from cdc.model.record import SourceRecord
from cdc.model.schema import OPTIONAL_BOOLEAN, OPTIONAL_FLOAT64, OPTIONAL_INT64, OPTIONAL_STRING, Schema, Struct
from cdc.transforms.base import PerSchema, Transform, require_map, require_struct
from cdc.transforms.configdef import NO_DEFAULT, ConfigDef, Key, Kind, non_empty_list, non_empty_string, one_of, split
from cdc.transforms.native.reference import ReferenceReader, ReferenceTable
from cdc.transforms.schemas import Read, field_pairs, struct_like, values_of
from cdc.values.javastring import java_string

_TYPES: Final[dict[str, Schema]] = {
    "string": OPTIONAL_STRING, "int64": OPTIONAL_INT64, "float64": OPTIONAL_FLOAT64, "boolean": OPTIONAL_BOOLEAN,
}  # fmt: skip
_PURPOSE: Final = "look-up"


def _parse(entries: list[str]) -> list[tuple[str, str, str]]:
    """Field of the reference, name in the result, type."""
    found: list[tuple[str, str, str]] = []
    for entry in entries:
        parts = split(entry, ":")
        field, name, kind = [*parts, *[""] * 3][:3]
        kind = kind or "string"
        if not field or len(parts) > 3 or kind not in _TYPES:
            raise ConfigException(
                f"Invalid value {entry} for configuration fields: an entry is field[:name[:type]], the types are "
                + ", ".join(_TYPES)
            )
        found.append((field, name or field, kind))
    return found


def _check_fields(_: str, value: list[str]) -> None:
    _parse(value)


def _positive(name: str, value: int) -> None:
    if value < 1:
        raise invalid_value(value, name, "Value must be at least 1")


class Lookup(Transform):
    """Adds the fields; the reference topic is read to its end before the first record passes."""

    java_name = "seam.transforms.Lookup"
    native_only = True
    needs_reader = True
    reads = frozenset({"value"})
    config: ClassVar = ConfigDef((
        Key("topic", Kind.STRING, NO_DEFAULT, "The reference topic: keys of one field, JSON.", (non_empty_string,)),
        Key("key.field", Kind.STRING, NO_DEFAULT, "The value's field that holds the key.", (non_empty_string,)),
        Key("fields", Kind.LIST, NO_DEFAULT, "`field[:name[:type]]` entries to add; types string, int64, float64, boolean.",
            (non_empty_list, _check_fields)),
        Key("on.miss", Kind.STRING, "null", "null, drop or fail: what becomes of a record whose key is unknown.",
            (one_of("null", "drop", "fail"),)),
        Key("max.bytes", Kind.LONG, 64 * 1024 * 1024, "How much memory the table may take.", (_positive,)),
        Key("refresh.interval.ms", Kind.LONG, 1000, "How old the table may be.", (_positive,)),
    ))  # fmt: skip

    def configure(self) -> None:
        """Read the fields."""
        self._key: str = self.options["key.field"]
        self._fields = _parse(self.options["fields"])
        self._on_miss: str = self.options["on.miss"]
        self._table: ReferenceTable | None = None
        self._plans = PerSchema(self._plan)

    def open(self, reader: ReferenceReader) -> None:
        """Read the reference topic to its end."""
        self._table = ReferenceTable(
            reader, self.options["topic"], [field for field, _, _ in self._fields], self.options["max.bytes"],
            self.options["refresh.interval.ms"] / 1000,
        )  # fmt: skip

    def apply(self, record: SourceRecord) -> SourceRecord | None:
        """The record with the reference's fields; a tombstone passes."""
        value: Any = record.value
        if value is None:
            return record
        if record.value_schema is None:
            given = require_map(value, _PURPOSE)
            found = self._found(given.get(self._key), record)
            if found is None:
                return None
            names = [name for _, name, _ in self._fields]
            return record.replace(value=given | dict(zip(names, found, strict=True)))
        struct = require_struct(value, _PURPOSE, record.value_schema)
        schema, read = self._plans(struct.schema)
        found = self._found(struct.get(self._key), record)
        if found is None:
            return None
        return record.replace(value_schema=schema, value=Struct(schema, [*read(struct.values), *found]))

    def _found(self, key: Any, record: SourceRecord) -> list[Any] | None:
        """The fields to add; None where the record is dropped."""
        if self._table is None:
            raise OperatorError("the look-up's reference topic was not read", hint="give --bootstrap-servers")
        row = None if key is None else self._table.get(java_string(key))
        if row is None:
            if self._on_miss == "fail":
                raise DataError(
                    f"Lookup found no row for the key {java_string(key)} in {self.options['topic']}",
                    shown=f"no row in {self.options['topic']} for the key in {self._key}",
                )
            return None if self._on_miss == "drop" else [None] * len(self._fields)
        return [_typed(text, kind) for text, (_, _, kind) in zip(row, self._fields, strict=True)]

    def _plan(self, schema: Schema) -> tuple[Schema, Read]:
        if schema.field(self._key) is None:
            raise DataError(f"{self._key} is not a valid field name")
        added = [(name, _TYPES[kind]) for _, name, kind in self._fields]
        updated = struct_like(schema, [*field_pairs(schema), *added], optional=schema.optional)
        return updated, values_of(schema.fields, replace_null=False)


def _typed(text: str | None, kind: str) -> Any:
    if text is None or kind == "string":
        return text
    try:
        if kind == "boolean":
            return {"true": True, "false": False}[text]
        number = float(text) if kind == "float64" else int(text)
    except (ValueError, KeyError):
        raise DataError(f"Lookup cannot read {text} as {kind}", shown=f"a reference value is no {kind}") from None
    if kind == "int64" and not LONG_MIN <= number <= LONG_MAX:
        raise DataError(f"Lookup cannot read {text} as {kind}", shown=f"a reference value is no {kind}")
    return number
