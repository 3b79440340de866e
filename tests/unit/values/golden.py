"""Debezium's recorded results: `tests/golden/debezium/values/*.jsonl`, read for the tests."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cdc.model.relation import PgType
from cdc.values.registry import Codec, ValueModes, resolve

GOLDEN = Path(__file__).parents[2] / "golden" / "debezium" / "values"


@dataclass(frozen=True, slots=True)
class Recorded:
    """One column in one mode.

    Attributes:
        family: The golden file's name.
        kind: What was recorded: values, unavailable, filler or default.
        mode: The mode's name.
        settings: Its Debezium options.
        column: What the catalogue says of the column.
        types: The catalogue's types.
        schema: The field's schema text, None where Debezium left the column out.
        values: Pairs of server text and payload.
        payload: The one payload of the other kinds.
    """

    family: str
    kind: str
    mode: str
    settings: Mapping[str, str]
    column: Mapping[str, Any]
    types: Mapping[int, PgType]
    schema: str | None
    values: tuple[tuple[str | None, str | None], ...]
    payload: str | None

    @property
    def pg_type(self) -> PgType:
        return self.types[self.column["oid"]]

    def modes(self, *, strict: bool) -> ValueModes:
        return value_modes(self.settings, strict=strict)

    def codec(self, *, strict: bool) -> Codec | None:
        column = self.column
        return resolve(column["oid"], column["typmod"], self.types, self.modes(strict=strict), column["dimensions"])


def value_modes(settings: Mapping[str, str], *, strict: bool) -> ValueModes:
    """The modes that Debezium's options stand for."""
    return ValueModes(
        decimal=settings.get("decimal.handling.mode", "precise"),
        time_precision=settings.get("time.precision.mode", "adaptive"),
        interval=settings.get("interval.handling.mode", "numeric"),
        hstore=settings.get("hstore.handling.mode", "json"),
        binary=settings.get("binary.handling.mode", "bytes"),
        money_fraction_digits=int(settings.get("money.fraction.digits", "2")),
        include_unknown=settings.get("include.unknown.datatypes") == "true",
        decimal_numeric=settings.get("value.converter.decimal.format") == "NUMERIC",
        strict=strict,
    )


def recorded(kind: str) -> Iterator[Recorded]:
    """Every column and mode of the golden files of a kind."""
    for path in sorted(GOLDEN.glob("*.jsonl")):
        with path.open() as file:
            head = json.loads(next(file))
            types = {row["oid"]: PgType(**{**row, "labels": tuple(row["labels"])}) for row in head["types"]}
            for line in file:
                entry = json.loads(line)
                if entry["kind"] == kind:
                    yield Recorded(
                        family=path.stem,
                        kind=kind,
                        mode=entry["mode"],
                        settings=head["modes"][entry["mode"]],
                        column=entry["column"],
                        types=types,
                        schema=entry["schema"],
                        values=tuple(map(tuple, entry.get("values", ()))),
                        payload=entry.get("payload"),
                    )


def name(entry: Recorded) -> str:
    """How a test of an entry is called."""
    default = entry.column["default"] if entry.kind == "default" else None
    return f"{entry.family}-{entry.mode}-{entry.column['type']}" + (f"={default}" if default else "")
