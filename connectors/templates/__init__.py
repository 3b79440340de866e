"""Complete, commented configurations, one per source and sink system, with presets of transforms.

Each lies beside this file as the part of a `seam.toml` that it becomes. What stands between at signs is filled in:
`@name@` the connector's name, `@topic@` the same in the letters that a topic may have, `@word@` in lower-case letters,
digits and underscores, `@variable@` in capitals, `@number@` a number made from it.
"""

from __future__ import annotations

import difflib
import hashlib
import re
import tomllib
from collections.abc import Sequence
from dataclasses import dataclass
from importlib import resources
from typing import Final

from cdc.errors import ConfigError
from connectors.connect_answers import check_name
from connectors.connect_types import Config
from connectors.templates.presets import PRESETS, preset_lines

_ALIASES: Final = {
    "postgresql": "postgres", "sql-server": "sqlserver", "mssql": "sqlserver", "mongo": "mongodb",
    "jdbc": "jdbc-sink", "elasticsearch": "elasticsearch-sink", "opensearch": "opensearch-sink", "s3": "s3-sink",
    "file": "file-source",
}  # fmt: skip
_ENTRY: Final = re.compile(r'"?([^"=]+?)"? = "(.*)"')


@dataclass(frozen=True, slots=True)
class Template:
    """A configuration to start from.

    Attributes:
        kind: The system.
        title: What it is, one line.
        text: The commented part of a `seam.toml`.
        name: The connector's name in it.
    """

    kind: str
    title: str
    text: str
    name: str

    @property
    def config(self) -> Config:
        """The configuration in it."""
        connectors: dict[str, Config] = tomllib.loads(self.text)["connectors"]
        return connectors[self.name]

    @property
    def checklist(self) -> list[str]:
        """What has to be done on the system's own side."""
        entries: list[str] = []
        open_entry = False
        for line in self.text.partition("[connectors.")[0].splitlines():
            body = line.removeprefix("#").strip()
            if body.startswith("[ ]"):
                entries.append(body.removeprefix("[ ]").strip())
                open_entry = True
            elif open_entry and body and line.startswith("#     "):
                entries[-1] += " " + body
            else:
                open_entry = False
        return entries

    def properties(self) -> str:
        """The same, comments included, as a `.properties` file."""
        lines: list[str] = []
        for line in self.text.splitlines():
            if line.startswith("[connectors."):
                lines.append(f"name={_escaped(self.name)}")
                continue
            commented, bare = (line.startswith('# "'), line.removeprefix("# ") if line.startswith('# "') else line)
            entry = _ENTRY.fullmatch(bare)
            if entry is None:
                lines.append(line)
            else:
                lines.append(("# " if commented else "") + f"{entry[1]}={_escaped(entry[2])}")
        return "\n".join(lines) + "\n"


def kinds() -> dict[str, str]:
    """Kind -> title, by kind."""
    found = {}
    for file in resources.files(__name__).iterdir():
        if file.name.endswith(".toml"):
            first = file.read_text(encoding="utf-8").partition("\n")[0]
            found[file.name.removesuffix(".toml")] = first.removeprefix("#").strip()
    return dict(sorted(found.items()))


def template(kind: str, *, name: str | None = None, presets: Sequence[str] = ()) -> Template:
    """A configuration for a system.

    Args:
        kind: The system, as `kinds` lists them.
        name: The connector's name; default: the kind.
        presets: Names of transform presets, in the order in which they transform.

    Raises:
        ConfigError: There is no such kind or preset, or the presets do not go together.
    """
    known = kinds()
    kind = _ALIASES.get(kind.lower(), kind.lower())
    if kind not in known:
        near = difflib.get_close_matches(kind, [*known, *_ALIASES], n=1)
        meant = f"; did you mean {near[0]}?" if near else ""
        raise ConfigError(f"there is no template {kind}{meant}", hint=f"there are {', '.join(known)}")
    name = name or kind
    check_name(name)
    raw = (resources.files(__name__) / f"{kind}.toml").read_text(encoding="utf-8")
    word = re.sub(r"[^a-z0-9]+", "_", name.lower()).strip("_") or "seam"
    number = 100_000 + int.from_bytes(hashlib.sha256(name.encode()).digest()[:3]) % 900_000
    topic = re.sub(r"[^A-Za-z0-9._-]", "_", name)
    text = raw.replace("[connectors.@name@]", f"[connectors.{_toml_key(name)}]")
    marks = {"name": name, "topic": topic, "word": word, "variable": word.upper(), "number": str(number)}
    for mark, value in marks.items():
        text = text.replace(f"@{mark}@", value)
    if presets:
        text = text.rstrip("\n") + "\n\n" + "\n".join(preset_lines(kind, presets, prefix=topic)) + "\n"
    return Template(kind, known[kind], text, name)


def _toml_key(name: str) -> str:
    if re.fullmatch(r"[A-Za-z0-9_-]+", name):
        return name
    return '"' + name.replace('"', '\\"') + '"'


def _escaped(value: str) -> str:
    return value.replace("\\\\", "\\").replace("\\", "\\\\")


__all__ = ["PRESETS", "Template", "kinds", "template"]
