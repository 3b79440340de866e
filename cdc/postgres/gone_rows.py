"""Rows that the database does not have any more, while a topic still has them: their deletes, put into the stream.

Exact without a lock. Whether the rows are gone is asked in one statement, together with its snapshot. When that sees every
transaction that was streamed so far, then what it says is the state of the stream here: a row that is gone in it and is
inserted again later comes later in the stream. While a streamed transaction is still invisible, the question is asked again.
"""

from __future__ import annotations

import base64
from collections.abc import Mapping, Sequence
from typing import Any, Final

from psycopg import sql

from cdc.errors import ConfigError, Problem
from cdc.postgres.catalog import Catalog
from cdc.postgres.condition import check_condition
from cdc.recent import RecentTransactions
from cdc.render import Record
from cdc.requests import Request
from cdc.visibility import Snapshot

REQUEST_BYTES: Final = 512 << 10
"""How much of deletes goes into one request; a larger row's delete goes without its old values, as a tombstone."""


def gone_row(tables: Sequence[str], where: str, topic: str, key: bytes, value: bytes | None) -> Mapping[str, Any]:
    """One row of a request.

    Args:
        tables: `schema.table` of all that may hold it.
        where: SQL for the row.
        topic: Where it is to be deleted.
        key: Of its record.
        value: Of the delete; None for the tombstone alone.
    """
    return {
        "tables": list(tables), "where": where, "topic": topic, "key": base64.b64encode(key).decode(),
        "value": None if value is None else base64.b64encode(value).decode(),
    }  # fmt: skip


def deletes_of(catalog: Catalog, recent: RecentTransactions, request: Request, *, prefix: str) -> list[Record] | None:
    """The records that delete those rows of a request that are gone.

    Args:
        catalog: The database.
        recent: The transactions that were streamed and may be invisible still.
        request: The request.
        prefix: What the pipeline's topics begin with.

    Returns:
        None when it cannot be said yet.

    Raises:
        ConfigError: A condition fails, or a topic is none of the pipeline's.
        SeamError: The database cannot be asked.
    """
    questions = []
    for row in request.gone:
        if not row["topic"].startswith(f"{prefix}."):
            raise ConfigError([Problem("topic", f"{row['topic']} is no topic of this pipeline")])
        for table in row["tables"]:
            schema, _, name = table.partition(".")
            check_condition(catalog, (schema, name), row["where"], option=f"the condition of {table}")
        exists = " or ".join(
            f"exists (select 1 from only {sql.Identifier(*table.split('.', 1)).as_string()} t where (\n{row['where']}\n))"  # noqa: S608 - the condition was planned by the server just now
            for table in row["tables"]
        )
        questions.append(exists)
    with catalog.connection.transaction():
        # A row that a policy hides is not gone.
        catalog.connection.execute("set local row_security = off")
        query = f"select pg_current_snapshot()::text, array[{', '.join(questions)}]::bool[]"
        ((text, answers),) = catalog.rows(query)
    recent.prune(Snapshot.parse(text))
    if recent.unseen or not recent.exact:
        return None
    records: list[Record] = []
    for row, there in zip(request.gone, answers, strict=True):
        if not there:
            key = base64.b64decode(row["key"])
            if row["value"] is not None:
                records.append((row["topic"], key, base64.b64decode(row["value"]), None))
            records.append((row["topic"], key, None, None))
    return records
