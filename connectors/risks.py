"""Why a change of a key may lose data, send it again, or start a new snapshot. Pure.

The reasons are measured or documented behaviour of Debezium 3.6 and Connect 4.3; a key that is not here is taken to be
harmless.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Final

from connectors.compare import Difference

_SNAPSHOT_TABLES: Final = (
    "the captured set changes: tables that come in are not snapshotted while offsets are stored, and changes of tables "
    "that go out are skipped for good"
)
_FORMAT: Final = "records of another form are mixed with the old ones in the same topics"

_RULES: Final[tuple[tuple[re.Pattern[str], str], ...]] = tuple(
    (re.compile(pattern), why)
    for pattern, why in (
        (r"connector\.class", "another connector does not read the offsets stored under this name"),
        (
            r"slot\.name",
            "a new slot starts where it is created: changes up to then are lost, and the old slot keeps WAL",
        ),
        (r"slot\.drop\.on\.stop", "with true the slot goes with every stop, and changes until the next start are lost"),
        (
            r"publication\.name",
            "another publication may hold other tables; changes before it existed cannot be decoded",
        ),
        (r"publication\.autocreate\.mode", "Debezium may alter the publication to the tables of this configuration"),
        (
            r"topic\.prefix|database\.server\.name",
            "topics and stored offsets belong to the old prefix: a new snapshot starts, into new topics",
        ),
        (
            r"(table|schema|database|collection|keyspace)\.(include|exclude)\.(list|regex)|database\.names",
            _SNAPSHOT_TABLES,
        ),
        (r"column\.(include|exclude)\.list|column\.(mask|truncate)\..*", "consumers see other columns from here on"),
        (r"message\.key\.columns", "record keys change: compaction and upserts downstream treat the rows as new"),
        (r"snapshot\.mode(\..*)?", "the next start may read whole tables again, or none"),
        (r"snapshot\.include\.collection\.list|snapshot\.select\.statement\.overrides.*", "another snapshot is taken"),
        (
            r"database\.(hostname|port|dbname|pdb\.name|instance)|mongodb\.connection\.string|couchbase\.(seed\.nodes|bucket)",
            "stored offsets belong to the old server: its positions mean nothing, or something else, on another one",
        ),
        (
            r"schema\.history\.internal\.kafka\.topic",
            "the schema history starts empty, and old changes cannot be decoded",
        ),
        (r"offsets\.storage\.topic", "the stored offsets are looked for in another topic: a new snapshot starts"),
        (r"offset\.mismatch\.strategy", "which of slot and stored offset wins decides about lost or repeated changes"),
        (
            r"skipped\.operations|tombstones\.on\.delete|event\.processing\.failure\.handling\.mode",
            "events are left out",
        ),
        (r"errors\.tolerance", "with all, records that cannot be carried are dropped without a failure"),
        (r"transforms|transforms\..+|predicates|predicates\..+", f"{_FORMAT}, or go to other topics, or are dropped"),
        (r"(key|value|header)\.converter(\..+)?", f"{_FORMAT}, which consumers may not be able to read"),
        (r"decimal\.handling\.mode|time\.precision\.mode|binary\.handling\.mode|interval\.handling\.mode", _FORMAT),
        (
            r"topics|topics\.regex",
            "topics that come in are read from their beginning; those that go out are no longer read",
        ),
        (
            r"consumer\.override\.(group\.id|auto\.offset\.reset)",
            "another group has no offsets: topics are read again or skipped",
        ),
        (
            r"primary\.key\.(mode|fields)|insert\.mode|collection\.name\.format|table\.name\.format",
            "rows go elsewhere or twice",
        ),
        (
            r"delete\.enabled|truncate\.enabled|behavior\.on\.null\.values",
            "deletes are carried out, or are not, from here on",
        ),
        (r"key\.ignore|write\.method|document\.id.*", "documents get other ids: those written so far are left behind"),
        (r"file", "the stored offset belongs to the old file"),
    )
)


def risk(key: str) -> str | None:
    """Why a change of this key is risky, or None."""
    return next((why for pattern, why in _RULES if pattern.fullmatch(key)), None)


def risks(changes: Iterable[Difference]) -> dict[str, str]:
    """Key -> why, of those changes that are risky."""
    return {change.key: why for change in changes if (why := risk(change.key)) is not None}
