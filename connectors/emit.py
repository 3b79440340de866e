"""From Connect records to bytes: which form renders a relation, which transforms change it, who writes it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

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
from cdc.postgres.catalog import Catalog
from cdc.relations import CatalogueView
from cdc.render import ComposedRender, Outgrown, Placed, Record, Render
from cdc.render_copy import CopyForm, CopyRender
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
        direct: Whether rows go from text to bytes: no transform, and JSON on both sides.
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
        self.key = self._converter(config.converters[0], null_as_default=config.render.key_null_as_default)
        self.value = self._converter(config.converters[1], null_as_default=config.render.null_as_default)
        plain = all(choice.form is Form.JSON for choice in config.converters)
        self.direct = plain and not self.chain.steps
        self._positions = "position" in self.chain.reads

    def _converter(self, choice: ConverterChoice, *, null_as_default: bool) -> FromConnect:
        if choice.form is Form.AVRO:
            registry = SchemaRegistry(choice.settings)
            self._registries.append(registry)
            strategy = choice.settings.get(f"{choice.side}.subject.name.strategy", "TopicNameStrategy")
            scrub = choice.settings.get("scrub.invalid.names", "false").strip().lower() == "true"
            return AvroConverter(
                registry, key=choice.side == "key", subject=STRATEGIES[strategy.rpartition(".")[2]],
                schemas=AvroSchemas(scrub=scrub), null_as_default=null_as_default,
            ).from_connect  # fmt: skip
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

    def make_render(self, layout: Layout, outgrown: Outgrown) -> Render:
        """The renderer of a relation."""
        if self.direct:
            return ComposedRender(layout, self.config.render, outgrown).render
        return connect_render(layout, self.config.render, outgrown, self._emit_row, positions=self._positions)

    def make_copy(self, layout: Layout) -> CopyForm:
        """How rows of a snapshot become records."""
        if self.direct:
            return CopyRender(layout, self.config.render, self.config.source_options)
        return ConnectCopy(layout, self.config.render, self.config.source_options, self._emit_row)

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
            if topic not in self._ensured:
                self._ensure([topic])
                self._ensured.add(topic)
        return sent

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
