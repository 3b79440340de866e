"""The path to one field, in both syntaxes of `field.syntax.version`."""

from __future__ import annotations

from typing import Any

from cdc.model.javaerrors import ConfigException, JavaError
from cdc.model.schema import Field, Schema, Struct
from cdc.transforms.base import require_map, require_struct
from cdc.transforms.schemas import field_named

_PURPOSE = "nested field access"


def parse_path(path: str) -> tuple[str, ...]:
    """The steps of a V2 path: dots separate, backticks protect, a backslash protects a backtick.

    Raises:
        ConfigException: A backtick pair is not closed.
    """
    steps: list[str] = []
    index = 0
    while index < len(path):
        if path[index] == "`":
            step, index = _quoted_step(path, index)
        else:
            end = path.find(".", index)
            step, index = (path[index:], len(path)) if end < 0 else (path[index:end], end + 1)
        steps.append(step)
    if path.endswith("."):
        steps.append("")
    return tuple(steps)


def _quoted_step(path: str, opening: int) -> tuple[str, int]:
    """One step between backticks, and where the next one begins."""
    text = ""
    start = search = opening + 1
    while True:
        closing = path.find("`", search)
        last = closing == len(path) - 1
        if closing < 0 or (last and path[closing - 1] == "\\"):
            raise ConfigException(
                f"Incomplete backtick pair in path: [{path}], consider adding a backslash before backtick "
                f"at position {opening} to escape it"
            )
        if last:
            return text + path[start:closing], len(path)
        search = closing + 1
        if path[search] != ".":
            continue
        if path[closing - 1] == "\\":
            text += path[start : closing - 1] + "`"
            start = search
            continue
        return text + path[start:closing], search + 1


class FieldPath:
    """A path, applied to schemas, structs and maps.

    Args:
        text: As configured.
        nested: Whether the syntax is V2.

    Raises:
        ConfigException: A backtick pair is not closed.
    """

    def __init__(self, text: str, *, nested: bool) -> None:
        self.steps = parse_path(text) if nested else (text,)

    def _steps(self) -> tuple[tuple[str, ...], str]:
        if not self.steps:
            raise JavaError("fromIndex(0) > toIndex(-1)", "IllegalArgumentException")
        return self.steps[:-1], self.steps[-1]

    def field_of(self, schema: Schema) -> Field | None:
        """The field that the path leads to, or None.

        Raises:
            DataError: A step is not a STRUCT.
        """
        leading, last = self._steps()
        current = schema
        for step in leading:
            field = field_named(current, step)
            if field is None:
                return None
            current = field.schema
        return field_named(current, last)

    def value_of_struct(self, struct: Struct | None, *, replace_null: bool) -> Any:
        """The value in a struct; null where something on the way is null or absent.

        Raises:
            DataError: A step is not a struct.
        """
        leading, last = self._steps()
        current = struct
        for step in leading:
            if current is None or current.schema.field(step) is None:
                return None
            value = current.get(step)
            current = None if value is None else require_struct(value, _PURPOSE)
        if current is None or current.schema.field(last) is None:
            return None
        return current.get(last) if replace_null else current.get_without_default(last)

    def value_of_map(self, value: dict[str, Any]) -> Any:
        """The value in a map; null where something on the way is null or absent.

        Raises:
            DataError: A step is not a map.
        """
        leading, last = self._steps()
        current = value
        for step in leading:
            member = current.get(step)
            if member is None:
                return None
            current = require_map(member, _PURPOSE)
        return current.get(last)
