"""Options of transforms, read and refused as Kafka's `ConfigDef` does on a Connect worker.

The worker embeds each class's definition under `transforms.<alias>.`: what its parser refuses carries that prefix in
the text, what the option's own check refuses carries the bare name. Every problem is collected; on the worker the
first one ends the start.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Any, Final

from cdc.errors import Problem
from cdc.model.javaerrors import ConfigException, JavaError, invalid_value, list_text
from cdc.model.javatypes import INT_MAX, INT_MIN
from cdc.transforms.javaregex import JavaPattern, UntranslatablePattern

_COMMA: Final = re.compile(r"[ \t\n\x0b\f\r]*,[ \t\n\x0b\f\r]*")
_BLANKS: Final = "".join(map(chr, range(33)))


def trim(text: str) -> str:
    """`String.trim()`: control characters and blanks, nothing else."""
    return text.strip(_BLANKS)


def split(text: str, separator: str) -> list[str]:
    """`String.split`: trailing empty parts vanish, so that `a:` has one part."""
    parts = text.split(separator)
    if len(parts) == 1:
        return parts
    while parts and not parts[-1]:
        parts.pop()
    return parts


class Kind(Enum):
    """The types of ConfigDef that transforms use."""

    BOOLEAN = "BOOLEAN"
    STRING = "STRING"
    INT = "INT"
    LONG = "LONG"
    DOUBLE = "DOUBLE"
    LIST = "LIST"


class _NoDefault:
    def __repr__(self) -> str:
        return "NO_DEFAULT"


NO_DEFAULT: Final = _NoDefault()

Check = Callable[[str, Any], None]
LateCheck = Callable[[str | None], str | None]


@dataclass(frozen=True, slots=True)
class Key:
    """The declaration of one option.

    Attributes:
        name: Without the alias's prefix.
        kind: How its text is read.
        default: `NO_DEFAULT` where it must be given.
        doc: One sentence for the reference.
        checks: Each raises `JavaError` with Java's text; called with the bare name and the value.
        late: Checks that a Debezium class makes itself when it is configured, on the text as it stands in the file
            (None where it is absent); each returns what is wrong.
    """

    name: str
    kind: Kind
    default: Any
    doc: str
    checks: tuple[Check, ...] = ()
    late: tuple[LateCheck, ...] = ()


@dataclass(frozen=True, slots=True)
class JavaProblem(Problem):
    """A problem with the exception that a Connect worker would have ended with.

    Attributes:
        java_class: The exception's simple class name.
        java_message: Its message.
    """

    java_class: str = "ConfigException"
    java_message: str = ""


def problem_of(error: JavaError, key: str) -> JavaProblem:
    """The problem that a Java exception is.

    Args:
        error: The exception.
        key: The option or alias that it belongs to.
    """
    return JavaProblem(key, error.shown, (), error.java_class, str(error))


class ConfigDef:
    """The options of one class.

    Args:
        keys: In any order; they are parsed in this one.
        reasons_logged: Whether the class writes what its own checks found into the log, and ends with "Unable to
            validate config." alone.
        undeclared: Options that the class reads without declaring them.
    """

    def __init__(self, keys: Sequence[Key], *, reasons_logged: bool = False, undeclared: Sequence[str] = ()) -> None:
        self.keys = tuple(keys)
        self.names = frozenset([*(key.name for key in keys), *undeclared])
        self.reasons_logged = reasons_logged

    def late_problems(self, texts: Mapping[str, str], prefix: str) -> list[JavaProblem]:
        """What a Debezium class finds when it is configured, one problem an option."""
        problems: list[JavaProblem] = []
        for key in self.keys:
            text = texts.get(key.name, key.default)
            complaint = next((found for check in key.late if (found := check(text)) is not None), None)
            if complaint is None:
                continue
            if self.reasons_logged:
                error = JavaError("Unable to validate config.", "ConnectException", shown=complaint)
            else:
                error = invalid_value(texts.get(key.name), key.name, f"The '{key.name}' value is invalid: {complaint}")
            problems.append(problem_of(error, prefix + key.name))
        return problems

    def parse(self, texts: Mapping[str, str], prefix: str) -> tuple[dict[str, Any], list[JavaProblem]]:
        """Read the options of one alias.

        Args:
            texts: Bare names to texts; names that are not declared are ignored, as Connect does.
            prefix: `transforms.<alias>.`, for messages.

        Returns:
            The values, and every problem.
        """
        values: dict[str, Any] = {}
        problems: list[JavaProblem] = []
        for key in self.keys:
            try:
                values[key.name] = self._value(key, texts, prefix)
            except JavaError as error:
                problems.append(problem_of(error, prefix + key.name))
        return values, problems

    def _value(self, key: Key, texts: Mapping[str, str], prefix: str) -> Any:
        if key.name in texts:
            value = parse_type(prefix + key.name, texts[key.name], key.kind)
        elif key.default is NO_DEFAULT:
            raise ConfigException(f'Missing required configuration "{prefix}{key.name}" which has no default value.')
        else:
            value = key.default
        for check in key.checks:
            check(key.name, value)
        return value


def parse_type(name: str, text: str, kind: Kind) -> Any:
    """`ConfigDef.parseType` of a text.

    Raises:
        ConfigException: With Java's text.
    """
    trimmed = trim(text)
    match kind:
        case Kind.BOOLEAN:
            if trimmed.lower() not in ("true", "false"):
                raise invalid_value(text, name, "Expected value to be either true or false")
            return trimmed.lower() == "true"
        case Kind.STRING:
            return trimmed
        case Kind.INT | Kind.LONG:
            low, high = (INT_MIN, INT_MAX) if kind is Kind.INT else (-(1 << 63), (1 << 63) - 1)
            if not re.fullmatch(r"[+-]?[0-9]+", trimmed) or not low <= int(trimmed) <= high:
                raise invalid_value(text, name, f"Not a number of type {kind.value}")
            return int(trimmed)
        case Kind.DOUBLE:
            try:
                return float(trimmed)
            except ValueError:
                raise invalid_value(text, name, "Not a number of type DOUBLE") from None
        case Kind.LIST:
            return _COMMA.split(trimmed) if trimmed else []


def non_empty_string(name: str, value: Any) -> None:
    """`NonEmptyString`: null passes."""
    if value == "":
        raise invalid_value(value, name, "String must be non-empty")


def non_null(name: str, value: Any) -> None:
    """`NonNullValidator`."""
    if value is None:
        raise invalid_value("null", name, "entry must be non null")


def one_of(*words: str) -> Check:
    """`ValidString`: case matters."""

    def check(name: str, value: Any) -> None:
        if value not in words:
            raise invalid_value(value, name, f"String must be one of: {', '.join(words)}")

    return check


def one_of_any_case(*words: str) -> Check:
    """`CaseInsensitiveValidString`."""

    def check(name: str, value: Any) -> None:
        if value is None or value.upper() not in words:
            raise invalid_value(value, name, f"String must be one of (case insensitive): {', '.join(words)}")

    return check


def values_once(*, empty_allowed: bool) -> Check:
    """`ValidList.anyNonDuplicateValues` as the worker embeds it: duplicates are refused, not removed."""

    def check(name: str, value: list[str]) -> None:
        if not empty_allowed and not value:
            raise ConfigException(
                f"Configuration '{name}' must not be empty. Valid values include: any non-empty value"
            )
        if len(set(value)) != len(value):
            raise ConfigException(f"Configuration '{name}' values must not be duplicated.")
        if "" in value:
            raise ConfigException(f"Configuration '{name}' values must not be empty.")

    return check


def non_empty_list(name: str, value: list[str]) -> None:
    """The older check of HeaderFrom: duplicates and blanks pass."""
    if not value:
        raise invalid_value(list_text(value), name, "Empty list")


def regex(name: str, value: Any) -> None:
    """`RegexValidator`, and what Python cannot express."""
    try:
        JavaPattern(value)
    except UntranslatablePattern as error:
        raise ConfigException(
            f"the regular expression {error}, which Connect takes and this engine cannot carry out"
        ) from error
    except ValueError as error:
        raise invalid_value(value, name, f"Invalid regex: {error}") from error


REPLACE_NULL_WITH_DEFAULT: Final = Key(
    "replace.null.with.default", Kind.BOOLEAN, True, "Whether a null in a field with a default counts as the default."
)
