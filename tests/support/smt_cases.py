"""Running one transform case: the chain over the record, and the comparison with what the Java classes did."""

from __future__ import annotations

import copy
import json
import re
from decimal import Decimal
from typing import Any

from cdc.converters.json import JsonConverter
from cdc.converters.json_reading import JsonReader
from cdc.errors import ConfigError, TransformError
from cdc.model.javaerrors import JavaError
from cdc.model.javatypes import parse_float32
from cdc.model.record import Header, SinkRecord, SourceRecord
from cdc.transforms import Chain, Surroundings, compile_chain
from cdc.values.javatext import shortest_float32

_RECORD_QUOTED = re.compile(r"(SourceRecord\{|SinkRecord\{|Struct\{)")
_FLOAT_TEXT = re.compile(r"-?[0-9]+\.[0-9]+([Ee][-+]?[0-9]+)?")
_MULTILINE = "\n"
_JVM_TEXTS = ("NullPointerException", "ClassCastException")


class Runner:
    """Runs cases with converters that keep a null a null, as the recorded ones were."""

    def __init__(self) -> None:
        self.reader = JsonReader(replace_null_with_default=False)
        self.writer = JsonConverter(replace_null_with_default=False)

    def record(self, given: dict[str, Any]) -> SourceRecord:
        """The record of a case."""
        key_schema, key = (None, None) if given["key"] is None else self.reader.from_document(given["key"])
        value_schema, value = (None, None) if given["value"] is None else self.reader.from_document(given["value"])
        headers = []
        for header in given.get("headers", []):
            schema = self.reader.schema(header["schema"])
            headers.append(Header(header["name"], schema, self.reader.value(schema, header["value"])))
        common = {
            "topic": given["topic"], "partition": given["partition"], "timestamp": given["timestamp"],
            "key_schema": key_schema, "key": key, "value_schema": value_schema, "value": value,
            "headers": tuple(headers), "source_partition": {"server": "oracle"}, "source_offset": {"lsn": 1},
        }  # fmt: skip
        if given.get("kind") == "sink":
            return SinkRecord(**common, kafka_offset=given["offset"])
        return SourceRecord(**common)

    def written(self, record: SourceRecord) -> dict[str, Any]:
        """The record as the cases write it."""
        return {
            "topic": record.topic, "partition": record.partition, "timestamp": record.timestamp,
            "key": self._document(record.key_schema, record.key),
            "value": self._document(record.value_schema, record.value),
            "headers": [
                {
                    "name": header.name,
                    "schema": json.loads(self.writer.schema_text(header.schema)),
                    "value": json.loads(self.writer.payload(header.schema, header.value)),
                }
                for header in record.headers
            ],
        }  # fmt: skip

    def _document(self, schema: Any, value: Any) -> Any:
        data = self.writer.from_connect(schema, value)
        return None if data is None else json.loads(data)

    def run(self, case: dict[str, Any], surroundings: Surroundings | None = None) -> dict[str, Any]:
        """The outcome, in the form of a case's `expected`, with every problem where a configuration is refused."""
        try:
            chain = compile_chain(case["chain"], surroundings or Surroundings(strict=True))
        except ConfigError as error:
            return {"config_errors": [f"{p.java_class}: {p.java_message}" for p in error.problems]}
        return self.outcome(chain, case["record"])

    def outcome(self, chain: Chain, given: dict[str, Any]) -> dict[str, Any]:
        """What the chain makes of one record, in the form of a case's `expected`."""
        try:
            records = chain.apply(self.record(given))
        except TransformError as error:
            return {"error": f"{error.java_class.rpartition('.')[2]}: {error.java_message}"}
        try:
            return {"out": [self.written(record) for record in records] or None}
        except JavaError as error:
            return {"error": f"{error.java_class}: {error.message}", "stage": "convert"}


def difference(case: dict[str, Any], outcome: dict[str, Any]) -> str | None:
    """What is different from the recorded outcome, or None."""
    expected = copy.deepcopy(case["expected"])
    if "config_error" in expected:
        wanted = expected["config_error"]
        given = outcome.get("config_errors")
        if given is None or not any(_same_error(wanted, text) for text in given):
            return f"wanted the configuration error {wanted!r}, got {json.dumps(outcome)}"
        return None
    if "error" in expected:
        same = "error" in outcome and _same_error(expected["error"], outcome["error"])
        if not same or expected.get("stage") != outcome.get("stage"):
            return f"wanted {json.dumps(expected)}, got {json.dumps(outcome)}"
        return None
    if "out" not in outcome:
        return f"wanted a record, got {json.dumps(outcome)}"
    got = copy.deepcopy(outcome)
    for pointer in case.get("ignore", []):
        _blank(expected, pointer)
        _blank(got, pointer)
    return _difference_at("", _normal(expected["out"]), _normal(got["out"]))


