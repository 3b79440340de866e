"""Random records in the form of the recorded cases: rows, change events, outbox rows, messages, and anything else.

What Java itself leaves open is not asked: doubles whose text changed with JDK 19, the order of a HashMap, hashes of
byte arrays and schemas, the wording of the JVM.
"""

from __future__ import annotations

import base64
import random
from typing import Any

DOUBLES = [0.0, 1.5, -0.5, 100.0, 1e10, 1e-5, 1234567.0, 12345678.9, 1e7, 0.001, -1e300, 42.0, 127.6, 3e9, -129.0]
FLOATS = [0.0, 1.5, -0.5, 100.0, 0.1, 3.3, 1e10, -128.5, 16777216.0]
TEXTS = [
    "", "a", "Elm", "42", "+7", " 42 ", "1.5", "1e3", "NaN", "true", "TRUE", "null", "abc", "2024-02-29", "x.y",
    "Žluťoučký", "2024-03-10T07:30:00Z", "2024-11-03T05:30:00.123456+02:00", "12:34:56.789Z", "10:00:00+01:00", "-0",
    "9223372036854775808", "0x10", '{"a":1,"b":[1,2],"c":{"d":null}}', '{"a":"x","n":2.5}', "[1,2]", "2023-11-14",
    "14/11/2023 22:13", "300", "orders", " ",
]  # fmt: skip
NAMES = ["id", "name", "a", "b", "c", "qty", "when", "x", "y", "note"]
TOPICS = ["srv.public.orders", "orders", "logs-2024", "a.b", "srv.inventory.items"]
HEADERS = ["h1", "h2", "trace", "dropme"]
MILLIS = [0, 1, -1, 1700000000123, 86400000, 1709164800000, -86400001, 951782400000, 1710055800000, 1730611800000]


def document(schema: Any, payload: Any) -> dict[str, Any]:
    return {"schema": schema, "payload": payload}


