"""What a transform and a predicate are, and what Kafka's transforms ask of a value."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, tzinfo
from typing import Any, ClassVar, Final, Generic, Literal, TypeVar

from cdc.model.javaerrors import DataError
from cdc.model.javatypes import class_name
from cdc.model.record import SourceRecord
from cdc.model.schema import Schema, Struct
from cdc.transforms.configdef import ConfigDef
from cdc.transforms.native.reference import ReferenceReader
from cdc.transforms.schemas import Columns, Read, columns_of

Part = Literal["topic", "partition", "timestamp", "headers", "key", "value", "tombstone", "position"]
Parts = frozenset[Part]

NOTHING: Final[Parts] = frozenset()
T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What a chain may know beside its options.

    Attributes:
        zone: The default time zone of the JVM that the chain is to equal (Cast, header literals).
        strict: `seam.compat=strict`: Debezium's results where they are defects.
        source: What `seam.transforms.InsertSource` tells and is known before the source is reached.
    """

    zone: tzinfo = UTC
    strict: bool = False
    source: Mapping[str, str] = field(default_factory=dict)


class Transform(ABC):
    """One step of a chain.

    `steady` says that what it does with a record follows from the topic, the names of the headers, and whether key and
    value are null, so that it need not be asked again for a record of the same shape. `routes` says that it may give a record
    another topic.

    Args:
        options: The parsed options, by bare name.
        surroundings: What the step may know beside them.
        texts: The options as they stand in the file, which Debezium's classes read.

    Raises:
        JavaError: The options do not fit together.
    """

    config: ClassVar[ConfigDef] = ConfigDef(())
    java_name: ClassVar[str] = ""
    reads: Parts = NOTHING
    native_only: ClassVar[bool] = False
    several: ClassVar[bool] = False
    needs_reader: ClassVar[bool] = False
    steady: ClassVar[bool] = False
    routes: bool = False

    def __init__(
        self, options: Mapping[str, Any], surroundings: Surroundings, texts: Mapping[str, str] | None = None
    ) -> None:
        self.options = options
        self.surroundings = surroundings
        self.texts: Mapping[str, str] = {} if texts is None else texts
        self.configure()

    def configure(self) -> None:  # noqa: B027 - a step without options has nothing to read
        """Read the options once."""

    def learn(self, facts: Mapping[str, str]) -> None:  # noqa: B027 - few steps tell of the source
        """Take facts about the source that are known only once it is reached."""

    def open(self, reader: ReferenceReader) -> None:  # noqa: B027 - few steps read anything beside their records
        """Read what the step needs before the first record; called once, where `needs_reader` says so."""

    def apply_all(self, record: SourceRecord) -> list[SourceRecord]:
        """Every record that comes out; asked of those that may give several."""
        result = self.apply(record)
        return [] if result is None else [result]

    @abstractmethod
    def apply(self, record: SourceRecord) -> SourceRecord | None:
        """The record after the step: the very same one where nothing changed, None where it is dropped.

        Raises:
            JavaError: The record cannot be taken.
        """


class Predicate(ABC):
    """A condition under which a step is applied; `steady` as for a transform."""

    config: ClassVar[ConfigDef] = ConfigDef(())
    java_name: ClassVar[str] = ""
    reads: Parts = NOTHING
    steady: ClassVar[bool] = False

    def __init__(self, options: Mapping[str, Any], surroundings: Surroundings) -> None:
        self.options = options
        self.surroundings = surroundings
        self.configure()

    def configure(self) -> None:  # noqa: B027 - a predicate without options has nothing to read
        """Read the options once."""

    @abstractmethod
    def test(self, record: SourceRecord) -> bool:
        """Whether the step is applied (before `negate`)."""


