"""What a migration needs to know of the pipeline that carries its slice; the command line makes one from a file."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass

import sqlalchemy
from sqlalchemy.pool import NullPool

from cdc.kafka.client import ClientOptions
from cdc.layout import LayoutOptions
from cdc.postgres.catalog import Catalog
from cdc.postgres.connection import Source, connect
from cdc.postgres.preflight import Wanted
from cdc.render import RenderOptions


@dataclass(frozen=True, slots=True)
class Bridge:
    """One pipeline, as legacy_db sees it.

    Attributes:
        name: The connector's name.
        source: The legacy database.
        kafka: How Kafka is reached.
        layout: How rows look as records.
        render: How records are written.
        wanted: What the pipeline asks of the database: tables, slot, publication.
        via_root: `publish.via.partition.root`.
        snapshot: Whether its first start publishes the rows that are there.
        run: Runs the engine in this process: `run(stop, once, rows)`; with `once` until what is committed now is
            delivered, with `rows` as if `snapshot.mode` were initial.
        administered: Whether topics can be created and deleted; the embedded broker cannot.
        obstacle: Why its topics cannot be compared with tables, None where they can: transforms, another converter.
    """

    name: str
    source: Source
    kafka: ClientOptions
    layout: LayoutOptions
    render: RenderOptions
    wanted: Wanted
    via_root: bool
    snapshot: bool
    run: Callable[[threading.Event, bool, bool], None]
    administered: bool = True
    obstacle: str | None = None

    def catalog(self, *, statement_timeout: str = "60s") -> Catalog:
        """A new connection to the legacy database; the caller closes it."""
        return Catalog(connect(self.source, statement_timeout=statement_timeout), self.source)

    def engine(self) -> sqlalchemy.Engine:
        """SQLAlchemy's view of the legacy database, for reflection."""
        return sqlalchemy.create_engine(
            "postgresql+psycopg://", creator=lambda: connect(self.source), poolclass=NullPool
        )

    def topic(self, table: str) -> str:
        """The topic of `schema.table`."""
        schema, _, name = table.partition(".")
        return self.layout.topics.data(schema, name)
