"""What Prometheus reads of a pipeline."""

from __future__ import annotations

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.parser import text_string_to_metric_families

from cdc.telemetry import Meter
from connectors.metrics import PHASES, PipelineCollector


def samples(meter: Meter) -> dict[tuple[str, ...], float]:
    """Name and label values (without the connector's) -> value, as a scrape reads them."""
    registry = CollectorRegistry()
    registry.register(PipelineCollector("orders", meter))
    found = {}
    for family in text_string_to_metric_families(generate_latest(registry).decode()):
        for sample in family.samples:
            assert sample.labels.pop("connector") == "orders"
            found[sample.name, *sample.labels.values()] = sample.value
    return found


def test_a_scrape_shows_the_meter_as_it_is_then() -> None:
    meter = Meter(
        phase="streaming", rows=7, records=8, received_bytes=900, reconnects=1, server_lsn=500, flushed_lsn=200
    )
    found = samples(meter)
    assert found["seam_rows_total",] == 7
    assert found["seam_records_total",] == 8
    assert found["seam_received_bytes_total",] == 900
    assert found["seam_reconnects_total",] == 1
    assert found["seam_lag_bytes",] == 300
    meter.records, meter.flushed_lsn = 9, (1 << 32) + 0xABC
    found = samples(meter)
    assert found["seam_records_total",] == 9
    assert found["seam_lag_bytes",] == 0
    assert found["seam_acknowledged_lsn",] == (1 << 32) + 0xABC
    assert found["seam_acknowledged_position_info", "1/ABC"] == 1


def test_exactly_one_phase_is_on() -> None:
    for phase in PHASES:
        found = samples(Meter(phase=phase))
        assert [name for name in PHASES if found["seam_phase", name]] == [phase]


def test_a_snapshot_is_shown_table_by_table() -> None:
    tables = {"public.a": {"rows": 10, "estimate": 9, "done": True}, "public.b": {"rows": 5, "estimate": 0}}
    found = samples(Meter(phase="snapshot", snapshot={"phase": "chunks", "tables": tables}))
    assert found["seam_snapshot_running",] == 1
    assert (found["seam_snapshot_rows", "public.a"], found["seam_snapshot_rows", "public.b"]) == (10, 5)
    assert found["seam_snapshot_expected_rows", "public.a"] == 10
    assert ("seam_snapshot_expected_rows", "public.b") not in found, "without statistics nobody knows"
    assert (found["seam_snapshot_done", "public.a"], found["seam_snapshot_done", "public.b"]) == (1, 0)
    assert samples(Meter())["seam_snapshot_running",] == 0
