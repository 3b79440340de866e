"""Writes the source of a render function: one walk over a row message, one join for each record.

Names in the generated code: `p` the payload, `n` the place in it, `k` a column's kind, `v` its text; `c3` is the JSON
fragment of column 3 in the new row, `o3` in the old one, `ck3` and `ok3` where the key writes the column otherwise.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from cdc.converters.json import JsonConverter
from cdc.envelope import envelope_schema
from cdc.layout import REFUSED, Layout, LayoutColumn
from cdc.values.codec import IDENTITY
from cdc.values.jsontext import quote

if TYPE_CHECKING:
    from cdc.render import RenderOptions

_INDENT = "    "


class Writer:
    """Writes the source of one render function.

    The caller adds the names `Refusal` (raised when a value has no room), `recover` (called after an error) and `moved`
    (gives the headers of a changed key); for rows that are read, `split_row`, `Refusal`, `explain` and `noted`.

    Args:
        layout: How the relation looks.
        options: What the configuration says about records.

    Attributes:
        namespace: The other names that the source uses.
        lost: What a codec makes of a special value that its schema has no room for.
    """

    lost: bytes | None = b"null"

    def __init__(self, layout: Layout, options: RenderOptions) -> None:
        self.layout = layout
        self.options = options
        self.strict = layout.modes.strict
        self.key_json = JsonConverter(schemas_enable=options.key_schemas, decimal_numeric=options.key_decimal_numeric)
        self.value_json = JsonConverter(
            schemas_enable=options.value_schemas, decimal_numeric=options.value_decimal_numeric
        )
        self.namespace: dict[str, Any] = {"from_bytes": int.from_bytes, "join": b"".join}
        self.lines: list[str] = []
        self.depth = 0
        self.key_columns = tuple(self.key_column(column) for column in layout.key)
        self.by_index: dict[int, dict[str, LayoutColumn]] = {}
        for column in (*layout.columns, *self.key_columns):
            self.by_index.setdefault(column.index, {}).setdefault(column.variable, column)
        # Headers of our own say which values were not sent, or have no room in their schema.
        self.notes = options.extended_headers and not self.strict

    def key_column(self, column: LayoutColumn) -> LayoutColumn:
        """The key's column, apart from the row's where the two write a NULL otherwise."""
        if column.in_value and column.schema.default is not None:
            as_default, options = self.null_as_default, self.options
            if as_default != options.key_null_as_default:
                return replace(column, variable=f"k{column.index}", in_value=False)
        return column

    @property
    def null_as_default(self) -> bool:
        """Whether a NULL in the row is written as its column's default."""
        return self.options.null_as_default

    def put(self, text: str, *, deeper: int = 0) -> None:
        """Add a line."""
        self.lines.append(_INDENT * (self.depth + deeper) + text)

    # -- the frame ---------------------------------------------------------------------------------------------------

    def source(self) -> str:
        """The source of `render(p, lsn, state)`."""
        self.put("def render(p, lsn, state):")
        self.depth = 1
        if self.notes:
            self.put("notes = None")
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
        self.put("return recover(p, lsn, state, error)", deeper=1)
        return "\n".join(self.lines) + "\n"

    def copy_source(self) -> str:
        """The source of `render(line, tail)` for a line of COPY: its fields, and the record with `tail` behind the row."""
        # A chunk's own headers are the same for all its rows; only rows with special values add to them.
        self.notes = self.notes and any(column.special for column in self.layout.columns)
        self.put("def render(line, tail):")
        self.depth = 1
        self.put(f"f = split_row(line, {len(self.layout.relation.columns)})")
        if self.notes:
            self.put("notes = None")
        self.put("try:")
        self.depth = 2
        for index, columns in sorted(self.by_index.items()):
            self.put(f"v = f[{index}]")
            self.put("if v is None:")
            for column in columns.values():
                self.null(f"c{column.variable}", column, "new")
            self.put("else:")
            for column in columns.values():
                self.text(f"c{column.variable}", column, "v", "new")
        self.put("pass")
        self.depth = 1
        self.put("except ValueError as error:")
        self.put("raise explain(f, error) from error", deeper=1)
        value = self.copied()
        headers = "notes and noted(notes)" if self.notes else "None"
        self.put(f"return f, ({self.layout.topic!r}, {self.key('c')}, {joined(value)}, {headers})")
        return "\n".join(self.lines) + "\n"

    def copied(self) -> list[bytes | str]:
        """The value of a row that was read, up to its tail."""
        value: list[bytes | str] = [b'{"before":null,"after":', *self.struct("c", self.layout.columns), "tail"]
        if not self.options.value_schemas:
            return value
        schema = self.value_json.schema_text(envelope_schema(self.layout, self.options.topics)).encode()
        return [b'{"schema":' + schema + b',"payload":', *value]

    def insert(self) -> None:
        """The branch of an Insert."""
        self.put("if p[5] != 78: raise ValueError('expected a new tuple')")
        self.put("n = 6")
        self.tuple("c", "new")
        self.finish()
        self.give(["c"], lambda: [self.record("c", before=None, after="c")])

    def delete(self) -> None:
        """The branch of a Delete."""
        self.put("kind = p[5]")
        self.put("n = 6")
        self.old_tuple()
        self.finish()

        def records() -> list[str]:
            self.put("key = " + self.key("o"))
            tombstone = [self.tombstone("key")] if self.options.tombstones else []
            return [self.record("d", before="o", after=None, key="key"), *tombstone]

        self.give(["d"], records)

    def update(self) -> None:
        """The branch of an Update."""
        self.put("kind = p[5]")
        self.put("n = 6")
        self.put("if kind == 78:")
        self.depth += 1
        self.tuple("c", "new")
        self.finish()
        self.give(["u"], lambda: [self.record("u", before=None, after="c")])
        self.depth -= 1
        self.old_tuple()
        self.put("if p[n] != 78: raise ValueError('expected a new tuple')")
        self.put("n += 1")
        self.tuple("c", "new after old")
        self.finish()
        if self.options.skip_unchanged and self.layout.columns:
            # Debezium looks at the row alone, and loses the change of a key that is not part of it.
            looked_at = [*self.layout.columns, *([] if self.strict else self.key_columns)]
            self.put(f"if {self.alike(looked_at)}: return ()")
        if self.layout.key:
            self.put("key = " + self.key("o"))
            self.put("new_key = " + self.key("c"))
            self.put(f"if not ({self.alike(self.key_columns)}):")
            self.depth += 1
            self.key_change()
            self.depth -= 1
        self.give(["u"], lambda: [self.record("u", before="o", after="c", key="new_key" if self.layout.key else None)])

    def key_change(self) -> None:
        """An UPDATE of the key: delete and tombstone under the old key, create under the new one."""
        # The header converter writes a key in a form of its own; a changed key is rare.
        self.put("to, back = moved(p)")
        records = []
        if "d" not in self.options.skipped:
            records.append(self.record("d", before="o", after=None, key="key", first="to"))
            if self.options.tombstones:
                records.append(self.tombstone("key", first="to"))
        if "c" not in self.options.skipped:
            records.append(self.record("c", before=None, after="c", key="new_key", first="back"))
        self.put(f"return ({listed(records)})")

    def give(self, operations: Sequence[str], records: Callable[[], list[str]]) -> None:
        """Return records, or nothing where their operation is skipped."""
        if self.options.skipped.issuperset(operations):
            self.put("return ()")
        else:
            self.put(f"return ({listed(records())})")

    def finish(self) -> None:
        """Refuse what stands behind the last column."""
        self.put("if n != len(p): raise IndexError('length')")

    # -- rows in -----------------------------------------------------------------------------------------------------

    def old_tuple(self) -> None:
        """Decode the old row of an Update or Delete, or its key."""
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
            self.cell(prefix, list(self.by_index.get(index, {}).values()), role)

    def cell(self, prefix: str, columns: Sequence[LayoutColumn], role: str) -> None:
        """Decode one column; several variables where row and key write it differently."""
        self.put("k = p[n]")
        for column in columns:
            if self.hides_null(column):
                now = f"zo{column.variable} if k == 117 else k == 110" if role == "new after old" else "k == 110"
                self.put(f"z{prefix}{column.variable} = {now}")
        self.put("if k == 116:")
        self.put("e = n + 5 + from_bytes(p[n+1:n+5], 'big')", deeper=1)
        text = "p[n+5:e]"
        if len(columns) > 1 or any(column.special for column in columns):
            self.put(f"v = {text}", deeper=1)
            text = "v"
        for column in columns:
            self.text(f"{prefix}{column.variable}", column, text, role)
        self.put("n = e", deeper=1)
        self.put("elif k == 110:")
        for column in columns:
            self.null(f"{prefix}{column.variable}", column, role)
        self.put("n += 1", deeper=1)
        self.put("elif k == 117:")
        for column in columns:
            self.unchanged(f"{prefix}{column.variable}", column, role)
        self.put("n += 1", deeper=1)
        self.put("else: raise ValueError('unknown column kind')")

    def hides_null(self, column: LayoutColumn) -> bool:
        """Whether NULL is written as the default, so that a change from one to the other does not show."""
        as_default = self.null_as_default if column.in_value else self.options.key_null_as_default
        return as_default and column.null is None and column.schema.default is not None

    def alike(self, columns: Sequence[LayoutColumn]) -> str:
        """The expression of old and new values being the same."""
        pairs = [f"{self.old_as_new(column)} == c{column.variable}" for column in columns]
        hidden = [f"zo{column.variable} == zc{column.variable}" for column in columns if self.hides_null(column)]
        return " and ".join([*pairs, *hidden])

    def text(self, variable: str, column: LayoutColumn, text: str, role: str) -> None:
        """A column with a text."""
        self.put(f"{variable} = {self.written(column, text, role)}", deeper=1)
        if not column.special:
            return
        instead = self.fragment(column, None, role) if column.schema.optional else b""
        # NaN in a precise numeric, an infinite date: a value that the schema has no room for.
        if not column.schema.optional:
            self.put(f"if {variable} == {self.lost!r}: raise Refusal({column.column.name!r}, 'special')", deeper=1)
            return
        then = [] if instead == self.lost else [f"{variable} = {instead!r}"]
        if self.notes and column.in_value:
            side = "after" if role.startswith("new") else "before"
            then.append(f"notes = [*(notes or ()), ({side!r}, {column.name!r}, v)]")
        if then:
            self.put(f"if {variable} == {self.lost!r}: {'; '.join(then)}", deeper=1)

    def written(self, column: LayoutColumn, text: str, role: str) -> str:  # noqa: ARG002 - for forms where the side counts
        """The expression of a column's text as it stands in a record."""
        if column.codec.to_json is IDENTITY:
            return text
        self.namespace[f"f{column.variable}"] = column.codec.to_json
        return f"f{column.variable}({text})"

    def old_as_new(self, column: LayoutColumn) -> str:
        """The expression of an old row's value as it stands in a new row."""
        return f"o{column.variable}"

    def null(self, variable: str, column: LayoutColumn, role: str) -> None:
        """A column that is NULL, or that an old key leaves out."""
        absent = role == "key" and not column.column.key
        value = column.absent if absent else column.null
        if value is REFUSED:
            self.put(f"raise Refusal({column.column.name!r}, {'absent' if absent else 'null'!r})", deeper=1)
        else:
            self.put(f"{variable} = {self.fragment(column, value, role)!r}", deeper=1)

    def unchanged(self, variable: str, column: LayoutColumn, role: str) -> None:
        """A TOAST value that was not sent."""
        old = self.old_as_new(column)
        if role == "new after old" and column.column.key:
            self.put(f"{variable} = {old}", deeper=1)
            return
        if column.unavailable is REFUSED:
            guard = "if kind != 79: " if role == "new after old" else ""
            self.put(f"{guard}raise Refusal({column.column.name!r}, 'unavailable')", deeper=1)
            if guard:
                self.put(f"{variable} = {old}", deeper=1)
            return
        marker = repr(self.fragment(column, column.unavailable, role))
        if role == "new after old":
            # Only FULL sends the old value; a key tuple leaves the column out.
            self.put(f"{variable} = {old} if kind == 79 else {marker}", deeper=1)
        else:
            self.put(f"{variable} = {marker}", deeper=1)
        if self.notes and column.in_value and role.startswith("new"):
            guard = "if kind != 79: " if role == "new after old" else ""
            self.put(f"{guard}notes = [*(notes or ()), ('unavailable', {column.name!r}, b'')]", deeper=1)

    def fragment(self, column: LayoutColumn, value: Any, role: str) -> bytes:  # noqa: ARG002 - as for `written`
        """The JSON of a value that stands for something else, as the converter writes it."""
        in_key = not column.in_value
        as_default = self.options.key_null_as_default if in_key else self.null_as_default
        if value is None and as_default:
            value = column.schema.default
        if value is None:
            return b"null"
        return (self.key_json if in_key else self.value_json).payload(column.schema, value).encode()

    # -- records out -------------------------------------------------------------------------------------------------

    def key(self, prefix: str) -> str:
        """The expression of a key."""
        if self.layout.key_schema is None:
            return "None"
        pieces = self.key_struct(prefix)
        if self.options.key_schemas:
            schema = self.key_json.schema_text(self.layout.key_schema).encode()
            pieces = [b'{"schema":' + schema + b',"payload":', *pieces, b"}"]
        return joined(pieces)

    def key_struct(self, prefix: str) -> list[bytes | str]:
        """The pieces of a key's struct."""
        pieces = self.struct(prefix, self.key_columns)
        if self.layout.key_constant is not None:
            name, value = (quote(text.encode()) for text in self.layout.key_constant)
            pieces = [*pieces[:-1], b"," + name + b":" + value + b"}"]
        return pieces

    @staticmethod
    def struct(prefix: str, columns: Sequence[LayoutColumn]) -> list[bytes | str]:
        """The pieces of a struct of columns."""
        pieces: list[bytes | str] = []
        opening = b"{"
        for column in columns:
            pieces += [opening + quote(column.name.encode()) + b":", f"{prefix}{column.variable}"]
            opening = b","
        return [*pieces, b"}" if columns else b"{}"]

    def record(
        self, op: str, *, before: str | None, after: str | None, key: str | None = None, first: str = "None"
    ) -> str:
        """The expression of a record."""
        relation = self.layout.relation
        pieces: list[bytes | str] = [b'{"before":']
        pieces += [b"null"] if before is None else self.struct(before, self.layout.columns)
        pieces.append(b',"after":')
        pieces += [b"null"] if after is None else self.struct(after, self.layout.columns)
        place = b'"schema":%b,"table":%b,"txId":' % (quote(relation.schema.encode()), quote(relation.name.encode()))
        block = f"state.block({relation.qualified!r}, lsn)" if self.options.transaction_metadata else b"null"
        pieces += [b",", "state.lead", "lsn", "state.middle", place, "state.xid_text", b',"lsn":', "lsn", "state.tail"]
        pieces += [block, b',"op":"%b",' % op.encode(), "state.clock"]
        if self.options.value_schemas:
            schema = self.value_json.schema_text(envelope_schema(self.layout, self.options.topics)).encode()
            pieces = [b'{"schema":' + schema + b',"payload":', *pieces, b"}"]
        prefix = after or before or ""
        return f"({self.layout.topic!r}, {key or self.key(prefix)}, {joined(pieces)}, {self.headers(first)})"

    def tombstone(self, key: str, first: str = "None") -> str:
        """The expression of the record behind a deletion."""
        return f"({self.layout.topic!r}, {key}, None, {self.headers(first)})"

    def headers(self, first: str) -> str:
        """The expression of a record's headers, `first` standing before them."""
        if not self.options.extended_headers:
            return "None" if first == "None" else f"[{first}]"
        if self.notes:
            return f"state.headers({first}, notes)"
        return "state.headers()" if first == "None" else f"state.headers({first})"


def listed(records: Sequence[str]) -> str:
    """The members of the tuple of records; an empty one stands for none."""
    return "".join(f"{record}, " for record in records if record)


def joined(pieces: Sequence[bytes | str]) -> str:
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
