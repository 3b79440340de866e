"""The open parts of one attempt to run a pipeline: catalogue, walsender, producer, topics.

Whoever needs them takes a session; one call closes them all.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Final

import confluent_kafka

from cdc.errors import OperatorError
from cdc.kafka.admin import Admin
from cdc.kafka.faults import translate
from cdc.kafka.positions import POSITIONS_TOPIC, ensure_topics
from cdc.kafka.producer import Producer
from cdc.kafka.progress import PROGRESS_TOPIC, ProgressWriter
from cdc.kafka.signals import SIGNALS_TOPIC
from cdc.kafka.status import STATUS_TOPIC
from cdc.lsn import LSN
from cdc.postgres.catalog import Catalog
from cdc.postgres.connection import connect
from cdc.postgres.preflight import captured
from cdc.postgres.walsender import Walsender
from cdc.progress import Progress
from cdc.report import Finding, Severity
from cdc.telemetry import Meter
from connectors.emit import Emitter
from connectors.postgres import PipelineConfig
from connectors.routed import routed
from connectors.topic_forms import TopicForms
from connectors.topic_rules import Topics

TRANSACTION_TIMEOUT_MS: Final = 120_000
LONG_TRANSACTION_MS: Final = 900_000
"""The most that brokers allow by default (`transaction.max.timeout.ms`)."""
TRANSACTION_SECONDS: Final = 60.0


class Session:
    """Open connections of one attempt.

    Args:
        config: The configuration, read.
        meter: Counts, over all attempts.
        on_finding: Told what is worth saying.
        stop: Set when the attempt is to end.
        manage_topics: Whether topics are created; librdkafka's mock broker cannot create any.
        instance: The process, over all its attempts.

    Raises:
        SeamError: Postgres or Kafka cannot be reached, or a topic is not as declared.
    """

    def __init__(
        self,
        config: PipelineConfig,
        meter: Meter,
        on_finding: Callable[[Finding], None],
        stop: threading.Event,
        *,
        manage_topics: bool,
        instance: str,
    ) -> None:
        self.config = config
        self.meter = meter
        self.on_finding = on_finding
        self.stop = stop
        self.instance = instance
        self.catalog = Catalog(connect(config.source), config.source)
        self.topics: Topics | None = None
        self.forms = TopicForms(config, None)
        self._walsender: Walsender | None = None
        self._producer: Producer | None = None
        self._emitter: Emitter | None = None
        self._side_producer: Producer | None = None
        try:
            self._open(manage_topics)
        except BaseException:
            self.close()
            raise

    def _open(self, manage_topics: bool) -> None:
        config = self.config
        self._walsender = Walsender(config.source)
        self.identity = self._walsender.identify()
        config.chain.learn({"system_id": str(self.identity.system_id), "timeline": str(self.identity.timeline)})
        self._producer = self._make_producer(TRANSACTION_TIMEOUT_MS)
        patience = config.options["seam.retry.timeout.ms"] / 1000
        brokers = self._producer.reach(min(20.0, max(2.0, patience)))
        if manage_topics:
            admin = Admin(config.kafka)
            ensure_topics(admin, [POSITIONS_TOPIC, STATUS_TOPIC, PROGRESS_TOPIC, SIGNALS_TOPIC])
            self.topics = Topics(config.topic_rules, admin)
            self._ensure_topics()
            self.forms = TopicForms(config, self.topics)
        if config.exactly_once and brokers == 1:
            self.say(
                "ONE_BROKER", Severity.WARNING, config.kafka.bootstrap_servers,
                "is one broker: exactly once holds as long as its disk does",
            )  # fmt: skip

    def _make_producer(self, transaction_timeout_ms: int) -> Producer:
        config = self.config
        if not config.exactly_once:
            return Producer(config.kafka)
        identity = f"seam.{config.name}.{self.identity.system_id}.{config.wanted.slot}"
        return Producer(
            config.kafka, **{"transactional.id": identity, "transaction.timeout.ms": transaction_timeout_ms}
        )

    @contextmanager
    def long_transaction(self) -> Iterator[None]:
        """For the one transaction of tables that are read whole: as long as brokers allow; as usual after it.

        Usually it is short, since consumers stand still as long as a transaction of a dead producer is open.

        Raises:
            SeamError: Kafka cannot be reached, or a newer instance runs.
        """
        if not self.config.exactly_once:
            yield
            return
        try:
            self._replace_producer(LONG_TRANSACTION_MS)
        except OperatorError:
            # These brokers allow less; what else is wrong shows again here.
            self._replace_producer(TRANSACTION_TIMEOUT_MS)
        yield
        self._replace_producer(TRANSACTION_TIMEOUT_MS)

    def _replace_producer(self, transaction_timeout_ms: int) -> None:
        self.producer.close()
        self._producer = self._make_producer(transaction_timeout_ms)
        self.init_transactions()

    def init_transactions(self) -> None:
        """Fence older instances, and resolve what they left open.

        Raises:
            SeamError: Kafka refuses, or cannot be reached.
        """
        try:
            self.producer.client.init_transactions(TRANSACTION_SECONDS)
        except confluent_kafka.KafkaException as error:
            raise translate(error, where=f"{self.producer.where}, starting transactions") from error

    def _ensure_topics(self) -> None:
        assert self.topics is not None
        names, chain = self.config.layout.topics, self.config.chain
        tables = captured(self.catalog.tables(), self.config.wanted.selection)
        # Where it depends on a record which topic it goes to, that is created before its first one.
        wanted = [routed(chain, names.data(table.schema, table.name)) or [] for table in tables]
        self.ensure_topics([topic for topics in wanted for topic in topics])

    def ensure_topics(self, topics: Sequence[str]) -> None:
        """Topics are there as declared, before their first record.

        Raises:
            TopicMismatch: One is otherwise than declared.
        """
        if self.topics is None:
            return
        for topic in self.topics.ensure(topics):
            self.note("TOPIC_CREATED", topic, "is created as declared")

    @property
    def emitter(self) -> Emitter:
        """Renders and converts; made when it is first asked for."""
        if self._emitter is None:
            self._emitter = Emitter(self.config, self.ensure_topics)
        return self._emitter

    @property
    def walsender(self) -> Walsender:
        """The replication connection."""
        assert self._walsender is not None
        return self._walsender

    @property
    def producer(self) -> Producer:
        """The producer; a transactional one where records must be there exactly once."""
        assert self._producer is not None
        return self._producer

    def progress(self, start: LSN) -> Progress | None:
        """What tells readers how far the log is in Kafka; None where it is switched off.

        Args:
            start: The end LSN that the stream begins at.
        """
        config = self.config
        if not config.options["seam.progress.enable"]:
            return None
        if config.exactly_once:
            # What the records say is true only after the commit, so they must not be part of it.
            self._side_producer = Producer(config.kafka)
        writer = ProgressWriter(config.options["topic.prefix"], self.identity.system_id, self.identity.timeline, start)
        return Progress(writer, self._side_producer or self.producer)

    def say(self, code: str, severity: Severity, subject: str, evidence: str) -> None:
        """Tell a finding."""
        self.on_finding(Finding(code, severity, subject, evidence))

    def note(self, code: str, subject: str, evidence: str) -> None:
        """Tell a finding that is only worth knowing."""
        self.say(code, Severity.NOTE, subject, evidence)

    def captures(self, table: str) -> bool:
        """Whether a `schema.table` is captured."""
        schema, _, name = table.partition(".")
        return self.config.wanted.selection.captures(schema, name)

    def close(self) -> None:
        """Free slot and connections; records that were not delivered are thrown away, to be read again."""
        if self._walsender is not None:
            self._walsender.close()
            self._walsender = None
        self.catalog.connection.close()
        if self._emitter is not None:
            self._emitter.close()
        if self._side_producer is not None:
            self._side_producer.close(purge=True)
            self._side_producer = None
        if self._producer is not None:
            self._producer.close(purge=self._producer.in_queue() > 0)
            self._producer = None
