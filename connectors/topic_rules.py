"""Topics as declared: `topic.creation.*`, Kafka Connect's names (KIP-158), and drift of what is on the broker.

Only what the file declares is compared; a topic for which nothing is declared is taken as it is.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from cdc.errors import Problem, TopicMismatch
from cdc.kafka.admin import Admin
from cdc.report import Finding, Severity

_PREFIX: Final = "topic.creation."
FOREVER: Final = "-1"
_ENDS: Final = {"retention.ms": "records for {} ms", "retention.bytes": "{} bytes of each partition"}


@dataclass(frozen=True, slots=True)
class TopicRule:
    """What one group declares.

    Attributes:
        group: Its name; "default" holds for topics that no other group takes.
        include: Regular expressions of topic names.
        exclude: The same.
        partitions: How many; -1 for the broker's default, None where not declared.
        replication: Copies; -1 for the broker's default, None where not declared.
        config: Topic options.
    """

    group: str
    include: tuple[re.Pattern[str], ...]
    exclude: tuple[re.Pattern[str], ...]
    partitions: int | None
    replication: int | None
    config: Mapping[str, str]

    def takes(self, topic: str) -> bool:
        """Whether the group's declaration holds for a topic."""
        return any(p.fullmatch(topic) for p in self.include) and not any(p.fullmatch(topic) for p in self.exclude)


def read_rules(properties: Mapping[str, Any], groups: Sequence[str], problems: list[Problem]) -> tuple[TopicRule, ...]:
    """Read `topic.creation.*`; problems are added to the list.

    Returns:
        The groups in order, the default one last; empty when nothing is declared.
    """
    rules = []
    names = [*groups, "default"]
    for key in properties:
        if key.startswith(_PREFIX) and key not in (_PREFIX + "enable", _PREFIX + "groups"):
            group = key[len(_PREFIX) :].split(".", 1)[0]
            if group not in names:
                problems.append(Problem(key, f"group {group!r} is not in topic.creation.groups"))
    for group in names:
        prefix = f"{_PREFIX}{group}."
        own = {k[len(prefix) :]: str(v) for k, v in properties.items() if k.startswith(prefix)}
        if not own:
            continue
        include = _patterns(own.pop("include", ".*" if group == "default" else ""), prefix + "include", problems)
        exclude = _patterns(own.pop("exclude", ""), prefix + "exclude", problems)
        partitions = _count(own.pop("partitions", None), prefix + "partitions", problems)
        replication = _count(own.pop("replication.factor", None), prefix + "replication.factor", problems)
        if group != "default" and not include:
            problems.append(Problem(prefix + "include", "is missing"))
        if own.get("retention.ms") == FOREVER:
            # For ever by time is not for ever where the oldest go when a partition has grown large.
            own.setdefault("retention.bytes", FOREVER)
        rules.append(TopicRule(group, include, exclude, partitions, replication, own))
    return tuple(rules)


def _patterns(text: str, key: str, problems: list[Problem]) -> tuple[re.Pattern[str], ...]:
    compiled = []
    for part in text.split(","):
        if part.strip():
            try:
                compiled.append(re.compile(part.strip()))
            except re.error as error:
                problems.append(Problem(key, f"{part.strip()!r} is not a regular expression: {error}"))
    return tuple(compiled)


def _count(text: str | None, key: str, problems: list[Problem]) -> int | None:
    if text is None:
        return None
    try:
        value = int(text)
    except ValueError:
        value = 0
    if value < 1 and value != -1:
        problems.append(Problem(key, "is neither a positive number nor -1 for the broker's default"))
        return None
    return value


class Topics:
    """Creates topics as declared, and refuses those that are otherwise.

    Args:
        rules: What is declared.
        admin: The broker.
    """

    def __init__(self, rules: Sequence[TopicRule], admin: Admin) -> None:
        self.rules = rules
        self.admin = admin
        self._known: dict[str, int] | None = None
        self._checked: set[str] = set()

    def rule(self, topic: str) -> TopicRule | None:
        """The declaration that holds for a topic: the first group that takes it."""
        return next((rule for rule in self.rules if rule.takes(topic)), None)

    def ensure(self, topics: Sequence[str]) -> list[str]:
        """Create the missing ones for which something is declared, and check the others.

        Returns:
            What was created.

        Raises:
            TopicMismatch: One is otherwise than declared, with the command that mends it.
        """
        wanted = [topic for topic in dict.fromkeys(topics) if topic not in self._checked]
        if not self.rules or not wanted:
            return []
        mismatches = self.mismatches(wanted)
        if mismatches:
            raise TopicMismatch(
                "; ".join(f"{finding.subject}: {finding.evidence}" for finding in mismatches),
                hint="\n".join(finding.remedy or "" for finding in mismatches),
            )
        created = []
        for topic in wanted:
            rule = self.rule(topic)
            if rule is not None and topic not in self.known:
                self.admin.create(
                    topic, partitions=rule.partitions or -1, replication=rule.replication or -1, config=rule.config
                )
                self.known[topic] = rule.partitions or -1
                created.append(topic)
        self._checked.update(wanted)
        return created

    @property
    def known(self) -> dict[str, int]:
        """Topic -> partitions on the broker."""
        if self._known is None:
            self._known = self.admin.partitions()
        return self._known

    def mismatches(self, topics: Sequence[str]) -> list[Finding]:
        """What is otherwise than declared, each with the command that mends it."""
        present = [topic for topic in topics if topic in self.known and self.rule(topic) is not None]
        configs = self.admin.configs(present)
        return [finding for topic in present for finding in self._compare(topic, configs[topic])]

    def _compare(self, topic: str, config: Mapping[str, str]) -> list[Finding]:
        rule = self.rule(topic)
        assert rule is not None
        findings = []
        if rule.partitions not in (None, -1, self.known[topic]):
            findings.append(
                Finding("TOPIC_PARTITIONS", Severity.BLOCKS, topic,
                        f"has {self.known[topic]} partitions, {rule.partitions} are declared; a change moves keys to other partitions",
                        f"set topic.creation.{rule.group}.partitions={self.known[topic]}, or give the table a new topic")
            )  # fmt: skip
        drift = {
            name: value for name, value in rule.config.items() if _canonical(config.get(name)) != _canonical(value)
        }
        for name, value in drift.items():
            end = _ENDS.get(name) if value == FOREVER else None
            why = (
                f"{name} is {config.get(name)}, {value} is declared"
                if end is None
                else f"keeps {end.format(config.get(name))}, for ever is declared"
            )
            findings.append(
                Finding("TOPIC_POLICY", Severity.BLOCKS, topic, why,
                        f"kafka-configs.sh --alter --entity-type topics --entity-name {topic} --add-config {name}={value}")
            )  # fmt: skip
        return findings


def _canonical(value: str | None) -> str | None:
    """Lists compare without regard to order and blanks."""
    return None if value is None else ",".join(sorted(part.strip() for part in value.split(",")))
