"""Configuration files: Connect's JSON, `.properties`, and `seam.toml`, which holds many pipelines.

Secrets are written as Connect's config providers write them, `${env:NAME}` and `${file:/path:key}`, and are resolved
only when a pipeline starts; a file as loaded still holds the references.
"""

from __future__ import annotations

import json
import os
import re
import tomllib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from cdc.errors import ConfigError, Problem
from cdc.report import Finding, Severity

Properties = dict[str, str]

_REFERENCE = re.compile(r"\$\{(env|file):([^}]*)\}")
_SECRET_NAME = re.compile(
    r"(password|passwd|passphrase|secret|api[._-]?key|token|jaas\.config|basic\.auth\.user\.info|private[._-]?key"
    r"|secret[._-]?(access[._-]?)?key|keystore\.key|credentials(\.json)?)$",
    re.IGNORECASE,
)


@dataclass(frozen=True, slots=True)
class ConfigFile:
    """What a configuration file holds.

    Attributes:
        path: Where it was read from.
        connectors: Connector name -> its configuration, references unresolved.
        worker: `[worker]`: Connect worker options that hold for every connector.
        connect: `[connect]`: how to reach a Connect cluster.
        views: `[views.NAME]`.
        slices: `[slices.NAME]`.
        initial_states: Connector name -> `initial_state` of a Connect JSON body.
    """

    path: Path
    connectors: dict[str, Properties]
    worker: Properties = field(default_factory=dict)
    connect: dict[str, Any] = field(default_factory=dict)
    views: dict[str, dict[str, Any]] = field(default_factory=dict)
    slices: dict[str, dict[str, Any]] = field(default_factory=dict)
    initial_states: dict[str, str] = field(default_factory=dict)

    def connector(self, name: str | None = None) -> tuple[str, Properties]:
        """One connector of the file: the named one, or the only one.

        Returns:
            Its name, and its configuration over the worker's.

        Raises:
            ConfigError: There is none of that name, or several and none was named.
        """
        known = ", ".join(sorted(self.connectors)) or "none"
        if name is None:
            if len(self.connectors) != 1:
                raise ConfigError(
                    f"{self.path}: the file holds {len(self.connectors)} connectors ({known})",
                    hint="name one with --only NAME",
                )
            name = next(iter(self.connectors))
        if name not in self.connectors:
            raise ConfigError(f"{self.path}: there is no connector {name!r}; the file holds {known}")
        return name, {**self.worker, **self.connectors[name]}


def load(path: str | Path) -> ConfigFile:
    """Read a configuration file of any of the three forms.

    Raises:
        ConfigError: The file cannot be read, or not as what its name says; with line and column where there are any.
    """
    path = Path(path)
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        raise ConfigError(f"{path}: there is no such file") from None
    except IsADirectoryError:
        raise ConfigError(f"{path}: is a directory, not a file") from None
    except UnicodeDecodeError as error:
        raise ConfigError(f"{path}: not UTF-8 at byte {error.start}") from error
    except OSError as error:
        raise ConfigError(f"{path}: {error.strerror}") from error
    if path.suffix == ".toml":
        return _from_toml(path, text)
    if path.suffix == ".properties":
        return _from_properties(path, text)
    return _from_json(path, text)


def _from_json(path: Path, text: str) -> ConfigFile:
    repeated: list[str] = []

    def pairs(items: list[tuple[str, Any]]) -> dict[str, Any]:
        seen: dict[str, Any] = {}
        for key, value in items:
            if key in seen:
                repeated.append(key)
            seen[key] = value
        return seen

    try:
        document = json.loads(text, object_pairs_hook=pairs)
    except json.JSONDecodeError as error:
        raise ConfigError(f"{path}: line {error.lineno}, column {error.colno}: {error.msg}") from error
    if not isinstance(document, dict):
        raise ConfigError(f"{path}: a connector configuration is a JSON object")
    if repeated:
        raise ConfigError([Problem(key, "stands twice") for key in repeated], source=str(path))
    config = document.get("config", document)
    if isinstance(config, dict) and config is not document:
        for key in document:
            if key not in ("name", "config", "initial_state"):
                raise ConfigError([Problem(key, "does not belong beside name and config")], source=str(path))
    if not isinstance(config, dict):
        raise ConfigError(f"{path}: config is not a JSON object")
    name = document.get("name", config.get("name", path.stem))
    if not isinstance(name, str) or not name:
        raise ConfigError([Problem("name", "must be a text that is not empty")], source=str(path))
    return ConfigFile(path, {name: _texts(path, config)}, initial_states=_initial_state(path, name, document, config))


