"""A schema registry: Apicurio, in memory, at its Confluent-compatible address."""

from __future__ import annotations

import urllib.error
import urllib.request
from collections.abc import Sequence
from pathlib import Path

from cdc.postgres.embedded import free_port
from tests.stack import maven
from tests.stack.server import HOST, Server, java_command


class Registry(Server):
    """Apicurio Registry 3.0.9; a restart begins empty, as its store is its memory.

    Args:
        directory: For its output and temporary files.
    """

    name = "the schema registry"
    start_deadline = 90.0

    def __init__(self, directory: Path) -> None:
        super().__init__(directory)
        self.port = free_port()
        self._management_port = free_port()

    @property
    def url(self) -> str:
        """What `schema.registry.url` wants."""
        return f"http://{HOST}:{self.port}/apis/ccompat/v7"

    @property
    def native_url(self) -> str:
        """What Apicurio's own converters want."""
        return f"http://{HOST}:{self.port}/apis/registry/v2"

    def _command(self) -> Sequence[str]:
        (runner,) = maven.apicurio().glob("*-runner.jar")
        options = [
            f"-Dquarkus.http.host={HOST}",
            f"-Dquarkus.http.port={self.port}",
            f"-Dquarkus.management.host={HOST}",
            f"-Dquarkus.management.port={self._management_port}",
        ]
        return java_command(self.directory, ["-jar", str(runner)], heap="384m", options=options)

    def _answers(self) -> bool:
        try:
            with urllib.request.urlopen(f"{self.url}/subjects", timeout=2) as answer:
                return answer.status == 200
        except urllib.error.HTTPError as error:
            error.close()
            return False
        except OSError:
            return False
