"""ExtractNewRecordState and field transforms behind it, column by column.

Steps that keep, rename, change or add fields of a struct are known as soon as the row's schema is, so that a chain of them
is one function a column: from the text to the JSON of what the last step leaves. Columns that no step changes keep their
text. What such a function cannot take (and what a step refuses) goes to the plain form, which says what is wrong with it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import reduce
from typing import Any, Final

from cdc.converters.json import JsonConverter
from cdc.errors import SeamError
from cdc.layout import REFUSED, Layout, LayoutColumn
from cdc.model.javaerrors import JavaError
from cdc.model.record import SourceRecord
from cdc.model.schema import Schema
from cdc.render import RenderOptions
from cdc.transforms.base import PartTransform
from cdc.transforms.chain import Chain
from cdc.transforms.debezium.new_record_state import FieldReference, Unwrap
from cdc.unwrapping import Piece, Unfit, UnwrapWriter, unwrapped
from cdc.values.jsontext import quote

Convert = Callable[[Any], Any]

_REFUSED: Final = b"refused"
_KNOWN_TEXTS: Final = 1_000
_KNOWN_BYTES: Final = 32
_VALUES: Final = {
    "ts_ms": "state.commit_micros // 1000", "ts_us": "state.commit_micros", "ts_ns": "state.commit_micros * 1000",
    "lsn": "int(lsn)", "txId": "state.xid",
}  # fmt: skip
"""Fields of `source` whose values a step may change."""


def tells(chain: Chain) -> bool:
    """Whether each step of a chain is one that can be told column by column, once the schema is known."""
    return bool(chain.steps) and all(
        step.predicate is None and isinstance(step.transform, PartTransform) and step.transform.part == "value"
        for step in chain.steps
    )


@dataclass(frozen=True, slots=True)
class Member:
    """A field of the row between two steps.

    Attributes:
        column: The column that it comes from; None for what is the same in all rows, or of the event.
        event: The field of the event that it comes from.
        value: What it is in all rows, where it comes from neither.
        converts: What the steps so far make of its values, one after the other.
        changed: Whether one of them changes more than a null.
    """

    column: LayoutColumn | None = None
    event: FieldReference | None = None
    value: Any = None
    converts: tuple[Convert, ...] = ()
    changed: bool = False

    def of(self, value: Any) -> Any:
        """What the steps make of a value.

        Raises:
            JavaError: One refuses it.
        """
        return reduce(lambda current, convert: convert(current), self.converts, value)


class ColumnWriter(UnwrapWriter):
    """Writes the source of a render function for a chain that begins with ExtractNewRecordState.

    Args:
        layout: How the relation looks.
        options: What the configuration says about records.
        unwrap: What it says about unwrapping.
        rest: The steps behind it.

    Raises:
        Unfit: The plain form is needed.
    """

    def __init__(self, layout: Layout, options: RenderOptions, unwrap: Unwrap, rest: Chain) -> None:
        super().__init__(layout, options, unwrap)
        if options.skip_unchanged or not unwrap.real_tombstones:
            raise Unfit
        self.rest = rest
        self.json = JsonConverter(
            decimal_numeric=options.value_decimal_numeric, replace_null_with_default=options.null_as_default
        )
        try:
            sides = [
                self._members(row, old=old) for row, old in ((layout.before_schema, True), (layout.row_schema, False))
            ]
        except JavaError as error:
            raise Unfit from error
        # By side: whether old rows are written at all is the mode's affair.
        self.members = {"o": sides[0], "c": sides[1]}
        for role, (_, members) in zip(("old", "new"), sides, strict=True):
            self._check(role, members)

    def _check(self, role: str, members: Sequence[Member]) -> None:
        """Leave to the plain form what has no expression here.

        Raises:
            Unfit: There is such a field.
        """
        columns = [member.column.index for member in members if member.column is not None]
        if len(set(columns)) != len(columns):
            raise Unfit  # a field that stands twice
        for member in members:
            event, column = member.event, member.column
            told = event is None or event.field == "op" or (event.struct == "source" and event.field in _VALUES)
            if member.changed and not told:
                raise Unfit
            if column is None or not column.special or not column.schema.optional:
                continue
            if self.fragment(column, None, role) == _REFUSED:
                raise Unfit

    def key_column(self, column: LayoutColumn) -> LayoutColumn:
        """The key's column, apart from the row's, which steps may have changed."""
        return replace(column, variable=f"k{column.index}", in_value=False)

    def _members(self, row: Schema, *, old: bool) -> tuple[Schema, list[Member]]:
        """The fields that the last step leaves, of old or new rows, with their schema."""
        schema = unwrapped(row, self.event, self.unwrap)
        members = [Member(column) for column in self.layout.columns]
        if self.rewrites:
            defaults = self.unwrap.replace_null_with_default
            members = [
                replace(each, converts=(_or(field.schema.default),)) if defaults else each
                for each, field in zip(members, row.fields, strict=True)
            ]
            members.append(Member(value="true" if old else "false"))
        members += [Member(event=reference) for reference, _ in self.fields]
        for step in self.rest.steps:
            assert isinstance(step.transform, PartTransform)
            told = step.transform.columns(schema)
            if told is None:
                raise Unfit
            schema, columns, added = told
            kept = {field.index for field in columns.fields}
            if any(member.changed for place, member in enumerate(members) if place not in kept):
                raise Unfit  # a step that is to be asked, since it may refuse, though a later one drops the field
            following = []
            for place, field in enumerate(columns.fields):
                member = members[field.index]
                changed = member.changed or place in columns.changes
                following.append(replace(member, converts=(*member.converts, columns.at(place)), changed=changed))
            empty = SourceRecord(self.layout.topic, None, None, None, None, None)
            members = [*following, *[Member(value=get(empty)) for get in added]]
        return schema, members

    # -- rows in -----------------------------------------------------------------------------------------------------

    def _left(self, column: LayoutColumn, role: str) -> tuple[Schema, Member] | None:
        """What the steps leave of a column; one that is of the key, or is left out, is read all the same."""
        schema, members = self.members["c" if role.startswith("new") else "o"]
        pairs = zip(schema.fields, members, strict=True)
        return next(((field.schema, member) for field, member in pairs if member.column is column), None)

    def written(self, column: LayoutColumn, text: str, role: str) -> str:
        """The expression of a column's text as the last step leaves it."""
        left = self._left(column, role)
        if left is None or not left[1].changed:
            return super().written(column, text, role)
        schema, member = left
        new = role.startswith("new")
        to_value = column.codec.values_of(column.schema if new else column.before_schema)
        write, name = self.json.writer(schema), f"{'x' if new else 'y'}{column.variable}"

        def convert(raw: bytes) -> bytes:
            value = to_value(raw)
            if value is None:
                raise ValueError("a special value")
            return write(member.of(value)).encode()

        self.namespace[name] = _Known(convert).__getitem__
        return f"{name}({text})"

    def fragment(self, column: LayoutColumn, value: Any, role: str) -> bytes:
        """The JSON of what the last step makes of a value that stands for something else."""
        left = self._left(column, role)
        if left is None:
            return super().fragment(column, value, role)
        try:
            return self.json.payload(left[0], left[1].of(value)).encode()
        except JavaError:
            return _REFUSED

    def null(self, variable: str, column: LayoutColumn, role: str) -> None:
        """A NULL; one that a step refuses is left to the plain form, which says why."""
        value = column.absent if role == "key" and not column.column.key else column.null
        if value is not REFUSED and self.fragment(column, value, role) == _REFUSED:
            self.put("raise ValueError('refused by a step')", deeper=1)
        else:
            super().null(variable, column, role)

    def unchanged(self, variable: str, column: LayoutColumn, role: str) -> None:
        """A TOAST value that was not sent; one that is to come from the old row is left to the plain form."""
        refused = column.unavailable is not REFUSED and self.fragment(column, column.unavailable, role) == _REFUSED
        if column.in_value and (role == "new after old" or refused):
            self.put("raise ValueError('left to the plain form')", deeper=1)
        else:
            super().unchanged(variable, column, role)

    # -- records out -------------------------------------------------------------------------------------------------

    def tombstone(self, key: str, first: str = "None") -> str:
        """The expression of the record behind a deletion, or of none."""
        if self.unwrap.mode == "rewrite-with-tombstone":
            self._without_value()
        return super().tombstone(key, first)

    def _without_value(self) -> None:
        """Leave records without a value to the plain form, unless the steps leave them alone."""
        record = SourceRecord(self.layout.topic, None, None, None, None, None)
        try:
            alone = self.rest.apply(record) == [record]
        except SeamError:
            alone = False
        if not alone:
            self.put("raise ValueError('left to the plain form')")

    def value(self, op: str, prefix: str, *, deleted: bool) -> str:
        """The expression of a row's value."""
        if deleted and not self.rewrites:
            self._without_value()
            return "None"
        schema, members = self.members["o" if deleted else "c"]
        pieces: list[Piece] = []
        opening = b"{"
        for number, (field, member) in enumerate(zip(schema.fields, members, strict=True)):
            pieces.append(opening + quote(field.name.encode()) + b":")
            pieces.append(self._piece(op, prefix, field.schema, member, number))
            opening = b","
        return self.whole([*pieces, b"}"] if pieces else [b"{}"], schema)

    def _piece(self, op: str, prefix: str, schema: Schema, member: Member, number: int) -> Piece:
        if member.column is not None:
            return f"{prefix}{member.column.variable}"
        write = self.json.writer(schema)
        try:
            if member.event is None:
                return write(member.of(member.value)).encode()
            found = next(expressions for reference, expressions in self.fields if reference is member.event)
            if found is None:
                return write(member.of(op)).encode()
            if not member.changed:
                return found[0]
        except JavaError:
            self.put("raise ValueError('refused by a step')")
            return b"null"
        name = f"e{op}{number}"
        # Of a transaction, and so the same for many rows.
        self.namespace[name] = _remembering(lambda value: write(member.of(value)).encode())
        self.put(f"{name}_ = {name}({_VALUES[member.event.field]})")
        return f"{name}_"


class _Known(dict[bytes, bytes]):
    """What the steps make of the texts that came first: booleans, codes and references to other rows come again and again.

    Args:
        convert: Tells it of any other text.
    """

    def __init__(self, convert: Callable[[bytes], bytes]) -> None:
        super().__init__()
        self._convert = convert

    def __missing__(self, raw: bytes) -> bytes:
        written = self._convert(raw)
        if len(raw) <= _KNOWN_BYTES and len(self) < _KNOWN_TEXTS:
            self[raw] = written
        return written


def _or(default: Any) -> Convert:
    return lambda value: default if value is None else value


def _remembering(convert: Callable[[Any], bytes]) -> Callable[[Any], bytes]:
    """The same function, which does not work twice for a value that comes again at once."""
    last: list[Any] = [None, None]

    def remembered(value: Any) -> bytes:
        if last[1] is None or last[0] != value:
            last[:] = value, convert(value)
        return last[1]  # type: ignore[no-any-return] # bytes by then

    return remembered
