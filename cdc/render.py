"""A relation compiled into one callable: payload of a row message -> the records it becomes.

The callable is generated source (`cdc.composing`). It walks the row once, turns each text into its JSON fragment, and
joins a record's value in one step: no value is built and no text is parsed twice. `cdc.rows` is the plain form that
this one is proven equal to, and the one that runs when a transform looks inside the row or the converter is not JSON.
"""

from __future__ import annotations

import linecache
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Final

from cdc.composing import Writer
from cdc.converters.inference import connect_text as header_text
from cdc.errors import DecodeError, ProtocolError
from cdc.layout import Layout
from cdc.source import SourceState, WireHeaders
from cdc.topics import TopicNames
from cdc.wire.pgoutput import Delete, Insert, Update, parse_message

Record = tuple[str, bytes | None, bytes | None, WireHeaders]
"""Topic, key, value, headers: what the producer takes."""


class Placed(tuple):  # type: ignore[type-arg]  # noqa: SLOT001 - a Record with two things more
    """A record that a transform gave a partition or a timestamp.

    Attributes:
        partition: None where the producer's partitioner decides.
        timestamp: Milliseconds since the Unix epoch; None for the producer's clock.
    """

    partition: int | None
    timestamp: int | None

    @classmethod
    def of(cls, record: Record, partition: int | None, timestamp: int | None) -> Record:
        """The record, placed."""
        if partition is None and timestamp is None:
            return record
        placed = cls(record)
        placed.partition, placed.timestamp = partition, timestamp
        return placed


Render = Callable[[bytes, bytes, SourceState], Sequence[Record]]
"""Payload of an Insert, Update or Delete message; LSN of its frame as decimal text; the open transaction."""

Outgrown = Callable[[str], Render]
"""Takes a column whose schema has no room for the NULL that a row holds, and gives the renderer that has."""


@dataclass(frozen=True, slots=True)
class RenderOptions:
    """What a configuration says about records.

    Attributes:
        topics: Topic and schema names.
        key_schemas: `key.converter.schemas.enable`.
        value_schemas: `value.converter.schemas.enable`.
        key_decimal_numeric: `key.converter.decimal.format=NUMERIC`.
        value_decimal_numeric: `value.converter.decimal.format=NUMERIC`.
        null_as_default: Whether a NULL in a column with a default is published as the default.
        key_null_as_default: The same in keys.
        tombstones: `tombstones.on.delete`.
        skipped: The operations of `skipped.operations`.
        skip_unchanged: `skip.messages.without.change`.
        transaction_metadata: Whether records carry a transaction block.
        extended_headers: Whether records carry context headers.
    """

    topics: TopicNames
    key_schemas: bool = True
    value_schemas: bool = True
    key_decimal_numeric: bool = False
    value_decimal_numeric: bool = False
    null_as_default: bool = False
    key_null_as_default: bool = False
    tombstones: bool = True
    skipped: frozenset[str] = frozenset({"t"})
    skip_unchanged: bool = False
    transaction_metadata: bool = False
    extended_headers: bool = True


_WHY: Final[dict[str, tuple[str, str | None]]] = {
    "null": ("NULL in a column that the catalogue calls NOT NULL", None),
    "absent": (
        "is part of the key and not of the replica identity: the key of this change cannot be known",
        "ALTER TABLE {table} REPLICA IDENTITY FULL, or choose key columns that the identity holds",
    ),
    "unavailable": (
        "an unchanged TOAST value was not sent, and its schema has no room for a marker",
        "ALTER TABLE {table} REPLICA IDENTITY FULL",
    ),
    "special": (
        "a value that its schema has no room for, in a column that is NOT NULL",
        "set decimal.handling.mode=string (numeric) or time.precision.mode=isostring (dates), or see event.processing.failure.handling.mode",
    ),
}


