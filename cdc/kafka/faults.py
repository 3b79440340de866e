"""The one place where librdkafka's errors become errors of ours."""

from __future__ import annotations

from typing import Any, Final

from confluent_kafka import KafkaError, KafkaException

from cdc.errors import AuthFailed, BrokerUnavailable, Fenced, OperatorError, SeamError, SendError

# What librdkafka reports while it goes on trying for ever; worth a message, and an error when nothing is delivered.
CONNECTION_TROUBLE: Final = frozenset(
    {
        KafkaError._ALL_BROKERS_DOWN,  # noqa: SLF001 - librdkafka's local codes have no other name
        KafkaError._TRANSPORT,  # noqa: SLF001
        KafkaError._RESOLVE,  # noqa: SLF001
        KafkaError._TIMED_OUT,  # noqa: SLF001
    }
)

# What passes by itself: a partition between two leaders, a topic that is just being made, a replica that lags.
# Source: Kafka protocol guide, "Error Codes", those that are marked retriable. confluent-kafka's own `retriable()` speaks
# of transactions only.
_PASSING: Final = CONNECTION_TROUBLE | {
    KafkaError.UNKNOWN_TOPIC_OR_PART,
    KafkaError.LEADER_NOT_AVAILABLE,
    KafkaError.NOT_LEADER_FOR_PARTITION,
    KafkaError.REQUEST_TIMED_OUT,
    KafkaError.BROKER_NOT_AVAILABLE,
    KafkaError.REPLICA_NOT_AVAILABLE,
    KafkaError.NETWORK_EXCEPTION,
    KafkaError.COORDINATOR_LOAD_IN_PROGRESS,
    KafkaError.COORDINATOR_NOT_AVAILABLE,
    KafkaError.NOT_COORDINATOR,
    KafkaError.NOT_ENOUGH_REPLICAS,
    KafkaError.NOT_ENOUGH_REPLICAS_AFTER_APPEND,
    KafkaError.NOT_CONTROLLER,
    KafkaError.KAFKA_STORAGE_ERROR,
    KafkaError.LISTENER_NOT_FOUND,
    KafkaError.FENCED_LEADER_EPOCH,
    KafkaError.UNKNOWN_LEADER_EPOCH,
    KafkaError.OFFSET_NOT_AVAILABLE,
    KafkaError.ELIGIBLE_LEADERS_NOT_AVAILABLE,
    KafkaError.THROTTLING_QUOTA_EXCEEDED,
    KafkaError.UNKNOWN_TOPIC_ID,
    KafkaError.INCONSISTENT_TOPIC_ID,
    KafkaError.REBOOTSTRAP_REQUIRED,
    KafkaError._UNKNOWN_TOPIC,  # noqa: SLF001
    KafkaError._UNKNOWN_PARTITION,  # noqa: SLF001
    KafkaError._WAIT_CACHE,  # noqa: SLF001
    KafkaError._WAIT_COORD,  # noqa: SLF001
    KafkaError._TIMED_OUT_QUEUE,  # noqa: SLF001
    KafkaError._MSG_TIMED_OUT,  # noqa: SLF001
    KafkaError._RETRY,  # noqa: SLF001
    KafkaError._ISR_INSUFF,  # noqa: SLF001
    KafkaError._DESTROY_BROKER,  # noqa: SLF001
    # The producer has ended, and this does not say why: a new one meets the reason, or none.
    KafkaError._FATAL,  # noqa: SLF001
}

_DENIED: Final = frozenset(
    {
        KafkaError._AUTHENTICATION,  # noqa: SLF001
        KafkaError._SSL,  # noqa: SLF001
        KafkaError.SASL_AUTHENTICATION_FAILED,
        KafkaError.TOPIC_AUTHORIZATION_FAILED,
        KafkaError.CLUSTER_AUTHORIZATION_FAILED,
        KafkaError.GROUP_AUTHORIZATION_FAILED,
        KafkaError.TRANSACTIONAL_ID_AUTHORIZATION_FAILED,
    }
)

_FENCED: Final = frozenset(
    {KafkaError._FENCED, KafkaError.INVALID_PRODUCER_EPOCH, KafkaError.PRODUCER_FENCED}  # noqa: SLF001
)

_NO_TOPIC: Final = frozenset(
    {KafkaError.UNKNOWN_TOPIC_OR_PART, KafkaError._UNKNOWN_TOPIC, KafkaError._UNKNOWN_PARTITION}  # noqa: SLF001
)

_TOO_LARGE: Final = frozenset({KafkaError.MSG_SIZE_TOO_LARGE, KafkaError.RECORD_LIST_TOO_LARGE})


def kafka_error(error: Any) -> Any:
    """The `KafkaError` inside a `KafkaException`, or the error itself."""
    return error.args[0] if isinstance(error, KafkaException) and error.args else error


def translate(error: Any, *, where: str) -> SeamError:
    """The error of ours for a `KafkaError` or `KafkaException`; the caller raises it `from` the original.

    Args:
        error: What confluent-kafka reported.
        where: What was being done, and at which brokers.
    """
    inner = kafka_error(error)
    code = inner.code() if isinstance(inner, KafkaError) else None
    text = f"{where}: {inner.str() if isinstance(inner, KafkaError) else inner}"
    if code in _FENCED:
        return Fenced(text, hint="a newer instance with this connector's name runs; stop one of the two")
    if code in _DENIED:
        return AuthFailed(text, hint="check the security options of producer.override.* and the broker's ACLs")
    if isinstance(inner, TimeoutError) or code in _PASSING or (isinstance(inner, KafkaError) and inner.fatal()):
        return BrokerUnavailable(text, hint="check bootstrap.servers and that the broker runs")
    return OperatorError(text)


def delivery_error(error: Any, message: Any, *, where: str) -> SeamError:
    """The error of ours for a record that was not delivered."""
    topic = message.topic() if message is not None else None
    if error.code() in _TOO_LARGE:
        return oversize(topic, message.key(), len(message.value() or b""))
    if error.code() in _NO_TOPIC:
        return SendError(
            "there is no such topic, and the broker makes none", topic=topic,
            hint="create it, or set auto.create.topics.enable on the brokers",
        )  # fmt: skip
    translated = translate(error, where=f"{where}, topic {topic}")
    if isinstance(translated, OperatorError) and type(translated) is OperatorError:
        return SendError(str(error.str()), topic=topic)
    return translated


def oversize(topic: str | None, key: bytes | None, size: int, *, table: str | None = None) -> SendError:
    """A record over the size limit of broker or producer; names table, key and size."""
    return SendError(
        f"a record of {size} bytes is over the size limit, key {_shown(key)}", topic=topic, table=table,
        hint="raise max.message.bytes of the topic and producer.override.max.request.size, "
        "or set errors.tolerance=all with errors.deadletterqueue.topic.name",
    )  # fmt: skip


def _shown(key: bytes | None) -> str:
    if key is None:
        return "none"
    # The schema of a key says nothing about which row it is.
    at = key.find(b'"payload":') if key.startswith(b'{"schema"') else -1
    return key[max(at, 0) :][:200].decode("utf-8", "replace")


def is_ended(error: KafkaException) -> bool:
    """Whether the producer refused a record because it had met its end before."""
    inner = kafka_error(error)
    return isinstance(inner, KafkaError) and inner.code() == KafkaError._FATAL  # noqa: SLF001


def is_too_large(error: KafkaException) -> bool:
    """Whether the producer refused a record for its size."""
    inner = kafka_error(error)
    return isinstance(inner, KafkaError) and inner.code() in _TOO_LARGE
