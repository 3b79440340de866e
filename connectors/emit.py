"""From Connect records to bytes: which form renders a relation, and how other records are converted."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from cdc.converters.inference import connect_text
from cdc.converters.json import JsonConverter
from cdc.layout import Layout, LayoutOptions
from cdc.model.record import SourceRecord
from cdc.postgres.catalog import Catalog
from cdc.relations import CatalogueView
from cdc.render import ComposedRender, Outgrown, Record, Render
from connectors.postgres import PipelineConfig


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
        layout: What it says about rows, with what the database adds.
    """

    def __init__(self, config: PipelineConfig, layout: LayoutOptions) -> None:
        self.config = config
        self.layout = layout
        render = config.render
        self.key = JsonConverter(
            schemas_enable=render.key_schemas, decimal_numeric=render.key_decimal_numeric,
            replace_null_with_default=render.key_null_as_default,
        )  # fmt: skip
        self.value = JsonConverter(
            schemas_enable=render.value_schemas, decimal_numeric=render.value_decimal_numeric,
            replace_null_with_default=render.null_as_default,
        )  # fmt: skip

    def make_render(self, layout: Layout, outgrown: Outgrown) -> Render:
        """The renderer of a relation."""
        return ComposedRender(layout, self.config.render, outgrown).render

    def emit(self, record: SourceRecord) -> Sequence[Record]:
        """Convert one record."""
        headers = [(h.name, None if h.value is None else connect_text(h.value).encode()) for h in record.headers]
        return [
            (
                record.topic,
                self.key.from_connect(record.key_schema, record.key),
                self.value.from_connect(record.value_schema, record.value),
                headers or None,
            )
        ]
