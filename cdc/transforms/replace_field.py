"""`org.apache.kafka.connect.transforms.ReplaceField`: leave fields out, keep some only, rename."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, ClassVar, Final

from cdc.model.javaerrors import DataError, invalid_value, list_text
from cdc.model.javatypes import hash_map_order
from cdc.model.record import SourceRecord
from cdc.model.schema import Schema, Struct
from cdc.model.validation import validate_value
from cdc.transforms.base import PartTransform, PerSchema, require_map, require_struct, told
from cdc.transforms.configdef import REPLACE_NULL_WITH_DEFAULT, ConfigDef, Key, Kind, split, values_once
from cdc.transforms.schemas import Columns, Read, field_pairs, struct_like, values_of

_PURPOSE: Final = "field replacement"


def parse_renames(mappings: list[str]) -> dict[str, str]:
    """Old names to new ones; the new name is taken as it stands, blanks included.

    Raises:
        ConfigException: A mapping does not have two parts.
    """
    renames: dict[str, str] = {}
    for mapping in mappings:
        parts = split(mapping, ":")
        if len(parts) != 2:
            raise invalid_value(list_text(mappings), "renames", f"Invalid rename mapping: {mapping}")
        renames[parts[0]] = parts[1]
    return renames


def _check_renames(_: str, value: list[str]) -> None:
    parse_renames(value)


class ReplaceField(PartTransform):
    """Filters and renames fields; excluding beats including, and both go by the original name."""

    config: ClassVar = ConfigDef((
        Key("exclude", Kind.LIST, [], "Fields to leave out.", (values_once(empty_allowed=True),)),
        Key("include", Kind.LIST, [], "The only fields to keep; empty for all.", (values_once(empty_allowed=True),)),
        Key("renames", Kind.LIST, [], "`old:new` pairs.", (_check_renames,)),
        REPLACE_NULL_WITH_DEFAULT,
    ))  # fmt: skip

    def configure(self) -> None:
        """Read the names."""
        self._exclude = frozenset(self.options["exclude"])
        self._include = frozenset(self.options["include"])
        self._renames = parse_renames(self.options["renames"])
        # Java turns the map round in its HashMap's order, so that of two fields with one new name the last one wins.
        self._originals = {self._renames[old]: old for old in hash_map_order(self._renames)}
        self._replace_null: bool = self.options["replace.null.with.default"]
        self._plans = PerSchema(self._plan)

    def _kept(self, name: str) -> bool:
        return name not in self._exclude and (not self._include or name in self._include)

    def convert(self, record: SourceRecord, schema: Schema | None, value: Any) -> tuple[Schema | None, Any]:
        """The fields that stay, under their new names."""
        if value is None:
            return schema, None
        if schema is None:
            given = require_map(value, _PURPOSE)
            return None, {self._renames.get(name, name): given[name] for name in given if self._kept(name)}
        if type(value) is not Struct:
            require_struct(value, _PURPOSE, schema)
        updated, read = self._plans(value.schema)
        return updated, Struct(updated, read(value.values))

    def columns(self, schema: Schema) -> tuple[Schema, Columns, Sequence[Callable[[SourceRecord], Any]]] | None:
        """The step field by field."""
        return told(*self._plans(schema))

    def _plan(self, schema: Schema) -> tuple[Schema, Read]:
        kept = [pair for pair in field_pairs(schema) if self._kept(pair[0])]
        updated = struct_like(schema, [(self._renames.get(name, name), child) for name, child in kept])
        # Java asks for each value by the name turned back, which is another field's where a rename has no source.
        names = [self._originals.get(field.name, field.name) for field in updated.fields]
        sources = [source for name in names if (source := schema.field(name)) is not None]
        if [source.schema for source in sources] == [field.schema for field in updated.fields]:
            return updated, values_of(sources, replace_null=self._replace_null)
        return updated, partial(self._one_by_one, schema, updated, names)

    def _one_by_one(self, schema: Schema, updated: Schema, names: list[str], values: Sequence[Any]) -> list[Any]:
        taken = []
        for field, name in zip(updated.fields, names, strict=True):
            source = schema.field(name)
            if source is None:
                raise DataError(f"{name} is not a valid field name")
            value = values[source.index]
            if value is None and self._replace_null:
                value = source.schema.default
            validate_value(field.schema, value, f'field: "{field.name}"', given=source.schema)
            taken.append(value)
        return taken


class ReplaceFieldKey(ReplaceField):
    """ReplaceField on keys."""

    java_name = "org.apache.kafka.connect.transforms.ReplaceField$Key"
    part = "key"


class ReplaceFieldValue(ReplaceField):
    """ReplaceField on values."""

    java_name = "org.apache.kafka.connect.transforms.ReplaceField$Value"
    part = "value"