class Records:
    """Draws records.

    Args:
        seed: The same seed gives the same records.
    """

    def __init__(self, seed: int) -> None:
        self.seed = seed
        self.random = random.Random(seed)
        self.names: list[str] = []  # fields of the case's records
        self.structs: set[str] = set()  # columns of its change events whose hash Java leaves open
        self.bytes_allowed = True  # an event's bytes are compared by identity where they do not come from a server

    # -- values

    def maybe(self, share: float) -> bool:
        return self.random.random() < share

    def one(self, choices: list[Any]) -> Any:
        return self.random.choice(choices)

    def integer(self, bits: int) -> int:
        low, high = -(1 << (bits - 1)), (1 << (bits - 1)) - 1
        return self.one([0, 1, -1, 7, 42, low, high, self.random.randint(low, high)])

    def primitive(self) -> tuple[dict[str, Any], Any]:
        """A schema and a payload of it."""
        kind = self.one(["int8", "int16", "int32", "int64", "float", "double", "boolean", "string", "string", "bytes"])
        if kind == "bytes" and not self.bytes_allowed:
            kind = "string"
        if kind.startswith("int"):
            return {"type": kind}, self.integer(int(kind[3:]))
        if kind == "float":
            return {"type": kind}, self.one(FLOATS)
        if kind == "double":
            return {"type": kind}, self.one(DOUBLES)
        if kind == "boolean":
            return {"type": kind}, self.maybe(0.5)
        if kind == "bytes":
            return {"type": kind}, base64.b64encode(self.random.randbytes(self.random.randint(0, 5))).decode()
        return {"type": kind}, self.one(TEXTS)

    def logical(self) -> tuple[dict[str, Any], Any]:
        connect = "org.apache.kafka.connect.data."
        kind = self.one(
            ["Decimal", "Date", "Time", "Timestamp", "zoned", "zonedtime", "micro", "nano", "millis", "uuid", "dbzdate"]
        )
        if kind == "Decimal":
            scale = self.one([0, 2, 5, -2])
            unscaled = self.one([0, 156, -156, 1 << 20, 10**20])
            size = (unscaled + (unscaled < 0)).bit_length() // 8 + 1
            text = base64.b64encode(unscaled.to_bytes(size, "big", signed=True)).decode()
            return {"type": "bytes", "name": connect + kind, "version": 1, "parameters": {"scale": str(scale)}}, text
        if kind == "Date":
            return {"type": "int32", "name": connect + kind, "version": 1}, self.one([0, 1, -1, 19723, 30000, -141428])
        if kind == "Time":
            return {"type": "int32", "name": connect + kind, "version": 1}, self.one([0, 1, 86399999, 45296789])
        if kind == "Timestamp":
            return {"type": "int64", "name": connect + kind, "version": 1}, self.one(MILLIS)
        debezium = "io.debezium."
        return {
            "zoned": ({"type": "string", "name": debezium + "time.ZonedTimestamp", "version": 1},
                      self.one(["2024-03-10T07:30:00Z", "2024-11-03T05:30:00.123456Z", "1969-12-31T23:59:59.5+02:00"])),
            "zonedtime": ({"type": "string", "name": debezium + "time.ZonedTime", "version": 1},
                          self.one(["12:34:56Z", "00:10:00.25+02:00"])),
            "micro": ({"type": "int64", "name": debezium + "time.MicroTimestamp", "version": 1},
                      self.one([m * 1000 + 7 for m in MILLIS])),
            "nano": ({"type": "int64", "name": debezium + "time.NanoTimestamp", "version": 1},
                     self.one([m * 1000000 for m in MILLIS])),
            "millis": ({"type": "int64", "name": debezium + "time.Timestamp", "version": 1}, self.one(MILLIS)),
            "uuid": ({"type": "string", "name": debezium + "data.Uuid", "version": 1},
                     "6b1a1c1e-0000-4000-8000-000000000006"),
            "dbzdate": ({"type": "int32", "name": debezium + "time.Date", "version": 1}, 19723),
        }[kind]  # fmt: skip

    def typed(self, depth: int = 0) -> tuple[dict[str, Any], Any]:
        share = self.random.random()
        if share < 0.6 or depth > 1:
            return self.primitive()
        if share < 0.8:
            return self.logical()
        if share < 0.88:
            items, _ = self.primitive()
            members = [self.payload_of(items) for _ in range(self.random.randint(0, 3))]
            return {"type": "array", "items": {**items, "optional": False}}, members
        if share < 0.92:
            values, _ = self.primitive()
            names = self.random.sample(NAMES, self.random.randint(0, 2))
            return (
                {"type": "map", "keys": {"type": "string", "optional": False}, "values": {**values, "optional": False}},
                {name: self.payload_of(values) for name in names},
            )
        return self.struct(depth + 1)

    def payload_of(self, schema: dict[str, Any]) -> Any:
        """Another payload of a primitive schema."""
        while True:
            found, payload = self.primitive()
            if found["type"] == schema["type"]:
                return payload

    def struct(self, depth: int = 0, *, least: int = 0) -> tuple[dict[str, Any], dict[str, Any]]:
        fields, payload = [], {}
        for name in self.random.sample(NAMES, self.random.randint(least, 5)):
            schema, value = self.typed(depth)
            schema = {**schema, "optional": self.maybe(0.5)}
            if self.maybe(0.25) and schema["type"] not in ("struct", "array", "map"):
                schema["default"] = value
            if schema["optional"] and self.maybe(0.3):
                value = None
            if self.maybe(0.1) and "name" not in schema:
                schema["doc"] = "a field"
            fields.append({**schema, "field": name})
            payload[name] = value
            if depth == 0:
                self.names.append(name)
        found: dict[str, Any] = {"type": "struct", "fields": fields}
        if self.maybe(0.4):
            found["name"] = self.one(["acme.Rec", "Nest", "srv.public.orders.Value"])
        if self.maybe(0.2):
            found["version"] = 3
        if self.maybe(0.1):
            found["parameters"] = {"p": "q"}
        return found, payload

    def plain(self, depth: int = 0) -> Any:
        """A schemaless value."""
        share = self.random.random()
        if share < 0.2:
            return None if self.maybe(0.3) else self.maybe(0.5)
        if share < 0.45:
            return self.integer(64)
        if share < 0.6:
            return self.one(DOUBLES)
        if share < 0.85 or depth > 1:
            return self.one(TEXTS)
        if share < 0.92:
            return [self.plain(depth + 1) for _ in range(self.random.randint(0, 3))]
        return {name: self.plain(depth + 1) for name in self.random.sample(NAMES, self.random.randint(0, 3))}

    def part(self) -> Any:
        """A key or value document."""
        share = self.random.random()
        if share < 0.1:
            return None
        if share < 0.55:
            schema, payload = self.struct()
            schema["optional"] = self.maybe(0.2)
            return document(schema, None if schema["optional"] and self.maybe(0.2) else payload)
        if share < 0.8:
            names = self.random.sample(NAMES, self.random.randint(0, 5))
            self.names += names
            return document(None, {name: self.plain() for name in names})
        if share < 0.85:
            return document(None, self.plain())
        schema, payload = self.typed()
        schema["optional"] = self.maybe(0.3)
        return document(schema, None if schema["optional"] and self.maybe(0.2) else payload)

    # -- records

    def record(self) -> dict[str, Any]:
        share = self.random.random()
        if share < 0.35:
            key, value = self.event()
        elif share < 0.42:
            key, value = self.outbox()
        elif share < 0.45:
            key, value = self.message()
        else:
            key, value = self.part(), self.part()
        record = {
            "topic": self.one(TOPICS), "partition": self.one([None, 0, 3]), "timestamp": self.one([None, *MILLIS]),
            "key": key, "value": value, "headers": [self.header() for _ in range(self.random.randint(0, 3))],
        }  # fmt: skip
        if self.maybe(0.05):
            record |= {"kind": "sink", "offset": 17, "partition": 2}
        return record

    def header(self) -> dict[str, Any]:
        name = self.one(HEADERS)
        if name == "dropme" and self.maybe(0.8):
            schema = {"type": "array", "items": {"type": "string", "optional": True}, "optional": True}
            return {"name": name, "schema": schema, "value": self.random.sample(NAMES, 2)}
        schema, payload = self.typed(2)
        schema["optional"] = self.maybe(0.5)
        value = None if schema["optional"] and self.maybe(0.3) else payload
        return {"name": name, "schema": schema, "value": value}

    def event(self) -> tuple[Any, Any]:
        """A change event with its key."""
        topic = self.one(TOPICS)
        self.bytes_allowed = False
        schema, payload = self.struct(least=1)
        self.bytes_allowed = True
        self.structs |= {field["field"] for field in schema["fields"] if field["type"] == "struct"}
        schema |= {"optional": True, "name": f"{topic}.Value"}
        schema.pop("default", None)
        operation = self.one(["c", "r", "u", "u", "d", "d", "t"])
        other = {field["field"]: payload[field["field"]] for field in schema["fields"]}
        for field in schema["fields"]:
            if field["optional"] and self.maybe(0.3):
                other[field["field"]] = None
        before = other if operation == "d" or (operation == "u" and self.maybe(0.7)) else None
        after = None if operation in ("d", "t") else payload
        source_schema = {
            "type": "struct", "optional": False, "name": "io.debezium.connector.postgresql.Source", "version": 1,
            "fields": [
                {"type": "string", "optional": False, "field": "connector"},
                {"type": "string", "optional": False, "field": "name"},
                {"type": "int64", "optional": False, "field": "ts_ms"},
                {"type": "string", "optional": True, "name": "io.debezium.data.Enum", "version": 1,
                 "parameters": {"allowed": "true,false"}, "default": "false", "field": "snapshot"},
                {"type": "string", "optional": False, "field": "db"},
                {"type": "int64", "optional": True, "field": "ts_us"},
                {"type": "string", "optional": False, "field": "schema"},
                {"type": "string", "optional": False, "field": "table"},
                {"type": "int64", "optional": True, "field": "txId"},
                {"type": "int64", "optional": True, "field": "lsn"},
            ],
        }  # fmt: skip
        source = {
            "connector": "postgresql", "name": "srv", "ts_ms": 1700000000123, "snapshot": self.one([None, "true"]),
            "db": "shop", "ts_us": 1700000000123456, "schema": "public", "table": self.one(["orders", "items"]),
            "txId": self.one([None, 728]), "lsn": 26365528,
        }  # fmt: skip
        transaction = {
            "type": "struct", "optional": True, "name": "event.block", "version": 1,
            "fields": [
                {"type": "string", "optional": False, "field": "id"},
                {"type": "int64", "optional": False, "field": "total_order"},
            ],
        }  # fmt: skip
        fields = [
            {**schema, "field": "before"}, {**schema, "field": "after"}, {**source_schema, "field": "source"},
            {**transaction, "field": "transaction"}, {"type": "string", "optional": False, "field": "op"},
            {"type": "int64", "optional": True, "field": "ts_ms"},
        ]  # fmt: skip
        if self.maybe(0.2):
            del fields[3]
        envelope = {"type": "struct", "fields": fields, "optional": False, "name": f"{topic}.Envelope", "version": 2}
        value = {
            "before": before, "after": after, "source": source, "op": operation, "ts_ms": self.one([None, 1700000001000]),
        }  # fmt: skip
        if self.maybe(0.5):
            value["transaction"] = {"id": "728:1", "total_order": 1}
        key = None
        if self.maybe(0.8):
            kept = [field for field in schema["fields"] if field["type"] in ("int32", "int64", "string")][:1]
            key_fields = [{**field, "optional": False} for field in kept if payload[field["field"]] is not None]
            key_schema = {"type": "struct", "fields": key_fields, "optional": False, "name": f"{topic}.Key"}
            key = document(key_schema, {field["field"]: payload[field["field"]] for field in key_fields})
        self.names += ["before", "after", "source", "op"]
        return key, None if self.maybe(0.1) else document(envelope, value)

    def outbox(self) -> tuple[Any, Any]:
        payload = self.one([
            "plain", '{"a":1,"b":"x"}', '{"a":[1,2,3],"n":null,"o":{}}', '[{"a":1},{"a":2}]', '{"a":[1,2.5]}', "",
            '{"a":5000000000,"f":2.5,"t":true}', '{"a":[[1],[2]],"e":[]}', "{bad", None, '{"x":[{"i":1},{"i":2}]}',
        ])  # fmt: skip
        fields = [
            {"type": "string", "optional": False, "name": "io.debezium.data.Uuid", "version": 1, "field": "id"},
            {"type": "string", "optional": False, "field": "aggregatetype"},
            {"type": "string", "optional": False, "field": "aggregateid"},
            {"type": "string", "optional": True, "field": "payload"},
            {"type": "int64", "optional": True, "name": "io.debezium.time.MicroTimestamp", "version": 1, "field": "at"},
            {"type": "int32", "optional": True, "field": "version"},
            {"type": "string", "optional": True, "field": "tenant", "default": "t0"},
        ]
        row = {"type": "struct", "fields": fields, "optional": True, "name": "srv.public.outbox.Value"}
        envelope = {
            "type": "struct", "optional": False, "name": "srv.public.outbox.Envelope",
            "fields": [
                {**row, "field": "before"}, {**row, "field": "after"},
                {"type": "struct", "optional": True, "fields": [{"type": "string", "optional": True, "field": "table"}],
                 "field": "source"},
                {"type": "string", "optional": False, "field": "op"},
                {"type": "int64", "optional": True, "field": "ts_ms"},
            ],
        }  # fmt: skip
        after = {
            "id": "6b1a1c1e-0000-4000-8000-000000000006", "aggregatetype": self.one(["order", "customer", ""]),
            "aggregateid": "17", "payload": payload, "at": self.one([None, 1700000000123456]),
            "version": self.one([None, 2]), "tenant": self.one([None, "t1"]),
        }  # fmt: skip
        operation = self.one(["c", "c", "c", "r", "u", "d"])
        value = {
            "before": after if operation == "d" else None, "after": None if operation == "d" else after,
            "source": {"table": "outbox"}, "op": operation, "ts_ms": 1700000001000,
        }  # fmt: skip
        self.names += ["payload", "tenant", "after"]
        return None, document(envelope, value)

    def message(self) -> tuple[Any, Any]:
        """A logical message of the Postgres connector."""
        content = self.one([
            '{"id":"7","aggregatetype":"order","aggregateid":"17","payload":"{}","n":null}', '{"a":{"b":[1,2]},"c":1.5}',
            "[1]", "plain", '{"e":[]}', '{"x":[{"i":1},{"i":2}]}', "{}", '{"a":[1,"x"]}',
        ])  # fmt: skip
        message = {
            "type": "struct", "optional": True, "name": "io.debezium.connector.postgresql.Message",
            "fields": [
                {"type": "string", "optional": True, "field": "prefix"},
                {"type": self.one(["bytes", "bytes", "bytes", "string"]), "optional": True, "field": "content"},
            ],
        }  # fmt: skip
        text = content if message["fields"][1]["type"] == "string" else base64.b64encode(content.encode()).decode()
        schema = {
            "type": "struct", "optional": False, "name": "io.debezium.connector.postgresql.MessageValue", "version": 1,
            "fields": [
                {"type": "string", "optional": False, "field": "op"},
                {"type": "int64", "optional": True, "field": "ts_ms"},
                {"type": "struct", "optional": False, "fields": [{"type": "string", "optional": True, "field": "table"}],
                 "field": "source"},
                {**message, "field": "message"},
            ],
        }  # fmt: skip
        value = {
            "op": "m", "ts_ms": self.one([None, 1700000001000]), "source": {"table": ""},
            "message": None if self.maybe(0.1) else {"prefix": "outbox", "content": None if self.maybe(0.1) else text},
        }  # fmt: skip
        key = document({"type": "struct", "fields": [{"type": "string", "field": "prefix"}]}, {"prefix": "outbox"})
        return key, document(schema, value)
