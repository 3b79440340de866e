"""Conditions that people write: asked of the server before anything is done, with the server's own words and place."""

from __future__ import annotations

from dataclasses import dataclass

import psycopg
from psycopg import sql

from cdc.errors import ConfigError, Problem
from cdc.postgres.catalog import Catalog
from cdc.postgres.faults import translate


@dataclass(frozen=True, slots=True)
class Measured:
    """What a condition selects.

    Attributes:
        rows: How many.
        bytes: Of their values in the table, uncompressed values counted as they are stored.
    """

    rows: int
    bytes: int


def _select(what: str, table: tuple[str, str], where: str | None) -> tuple[sql.Composed, str]:
    """The query, and the text before the condition."""
    head = sql.SQL(what + " from {} t").format(sql.Identifier(*table))
    if where is None:
        return sql.Composed([head]), ""
    lead = " where (\n"
    # On lines of its own, so that a comment at its end hides nothing. It is the user's own condition.
    return sql.Composed([head, sql.SQL(lead), sql.SQL(where), sql.SQL("\n)")]), lead


def check_condition(catalog: Catalog, table: tuple[str, str], where: str, *, option: str) -> None:
    """Have the server plan a query with the condition, without running it.

    Args:
        catalog: The server.
        table: Schema and name.
        where: The condition.
        option: What the condition was given as, for the message.

    Raises:
        ConfigError: The server's message, with the place in the condition.
        SeamError: The server cannot be reached.
    """
    query, lead = _select("explain (costs off) select 1", table, where)
    text = query.as_string(catalog.connection)
    try:
        # Inside a read-only transaction, as the rows themselves are read.
        with catalog.connection.transaction():
            catalog.connection.execute("set transaction read only")
            catalog.connection.execute(query)
    except psycopg.Error as error:
        raise _refused(error, catalog, option, text.find(lead) + len(lead), where) from error


def check_select(catalog: Catalog, select: str, *, option: str) -> None:
    """The same for a whole SELECT.

    Raises:
        ConfigError: The server's message, with the place in the statement.
        SeamError: The server cannot be reached.
    """
    lead = "explain (costs off) select * from (\n"
    body = select.strip().rstrip(";")
    try:
        with catalog.connection.transaction():
            catalog.connection.execute("set transaction read only")
            catalog.connection.execute(sql.Composed([sql.SQL(lead), sql.SQL(body), sql.SQL("\n) s")]))
    except psycopg.Error as error:
        raise _refused(error, catalog, option, len(lead), body) from error


def _refused(error: psycopg.Error, catalog: Catalog, option: str, lead: int, text: str) -> Exception:
    state = error.sqlstate
    if state is None or state[:2] in ("08", "57", "53"):
        return translate(error, where=f"asking {catalog.source.address}")
    message = " ".join((error.diag.message_primary or str(error)).split())
    place = error.diag.statement_position
    where = ""
    if place is not None and 1 <= int(place) - lead <= len(text):
        where = f", at character {int(place) - lead}"
    return ConfigError([Problem(option, f"{message} (SQLSTATE {state}){where}")])


def measure(catalog: Catalog, table: tuple[str, str], where: str | None) -> Measured:
    """Count what a condition selects, and its bytes.

    Raises:
        SeamError: As `cdc.postgres.faults` translates the server's error.
    """
    query, _ = _select("select count(*), coalesce(sum(pg_column_size(t.*)), 0)::int8", table, where)
    found = catalog.connection.execute(query).fetchone()
    assert found is not None
    return Measured(int(found[0]), int(found[1]))
