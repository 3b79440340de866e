"""The schema registry's client: Confluent's REST interface, which Apicurio and others speak too."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any, Final

from cdc.errors import AuthFailed, OperatorError, RetriableError


class RegistryUnavailable(RetriableError):
    """The schema registry cannot be reached."""

    code = "REGISTRY_UNAVAILABLE"


ANSWER_SECONDS: Final = 10
"""How long an answer may take: it is the stream's thread that asks, and the server waits for its status updates."""

_REFUSED: Final = (401, 403)
_INCOMPATIBLE: Final = 409
_SERVER_ERROR: Final = 500


class SchemaRegistry:
    """Registers schemas; each is asked for once.

    Args:
        settings: The converter's options: `schema.registry.url`, `basic.auth.user.info`, `auto.register.schemas`, `ssl.*`.
    """

    def __init__(self, settings: Mapping[str, str]) -> None:
        from confluent_kafka.schema_registry import SchemaRegistryClient

        self.url = settings["schema.registry.url"]
        self.register_schemas = settings.get("auto.register.schemas", "true").strip().lower() == "true"
        config: dict[str, Any] = {"url": self.url, "max.retries": 0, "timeout": ANSWER_SECONDS}
        if settings.get("basic.auth.user.info"):
            config["basic.auth.user.info"] = settings["basic.auth.user.info"]
        for name in ("ssl.ca.location", "ssl.certificate.location", "ssl.key.location"):
            if name in settings:
                config[name] = settings[name]
        self._client = SchemaRegistryClient(config)
        self._known: dict[tuple[str, str], int] = {}

    def register(self, subject: str, schema: str) -> int:
        """The id of a schema under a subject.

        Raises:
            RegistryUnavailable: It cannot be reached, or has trouble of its own.
            OperatorError: The schema is not compatible with the subject's earlier ones, or not there and not to be registered.
            AuthFailed: It refuses us.
        """
        known = self._known.get((subject, schema))
        if known is None:
            known = self._known[subject, schema] = self._ask(subject, schema)
        return known

    def schema(self, identity: int) -> str:
        """The text of a schema by its id.

        Raises:
            RegistryUnavailable: It cannot be reached, or has trouble of its own.
            OperatorError: It does not know the id.
            AuthFailed: It refuses us.
        """
        with self._translated(f"the schema registry at {self.url}, schema {identity}"):
            return str(self._client.get_schema(identity).schema_str)

    def _ask(self, subject: str, schema: str) -> int:
        from confluent_kafka.schema_registry import Schema

        avro = Schema(schema, "AVRO")
        with self._translated(f"the schema registry at {self.url}, subject {subject}"):
            if self.register_schemas:
                return int(self._client.register_schema(subject, avro))
            found = self._client.lookup_schema(subject, avro)
            return int(found.schema_id or 0)

    @contextmanager
    def _translated(self, where: str) -> Iterator[None]:
        from confluent_kafka.schema_registry.error import SchemaRegistryError

        try:
            yield
        except SchemaRegistryError as error:
            status, text = error.http_status_code, error.error_message
            if status == _INCOMPATIBLE:
                raise OperatorError(
                    f"{where}: the schema is not compatible with the ones before: {text}",
                    hint="see the subject's compatibility; nothing was acknowledged",
                ) from error
            if status in _REFUSED:
                raise AuthFailed(f"{where}: {text}") from error
            if status >= _SERVER_ERROR:
                raise RegistryUnavailable(f"{where}: {text}") from error
            raise OperatorError(f"{where}: {text} (status {status})") from error
        except Exception as error:  # the client passes on whatever its HTTP library raises
            raise RegistryUnavailable(f"{where}: {type(error).__name__}: {error}") from error

    def close(self) -> None:
        """Close the client's connections."""
        close = getattr(self._client, "__exit__", None)
        if close is not None:
            close(None, None, None)
