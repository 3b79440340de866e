"""How a relation is rendered, for `seam debug render`: its layout as a table, and the code that is composed for it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from cdc.errors import OperatorError
from cdc.layout import Layout, LayoutColumn, make_layout
from cdc.postgres.catalog import Catalog
from cdc.postgres.connection import connect
from cdc.postgres.publication import read_publication
from cdc.postgres.snapshot_tables import describe
from connectors.emit import Emitter, catalogue_view, layout_options
from connectors.postgres import PipelineConfig

COLUMNS = ("field", "column", "type", "schema", "null", "default", "key", "not sent")


@dataclass(frozen=True, slots=True)
class Rendering:
    """What the engine makes of a relation as the catalogue describes it now.

    Attributes:
        table: `schema.table`.
        topic: Where its records go.
        identity: Its replica identity.
        key: The fields of the key, in order.
        rows: One a published column, in the order of `COLUMNS`.
        form: `composed` or `plain`; the plain form is for transforms that look inside the row and for converters other than JSON.
        source: The generated code; None for the plain form.
    """

    table: str
    topic: str
    identity: str
    key: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    form: str
    source: str | None

    def as_json(self) -> dict[str, Any]:
        """The same as a JSON object."""
        return {
            "table": self.table,
            "topic": self.topic,
            "replica_identity": self.identity,
            "key": list(self.key),
            "columns": [dict(zip(COLUMNS, row, strict=True)) for row in self.rows],
            "form": self.form,
            "source": self.source,
        }


def rendering_of(config: PipelineConfig, table: str) -> Rendering:
    """Look at how a table is rendered.

    Args:
        config: The pipeline.
        table: `schema.table`.

    Raises:
        OperatorError: There is no such table, or it is not captured.
        SeamError: The database cannot be read.
    """
    catalog = Catalog(connect(config.source), config.source)
    try:
        found = next((each for each in catalog.tables() if each.qualified == table), None)
        if found is None:
            raise OperatorError(f"there is no table {table} in {config.source.dbname}", hint="write it as schema.table")
        if not config.wanted.selection.captures(found.schema, found.name):
            raise OperatorError(f"{table} is not captured", hint="see table.include.list and its neighbours")
        publication = read_publication(catalog, config.wanted.publication)
        described = describe(catalog, found.oid, None if publication is None else publication.name)
        if described is None:
            raise OperatorError(f"{table} went away just now")
        relation = described.relation
        view = catalogue_view(catalog, strict=config.strict)
        layout = make_layout(relation, view.facts(relation), view.types(), layout_options(config, catalog))
    finally:
        catalog.connection.close()
    emitter = Emitter(config)
    writer = emitter.writer(layout)
    source = None if writer is None else writer.source()
    emitter.close()
    return Rendering(
        table, layout.topic, relation.identity.name, tuple(column.name for column in layout.key),
        tuple(_row(column, layout) for column in _columns(layout)), "plain" if source is None else "composed", source,
    )  # fmt: skip


def _columns(layout: Layout) -> list[LayoutColumn]:
    in_value = {column.index for column in layout.columns}
    return [*layout.columns, *(column for column in layout.key if column.index not in in_value)]


def _row(column: LayoutColumn, layout: Layout) -> tuple[str, ...]:
    schema = column.schema
    places = {each.index: str(place) for place, each in enumerate(layout.key, 1)}
    return (
        column.name,
        column.column.name,
        str(column.column.type_oid) + (f" ({column.column.typmod})" if column.column.typmod >= 0 else ""),
        schema.name or schema.type.value,
        "yes" if schema.optional else "no",
        "" if schema.default is None else repr(schema.default),
        places.get(column.index, "") + ("" if column.in_value else " only"),
        "" if column.unavailable is None else repr(column.unavailable),
    )
