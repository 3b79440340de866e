"""A client of Kafka Connect's REST API: one method per endpoint, and one place that repeats a call.

A call is repeated where `connect_answers` says that it may be, at the next worker where one does not answer, and until
its deadline. A create or a change whose answer was lost is read back before it is sent again: an identical PUT would
bounce the connector, and a second POST would be a 409.
"""

from __future__ import annotations

import random
import re
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final, Literal, Self, TypeVar
from urllib.parse import quote

import httpx
import msgspec

from cdc.errors import AuthFailed, ConfigError, ConnectApiError, ConnectRebalancing, ConnectUnavailable
from connectors.connect_answers import Verdict, check_name, error_body, shortened, text_of, verdict
from connectors.connect_settings import ConnectSettings
from connectors.connect_types import (
    Config,
    ConnectorInfo,
    ConnectorStatus,
    Expanded,
    Health,
    KeyDefinition,
    LoggerLevel,
    Message,
    Offset,
    Offsets,
    Plugin,
    ServerInfo,
    TaskInfo,
    TaskState,
    Topics,
    Validation,
)
from connectors.redact import Redaction

T = TypeVar("T")

InitialState = Literal["RUNNING", "PAUSED", "STOPPED"]

MAXIMUM_ANSWER: Final = 64 * 1024 * 1024  # bytes; the expanded list of 10,000 connectors is about 30 MB

_CERTIFICATE: Final = re.compile(r"CERTIFICATE|BAD_CERT|UNKNOWN_CA", re.IGNORECASE)
_FIRST_PAUSE, _LONGEST_PAUSE = 0.1, 2.0  # seconds


class _Lost(Exception):
    """The request may have been carried out, and its answer did not arrive."""


