"""Waiting until a topic holds a write."""

from __future__ import annotations

import time
from collections.abc import Callable

from cdc.frontier import Frontier, Outcome, Waited
from cdc.kafka.client import ClientOptions
from cdc.kafka.follower import Follower
from cdc.kafka.progress import ProgressFeed
from cdc.tokens import AnyToken, PlaceToken

_POLL_SECONDS = 0.02


def wait_for_topic(
    token: AnyToken,
    topic: str,
    seconds: float,
    *,
    kafka: ClientOptions,
    prefix: str | None = None,
    probe: Callable[[int], str | None] | None = None,
) -> Waited:
    """Wait until everything up to a write is in a topic.

    Args:
        token: The write.
        topic: The topic.
        seconds: How long at most.
        kafka: How Kafka is reached.
        prefix: The topic prefix, where the topic's name does not begin with it.
        probe: Tells what became of a transaction.

    Raises:
        NoProgress: Nobody tells the topic's progress.
        BrokerUnavailable: Kafka cannot be reached.
    """
    deadline = time.monotonic() + seconds
    frontier = Frontier([topic], prefix=prefix)
    if isinstance(token, PlaceToken):
        return _wait_for_place(token, frontier, kafka, deadline, seconds)
    feed = ProgressFeed(kafka).start()
    try:
        feed.listen(frontier.told)
        while not feed.loaded.wait(_POLL_SECONDS):
            if time.monotonic() > deadline:
                if feed.error is not None:
                    raise feed.error
                return frontier.answer(token, Outcome.TIMEOUT, seconds)
        return frontier.wait(token, max(0.0, deadline - time.monotonic()), probe=probe)
    finally:
        feed.close()


def _wait_for_place(
    token: PlaceToken, frontier: Frontier, kafka: ClientOptions, deadline: float, seconds: float
) -> Waited:
    place = token.topic, token.partition
    started = deadline - seconds
    with Follower(kafka) as asker:
        while True:
            there = token.partition in asker.partitions([token.topic]).get(token.topic, ())
            if there:
                frontier.applied(asker.ends([place]))
            waiter = frontier.register(token)
            frontier.abandon(waiter)
            now = time.monotonic()
            if waiter.outcome is not None or now > deadline:
                return frontier.answer(token, waiter.outcome or Outcome.TIMEOUT, now - started)
            time.sleep(_POLL_SECONDS)
