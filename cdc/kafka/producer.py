"""The producer: idempotent, every record with a delivery callback, memory bounded, time bounded by us.

Source: librdkafka's INTRODUCTION, "Idempotent Producer"; KIP-98.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import suppress
from typing import Any, Final

import confluent_kafka

from cdc.errors import SeamError
from cdc.kafka.client import QUICK, SILENT, ClientOptions
from cdc.kafka.faults import CONNECTION_TROUBLE, is_ended, is_too_large, kafka_error, oversize, translate

MESSAGE_BYTES: Final = 1_048_576
QUEUE_KBYTES: Final = 32_768
QUEUE_MESSAGES: Final = 50_000

OnDelivery = Callable[[Any, Any], None]


def producer_config(options: ClientOptions) -> dict[str, Any]:
    """Librdkafka's configuration; what delivery without loss rests on comes last and cannot be overridden."""
    largest = int(options.overrides.get("message.max.bytes", MESSAGE_BYTES))
    return {
        "bootstrap.servers": options.bootstrap_servers,
        "client.id": "seam",
        "linger.ms": 2,
        "batch.size": 1_000_000,
        "batch.num.messages": 20_000,
        "compression.type": "none",
        "message.max.bytes": MESSAGE_BYTES,
        "queue.buffering.max.messages": QUEUE_MESSAGES,
        # A record that the queue can never hold would be waited for without end.
        "queue.buffering.max.kbytes": max(QUEUE_KBYTES, largest // 512),
        "socket.keepalive.enable": True,
        **QUICK,
        "reconnect.backoff.max.ms": 2_000,
        "topic.metadata.refresh.interval.ms": 30_000,
        **options.overrides,
        "enable.idempotence": True,
        "acks": "all",
        # Java's default partitioner: librdkafka's own would put a key into another partition.
        "partitioner": "murmur2_random",
        # One expired record would leave a gap that later records overtake; how long we try is decided in the loop.
        "message.timeout.ms": 0,
    }


class Producer:
    """An idempotent producer.

    Args:
        options: How Kafka is reached.
        more: Further librdkafka options, as `transactional.id`.

    Attributes:
        trouble: librdkafka's last complaint about the connection, with the time it came; None while all is well.
        produce: The client's own `produce`, for the hot loop; see `send` for the form that never fails silently.
    """

    def __init__(self, options: ClientOptions, **more: Any) -> None:
        self.options = options
        self.where = f"producing to {options.bootstrap_servers}"
        self.trouble: tuple[float, SeamError] | None = None
        self._fatal: SeamError | None = None
        try:
            self.client = confluent_kafka.Producer(
                {**producer_config(options), **more, "error_cb": self._on_error, "logger": SILENT}
            )
        except (confluent_kafka.KafkaException, TypeError, ValueError) as error:
            raise translate(error, where="the producer's options") from error
        self.produce = self.client.produce

    def poll(self, seconds: float) -> int:
        """Run delivery callbacks on this thread, for up to so many seconds when there are none.

        Raises:
            Fenced: A newer instance with this transactional id runs.
            SeamError: What else ended the producer for good.
        """
        try:
            return self.client.poll(seconds)
        except (confluent_kafka.KafkaException, SystemError) as error:
            raise self.ended(error) from error

    def ended(self, error: BaseException) -> SeamError:
        """The error of ours for one of the client's, which it raises from calls that serve callbacks too.

        A callback that follows the one which met the end turns the client's error into a SystemError's cause.
        """
        met = error.__cause__ if isinstance(error, SystemError) else error
        translated = translate(met if isinstance(met, confluent_kafka.KafkaException) else error, where=self.where)
        inner = kafka_error(met)
        if isinstance(inner, confluent_kafka.KafkaError) and inner.fatal():
            self._fatal = self._fatal or translated  # later calls say no more than that it has ended
        return self._fatal or translated

    def _on_error(self, error: Any) -> None:
        translated = translate(error, where=self.where)
        if error.fatal():
            self._fatal = translated
        elif error.code() in CONNECTION_TROUBLE or translated.exit_code != 3:
            self.trouble = (time.monotonic(), translated)

    def raise_fatal(self) -> None:
        """Raise what ended the producer, if anything did.

        Raises:
            SeamError: The producer cannot go on.
        """
        if self._fatal is not None:
            raise self._fatal

    def in_queue(self) -> int:
        """Records and events that are not finished."""
        return len(self.client)

    def send(
        self,
        topic: str,
        value: bytes | None,
        key: bytes | None,
        *,
        on_delivery: OnDelivery,
        partition: int | None = None,
        headers: Any = None,
        table: str | None = None,
        timestamp: int | None = None,
    ) -> bool:
        """Hand one record over.

        Returns:
            False when the queue is full: poll, and call again.

        Raises:
            SendError: The record is over the size limit.
            SeamError: The producer refuses it.
        """  # fmt: skip
        more: dict[str, Any] = {} if partition is None else {"partition": partition}
        if timestamp is not None:
            more["timestamp"] = timestamp
        try:
            self.client.produce(topic, value, key, headers=headers, on_delivery=on_delivery, **more)
        except BufferError:
            return False
        except confluent_kafka.KafkaException as error:
            raise self.refusal(error, topic, value, key, table=table) from error
        return True

    def refusal(
        self,
        error: confluent_kafka.KafkaException,
        topic: str,
        value: bytes | None,
        key: bytes | None,
        *,
        table: str | None,
    ) -> SeamError:
        """The error of ours for a record that `produce` refused at once."""
        if is_ended(error):
            return self._end(error)
        if is_too_large(error):
            return oversize(topic, key, len(value or b"") + len(key or b""), table=table)
        return translate(error, where=f"{self.where}, topic {topic}")

    def _end(self, error: confluent_kafka.KafkaException) -> SeamError:
        """Why the producer has ended: what it refuses with does not say, but the event that tells it may still wait."""
        with suppress(SeamError):
            self.poll(0)
        return self._fatal or translate(error, where=self.where)

    def reach(self, seconds: float) -> int:
        """Ask for the cluster's metadata.

        Returns:
            How many brokers there are.

        Raises:
            BrokerUnavailable: No answer in time; names the brokers that were tried.
            AuthFailed: They refuse us.
        """
        try:
            return len(self.client.list_topics(timeout=seconds).brokers)
        except confluent_kafka.KafkaException as error:
            if self.trouble is not None and self.trouble[1].exit_code != 3:
                raise self.trouble[1] from error
            raise translate(error, where=f"reaching Kafka at {self.options.bootstrap_servers}") from error

    def close(self, *, purge: bool = False) -> None:
        """End the producer; with `purge`, records that were not sent are thrown away (and sent again after a restart)."""
        # A producer that has met its end says so from these calls too; its records are read again, or are another's.
        with suppress(confluent_kafka.KafkaException, SystemError):
            if purge:
                self.client.purge()
            self.client.flush(1.0 if purge else 10.0)
