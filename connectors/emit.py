"""From Connect records to bytes: which form renders a relation, which transforms change it, who writes it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

from cdc.connect_form import ConnectCopy, connect_render
from cdc.converters.inference import connect_text
from cdc.converters.json import JsonConverter
from cdc.errors import ConfigError, ConvertError
from cdc.layout import Layout, LayoutOptions
from cdc.model.record import SourceRecord
from cdc.model.schema import Schema
from cdc.postgres.catalog import Catalog
from cdc.relations import CatalogueView
from cdc.render import ComposedRender, Outgrown, Placed, Record, Render
from cdc.render_copy import CopyForm, CopyRender
from connectors.converters import ConverterChoice, Form
from connectors.postgres import PipelineConfig

FromConnect = Callable[[Schema | None, Any], bytes | None]


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

    Attributes:
        direct: Whether rows go from text to bytes: no transform, and JSON on both sides.
    """

    def __init__(self, config: PipelineConfig) -> None:
        self.config = config
        self.chain = config.chain
        self.key = self._converter(config.converters[0], null_as_default=config.render.key_null_as_default)
        self.value = self._converter(config.converters[1], null_as_default=config.render.null_as_default)
        plain = all(choice.form is Form.JSON for choice in config.converters)
        self.direct = plain and not self.chain.steps

    @staticmethod
    def _converter(choice: ConverterChoice, *, null_as_default: bool) -> FromConnect:
        if choice.form is not Form.JSON:
            raise ConfigError(f"{choice.side}.converter: {choice.form.value} is not carried out yet")
        return JsonConverter(
            schemas_enable=choice.schemas, decimal_numeric=choice.numeric, replace_null_with_default=null_as_default
        ).from_connect

    def make_render(self, layout: Layout, outgrown: Outgrown) -> Render:
        """The renderer of a relation."""
        if self.direct:
            return ComposedRender(layout, self.config.render, outgrown).render
        return connect_render(layout, self.config.render, outgrown, self.emit)

    def make_copy(self, layout: Layout) -> CopyForm:
        """How rows of a snapshot become records."""
        if self.direct:
            return CopyRender(layout, self.config.render, self.config.source_options)
        return ConnectCopy(layout, self.config.render, self.config.source_options, self.emit)

    def emit(self, record: SourceRecord) -> Sequence[Record]:
        """Transform and convert one record.

        Raises:
            TransformError: A step refused it.
            ConvertError: A converter did.
        """
        return [self._converted(changed) for changed in self.chain.apply(record)]

    def _converted(self, record: SourceRecord) -> Record:
        headers = [(h.name, None if h.value is None else connect_text(h.value).encode()) for h in record.headers]
        try:
            key = self.key(record.key_schema, record.key)
        except ValueError as error:
            raise ConvertError(str(error), topic=record.topic, stage="KEY_CONVERTER") from error
        try:
            value = self.value(record.value_schema, record.value)
        except ValueError as error:
            raise ConvertError(str(error), topic=record.topic) from error
        converted: Record = (record.topic, key, value, headers or None)
        return Placed.of(converted, record.partition, record.timestamp)
