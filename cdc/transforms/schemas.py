"""New schemas out of old ones, with the checks and the losses of Connect's SchemaBuilder."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from operator import itemgetter
from typing import Any

from cdc.model.javaerrors import DataError, JavaError, SchemaBuilderError
from cdc.model.schema import Field, Schema, Struct, Type
from cdc.model.validation import null_refused, validate_value


def checked_fields(pairs: Iterable[tuple[str, Schema]]) -> list[tuple[str, Schema]]:
    """Fields for a STRUCT schema.

    Raises:
        SchemaBuilderError: A name is empty or stands twice.
    """
    seen: set[str] = set()
    fields: list[tuple[str, Schema]] = []
    for name, schema in pairs:
        if not name:
            raise SchemaBuilderError("fieldName cannot be null.")
        if name in seen:
            raise SchemaBuilderError(f"Cannot create field because of field name duplication {name}")
        seen.add(name)
        fields.append((name, schema))
    return fields


def struct_like(source: Schema, pairs: Iterable[tuple[str, Schema]], *, optional: bool = False) -> Schema:
    """A STRUCT with the source's name, version, doc and parameters; optional and default are not carried.

    Raises:
        SchemaBuilderError: A field name is empty or stands twice.
    """
    return Schema(
        Type.STRUCT, name=source.name, version=source.version, doc=source.doc, parameters=source.parameters,
        fields=checked_fields(pairs), optional=optional,
    )  # fmt: skip


def with_default(schema: Schema, default: Any) -> Schema:
    """The schema with a default.

    Raises:
        SchemaBuilderError: The default does not fit.
    """
    try:
        validate_value(schema, default)
    except DataError as error:
        raise SchemaBuilderError("Invalid default value") from error
    return schema.replace(default=default)


def field_pairs(schema: Schema) -> list[tuple[str, Schema]]:
    """A STRUCT's fields as pairs.

    Raises:
        DataError: It is not a STRUCT.
    """
    if schema.type is not Type.STRUCT:
        raise DataError("Cannot list fields on non-struct type")
    return [(field.name, field.schema) for field in schema.fields]


def field_named(schema: Schema, name: str) -> Field | None:
    """`Schema.field(name)`.

    Raises:
        DataError: The schema is not a STRUCT.
    """
    if schema.type is not Type.STRUCT:
        raise DataError("Cannot look up fields on non-struct type")
    return schema.field(name)


def struct_field(struct: Struct, name: str) -> Field:
    """The field of that name of a struct.

    Raises:
        DataError: There is none.
    """
    field = struct.schema.field(name)
    if field is None:
        raise DataError(f"{name} is not a valid field name")
    return field


Read = Callable[[Sequence[Any]], list[Any]]


Change = Callable[[Any], Any]


def values_of(fields: Sequence[Field], *, replace_null: bool, changes: Mapping[int, Change] | None = None) -> Read:
    """The function that takes some fields' values out of a struct's values, in the order given.

    A null that stays in a required field is refused, as `Struct.put` does; of several complaints about a struct the one
    about the foremost field is raised, as if the fields were put one after the other.

    Args:
        fields: The fields to take.
        replace_null: Whether a null is read as the field's default.
        changes: By place in `fields`: what becomes of the value.
    """
    count = len(fields)
    indices = [field.index for field in fields]
    defaults = {at: f.schema.default for at, f in enumerate(fields) if replace_null and f.schema.default is not None}
    demanding = [(at, f) for at, f in enumerate(fields) if not f.schema.optional and at not in defaults]
    everything = indices == list(range(count))
    getter: Callable[[Sequence[Any]], Any] = itemgetter(*indices) if count > 1 else itemgetter(slice(0, 0))
    changed = sorted((changes or {}).items())
    replaced = sorted(defaults.items())

    def refuse_nulls(values: list[Any], limit: int) -> None:
        for at, field in demanding:
            if at < limit and values[at] is None:
                raise null_refused(f'field: "{field.name}"', field.schema)

    def read(values: Sequence[Any]) -> list[Any]:
        if count > 1:
            taken = list(values[:count]) if everything else list(getter(values))
        else:
            taken = [values[index] for index in indices]
        for at, default in replaced:
            if taken[at] is None:
                taken[at] = default
        for at, change in changed:
            try:
                taken[at] = change(taken[at])
            except JavaError:
                refuse_nulls(taken, at)
                raise
        if demanding and None in taken:
            refuse_nulls(taken, count)
        return taken

    read.columns = Columns(tuple(fields), defaults, dict(changes or {}))  # type: ignore[attr-defined] # see `columns_of`
    return read


@dataclass(frozen=True, slots=True)
class Columns:
    """What a `Read` does, field by field.

    Attributes:
        fields: The fields that it takes.
        defaults: By place: what stands in for a null.
        changes: By place: what becomes of the value.
    """

    fields: tuple[Field, ...]
    defaults: Mapping[int, Any]
    changes: Mapping[int, Change]

    def at(self, place: int) -> Change:
        """What becomes of one value; raises where the struct would be refused for it."""
        field, default, change = self.fields[place], self.defaults.get(place), self.changes.get(place)

        def convert(value: Any) -> Any:
            if value is None:
                value = default
            if change is not None:
                value = change(value)
            if value is None and not field.schema.optional and default is None:
                raise null_refused(f'field: "{field.name}"', field.schema)
            return value

        return convert


def columns_of(read: Read) -> Columns | None:
    """What a `Read` does, field by field; None where that cannot be told."""
    return getattr(read, "columns", None)