def _same_error(wanted: str, given: str) -> bool:
    wanted_class, _, wanted_text = wanted.partition(": ")
    given_class, _, given_text = given.partition(": ")
    if wanted_class != given_class:
        return False
    if wanted_class in _JVM_TEXTS or _MULTILINE in wanted_text or _MULTILINE in given_text:
        return True
    quoted = _RECORD_QUOTED.search(wanted_text)
    if quoted is not None:
        return given_text.startswith(wanted_text[: quoted.start()])
    return re.sub(r"@[0-9a-f]+", "@*", wanted_text) == re.sub(r"@[0-9a-f]+", "@*", given_text)


def _difference_at(pointer: str, wanted: Any, got: Any) -> str | None:
    """The first place where two documents differ, and what stands there."""
    if wanted == got and isinstance(wanted, bool) == isinstance(got, bool):
        return None
    if type(wanted) is type(got) and isinstance(wanted, (str, float)) and _same_float(str(wanted), str(got)):
        return None
    if isinstance(wanted, dict) and isinstance(got, dict) and wanted.keys() == got.keys():
        found = (_difference_at(f"{pointer}/{name}", member, got[name]) for name, member in wanted.items())
        return next((different for different in found if different is not None), None)
    if isinstance(wanted, list) and isinstance(got, list) and len(wanted) == len(got):
        pairs = zip(wanted, got, strict=True)
        found = (_difference_at(f"{pointer}/{at}", *pair) for at, pair in enumerate(pairs))
        return next((different for different in found if different is not None), None)
    return f"at {pointer}: wanted {json.dumps(wanted)}, got {json.dumps(got)}"


def _same_float(wanted: str, got: str) -> bool:
    """Whether two texts are one 32-bit float, of which JDK 17 prints more digits than it needs."""
    if not (_FLOAT_TEXT.fullmatch(wanted) and _FLOAT_TEXT.fullmatch(got)):
        return False
    single = parse_float32(wanted)
    return single == parse_float32(got) and float(got) == float(shortest_float32(single))


def _blank(document: Any, pointer: str) -> None:
    steps = [step.replace("~1", "/").replace("~0", "~") for step in pointer.split("/")[1:]]
    for step in steps[:-1]:
        document = document[int(step)] if isinstance(document, list) else document[step]
    last = steps[-1]
    if isinstance(document, list):
        document[int(last)] = None
    else:
        document[last] = None


def _normal(node: Any) -> Any:
    """Numbers by value; a map with keys that are not texts (a list of pairs) as a set of its pairs."""
    if isinstance(node, dict):
        if node.keys() == {"schema", "payload"} or node.keys() == {"name", "schema", "value"}:
            member = "payload" if "payload" in node else "value"
            return {
                **{k: _normal(v) for k, v in node.items() if k != member},
                member: _by_schema(node["schema"], node[member]),
            }
        normal = {name: _normal(member) for name, member in node.items()}
        if node.get("type") == "float" and isinstance(node.get("default"), (int, float)):
            normal["default"] = parse_float32(str(node["default"]))
        return normal
    if isinstance(node, list):
        return [_normal(member) for member in node]
    return node


def _by_schema(schema: Any, payload: Any) -> Any:
    if not isinstance(schema, dict) or payload is None:
        return payload
    kind = schema.get("type")
    if kind == "struct" and isinstance(payload, dict):
        members = {field["field"]: field for field in schema["fields"]}
        return {name: _by_schema(members.get(name), member) for name, member in payload.items()}
    if kind == "array":
        return [_by_schema(schema["items"], member) for member in payload]
    if kind == "float" and isinstance(payload, (int, float)):
        return parse_float32(str(payload))  # JDK 17 prints more digits than a float needs
    if kind == "map" and isinstance(payload, list):
        return sorted(json.dumps(pair, sort_keys=True) for pair in payload)
    return payload


def read_cases(text: str) -> list[dict[str, Any]]:
    """The cases of a file; numbers of records keep their digits."""
    cases = []
    for line in text.splitlines():
        if line.strip():
            case = json.loads(line)
            case["record"] = json.loads(line, parse_float=Decimal)["record"]
            cases.append(case)
    return cases
