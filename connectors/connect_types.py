"""What Kafka Connect's REST API sends and takes (Connect 4.3, `org.apache.kafka.connect.runtime.rest.entities`).

Unknown members are ignored, so that an older or newer worker can be read too.
"""

from __future__ import annotations

from typing import Any

import msgspec

Config = dict[str, str]


class ServerInfo(msgspec.Struct, frozen=True):
    """Answer of `GET /`."""

    version: str
    commit: str
    kafka_cluster_id: str


class Health(msgspec.Struct, frozen=True):
    """Answer of `GET /health`: `healthy`, `starting` or `unhealthy`."""

    status: str
    message: str = ""

    @property
    def healthy(self) -> bool:
        """Whether the worker has started and answers its herder's requests."""
        return self.status == "healthy"


class TaskId(msgspec.Struct, frozen=True):
    """Which task of which connector."""

    connector: str
    task: int


class TaskInfo(msgspec.Struct, frozen=True):
    """A task and the configuration that the connector generated for it."""

    id: TaskId
    config: dict[str, str | None]


class ConnectorInfo(msgspec.Struct, frozen=True):
    """A connector as it is configured; literal secrets come in clear."""

    name: str
    config: dict[str, str | None]
    tasks: list[TaskId] = []
    type: str | None = None

    def properties(self) -> Config:
        """The configuration without keys that hold null."""
        return {key: value for key, value in self.config.items() if value is not None}


class ConnectorState(msgspec.Struct, frozen=True):
    """State of the connector itself."""

    state: str
    worker_id: str = ""
    trace: str | None = None
    version: str | None = None


class TaskState(msgspec.Struct, frozen=True):
    """State of one task."""

    id: int
    state: str
    worker_id: str = ""
    trace: str | None = None
    version: str | None = None


class ConnectorStatus(msgspec.Struct, frozen=True):
    """State of a connector and its tasks; eventually consistent."""

    name: str
    connector: ConnectorState
    tasks: list[TaskState] = []
    type: str | None = None


class Expanded(msgspec.Struct, frozen=True):
    """One entry of `GET /connectors?expand=status&expand=info`; either half may be missing for a moment."""

    info: ConnectorInfo | None = None
    status: ConnectorStatus | None = None


class Offset(msgspec.Struct, frozen=True):
    """A source partition and the offset stored for it; `offset=None` takes it away."""

    partition: dict[str, Any]
    offset: dict[str, Any] | None


class Offsets(msgspec.Struct, frozen=True):
    """Answer of `GET /connectors/{name}/offsets`."""

    offsets: list[Offset]


class Message(msgspec.Struct, frozen=True):
    """A text of the worker."""

    message: str


class Plugin(msgspec.Struct, frozen=True, rename={"class_": "class"}):
    """An installed plugin."""

    class_: str
    type: str
    version: str | None = None


class KeyDefinition(msgspec.Struct, frozen=True):
    """A key as the plugin's ConfigDef declares it."""

    name: str
    type: str
    required: bool = False
    default_value: str | None = None
    importance: str = ""
    documentation: str = ""
    group: str | None = None
    order_in_group: int | None = None
    width: str | None = None
    display_name: str | None = None
    dependents: list[str] = []

    @property
    def secret(self) -> bool:
        """Whether the plugin declares that the value must not be shown."""
        return self.type == "PASSWORD"


class KeyValue(msgspec.Struct, frozen=True):
    """What the worker read for a key, and what is wrong with it."""

    name: str
    value: str | None = None
    recommended_values: list[Any] = []
    errors: list[str] = []
    visible: bool = True


class ValidatedKey(msgspec.Struct, frozen=True):
    """One entry of a validation; a key outside every ConfigDef has no definition, some entries have no value."""

    definition: KeyDefinition | None = None
    value: KeyValue | None = None


class Validation(msgspec.Struct, frozen=True):
    """Answer of `PUT /connector-plugins/{class}/config/validate`."""

    name: str
    error_count: int
    configs: list[ValidatedKey]
    groups: list[str] = []

    def errors(self) -> dict[str, list[str]]:
        """Key -> what is wrong with it."""
        return {
            entry.value.name: entry.value.errors
            for entry in self.configs
            if entry.value is not None and entry.value.errors
        }

    def definitions(self) -> dict[str, KeyDefinition]:
        """Key -> its definition, those of the named transforms and predicates included."""
        return {entry.definition.name: entry.definition for entry in self.configs if entry.definition is not None}


class LoggerLevel(msgspec.Struct, frozen=True):
    """Level of a logger and when it was last set (milliseconds since 1970)."""

    level: str | None
    last_modified: int | None = None


class Topics(msgspec.Struct, frozen=True):
    """Topics that a connector has used since its creation or the last reset."""

    topics: list[str]


class ErrorBody(msgspec.Struct, frozen=True):
    """Body of an answer that is an error."""

    message: str | None = None
    error_code: int | None = None
