"""What `seam check` finds in Kafka: brokers, topics that are otherwise than declared, topics that are missing."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

from cdc.errors import SeamError
from cdc.kafka.admin import Admin
from cdc.kafka.positions import POSITIONS_TOPIC
from cdc.kafka.producer import Producer
from cdc.kafka.progress import PROGRESS_TOPIC
from cdc.kafka.signals import SIGNALS_TOPIC
from cdc.kafka.status import STATUS_TOPIC
from cdc.postgres.catalog import Catalog, Table
from cdc.postgres.preflight import captured
from cdc.report import Finding, Severity
from connectors.postgres import PipelineConfig
from connectors.routed import routed
from connectors.topic_forms import LATEST_SUFFIX, mend
from connectors.topic_rules import Topics

CHECK_SECONDS = 10.0
_OWN = (POSITIONS_TOPIC, STATUS_TOPIC, PROGRESS_TOPIC, SIGNALS_TOPIC)
_NAMED = 5


def kafka_findings(config: PipelineConfig, catalog: Catalog) -> list[Finding]:
    """What is worth saying about Kafka; what cannot be looked at is a finding too.

    Args:
        config: The pipeline.
        catalog: The database, whose captured tables have topics.
    """
    try:
        brokers = Producer(config.kafka).reach(CHECK_SECONDS)
        admin = Admin(config.kafka, seconds=CHECK_SECONDS)
        topics = Topics(config.topic_rules, admin)
        known = topics.known
        findings = [Finding("BROKERS", Severity.OK, config.kafka.bootstrap_servers, f"{brokers} answer")]
        tables = captured(catalog.tables(), config.wanted.selection)
        wanted, unknown = _wanted(config, tables)
        if not config.chain.steps:
            findings += _collisions(config, tables)
        findings += _declared(topics, [topic for topic in wanted if topic in known])
        findings += _forms(config, admin, known, wanted)
        findings += _own(admin, known)
        findings += _missing(topics, wanted)
        if unknown:
            findings.append(
                Finding("TOPICS_ROUTED", Severity.NOTE, _names(unknown),
                        "go where the transforms send each record; those topics are compared when their first record comes")
            )  # fmt: skip
    except SeamError as error:
        return [Finding(error.code, Severity.UNKNOWN, config.kafka.bootstrap_servers, error.message)]
    return findings


def _wanted(config: PipelineConfig, tables: Iterable[Table]) -> tuple[list[str], list[str]]:
    """The topics of these tables, and the tables whose topics are not known beforehand."""
    topics: dict[str, None] = {}
    unknown = []
    for table in tables:
        found = routed(config.chain, config.layout.topics.data(table.schema, table.name))
        if found is None:
            unknown.append(table.qualified)
        else:
            topics.update(dict.fromkeys(found))
    return list(topics), unknown


def _collisions(config: PipelineConfig, tables: Iterable[Table]) -> Iterator[Finding]:
    shared: dict[str, str] = {}
    for table in tables:
        topic = config.layout.topics.data(table.schema, table.name)
        if topic in shared:
            text = f"{shared[topic]} and {table.qualified} would share it"
            yield Finding("TOPIC_COLLISION", Severity.BLOCKS, topic, text)
        shared[topic] = table.qualified


def _declared(topics: Topics, present: list[str]) -> list[Finding]:
    compared = [topic for topic in present if topics.rule(topic) is not None]
    drift = topics.mismatches(compared)
    fitting = set(compared) - {finding.subject for finding in drift}
    if fitting:
        drift.append(Finding("TOPICS_AS_DECLARED", Severity.OK, _names(sorted(fitting)), f"{len(fitting)} topics fit"))
    return drift


def _forms(config: PipelineConfig, admin: Admin, known: Mapping[str, int], wanted: list[str]) -> Iterator[Finding]:
    """Whether histories keep every version, and the topics of latest rows only those."""
    latest = config.options["seam.topic.latest"] != "none"
    if not latest and config.options["seam.event.form"] != "delta":
        return
    present = [topic for topic in wanted if topic in known]
    twins = [topic + LATEST_SUFFIX for topic in present if latest and topic + LATEST_SUFFIX in known]
    configs = admin.configs([*present, *twins])
    for topic in present:
        policy = configs[topic].get("cleanup.policy") or ""
        if "compact" in policy:
            text = f"cleanup.policy is {policy}: it would lose versions that this form of events needs"
            yield Finding("TOPIC_FORM", Severity.BLOCKS, topic, text, mend(topic, "delete"))
    for twin in twins:
        history = twin.removesuffix(LATEST_SUFFIX)
        policy = configs[twin].get("cleanup.policy") or ""
        if policy != "compact":
            text = f"cleanup.policy is {policy}: a latest topic is compacted, and nothing else"
            yield Finding("TOPIC_FORM", Severity.BLOCKS, twin, text, mend(twin, "compact"))
        if known[twin] != known[history]:
            text = f"has {known[twin]} partitions and {history} {known[history]}: they need the same number"
            mending = f"kafka-topics.sh --delete --topic {twin}; it is created anew, and `seam log latest {history} --repair` fills it"
            yield Finding("TOPIC_FORM", Severity.BLOCKS, twin, text, mending)


def _own(admin: Admin, known: Mapping[str, int]) -> Iterator[Finding]:
    present = [topic for topic in _OWN if topic in known]
    for topic, options in admin.configs(present).items():
        policy = options.get("cleanup.policy")
        if known[topic] != 1:
            text = f"has {known[topic]} partitions, it needs one"
            yield Finding("OWN_TOPIC", Severity.BLOCKS, topic, text, "it must be deleted and is created anew")
        elif policy != "compact":
            yield Finding("OWN_TOPIC", Severity.BLOCKS, topic, f"cleanup.policy is {policy}", mend(topic, "compact"))


def _missing(topics: Topics, wanted: list[str]) -> Iterator[Finding]:
    missing = sorted(topic for topic in wanted if topic not in topics.known)
    declared = [topic for topic in missing if topics.rule(topic) is not None]
    left = [topic for topic in missing if topic not in declared]
    if declared:
        text = f"{len(declared)} topics do not exist yet; they are created as declared"
        yield Finding("TOPICS_MISSING", Severity.NOTE, _names(declared), text)
    if left:
        text = f"{len(left)} topics do not exist yet; the broker creates them if it may"
        yield Finding("TOPICS_MISSING", Severity.NOTE, _names(left), text)


def _names(names: list[str]) -> str:
    more = len(names) - _NAMED
    return ", ".join(names[:_NAMED]) + (f" and {more} more" if more > 0 else "")
