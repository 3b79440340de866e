"""Waiting for a condition with a deadline, instead of sleeping and hoping."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")


def wait_until(condition: Callable[[], T], deadline: float, description: str, *, every: float = 0.02) -> T:
    """Call `condition` until it gives something true, and return that.

    Args:
        condition: What is waited for; what it raises goes to the caller.
        deadline: Seconds.
        description: What the failure says was awaited, as in "the slot to become active".
        every: Seconds between two calls.

    Raises:
        AssertionError: The time was up; the message holds the last value.
    """
    end = time.monotonic() + deadline
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() >= end:
            raise AssertionError(f"waited {deadline:g} s in vain for {description}; last seen: {value!r}")
        time.sleep(every)


def wait_for(condition: Callable[[], T], deadline: float, description: str, *errors: type[BaseException]) -> T:
    """As `wait_until`, where the condition may also raise one of `errors` until it is met."""
    last: list[BaseException] = []

    def attempt() -> T | None:
        try:
            return condition()
        except errors as error:
            last[:] = [error]
            return None

    try:
        found = wait_until(attempt, deadline, description)
    except AssertionError as failure:
        raise failure from (last[0] if last else None)
    assert found is not None
    return found
