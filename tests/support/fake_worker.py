"""A Connect worker without Kafka, for unit tests; `tests/contract/test_connect_api.py` holds it to the real one.

It knows the file source and sink and two transforms. States follow a request after `lag` seconds, as on a real
cluster. What a real worker does only now and then (rebalances, lost answers, failing tasks) is told to it:

    worker.faults.append(Fault("PUT", "/config", carry_out=True, drop=True))     the answer gets lost
    worker.failures["orders"] = Failure(after=0.2, trace="...")                   its tasks fail a while after a start
"""

from __future__ import annotations

import json
import re
import ssl
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

import httpx

WORKER_ID = "127.0.0.1:8083"
VERSION = "4.3.0"
_DEFINITIONS: dict[str, list[dict[str, Any]]] = json.loads(
    (Path(__file__).parent / "fake_worker_definitions.json").read_text(encoding="utf-8")
)
_SOURCE = "org.apache.kafka.connect.file.FileStreamSourceConnector"
_SINK = "org.apache.kafka.connect.file.FileStreamSinkConnector"
_TRANSFORMS = {
    "org.apache.kafka.connect.transforms.RegexRouter": ("regex", "replacement"),
    "org.apache.kafka.connect.transforms.InsertField$Value": (),
}
_CONVERTERS = {
    "org.apache.kafka.connect.json.JsonConverter",
    "org.apache.kafka.connect.storage.StringConverter",
}
INSERT_FIELD_TRACE = (
    "org.apache.kafka.connect.errors.ConnectException: Failed to start task\n"
    "\tat org.apache.kafka.connect.runtime.Worker$TaskBuilder.build(Worker.java:1)\n"
    "Caused by: org.apache.kafka.common.config.ConfigException: No field insertion configured\n"
    "\tat org.apache.kafka.connect.transforms.InsertField.configure(InsertField.java:1)\n"
)


@dataclass
class Fault:
    """What happens to the next `times` requests of a method whose path ends in `path`.

    `before` is called first, to let something else happen in between.
    """

    method: str
    path: str
    status: int = 0
    body: str = ""
    content_type: str = "application/json"
    carry_out: bool = False
    drop: bool = False
    times: int = 1
    before: Callable[[], None] | None = None

    def matches(self, method: str, path: str) -> bool:
        return self.times > 0 and method == self.method and path.endswith(self.path)


def rebalancing(method: str, path: str, *, times: int = 1) -> Fault:
    text = "Cannot complete request momentarily due to stale configuration (typically caused by a concurrent config change)"
    return Fault(method, path, 409, json.dumps({"error_code": 409, "message": text}), times=times)


@dataclass
class Failure:
    """The tasks of a connector fail this many seconds after a start, while `config` says yes."""

    trace: str
    after: float = 0.0
    config: Callable[[dict[str, str]], bool] = lambda config: True
    heals_after: int = 1_000_000  # restarts

    starts: int = 0


@dataclass
class _Connector:
    config: dict[str, str]
    target: str
    since: float
    before: str | None = None  # what the status says until the lag is over
    task_config: dict[str, str] = field(default_factory=dict)
    started: float = 0.0
    restarts: int = 0


