"""One Kafka broker in KRaft mode: broker and controller in one process."""

from __future__ import annotations

import base64
import logging
import subprocess
import uuid
from collections.abc import Mapping, Sequence
from pathlib import Path

from confluent_kafka import KafkaException
from confluent_kafka.admin import AdminClient

from cdc.postgres.embedded import free_port
from tests.stack.server import HOST, Server, kafka_command

_SILENT = logging.getLogger("tests.stack.kafka")  # refused connections are what we wait to end
_SILENT.addHandler(logging.NullHandler())
_SILENT.propagate = False
_INTERNAL_TOPICS = ("offsets.topic", "transaction.state.log", "share.coordinator.state.topic")


class KafkaBroker(Server):
    """Kafka 4.3 on loopback ports that stay the same over restarts.

    Args:
        directory: Holds the log directory and the output.
        properties: Added to server.properties, over what stands there.
        listeners: Further listeners: name -> security protocol, as in `{"TLS": "SSL"}`; their ports are in `ports`.
        advertised: For these listeners, the port that clients are told instead of the listener's own: a proxy's.
        format_arguments: For the storage tool, as in `["--add-scram", "SCRAM-SHA-256=[name=app,password=...]"]`.
        heap: The JVM's maximum.
        quick_start: See `java_command`.
    """

    name = "the Kafka broker"

    def __init__(
        self,
        directory: Path,
        *,
        properties: Mapping[str, str] | None = None,
        listeners: Mapping[str, str] | None = None,
        advertised: Mapping[str, int] | None = None,
        format_arguments: Sequence[str] = (),
        heap: str = "400m",
        quick_start: bool = True,
    ) -> None:
        super().__init__(directory)
        self.properties = dict(properties or {})
        self._protocols = {"PLAINTEXT": "PLAINTEXT", "CONTROLLER": "PLAINTEXT", **(listeners or {})}
        self.ports = {listener: free_port() for listener in self._protocols}
        self._advertised = dict(advertised or {})
        self._format_arguments = tuple(format_arguments)
        self._heap = heap
        self._quick_start = quick_start
        self._admin: AdminClient | None = None

    @property
    def bootstrap(self) -> str:
        return f"{HOST}:{self.ports['PLAINTEXT']}"

    @property
    def log_directory(self) -> Path:
        return self.directory / "data"

    def start(self) -> None:
        self._admin = None
        super().start()
        self._admin = None

    def _command(self) -> Sequence[str]:
        main = ["kafka.Kafka", str(self.directory / "server.properties")]
        return kafka_command(self.directory, main, heap=self._heap, quick_start=self._quick_start)

    def _answers(self) -> bool:
        if self._admin is None:
            quiet = {"log_level": 0, "socket.connection.setup.timeout.ms": 1000, "reconnect.backoff.max.ms": 100}
            self._admin = AdminClient({"bootstrap.servers": self.bootstrap, **quiet}, logger=_SILENT)
        try:
            # A broker that is not yet registered with its controller answers with an empty list.
            return bool(self._admin.list_topics(timeout=1).brokers)
        except KafkaException:
            return False

    def _prepare(self) -> None:
        lines = (f"{name}={value}\n" for name, value in {**self._own_properties(), **self.properties}.items())
        (self.directory / "server.properties").write_text("".join(lines))
        if not self.log_directory.exists():
            self._format()

    def _format(self) -> None:
        # The tool would take a leading "-" for an option.
        cluster = "S" + base64.urlsafe_b64encode(uuid.uuid4().bytes).decode().rstrip("=")[1:]
        main = ["kafka.tools.StorageTool", "format", "--standalone", "-t", cluster]
        main += ["-c", str(self.directory / "server.properties"), *self._format_arguments]
        done = subprocess.run(
            kafka_command(self.directory, main, heap="128m"), capture_output=True, text=True, check=False
        )
        if done.returncode != 0:
            raise RuntimeError(f"Kafka's storage tool failed:\n{done.stdout}{done.stderr}")

    def _own_properties(self) -> dict[str, str]:
        own = {
            "process.roles": "broker,controller",
            "node.id": "1",
            "listeners": ",".join(f"{listener}://{HOST}:{port}" for listener, port in self.ports.items()),
            "advertised.listeners": ",".join(
                f"{listener}://{HOST}:{self._advertised.get(listener, port)}"
                for listener, port in self.ports.items()
                if listener != "CONTROLLER"
            ),
            "listener.security.protocol.map": ",".join(f"{name}:{how}" for name, how in self._protocols.items()),
            "controller.listener.names": "CONTROLLER",
            "inter.broker.listener.name": "PLAINTEXT",
            "controller.quorum.bootstrap.servers": f"{HOST}:{self.ports['CONTROLLER']}",
            "log.dirs": str(self.log_directory),
            "group.initial.rebalance.delay.ms": "0",
            "group.min.session.timeout.ms": "1000",
            # After a kill -9 the broker may register anew only when its former session has ended: 9 s by default.
            "broker.session.timeout.ms": "3000",
            "broker.heartbeat.interval.ms": "500",
        }
        for topic in _INTERNAL_TOPICS:
            # One partition instead of fifty: the first group and the first transaction need not wait for them.
            own[f"{topic}.num.partitions"] = "1"
            own[f"{topic}.replication.factor"] = "1"
        own["transaction.state.log.min.isr"] = "1"
        own["share.coordinator.state.topic.min.isr"] = "1"
        return own
