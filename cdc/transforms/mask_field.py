"""`org.apache.kafka.connect.transforms.MaskField`: a field's content replaced by nothing, or by one fixed text."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from decimal import Decimal
from functools import partial
from typing import Any, ClassVar, Final

from cdc.model.javaerrors import DataError, JavaError
from cdc.model.javatypes import (
    EXPECTED_CLASSES,
    Byte,
    Float,
    Integer,
    Short,
    class_name,
    double_value,
    float_value,
    hash_map_order,
    is_big_decimal,
    long_value,
    wrap_integer,
)
from cdc.model.record import SourceRecord
from cdc.model.schema import JavaDate, Schema, Struct, Type
from cdc.transforms.base import PartTransform, PerSchema, require_map, require_struct, told
from cdc.transforms.configdef import (
    NO_DEFAULT,
    REPLACE_NULL_WITH_DEFAULT,
    ConfigDef,
    Key,
    Kind,
    non_empty_string,
    values_once,
)
from cdc.transforms.schemas import Change, Columns, Read, field_pairs, values_of

_PURPOSE: Final = "mask fields"
_EMPTY: Final[dict[str, Callable[[], Any]]] = {
    "java.lang.Boolean": lambda: False, "java.lang.Byte": lambda: Byte(0), "java.lang.Short": lambda: Short(0),
    "java.lang.Integer": lambda: Integer(0), "java.lang.Long": lambda: 0, "java.lang.Float": lambda: Float(0.0),
    "java.lang.Double": lambda: 0.0, "java.math.BigDecimal": lambda: Decimal(0), "java.util.Date": lambda: JavaDate(0),
    "java.lang.String": lambda: "", "java.util.ArrayList": list, "java.util.HashMap": dict,
    "java.util.LinkedHashMap": dict,
}  # fmt: skip


def _exact(text: str) -> Decimal:
    if not is_big_decimal(text):
        raise DataError(f"Unable to convert {text} (class java.lang.String) to a number")
    return Decimal(text)


def _big_decimal(text: str) -> Decimal:
    if not is_big_decimal(text):
        raise DataError(f"Unable to convert {text} (class java.lang.String) to number")
    return Decimal(text)


_CUSTOM: Final[dict[str, Callable[[str], Any]]] = {
    "java.lang.Byte": lambda text: Byte(wrap_integer(long_value(_exact(text)), 8)),
    "java.lang.Short": lambda text: Short(wrap_integer(long_value(_exact(text)), 16)),
    "java.lang.Integer": lambda text: Integer(wrap_integer(long_value(_exact(text)), 32)),
    "java.lang.Long": lambda text: long_value(_exact(text)),
    "java.lang.Float": lambda text: Float(float_value(double_value(_exact(text)))),
    "java.lang.Double": lambda text: double_value(_exact(text)),
    "java.lang.String": lambda text: text,
    "java.math.BigDecimal": _big_decimal,
}


_PROBES: Final[dict[Type, Any]] = {
    Type.INT8: 1, Type.INT16: 1, Type.INT32: 1, Type.INT64: 1, Type.FLOAT32: 1.0, Type.FLOAT64: 1.0, Type.BOOLEAN: True,
    Type.STRING: "x",
}  # fmt: skip


class MaskField(PartTransform):
    """Masks the listed fields; a null value is refused, as in Java."""

    config: ClassVar = ConfigDef((
        Key("fields", Kind.LIST, NO_DEFAULT, "The fields to mask.", (values_once(empty_allowed=False),)),
        REPLACE_NULL_WITH_DEFAULT,
        Key("replacement", Kind.STRING, None, "What stands in their place, for numbers and texts.", (non_empty_string,)),
    ))  # fmt: skip

    def configure(self) -> None:
        """Read fields and replacement."""
        self._names = hash_map_order(self.options["fields"])
        self._replacement: str | None = self.options["replacement"]
        self._replace_null: bool = self.options["replace.null.with.default"]
        self._plans = PerSchema(self._plan)

    def convert(self, record: SourceRecord, schema: Schema | None, value: Any) -> tuple[Schema | None, Any]:
        """The masked value."""
        if schema is None:
            updated = dict(require_map(value, _PURPOSE))
            for name in self._names:
                updated[name] = self._masked(updated.get(name), None)
            return None, updated
        if type(value) is not Struct:
            require_struct(value, _PURPOSE, schema)
        return schema, Struct(value.schema, self._plans(value.schema)(value.values))

    def columns(self, schema: Schema) -> tuple[Schema, Columns, Sequence[Callable[[SourceRecord], Any]]] | None:
        """The step field by field."""
        return told(schema, self._plans(schema))

    def _plan(self, schema: Schema) -> Read:
        masks = {at: self._mask(child) for at, (name, child) in enumerate(field_pairs(schema)) if name in self._names}
        return values_of(schema.fields, replace_null=self._replace_null, changes=masks)

    def _mask(self, schema: Schema) -> Change:
        """What masks values of a schema; worked out once where every value of it has one class."""
        probe = _PROBES.get(schema.type) if schema.name not in EXPECTED_CLASSES else None
        if probe is None:
            return partial(self._masked, schema=schema)
        try:
            masked = self._masked(probe, schema)
        except JavaError:
            return partial(self._masked, schema=schema)
        return lambda value: None if value is None else masked

    def _masked(self, value: Any, schema: Schema | None) -> Any:
        if value is None:
            return None
        java_class = class_name(value, schema)
        if self._replacement is None:
            empty = _EMPTY.get(java_class)
            if empty is None:
                raise DataError(f"Cannot mask value of type: class {java_class}")
            return empty()
        custom = _CUSTOM.get(java_class)
        if custom is None:
            raise DataError(f"Cannot mask value of type class {java_class} with custom replacement.")
        return custom(self._replacement)


class MaskFieldKey(MaskField):
    """MaskField on keys."""

    java_name = "org.apache.kafka.connect.transforms.MaskField$Key"
    part = "key"


class MaskFieldValue(MaskField):
    """MaskField on values."""

    java_name = "org.apache.kafka.connect.transforms.MaskField$Value"
    part = "value"
