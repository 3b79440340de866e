"""Errors of Kafka become errors of ours: what passes is tried again, what a person must mend is not."""

from __future__ import annotations

from types import SimpleNamespace

import pytest
from confluent_kafka import KafkaError, KafkaException

from cdc.errors import AuthFailed, BrokerUnavailable, Fenced, OperatorError, SendError
from cdc.kafka.faults import delivery_error, is_too_large, oversize, translate

PASSING = (
    KafkaError._ALL_BROKERS_DOWN, KafkaError._TRANSPORT, KafkaError._RESOLVE, KafkaError._TIMED_OUT,
    KafkaError.NOT_LEADER_FOR_PARTITION, KafkaError.LEADER_NOT_AVAILABLE, KafkaError.REQUEST_TIMED_OUT,
    KafkaError.NOT_ENOUGH_REPLICAS, KafkaError.NOT_ENOUGH_REPLICAS_AFTER_APPEND, KafkaError.NOT_CONTROLLER,
    KafkaError.COORDINATOR_NOT_AVAILABLE, KafkaError.KAFKA_STORAGE_ERROR, KafkaError.UNKNOWN_TOPIC_OR_PART,
)  # fmt: skip
DENIED = (
    KafkaError.TOPIC_AUTHORIZATION_FAILED, KafkaError.CLUSTER_AUTHORIZATION_FAILED,
    KafkaError.SASL_AUTHENTICATION_FAILED, KafkaError._AUTHENTICATION, KafkaError._SSL,
)  # fmt: skip
FENCED = (KafkaError._FENCED, KafkaError.INVALID_PRODUCER_EPOCH, KafkaError.PRODUCER_FENCED)
FOR_A_PERSON = (KafkaError.INVALID_CONFIG, KafkaError.POLICY_VIOLATION, KafkaError.INVALID_REQUIRED_ACKS)
KINDS = [
    *[(code, BrokerUnavailable) for code in PASSING],
    *[(code, AuthFailed) for code in DENIED],
    *[(code, Fenced) for code in FENCED],
    *[(code, OperatorError) for code in FOR_A_PERSON],
]


@pytest.mark.parametrize("code, kind", KINDS)
@pytest.mark.parametrize("wrap", (lambda error: error, KafkaException), ids=("error", "exception"))
def test_a_code_becomes_its_error_with_place_and_words(code, kind, wrap):
    error = translate(wrap(KafkaError(code, "what happened")), where="producing to here")
    assert type(error) is kind
    assert "producing to here" in str(error)
    assert "what happened" in str(error)


def test_a_fatal_error_ends_the_producer_and_not_the_pipeline():
    error = translate(KafkaError(KafkaError.OUT_OF_ORDER_SEQUENCE_NUMBER, "gap", fatal=True), where="here")
    assert type(error) is BrokerUnavailable


def test_a_call_that_never_came_back_is_a_broker_that_is_not_there():
    assert type(translate(TimeoutError("30 s"), where="here")) is BrokerUnavailable


def message(topic: str = "t", key: bytes | None = b'{"id":1}', value: bytes | None = b"x" * 50):
    return SimpleNamespace(topic=lambda: topic, key=lambda: key, value=lambda: value)


@pytest.mark.parametrize("code", (KafkaError.MSG_SIZE_TOO_LARGE, KafkaError.RECORD_LIST_TOO_LARGE))
def test_a_record_over_the_limit_is_named_by_topic_key_and_size(code):
    error = delivery_error(KafkaError(code), message(), where="here")
    assert type(error) is SendError
    assert "topic t" in str(error)
    assert '{"id":1}' in str(error)
    assert "50 bytes" in str(error)


@pytest.mark.parametrize("code", (KafkaError._UNKNOWN_TOPIC, KafkaError.UNKNOWN_TOPIC_OR_PART))
def test_a_record_for_a_topic_that_nobody_makes_is_for_a_person(code):
    error = delivery_error(KafkaError(code), message(), where="here")
    assert type(error) is SendError
    assert "create it" in str(error.hint)


def test_a_record_that_a_broker_refuses_for_itself_is_a_send_error():
    error = delivery_error(KafkaError(KafkaError.INVALID_RECORD, "no"), message(), where="here")
    assert type(error) is SendError


def test_a_record_that_a_lost_broker_did_not_take_is_no_fault_of_the_record():
    assert type(delivery_error(KafkaError(KafkaError._MSG_TIMED_OUT), message(), where="here")) is BrokerUnavailable


def test_a_long_key_is_shown_from_its_payload_on():
    key = b'{"schema":{"type":"struct","fields":[' + b"x" * 400 + b']},"payload":{"id":77}}'
    assert '{"id":77}' in str(oversize("t", key, 5, table="public.item"))


def test_only_errors_of_size_are_errors_of_size():
    assert is_too_large(KafkaException(KafkaError(KafkaError.MSG_SIZE_TOO_LARGE)))
    assert not is_too_large(KafkaException(KafkaError(KafkaError._QUEUE_FULL)))
