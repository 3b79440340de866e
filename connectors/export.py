"""A live cluster into files, secrets replaced by references."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote

from cdc.errors import ConfigError
from connectors.compare import plain
from connectors.connect_types import Config
from connectors.redact import Redaction, is_masked, is_reference


@dataclass(frozen=True, slots=True)
class Exported:
    """A connector as a file would ask for it.

    Attributes:
        name: Its name.
        config: Its configuration with references in place of secrets.
        variables: Environment variable -> the key whose secret it stands for.
    """

    name: str
    config: Config
    variables: Mapping[str, str]

    def document(self) -> dict[str, Any]:
        """Connect's own form, which every command takes."""
        return {"name": self.name, "config": dict(self.config)}


def exported(name: str, config: Mapping[str, str], redaction: Redaction) -> Exported:
    """Replace each literal or masked secret by `${env:NAME_KEY}`."""
    variables: dict[str, str] = {}
    written: Config = {}
    for key, value in sorted(plain(config).items()):
        hidden = redaction.is_secret(key) and value and not is_reference(value)
        if not hidden and not is_masked(value) and redaction.text(value) == value:
            written[key] = value
            continue
        variable = re.sub(r"[^A-Za-z0-9]", "_", f"{name}_{key}").upper()
        variables[variable] = key
        written[key] = f"${{env:{variable}}}"
    # The class first, as people write it.
    head = {key: written[key] for key in ("connector.class",) if key in written}
    return Exported(name, {**head, **written}, variables)


def write_files(connectors: list[Exported], directory: Path, *, force: bool = False) -> dict[str, Path]:
    """Write one file per connector.

    Args:
        connectors: What to write.
        directory: Made where it is not there.
        force: Replace files.

    Returns:
        Connector -> its file.

    Raises:
        ConfigError: Files are there already.
    """
    files = {one.name: directory / f"{quote(one.name, safe=' ()+,=@')}.json" for one in connectors}
    there = [str(file) for file in files.values() if file.exists()]
    if there and not force:
        raise ConfigError(
            f"already there: {', '.join(there)}", hint="give --force to replace them, or another directory"
        )
    try:
        directory.mkdir(parents=True, exist_ok=True)
        for one in connectors:
            text = json.dumps(one.document(), indent=2, ensure_ascii=False) + "\n"
            files[one.name].write_text(text, encoding="utf-8")
    except OSError as error:
        raise ConfigError(f"{error.filename}: {error.strerror}") from error
    return files
