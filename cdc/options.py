"""Options are declared once: name, type, default, check, text.

Parsing, masking, environment names, the reference page and the answer of `validate` follow from the declaration.
Text is read as Kafka's `ConfigDef` reads it, so that a file means the same here and on a Connect worker.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Any, Final

from cdc.errors import ConfigError, Problem
from cdc.report import Finding, Severity


class Kind(Enum):
    """The type of an option's value, in ConfigDef's words."""

    BOOLEAN = "BOOLEAN"
    STRING = "STRING"
    INT = "INT"
    LONG = "LONG"
    DOUBLE = "DOUBLE"
    LIST = "LIST"
    CLASS = "CLASS"
    PASSWORD = "PASSWORD"  # noqa: S105 - the name of a type


class Support(Enum):
    """What the native engine does with an option that it knows."""

    FULL = "full"
    IGNORED = "ignored"  # tunes Debezium's threads; accepted and named once
    NOTED = "noted"  # has no effect here and changes no data; named in a finding
    REFUSED = "refused"  # would change data, so a start without it would be a silent difference


class _Required:
    def __repr__(self) -> str:
        return "REQUIRED"


REQUIRED: Final = _Required()

Check = Callable[[Any], str | None]


@dataclass(frozen=True, slots=True)
class Option:
    """The declaration of one option.

    Attributes:
        name: As users write it.
        kind: How its text is read.
        default: The value when it is absent; `REQUIRED` when it must be there.
        doc: One or two sentences for the reference page.
        choices: The allowed values of a STRING, compared without regard to case.
        check: Returns what is wrong with a value, or None.
        support: What the native engine does with it.
        group: The heading of the reference page that it stands under.
        refused_unless: With `Support.REFUSED`: values (as text) that change nothing and so pass.
    """

    name: str
    kind: Kind
    default: Any
    doc: str
    choices: tuple[str, ...] = ()
    check: Check | None = None
    support: Support = Support.FULL
    group: str = ""
    refused_unless: tuple[str, ...] = ()

    @property
    def environment_name(self) -> str:
        """The environment variable that sets it: `SEAM_` and the name in capitals."""
        return "SEAM_" + re.sub(r"[^A-Za-z0-9]", "_", self.name).upper()

    @property
    def secret(self) -> bool:
        """Whether the value is never shown."""
        return self.kind is Kind.PASSWORD

    def parse(self, text: Any) -> Any:
        """The value that a text stands for.

        Raises:
            ValueError: With the reason, which never holds a secret.
        """
        value = _READERS[self.kind](text)
        if self.choices:
            chosen = next((choice for choice in self.choices if choice.lower() == str(value).lower()), None)
            if chosen is None:
                raise ValueError(
                    f"{'the value' if self.secret else repr(value)} is not one of {', '.join(self.choices)}"
                )
            value = chosen
        if self.check is not None and (complaint := self.check(value)) is not None:
            raise ValueError(complaint)
        return value


def _read_boolean(text: Any) -> bool:
    if isinstance(text, bool):
        return text
    word = str(text).strip().lower()
    if word not in ("true", "false"):
        raise ValueError(f"{text!r} is neither true nor false")
    return word == "true"


def _read_integer(bits: int) -> Callable[[Any], int]:
    def read(text: Any) -> int:
        if isinstance(text, bool):
            raise ValueError(f"{text!r} is not a whole number")
        try:
            value = int(str(text).strip())
        except ValueError:
            raise ValueError(f"{text!r} is not a whole number") from None
        if not -(1 << (bits - 1)) <= value < 1 << (bits - 1):
            raise ValueError(f"{value} does not fit into {bits} bits")
        return value

    return read


def _read_double(text: Any) -> float:
    try:
        return float(str(text).strip())
    except ValueError:
        raise ValueError(f"{text!r} is not a number") from None


def _read_list(text: Any) -> list[str]:
    if isinstance(text, list):
        return [str(item) for item in text]
    stripped = str(text).strip()
    return [item.strip() for item in stripped.split(",")] if stripped else []


def _read_string(text: Any) -> str:
    if isinstance(text, bool):
        return "true" if text else "false"
    return str(text).strip()


_READERS: Final[dict[Kind, Callable[[Any], Any]]] = {
    Kind.BOOLEAN: _read_boolean,
    Kind.STRING: _read_string,
    Kind.INT: _read_integer(32),
    Kind.LONG: _read_integer(64),
    Kind.DOUBLE: _read_double,
    Kind.LIST: _read_list,
    Kind.CLASS: _read_string,
    Kind.PASSWORD: str,
}


class Options(Mapping[str, Any]):
    """Parsed options by name, defaults filled in.

    Args:
        values: Every declared option's value.
        given: The names that were set and not defaulted.
        findings: What is worth saying about them.
    """

    def __init__(self, values: Mapping[str, Any], given: frozenset[str], findings: Sequence[Finding]) -> None:
        self._values = dict(values)
        self.given = given
        self.findings = tuple(findings)

    def __getitem__(self, name: str) -> Any:
        return self._values[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._values)

    def __len__(self) -> int:
        return len(self._values)


class OptionSet:
    """A set of declarations that reads a whole configuration at once.

    Args:
        options: The declarations.
        open_prefixes: Prefixes under which any name is taken as it is, as `producer.override.`.
        patterns: Regular expressions of names with a variable part, as `column[.]mask[.]with[.][0-9]+[.]chars`.
    """

    def __init__(
        self, options: Iterable[Option], *, open_prefixes: Sequence[str] = (), patterns: Sequence[str] = ()
    ) -> None:
        self.options: dict[str, Option] = {option.name: option for option in options}
        self.open_prefixes = tuple(open_prefixes)
        self.patterns = tuple(re.compile(pattern) for pattern in patterns)

    def knows(self, name: str) -> bool:
        """Whether the name is declared, under an open prefix, or of a pattern."""
        return (
            name in self.options
            or name.startswith(self.open_prefixes)
            or any(pattern.fullmatch(name) for pattern in self.patterns)
        )

    def nearest(self, name: str) -> tuple[str, ...]:
        """Declared names that look like this one, best first."""
        return tuple(difflib.get_close_matches(name, self.options, n=2, cutoff=0.75))

    def parse(self, properties: Mapping[str, Any], *, source: str | None = None) -> Options:
        """Read a configuration.

        Args:
            properties: Names to texts, as they stand in the file after secrets were resolved.
            source: The file, for messages.

        Raises:
            ConfigError: With every problem at once.
        """
        options, problems = self.examine(properties)
        if problems:
            raise ConfigError(problems, source=source)
        return options

    def examine(self, properties: Mapping[str, Any]) -> tuple[Options, list[Problem]]:
        """Read a configuration, and return what was read and every problem."""
        problems: list[Problem] = []
        findings: list[Finding] = []
        values: dict[str, Any] = {}
        for name in properties:
            if not self.knows(name):
                problems.append(Problem(name, "there is no such option", self.nearest(name)))
        ignored: list[str] = []
        for name, option in self.options.items():
            if name not in properties or properties[name] is None:
                if option.default is REQUIRED:
                    problems.append(Problem(name, "is required and has no default"))
                else:
                    values[name] = option.default
                continue
            try:
                values[name] = option.parse(properties[name])
            except ValueError as error:
                problems.append(Problem(name, str(error)))
                continue
            if option.support is Support.IGNORED:
                ignored.append(name)
            elif option.support is Support.NOTED and values[name] != option.default:
                findings.append(
                    Finding("OPTION_WITHOUT_EFFECT", Severity.NOTE, name, "the native engine does not use this option")
                )
            elif option.support is Support.REFUSED:
                same = {str(option.default).lower(), *(text.lower() for text in option.refused_unless)}
                if str(properties[name]).strip().lower() not in same:
                    problems.append(
                        Problem(
                            name, "is a Debezium option that the native engine does not carry out, and it changes data"
                        )
                    )
        if ignored:
            findings.append(
                Finding(
                    "OPTION_TUNES_DEBEZIUM", Severity.NOTE, ", ".join(ignored),
                    "these tune Debezium's threads and queues; the native engine has none and goes on without them",
                )
            )  # fmt: skip
        for name, text in properties.items():
            if name not in self.options and self.knows(name):
                values[name] = text
        return Options(values, frozenset(properties), findings), problems
