"""`io.debezium.transforms.TimezoneConverter`: timestamps of change events in another zone.

Texts with a zone keep their instant; integer timestamps are read as wall times of the target zone, so that New York
adds five hours. That is what Debezium does.
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable
from typing import Any, ClassVar, Final

from cdc.model.javaerrors import JavaError, list_text
from cdc.model.javatypes import wrap_integer
from cdc.model.record import SourceRecord
from cdc.model.schema import TIMESTAMP, JavaDate, Schema, Struct, Type
from cdc.transforms.base import Transform, require_struct
from cdc.transforms.configdef import ConfigDef, Key, Kind, split
from cdc.transforms.debezium.envelopes import is_change_event, null_pointer
from cdc.transforms.debezium.options import is_list_of_regex, is_required, listed
from cdc.transforms.debezium.zones import (
    Zone,
    date_time_text,
    is_known_zone,
    is_offset,
    parse_date_time,
    parse_time,
    time_text,
)

_RULES: Final = re.compile(
    r'\[(source|topic|[".a-zA-Z0-9_ \t\n\x0b\f\r]+):'
    r'([".a-zA-Z0-9_ \t\n\x0b\f\r]+(?::[".a-zA-Z0-9_ \t\n\x0b\f\r]+)?(?:,|]\Z))+'
)
_UNITS: Final = {
    "io.debezium.time.MicroTimestamp": 1_000_000, "io.debezium.time.NanoTimestamp": 1_000_000_000,
    "io.debezium.time.Timestamp": 1000,
}  # fmt: skip
_EPOCHS: Final = {"ts_ms": 1000, "ts_us": 1_000_000, "ts_ns": 1_000_000_000}
_SIDES: Final = ("source", "before", "after")

Wanted = Callable[[str], bool]


def _everything(_: str) -> bool:
    return True


class TimezoneConverter(Transform):
    """Converts the time columns of `before` and `after`, and the clock fields of `source` where a rule names them."""

    java_name = "io.debezium.transforms.TimezoneConverter"
    reads = frozenset({"value", "topic"})
    config: ClassVar = ConfigDef((
        Key("converted.timezone", Kind.STRING, None, "`Europe/Prague` or `+02:00`.", late=(is_required,)),
        Key("include.list", Kind.LIST, None, "Rules `source:table[:field]`, `topic:topic[:field]`, `name:field`.",
            late=(is_list_of_regex,)),
        Key("exclude.list", Kind.LIST, None, "Rules of what is left alone.", late=(is_list_of_regex,)),
    ))  # fmt: skip

    def configure(self) -> None:
        """Read zone and rules."""
        include, exclude = (self._rules(name) for name in ("include.list", "exclude.list"))
        for kind, rules in (("include", include), ("exclude", [] if include else exclude)):
            if rules and _RULES.fullmatch(list_text(rules)) is None:
                raise JavaError(
                    f"Invalid {kind} list format. Please specify a list of rules in the format of "
                    '"source:<tablename>:<fieldnames>", "topic:<topicname>:<fieldnames>", "<matchname>:<fieldnames>"',
                    "DebeziumException",
                )
        self._zone_text = self.texts["converted.timezone"]
        if not is_offset(self._zone_text) and not is_known_zone(self._zone_text):
            raise JavaError(
                "Invalid timezone format. Please specify either a geographic timezone (e.g. America/Los_Angeles) or "
                "a UTC offset in the format of +/-hh:mm, (e.g. +08:00).", "DebeziumException",
            )  # fmt: skip
        if include and exclude:
            raise JavaError(
                "Both include and exclude lists are specified. Please specify only one.", "DebeziumException"
            )
        self._zone: Zone | None = None
        self._mode = "include" if include else "exclude" if exclude else "all"
        self._topics: dict[str, set[str]] = {}
        self._tables: dict[str, set[str]] = {}
        self._names: dict[str, set[str]] = {}
        self._collect(include or exclude)

    def _rules(self, option: str) -> list[str]:
        text = self.texts.get(option)
        return [] if text is None else listed(text)

    def _collect(self, rules: list[str]) -> None:
        """Sort the rules; a prefix holds for the rules behind it that have none."""
        prefix: str | None = None
        for rule in rules:
            parts = split(rule, ":")
            field = None
            name = parts[0]
            if len(parts) > 1 and parts[0].lower() in ("source", "topic"):
                prefix, name = parts[0], parts[1]
                field = parts[2] if len(parts) > 2 else None
            elif len(parts) > 1:
                field = parts[1]
            names = {"topic": self._topics, "source": self._tables}.get(prefix or "", self._names)
            fields = names.setdefault(name, set())
            if field is not None:
                fields.add(field)

    def apply(self, record: SourceRecord) -> SourceRecord:
        """The record with its times converted, in structs of their own."""
        if record.value is None or not is_change_event(record):
            return record
        event = require_struct(record.value, "timezone conversion")
        table = _table_of(event)
        wanted = self._wanted(table, record.topic)
        if wanted is None:
            return record
        converted = Struct(event.schema, event.values)
        for side in _SIDES:
            field = event.schema.field(side)
            if field is None or field.schema.type is not Type.STRUCT or side not in wanted:
                continue
            struct = event.values[field.index]
            if struct is not None:
                converted.values[field.index] = self._converted(struct, wanted[side], source=side == "source")
        return record.replace(value=converted)

    def _wanted(self, table: str | None, topic: str) -> dict[str, Wanted] | None:
        """Which fields of each side are converted; None for none at all."""
        if self._mode == "all":
            return {"before": _everything, "after": _everything}
        fields = self._matching(table, topic)
        if self._mode == "include":
            if fields is None:
                return None
            return _by_side(fields, include=True) if fields else {"before": _everything, "after": _everything}
        if fields is None:
            return {"before": _everything, "after": _everything}
        return _by_side(fields, include=False) if fields else None

    def _matching(self, table: str | None, topic: str) -> set[str] | None:
        for names, name in (
            (self._topics, topic), (self._tables, table), (self._names, topic), (self._names, table),
        ):  # fmt: skip
            if name is not None and name in names:
                return names[name]
        return None

    def _converted(self, struct: Struct, wanted: Wanted, *, source: bool) -> Struct:
        converted = Struct(struct.schema, struct.values)
        for field, given in zip(struct.schema.fields, struct.values, strict=True):
            if not wanted(field.name):
                continue
            value = field.schema.default if given is None else given
            if value is None:
                continue
            if field.schema.name is not None:
                converted.values[field.index] = self._time(field.schema, value, given)
            elif source and field.name in _EPOCHS:
                unit = _EPOCHS[field.name]
                offset = self._rules_of_zone().offset_at(value // unit)
                converted.values[field.index] = wrap_integer(value + offset * unit, 64)
        return converted

    def _rules_of_zone(self) -> Zone:
        if self._zone is None:
            self._zone = Zone(self._zone_text)
        return self._zone

    def _time(self, schema: Schema, value: Any, given: Any) -> Any:
        """A value in the zone; one that is no timestamp stays as it was given."""
        name = schema.name or ""
        if name in _UNITS:
            unit = _UNITS[name]
            return wrap_integer(value - self._rules_of_zone().offset_of_local(value // unit) * unit, 64)
        if name == TIMESTAMP:
            return JavaDate(value - self._rules_of_zone().offset_of_local(value // 1000) * 1000)
        if name == "io.debezium.time.ZonedTimestamp":
            zone = self._rules_of_zone()
            moment = parse_date_time(value)
            return date_time_text(moment.at(zone.offset_of_local(moment.seconds)))
        if name == "io.debezium.time.ZonedTime":
            return time_text(parse_time(value).at(self._rules_of_zone().offset_at(int(time.time()))))
        return given


def _by_side(fields: set[str], *, include: bool) -> dict[str, Wanted]:
    names: dict[str, set[str]] = {side: set() for side in _SIDES}
    for field in fields:
        side, dot, rest = field.partition(".")
        if dot and side in names:
            names[side].add(rest)
        else:
            names["before"].add(field)
            names["after"].add(field)
    if not names["source"]:
        del names["source"]
    return {side: _listed(listed, include) for side, listed in names.items()}


def _listed(names: set[str], include: bool) -> Wanted:
    return lambda name: (name in names) is include


def _table_of(event: Struct) -> str | None:
    source = event.schema.field("source")
    if source is None or source.schema.type is not Type.STRUCT:
        return None
    struct = event.values[source.index]
    if struct is None:
        raise null_pointer()
    table = struct.schema.field("table")
    if table is None or table.schema.type is not Type.STRING:
        return None
    text: str | None = struct.values[table.index]
    return text
