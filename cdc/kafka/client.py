"""Kafka client options: Connect's Java names, as librdkafka wants them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from cdc.errors import ConfigError, Problem

# Java's name -> librdkafka's, where the two differ in name only.
_RENAMED: Final[dict[str, str]] = {
    "max.request.size": "message.max.bytes",
    "ssl.truststore.certificates": "ssl.ca.pem",
    "ssl.keystore.certificate.chain": "ssl.certificate.pem",
    "ssl.keystore.key": "ssl.key.pem",
}

# Java options that librdkafka has no counterpart for, or that the engine bounds itself.
_WITHOUT_EFFECT: Final = frozenset(
    {
        "buffer.memory", "max.block.ms", "delivery.timeout.ms", "request.timeout.ms", "key.serializer", "value.serializer",
        "interceptor.classes", "metric.reporters", "client.dns.lookup", "ssl.keystore.type", "ssl.truststore.type",
        "partitioner.class", "enable.metrics.push", "metadata.max.idle.ms",
    }
)  # fmt: skip

# What the promises rest on; a file may repeat it, not change it.
_PINNED: Final[dict[str, frozenset[str]]] = {
    "enable.idempotence": frozenset({"true"}),
    "acks": frozenset({"all", "-1"}),
    "partitioner": frozenset({"murmur2_random"}),
    "message.timeout.ms": frozenset({"0"}),
}


@dataclass(frozen=True, slots=True)
class ClientOptions:
    """How Kafka is reached.

    Attributes:
        bootstrap_servers: `host:port,...`.
        overrides: librdkafka options from `producer.override.*`; may hold secrets.
        without_effect: Java options that were left out, for a finding.
    """

    bootstrap_servers: str
    overrides: Mapping[str, Any] = field(default_factory=dict, repr=False)
    without_effect: tuple[str, ...] = ()

    @property
    def security(self) -> dict[str, Any]:
        """Those overrides that every client needs, consumers and admin clients too."""
        prefixes = ("security.", "sasl.", "ssl.", "enable.ssl", "client.id", "broker.address.family")
        return {name: value for name, value in self.overrides.items() if name.startswith(prefixes)}


class _Silent:
    """librdkafka's log lines repeat what `error_cb` says, and may hold configuration: they are dropped."""

    def log(self, *_arguments: Any, **_more: Any) -> None:
        return


SILENT: Final[Any] = _Silent()

QUICK: Final[dict[str, Any]] = {"reconnect.backoff.ms": 10}
"""Half of it is how long librdkafka waits before its second connection, the first request's: 50 ms as it stands."""


def client_options(bootstrap_servers: str, properties: Mapping[str, Any], *, prefix: str) -> ClientOptions:
    """Read `producer.override.*` (or another prefix).

    Raises:
        ConfigError: An override that would break a promise, or that only Java understands.
    """
    overrides: dict[str, Any] = {}
    ignored: list[str] = []
    problems: list[Problem] = []
    for key, value in properties.items():
        if not key.startswith(prefix):
            continue
        name = key[len(prefix) :]
        if name in _PINNED and str(value).strip().lower() not in _PINNED[name]:
            allowed = " or ".join(sorted(_PINNED[name]))
            problems.append(Problem(key, f"is fixed to {allowed}: delivery without loss rests on it"))
        elif name in ("sasl.jaas.config", "ssl.truststore.location", "ssl.keystore.location"):
            problems.append(
                Problem(
                    key, "only Java reads this; use sasl.username and sasl.password, or ssl.ca.location and PEM files"
                )
            )
        elif name in _WITHOUT_EFFECT:
            ignored.append(key)
        elif name not in _PINNED:
            overrides[_RENAMED.get(name, name)] = value
    if problems:
        raise ConfigError(problems)
    return ClientOptions(bootstrap_servers, overrides, tuple(ignored))
