"""What `/metrics` tells of views, in Prometheus' text format."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator, Mapping

from prometheus_client import CollectorRegistry, Counter, Histogram, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric

from views.errors import ViewNotBuilt
from views.memory_use import resident_bytes
from views.runner import View


class Metrics:
    """The figures of a server's views.

    Args:
        views: By name.
    """

    def __init__(self, views: Mapping[str, View]) -> None:
        self.registry = CollectorRegistry()
        self.registry.register(_Views(views))
        self.requests = Counter("seam_view_requests", "Requests answered.", ["view", "status"], registry=self.registry)
        self.waits = Histogram(
            "seam_view_wait_seconds", "How long reads waited for their write.", ["view", "outcome"],
            buckets=(0.001, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10), registry=self.registry,
        )  # fmt: skip

    def text(self) -> bytes:
        """All figures."""
        return generate_latest(self.registry)


class _Views:
    """Reads the figures when they are asked for."""

    def __init__(self, views: Mapping[str, View]) -> None:
        self._views = views

    def collect(self) -> Iterator[Metric]:
        ready = GaugeMetricFamily("seam_view_ready", "1 when complete as of its start.", labels=["view"])
        rows = GaugeMetricFamily("seam_view_rows", "Rows.", labels=["view"])
        size = GaugeMetricFamily("seam_view_bytes", "Bytes of memory or disk.", labels=["view"])
        applied = CounterMetricFamily("seam_view_records", "Records applied.", labels=["view"])
        dead = CounterMetricFamily("seam_view_dead_letters", "Records that could not be taken.", labels=["view"])
        age = GaugeMetricFamily("seam_view_last_applied_seconds", "Seconds since the last batch.", labels=["view"])
        waiting = GaugeMetricFamily("seam_view_waiting", "Waits that stand.", labels=["view"])
        behind = GaugeMetricFamily(
            "seam_view_frontier_bytes",
            "Log bytes that the engine has told and the view does not show.",
            labels=["view"],
        )
        for name, view in self._views.items():
            ready.add_metric([name], float(view.complete.is_set() and view.error is None))
            applied.add_metric([name], view.meter.applied)
            waiting.add_metric([name], view.frontier.waiting())
            if view.meter.last_applied:
                age.add_metric([name], time.time() - view.meter.last_applied)
            told, shown = view.frontier.told_position(), view.frontier.position()
            if told is not None and shown is not None and told.timeline == shown.timeline:
                behind.add_metric([name], max(0, told.lsn - shown.lsn))
            try:
                with view.reading() as store:
                    rows.add_metric([name], store.count())
                    size.add_metric([name], store.size_bytes())
                    dead.add_metric([name], store.state.dead)
            except ViewNotBuilt:
                continue
        resident = GaugeMetricFamily("seam_resident_bytes", "Resident memory of the process.", resident_bytes())
        found: Iterable[Metric] = (ready, rows, size, applied, dead, age, waiting, behind, resident)
        yield from found
