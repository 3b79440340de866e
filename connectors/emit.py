"""From Connect records to bytes: which form renders a relation, which transforms change it, who writes it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

from cdc.avro_form import AvroCopy, AvroWriter
from cdc.column_chain import ColumnWriter, tells
from cdc.composing import Writer
from cdc.connect_form import ConnectCopy, connect_render
from cdc.converters.avro import STRATEGIES, AvroConverter, AvroSchemas
from cdc.converters.header import SimpleHeaderConverter
from cdc.converters.json import JsonConverter
from cdc.converters.plain import ByteArrayConverter, StringConverter
from cdc.errors import ConvertError
from cdc.kafka.reference import ReferenceTopics
from cdc.kafka.registry import SchemaRegistry
from cdc.layout import Layout, LayoutOptions
from cdc.model.record import SourceRecord
from cdc.model.schema import Schema
from cdc.outer_chain import OuterChain, OuterCopy, fits
from cdc.postgres.catalog import Catalog
from cdc.relations import CatalogueView
from cdc.render import ComposedRender, Outgrown, Placed, Record, Render
from cdc.render_copy import CopyForm, CopyRender
from cdc.source import SourceState
from cdc.transforms.chain import Chain
from cdc.transforms.debezium.new_record_state import Unwrap
from cdc.unwrapping import Unfit, UnwrapCopy, UnwrapWriter
from connectors.converters import ConverterChoice, Form
from connectors.postgres import PipelineConfig

FromConnect = Callable[[str, Schema | None, Any], bytes | None]
"""Topic, schema, value -> bytes; None for null."""

_HEADERS = SimpleHeaderConverter()


def catalogue_view(catalog: Catalog, *, strict: bool) -> CatalogueView:
    """What the relations see of the catalogue; Debezium looks a table up by the name that it had."""
    if strict:
        return CatalogueView(lambda relation: catalog.named_table_facts(relation.schema, relation.name), catalog.types)
    return CatalogueView(lambda relation: catalog.table_facts(relation.oid), catalog.types)


def layout_options(config: PipelineConfig, catalog: Catalog) -> LayoutOptions:
    """What the configuration says about rows, and what the database's encoding adds to it."""
    if catalog.encoding() != "SQL_ASCII":
        return config.layout
    return replace(config.layout, modes=replace(config.layout.modes, verify_encoding=True))