class Refusal(ValueError):
    """A row holds what its schema has no room for.

    Args:
        column: The column's name.
        why: `null` (a NULL in a required field), `absent` (a key column that was not sent), `unavailable` (an unchanged
            TOAST value without a marker) or `special` (a value such as NaN in a required field).
    """

    def __init__(self, column: str, why: str) -> None:
        super().__init__(f"{column}: {why}")
        self.column = column
        self.why = why

    def explained(self, table: str, position: str) -> DecodeError:
        """The error that says so to the operator."""
        why, hint = _WHY[self.why]
        return DecodeError(
            f"column {self.column}: {why}", table=table, position=position,
            hint=None if hint is None else hint.format(table=table),
        )  # fmt: skip


class ComposedRender:
    """The compiled form of one layout.

    Args:
        layout: The layout.
        options: What the configuration says about records.
        outgrown: See `Outgrown`; without it such a row is an error.
        writer: Writes the source; JSON without a chain when left out.
        instead: Takes the rows that the function cannot take.

    Attributes:
        source: The generated source, for `seam debug render` and for tracebacks.
        render: The callable.
    """

    def __init__(
        self, layout: Layout, options: RenderOptions, outgrown: Outgrown | None = None, writer: Writer | None = None,
        instead: Render | None = None,
    ) -> None:  # fmt: skip
        self.layout = layout
        self.options = options
        self.outgrown = outgrown
        self.instead = instead
        writer = Writer(layout, options) if writer is None else writer
        self.source = writer.source()
        name = f"<render {layout.relation.qualified} #{id(self):x}>"
        # Registered, so that a traceback shows the generated line.
        linecache.cache[name] = (len(self.source), None, self.source.splitlines(keepends=True), name)
        namespace = {**writer.namespace, "Refusal": Refusal, "recover": self._recover, "moved": self._moved}
        exec(compile(self.source, name, "exec"), namespace)  # noqa: S102 - our own generated text, names quoted by repr
        self.render: Render = namespace["render"]

    def _moved(self, payload: bytes) -> tuple[tuple[str, bytes], tuple[str, bytes]]:
        """The headers of the two halves of a changed key."""
        from cdc.rows import RowRecords  # the plain form knows this module

        new, old = RowRecords(self.layout, self.options).keys(payload)
        return ("__debezium.newkey", header_text(new).encode()), ("__debezium.oldkey", header_text(old).encode())

    def _recover(self, payload: bytes, lsn: bytes, state: SourceState, error: Exception) -> Sequence[Record]:
        """Go on after a row that the generated code could not take, or say what is wrong with it."""
        if self.instead is not None:
            return self.instead(payload, lsn, state)
        if isinstance(error, Refusal) and error.why == "null" and self.outgrown is not None:
            return self.outgrown(error.column)(payload, lsn, state)
        try:
            message = parse_message(payload)
        except ProtocolError as broken:
            raise broken from error
        raise explain_row(self.layout, message, error, state) from error


def explain_row(layout: Layout, message: Any, error: Exception, state: SourceState) -> Exception:
    """The error that names table, column and position of the value that a codec refused."""
    rows = [getattr(message, name) for name in ("old", "new") if isinstance(getattr(message, name, None), list)]
    relation = layout.relation
    position = f"{state.commit_lsn}/{state.ordinal}"
    if isinstance(error, Refusal):
        return error.explained(relation.qualified, position)
    if isinstance(message, (Insert, Update, Delete)):
        for cells in rows:
            if len(cells) != len(relation.columns):
                return ProtocolError(
                    f"{relation.qualified} has {len(relation.columns)} columns, the row {len(cells)}",
                    tag=type(message).__name__[0], length=len(cells),
                )  # fmt: skip
            for column in (*layout.columns, *layout.key):
                cell = cells[column.index]
                if not isinstance(cell, bytes):
                    continue
                try:
                    column.codec.to_json(cell)
                except ValueError as reason:
                    return DecodeError(
                        f"column {column.column.name}: {reason}", table=relation.qualified, position=position,
                        hint="event.processing.failure.handling.mode decides whether such a record stops the pipeline",
                    )  # fmt: skip
    if isinstance(error, ValueError):
        # Digits that nobody looks at until a key's header is written.
        return DecodeError(str(error), table=relation.qualified, position=position)
    return error
