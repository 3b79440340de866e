"""Which of the two engines can run a file, and the keys at fault where one cannot."""

from __future__ import annotations

import re
from typing import Final

from cdc.errors import ConfigError
from connectors.desired import Desired

_REFERENCE: Final = re.compile(r"\$\{(env|file):[^}]*\}")


def connect_only(desired: Desired) -> list[str]:
    """Keys that the native engine does not carry out, in the order of the file; empty where it can run the connector."""
    simple = desired.config.get("connector.class", "").rpartition(".")[2].removesuffix("Connector")
    if simple != "Postgres":
        return ["connector.class"]
    from connectors.postgres import read

    # What a reference stands for is known where the file runs, not here.
    properties = {key: _REFERENCE.sub("x", value) for key, value in {**desired.config, **desired.own}.items()}
    properties.pop("seam.depends.on", None)
    try:
        read(desired.name, properties, bootstrap_servers="localhost:9092", environ={})
    except ConfigError as error:
        at_fault = {problem.key for problem in error.problems}
        return [key for key in properties if key in at_fault] + sorted(at_fault - set(properties))
    return []


def native_only(desired: Desired) -> list[str]:
    """Keys of a file that Connect knows nothing of: our own options that change what is written, and transforms of ours."""
    options = [key for key, value in desired.own.items() if key == "seam.compat" and value.strip().lower() != "strict"]
    transforms = [
        key
        for key, value in desired.config.items()
        if key.startswith(("transforms.", "predicates."))
        and key.endswith(".type")
        and value.strip().startswith("seam.")
    ]
    return options + transforms
