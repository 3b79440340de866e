"""What differs between two captures, and which differences are tolerated for a reason that is written down."""

from __future__ import annotations

import json
import tomllib
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

from tests.differential.canonical import Canonical, parsed

TOLERATED = Path(__file__).parent / "tolerated"


@dataclass(frozen=True, slots=True)
class Difference:
    """One place where two captures differ.

    Attributes:
        where: The topic, and which of its records.
        path: The place in the record, as `value.after.price`.
        theirs: What Debezium wrote there.
        ours: What the native engine wrote.
    """

    where: str
    path: str
    theirs: Any
    ours: Any

    def __str__(self) -> str:
        return f"{self.where} {self.path}\n    theirs: {_short(self.theirs)}\n    ours:   {_short(self.ours)}"


@dataclass(frozen=True, slots=True)
class Tolerance:
    """A difference that is allowed.

    Attributes:
        name: The file's name.
        script: Which scripts it holds for, a shell pattern.
        path: Which places, a shell pattern.
        row: The row of the table of known defects that it stands for, or the word clock.
        live: Whether it is needed live only, where nothing is numbered anew.
        reason: Why it is allowed.
    """

    name: str
    script: str
    path: str
    row: str
    reason: str
    live: bool = False

    def allows(self, script: str, difference: Difference) -> bool:
        return fnmatchcase(script, self.script) and fnmatchcase(difference.path, self.path)


def tolerances(directory: Path = TOLERATED) -> list[Tolerance]:
    """What the files of a folder allow; each file must say why."""
    found = []
    for path in sorted(directory.glob("*.toml")):
        entry = tomllib.loads(path.read_text(encoding="utf-8"))
        found.append(Tolerance(path.stem, **entry))
        assert found[-1].reason.strip(), f"{path} gives no reason"
    return found


def check_equal(script: str, theirs: Sequence[Canonical], ours: Sequence[Canonical], *, live: bool) -> None:
    """Compare two captures record by record.

    Raises:
        AssertionError: They differ where nothing allows it, or a tolerance for the script allows what does not occur.
    """
    allowed = [t for t in tolerances() if fnmatchcase(script, t.script) and (live or not t.live)]
    used: set[str] = set()
    unexplained = []
    for difference in differences(theirs, ours):
        reasons = [tolerance.name for tolerance in allowed if tolerance.allows(script, difference)]
        used.update(reasons)
        if not reasons:
            unexplained.append(difference)
    if unexplained:
        raise AssertionError(f"{script}: {len(unexplained)} differences\n{_summary(unexplained)}")
    unused = sorted({tolerance.name for tolerance in allowed} - used)
    assert not unused, f"{script}: nothing differs any more where {', '.join(unused)} allows it: remove the file"


def _summary(found: Sequence[Difference], most: int = 15) -> str:
    """The differences, each kind once with the place where it was seen first."""
    kinds: dict[tuple[str, str, str], list[Difference]] = {}
    for difference in found:
        kind = (difference.path, _short(difference.theirs), _short(difference.ours))
        kinds.setdefault(kind, []).append(difference)
    lines = [f"{same[0]}" + (f"\n    and {len(same) - 1} more like it" if same[1:] else "") for same in kinds.values()]
    return "\n".join([*lines[:most], *([f"and {len(lines) - most} other kinds"] if lines[most:] else [])])


def differences(theirs: Sequence[Canonical], ours: Sequence[Canonical]) -> Iterator[Difference]:
    """All differences, topic by topic, each partition in its order."""
    left, right = _by_place(theirs), _by_place(ours)
    for place in sorted({*left, *right}):
        a, b = left.get(place, []), right.get(place, [])
        if len(a) != len(b):
            yield Difference(place, "records", [_label(r) for r in a], [_label(r) for r in b])
        for number, (one, other) in enumerate(zip(a, b, strict=False)):
            if one != other:
                yield from _of_records(f"{place}[{number}]", one, other)


def _by_place(records: Iterable[Canonical]) -> dict[str, list[Canonical]]:
    found: dict[str, list[Canonical]] = {}
    for record in records:
        found.setdefault(f"{record.topic}-{record.partition}", []).append(record)
    for place, held in found.items():
        if all((record.key or "").startswith('{"serverName":') for record in held):
            found[place] = sorted(set(held), key=repr)  # how many there are is a matter of time
    return found


def without_partitions_of_null_keys(records: Iterable[Canonical]) -> list[Canonical]:
    """Records whose partition the producer chose at random stand in one partition, sorted: their order is lost."""
    kept, loose = [], []
    for record in records:
        (loose if record.key is None else kept).append(record)
    return kept + sorted((replace(record, partition=-1) for record in loose), key=lambda record: record.value or "")


def _of_records(where: str, theirs: Canonical, ours: Canonical) -> Iterator[Difference]:
    for side in ("key_schema", "key", "value_schema", "value"):
        a, b = getattr(theirs, side), getattr(ours, side)
        if a == b:
            continue
        found = list(_of_values(side, parsed(a), parsed(b)))
        # The same JSON in another spelling: a number's text, an escape, the order of members.
        for path, one, other in found or [(side + " (text)", a, b)]:
            yield Difference(where, path, one, other)
    if theirs.headers != ours.headers:
        yield Difference(where, "headers", theirs.headers, ours.headers)


def _of_values(path: str, a: Any, b: Any) -> Iterator[tuple[str, Any, Any]]:
    if isinstance(a, dict) and isinstance(b, dict):
        for name in [*a, *(name for name in b if name not in a)]:
            if name not in a or name not in b:
                yield f"{path}.{name}", a.get(name, "(absent)"), b.get(name, "(absent)")
            else:
                yield from _of_values(f"{path}.{name}", a[name], b[name])
        if list(a) != list(b) and set(a) == set(b):
            yield f"{path} (order)", list(a), list(b)
    elif isinstance(a, list) and isinstance(b, list) and _named(a) and _named(b):
        yield from _of_fields(path, a, b)
    elif isinstance(a, list) and isinstance(b, list) and len(a) == len(b):
        for place, (one, other) in enumerate(zip(a, b, strict=True)):
            yield from _of_values(f"{path}.{place}", one, other)
    elif type(a) is not type(b) or a != b:
        yield path, a, b


def _named(fields: list[Any]) -> bool:
    return all(isinstance(item, dict) and "field" in item for item in fields)


def _of_fields(path: str, a: list[Any], b: list[Any]) -> Iterator[tuple[str, Any, Any]]:
    """Fields of a schema, by name."""
    left, right = ({field["field"]: field for field in fields} for fields in (a, b))
    yield from _of_values(path, left, right)


def _label(record: Canonical) -> str:
    value = parsed(record.value)
    kind = value.get("op", value.get("status", "?")) if isinstance(value, dict) else value
    return f"{kind} {record.key}"


def _short(value: Any) -> str:
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    return text if len(text) <= 700 else text[:700] + " ..."
