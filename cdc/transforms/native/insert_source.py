"""`seam.transforms.InsertSource`: where a record comes from, for readers who only have the topic."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from importlib.metadata import PackageNotFoundError, version
from typing import Any, ClassVar, Final

from cdc.model.javaerrors import ConfigException, invalid_value
from cdc.model.record import Header, SourceRecord
from cdc.model.schema import OPTIONAL_STRING, Schema, Struct
from cdc.transforms.base import PerSchema, Transform
from cdc.transforms.configdef import NO_DEFAULT, ConfigDef, Key, Kind, non_empty_list, one_of, split
from cdc.transforms.schemas import Read, field_pairs, struct_like, values_of

FACTS: Final = (
    "host", "database", "system_id", "timeline", "slot", "connector", "prefix", "version", "position",
)  # fmt: skip


def _parse(entries: Sequence[str]) -> list[tuple[str, str | None]]:
    found: list[tuple[str, str | None]] = []
    for entry in entries:
        parts = split(entry, ":")
        if not parts or len(parts) > 2 or parts[0] not in FACTS:
            raise ConfigException(
                f"Invalid value {entry} for configuration facts: an entry is one of {', '.join(FACTS)}, "
                "with :name behind it where it is to be called something else"
            )
        found.append((parts[0], parts[1] if len(parts) == 2 else None))
    return found


def _check_facts(_: str, value: list[str]) -> None:
    _parse(value)


class InsertSource(Transform):
    """Adds facts about the source as optional texts; a tombstone and a value that is no row get none in the value."""

    java_name = "seam.transforms.InsertSource"
    native_only = True
    config: ClassVar = ConfigDef((
        Key("facts", Kind.LIST, NO_DEFAULT, f"`fact[:name]` entries; the facts are {', '.join(FACTS)}.",
            (non_empty_list, _check_facts)),
        Key("placement", Kind.STRING, "headers", "headers or value.", (one_of("headers", "value"),)),
        Key("prefix", Kind.STRING, "__seam_", "Prefix of names that are not given."),
    ))  # fmt: skip

    def configure(self) -> None:
        """Read which facts go where."""
        prefix: str = self.options["prefix"]
        facts = _parse(self.options["facts"])
        self._names = [name if name is not None else prefix + fact for fact, name in facts]
        if len(set(self._names)) != len(self._names):
            raise invalid_value(",".join(self._names), "facts", "a name stands twice")
        self._facts = [fact for fact, _ in facts]
        self._version = _engine_version() if "version" in self._facts else None
        self._in_value = self.options["placement"] == "value"
        self.reads = frozenset({"value" if self._in_value else "headers"})
        if "position" in self._facts:
            self.reads |= {"position"}
        self._plans = PerSchema(self._plan)
        self._source = dict(self.surroundings.source)

    def learn(self, facts: Mapping[str, str]) -> None:
        """Take the facts, over those that are known already."""
        self._source |= facts

    def apply(self, record: SourceRecord) -> SourceRecord:
        """The record with the facts."""
        texts = [self._text(fact, record) for fact in self._facts]
        if not self._in_value:
            added = [Header(name, OPTIONAL_STRING, text) for name, text in zip(self._names, texts, strict=True)]
            return record.replace(headers=(*record.headers, *added))
        value: Any = record.value
        if isinstance(value, Struct):
            schema, read = self._plans(value.schema)
            return record.replace(value_schema=schema, value=Struct(schema, [*read(value.values), *texts]))
        if isinstance(value, dict) and record.value_schema is None:
            return record.replace(value=value | dict(zip(self._names, texts, strict=True)))
        return record

    def _text(self, fact: str, record: SourceRecord) -> str | None:
        if fact == "position":
            return self._position(record)
        return self._version if fact == "version" else self._source.get(fact)

    def _position(self, record: SourceRecord) -> str | None:
        """The change's place in the log; of a row that was read, the end of the log then, and `snapshot` for an ordinal."""
        offset = record.source_offset or {}
        if "read_at" in offset:
            system, timeline = self._source.get("system_id"), self._source.get("timeline")
            return None if system is None or timeline is None else f"{system}/{timeline}/{offset['read_at']}/snapshot"
        return None if offset.get("position") is None else str(offset["position"])

    def _plan(self, schema: Schema) -> tuple[Schema, Read]:
        added = [(name, OPTIONAL_STRING) for name in self._names]
        updated = struct_like(schema, [*field_pairs(schema), *added], optional=schema.optional)
        return updated, values_of(schema.fields, replace_null=False)


def _engine_version() -> str | None:
    try:
        return version("seam-cdc")
    except PackageNotFoundError:  # run from a checkout that was not installed
        return None
