"""From Relation messages to renderers: one callable per captured relation, made when its message arrives."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from cdc.errors import PublicationChanged
from cdc.layout import Layout, LayoutOptions, make_layout
from cdc.model.relation import PgType, Relation, TableFacts
from cdc.render import ComposedRender, Render, RenderOptions
from cdc.report import Finding, Severity


def renamed(before: str, after: str) -> Finding:
    """The finding of a table whose records go to another topic from here on."""
    return Finding("TABLE_RENAMED", Severity.WARNING, before, f"was renamed to {after}, and so its topic changes")


MakeRender = Callable[[Layout], Render]


@dataclass(frozen=True, slots=True)
class CatalogueView:
    """What the relations need of the catalogue, as functions, so that the pure rooms do not know the connection.

    Attributes:
        facts: OID -> keys, nullability and defaults of a table now.
        types: Reads `pg_type` again.
    """

    facts: Callable[[int], TableFacts]
    types: Callable[[], Mapping[int, PgType]]


class Relations:
    """The relations of a stream.

    Args:
        layout_options: What the configuration says about rows.
        render_options: What it says about records.
        catalogue: The catalogue.
        make_render: Makes the renderer of a layout; the composed one when left out.
        on_finding: Told of each column whose type is not mapped, once.

    Attributes:
        renderers: The relation's OID as its four wire bytes -> its renderer; None for a table that is not captured.
        epoch: Counts changes of layout.
    """

    def __init__(
        self,
        layout_options: LayoutOptions,
        render_options: RenderOptions,
        catalogue: CatalogueView,
        *,
        make_render: MakeRender | None = None,
        on_finding: Callable[[Finding], None] = lambda _finding: None,
    ) -> None:
        self.layout_options = layout_options
        self.render_options = render_options
        self.catalogue = catalogue
        self.make_render = make_render or (lambda layout: ComposedRender(layout, render_options).render)
        self.on_finding = on_finding
        self.renderers: dict[bytes, Render | None] = {}
        self.by_oid: dict[int, Relation] = {}
        self.layouts: dict[int, Layout] = {}
        self.epoch = 0
        self._types: Mapping[int, PgType] = {}
        self._told: set[tuple[str, str]] = set()

    def define(self, relation: Relation) -> None:
        """Take over a Relation message: it describes the rows that follow."""
        key = relation.oid.to_bytes(4, "big")
        known = self.by_oid.get(relation.oid)
        self.by_oid[relation.oid] = relation
        if known is not None and known.qualified != relation.qualified and self.renderers[key] is not None:
            self.on_finding(renamed(known.qualified, relation.qualified))
        if not self.layout_options.selection.captures(relation.schema, relation.name):
            if self.renderers.get(key) is not None:
                # Seen here, before a row under the new name is left out and acknowledged.
                raise PublicationChanged(
                    f"{known.qualified if known else ''} was renamed to {relation.qualified}, which is not captured",
                    hint="see docs/operations.md, 'A changed publication'; "
                    "`seam publications accept FILE` takes the publication as it stands now",
                )
            self.renderers[key] = None
            return
        facts = self.catalogue.facts(relation.oid)
        layout = make_layout(relation, facts, self._types_of(relation), self.layout_options)
        self.layouts[relation.oid] = layout
        self.renderers[key] = self.make_render(layout)
        if known is not None and known != relation:
            self.epoch += 1
        self._tell(layout)

    def _types_of(self, relation: Relation) -> Mapping[int, PgType]:
        if any(column.type_oid not in self._types for column in relation.columns):
            self._types = self.catalogue.types()
        return self._types

    def _tell(self, layout: Layout) -> None:
        table = layout.relation.qualified
        for name in layout.inexact:
            if (table, name) not in self._told:
                self._told.add((table, name))
                self.on_finding(
                    Finding(
                        "TYPE_AS_TEXT", Severity.NOTE, f"{table}.{name}",
                        "Debezium does not map this type; its text is published as a string",
                    )
                )  # fmt: skip
