"""A distributed Connect worker on the tests' Kafka, with the connectors of Maven's poms as plugins."""

from __future__ import annotations

import json
import ssl
import urllib.error
import urllib.request
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from cdc.postgres.embedded import free_port
from tests.stack.maven import connect_plugin
from tests.stack.server import HOST, Server, kafka_command
from tests.support.waiting import wait_until

PLUGINS = ("debezium-postgres", "debezium-mariadb", "debezium-jdbc")


class RestError(Exception):
    """The worker answered with an error."""

    def __init__(self, status: int, text: str) -> None:
        super().__init__(f"{status}: {text}")
        self.status = status
        self.text = text


class ConnectWorker(Server):
    """Connect 4.3. Workers with one `group` form a cluster.

    Args:
        directory: Holds its plug-in path and its output.
        bootstrap: The broker.
        plugins: Names of poms.
        group: The cluster's name, from which those of its three topics follow.
        properties: Added to the worker's properties, over what stands there.
        heap: The JVM's maximum.
        quick_start: See `java_command`.
        options: More options of the JVM.
        jars: Directories of jars on the worker's own class path.
        tls: How the tests themselves talk to a worker whose listener is https; None for http.
        authorization: The header of that name of the tests' own calls.
    """

    name = "the Connect worker"
    start_deadline = 90.0

    def __init__(
        self,
        directory: Path,
        bootstrap: str,
        *,
        plugins: Sequence[str] = PLUGINS,
        group: str = "connect",
        properties: Mapping[str, str] | None = None,
        heap: str = "512m",
        quick_start: bool = True,
        options: Sequence[str] = (),
        jars: Sequence[Path] = (),
        tls: ssl.SSLContext | None = None,
        authorization: str | None = None,
    ) -> None:
        super().__init__(directory)
        self.port = free_port()
        self.group = group
        self.properties = dict(properties or {})
        self._bootstrap = bootstrap
        self._plugins = tuple(plugins)
        self._heap = heap
        self._quick_start = quick_start
        self._options, self._jars = tuple(options), tuple(jars)
        self._tls = tls
        self._authorization = authorization

    @property
    def url(self) -> str:
        return f"{'https' if self._tls else 'http'}://{HOST}:{self.port}"

    @property
    def plugin_path(self) -> Path:
        return self.directory / "plugins"

    def request(self, method: str, path: str, body: object = None, *, timeout: float = 30.0) -> Any:
        """One call of the REST interface; the answer's JSON, or None.

        Raises:
            RestError: The worker answered with an error.
            OSError: It did not answer.
        """
        data = None if body is None else json.dumps(body).encode()
        headers = {"Content-Type": "application/json", "Accept": "application/json"}
        if self._authorization is not None:
            headers["Authorization"] = self._authorization
        request = urllib.request.Request(self.url + path, data=data, headers=headers, method=method)
        try:
            with urllib.request.urlopen(request, timeout=timeout, context=self._tls) as answer:
                text = answer.read()
        except urllib.error.HTTPError as error:
            with error:
                raise RestError(error.code, error.read().decode(errors="replace")) from None
        return json.loads(text) if text else None

    def connectors(self) -> list[str]:
        return self.request("GET", "/connectors")

    def run(self, name: str, config: Mapping[str, object], *, deadline: float = 60.0) -> None:
        """Create or change a connector and wait until it and all its tasks run.

        Raises:
            AssertionError: It failed, with the trace, or the time was up.
        """
        texts = {key: str(value) for key, value in config.items()}
        wait_until(lambda: self._put(name, texts), deadline, "the worker to take the configuration")
        wait_until(lambda: self.running(name), deadline, f"connector {name} to run")

    def running(self, name: str) -> bool:
        """Whether a connector and at least one task run and nothing has failed.

        Raises:
            AssertionError: Something has failed; the message holds the trace.
        """
        try:
            status = self.request("GET", f"/connectors/{name}/status")
        except RestError as error:
            if error.status in (404, 409):  # not yet known to this worker, or a rebalance
                return False
            raise
        parts = [status["connector"], *status["tasks"]]
        failed = [part["trace"] for part in parts if part["state"] == "FAILED"]
        assert not failed, f"connector {name} has failed:\n{failed[0]}"
        return bool(status["tasks"]) and all(part["state"] == "RUNNING" for part in parts)

    def delete(self, name: str) -> None:
        """Delete a connector and wait until it is gone; nothing if there is none."""

        def gone() -> bool:
            try:
                self.request("DELETE", f"/connectors/{name}")
            except RestError as error:
                if error.status not in (404, 409):
                    raise
            return name not in self.connectors()

        wait_until(gone, 30, f"connector {name} to go")

    def _put(self, name: str, config: Mapping[str, str]) -> bool:
        try:
            self.request("PUT", f"/connectors/{name}/config", config)
        except RestError as error:
            if error.status == 409:  # a rebalance goes on
                return False
            raise
        return True

    def _command(self) -> Sequence[str]:
        main = ["org.apache.kafka.connect.cli.ConnectDistributed", str(self.directory / "worker.properties")]
        return kafka_command(
            self.directory, main, heap=self._heap, quick_start=self._quick_start, options=self._options, jars=self._jars
        )

    def _answers(self) -> bool:
        try:
            return self.request("GET", "/health", timeout=2)["status"] == "healthy"
        except (OSError, RestError, ValueError):
            return False

    def _prepare(self) -> None:
        self.plugin_path.mkdir(exist_ok=True)
        for plugin in self._plugins:
            link = self.plugin_path / plugin
            if not link.is_symlink():
                link.symlink_to(connect_plugin(plugin))
        lines = (f"{name}={value}\n" for name, value in {**self._own_properties(), **self.properties}.items())
        (self.directory / "worker.properties").write_text("".join(lines))

    def _own_properties(self) -> dict[str, str]:
        converter = "org.apache.kafka.connect.json.JsonConverter"
        own = {
            "bootstrap.servers": self._bootstrap,
            "group.id": self.group,
            "listeners": self.url,
            "rest.advertised.host.name": HOST,
            "rest.advertised.port": str(self.port),
            "plugin.path": str(self.plugin_path),
            "plugin.discovery": "service_load",
            "key.converter": converter,
            "value.converter": converter,
            "key.converter.schemas.enable": "false",
            "value.converter.schemas.enable": "false",
            "offset.flush.interval.ms": "1000",
            # A killed worker's tasks move at once instead of after 5 minutes, and its place is free after 3 s, not 10.
            "scheduled.rebalance.max.delay.ms": "0",
            "session.timeout.ms": "3000",
            "heartbeat.interval.ms": "500",
            "exactly.once.source.support": "enabled",
        }
        for topic in ("config", "offset", "status"):
            own[f"{topic}.storage.topic"] = f"__{self.group}.{topic}s"
            own[f"{topic}.storage.replication.factor"] = "1"
        own["offset.storage.partitions"] = "1"
        own["status.storage.partitions"] = "1"
        return own