class Emitter:
    """Renders rows and converts everything else.

    Args:
        config: The configuration.
        ensure: Called with a topic before its first record, where transforms may have chosen it.

    Attributes:
        avro: The converters of the sides that are Avro, `key` and `value`.
        direct: Whether rows go from text to bytes and nothing is done to them then: no transform, and JSON or Avro on both sides.
    """

    def __init__(
        self, config: PipelineConfig, ensure: Callable[[Sequence[str]], object] = lambda _topics: None
    ) -> None:
        self.config = config
        self._ensure = ensure
        self._ensured: set[str] = set()
        self._tables = ReferenceTopics(config.kafka)
        self.chain = config.chain
        # Reference topics are read to their end before the first record passes.
        self.chain.open(self._tables)
        self._registries: list[SchemaRegistry] = []
        self.avro: dict[str, AvroConverter] = {}
        self.key = self._converter(config.converters[0], null_as_default=config.render.key_null_as_default)
        self.value = self._converter(config.converters[1], null_as_default=config.render.null_as_default)
        json = all(choice.form is Form.JSON for choice in config.converters)
        # Avro has a form of its own; a chain around it would name other subjects.
        self._all_avro = len(self.avro) == 2 and not self.chain.steps
        self.direct = self._all_avro or (json and not self.chain.steps)
        self._positions = "position" in self.chain.reads
        self._unwrap, rest = _parts(self.chain) if json else (None, self.chain)
        self._columns = rest if self._unwrap is not None and rest.steps and not fits(rest) else None
        self._outer = None
        if json and fits(rest):
            self._outer = OuterChain(rest, config.render.topics.prefix, self._there)
        self._composed = self.direct or self._unwrap is not None or self._outer is not None

    def _converter(self, choice: ConverterChoice, *, null_as_default: bool) -> FromConnect:
        if choice.form is Form.AVRO:
            registry = SchemaRegistry(choice.settings)
            self._registries.append(registry)
            strategy = choice.settings.get(f"{choice.side}.subject.name.strategy", "TopicNameStrategy")
            scrub = choice.settings.get("scrub.invalid.names", "false").strip().lower() == "true"
            made = self.avro[choice.side] = AvroConverter(
                registry, key=choice.side == "key", subject=STRATEGIES[strategy.rpartition(".")[2]],
                schemas=AvroSchemas(scrub=scrub), null_as_default=null_as_default,
            )  # fmt: skip
            return made.from_connect
        write: Callable[[Schema | None, Any], bytes | None]
        if choice.form is Form.STRING:
            write = StringConverter().from_connect
        elif choice.form is Form.BYTES:
            write = ByteArrayConverter().from_connect
        else:
            write = JsonConverter(
                schemas_enable=choice.schemas, decimal_numeric=choice.numeric, replace_null_with_default=null_as_default
            ).from_connect
        return lambda _topic, schema, value: write(schema, value)

    def close(self) -> None:
        """Close the clients of schema registries and reference topics."""
        self._tables.close()
        for registry in self._registries:
            registry.close()

    def writer(self, layout: Layout) -> Writer | None:
        """Writes the function that takes a relation's rows from text to bytes; None where the plain form is needed."""
        if not self._composed:
            return None
        if self._all_avro:
            return AvroWriter(layout, self.config.render, self.avro["key"], self.avro["value"])
        if self._unwrap is None:
            return Writer(layout, self.config.render)
        try:
            if self._columns is not None:
                return ColumnWriter(layout, self.config.render, self._unwrap, self._columns)
            return UnwrapWriter(layout, self.config.render, self._unwrap)
        except Unfit:
            return None

    def make_render(self, layout: Layout, outgrown: Outgrown) -> Render:
        """The renderer of a relation."""
        writer, options = self.writer(layout), self.config.render
        if writer is None:
            return self._plain(layout, outgrown)
        if self._outer is None:
            self._there(layout.topic)
        if self._columns is not None:
            plain = self._plain(layout, outgrown)
            return ComposedRender(layout, options, outgrown, writer, instead=plain).render
        if self._outer is None:
            return ComposedRender(layout, options, outgrown, writer).render
        return self._outer.around(lambda inner: ComposedRender(layout, options, inner, writer).render, outgrown)

    def _plain(self, layout: Layout, outgrown: Outgrown) -> Render:
        return connect_render(layout, self.config.render, outgrown, self._emit_row, positions=self._positions)

    def make_copy(self, layout: Layout) -> CopyForm:
        """How rows of a snapshot become records."""
        options, source = self.config.render, self.config.source_options
        writer = None if self._columns is not None else self.writer(layout)
        if writer is None:
            return ConnectCopy(layout, options, source, self._emit_row, positions=self._positions)
        if self._outer is None:
            self._there(layout.topic)
        if isinstance(writer, AvroWriter):
            return AvroCopy(layout, options, source, writer)
        rows: CopyForm
        if isinstance(writer, UnwrapWriter):
            rows = UnwrapCopy(layout, options, source, writer)
        else:
            rows = CopyRender(layout, options, source, writer)
        if self._outer is None:
            return rows
        usual = list(SourceState(source).context_headers) or None if options.extended_headers else None
        return OuterCopy(rows, self._outer, usual, layout.relation.qualified)

    def emit(self, record: SourceRecord) -> Sequence[Record]:
        """Transform and convert one record.

        Raises:
            TransformError: A step refused it.
            ConvertError: A converter did.
        """
        return [self._converted(changed) for changed in self.chain.apply(record)]

    def _emit_row(self, record: SourceRecord) -> Sequence[Record]:
        """The same for a row, whose topic the transforms may have chosen.

        Raises:
            TopicMismatch: Its topic is not as declared.
        """
        sent = self.emit(record)
        for topic, *_ in sent:
            self._there(topic)
        return sent

    def _there(self, topic: str) -> None:
        """A topic that the transforms may have chosen is made as declared before its first record."""
        if self.chain.steps and topic not in self._ensured:
            self._ensure([topic])
            self._ensured.add(topic)

    def _converted(self, record: SourceRecord) -> Record:
        headers = [(h.name, _HEADERS.from_connect(h.schema, h.value)) for h in record.headers]
        try:
            key = self.key(record.topic, record.key_schema, record.key)
        except ValueError as error:
            raise ConvertError(str(error), topic=record.topic, stage="KEY_CONVERTER") from error
        try:
            value = self.value(record.topic, record.value_schema, record.value)
        except ValueError as error:
            raise ConvertError(str(error), topic=record.topic) from error
        converted: Record = (record.topic, key, value, headers or None)
        return Placed.of(converted, record.partition, record.timestamp)


def _parts(chain: Chain) -> tuple[Unwrap | None, Chain]:
    """The ExtractNewRecordState that a chain begins with, where rows can be unwrapped as text, and what follows it."""
    unwrap, rest = Chain(chain.steps[:1]).unwrap, Chain(chain.steps[1:])
    if unwrap is None or (rest.steps and not fits(rest) and not tells(rest)):
        return None, chain
    # Debezium's deletion is a null that JSON writes as a word.
    if "tombstone" in rest.reads and not unwrap.real_tombstones:
        return None, chain
    return unwrap, rest