class ConnectApi:
    """Kafka Connect's REST API.

    Args:
        settings: Where the workers are and how to talk to them.
        redaction: Learns the secrets of every configuration that passes, and strikes them out of error texts.
        transport: Replaces the network, for tests.
        clock: Seconds, monotonic.
        sleep: Waits for some seconds.
    """

    def __init__(
        self,
        settings: ConnectSettings,
        *,
        redaction: Redaction | None = None,
        transport: httpx.BaseTransport | None = None,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self.settings = settings
        self.redaction = redaction if redaction is not None else Redaction()
        self._clock = clock
        self._sleep = sleep
        self._url = 0
        # Neither proxies nor credentials come from the environment, and no worker sends us elsewhere.
        self._http = httpx.Client(
            headers={"Accept": "application/json", **settings.headers()},
            auth=settings.basic_auth(),
            verify=settings.tls_context(),
            timeout=httpx.Timeout(settings.timeout, connect=min(settings.timeout, 5.0)),
            transport=transport,
            trust_env=False,
            follow_redirects=False,
            limits=httpx.Limits(max_connections=16),
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()

    def close(self) -> None:
        """Give the connections back."""
        self._http.close()

    # The worker.

    def server(self) -> ServerInfo:
        """`GET /`: version and the Kafka cluster's id."""
        return self._get("/", ServerInfo)

    def health(self) -> Health:
        """`GET /health`: an answer of 500 or 503 is a state, not an error."""
        status, body = self._send("GET", "/health")
        if status in (200, 500, 503):
            try:
                return msgspec.json.decode(body, type=Health)
            except msgspec.DecodeError:
                pass  # an older worker, or one whose resources are not mounted yet
        raise self._refusal("GET", "/health", status, body)

    def plugins(self, *, connectors_only: bool = True) -> list[Plugin]:
        """`GET /connector-plugins`: what is installed; with `connectors_only=False` converters and transforms too."""
        only = "true" if connectors_only else "false"
        return self._get("/connector-plugins", list[Plugin], params={"connectorsOnly": only})

    def definitions(self, plugin: str, *, version: str | None = None) -> dict[str, KeyDefinition]:
        """`GET /connector-plugins/{class}/config`: the keys that a plugin declares."""
        params = {"version": version} if version else None
        found = self._get(f"/connector-plugins/{_segment(plugin)}/config", list[KeyDefinition], params=params)
        self.redaction.learn_keys(definition.name for definition in found if definition.secret)
        return {definition.name: definition for definition in found}

    def validate(self, config: Mapping[str, str], *, timeout: float | None = None) -> Validation:
        """`PUT /connector-plugins/{class}/config/validate`: problems per key; some plugins connect to their database.

        Args:
            config: With `connector.class` and `name`.
            timeout: Seconds for the answer, where it may take longer than other calls.
        """
        path = f"/connector-plugins/{_segment(config.get('connector.class', ''))}/config/validate"
        self.redaction.learn(config)
        validation = self._call("PUT", path, Validation, json=dict(config), timeout=timeout)
        definitions = validation.definitions()
        self.redaction.learn_keys(key for key, definition in definitions.items() if definition.secret)
        self.redaction.learn(config)
        return validation

    def loggers(self) -> dict[str, LoggerLevel]:
        """`GET /admin/loggers`: loggers with a level of their own."""
        return self._get("/admin/loggers", dict[str, LoggerLevel])

    def logger(self, name: str) -> LoggerLevel:
        """`GET /admin/loggers/{name}`."""
        return self._get(f"/admin/loggers/{_segment(name)}", LoggerLevel)

    def set_logger(self, name: str, level: str, *, cluster: bool = False) -> list[str]:
        """`PUT /admin/loggers/{name}`: set a level on this worker, or on all; the loggers changed, where it says so."""
        params = {"scope": "cluster"} if cluster else None
        path = f"/admin/loggers/{_segment(name)}"
        status, body = self._expect("PUT", path, json={"level": level}, params=params)
        return [] if status == 204 else self._decode(path, body, list[str])

    # Connectors.

    def names(self) -> list[str]:
        """`GET /connectors`."""
        return self._get("/connectors", list[str])

    def connectors(self) -> dict[str, Expanded]:
        """`GET /connectors?expand=status&expand=info`: everything in one call."""
        found = self._get("/connectors", dict[str, Expanded], params={"expand": ["status", "info"]})
        for entry in found.values():
            if entry.info is not None:
                self.redaction.learn(entry.info.config)
        return found

    def statuses(self) -> dict[str, ConnectorStatus]:
        """`GET /connectors?expand=status`; a connector without a status yet is not in it."""
        found = self._get("/connectors", dict[str, Expanded], params={"expand": "status"})
        return {name: entry.status for name, entry in found.items() if entry.status is not None}

    def connector(self, name: str) -> ConnectorInfo:
        """`GET /connectors/{name}`."""
        info = self._get(_path(name), ConnectorInfo)
        self.redaction.learn(info.config)
        return info

    def config(self, name: str) -> Config | None:
        """`GET /connectors/{name}/config`, or None where there is no such connector."""
        try:
            config = self._get(_path(name, "config"), dict[str, str | None])
        except ConnectApiError as error:
            if error.status == 404:
                return None
            raise
        self.redaction.learn(config)
        return {key: value for key, value in config.items() if value is not None}

    def status(self, name: str) -> ConnectorStatus | None:
        """`GET /connectors/{name}/status`, or None: also right after a creation, before a worker has taken it."""
        try:
            return self._get(_path(name, "status"), ConnectorStatus)
        except ConnectApiError as error:
            if error.status == 404:
                return None
            raise

    def create(
        self, name: str, config: Mapping[str, str], *, initial_state: InitialState | None = None
    ) -> ConnectorInfo:
        """`POST /connectors`. After a lost answer the connector is read: equal is ours, another one is a 409.

        Raises:
            ConnectApiError: Status 409 when the name is taken, 400 with the worker's reasons.
        """
        check_name(name)
        body: dict[str, Any] = {"name": name, "config": dict(config)}
        if initial_state is not None:
            body["initial_state"] = initial_state
        self.redaction.learn(config)

        def landed() -> ConnectorInfo | None:
            return self._landed(name, config)

        return self._call("POST", "/connectors", ConnectorInfo, json=body, landed=landed)

    def put_config(self, name: str, config: Mapping[str, str]) -> ConnectorInfo:
        """`PUT /connectors/{name}/config`: replace or create; the target state stays. Bounces the connector always."""
        self.redaction.learn(config)

        def landed() -> ConnectorInfo | None:
            return self._landed(name, config)

        return self._call("PUT", _path(name, "config"), ConnectorInfo, json=dict(config), landed=landed)

    def patch_config(self, name: str, changes: Mapping[str, str | None]) -> ConnectorInfo:
        """`PATCH /connectors/{name}/config`: set keys, and with None take them away."""
        if changes.get("name", name) != name:
            raise ConfigError("the name of a connector cannot be patched: the worker would answer under the old path")
        self.redaction.learn(changes)
        return self._call("PATCH", _path(name, "config"), ConnectorInfo, json=dict(changes))

    def delete(self, name: str) -> bool:
        """`DELETE /connectors/{name}`; its offsets stay. False where there was none."""
        try:
            self._expect("DELETE", _path(name))
        except ConnectApiError as error:
            if error.status == 404:
                return False
            raise
        return True

    def pause(self, name: str) -> None:
        """`PUT …/pause`: tasks stay, and deliver nothing; asynchronous."""
        self._expect("PUT", _path(name, "pause"))

    def resume(self, name: str) -> None:
        """`PUT …/resume`: asynchronous."""
        self._expect("PUT", _path(name, "resume"))

    def stop(self, name: str) -> None:
        """`PUT …/stop`: tasks end; asynchronous, idempotent."""
        self._expect("PUT", _path(name, "stop"))

    def restart(self, name: str, *, include_tasks: bool = False, only_failed: bool = False) -> ConnectorStatus | None:
        """`POST …/restart`: with `include_tasks` or `only_failed` the answer shows what will restart."""
        params = {"includeTasks": str(include_tasks).lower(), "onlyFailed": str(only_failed).lower()}
        path = _path(name, "restart")
        status, body = self._expect("POST", path, params=params)
        return self._decode(path, body, ConnectorStatus) if status == 202 else None

    def tasks(self, name: str) -> list[TaskInfo]:
        """`GET …/tasks`: the configuration of each task."""
        return self._get(_path(name, "tasks"), list[TaskInfo])

    def task_status(self, name: str, task: int) -> TaskState:
        """`GET …/tasks/{n}/status`."""
        return self._get(_path(name, f"tasks/{task}/status"), TaskState)

    def restart_task(self, name: str, task: int) -> None:
        """`POST …/tasks/{n}/restart`."""
        self._expect("POST", _path(name, f"tasks/{task}/restart"))

    def topics(self, name: str) -> list[str]:
        """`GET …/topics`: topics used; empty for a connector that does not exist."""
        found = self._get(_path(name, "topics"), dict[str, Topics])
        return found[name].topics if name in found else []

    def reset_topics(self, name: str) -> None:
        """`PUT …/topics/reset`."""
        self._expect("PUT", _path(name, "topics/reset"))

    def offsets(self, name: str) -> list[Offset]:
        """`GET …/offsets`."""
        return self._get(_path(name, "offsets"), Offsets).offsets

    def alter_offsets(self, name: str, offsets: Sequence[Offset]) -> str:
        """`PATCH …/offsets`: the connector must be STOPPED and without tasks. The worker's text, which may warn."""
        body = {"offsets": [{"partition": offset.partition, "offset": offset.offset} for offset in offsets]}
        return self._call("PATCH", _path(name, "offsets"), Message, json=body).message

    def reset_offsets(self, name: str) -> str:
        """`DELETE …/offsets`: the connector must be STOPPED and without tasks. The worker's text, which may warn."""
        return self._call("DELETE", _path(name, "offsets"), Message).message

    # How a call is made.

    def _landed(self, name: str, config: Mapping[str, str]) -> ConnectorInfo | None:
        """The connector, if it is as we asked for."""
        there = self.config(name)
        if there is None or {**there, "name": name} != {**config, "name": name}:
            return None
        return self.connector(name)

    def _get(self, path: str, type: type[T], *, params: Mapping[str, Any] | None = None) -> T:
        return self._call("GET", path, type, params=params)

    def _call(
        self,
        method: str,
        path: str,
        type: type[T],
        *,
        json: Any = None,
        params: Mapping[str, Any] | None = None,
        timeout: float | None = None,
        landed: Callable[[], T | None] | None = None,
    ) -> T:
        """One call, repeated where that is safe, and its decoded answer.

        Args:
            landed: For a call that must not land twice: what it made, or None if it did not land.
        """
        end = self._clock() + self.settings.deadline
        pause = _FIRST_PAUSE
        while True:
            try:
                _, body = self._expect(
                    method, path, json=json, params=params, timeout=timeout, end=end, once=landed is not None
                )
            except _Lost:
                assert landed is not None
                if (result := landed()) is not None:
                    return result
                if self._clock() >= end:
                    raise ConnectUnavailable(
                        f"{method} {path}: no answer arrived within {self.settings.deadline:g} s",
                        hint="it was not carried out when last looked; run the command again",
                    ) from None
                self._sleep(pause)
                pause = min(pause * 2, _LONGEST_PAUSE)
            else:
                return self._decode(path, body, type)

    def _expect(
        self,
        method: str,
        path: str,
        *,
        json: Any = None,
        params: Mapping[str, Any] | None = None,
        timeout: float | None = None,
        end: float | None = None,
        once: bool = False,
    ) -> tuple[int, bytes]:
        status, body = self._send(method, path, json=json, params=params, timeout=timeout, end=end, once=once)
        if 200 <= status < 300:
            return status, body
        raise self._refusal(method, path, status, body)

    def _send(
        self,
        method: str,
        path: str,
        *,
        json: Any = None,
        params: Mapping[str, Any] | None = None,
        timeout: float | None = None,
        end: float | None = None,
        once: bool = False,
    ) -> tuple[int, bytes]:
        """Send until there is an answer that stands; `once` ends with `_Lost` where the call may have landed."""
        if end is None:
            end = self._clock() + self.settings.deadline
        pause = _FIRST_PAUSE
        health = path == "/health"
        while True:
            left = max(0.1, end - self._clock())
            patience = min(timeout or self.settings.timeout, left) if timeout is None else timeout
            try:
                status, body = self._once(method, path, json=json, params=params, timeout=patience)
                meaning = Verdict.STANDS if health else verdict(status, body)
                if meaning is Verdict.STANDS:
                    return status, body
                if meaning is Verdict.LOST and once:
                    raise _Lost
                failure: Exception | None = None
            except (httpx.ConnectError, httpx.ConnectTimeout) as error:
                self._refuse_certificates(error)
                failure = error
                self._url += 1
            except httpx.HTTPError as error:
                self._refuse_certificates(error)
                failure = error
                self._url += 1
                if once:
                    raise _Lost from error
            if self._clock() + pause >= end:
                if failure is not None:
                    raise self._unreachable(method, path, failure) from failure
                raise self._still_refused(method, path, status, body)
            self._sleep(pause * random.uniform(0.8, 1.2))  # noqa: S311 - spreads clients, guards nothing
            pause = min(pause * 2, _LONGEST_PAUSE)

    def _once(
        self, method: str, path: str, *, json: Any, params: Mapping[str, Any] | None, timeout: float
    ) -> tuple[int, bytes]:
        url = self.settings.urls[self._url % len(self.settings.urls)].rstrip("/") + path
        wait = httpx.Timeout(timeout, connect=min(timeout, 5.0))
        end = self._clock() + timeout
        with self._http.stream(method, url, json=json, params=params, timeout=wait) as answer:
            body = bytearray()
            for part in answer.iter_bytes():
                body += part
                if len(body) > MAXIMUM_ANSWER:
                    raise ConnectApiError(
                        f"{method} {path}: the answer exceeds {MAXIMUM_ANSWER} bytes", status=answer.status_code
                    )
                if self._clock() > end:
                    raise httpx.ReadTimeout(f"the answer took longer than {timeout:g} s")
            return answer.status_code, bytes(body)

    def _decode(self, path: str, body: bytes, type: type[T]) -> T:
        try:
            return msgspec.json.decode(body, type=type, strict=False)
        except msgspec.DecodeError as error:
            raise ConnectApiError(
                f"{path}: the answer is not what Connect answers there: {error}",
                hint="is this the REST port of a Kafka Connect worker?",
            ) from error

    def _refusal(self, method: str, path: str, status: int, body: bytes) -> Exception:
        text = self.redaction.text(shortened(text_of(body)))
        if status in (401, 403):
            return AuthFailed(
                f"{method} {path}: the worker refuses access ({status}): {text}",
                hint="check [connect] username, password or token, and what the worker's extension allows",
            )
        if 300 <= status < 400:
            return ConnectApiError(
                f"{method} {path}: the worker sends us elsewhere ({status}), and we do not follow",
                status=status,
                hint="give the address of the worker itself as --connect-url",
            )
        code = error_body(body).error_code
        return ConnectApiError(f"{method} {path}: {text} ({status})", status=status, error_code=code)

    def _still_refused(self, method: str, path: str, status: int, body: bytes) -> Exception:
        text = self.redaction.text(shortened(text_of(body)))
        waited = f"{method} {path}: after {self.settings.deadline:g} s still {status}: {text}"
        if "forward" in text:
            return ConnectUnavailable(
                waited, hint="the workers cannot reach each other: check rest.advertised.host.name and its port"
            )
        if status == 409 or "rebalance" in text:
            return ConnectRebalancing(waited, hint="run the command again when the rebalance is over")
        return ConnectUnavailable(waited)

    def _refuse_certificates(self, error: httpx.HTTPError) -> None:
        """Trying again does not mend a certificate."""
        if _CERTIFICATE.search(str(error)):
            raise AuthFailed(
                f"{', '.join(self.settings.urls)}: {error}",
                hint="check [connect] ca, certificate and key, and that the worker's certificate names this address",
            ) from error

    def _unreachable(self, method: str, path: str, error: Exception) -> ConnectUnavailable:
        urls = ", ".join(self.settings.urls)
        reason = str(error) or type(error).__name__
        return ConnectUnavailable(
            f"no Connect worker answers at {urls}: {self.redaction.text(reason)} ({method} {path})",
            hint="check --connect-url, SEAM_CONNECT_URL or [connect] url, and that the worker runs",
        )


def _path(name: str, rest: str = "") -> str:
    check_name(name)
    return f"/connectors/{_segment(name)}" + (f"/{rest}" if rest else "")


def _segment(text: str) -> str:
    return quote(text, safe="")
