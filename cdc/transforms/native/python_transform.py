"""Transforms that a user wrote in Python: `type = python:package.module:name`.

`name` is a function of one record, or a class that is made with the step's options and has `apply`. Either gives back
the record (the same or another), a list of records, or None to drop it.
"""

from __future__ import annotations

import importlib
import inspect
import sys
import traceback
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, ClassVar, Final

from cdc.model.javaerrors import ConfigException, JavaError
from cdc.model.record import SourceRecord
from cdc.transforms.base import Parts, Surroundings, Transform

PREFIX: Final = "python:"
_EVERYTHING: Final[Parts] = frozenset({"topic", "partition", "timestamp", "headers", "key", "value"})

Result = SourceRecord | list[SourceRecord] | None


class PythonFailure(JavaError):
    """A user's transform raised, or gave back what is no record."""

    default_class: ClassVar[str] = "PythonFailure"

    def __init__(self, message: str, python_class: str, shown: str) -> None:
        super().__init__(message, python_class, shown=shown)

    @property
    def qualified_class(self) -> str:
        """The exception's class, as dead-letter headers carry it."""
        return self.java_class


class PythonTransform(Transform):
    """Calls a user's function or object.

    Args:
        target: `package.module:name`.
        options: The step's options but `type`, `predicate` and `negate`, as texts.
        surroundings: Not looked at.

    Raises:
        ConfigException: There is no such function, or it could not be made.
    """

    native_only = True
    several = True

    def __init__(self, target: str, options: Mapping[str, str], surroundings: Surroundings) -> None:
        self.java_name = PREFIX + target  # type: ignore[misc] # one class stands for all of a user's
        self._call = _made(target, options)
        self._file = getattr(sys.modules.get(target.partition(":")[0]), "__file__", None)
        reads = getattr(self._call, "reads", None) or getattr(getattr(self._call, "__self__", None), "reads", None)
        self.reads = _EVERYTHING if reads is None else frozenset(reads)
        super().__init__(options, surroundings, options)

    def apply(self, record: SourceRecord) -> SourceRecord | None:
        """The one record that comes out; for callers that take only one."""
        found = self.apply_all(record)
        if len(found) > 1:
            raise PythonFailure("several records", "ValueError", "the transform gave several records for one")
        return found[0] if found else None

    def apply_all(self, record: SourceRecord) -> list[SourceRecord]:
        """Every record that comes out.

        Raises:
            PythonFailure: The user's code raised, or gave back something else.
        """
        try:
            result = self._call(record)
        except Exception as error:
            kind = f"{type(error).__module__}.{type(error).__qualname__}"
            shown = f"{type(error).__qualname__} in {_place(error, self._file)}"
            raise PythonFailure(str(error), kind, shown) from error
        if result is None:
            return []
        if isinstance(result, SourceRecord):
            return [result]
        if isinstance(result, list) and all(isinstance(member, SourceRecord) for member in result):
            return result
        kind = type(result).__qualname__
        raise PythonFailure(
            f"gave back {kind}", "TypeError", f"it gave back {kind}, not a record, a list of them or None"
        )


def _place(error: Exception, file: str | None) -> str:
    """The last line of the user's module on the way to an error."""
    frames = traceback.extract_tb(error.__traceback__)
    where = next((frame for frame in reversed(frames) if frame.filename == file), frames[-1])
    return f"{Path(where.filename).name}, line {where.lineno}"


def _made(target: str, options: Mapping[str, str]) -> Callable[[SourceRecord], Result]:
    module_name, colon, name = target.partition(":")
    if not colon or not module_name or not name:
        raise ConfigException(f"python:{target} is not of the form python:package.module:name")
    here = str(Path.cwd())
    if here not in sys.path:
        sys.path.insert(0, here)  # a console script does not look into the directory that it is called in
    try:
        found: Any = importlib.import_module(module_name)
        for part in name.split("."):
            found = getattr(found, part)
        make: Any = found
        if inspect.isclass(found):
            found = make(options)
    except Exception as error:
        raise ConfigException(f"python:{target} cannot be loaded: {type(error).__name__}: {error}") from error
    call = getattr(found, "apply", found)
    if not callable(call):
        raise ConfigException(f"python:{target} is neither a function nor a class with a method apply")
    return call  # type: ignore[no-any-return] # what it gives back is checked at each call
