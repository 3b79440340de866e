"""What a Connect cluster has, and what it says about what files ask for."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Final

from cdc.errors import ConnectApiError, Problem
from connectors.connect_answers import shortened
from connectors.connect_api import ConnectApi
from connectors.connect_types import KeyDefinition, Plugin
from connectors.desired import Desired
from connectors.plan import Examination, Observed, is_equal

# A worker validates on its REST threads; more at once only queue there, and some connect to a database meanwhile.
_AT_ONCE: Final = 8
# Debezium's SQL Server connector took 29.7 s to say that a port is closed.
VALIDATION_TIMEOUT: Final = 60.0


def observe(api: ConnectApi) -> dict[str, Observed]:
    """Every connector of the cluster, in one call."""
    return {
        name: Observed(entry.info.properties(), entry.status, entry.info.type)
        for name, entry in api.connectors().items()
        if entry.info is not None
    }


def examine(
    api: ConnectApi, desired: Mapping[str, Desired], observed: Mapping[str, Observed], *, validate: bool = True
) -> dict[str, Examination]:
    """Ask the worker about every configuration that is not already there letter by letter.

    Args:
        api: The client.
        desired: What the files ask for.
        observed: What the cluster has.
        validate: Have each configuration validated; else only the plugins' declarations are read.
    """
    asked = [entry for name, entry in desired.items() if name not in observed or not is_equal(entry, observed[name])]
    return examine_all(api, asked, validate=validate)


def examine_all(api: ConnectApi, asked: Iterable[Desired], *, validate: bool = True) -> dict[str, Examination]:
    """Ask the worker about these configurations."""
    asked = list(asked)
    if not asked:
        return {}
    installed = api.plugins()
    found: dict[str, Examination] = {}
    known: list[Desired] = []
    for entry in asked:
        missing = _missing_plugin(entry.config["connector.class"], installed)
        if missing is None:
            known.append(entry)
        else:
            found[entry.name] = Examination(problems=(missing,))
    if not validate:
        return found | {entry.name: Examination(definitions) for entry, definitions in _declared(api, known)}
    with ThreadPoolExecutor(max_workers=_AT_ONCE, thread_name_prefix="validate") as pool:
        for entry, examination in zip(known, pool.map(lambda one: _validated(api, one), known), strict=True):
            found[entry.name] = examination
    return found


def _validated(api: ConnectApi, desired: Desired) -> Examination:
    try:
        validation = api.validate({**desired.config, "name": desired.name}, timeout=VALIDATION_TIMEOUT)
    except ConnectApiError as error:
        return Examination(problems=(Problem("validate", str(error)),))
    problems = tuple(
        Problem(key, api.redaction.text(shortened(text)))
        for key, texts in validation.errors().items()
        for text in texts
    )
    return Examination(validation.definitions(), problems)


def _declared(api: ConnectApi, asked: Iterable[Desired]) -> list[tuple[Desired, Mapping[str, KeyDefinition]]]:
    cache: dict[str, Mapping[str, KeyDefinition]] = {}
    declared: list[tuple[Desired, Mapping[str, KeyDefinition]]] = []
    for entry in asked:
        plugin = entry.config["connector.class"]
        if plugin not in cache:
            cache[plugin] = api.definitions(plugin)
        declared.append((entry, cache[plugin]))
    return declared


def _missing_plugin(plugin: str, installed: Iterable[Plugin]) -> Problem | None:
    """Connect finds a plugin by its full name, its simple name, and that without `Connector`."""
    names: set[str] = set()
    classes: list[str] = []
    for one in installed:
        simple = one.class_.rpartition(".")[2]
        names |= {one.class_, simple, simple.removesuffix("Connector")}
        classes.append(one.class_)
    if plugin in names:
        return None
    simple_of = {name.rpartition(".")[2]: name for name in classes}
    near = difflib.get_close_matches(plugin.rpartition(".")[2], simple_of, n=1, cutoff=0.7)
    return Problem(
        "connector.class",
        f"{plugin} is not installed on the worker; installed are {', '.join(sorted(classes))}",
        tuple(simple_of[name] for name in near),
    )
