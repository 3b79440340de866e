"""Rows of a database against the rows of a folded topic: equal bytes are equal, everything else is looked at."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import orjson

from legacy_db.shape import KEY_END, TableShape
from legacy_db.topic_fold import Fold, Multiset, Visibility

SHOWN: Final = 100
_KEY_END: Final = KEY_END.encode()
CANDIDATES: Final = 5_000

ADDED_LATER: Final = "a column added later is NULL in rows that were not written since"

Candidate = tuple[bytes, bytes | None, bytes | None]
"""Key in the database's or else the topic's form, the database's row, the topic's row."""


@dataclass(frozen=True, slots=True)
class Difference:
    """One row that is not the same on both sides.

    Attributes:
        kind: missing (in the second only absent), extra (in the first absent), different.
        key: The key as JSON; of a table without key the row.
        columns: Column -> (first, second), of `different`.
        times: Of a table without key: by how many occurrences they differ.
        names: What it looks like, as `legacy_db.diagnose` names it.
    """

    kind: str
    key: Any
    columns: dict[str, tuple[Any, Any]] = field(default_factory=dict)
    times: int = 1
    names: tuple[str, ...] = ()

    def as_json(self, *, values: bool = False) -> dict[str, Any]:
        """As a JSON object; values of rows only when asked for, keys always."""
        document: dict[str, Any] = {"kind": self.kind, "key": self.key}
        if self.columns:
            document["columns"] = (
                {name: list(pair) for name, pair in self.columns.items()} if values else sorted(self.columns)
            )
        if self.times != 1:
            document["times"] = self.times
        if self.names:
            document["looks_like"] = list(self.names)
        return document


@dataclass(slots=True)
class Tally:
    """What a comparison of one table has found so far.

    Attributes:
        rows: Rows of the database.
        rules: Named rule -> how many values were equal only under it.
        missing: Rows of the database that the topic lacks.
        extra: Rows of the topic that the database lacks.
        different: Rows that both have, with other values.
        candidates: The first of them.
    """

    rows: int = 0
    rules: Counter[str] = field(default_factory=Counter)
    missing: int = 0
    extra: int = 0
    different: int = 0
    candidates: list[Candidate] = field(default_factory=list)

    @property
    def mismatches(self) -> int:
        """How many rows are not the same."""
        return self.missing + self.extra + self.different

    def add(self, key: bytes, database: bytes | None, topic: bytes | None) -> None:
        """Count one row that is not the same."""
        if database is None:
            self.extra += 1
        elif topic is None:
            self.missing += 1
        else:
            self.different += 1
        if len(self.candidates) < CANDIDATES:
            self.candidates.append((key, database, topic))


class RowComparer:
    """Compares two versions of one row.

    Args:
        shape: The table.
        rules: Counts of rules that were needed.
    """

    def __init__(self, shape: TableShape, rules: Counter[str]) -> None:
        self.shape = shape
        self.rules = rules
        # Only decimal.format=NUMERIC writes numbers that a double cannot hold.
        exact = shape.layout.modes.decimal_numeric
        self._loads = _loads_exactly if exact else orjson.loads

    def differing(self, database: bytes, topic: bytes) -> dict[str, tuple[Any, Any]]:
        """Column -> (database's value, topic's value) of the columns that differ."""
        first, second = self._loads(database), self._loads(topic)
        differing = {}
        for name in self.shape.expected:
            left, right = first.get(name), second.get(name, _ABSENT)
            if right is _ABSENT:
                if left is None:
                    self.rules[ADDED_LATER] += 1
                else:
                    differing[name] = (left, None)
            elif type(left) is not type(right) or left != right:
                rule = self.shape.same(name, right, left)
                if rule is None:
                    differing[name] = (left, right)
                elif rule:
                    self.rules[rule] += 1
            elif isinstance(left, _Number) and str(left) != str(right) and float(left) != float(right):
                differing[name] = (left, right)
        for name in second.keys() - self.shape.expected.keys():
            differing[name] = (None, second[name])
        return differing


class _Absent:
    pass


_ABSENT: Final = _Absent()


class _Number(str):
    """A number with a fraction as it is written, so that no digit is lost."""

    __slots__ = ()


def _loads_exactly(text: bytes) -> Any:
    return json.loads(text, parse_float=_Number)


KeyOfLine = Callable[[bytes], tuple[bytes, bytes]]


def split_line(line: bytes) -> tuple[bytes, bytes]:
    """Key and row of a COPY line with both."""
    if b"\\" in line:
        line = line.replace(b"\\\\", b"\\")
    key, _, row = line[:-1].partition(_KEY_END)
    return key, row


def split_leading_key(line: bytes) -> tuple[bytes, bytes]:
    """Key and row of a COPY line whose row begins with its integer key."""
    if b"\\" in line:
        line = line.replace(b"\\\\", b"\\")
    row = line[:-1]
    comma = row.find(b",")
    return (row[:comma] + b"}" if comma > 0 else row), row


def compare_file(
    path: Path, shape: TableShape, fold: Fold, visibility: Visibility, tally: Tally, matched: set[bytes], *,
    once: bool, leading: bool,
) -> None:  # fmt: skip
    """Compare the rows of one file with a fold.

    Args:
        path: COPY lines, read under one snapshot.
        shape: The table.
        fold: The topic.
        visibility: Of the file's snapshot.
        tally: What was found.
        matched: Keys that were compared and are still in the fold.
        once: Whether a key comes once, so that its row can be taken out of the fold; under several snapshots a row that
            moved may come twice.
        leading: Whether the row begins with its key.
    """
    rows, late = fold.rows, fold.late
    comparer = RowComparer(shape, tally.rules)
    count = 0
    with path.open("rb", buffering=1 << 20) as file:
        split = split_leading_key if leading else split_line
        special = not shape.literal_key
        for line in file:
            key, row = split(line)
            lookup = shape.canonical_key(key, topic=False) if special or b"\\" in key else key
            count += 1
            if once and lookup not in late:
                have = rows.pop(lookup, None)
            else:
                have = fold.at(lookup, visibility) if lookup in late or fold.truncates else rows.get(lookup)
                matched.add(lookup)
            if have != row:
                _look(comparer, tally, key, row, have)
    tally.rows += count


def _look(comparer: RowComparer, tally: Tally, key: bytes, row: bytes, have: bytes | None) -> None:
    if have is None or comparer.differing(row, have):
        tally.add(key, row, have)


def leftovers(fold: Fold, shape: TableShape, visibility: Visibility, tally: Tally, matched: set[bytes]) -> None:
    """Count the rows of the topic that no row of the database was found for."""
    for key in fold.rows.keys() | fold.late.keys():
        if key not in matched:
            row = fold.at(key, visibility) if key in fold.late or fold.truncates else fold.rows[key]
            if row is not None:
                tally.add(key if shape.literal_key else _key_of(row, shape), None, row)


def _key_of(row: bytes, shape: TableShape) -> bytes:
    values = orjson.loads(row)
    return orjson.dumps({name: values.get(name) for name in shape.key})


def compare_multiset(files: Iterable[Path], shape: TableShape, topic: Multiset, tally: Tally) -> list[Difference]:
    """Compare rows without keys by how often each occurs; what is equal is taken out of the fold."""
    counts = topic.counts
    for path in files:
        with path.open("rb", buffering=1 << 20) as file:
            for line in file:
                row = line[:-1].replace(b"\\\\", b"\\")
                canonical = shape.canonical_row(row, topic=False)
                counts[canonical] = counts.get(canonical, 0) - 1
                tally.rows += 1
    found: list[Difference] = []
    for canonical, count in counts.items():
        if count:
            kind = "extra" if count > 0 else "missing"
            tally.extra += max(count, 0)
            tally.missing += max(-count, 0)
            if len(found) < SHOWN:
                found.append(Difference(kind, canonical.decode("utf-8", "replace"), times=abs(count)))
    return found
