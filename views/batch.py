"""What a view applies: runs of rows with the offsets that they end at, and the state that both become.

Values are JSON text in bytes, exactly as it came: a number never passes through a float.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, NamedTuple

import msgspec

from cdc.lsn import LSN, Position

Place = tuple[str, int]
"""Topic and partition."""

Offsets = dict[Place, int]
"""Next offset to read, by place."""

STATE_VERSION: Final = 1


class Row(NamedTuple):
    """One row of a view, and which write it shows.

    Attributes:
        key: The key's bytes, schemas unwrapped.
        value: The row as JSON.
        topic: Where it was read.
        partition: The same.
        offset: The same.
        source: The position of the write in the database, where the record told it.
    """

    key: bytes
    value: bytes
    topic: str
    partition: int
    offset: int
    source: Position | None = None

    @property
    def position(self) -> str:
        """Which write it shows: `system id/timeline/LSN/ordinal`, or `topic/partition/offset`."""
        return f"{self.topic}/{self.partition}/{self.offset}" if self.source is None else str(self.source)


def parse_position(text: str) -> Position:
    """Read `system id/timeline/commit LSN/ordinal`.

    Raises:
        ValueError: The text is not such a position.
    """
    parts = text.split("/")
    if len(parts) != 5:
        raise ValueError(f"not a position: {text!r}")
    return Position(int(parts[0]), int(parts[1]), LSN((int(parts[2], 16) << 32) | int(parts[3], 16)), int(parts[4]))


@dataclass(slots=True)
class Run:
    """Changes of one partition, in the order of their offsets; columns instead of objects, since there are millions.

    Attributes:
        topic: Where they were read.
        partition: The same.
        keys: Key bytes.
        values: JSON, or None for a deletion.
        offsets: Of each.
        sources: Positions in the database, or None where no record told any.
        partial: Index -> names of the columns whose value is unchanged and was not sent.
        packed: Keys and values end to end, where somebody has joined them already.
        bounds: The lowest and the highest key, where somebody has looked for them already.
    """

    topic: str
    partition: int
    keys: list[bytes]
    values: list[bytes | None]
    offsets: Sequence[int]
    sources: list[Position | None] | None = None
    partial: dict[int, tuple[str, ...]] = field(default_factory=dict)
    packed: bytes | None = None
    bounds: tuple[bytes, bytes] | None = None

    def __len__(self) -> int:
        return len(self.keys)

    def source(self, index: int) -> Position | None:
        """The position of one change."""
        return None if self.sources is None else self.sources[index]


@dataclass(frozen=True, slots=True)
class Truncation:
    """The table was emptied: rows that were written before it go.

    Attributes:
        topic: The table's topic.
        partition: Where the event was read.
        offset: The same.
        source: Its position; None where the record told none, and every row read so far goes.
    """

    topic: str
    partition: int
    offset: int
    source: Position | None

    def covers(self, source: Position | None) -> bool:
        """Whether a row with that position was written before the truncation."""
        return source is None or self.source is None or source < self.source


@dataclass(frozen=True, slots=True)
class DeadLetter:
    """A record that a view could not take; it lies in its topic still.

    Attributes:
        topic: Where.
        partition: Where.
        offset: Where.
        reason: Code and sentence.
        key: The begin of its key, as text.
        time: Unix time when it was met, seconds.
    """

    topic: str
    partition: int
    offset: int
    reason: str
    key: str
    time: float

    def as_json(self) -> dict[str, Any]:
        """The dead letter as a JSON object."""
        return {
            "topic": self.topic, "partition": self.partition, "offset": self.offset, "reason": self.reason,
            "key": self.key, "time": self.time,
        }  # fmt: skip


@dataclass(slots=True)
class ViewState:
    """What is stored with the rows, in the same atomic step.

    Attributes:
        offsets: Next offset to read of each place; everything below is applied.
        guards: `topic/partition/pipeline` -> position of the last change applied from there: what comes again after a
            restart of the engine lies at or below it.
        truncated: Topic -> position of the last truncation.
        topic_ids: Topic -> the broker's id of it, where known: a topic that was made anew has another.
        key_columns: Topic -> names of the key's columns; empty for keys that are no JSON object.
        seen_until: Unix time up to which all records that had been written were applied, seconds; 0 for never.
        complete: Whether the view was complete as of some end once.
        dead: How many dead letters there were.
        config: Digest of the configuration that shapes the rows.
        boundaries: Where the topic of transaction boundaries is to be read on from, in a view that shows whole ones.
    """

    offsets: Offsets = field(default_factory=dict)
    guards: dict[str, Position] = field(default_factory=dict)
    truncated: dict[str, Position] = field(default_factory=dict)
    topic_ids: dict[str, str] = field(default_factory=dict)
    key_columns: dict[str, tuple[str, ...]] = field(default_factory=dict)
    seen_until: float = 0.0
    complete: bool = False
    dead: int = 0
    config: str = ""
    boundaries: Offsets = field(default_factory=dict)

    def encode(self) -> bytes:
        """The state as JSON."""
        return msgspec.json.encode(
            {
                "version": STATE_VERSION, "offsets": nested(self.offsets),
                "guards": {name: str(position) for name, position in self.guards.items()},
                "truncated": {name: str(position) for name, position in self.truncated.items()},
                "topic_ids": self.topic_ids, "key_columns": {t: list(names) for t, names in self.key_columns.items()},
                "seen_until": self.seen_until, "complete": self.complete, "dead": self.dead, "config": self.config,
                "boundaries": nested(self.boundaries),
            }
        )  # fmt: skip

    @classmethod
    def decode(cls, data: bytes | str) -> ViewState:
        """Read it.

        Raises:
            ValueError: It is damaged, or of a newer version.
        """
        try:
            document = msgspec.json.decode(data)
            if document["version"] != STATE_VERSION:
                raise ValueError(f"a state of version {document['version']}")
            return cls(
                flat(document["offsets"]),
                {name: parse_position(text) for name, text in document["guards"].items()},
                {name: parse_position(text) for name, text in document["truncated"].items()},
                document["topic_ids"], {t: tuple(names) for t, names in document["key_columns"].items()},
                document["seen_until"], document["complete"], document["dead"], document["config"],
                flat(document.get("boundaries", {})),
            )  # fmt: skip
        except (msgspec.DecodeError, KeyError, TypeError, AttributeError) as error:
            raise ValueError(f"a damaged state: {type(error).__name__}") from error

    def copy(self) -> ViewState:
        """An independent copy."""
        return ViewState(
            dict(self.offsets), dict(self.guards), dict(self.truncated), dict(self.topic_ids), dict(self.key_columns),
            self.seen_until, self.complete, self.dead, self.config, dict(self.boundaries),
        )  # fmt: skip


@dataclass(slots=True)
class Batch:
    """What is applied in one atomic step.

    Attributes:
        items: Runs and truncations, in the order in which they were read.
        state: The view's state after it.
        dead: Records that could not be taken.
    """

    items: list[Run | Truncation]
    state: ViewState
    dead: list[DeadLetter] = field(default_factory=list)

    def runs(self) -> Iterator[Run]:
        """The runs without the truncations."""
        return (item for item in self.items if isinstance(item, Run))

    def __len__(self) -> int:
        return sum(len(run) for run in self.runs())


def nested(offsets: Mapping[Place, int]) -> dict[str, dict[str, int]]:
    """Topic -> partition -> offset, as JSON has it."""
    found: dict[str, dict[str, int]] = {}
    for (topic, partition), offset in offsets.items():
        found.setdefault(topic, {})[str(partition)] = offset
    return found


def flat(offsets: Mapping[str, Mapping[str, int]]) -> Offsets:
    """The reverse of `nested`."""
    return {(topic, int(p)): offset for topic, places in offsets.items() for p, offset in places.items()}
