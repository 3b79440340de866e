"""What Kafka itself adds where bootstrap servers are given: the lag of sinks, and one applier across machines."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager

from cdc.kafka.admin import Admin
from cdc.kafka.client import ClientOptions, client_options
from cdc.kafka.lease import lease
from cdc.properties import resolve
from connectors.lock import ApplierBusy
from connectors.overview import EndOffsets

_SECURITY = ("security.", "sasl.", "ssl.")


def kafka_options(worker: Mapping[str, str], servers: str | None) -> ClientOptions | None:
    """How Kafka is reached, or None where no brokers are named.

    Args:
        worker: `[worker]` of the files.
        servers: `--bootstrap-servers`, which wins.

    Raises:
        ConfigError: A security option that only Java reads, or a reference that leads nowhere.
    """
    named = servers or worker.get("bootstrap.servers")
    if not named:
        return None
    security = resolve({f"worker.{key}": value for key, value in worker.items() if key.startswith(_SECURITY)})
    return client_options(named, security, prefix="worker.")


def ends(options: ClientOptions) -> EndOffsets:
    """Reads the ends of topic partitions."""

    def read(places: Sequence[tuple[str, int]]) -> Mapping[tuple[str, int], int]:
        return Admin(options).ends(places)

    return read


@contextmanager
def exclusive_everywhere(
    options: ClientOptions, cluster_id: str, *, wait: float, waiting: Callable[[], None]
) -> Iterator[None]:
    """Hold the cluster against appliers of other machines.

    Raises:
        ApplierBusy: Another one has not ended in time.
        BrokerUnavailable: Kafka cannot be reached.
    """

    def busy() -> Exception:
        return ApplierBusy(
            "another apply works on this cluster, on another machine", hint="run the command again when it has ended"
        )

    with lease(options, f"connectors.{cluster_id}", wait=wait, busy=busy, waiting=waiting):
        yield