def _initial_state(path: Path, name: str, document: dict[str, Any], config: dict[str, Any]) -> dict[str, str]:
    state = None if config is document else document.get("initial_state")
    if state is None:
        return {}
    if str(state).upper() not in ("RUNNING", "PAUSED", "STOPPED"):
        raise ConfigError([Problem("initial_state", "is none of RUNNING, PAUSED, STOPPED")], source=str(path))
    return {name: str(state).upper()}


def _from_properties(path: Path, text: str) -> ConfigFile:
    config = parse_properties(text, source=str(path))
    return ConfigFile(path, {config.get("name", path.stem): config})


_TOML_SECTIONS = ("worker", "connect", "connectors", "views", "slices")


def _from_toml(path: Path, text: str) -> ConfigFile:
    try:
        document = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise ConfigError(f"{path}: {error}") from error
    problems = [
        Problem(key, f"is not a section; the sections are {', '.join(_TOML_SECTIONS)}")
        for key in document
        if key not in _TOML_SECTIONS
    ]
    for section in _TOML_SECTIONS:
        entries = document.get(section, {})
        if not isinstance(entries, dict):
            problems.append(Problem(section, "is a table"))
            document[section] = {}
        elif section in ("connectors", "views", "slices"):
            problems += [
                Problem(f"{section}.{n}", "is a table") for n, entry in entries.items() if not isinstance(entry, dict)
            ]
    if problems:
        raise ConfigError(problems, source=str(path))
    return ConfigFile(
        path,
        {name: _texts(path, flatten(entry)) for name, entry in document.get("connectors", {}).items()},
        worker=_texts(path, flatten(document.get("worker", {}))),
        connect=document.get("connect", {}),
        views=document.get("views", {}),
        slices=document.get("slices", {}),
    )


