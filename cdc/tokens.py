"""Read-your-writes tokens: which write somebody has just made, as a text that travels.

`after_commit` reads the log's insert position after the commit: an upper bound of the commit's end, from any connection
to the primary. `in_transaction` puts a message into the transaction itself: exact, even where nothing else of it is
captured. Only these two ways are safe: a position read before the commit lies below it, and the write position
(`pg_current_wal_lsn`) lags behind commits that are not synchronous.

Any DB-API connection will do; nothing of a driver is imported here.

Source: PostgreSQL documentation, "System Administration Functions", "Backup Control Functions";
`pg_logical_emit_message`.
"""

from __future__ import annotations

import re
import uuid
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from cdc.errors import ConfigError, OperatorError
from cdc.lsn import LSN

if TYPE_CHECKING:
    from cdc.frontier import Waited
    from cdc.kafka.client import ClientOptions

TOKEN_PREFIX: Final = "seam.token"  # noqa: S105 - the prefix of a logical message
SESSION_KEY: Final = "seam.token"

_ID = re.compile(r"[A-Za-z0-9-]{1,64}")

# The timeline is the first eight digits of the file that is written to: pg_control_checkpoint() tells it only after the
# first checkpoint that follows a promotion.
_HERE: Final = (
    "SELECT s.system_identifier::text, substr(pg_walfile_name(p.lsn), 1, 8), p.lsn::text, "
    "current_setting('synchronous_commit'), pg_current_xact_id_if_assigned()::text "
    "FROM (SELECT pg_current_wal_insert_lsn() AS lsn) p, pg_control_system() s"
)
_INSIDE: Final = (
    "SELECT s.system_identifier::text, substr(pg_walfile_name(p.lsn), 1, 8), p.lsn::text, pg_current_xact_id()::text "
    "FROM (SELECT pg_logical_emit_message(true, '{prefix}', '{id}') AS lsn) p, pg_control_system() s"
)
_MARK: Final = "SELECT pg_logical_emit_message(true, '{prefix}', '{id}')::text"
_STATUS: Final = "SELECT pg_xact_status('{xid}'::xid8)"


class TokenMalformed(ConfigError):
    """The text is not a token."""

    code = "TOKEN_MALFORMED"


class TokenTooEarly(OperatorError):
    """A token that is taken before the commit would promise less than the write."""

    code = "TOKEN_TOO_EARLY"


@dataclass(frozen=True, slots=True)
class Token:
    """A write, or everything that was committed up to a moment.

    Attributes:
        system_id: Of the server that it was made on.
        timeline: The timeline that it was made on.
        lsn: The write's commit ends at or below it; 0 while that is not known.
        id: Of the message that marks the write, where there is one.
        at: Where that message lies in the log.
        xid: The write's transaction, where known.
    """

    system_id: int
    timeline: int
    lsn: LSN
    id: str | None = None
    at: LSN = LSN(0)
    xid: int | None = None

    def __str__(self) -> str:
        text = f"{self.system_id}/{self.timeline}/{self.lsn}"
        if self.id is not None:
            text += f";id={self.id};at={self.at}"
        return text if self.xid is None else f"{text};xid={self.xid}"


class PlaceToken(NamedTuple):
    """One record in Kafka: everything of its partition up to it."""

    topic: str
    partition: int
    offset: int

    def __str__(self) -> str:
        return f"{self.topic}/{self.partition}/{self.offset}"


AnyToken = Token | PlaceToken


def parse_token(text: str) -> AnyToken:
    """Read a token, or the position of a row, which means: at least that write.

    Args:
        text: `system id/timeline/LSN[;id=...;at=LSN][;xid=...]`, `system id/timeline/LSN/ordinal`, or
            `topic/partition/offset`.

    Raises:
        TokenMalformed: It is none of these.
    """
    base, *parameters = text.strip().split(";")
    parts = base.split("/")
    if len(parts) not in (3, 4, 5) or (len(parts) != 4 and parameters):
        raise TokenMalformed(f"not a token: {text[:100]!r}")
    try:
        if len(parts) == 3:
            return _place(parts)
        token = Token(int(parts[0]), int(parts[1]), LSN.parse("/".join(parts[2:4])))
        if len(parts) == 5:
            # A row names the start of its commit record; every position above it is at or behind the record's end.
            int(parts[4])
            return replace(token, lsn=LSN(token.lsn + 1))
        return _with_parameters(token, parameters)
    except ValueError as error:
        raise TokenMalformed(f"not a token: {text[:100]!r}: {error}") from error


def _place(parts: list[str]) -> PlaceToken:
    topic, partition, offset = parts[0], int(parts[1]), int(parts[2])
    if not re.fullmatch(r"[A-Za-z0-9._-]{1,249}", topic) or partition < 0 or offset < 0:
        raise ValueError("not a topic, a partition and an offset")
    return PlaceToken(topic, partition, offset)


