"""Captures of Debezium kept as files, so that a script can be checked without a JVM."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from tests.differential.canonical import Canonical
from tests.differential.script import Script

GOLDEN = Path(__file__).parents[1] / "golden" / "debezium" / "events"


def path_of(script: Script) -> Path:
    """The file of a script."""
    return GOLDEN / f"{script.name}.jsonl"


def write(script: Script, records: Sequence[Canonical], versions: dict[str, str]) -> None:
    """Keep a capture: a line about it, a line for each schema, a line for each record."""
    schemas: dict[str, int] = {}
    lines: list[Any] = []
    for record in records:
        numbers = [
            None if text is None else schemas.setdefault(text, len(schemas))
            for text in (record.key_schema, record.value_schema)
        ]
        lines.append(
            {"topic": record.topic, "partition": record.partition, "key_schema": numbers[0], "key": record.key,
             "value_schema": numbers[1], "value": record.value, "headers": record.headers}
        )  # fmt: skip
    head = {"script": script.name, "sha256": script.digest, "versions": versions, "schemas": len(schemas)}
    path = path_of(script)
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", encoding="utf-8") as file:
        for line in (head, *schemas, *lines):
            file.write(json.dumps(line, ensure_ascii=False) + "\n")


def read(script: Script) -> list[Canonical]:
    """The capture of a script.

    Raises:
        AssertionError: There is none, or it was made of another text.
    """
    path = path_of(script)
    again = "record it: pytest tests/differential --record-golden"
    assert path.exists(), f"{script.name} has no capture of Debezium; {again}"
    head, *rest = [json.loads(line) for line in path.read_text(encoding="utf-8").split("\n") if line]
    assert head["sha256"] == script.digest, f"{script.name} has changed since Debezium captured it; {again}"
    schemas, records = rest[: head["schemas"]], rest[head["schemas"] :]

    def schema(number: int | None) -> str | None:
        return None if number is None else schemas[number]

    return [
        Canonical(
            line["topic"], line["partition"], line["key"], schema(line["key_schema"]), line["value"],
            schema(line["value_schema"]), tuple((name, text) for name, text in line["headers"]),
        )
        for line in records
    ]  # fmt: skip
