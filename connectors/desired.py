"""The connectors that files ask for, as a Connect cluster would get them."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from cdc.errors import ConfigError, Problem, SeamError
from cdc.properties import ConfigFile, load, override
from connectors.connect_answers import check_name
from connectors.connect_settings import merged_sections
from connectors.connect_types import Config

SUFFIXES: Final = (".json", ".properties", ".toml")
DEPENDS_ON: Final = "seam.depends.on"
OWN_PREFIX: Final = "seam."

# What a `[worker]` section says about bytes goes to the cluster with each connector, so that both engines write the
# same; everything else in it is the worker's own affair there.
_FROM_WORKER = re.compile(r"(key|value|header)\.converter(\..*)?")


@dataclass(frozen=True, slots=True)
class Desired:
    """One connector as a file asks for it.

    Attributes:
        name: Its name.
        config: What Connect gets, without `name` and without our own `seam.` options; references unresolved.
        source: The file.
        own: The `seam.` options, which only the native engine reads.
        depends_on: Connectors of the same run that must be up first.
        initial_state: RUNNING, PAUSED or STOPPED for a creation; None for RUNNING.
    """

    name: str
    config: Config
    source: str
    own: Config = field(default_factory=dict)
    depends_on: tuple[str, ...] = ()
    initial_state: str | None = None


@dataclass(frozen=True, slots=True)
class DesiredSet:
    """What the files of one run ask for.

    Attributes:
        connectors: By name, in the order of the files.
        connect: Their `[connect]` sections as one.
        worker: Their `[worker]` sections as one.
    """

    connectors: dict[str, Desired]
    connect: dict[str, Any] = field(default_factory=dict)
    worker: Config = field(default_factory=dict)

    def only(self, names: Sequence[str], *, source: str | Path) -> DesiredSet:
        """The connectors of these names; all where none is named.

        Raises:
            ConfigError: The files hold none of a name.
        """
        unknown = [name for name in names if name not in self.connectors]
        if unknown:
            known = ", ".join(sorted(self.connectors)) or "none"
            raise ConfigError(f"{source}: there is no connector {', '.join(unknown)}; there is {known}")
        chosen = {name: desired for name, desired in self.connectors.items() if not names or name in names}
        return DesiredSet(chosen, self.connect, self.worker)


def read(path: str | Path, *, settings: Sequence[str] = ()) -> DesiredSet:
    """Read a file, or every configuration file under a directory.

    Args:
        path: A file of any of the three forms, or a directory.
        settings: `name=value` laid over each connector.

    Raises:
        ConfigError: With every problem of every file.
    """
    problems: list[str] = []
    found: dict[str, Desired] = {}
    files: list[ConfigFile] = []
    for file in _files(Path(path)):
        try:
            content = load(file)
            files.append(content)
            for desired in _connectors(content, settings):
                if desired.name in found:
                    problems.append(f"{file}: connector {desired.name} stands in {found[desired.name].source} too")
                found[desired.name] = desired
        except ConfigError as error:
            problems.append(str(error))
    if problems:
        raise ConfigError("\n".join(dict.fromkeys(problems)))  # a setting goes over each connector
    return DesiredSet(
        found, merged_sections([file.connect for file in files]), merged_sections([file.worker for file in files])
    )


def section(path: str | Path | None) -> dict[str, Any]:
    """`[connect]` of a file, or of `seam.toml` in the working directory where no file is named."""
    if path is None:
        here = Path("seam.toml")
        return load(here).connect if here.is_file() else {}
    return merged_sections([load(file).connect for file in _files(Path(path))])


def needs_of(desired: Mapping[str, Desired]) -> dict[str, set[str]]:
    """Name -> the connectors that must be up before it.

    A sink comes after the sources whose topics it reads; `seam.depends.on` says what cannot be seen.
    """
    return {name: _needs(entry, desired) for name, entry in desired.items()}


def in_order(needs: Mapping[str, set[str]]) -> list[list[str]]:
    """Names by layers, each layer needing only those before it.

    Raises:
        ConfigError: The connectors need each other in a circle.
    """
    layers: list[list[str]] = []
    done: set[str] = set()
    while len(done) < len(needs):
        layer = [name for name, needed in needs.items() if name not in done and needed <= done]
        if not layer:
            left = ", ".join(name for name in needs if name not in done)
            raise ConfigError(f"these connectors depend on each other in a circle: {left}")
        layers.append(layer)
        done.update(layer)
    return layers


def _needs(entry: Desired, desired: Mapping[str, Desired]) -> set[str]:
    needed = {name for name in entry.depends_on if name in desired and name != entry.name}
    topics = [topic.strip() for topic in entry.config.get("topics", "").split(",") if topic.strip()]
    pattern = entry.config.get("topics.regex")
    for name, other in desired.items():
        prefix = other.config.get("topic.prefix")
        if name == entry.name or prefix is None or entry.name in other.depends_on:
            continue
        named = any(topic == prefix or topic.startswith(f"{prefix}.") for topic in topics)
        matched = pattern is not None and re.sub(r"\\(.)", r"\1", pattern).lstrip("^(").startswith(f"{prefix}.")
        if named or matched:
            needed.add(name)
    return needed


def _files(path: Path) -> list[Path]:
    if not path.is_dir():
        return [path]
    files = sorted(
        file
        for file in path.rglob("*")
        if file.suffix in SUFFIXES and file.is_file() and not any(part.startswith(".") for part in file.parts)
    )
    if not files:
        raise ConfigError(f"{path}: holds no file that ends in {', '.join(SUFFIXES)}")
    return files


def _connectors(content: ConfigFile, settings: Sequence[str]) -> Iterable[Desired]:
    inherited = {key: value for key, value in content.worker.items() if _FROM_WORKER.fullmatch(key)}
    problems: list[Problem] = []
    connectors: list[Desired] = []
    for name, properties in content.connectors.items():
        config = override(properties, environ={}, settings=settings)
        problems += _problems(name, config)
        config.pop("name", None)
        config = _with_worker(inherited, config)
        own = {key: value for key, value in config.items() if key.startswith(OWN_PREFIX)}
        depends_on = tuple(one.strip() for one in own.get(DEPENDS_ON, "").split(",") if one.strip())
        connectors.append(
            Desired(
                name,
                {key: value for key, value in config.items() if key not in own},
                str(content.path),
                own,
                depends_on,
                content.initial_states.get(name),
            )
        )
    if problems:
        raise ConfigError(problems, source=str(content.path))
    return connectors


def _with_worker(inherited: Config, config: Config) -> Config:
    """A converter of the worker goes with its own options, or not at all."""
    kept = {
        key: value
        for key, value in inherited.items()
        if key in ("key.converter", "value.converter", "header.converter") or ".".join(key.split(".")[:2]) not in config
    }
    return {**kept, **config}


def _problems(name: str, config: Config) -> Iterable[Problem]:
    try:
        check_name(name)
    except SeamError as error:
        yield Problem("name", str(error))
    if config.get("name", name) != name:
        yield Problem("name", f"is {config['name']!r} inside the configuration and {name!r} outside it")
    if not config.get("connector.class", "").strip():
        yield Problem(f"{name}: connector.class", "is required and has no default")
