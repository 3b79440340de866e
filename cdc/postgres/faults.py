"""The one place where errors of Postgres and libpq become errors of ours."""

from __future__ import annotations

import psycopg

from cdc.errors import (
    AuthFailed,
    OperatorError,
    PublicationChanged,
    RetriableError,
    SeamError,
    SlotInUse,
    SlotLost,
    SourceUnavailable,
)

# SQLSTATE -> error; a class of two characters serves where the state itself is not listed.
# Source: PostgreSQL documentation, appendix "PostgreSQL Error Codes".
_BY_STATE: dict[str, type[SeamError]] = {
    "55006": SlotInUse,  # object_in_use
    "57P01": SourceUnavailable,  # admin_shutdown
    "57P02": SourceUnavailable,  # crash_shutdown
    "57P03": SourceUnavailable,  # cannot_connect_now
    "57014": SourceUnavailable,  # query_canceled: a statement_timeout of ours
    "53300": SourceUnavailable,  # too_many_connections
    "53100": SourceUnavailable,  # disk_full
    "58P01": SlotLost,  # the WAL that the slot needs was removed
    "42501": AuthFailed,  # insufficient_privilege
    "3D000": OperatorError,  # the database does not exist
    "08": SourceUnavailable,
    "28": AuthFailed,
}

_HINTS: dict[type[SeamError], str] = {
    SlotInUse: "another process reads from the slot; `seam slots list` names it",
    AuthFailed: "check database.user, database.password and the privileges: `seam check FILE --role NAME` prints them",
    SlotLost: "the changes since the recorded position are gone from the log; see docs/operations.md, 'A lost slot'",
}


def translate(error: Exception, *, where: str) -> SeamError:
    """The error of ours for an error of psycopg; the caller raises it `from` the original.

    Args:
        error: What psycopg raised.
        where: Server and task, as `replication from 127.0.0.1:5432/shop`.
    """
    state = getattr(error, "sqlstate", None)
    text = " ".join(str(error).split())
    if state is None:
        return from_text(text, where=where)
    return by_state(state, text, where=where)


def by_state(state: str, text: str, *, where: str) -> SeamError:
    """The error of ours for an SQLSTATE and the server's message."""
    if state == "42704":  # undefined_object: a slot or a publication
        kind: type[SeamError] = PublicationChanged if "publication" in text else SlotLost
    elif state == "55000":  # object_not_in_prerequisite_state: an invalidated slot, or a warning about a publication
        kind = PublicationChanged if "publication" in text else SlotLost if "slot" in text else OperatorError
    else:
        kind = _BY_STATE.get(state) or _BY_STATE.get(state[:2]) or OperatorError
    return kind(f"{where}: {text} (SQLSTATE {state})", hint=_HINTS.get(kind))


def from_text(text: str, *, where: str) -> SeamError:
    """The error of ours for a failed connection, which has a message and no SQLSTATE.

    libpq passes the server's words on in the server's language; a refused password is told apart by the words that
    stand in its own English texts, and everything else is taken for a server that may come back.
    """
    lowered = text.lower()
    refused = (
        "password authentication failed",
        "no pg_hba.conf entry",
        "no password supplied",
        "certificate",
        "authentication failed",
        "must be superuser or replication role",
        "permission denied",
    )
    if any(words in lowered for words in refused) or ("role" in lowered and "does not exist" in lowered):
        return AuthFailed(f"{where}: {text}", hint=_HINTS[AuthFailed])
    if "database" in lowered and "does not exist" in lowered:
        return OperatorError(f"{where}: {text}", hint="check database.dbname")
    return SourceUnavailable(f"{where}: {text}")


def is_retriable(error: BaseException) -> bool:
    """Whether the same call may succeed later."""
    return isinstance(error, (RetriableError, psycopg.OperationalError))
