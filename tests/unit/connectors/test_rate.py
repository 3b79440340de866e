"""A replay that keeps a rate."""

from __future__ import annotations

from connectors import requests
from connectors.requests import Rate


class Stop:
    """An event whose waits pass at once, on a clock that they move."""

    def __init__(self) -> None:
        self.now = 100.0

    def wait(self, seconds: float) -> bool:
        self.now += max(0.0, seconds)
        return False


def test_chunks_go_at_the_rate_on_the_average(monkeypatch):
    stop = Stop()
    monkeypatch.setattr(requests.time, "monotonic", lambda: stop.now)
    rate = Rate(1000, stop)
    for _ in range(10):
        rate(500)
    assert 4.4 < stop.now - 100 < 5.1


def test_no_rate_waits_for_nothing(monkeypatch):
    stop = Stop()
    monkeypatch.setattr(requests.time, "monotonic", lambda: stop.now)
    Rate(0, stop)(10**9)
    assert stop.now == 100
