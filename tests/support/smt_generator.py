"""Random chains over random records, in the form of the recorded cases without their outcome.

What Java itself leaves open is not asked: the order of a HashMap, hashes of byte arrays and schemas, structs that two
parts of a record share and one transform writes into, the wording of the JVM.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from tests.support.smt_records import HEADERS, NAMES, Records

KAFKA = "org.apache.kafka.connect.transforms."
DEBEZIUM = "io.debezium.transforms."


class Generator(Records):
    """Draws chains and the records that go through them."""

    def case(self, number: int) -> dict[str, Any]:
        """One chain and one to three records that go through it."""
        self.names, self.structs = [], set()
        records = [self.record()]
        for at in range(self.one([0, 0, 1, 2])):
            record = dict(self.one(records)) if self.maybe(0.3) else self.record()
            # HeaderToValue hands out one object for equal headers, to which others then add.
            record["headers"] = [*record["headers"], {"name": "at", "schema": {"type": "int32"}, "value": at}]
            records.append(record)
        return {"id": f"seed-{self.seed}-{number}", "chain": self.chain(), "records": records}

    def chain(self) -> dict[str, str]:
        aliases = self.random.sample(["a", "b", "route", "unwrap"], self.one([1, 1, 1, 2, 2, 3, 4]))
        properties = {"transforms": ",".join(aliases)}
        used: set[str] = set()
        for alias in aliases:
            name, options = self.step()
            properties[f"transforms.{alias}.type"] = name
            properties |= {f"transforms.{alias}.{option}": text for option, text in options.items()}
            if self.maybe(0.15):
                predicate = self.one(["tomb", "named", "headed"])
                used.add(predicate)
                properties[f"transforms.{alias}.predicate"] = predicate
                if self.maybe(0.5):
                    properties[f"transforms.{alias}.negate"] = self.one(["true", "false"])
        if used:
            properties["predicates"] = ",".join(sorted(used))
            for predicate in used:
                properties |= self.predicate(predicate)
        return properties

    def predicate(self, alias: str) -> dict[str, str]:
        prefix, package = f"predicates.{alias}.", KAFKA + "predicates."
        if alias == "tomb":
            return {f"{prefix}type": package + "RecordIsTombstone"}
        if alias == "named":
            pattern = self.one([".*", "orders", r"srv\.public\..+", "logs-[0-9]{4}"])
            return {f"{prefix}type": package + "TopicNameMatches", f"{prefix}pattern": pattern}
        return {f"{prefix}type": package + "HasHeaderKey", f"{prefix}name": self.one(HEADERS)}

    def field(self) -> str:
        if self.names and self.maybe(0.85):
            return self.one(self.names)
        return self.one(NAMES)

    def plain_field(self) -> str:
        """A field that is no side of an event: Debezium writes into those, and whoever shares the struct sees it."""
        name = self.field()
        return "id" if name in ("before", "after", "source") else name

    def fields(self, most: int = 3) -> str:
        return ",".join(dict.fromkeys(self.field() for _ in range(self.random.randint(1, most))))

    def step(self) -> tuple[str, dict[str, str]]:
        makers: list[Callable[[], tuple[str, dict[str, str]]]] = [
            self.insert_field, self.replace_field, self.mask_field, self.value_to_key, self.hoist_field,
            self.extract_field, self.cast, self.timestamp_converter, self.timestamp_router, self.regex_router,
            self.flatten, self.header_from, self.insert_header, self.drop_headers, self.set_schema_metadata,
            self.new_record_state, self.new_record_state, self.event_router, self.event_router, self.table_router,
            self.changed_state, self.partition_routing, self.timezone, self.header_to_value, self.vectors,
            self.message_content, self.record_size,
        ]  # fmt: skip
        name, options = self.one(makers)()
        if name.startswith(KAFKA) and self.maybe(0.25):
            options["replace.null.with.default"] = self.one(["true", "false"])
        return name, options

    def sided(self, name: str) -> str:
        return f"{KAFKA}{name}${self.one(['Value', 'Value', 'Key'])}"

    def insert_field(self) -> tuple[str, dict[str, str]]:
        options = {}
        for kind in self.random.sample(
            ["topic", "partition", "offset", "timestamp", "static"], self.random.randint(1, 3)
        ):
            if kind != "offset" or self.maybe(0.3):
                options[f"{kind}.field"] = self.one(["t", "st", "id", "ts"]) + self.one(["", "?", "!"])
        if "static.field" in options and self.maybe(0.95):
            options["static.value"] = self.one(["x", "7", " spaced "])
        return self.sided("InsertField"), options

    def replace_field(self) -> tuple[str, dict[str, str]]:
        options = {}
        if self.maybe(0.4):
            options["exclude"] = self.fields()
        if self.maybe(0.3):
            options["include"] = self.fields(4)
        if self.maybe(0.5):
            old = list(dict.fromkeys(self.field() for _ in range(2)))
            # Two names for one field of a schemaless map leave the outcome to the order of a HashMap.
            options["renames"] = ",".join(f"{name}:n{at}" for at, name in enumerate(old))
        return self.sided("ReplaceField"), options

    def mask_field(self) -> tuple[str, dict[str, str]]:
        options = {"fields": self.fields()}
        if self.maybe(0.4):
            options["replacement"] = self.one(["7", "300", "1.5", "***", " 7 ", "1e3"])
        return self.sided("MaskField"), options

    def value_to_key(self) -> tuple[str, dict[str, str]]:
        return KAFKA + "ValueToKey", {"fields": ",".join(dict.fromkeys(self.plain_field() for _ in range(2)))}

    def hoist_field(self) -> tuple[str, dict[str, str]]:
        return self.sided("HoistField"), {"field": self.one(["line", "a"])}

    def extract_field(self) -> tuple[str, dict[str, str]]:
        if self.maybe(0.3):
            path = ".".join(self.field() for _ in range(self.random.randint(1, 3)))
            return self.sided("ExtractField"), {"field": path, "field.syntax.version": self.one(["V2", "v2", "V1"])}
        return self.sided("ExtractField"), {"field": self.field()}

    def cast(self) -> tuple[str, dict[str, str]]:
        types = ["int8", "int16", "int32", "int64", "float32", "float64", "boolean", "string", "STRING"]
        if self.maybe(0.2):
            return self.sided("Cast"), {"spec": self.one(types)}
        names = dict.fromkeys(self.field() for _ in range(self.random.randint(1, 3)))
        return self.sided("Cast"), {"spec": ",".join(f"{name}:{self.one(types)}" for name in names)}

    def timestamp_converter(self) -> tuple[str, dict[str, str]]:
        options = {"target.type": self.one(["string", "unix", "Date", "Time", "Timestamp"])}
        if self.maybe(0.8):
            options["field"] = self.field()
        if self.maybe(0.7) or options["target.type"] == "string":
            options["format"] = self.one([
                "yyyy-MM-dd", "yyyy-MM-dd'T'HH:mm:ss.SSSXXX", "dd/MM/yyyy HH:mm", "EEE MMM d yy h:mm a", "HH:mm:ss.SSS",
                "yyyyMMdd", "G yyyy D", "yyyy-MM-dd'T'HH:mm:ssX", "w W u F E",
            ])  # fmt: skip
        if self.maybe(0.4):
            options["unix.precision"] = self.one(["seconds", "milliseconds", "microseconds", "nanoseconds"])
        return self.sided("TimestampConverter"), options

    def timestamp_router(self) -> tuple[str, dict[str, str]]:
        options = {}
        if self.maybe(0.5):
            options["topic.format"] = self.one(["${topic}_${timestamp}", "x", "$1\\${topic}", "${timestamp}.${topic}"])
        if self.maybe(0.5):
            options["timestamp.format"] = self.one(["yyyy-MM", "EEE dd HH", "yyyyMMddHHmmss", "bad{"])
        return KAFKA + "TimestampRouter", options

    def regex_router(self) -> tuple[str, dict[str, str]]:
        regex, replacement = self.one([
            ("(.*)", "$1_x"), (r"srv\.(?<s>[^.]+)\.(.*)", "${s}-$2"), ("orders|logs-.*", "r"), ("(.*)-(\\d+)", "$2$11"),
            ("(a)?.*", "[$1]"), (".+", "\\$x"), ("(.*)", "$2"), (r"[\w.-]+", "w"), ("(?i)ORDERS", "o"), ("a*?", "q"),
        ])  # fmt: skip
        return KAFKA + "RegexRouter", {"regex": regex, "replacement": replacement}

    def flatten(self) -> tuple[str, dict[str, str]]:
        return self.sided("Flatten"), {} if self.maybe(0.5) else {"delimiter": self.one(["_", "", "."])}

    def header_from(self) -> tuple[str, dict[str, str]]:
        names = list(dict.fromkeys(self.plain_field() for _ in range(2)))
        options = {"fields": ",".join(names), "operation": self.one(["move", "copy"])}
        options["headers"] = ",".join(self.one(HEADERS) + str(at) for at in range(len(names)))
        return self.sided("HeaderFrom"), options

    def insert_header(self) -> tuple[str, dict[str, str]]:
        literals = ["1", "true", "abc", "1e3", "[1,2]", '{"a":1}', "1.5", "", "null", "2020-01-01", "12:34:56.789Z"]
        return KAFKA + "InsertHeader", {"header": self.one(HEADERS), "value.literal": self.one(literals)}

    def drop_headers(self) -> tuple[str, dict[str, str]]:
        return KAFKA + "DropHeaders", {"headers": ",".join(self.random.sample(HEADERS, 2))}

    def set_schema_metadata(self) -> tuple[str, dict[str, str]]:
        options = {"schema.name": self.one(["n", "acme.New"])} if self.maybe(0.8) else {}
        if self.maybe(0.5):
            options["schema.version"] = "7"
        return self.sided("SetSchemaMetadata"), options

    def new_record_state(self) -> tuple[str, dict[str, str]]:
        options = {}
        if self.maybe(0.8):
            options["delete.tombstone.handling.mode"] = self.one(
                ["drop", "tombstone", "rewrite", "rewrite-with-tombstone", "delete-to-tombstone", "REWRITE"]
            )
        added = [
            "op",
            "table",
            "source.ts_ms",
            "lsn",
            "ts_ms",
            "db:DB",
            "nope",
            "name",
            "source.lsn:L",
            "transaction.id",
        ]
        for kind in ("fields", "headers"):
            if self.maybe(0.5):
                options[f"add.{kind}"] = ",".join(self.random.sample(added, self.random.randint(1, 3)))
            if self.maybe(0.2):
                options[f"add.{kind}.prefix"] = self.one(["", "cdc_"])
        if self.maybe(0.2):
            options["route.by.field"] = self.field()
        if self.maybe(0.4):
            options["drop.fields.header.name"] = "dropme"
            options["drop.fields.keep.schema.compatible"] = self.one(["true", "false"])
            options["drop.fields.from.key"] = self.one(["true", "false"])
        if self.maybe(0.3):
            options["replace.null.with.default"] = self.one(["true", "false"])
        return DEBEZIUM + "ExtractNewRecordState", options

    def event_router(self) -> tuple[str, dict[str, str]]:
        options = {}
        if self.maybe(0.5):
            options["table.expand.json.payload"] = "true"
        if self.maybe(0.3):
            options["table.json.payload.null.behavior"] = self.one(["ignore", "optional_bytes"])
        if self.maybe(0.4):
            placements = ["tenant:header", "tenant:envelope:who", "version:partition", "at:envelope", "nope:header"]
            chosen = self.random.sample(placements, self.random.randint(1, 2))
            options["table.fields.additional.placement"] = ",".join(chosen)
        if self.maybe(0.2):
            options["table.field.additional.missing"] = self.one(["error", "ignore"])
        if self.maybe(0.3):
            options["table.field.event.timestamp"] = self.one(["at", "version", "nope"])
        if self.maybe(0.2):
            options["table.field.event.schema.version"] = "version"
        if self.maybe(0.3):
            options["route.topic.replacement"] = self.one(["ev.${routedByValue}", "fixed"])
        if self.maybe(0.2):
            options["route.topic.regex"] = self.one(["order", "(?<routedByValue>.*)er"])
        if self.maybe(0.3):
            options["route.tombstone.on.empty.payload"] = "true"
        if self.maybe(0.3):
            options["table.op.invalid.behavior"] = self.one(["warn", "error", "fatal"])
        if self.maybe(0.2):
            options["table.field.event.key"] = self.one(["tenant", "id"])
        return DEBEZIUM + "outbox.EventRouter", options

    def table_router(self) -> tuple[str, dict[str, str]]:
        options = {
            "topic.regex": self.one(["(.*)", r"srv\.(.*)", "nomatch"]),
            "topic.replacement": self.one(["$1_x", "all"]),
        }
        if self.maybe(0.3):
            options["key.enforce.uniqueness"] = "false"
        if self.maybe(0.4):
            options |= {"key.field.regex": r"(.*)\.(.*)", "key.field.replacement": self.one(["$2", "k"])}
        if self.maybe(0.3):
            options["key.field.name"] = self.one(["shard", "id"])
        if self.maybe(0.3):
            options["schema.name.adjustment.mode"] = self.one(["none", "avro", "avro_unicode"])
        return DEBEZIUM + "ByLogicalTableRouter", options

    def changed_state(self) -> tuple[str, dict[str, str]]:
        options = {}
        if self.maybe(0.8):
            options["header.changed.name"] = "Changed"
        if self.maybe(0.8):
            options["header.unchanged.name"] = self.one(["Unchanged", "dropme"])
        return DEBEZIUM + "ExtractChangedRecordState", options

    def partition_routing(self) -> tuple[str, dict[str, str]]:
        column = self.one([name for name in [*self.names, "nope"] if name not in self.structs])
        paths = [f"change.{column}", "source.table", f"after.{column}", "op", "change.nope", "source.lsn"]
        options = {
            "partition.payload.fields": ",".join(self.random.sample(paths, self.random.randint(1, 3))),
            "partition.topic.num": self.one(["1", "5", "16"]),
        }
        if self.maybe(0.5):
            options["partition.hash.function"] = self.one(["java", "murmur", "other"])
        return DEBEZIUM + "partitions.PartitionRouting", options

    def timezone(self) -> tuple[str, dict[str, str]]:
        options = {
            "converted.timezone": self.one(
                ["+02:00", "-05:30", "America/New_York", "Europe/Prague", "Asia/Kolkata", "UTC"]
            )
        }
        rules = ["source:orders", "topic:srv.public.orders", f"source:orders:{self.field()}", f"orders:{self.field()}",
                 "source:items:source.ts_ms", f"topic:orders:after.{self.field()}"]  # fmt: skip
        if self.maybe(0.5):
            options[self.one(["include.list", "exclude.list"])] = ",".join(
                self.random.sample(rules, self.one([1, 1, 2]))
            )
        return DEBEZIUM + "TimezoneConverter", options

    def header_to_value(self) -> tuple[str, dict[str, str]]:
        headers = self.random.sample(HEADERS, self.random.randint(1, 2))
        fields = [self.one(["n1", "n2", "new.sub", "source.n3", self.field(), f"{self.field()}.z"]) for _ in headers]
        return DEBEZIUM + "HeaderToValue", {
            "headers": ",".join(headers), "fields": ",".join(fields), "operation": self.one(["move", "copy", "MOVE"]),
        }  # fmt: skip

    def message_content(self) -> tuple[str, dict[str, str]]:
        options = {"fields.null.include": self.one(["true", "false"])} if self.maybe(0.5) else {}
        return "io.debezium.connector.postgresql.transforms.DecodeLogicalDecodingMessageContent", options

    def record_size(self) -> tuple[str, dict[str, str]]:
        options = {
            "max.bytes": self.one(["1", "1000", "1500", "2000", "0"]),
            "min.field.size": self.one(["0", "3", "10"]),
        }
        if self.maybe(0.3):
            options["compression.ratio"] = self.one(["0.5", "2", "-1"])
        return DEBEZIUM + "EnforceRecordSize", options

    def vectors(self) -> tuple[str, dict[str, str]]:
        return DEBEZIUM + "VectorToJsonConverter", {}
