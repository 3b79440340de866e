"""What a worker's validation lets through, found in the file itself. Pure.

Measured on Connect 4.3: misspelt keys, transforms that no list names, predicates that do not exist, masks in place of
secrets and two connectors on one slot all validate without an error, and surface later as a failed task or as data that
is not there.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Final

from cdc.properties import literal_secrets
from cdc.report import Finding, Severity
from connectors.connect_types import Config, KeyDefinition
from connectors.desired import Desired
from connectors.redact import is_masked

ChainCheck = Callable[[Mapping[str, str]], Iterable[Finding]]

# Keys of Connect itself (4.3) whose names vary or which only one kind of connector has.
_OPEN_PREFIXES: Final = (
    "transforms.", "predicates.", "key.converter.", "value.converter.", "header.converter.",
    "producer.override.", "consumer.override.", "admin.override.", "topic.creation.",
)  # fmt: skip
_FRAMEWORK: Final = (
    "name", "connector.class", "connector.plugin.version", "tasks.max", "tasks.max.enforce", "key.converter",
    "value.converter", "header.converter", "transforms", "predicates", "config.action.reload", "errors.retry.timeout",
    "errors.retry.delay.max.ms", "errors.tolerance", "errors.log.enable", "errors.log.include.messages",
    "topic.creation.groups", "exactly.once.support", "transaction.boundary", "transaction.boundary.interval.ms",
    "offsets.storage.topic", "topics", "topics.regex", "errors.deadletterqueue.topic.name",
    "errors.deadletterqueue.topic.replication.factor", "errors.deadletterqueue.context.headers.enable",
)  # fmt: skip
_JNDI: Final = re.compile(r"(Jndi|Ldap)LoginModule")


def check(
    desired: Desired, definitions: Mapping[str, KeyDefinition], *, chain: ChainCheck | None = None
) -> list[Finding]:
    """Findings about one connector.

    Args:
        desired: The connector.
        definitions: What its plugin declares; empty where no worker was asked, and then keys are not judged.
        chain: Runs the configured transforms over sample records.
    """
    found = [*_unknown_keys(desired.config, definitions), *_aliases(desired.config, "transforms")]
    found += [*_aliases(desired.config, "predicates"), *_predicates(desired.config), *_sink_topics(desired.config)]
    found += [*_secrets(desired.config), *_dangerous(desired.config)]
    if chain is not None:
        subjects = {finding.subject for finding in found}
        found += [finding for finding in chain(desired.config) if finding.subject not in subjects]
    return found


def check_together(desired: Mapping[str, Desired]) -> dict[str, list[Finding]]:
    """Findings about connectors that get into each other's way, by name."""
    found: dict[str, list[Finding]] = {}
    for label, key_of in _SHARED:
        users: dict[tuple[str, ...], list[str]] = {}
        for name, entry in desired.items():
            if (key := key_of(entry.config)) is not None:
                users.setdefault(key, []).append(name)
        for key, names in users.items():
            for name in names if len(names) > 1 else ():
                others = ", ".join(other for other in names if other != name)
                found.setdefault(name, []).append(
                    Finding("SHARED_BY_CONNECTORS", Severity.WARNING, label, f"{key[-1]} is used by {others} too",
                            f"give each connector a {label} of its own")
                )  # fmt: skip
    return found


def _unknown_keys(config: Config, definitions: Mapping[str, KeyDefinition]) -> Iterator[Finding]:
    if not definitions:
        return
    known = [*definitions, *(key for key in _FRAMEWORK if key not in definitions)]
    for key in config:
        if key in definitions or key in _FRAMEWORK or key.startswith(_OPEN_PREFIXES):
            continue
        if any(key.startswith(f"{name}.") for name in definitions):
            continue  # as snapshot.select.statement.overrides.inventory.orders
        unused = [name for name in known if name not in config and _is_misspelling(key, name)]
        if unused:
            meant = " or ".join(unused[:3])
            yield Finding("UNKNOWN_KEY", Severity.BLOCKS, key, f"the plugin has no such key; did you mean {meant}?",
                          "correct the name, or give --allow-unknown-keys")  # fmt: skip
        else:
            yield Finding("UNDECLARED_KEY", Severity.NOTE, key, "the plugin does not declare it; the worker ignores it, "
                          "unless the plugin reads it all the same")  # fmt: skip


def _is_misspelling(key: str, name: str) -> bool:
    """Whether a letter or two were dropped, added, exchanged or swapped: the optimal string alignment distance.

    Debezium also honours keys that it declares nowhere, which are farther from every declared one.
    """
    allowed = 1 if len(name) < 8 else 2
    if abs(len(key) - len(name)) > allowed:
        return False
    before: list[int] = []
    row = list(range(len(name) + 1))
    for i, letter in enumerate(key, start=1):
        two_before, before, row = before, row, [i]
        for j, other in enumerate(name, start=1):
            best = min(before[j] + 1, row[j - 1] + 1, before[j - 1] + (letter != other))
            if i > 1 and j > 1 and letter == name[j - 2] and key[i - 2] == other:
                best = min(best, two_before[j - 2] + 1)
            row.append(best)
        if min(row) > allowed:
            return False
    return row[-1] <= allowed