def _with_parameters(token: Token, parameters: Iterable[str]) -> Token:
    for parameter in parameters:
        name, _, value = parameter.partition("=")
        if name == "id" and _ID.fullmatch(value):
            token = replace(token, id=value)
        elif name == "at":
            token = replace(token, at=LSN.parse(value))
        elif name == "xid":
            token = replace(token, xid=int(value))
        else:
            raise ValueError(f"unknown parameter {name!r}")
    return token


def parse_tokens(text: str) -> list[AnyToken]:
    """Read tokens between commas, all of which must hold.

    Raises:
        TokenMalformed: One is none.
    """
    return [parse_token(part) for part in text.split(",") if part.strip()]


def merge(tokens: Iterable[AnyToken]) -> list[AnyToken]:
    """The fewest tokens that promise the same: the highest of each timeline, partition and message."""
    found: dict[Any, AnyToken] = {}
    for token in tokens:
        if isinstance(token, Token):
            key: Any = (token.system_id, token.timeline, token.id)
            before = found.get(key)
            if not isinstance(before, Token) or before.lsn < token.lsn:
                found[key] = token
        else:
            key = (token.topic, token.partition)
            before = found.get(key)
            if not isinstance(before, PlaceToken) or before.offset < token.offset:
                found[key] = token
    return list(found.values())


def after_commit(connection: Any, token: Token | None = None, *, volatile: bool | None = None) -> Token:
    """The token of everything that is committed now; call it after the commit, on any connection to the primary.

    A commit with `synchronous_commit = off` may be lost in a crash of the server. Such a token carries a message of a
    small transaction that follows the commit: what shows the message has the commit too.

    Args:
        connection: A DB-API connection, outside of any transaction.
        token: What `in_transaction` gave for the write that was committed; it gets its position.
        volatile: Whether the commit was asynchronous; None reads the connection's setting, which does not know of a
            `SET LOCAL` in the transaction.

    Raises:
        TokenTooEarly: The connection is in a transaction.
    """
    system_id, timeline, lsn, synchronous, xid = _ask(connection, _HERE)
    if xid is not None:
        raise TokenTooEarly(
            "the connection is in a transaction that has written",
            hint="take the token after the commit, or inside with cdc.tokens.in_transaction",
        )
    if token is not None:
        connection.rollback()
        return replace(token, lsn=LSN.parse(lsn))
    asynchronous = synchronous == "off" if volatile is None else volatile
    if not asynchronous:
        connection.rollback()
        return Token(int(system_id), int(timeline, 16), LSN.parse(lsn))
    identity = uuid.uuid4().hex
    (at,) = _ask(connection, _MARK.format(prefix=TOKEN_PREFIX, id=identity))
    connection.commit()
    lsn = _ask(connection, _HERE)[2]
    connection.rollback()
    return Token(int(system_id), int(timeline, 16), LSN.parse(lsn), identity, LSN.parse(at))


def in_transaction(connection: Any) -> Token:
    """The token of the transaction that the connection is in; it holds once that is committed.

    Complete it with `after_commit(connection, token)` where that can be called: only then a commit that a crash took
    away is told from one that is still on its way.

    Args:
        connection: A DB-API connection.
    """
    identity = uuid.uuid4().hex
    system_id, timeline, at, xid = _ask(connection, _INSIDE.format(prefix=TOKEN_PREFIX, id=identity))
    return Token(int(system_id), int(timeline, 16), LSN(0), identity, LSN.parse(at), int(xid))


def before_commit(session: Any) -> None:
    """A listener for SQLAlchemy: `event.listen(Session, "before_commit", cdc.tokens.before_commit)`.

    The token of a commit then stands in `session.info["seam.token"]`.
    """
    session.info[SESSION_KEY] = in_transaction(session.connection().connection)


def wait_for(
    token: AnyToken,
    target: Any,
    seconds: float = 5.0,
    *,
    kafka: ClientOptions | None = None,
    probe: Callable[[int], str | None] | None = None,
) -> Waited:
    """Wait until a view shows a write, or until a topic holds it.

    Args:
        token: The write.
        target: A view (`views.runner.View`, or whatever has its `wait_for`), or the name of a topic.
        seconds: How long at most.
        kafka: How Kafka is reached, for a topic.
        probe: Tells what became of a transaction, for a token that carries one; asked at most twice.

    Raises:
        NoProgress: Nobody tells the progress of those topics.
    """
    if not isinstance(target, str):
        return target.wait_for(token, seconds, probe=probe)  # type: ignore[no-any-return] # as its class says
    if kafka is None:
        raise TypeError("waiting for a topic needs kafka=")
    from cdc.topic_wait import wait_for_topic

    return wait_for_topic(token, target, seconds, kafka=kafka, probe=probe)


def transaction_status(connection: Any, xid: int) -> str | None:
    """What became of a transaction: "committed", "aborted", "in progress", or None when it is too old to tell."""
    (status,) = _ask(connection, _STATUS.format(xid=int(xid)))
    return None if status is None else str(status)


def _ask(connection: Any, query: str) -> Any:
    cursor = connection.cursor()
    try:
        cursor.execute(query)
        return cursor.fetchone()
    finally:
        cursor.close()
