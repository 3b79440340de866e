"""A broker inside the process: librdkafka's mock cluster, for demonstrations and quick tests.

It holds 5 MB per partition and then drops the oldest records silently, knows no compaction, creates topics by itself
with four partitions, and cannot be administered.
"""

from __future__ import annotations

from types import TracebackType
from typing import Any, Final, Self

import confluent_kafka

from cdc.kafka.client import SILENT

PARTITION_LIMIT_BYTES: Final = 5_000_000


class EmbeddedBroker:
    """One mock broker on a loopback port, gone with the process.

    Attributes:
        bootstrap: `host:port`.
    """

    def __init__(self) -> None:
        self._client: Any = confluent_kafka.Producer({"test.mock.num.brokers": 1, "logger": SILENT})
        brokers = self._client.list_topics(timeout=10).brokers
        broker = next(iter(brokers.values()))
        self.bootstrap = f"{broker.host}:{broker.port}"

    def close(self) -> None:
        """End the broker; its records are gone."""
        self._client = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