def _aliases(config: Config, list_key: str) -> Iterator[Finding]:
    """Options of transforms or predicates that the list does not name: the worker ignores them silently."""
    named = _items(config.get(list_key, ""))
    orphans: dict[str, str] = {}
    for key in config:
        if key.startswith(f"{list_key}."):
            alias = next((name for name in named if key.startswith(f"{list_key}.{name}.")), None)
            if alias is None:
                orphans.setdefault(key.split(".")[1], key)
    for alias, key in orphans.items():
        near = difflib.get_close_matches(alias, named, n=1, cutoff=0.6)
        evidence = f"{list_key} does not name {alias}, so its options do nothing"
        if near:
            evidence += f"; did you mean {near[0]}?"
        yield Finding(
            "ORPHAN_OPTIONS", Severity.WARNING, key, evidence, f"add {alias} to {list_key}, or delete its options"
        )
    for alias in named:
        if named.count(alias) > 1 or f"{list_key}.{alias}.type" not in config:
            evidence = "stands twice" if named.count(alias) > 1 else f"has no {list_key}.{alias}.type"
            yield Finding("ALIAS", Severity.BLOCKS, f"{list_key}: {alias}", evidence)


def _predicates(config: Config) -> Iterator[Finding]:
    declared = _items(config.get("predicates", ""))
    for alias in _items(config.get("transforms", "")):
        key = f"transforms.{alias}.predicate"
        wanted = config.get(key)
        if wanted is not None and wanted not in declared:
            near = difflib.get_close_matches(wanted, declared, n=1, cutoff=0.6)
            meant = f"; did you mean {near[0]}?" if near else ""
            yield Finding("UNDECLARED_PREDICATE", Severity.BLOCKS, key, f"predicates does not name {wanted}{meant}",
                          "the task would fail on its start; add it to predicates with a type of its own")  # fmt: skip
        if wanted is None and f"transforms.{alias}.negate" in config:
            yield Finding(
                "NEGATE_WITHOUT_PREDICATE", Severity.BLOCKS, f"transforms.{alias}.negate", "there is no predicate"
            )


def _sink_topics(config: Config) -> Iterator[Finding]:
    if "topics" in config and "topics.regex" in config:
        yield Finding("TOPICS", Severity.BLOCKS, "topics.regex", "stands beside topics; a sink takes one of the two")
    dead = config.get("errors.deadletterqueue.topic.name", "")
    if not dead:
        return
    if dead in _items(config.get("topics", "")) or _matches(config.get("topics.regex"), dead):
        yield Finding("DEAD_LETTER_LOOP", Severity.BLOCKS, "errors.deadletterqueue.topic.name",
                      "the sink reads its own dead letters", "name a topic that topics and topics.regex leave out")  # fmt: skip


def _secrets(config: Config) -> Iterator[Finding]:
    yield from literal_secrets({key: value for key, value in config.items() if not is_masked(value)})
    for key, value in config.items():
        if is_masked(value):
            yield Finding("MASKED_VALUE", Severity.BLOCKS, key, "the file holds the mask of a secret, not the secret",
                          f"write ${{env:NAME}} or ${{file:/path:key}} as the value of {key}")  # fmt: skip


def _dangerous(config: Config) -> Iterator[Finding]:
    for key, value in config.items():
        if key.endswith("sasl.jaas.config") and _JNDI.search(value):
            yield Finding(
                "JAAS_MODULE", Severity.BLOCKS, key, "this login module lets a configuration run code on the worker"
            )
    simple = config.get("connector.class", "").rpartition(".")[2].removesuffix("Connector")
    if simple == "Postgres":
        if "plugin.name" not in config:
            yield Finding("PLUGIN_NAME", Severity.WARNING, "plugin.name", "the default is decoderbufs, which servers lack",
                          "write plugin.name = pgoutput")  # fmt: skip
        if config.get("slot.drop.on.stop", "").strip().lower() == "true":
            yield Finding("SLOT_DROPPED_ON_STOP", Severity.WARNING, "slot.drop.on.stop",
                          "every stop drops the slot, and the changes until the next start are lost",
                          "write slot.drop.on.stop = false")  # fmt: skip


def _postgres_slot(config: Config) -> tuple[str, ...] | None:
    if not config.get("connector.class", "").endswith(("PostgresConnector", "Postgres")):
        return None
    where = (config.get("database.hostname", ""), config.get("database.port", "5432"))
    return (*where, config.get("database.dbname", ""), config.get("slot.name", "debezium"))


def _server_id(config: Config) -> tuple[str, ...] | None:
    if "database.server.id" not in config:
        return None
    return (config.get("database.hostname", ""), config.get("database.port", ""), config["database.server.id"])


def _topic_prefix(config: Config) -> tuple[str, ...] | None:
    return (config["topic.prefix"],) if "topic.prefix" in config else None


def _history(config: Config) -> tuple[str, ...] | None:
    key = "schema.history.internal.kafka.topic"
    return (config[key],) if key in config else None


_SHARED: Final[tuple[tuple[str, Callable[[Config], tuple[str, ...] | None]], ...]] = (
    ("slot.name", _postgres_slot),
    ("database.server.id", _server_id),
    ("topic.prefix", _topic_prefix),
    ("schema.history.internal.kafka.topic", _history),
)


def _items(text: str) -> list[str]:
    return [item.strip() for item in text.split(",") if item.strip()]


def _matches(pattern: str | None, text: str) -> bool:
    if not pattern:
        return False
    try:
        return re.fullmatch(pattern, text) is not None
    except re.error:
        return False  # Java's dialect has more; the worker judges it
