"""What the day-to-day commands tell about a cluster, as JSON documents without secrets."""

from __future__ import annotations

import difflib
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

from connectors import health
from connectors.compare import OWNER, plain
from connectors.connect_api import ConnectApi
from connectors.connect_types import KeyDefinition, Offset
from connectors.offsets import as_documents
from connectors.operate import Operator, status_document
from connectors.plan import Observed, Plan
from connectors.redact import Redaction
from connectors.risks import risk

# (topic, partition) -> the offset after the last record.
EndOffsets = Callable[[Sequence[tuple[str, int]]], Mapping[tuple[str, int], int]]

_CLASSES_ASKED: Final = 40  # `explain` reads one definition list per installed connector


def listed(api: ConnectApi, observed: Mapping[str, Observed], ends: EndOffsets | None = None) -> list[dict[str, Any]]:
    """One entry per connector, by name.

    Args:
        api: Reads the offsets of sinks, where there are `ends`.
        observed: The connectors.
        ends: The ends of topic partitions, for the lag of sinks.
    """
    entries = []
    for name, there in sorted(observed.items()):
        tasks = there.status.tasks if there.status is not None else []
        own = there.status.connector if there.status is not None else None
        workers = {task.worker_id for task in tasks} or ({own.worker_id} if own is not None else set())
        entries.append(
            {
                "name": name,
                "state": health.state(there.status),
                "type": there.type,
                "class": there.config.get("connector.class", ""),
                "tasks": {"running": sum(task.state == "RUNNING" for task in tasks), "total": len(tasks)},
                "workers": sorted(workers),
                "version": own.version if own is not None else None,
                "lag": sink_lag(api.offsets(name), ends) if ends is not None and there.type == "sink" else None,
                "owner": there.owner,
            }
        )
    return entries


def sink_lag(stored: Sequence[Offset], ends: EndOffsets) -> int | None:
    """Offsets that a sink is behind, the markers of Kafka transactions included; None where it has none yet."""
    taken: dict[tuple[str, int], int] = {}
    for entry in stored:
        if entry.offset is not None:
            place = (str(entry.partition["kafka_topic"]), int(entry.partition["kafka_partition"]))
            taken[place] = int(entry.offset["kafka_offset"])
    if not taken:
        return None
    return sum(max(0, end - taken[place]) for place, end in ends(list(taken)).items())


def shown(operator: Operator, name: str) -> dict[str, Any]:
    """Everything about one connector."""
    api = operator.api
    config = operator.existing(name)
    api.redaction.learn_keys(key for key, d in definitions_of(api, config).items() if d.secret)
    api.redaction.learn(config)
    return {
        **status_document(name, api.status(name), api.redaction.text),
        "owner": config.get(OWNER),
        "config": dict(sorted(api.redaction.config(plain(config)).items())),
        "topics": sorted(api.topics(name)),
        "offsets": as_documents(api.offsets(name)),
    }


def definitions_of(api: ConnectApi, config: Mapping[str, str]) -> Mapping[str, KeyDefinition]:
    """What a connector's plugin declares; nothing where the plugin has gone."""
    installed = {plugin.class_ for plugin in api.plugins()}
    class_ = config.get("connector.class", "")
    return api.definitions(class_) if class_ in installed else {}


def learn_plugins(api: ConnectApi, observed: Mapping[str, Observed]) -> None:
    """Learn which keys the plugins in use declare as secrets, and strike their values out from here on."""
    installed = {plugin.class_ for plugin in api.plugins()}
    for class_ in {there.config.get("connector.class", "") for there in observed.values()} & installed:
        api.definitions(class_)
    for there in observed.values():
        api.redaction.learn(there.config)


def drifted(plan: Plan, observed: Mapping[str, Observed], redaction: Redaction) -> dict[str, Any]:
    """Where a cluster is not as the files say: configurations, states, and connectors that no file names.

    A connector that no file names is listed, whoever made it; it is no drift unless it carries our mark.
    """
    changes = [change.as_json(redaction) for change in plan.pending]
    named = {change.connector for change in plan.changes if change.action != "delete"}
    states = [
        {"connector": name, "state": health.state(there.status)}
        for name, there in sorted(observed.items())
        if name in named and health.state(there.status) not in (health.RUNNING, health.NO_TASKS)
    ]
    unknown = [
        {"connector": name, "owner": there.owner} for name, there in sorted(observed.items()) if name not in named
    ]
    return {"drift": bool(changes or states), "changes": changes, "states": states, "unknown": unknown}


def explained(api: ConnectApi, key: str, plugin: str | None) -> dict[str, Any]:
    """What a key means, by the plugins that declare it; `near` has the nearest key where none does."""
    classes = [plugin] if plugin else [one.class_ for one in api.plugins()][:_CLASSES_ASKED]
    found: list[dict[str, Any]] = []
    declared: set[str] = set()
    for class_ in classes:
        definitions = api.definitions(class_)
        declared |= definitions.keys()
        definition = definitions.get(key)
        if definition is not None:
            found.append(
                {
                    "plugin": class_,
                    "type": definition.type,
                    "required": definition.required,
                    "default": None if definition.secret else definition.default_value,
                    "importance": definition.importance,
                    "documentation": definition.documentation,
                }
            )
    near = [] if found else difflib.get_close_matches(key, sorted(declared), n=1, cutoff=0.7)
    return {"key": key, "definitions": found, "risk": risk(key), "near": near}
