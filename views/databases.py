"""The databases behind a file's topics: for tokens, and for what became of a transaction."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any

from cdc.errors import ConfigError, SeamError
from cdc.properties import ConfigFile, Properties, resolve
from cdc.tokens import transaction_status

if TYPE_CHECKING:
    from cdc.postgres.connection import Source

_LIBPQ = ("sslmode", "sslcert", "sslkey", "sslpassword", "sslrootcert")


def source_of(properties: Properties, *, origin: str) -> Source:
    """The database that a connector's configuration names.

    Raises:
        ConfigError: It names none.
    """
    from cdc.postgres.connection import Source

    resolved = resolve({name: text for name, text in properties.items() if name.startswith("database.")}, source=origin)
    missing = [name for name in ("database.hostname", "database.user", "database.dbname") if not resolved.get(name)]
    if missing:
        raise ConfigError(f"{origin}: {', '.join(missing)} is not given")
    port = resolved.get("database.port", "5432")
    if not port.isdigit():
        raise ConfigError(f"{origin}: database.port: {port!r} is not a whole number")
    return Source(
        host=resolved["database.hostname"],
        port=int(port),
        dbname=resolved["database.dbname"],
        user=resolved["database.user"],
        password=resolved.get("database.password"),
        parameters={name: resolved[f"database.{name}"] for name in _LIBPQ if f"database.{name}" in resolved},
        application_name="seam view",
    )


def probe_of(file: ConfigFile, topics: Iterable[str]) -> Callable[[int], str | None] | None:
    """Asks the database behind topics what became of a transaction; None where the file names no such database.

    The connection is made when it is needed, and again when it was lost; a database that cannot be asked says nothing.
    """
    prefixes = {c.get("topic.prefix", ""): c for c in file.connectors.values()}
    wanted = [c for prefix, c in prefixes.items() if prefix and any(t.startswith(prefix + ".") for t in topics)]
    if len(wanted) != 1:
        return None
    from cdc.postgres.connection import connect  # most views have no database to ask

    source = source_of(wanted[0], origin=str(file.path))
    held: list[Any] = []

    def probe(xid: int) -> str | None:
        try:
            if not held:
                held.append(connect(source, statement_timeout="2s"))
            return transaction_status(held[0], xid)
        except SeamError:
            return None
        except Exception:  # noqa: BLE001 - whatever the driver says: it cannot be asked now
            with contextlib.suppress(Exception):
                held.pop().close()
            return None

    return probe