class Clock:
    """Time that passes only where somebody waits; for a worker behind `transport()` and those who talk to it."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.now += seconds


class Refused(Exception):
    def __init__(self, status: int, message: str) -> None:
        self.status = status
        self.message = message


class FakeWorker:
    """The state of a cluster of one worker."""

    def __init__(self, *, lag: float = 0.05, clock: Callable[[], float] = time.monotonic) -> None:
        self.lag = lag
        self.clock = clock
        self.connectors: dict[str, _Connector] = {}
        self.offsets: dict[str, list[dict[str, Any]]] = {}
        self.loggers: dict[str, str] = {}
        self.faults: list[Fault] = []
        self.failures: dict[str, Failure] = {}
        self.requests: list[tuple[str, str]] = []
        self.authorization: str | None = None
        self._lock = threading.RLock()

    # What tests look at.

    def count(self, method: str, ending: str = "") -> int:
        return sum(1 for m, path in self.requests if m == method and path.endswith(ending))

    @contextmanager
    def served(self, tls: ssl.SSLContext | None = None) -> Iterator[str]:
        """The worker behind a loopback port, plain or with TLS; its URL."""
        server = ThreadingHTTPServer(("127.0.0.1", 0), _handler(self))
        if tls is not None:
            server.socket = tls.wrap_socket(server.socket, server_side=True)
        server.daemon_threads = True
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        try:
            yield f"{'https' if tls else 'http'}://127.0.0.1:{server.server_address[1]}"
        finally:
            server.shutdown()
            thread.join()
            server.server_close()

    def transport(self, *, down: str = "down") -> httpx.MockTransport:
        """The worker without a network, for the client; a host named `down` refuses every connection."""

        def answer(request: httpx.Request) -> httpx.Response:
            if request.url.host == down:
                raise httpx.ConnectError("Connection refused")
            url = request.url.raw_path.decode()
            told = self.handle(request.method, url, request.read(), request.headers.get("Authorization"))
            if told is None:
                raise httpx.RemoteProtocolError("Server disconnected without sending a response.")
            status, content_type, body = told
            return httpx.Response(status, headers={"Content-Type": content_type}, content=body)

        return httpx.MockTransport(answer)

    # How a request is answered.

    def handle(self, method: str, url: str, body: bytes, authorization: str | None) -> tuple[int, str, bytes] | None:
        """Status, content type and body; None drops the connection."""
        parts = urlsplit(url)
        path = parts.path
        self.requests.append((method, path))
        if self.authorization is not None and authorization != self.authorization:
            return 401, "text/plain", b"User cannot access the resource."
        if "%2F" in path.upper():
            return 400, "text/html", b"<html><head><title>Error 400 Ambiguous URI path separator</title></head></html>"
        fault = next((fault for fault in self.faults if fault.matches(method, path)), None)
        if fault is not None:
            fault.times -= 1
            if fault.before is not None:
                fault.before()
            if fault.carry_out or not (fault.status or fault.drop):
                answer = self._answer(method, path, parse_qs(parts.query), body)
                if not fault.drop and not fault.status:
                    return answer
            if fault.drop:
                return None
            return fault.status, fault.content_type, fault.body.encode()
        return self._answer(method, path, parse_qs(parts.query), body)

    def _answer(self, method: str, path: str, query: dict[str, list[str]], body: bytes) -> tuple[int, str, bytes]:
        try:
            with self._lock:
                status, answer = self._route(method, path, query, json.loads(body) if body else None)
        except Refused as refused:
            status, answer = refused.status, {"error_code": refused.status, "message": refused.message}
        except json.JSONDecodeError as error:
            status, answer = 500, {"error_code": 500, "message": str(error)}
        return status, "application/json", b"" if answer is None else json.dumps(answer).encode()

    def _route(self, method: str, path: str, query: dict[str, list[str]], body: Any) -> tuple[int, Any]:
        segments = [unquote(segment) for segment in path.strip("/").split("/")]
        match method, segments:
            case "GET", [""]:
                return 200, {"version": VERSION, "commit": "a9ce3221537b8653", "kafka_cluster_id": "fake-cluster"}
            case "GET", ["health"]:
                return 200, {"status": "healthy", "message": "Worker has completed startup and is ready."}
            case "GET", ["connectors"]:
                return 200, self._list(query.get("expand", []))
            case "POST", ["connectors"]:
                return self._create(body)
            case "GET", ["connector-plugins"]:
                return 200, self._plugins(connectors_only=query.get("connectorsOnly", ["true"]) == ["true"])
            case "GET", ["connector-plugins", plugin, "config"]:
                return 200, _DEFINITIONS[_resolve(plugin, f"Unknown plugin {plugin}.")]
            case "PUT", ["connector-plugins", plugin, "config", "validate"]:
                return 200, self._validate(plugin, body)
            case "GET", ["admin", "loggers"]:
                return 200, {n: {"level": level, "last_modified": None} for n, level in self._all_loggers().items()}
            case _, ["admin", "loggers", name]:
                return self._logger(method, name, query, body)
            case "GET", ["connectors", name, "topics"]:
                topics = [self.connectors[name].config["topic"]] if self._used(name) else []
                return 200, {name: {"topics": topics}}
            case "PUT", ["connectors", name, "topics", "reset"]:
                return 202, None
            case "PUT", ["connectors", name, "config"]:
                return self._put(name, body)
            case "GET", ["connectors", name, "status"]:
                status = self._status(name)
                if status is None:
                    raise Refused(404, f"No status found for connector {name}")
                return 200, status
        if segments[:1] != ["connectors"]:
            raise Refused(404, "HTTP 404 Not Found")
        name = segments[1]
        if name not in self.connectors:
            asked = {"stop", "pause", "resume"} & set(segments)
            raise Refused(404, f"Unknown connector {name}" if asked else f"Connector {name} not found")
        return self._connector(method, name, segments[2:], query, body)

    def _connector(
        self, method: str, name: str, rest: list[str], query: dict[str, list[str]], body: Any
    ) -> tuple[int, Any]:
        connector = self.connectors[name]
        match method, rest:
            case "GET", []:
                return 200, self._info(name)
            case "GET", ["config"]:
                return 200, connector.config
            case "PATCH", ["config"]:
                merged = {**connector.config, **body}
                return self._put(name, {key: value for key, value in merged.items() if value is not None})
            case "DELETE", []:
                del self.connectors[name]
                return 204, None
            case "PUT", ["pause"]:
                self._move(connector, "PAUSED")
                return 202, None
            case "PUT", ["resume"]:
                self._move(connector, "RUNNING")
                return 202, None
            case "PUT", ["stop"]:
                self._move(connector, "STOPPED")
                return 204, None
            case "POST", ["restart"]:
                tasks = query.get("includeTasks", ["false"]) == ["true"]
                only_failed = query.get("onlyFailed", ["false"]) == ["true"]
                if tasks:
                    connector.restarts += 1
                    connector.started = self.clock()
                return (202, self._status(name)) if tasks or only_failed else (204, None)
            case "GET", ["tasks"]:
                return 200, [
                    {"id": id, "config": {**connector.task_config, "task.class": "FileStreamSourceTask"}}
                    for id in self._info(name)["tasks"]
                ]
            case "GET", ["tasks", number, "status"]:
                status = self._status(name)
                for task in status["tasks"] if status else []:
                    if str(task["id"]) == number:
                        return 200, task
                raise Refused(404, f"No status found for task {name}-{number}")
            case "POST", ["tasks", number, "restart"]:
                if number != "0" or connector.target == "STOPPED":
                    raise Refused(404, f"Unknown task: {name}-{number}")
                connector.restarts += 1
                connector.started = self.clock()
                return 204, None
            case "GET", ["offsets"]:
                return 200, {"offsets": self._offsets(name)}
            case (("PATCH" | "DELETE"), ["offsets"]):
                return self._alter_offsets(method, name, body)
        raise Refused(404, "HTTP 404 Not Found")

    # States.

    def _move(self, connector: _Connector, target: str) -> None:
        now = self.clock()
        connector.before = self._state(connector)
        connector.since = now
        if target == "RUNNING" and connector.target != "RUNNING":
            connector.started = now + self.lag
        connector.target = target

    def _state(self, connector: _Connector) -> str | None:
        return connector.target if self.clock() - connector.since >= self.lag else connector.before

    def _status(self, name: str) -> dict[str, Any] | None:
        connector = self.connectors.get(name)
        state = self._state(connector) if connector else None
        if connector is None or state is None:
            return None
        where = {"worker_id": WORKER_ID, "version": VERSION}
        tasks = []
        if state != "STOPPED":
            trace = self._trace(name, connector) if state == "RUNNING" else None
            task: dict[str, Any] = {"id": 0, "state": "FAILED" if trace else state, **where}
            if trace:
                task["trace"] = trace
            tasks.append(task)
        return {
            "name": name, "connector": {"state": state, **where}, "tasks": tasks, "type": self._info(name)["type"],
        }  # fmt: skip

    def _trace(self, name: str, connector: _Connector) -> str | None:
        config = connector.task_config
        for alias in filter(None, config.get("transforms", "").split(",")):
            if config.get(f"transforms.{alias}.type", "").endswith("InsertField$Value") and not any(
                key.startswith(f"transforms.{alias}.") and key.endswith(".field") for key in config
            ):
                return INSERT_FIELD_TRACE
        failure = self.failures.get(name)
        if failure is None or not failure.config(config) or connector.restarts >= failure.heals_after:
            return None
        return failure.trace if self.clock() - connector.started >= failure.after else None

    def _used(self, name: str) -> bool:
        connector = self.connectors.get(name)
        return connector is not None and "topic" in connector.config and connector.target == "RUNNING"

    # Connectors.

    def _list(self, expand: list[str]) -> Any:
        if not expand:
            return list(self.connectors)
        entries: dict[str, Any] = {}
        for name in self.connectors:
            entry: dict[str, Any] = {}
            if "info" in expand:
                entry["info"] = self._info(name)
            if "status" in expand and (status := self._status(name)) is not None:
                entry["status"] = status
            if entry:
                entries[name] = entry
        return entries

    def _info(self, name: str) -> dict[str, Any]:
        connector = self.connectors[name]
        class_ = _resolve(connector.config["connector.class"], "")
        tasks = [] if connector.target == "STOPPED" else [{"connector": name, "task": 0}]
        return {
            "name": name, "config": connector.config, "tasks": tasks, "type": "sink" if class_ == _SINK else "source",
        }  # fmt: skip

    def _create(self, body: dict[str, Any]) -> tuple[int, Any]:
        name = body["name"]
        config = _texts({**body["config"], "name": name})
        self._refuse_invalid(config)
        target = str(body.get("initial_state", "RUNNING")).upper()
        if target not in ("RUNNING", "PAUSED", "STOPPED"):
            raise Refused(500, f"Cannot construct instance of `InitialState`, problem: No enum constant {target}")
        if name in self.connectors:
            raise Refused(409, f"Connector {name} already exists")
        now = self.clock()
        self.connectors[name] = _Connector(config, target, now, None, dict(config), now + self.lag)
        return 201, {**self._info(name), "tasks": []}

    def _put(self, name: str, body: dict[str, Any]) -> tuple[int, Any]:
        if any(value is None for value in body.values()):
            raise Refused(
                400,
                "Connector configuration is invalid and contains the following 1 error(s):\n"
                "Null value can not be supplied as the configuration value.",
            )
        config = _texts({**body, "name": name})
        self._refuse_invalid(config)
        if name not in self.connectors:
            return self._create({"name": name, "config": config})
        connector = self.connectors[name]
        connector.config = config
        if connector.task_config != config:  # unchanged task configurations leave the tasks alone
            connector.task_config = dict(config)
            connector.started = self.clock() + self.lag
        return 200, self._info(name)

    def _refuse_invalid(self, config: dict[str, str]) -> None:
        if "connector.class" not in config:
            raise Refused(400, f"Connector config {config} contains no connector type")
        _resolve(config["connector.class"], _unknown_class(config["connector.class"]), 400)
        errors = [error for entry in self._checked(config) for error in entry["value"]["errors"]]
        if errors:
            raise Refused(
                400,
                f"Connector configuration is invalid and contains the following {len(errors)} error(s):\n"
                + "\n".join(errors)
                + "\nYou can also find the above list of errors at the endpoint `/connector-plugins/{connectorType}"
                "/config/validate`",
            )

    # Validation.

    def _validate(self, plugin: str, body: dict[str, Any]) -> dict[str, Any]:
        unknown = f"org.apache.kafka.connect.runtime.rest.errors.BadRequestException: {_unknown_class(plugin)}"
        class_ = _resolve(plugin, unknown, 500)
        config = _texts(body)
        if "connector.class" not in config:
            raise Refused(500, 'Connector config {} contains no connector type "connector.class"')
        if _resolve(config["connector.class"], unknown, 500) != class_:
            raise Refused(
                400, f"Included connector type {config['connector.class']} does not match request type {plugin}"
            )
        configs = self._checked(config)
        return {
            "name": plugin, "error_count": sum(len(entry["value"]["errors"]) for entry in configs),
            "groups": ["Common"], "configs": configs,
        }  # fmt: skip

    def _checked(self, config: dict[str, str]) -> list[dict[str, Any]]:
        definitions = list(_DEFINITIONS[_resolve(config["connector.class"], "")])
        for alias in filter(None, (alias.strip() for alias in config.get("transforms", "").split(","))):
            prefix = f"transforms.{alias}."
            definitions.append(_definition(prefix + "type", "CLASS", required=True))
            definitions.append(_definition(prefix + "predicate", "STRING"))
            for key in _TRANSFORMS.get(config.get(prefix + "type", ""), ()):
                definitions.append(_definition(prefix + key, "STRING", required=True))
        return [self._entry(definition, config) for definition in definitions]

    def _entry(self, definition: dict[str, Any], config: dict[str, str]) -> dict[str, Any]:
        name, value, errors = definition["name"], config.get(definition["name"]), []
        if value is None and definition["required"]:
            errors.append(f'Missing required configuration "{name}" which has no default value.')
        if value is not None and definition["type"] in ("INT", "LONG") and not re.fullmatch(r"-?\d+", value.strip()):
            errors.append(f"Invalid value {value} for configuration {name}: Not a number of type {definition['type']}")
        if value is not None and name.endswith(".converter") and value not in _CONVERTERS:
            errors.append(f"Invalid value {value} for configuration {name}: Class {value} could not be found.")
        if name.startswith("transforms.") and name.endswith(".type") and value not in _TRANSFORMS:
            errors.append(f"Invalid value {value} for configuration {name}: Class {value} could not be found.")
        if name in ("key.converter", "value.converter"):  # the worker's own, which only a validation shows
            definition = {**definition, "default_value": "org.apache.kafka.connect.json.JsonConverter"}
        shown = value if value is not None else definition["default_value"]
        return {
            "definition": definition,
            "value": {"name": name, "value": shown, "recommended_values": [], "errors": errors, "visible": True},
        }

    def _plugins(self, *, connectors_only: bool) -> list[dict[str, str]]:
        found = [{"class": _SINK, "type": "sink"}, {"class": _SOURCE, "type": "source"}]
        if not connectors_only:
            found += [{"class": name, "type": "transformation"} for name in _TRANSFORMS]
            found += [{"class": name, "type": "converter"} for name in _CONVERTERS]
        return [{**plugin, "version": VERSION} for plugin in found]

    # Offsets and loggers.

    def _offsets(self, name: str) -> list[dict[str, Any]]:
        config = self.connectors[name].config
        if self._used(name) and Path(config.get("file", "")).is_file():
            size = Path(config["file"]).stat().st_size
            self.offsets[name] = [{"partition": {"filename": config["file"]}, "offset": {"position": size}}]
        return self.offsets.get(name, [])

    def _alter_offsets(self, method: str, name: str, body: Any) -> tuple[int, Any]:
        self._offsets(name)
        if self._state(self.connectors[name]) != "STOPPED":
            raise Refused(
                400,
                "Connectors must be in the STOPPED state before their offsets can be modified. This can be done for "
                f"the specified connector by issuing a 'PUT' request to the '/connectors/{name}/stop' endpoint",
            )
        if method == "DELETE":
            self.offsets[name] = []
            return 200, {"message": "The offsets for this connector have been reset successfully"}
        if not body["offsets"]:
            raise Refused(400, "Partitions / offsets need to be provided for an alter offsets request")
        stored = {json.dumps(entry["partition"]): entry for entry in self.offsets.get(name, [])}
        for entry in body["offsets"]:
            stored[json.dumps(entry["partition"])] = entry
        self.offsets[name] = [entry for entry in stored.values() if entry["offset"] is not None]
        return 200, {"message": "The offsets for this connector have been altered successfully"}

    def _all_loggers(self) -> dict[str, str]:
        return {"root": "INFO", **self.loggers}

    def _logger(self, method: str, name: str, query: dict[str, list[str]], body: Any) -> tuple[int, Any]:
        if method == "GET":
            return 200, {"level": self._all_loggers().get(name, "INFO"), "last_modified": None}
        level = str(body.get("level", "")).upper()
        if level not in ("TRACE", "DEBUG", "INFO", "WARN", "ERROR", "FATAL", "OFF"):
            raise Refused(404, f"invalid log level '{body.get('level')}'.")
        self.loggers[name] = level
        return (204, None) if query.get("scope") == ["cluster"] else (200, [name])


def _texts(config: dict[str, Any]) -> dict[str, str]:
    return {k: str(v).lower() if isinstance(v, bool) else str(v) for k, v in config.items() if v is not None}


def _resolve(plugin: str, complaint: str, status: int = 404) -> str:
    for class_ in (_SOURCE, _SINK):
        simple = class_.rpartition(".")[2]
        if plugin in (class_, simple, simple.removesuffix("Connector")):
            return class_
    raise Refused(status, complaint)


def _unknown_class(plugin: str) -> str:
    return (
        f"Failed to find any class that implements Connector and which name matches {plugin}, available connectors "
        f"are: PluginDesc{{klass=class {_SINK}}}, PluginDesc{{klass=class {_SOURCE}}}"
    )


def _definition(name: str, type: str, *, required: bool = False) -> dict[str, Any]:
    return {
        "name": name, "type": type, "required": required, "default_value": None, "importance": "HIGH",
        "documentation": "", "group": None, "order_in_group": 1, "width": "NONE", "display_name": name, "dependents": [],
    }  # fmt: skip


def _handler(worker: FakeWorker) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def _serve(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
            answer = worker.handle(self.command, self.path, body, self.headers.get("Authorization"))
            if answer is None:
                self.close_connection = True
                return
            status, content_type, payload = answer
            self.send_response(status)
            self.send_header("Content-Type", content_type)
            self.send_header("Content-Length", str(len(payload)))
            self.end_headers()
            self.wfile.write(payload)

        do_GET = do_POST = do_PUT = do_PATCH = do_DELETE = _serve

        def log_message(self, *args: object) -> None:
            pass

    return Handler
