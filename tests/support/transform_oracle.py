"""One JVM that answers what Java makes of chains, texts, date patterns and regular expressions."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path
from typing import Any

from tests.stack.maven import connect_plugin, kafka_jars
from tests.stack.missing import java, program

_SOURCE = Path(__file__).parents[1] / "stack" / "java" / "TransformOracle.java"


class TransformOracle:
    """Compiles `TransformOracle.java` against Kafka's and Debezium's jars, and keeps it running.

    Args:
        directory: For the class file.
    """

    def __init__(self, directory: Path) -> None:
        jars = f"{kafka_jars()}/*{os.pathsep}{connect_plugin('debezium-postgres')}/*"
        compiler = program("javac", "apt-get install openjdk-17-jdk-headless")
        subprocess.run(
            [compiler, "-nowarn", "-cp", jars, "-d", str(directory), str(_SOURCE)], check=True, capture_output=True
        )
        self._process = subprocess.Popen(
            [
                java(), "-Xmx256m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-Dlog4j2.level=off",
                "-Duser.timezone=UTC", "-Duser.language=en", "-Duser.country=US",
                "-cp", f"{directory}{os.pathsep}{jars}", "TransformOracle",
            ],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, encoding="utf-8",
        )  # fmt: skip

    def ask(self, question: dict[str, Any]) -> dict[str, Any]:
        """The answer to one question."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(json.dumps(question) + "\n")
        self._process.stdin.flush()
        line = self._process.stdout.readline()
        if not line:
            raise RuntimeError(f"the oracle's JVM ended with {self._process.wait()}")
        answer: dict[str, Any] = json.loads(line)
        return answer

    def close(self) -> None:
        """End the JVM."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.close()
        self._process.wait(timeout=30)
        self._process.stdout.close()