def flatten(table: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Dotted names of a nested TOML table, so that `database.port = 5432` without quotes means the same."""
    flat: dict[str, Any] = {}
    for key, value in table.items():
        if isinstance(value, dict):
            flat.update(flatten(value, f"{prefix}{key}."))
        else:
            flat[prefix + key] = value
    return flat


def _texts(path: Path, config: Mapping[str, Any]) -> Properties:
    texts: Properties = {}
    problems: list[Problem] = []
    for key, value in config.items():
        if value is None:
            continue
        if isinstance(value, bool):
            texts[key] = "true" if value else "false"
        elif isinstance(value, (str, int, float)):
            texts[key] = str(value)
        elif isinstance(value, list) and all(isinstance(item, (str, int, float)) for item in value):
            texts[key] = ",".join(str(item) for item in value)
        else:
            problems.append(Problem(key, "is neither a text, a number, true or false, nor a list of these"))
    if problems:
        raise ConfigError(problems, source=str(path))
    return texts


def parse_properties(text: str, *, source: str = "properties") -> Properties:
    """Read Java's `.properties` format: comments, continuation lines, `=`, `:` or blank as separator, escapes.

    Raises:
        ConfigError: A broken unicode escape; with its line.
    """
    properties: Properties = {}
    lines = iter(enumerate(text.splitlines(), start=1))
    for number, line in lines:
        logical = line.lstrip(" \t\f")
        if not logical or logical[0] in "#!":
            continue
        while _ends_in_odd_backslashes(logical):
            logical = logical[:-1]
            following = next(lines, None)
            if following is None:
                break
            logical += following[1].lstrip(" \t\f")
        key, value = _split_property(logical)
        try:
            properties[_unescape(key)] = _unescape(value)
        except ValueError as error:
            raise ConfigError(f"{source}: line {number}: {error}") from error
    return properties


def _ends_in_odd_backslashes(line: str) -> bool:
    return (len(line) - len(line.rstrip("\\"))) % 2 == 1


def _split_property(line: str) -> tuple[str, str]:
    index = 0
    while index < len(line):
        if line[index] == "\\":
            index += 2
            continue
        if line[index] in "=: \t\f":
            break
        index += 1
    key, rest = line[:index], line[index:].lstrip(" \t\f")
    if rest[:1] in ("=", ":"):
        rest = rest[1:].lstrip(" \t\f")
    return key, rest


def _unescape(text: str) -> str:
    if "\\" not in text:
        return text

    def replacement(match: re.Match[str]) -> str:
        escape = match[1]
        if escape.startswith("u"):
            if len(escape) != 5:
                raise ValueError("a unicode escape needs four hexadecimal digits")
            return chr(int(escape[1:], 16))
        return {"t": "\t", "n": "\n", "r": "\r", "f": "\f"}.get(escape, escape)

    return re.sub(r"\\(u[0-9A-Fa-f]{0,4}|.)", replacement, text)


def resolve(
    properties: Mapping[str, str], *, environ: Mapping[str, str] = os.environ, source: str | None = None
) -> Properties:
    """Replace `${env:NAME}` and `${file:/path:key}` by what they stand for.

    Raises:
        ConfigError: Every reference that leads nowhere, by its option's name.
    """
    resolved: Properties = {}
    problems: list[Problem] = []
    for key, value in properties.items():

        def look_up(match: re.Match[str]) -> str:
            try:
                return _look_up(match[1], match[2], environ)
            except LookupError as error:
                problems.append(Problem(key, str(error.args[0])))  # noqa: B023 - called inside this turn of the loop
                return ""

        resolved[key] = _REFERENCE.sub(look_up, value)
    if problems:
        raise ConfigError(problems, source=source)
    return resolved


def _look_up(provider: str, argument: str, environ: Mapping[str, str]) -> str:
    if provider == "env":
        if argument not in environ:
            raise LookupError(f"the environment variable {argument} is not set")
        return environ[argument]
    path, _, name = argument.rpartition(":")
    if not path:
        raise LookupError(f"${{file:{argument}}} is not ${{file:/path:key}}")
    try:
        values = parse_properties(Path(path).read_text(encoding="utf-8"), source=path)
    except OSError as error:
        raise LookupError(f"the file {path} cannot be read: {error.strerror}") from error
    if name not in values:
        raise LookupError(f"the file {path} holds no {name}")
    return values[name]


def override(
    properties: Mapping[str, str],
    *,
    declared: Iterable[tuple[str, str]] = (),
    environ: Mapping[str, str] = os.environ,
    settings: Iterable[str] = (),
) -> Properties:
    """Lay the environment and `--set name=value` over a file's properties.

    Args:
        properties: The file's.
        declared: `(option name, environment name)` of the declared options; no other variable is looked at.
        environ: The environment.
        settings: Texts of the form `name=value`.

    Raises:
        ConfigError: A setting without `=`.
    """
    merged = dict(properties)
    for name, variable in declared:
        if variable in environ:
            merged[name] = environ[variable]
    problems: list[Problem] = []
    for setting in settings:
        name, separator, value = setting.partition("=")
        if not separator or not name.strip():
            problems.append(Problem(f"--set {setting}", "is not of the form name=value"))
        merged[name.strip()] = value
    if problems:
        raise ConfigError(problems)
    return merged


def is_secret_name(name: str) -> bool:
    """Whether an option of that name holds a secret, by the words that Connect connectors use."""
    return _SECRET_NAME.search(name) is not None


def literal_secrets(properties: Mapping[str, str]) -> list[Finding]:
    """A finding for each secret that stands in the file itself; names the key, never the value."""
    return [
        Finding(
            "LITERAL_SECRET", Severity.WARNING, key, "the value stands in the file itself",
            f"write ${{env:NAME}} or ${{file:/path:key}} instead of the value of {key}",
        )
        for key, value in properties.items()
        if value and is_secret_name(key) and not _REFERENCE.search(value)
    ]  # fmt: skip
