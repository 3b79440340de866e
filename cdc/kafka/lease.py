"""One holder at a time across machines, by a consumer group on a topic of one partition.

Whoever has the partition holds the lease. The group keeps it with its holder while others join (cooperative
assignment), gives it on when the holder leaves, and takes it from one that was killed after the session time-out.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Final

import confluent_kafka

from cdc.kafka.admin import Admin
from cdc.kafka.client import SILENT, ClientOptions
from cdc.kafka.faults import translate
from cdc.kafka.positions import ensure_topics

LEASES_TOPIC: Final = "__seam.leases"
SESSION: Final = 10.0  # seconds


@contextmanager
def lease(
    options: ClientOptions,
    name: str,
    *,
    wait: float,
    busy: Callable[[], Exception],
    waiting: Callable[[], None] = lambda: None,
    seconds: float = 15.0,
    session: float = SESSION,
) -> Iterator[None]:
    """Hold a name against everybody else who uses the same Kafka.

    Args:
        options: How Kafka is reached.
        name: What is held.
        wait: Seconds until another holder must have ended.
        busy: Makes the error for a holder that has not.
        waiting: Called once when the lease is not given at once.
        seconds: How long Kafka may take to answer.
        session: Seconds until a killed holder is given up.

    Raises:
        SeamError: Kafka cannot be reached, or refuses.
    """
    ensure_topics(Admin(options, seconds=seconds), [LEASES_TOPIC])
    consumer = confluent_kafka.Consumer(
        {
            "bootstrap.servers": options.bootstrap_servers,
            "client.id": "seam",
            "group.id": f"{LEASES_TOPIC}.{name}",
            "partition.assignment.strategy": "cooperative-sticky",
            "session.timeout.ms": int(session * 1000),
            "heartbeat.interval.ms": 2000,
            "max.poll.interval.ms": 86_400_000,  # the holder works and polls nothing meanwhile
            "enable.auto.commit": False,
            "auto.offset.reset": "latest",
            "logger": SILENT,
            **options.security,
        }
    )
    try:
        consumer.subscribe([LEASES_TOPIC])
        began, said = time.monotonic(), False
        while not consumer.assignment():
            message = consumer.poll(0.1)
            error = message.error() if message is not None else None
            if error is not None and not error.retriable():
                raise translate(error, where=f"taking the lease {name} at {options.bootstrap_servers}")
            waited = time.monotonic() - began
            # A new group waits for its members; only what lasts longer is another holder.
            if waited > 5 and not said:
                waiting()
                said = True
            if waited > wait:
                raise busy()
        yield
    finally:
        consumer.close()
