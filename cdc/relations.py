"""From Relation messages to renderers: one callable per captured relation, made when its message arrives."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from cdc.errors import PublicationChanged
from cdc.layout import Layout, LayoutOptions, make_layout
from cdc.model.relation import PgType, Relation, TableFacts
from cdc.render import ComposedRender, Outgrown, Render, RenderOptions
from cdc.report import Finding, Severity


def renamed(before: str, after: str) -> Finding:
    """The finding of a table whose records go to another topic from here on."""
    return Finding("TABLE_RENAMED", Severity.WARNING, before, f"was renamed to {after}, and so its topic changes")


MakeRender = Callable[[Layout, Outgrown], Render]

_FIRST_OWN_OID = 16_384


@dataclass(frozen=True, slots=True)
class CatalogueView:
    """What the relations need of the catalogue, as functions, so that the pure rooms do not know the connection.

    Attributes:
        facts: Keys, nullability and defaults of a relation's table now.
        types: Reads `pg_type` again.
    """

    facts: Callable[[Relation], TableFacts]
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
        self.make_render = make_render or self._composed
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
        self._lay_out(relation, frozenset())
        if known is not None and known != relation:
            self.epoch += 1
        self._tell(self.layouts[relation.oid])

    def _lay_out(self, relation: Relation, nullable: frozenset[str]) -> Render:
        facts = self.catalogue.facts(relation)
        layout = make_layout(relation, facts, self._types_of(relation), self.layout_options, nullable=nullable)

        def outgrown(column: str) -> Render:
            # The row was written before its column became NOT NULL.
            return self._lay_out(relation, nullable | {column})

        render = self.make_render(layout, outgrown)
        self.layouts[relation.oid] = layout
        self.renderers[relation.oid.to_bytes(4, "big")] = render
        return render

    def _composed(self, layout: Layout, outgrown: Outgrown) -> Render:
        return ComposedRender(layout, self.render_options, outgrown).render

    def _types_of(self, relation: Relation) -> Mapping[int, PgType]:
        # The labels of an enum and the base of a domain may have changed since they were read.
        if any(c.type_oid not in self._types or c.type_oid >= _FIRST_OWN_OID for c in relation.columns):
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
        for name in layout.key_from_elsewhere:
            if (table, f"{name} of the key") not in self._told:
                self._told.add((table, f"{name} of the key"))
                self.on_finding(
                    Finding(
                        "KEY_NOT_IN_IDENTITY", Severity.WARNING, f"{table}.{name}",
                        "is part of the key, but an UPDATE or DELETE does not carry it: a changed key cannot be seen, "
                        "and a DELETE cannot be published",
                        f'ALTER TABLE "{layout.relation.schema}"."{layout.relation.name}" REPLICA IDENTITY FULL;',
                    )
                )  # fmt: skip