class PartTransform(Transform):
    """A transform with a `$Key` and a `$Value` class, which changes that part alone.

    Neighbours of one part are run without building the records between them.
    """

    part: ClassVar[Literal["key", "value"]]
    joinable: ClassVar[bool] = True

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        if "part" in cls.__dict__:
            cls.reads = cls.reads | {cls.part}

    @abstractmethod
    def convert(self, record: SourceRecord, schema: Schema | None, value: Any) -> tuple[Schema | None, Any]:
        """Schema and value after the step.

        Args:
            record: The record around them; its key and value may be those of an earlier step.
            schema: The part's schema, None for schemaless.
            value: The part.

        Raises:
            JavaError: The part cannot be taken.
        """

    def columns(self, schema: Schema) -> tuple[Schema, Columns, Sequence[Callable[[SourceRecord], Any]]] | None:
        """What the step does with a struct, field by field: for callers that have columns and no struct.

        Args:
            schema: The struct's schema.

        Returns:
            The new schema, where its first values come from, and what is asked of the record for the others; None where
            the step cannot be told so.

        Raises:
            JavaError: It refuses the schema.
        """
        del schema
        return None

    def apply(self, record: SourceRecord) -> SourceRecord | None:
        """The record with its part converted."""
        if self.part == "value":
            schema, value = self.convert(record, record.value_schema, record.value)
            if schema is record.value_schema and value is record.value:
                return record
            return with_value(record, schema, value)
        schema, value = self.convert(record, record.key_schema, record.key)
        if schema is record.key_schema and value is record.key:
            return record
        return with_key(record, schema, value)


def told(schema: Schema, read: Read) -> tuple[Schema, Columns, Sequence[Callable[[SourceRecord], Any]]] | None:
    """`PartTransform.columns` of a step that adds nothing."""
    columns = columns_of(read)
    return None if columns is None else (schema, columns, ())


def with_value(record: SourceRecord, schema: Schema | None, value: Any) -> SourceRecord:
    """The record with another value."""
    if type(record) is not SourceRecord:
        return record.replace(value_schema=schema, value=value)
    return SourceRecord(
        record.topic, record.partition, record.key_schema, record.key, schema, value, record.timestamp, record.headers,
        record.source_partition, record.source_offset,
    )  # fmt: skip


def with_key(record: SourceRecord, schema: Schema | None, value: Any) -> SourceRecord:
    """The record with another key."""
    if type(record) is not SourceRecord:
        return record.replace(key_schema=schema, key=value)
    return SourceRecord(
        record.topic, record.partition, schema, value, record.value_schema, record.value, record.timestamp,
        record.headers, record.source_partition, record.source_offset,
    )  # fmt: skip


def require_map(value: Any, purpose: str) -> dict[str, Any]:
    """A schemaless map.

    Raises:
        DataError: It is something else.
    """
    if not isinstance(value, dict):
        raise DataError(f"Only Map objects supported in absence of schema for [{purpose}], found: {class_name(value)}")
    return value


def require_struct(value: Any, purpose: str, schema: Schema | None = None) -> Struct:
    """A struct.

    Raises:
        DataError: It is something else.
    """
    if not isinstance(value, Struct):
        raise DataError(f"Only Struct objects supported for [{purpose}], found: {class_name(value, schema)}")
    return value


def fields_of(schema: Schema) -> tuple[Any, ...]:
    """`Schema.fields()`.

    Raises:
        DataError: The schema is not a STRUCT.
    """
    if schema.type.value != "struct":
        raise DataError("Cannot list fields on non-struct type")
    return schema.fields


class PerSchema(Generic[T]):
    """What is composed once per schema object and looked up by its identity from then on.

    Args:
        compose: Makes it.
    """

    __slots__ = ("_compose", "_known")

    LIMIT: ClassVar[int] = 256

    def __init__(self, compose: Callable[[Schema], T]) -> None:
        self._compose = compose
        self._known: dict[int, tuple[Schema, T]] = {}

    def __call__(self, schema: Schema) -> T:
        """What belongs to the schema, composed at the first call."""
        known = self._known.get(id(schema))
        if known is not None:
            return known[1]
        made = self._compose(schema)
        if len(self._known) >= self.LIMIT:
            self._known.pop(next(iter(self._known)))
        self._known[id(schema)] = (schema, made)
        return made
