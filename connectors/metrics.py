"""`seam run --metrics-port`: the figures of a running pipeline for Prometheus, read when they are asked for."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

from prometheus_client import CollectorRegistry, start_http_server
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, InfoMetricFamily, Metric
from prometheus_client.registry import Collector

from cdc.errors import ConfigError, Problem
from cdc.telemetry import Meter
from connectors.snapshot_progress import SnapshotProgress

PHASES: Final = ("starting", "snapshot", "streaming", "retrying", "stopped", "failed")

_LABEL: Final = ["connector"]
_COUNTERS: Final = {
    "rows": "Row messages (insert, update, delete) taken from the log.",
    "records": "Records handed to Kafka, rows of snapshots included.",
    "transactions": "Commits read.",
    "messages": "Replication messages taken.",
    "received_bytes": "Bytes of replication messages.",
    "blocked": "How often the producer's queue was full.",
    "reconnects": "How often the stream was started again after a fault.",
}


class PipelineCollector(Collector):
    """Reads a pipeline's meter at each scrape.

    Args:
        connector: Its name.
        meter: Its figures.
    """

    def __init__(self, connector: str, meter: Meter) -> None:
        self.connector = connector
        self.meter = meter

    def collect(self) -> Iterator[Metric]:
        """All families."""
        meter, label = self.meter, [self.connector]
        for name, text in _COUNTERS.items():
            counter = CounterMetricFamily(f"seam_{name}", text, labels=_LABEL, created=meter.started)
            counter.add_metric(label, getattr(meter, name), created=meter.started)
            yield counter
        yield from self._gauges()
        phase = GaugeMetricFamily("seam_phase", "1 for the phase that the pipeline is in.", labels=[*_LABEL, "phase"])
        for known in PHASES:
            phase.add_metric([*label, known], float(meter.phase == known))
        yield phase
        position = InfoMetricFamily(
            "seam_acknowledged_position", "The last position that Postgres was told.", labels=_LABEL
        )
        position.add_metric(label, {"lsn": f"{meter.flushed_lsn >> 32:X}/{meter.flushed_lsn & 0xFFFFFFFF:X}"})
        yield position
        yield from self._snapshot()

    def _gauges(self) -> Iterator[Metric]:
        meter, label = self.meter, [self.connector]
        gauges = {
            "seam_lag_bytes": (
                "Log that is not acknowledged yet, bytes.",
                max(0, meter.server_lsn - meter.flushed_lsn),
            ),
            "seam_acknowledged_lsn": ("The last position that Postgres was told, as a number.", meter.flushed_lsn),
            "seam_last_commit_timestamp_seconds": (
                "Commit time of the last transaction read.",
                meter.commit_micros / 1e6,
            ),
            "seam_start_timestamp_seconds": ("When the process started the pipeline.", meter.started),
        }
        for name, (text, value) in gauges.items():
            gauge = GaugeMetricFamily(name, text, labels=_LABEL)
            gauge.add_metric(label, value)
            yield gauge

    def _snapshot(self) -> Iterator[Metric]:
        progress = SnapshotProgress.of(self.meter.snapshot)
        labels = [*_LABEL, "table"]
        rows = GaugeMetricFamily("seam_snapshot_rows", "Rows of the snapshot that were handled.", labels=labels)
        expected = GaugeMetricFamily(
            "seam_snapshot_expected_rows", "Rows to be expected, by statistics.", labels=labels
        )
        done = GaugeMetricFamily("seam_snapshot_done", "1 where all rows of the table are handled.", labels=labels)
        for table in progress.tables:
            place = [self.connector, table.name]
            rows.add_metric(place, table.rows)
            done.add_metric(place, float(table.done))
            if table.expected is not None:
                expected.add_metric(place, table.expected)
        running = GaugeMetricFamily("seam_snapshot_running", "1 while a snapshot is being read.", labels=_LABEL)
        running.add_metric([self.connector], float(progress.running))
        yield from (running, rows, expected, done)


class MetricsServer:
    """Answers `GET /metrics` until it is closed.

    Args:
        collector: What is answered.
        port: 0 for a free one.
        host: The address that is listened on.

    Attributes:
        port: The port.

    Raises:
        ConfigError: The port cannot be had.
    """

    def __init__(self, collector: Collector, port: int, host: str = "127.0.0.1") -> None:
        registry = CollectorRegistry()
        registry.register(collector)
        self._server: Any
        try:
            self._server, self._thread = start_http_server(port, host, registry)
        except (OSError, OverflowError) as error:
            raise ConfigError(
                [Problem("--metrics-port", f"{host}:{port} cannot be listened on: {error}")], hint="choose another port"
            ) from error
        self.port: int = self._server.server_port

    def close(self) -> None:
        """Stop listening."""
        self._server.shutdown()
        self._server.server_close()
        self._thread.join(5.0)
