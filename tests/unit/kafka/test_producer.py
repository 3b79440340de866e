"""What librdkafka tells a producer of itself, and what must be raised of it."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from confluent_kafka import KafkaError

from cdc.errors import BrokerUnavailable, Fenced
from cdc.kafka.client import ClientOptions
from cdc.kafka.producer import Producer, producer_config


@pytest.fixture
def producer() -> Iterator[Producer]:
    made = Producer(ClientOptions("127.0.0.1:1"))
    yield made
    made.close(purge=True)


def test_a_producer_that_has_ended_says_so_at_every_look(producer):
    producer.raise_fatal()
    producer._on_error(KafkaError(KafkaError._FENCED, "a newer instance", fatal=True))
    for _ in range(2):
        with pytest.raises(Fenced):
            producer.raise_fatal()


def test_trouble_with_the_connection_is_kept_and_ends_nothing(producer):
    producer._on_error(KafkaError(KafkaError._ALL_BROKERS_DOWN, "1/1 brokers are down"))
    producer.raise_fatal()
    assert producer.trouble is not None
    assert type(producer.trouble[1]) is BrokerUnavailable


@pytest.mark.parametrize("option", ["acks", "enable.idempotence", "partitioner", "message.timeout.ms"])
def test_what_delivery_without_loss_rests_on_cannot_be_overridden(option):
    config = producer_config(ClientOptions("b:1", overrides={option: "0", "linger.ms": "7"}))
    assert config["linger.ms"] == "7"
    assert (config["acks"], config["enable.idempotence"]) == ("all", True)
    assert (config["partitioner"], config["message.timeout.ms"]) == ("murmur2_random", 0)
