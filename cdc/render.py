"""A relation compiled into one callable: payload of a row message -> the records it becomes.

The callable is generated source. It walks the row once, turns each text into its JSON fragment, and joins a record's
value in one step: no value is built and no text is parsed twice. `cdc.rows` is the plain form that this one is proven
equal to, and the one that runs when a transform looks inside the row or the converter is not JSON.
"""

from __future__ import annotations

import linecache
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from cdc.converters.json import JsonConverter
from cdc.envelope import envelope_schema
from cdc.errors import DecodeError, ProtocolError
from cdc.layout import Layout, LayoutColumn
from cdc.source import SourceState, WireHeaders
from cdc.topics import TopicNames
from cdc.values.jsontext import quote
from cdc.values.registry import IDENTITY
from cdc.wire.pgoutput import Delete, Insert, Update, parse_message

Record = tuple[str, bytes | None, bytes | None, WireHeaders]
"""Topic, key, value, headers: what the producer takes."""

Render = Callable[[bytes, bytes, SourceState], Sequence[Record]]
"""Payload of an Insert, Update or Delete message; LSN of its frame as decimal text; the open transaction."""


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
        tombstones: `tombstones.on.delete`.
        skipped: The operations of `skipped.operations`.
        transaction_metadata: Whether records carry a transaction block.
        extended_headers: Whether records carry context headers.
    """

    topics: TopicNames
    key_schemas: bool = True
    value_schemas: bool = True
    key_decimal_numeric: bool = False
    value_decimal_numeric: bool = False
    null_as_default: bool = False
    tombstones: bool = True
    skipped: frozenset[str] = frozenset({"t"})
    transaction_metadata: bool = False
    extended_headers: bool = True


class ComposedRender:
    """The compiled form of one layout.

    Attributes:
        source: The generated source, for `seam debug render` and for tracebacks.
        render: The callable.
    """

    def __init__(self, layout: Layout, options: RenderOptions) -> None:
        self.layout = layout
        writer = _Writer(layout, options)
        self.source = writer.source()
        name = f"<render {layout.relation.qualified} #{id(self):x}>"
        # Registered, so that a traceback shows the generated line.
        linecache.cache[name] = (len(self.source), None, self.source.splitlines(keepends=True), name)
        namespace = dict(writer.namespace)
        namespace["explain"] = self._explain
        exec(compile(self.source, name, "exec"), namespace)  # noqa: S102 - our own generated text, names quoted by repr
        self.render: Render = namespace["render"]

    def _explain(self, payload: bytes, error: Exception, state: SourceState) -> Exception:
        """Say what is wrong with a message that the generated code could not take."""
        try:
            message = parse_message(payload)
        except ProtocolError as broken:
            return broken
        return explain_row(self.layout, message, error, state)


def explain_row(layout: Layout, message: Any, error: Exception, state: SourceState) -> Exception:
    """The error that names table, column and position of the value that a codec refused."""
    rows = [getattr(message, name) for name in ("old", "new") if isinstance(getattr(message, name, None), list)]
    relation = layout.relation
    if isinstance(message, (Insert, Update, Delete)):
        for cells in rows:
            if len(cells) != len(relation.columns):
                return ProtocolError(
                    f"{relation.qualified} has {len(relation.columns)} columns, the row {len(cells)}",
                    tag=type(message).__name__[0], length=len(cells),
                )  # fmt: skip
            for column in {*layout.columns, *layout.key}:
                cell = cells[column.index]
                if not isinstance(cell, bytes):
                    continue
                try:
                    column.codec.to_json(cell)
                except ValueError as reason:
                    return DecodeError(
                        f"column {column.column.name}: {reason}", table=relation.qualified,
                        position=f"{state.commit_lsn}/{state.ordinal}",
                        hint="event.processing.failure.handling.mode decides whether such a record stops the pipeline",
                    )  # fmt: skip
    return error


_INDENT = "    "


class _Writer:
    """Writes the source of one render function."""

    def __init__(self, layout: Layout, options: RenderOptions) -> None:
        self.layout = layout
        self.options = options
        self.key_json = JsonConverter(schemas_enable=options.key_schemas, decimal_numeric=options.key_decimal_numeric)
        self.value_json = JsonConverter(
            schemas_enable=options.value_schemas, decimal_numeric=options.value_decimal_numeric
        )
        self.namespace: dict[str, Any] = {"from_bytes": int.from_bytes, "join": b"".join}
        self.lines: list[str] = []
        self.depth = 0
        self.used: dict[int, LayoutColumn] = {c.index: c for c in (*layout.key, *layout.columns)}
        self.published = {c.index for c in layout.columns}

    def put(self, text: str) -> None:
        self.lines.append(_INDENT * self.depth + text)

    # -- the frame ---------------------------------------------------------------------------------------------------

    def source(self) -> str:
        self.put("def render(p, lsn, state):")
        self.depth = 1
        self.put("try:")
        self.depth = 2
        for tag, write in (("I", self.insert), ("U", self.update), ("D", self.delete)):
            self.put(f"{'if' if tag == 'I' else 'elif'} p[0] == {ord(tag)}:")
            self.depth += 1
            write()
            self.depth -= 1
        self.put("raise ValueError('not a row message')")
        self.depth = 1
        self.put("except (ValueError, IndexError) as error:")
        self.put(_INDENT + "raise explain(p, error, state) from error")
        return "\n".join(self.lines) + "\n"

    def insert(self) -> None:
        self.put("if p[5] != 78: raise ValueError('expected a new tuple')")
        self.put("n = 6")
        self.tuple("c", "new")
        self.finish()
        if "c" in self.options.skipped:
            self.put("return ()")
            return
        self.put(f"return ({self.record('c', before=None, after='c')},)")

    def delete(self) -> None:
        self.put("kind = p[5]")
        self.put("n = 6")
        self.old_tuple()
        self.finish()
        if "d" in self.options.skipped:
            self.put("return ()")
            return
        self.put("key = " + self.key("o"))
        row = self.record("d", before="o", after=None, key="key")
        if self.options.tombstones:
            self.put(f"return ({row}, {self.tombstone('key')})")
        else:
            self.put(f"return ({row},)")

    def update(self) -> None:
        self.put("kind = p[5]")
        self.put("n = 6")
        self.put("if kind == 78:")
        self.depth += 1
        self.tuple("c", "new")
        self.finish()
        if "u" in self.options.skipped:
            self.put("return ()")
        else:
            self.put(f"return ({self.record('u', before=None, after='c')},)")
        self.depth -= 1
        self.old_tuple()
        self.put("if p[n] != 78: raise ValueError('expected a new tuple')")
        self.put("n += 1")
        self.tuple("c", "new after old")
        self.finish()
        if self.layout.key:
            self.put("key = " + self.key("o"))
            self.put("new_key = " + self.key("c"))
            changed = " or ".join(f"o{c.index} != c{c.index}" for c in self.layout.key)
            self.put(f"if {changed}:")
            self.depth += 1
            self.key_change()
            self.depth -= 1
        if "u" in self.options.skipped:
            self.put("return ()")
        else:
            self.put(f"return ({self.record('u', before='o', after='c')},)")

    def key_change(self) -> None:
        """An UPDATE of the key: delete and tombstone under the old key, create under the new one."""
        self.put(f"to = ('__debezium.newkey', {self.bare_key('c')})")
        records = [] if "d" in self.options.skipped else [
            self.record("d", before="o", after=None, key="key", headers="state.headers(to)")
        ]  # fmt: skip
        if records and self.options.tombstones:
            records.append(self.tombstone("key", headers="state.headers(to)"))
        if "c" not in self.options.skipped:
            self.put(f"back = ('__debezium.oldkey', {self.bare_key('o')})")
            records.append(self.record("c", before=None, after="c", key="new_key", headers="state.headers(back)"))
        self.put(f"return ({''.join(record + ', ' for record in records)})")

    def finish(self) -> None:
        self.put("if n != len(p): raise IndexError('length')")

    # -- rows in -----------------------------------------------------------------------------------------------------

    def old_tuple(self) -> None:
        self.put("if kind == 75:")
        self.depth += 1
        self.tuple("o", "key")
        self.depth -= 1
        self.put("elif kind == 79:")
        self.depth += 1
        self.tuple("o", "old")
        self.depth -= 1
        self.put("else: raise ValueError('unknown tuple kind')")

    def tuple(self, prefix: str, role: str) -> None:
        """Decode one tuple into variables; `role` says what null and unchanged mean in it."""
        columns = self.layout.relation.columns
        self.put(f"if p[n] != {len(columns) >> 8} or p[n+1] != {len(columns) & 255}: raise ValueError('column count')")
        self.put("n += 2")
        for index in range(len(columns)):
            self.cell(prefix, index, role)

    def cell(self, prefix: str, index: int, role: str) -> None:
        column = self.used.get(index)
        name = f"{prefix}{index}"
        self.put("k = p[n]")
        self.put("if k == 116:")
        self.put("    e = n + 5 + from_bytes(p[n+1:n+5], 'big')")
        if column is not None:
            piece = "p[n+5:e]"
            if column.codec.to_json is not IDENTITY:
                self.namespace[f"f{index}"] = column.codec.to_json
                piece = f"f{index}({piece})"
            self.put(f"    {name} = {piece}")
        self.put("    n = e")
        self.put("elif k == 110:")
        if column is not None:
            self.put(f"    {name} = {self.null(column, role)!r}")
        self.put("    n += 1")
        self.put("elif k == 117:")
        if column is not None:
            unchanged = f"o{index}" if role == "new after old" else repr(self.unavailable(column))
            if role == "new after old":
                # Only FULL sends the old value; a key tuple leaves the column out.
                unchanged = f"o{index} if kind == 79 else {self.unavailable(column)!r}"
            self.put(f"    {name} = {unchanged}")
        self.put("    n += 1")
        self.put("else: raise ValueError('unknown column kind')")

    def null(self, column: LayoutColumn, role: str) -> bytes:
        if role == "key" and not column.column.key:
            filler = column.codec.filler if column.schema.default is None else column.schema.default
            if self.layout.modes.strict and not column.schema.optional and filler is not None:
                return self.value_json.payload(column.schema, filler).encode()
            return b"null"
        if self.options.null_as_default and column.schema.default is not None:
            return self.value_json.payload(column.schema, column.schema.default).encode()
        return b"null"

    def unavailable(self, column: LayoutColumn) -> bytes:
        if column.codec.unavailable is None:
            return b"null"
        return self.value_json.payload(column.codec.schema, column.codec.unavailable).encode()

    # -- records out -------------------------------------------------------------------------------------------------

    def key(self, prefix: str) -> str:
        if self.layout.key_schema is None:
            return "None"
        pieces = self.struct(prefix, self.layout.key)
        if self.options.key_schemas:
            schema = self.key_json.schema_text(self.layout.key_schema).encode()
            pieces = [b'{"schema":' + schema + b',"payload":', *pieces, b"}"]
        return _joined(pieces)

    def bare_key(self, prefix: str) -> str:
        return _joined(self.struct(prefix, self.layout.key))

    @staticmethod
    def struct(prefix: str, columns: Sequence[LayoutColumn]) -> list[bytes | str]:
        pieces: list[bytes | str] = []
        opening = b"{"
        for column in columns:
            pieces += [opening + quote(column.name.encode()) + b":", f"{prefix}{column.index}"]
            opening = b","
        return [*pieces, b"}" if columns else b"{}"]

    def record(
        self, op: str, *, before: str | None, after: str | None, key: str | None = None, headers: str | None = None
    ) -> str:
        relation = self.layout.relation
        pieces: list[bytes | str] = [b'{"before":']
        pieces += [b"null"] if before is None else self.struct(before, self.layout.columns)
        pieces.append(b',"after":')
        pieces += [b"null"] if after is None else self.struct(after, self.layout.columns)
        place = b'"schema":%b,"table":%b,"txId":' % (quote(relation.schema.encode()), quote(relation.name.encode()))
        block = f"state.block({relation.qualified!r})" if self.options.transaction_metadata else b"null"
        pieces += [b",", "state.lead", "lsn", "state.middle", place, "state.xid_text", b',"lsn":', "lsn", "state.tail"]
        pieces += [block, b',"op":"%b",' % op.encode(), "state.clock"]
        if self.options.value_schemas:
            schema = self.value_json.schema_text(envelope_schema(self.layout, self.options.topics)).encode()
            pieces = [b'{"schema":' + schema + b',"payload":', *pieces, b"}"]
        prefix = after or before or ""
        return (
            f"({self.layout.topic!r}, {key or self.key(prefix)}, {_joined(pieces)}, {headers or self.plain_headers()})"
        )

    def tombstone(self, key: str, headers: str | None = None) -> str:
        return f"({self.layout.topic!r}, {key}, None, {headers or self.plain_headers()})"

    def plain_headers(self) -> str:
        return "state.headers()" if self.options.extended_headers else "None"


def _joined(pieces: Sequence[bytes | str]) -> str:
    """The expression that joins constants (bytes) and expressions (str), constants next to each other merged."""
    merged: list[bytes | str] = []
    for piece in pieces:
        if isinstance(piece, bytes) and merged and isinstance(merged[-1], bytes):
            merged[-1] += piece
        else:
            merged.append(piece)
    texts = [repr(piece) if isinstance(piece, bytes) else piece for piece in merged]
    if len(texts) <= 3:
        return " + ".join(texts)
    return f"join(({', '.join(texts)}))"
