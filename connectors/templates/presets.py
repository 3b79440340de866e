"""Transform chains that are asked for again and again, as lines of a template."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from cdc.errors import ConfigError

PRESETS: Final = {
    "unwrap": "the row instead of the envelope; a deletion is a tombstone",
    "source-info": "operation, table and position of the source beside the row's columns (with unwrap)",
    "route": "one topic per table without prefix and schema",
    "outbox": "rows of an outbox table as events, routed by their aggregate type",
}
_SINKS: Final = ("jdbc-sink", "mongodb-sink", "elasticsearch-sink", "opensearch-sink", "s3-sink", "file-sink")
_RELATIONAL: Final = ("postgres", "mysql", "mariadb", "oracle", "sqlserver", "db2")


def preset_lines(kind: str, presets: Sequence[str], *, prefix: str) -> list[str]:
    """Lines that add transforms to a template.

    Raises:
        ConfigError: A preset is unknown, does not fit the system, or does not go with another one.
    """
    unknown = [preset for preset in presets if preset not in PRESETS]
    if unknown:
        raise ConfigError(f"there is no preset {', '.join(unknown)}", hint=f"there are {', '.join(PRESETS)}")
    if kind not in (*_RELATIONAL, "mongodb"):
        raise ConfigError(f"presets are for Debezium's sources; {kind} is none")
    if "outbox" in presets and len(presets) > 1:
        raise ConfigError("the preset outbox makes events of its own form and goes with no other preset")
    if "source-info" in presets and "unwrap" not in presets:
        presets = ["unwrap", *presets]
    mongo = kind == "mongodb"
    chain = [preset for preset in presets if preset != "source-info"]
    lines = [f'"transforms" = "{",".join(chain)}"']
    for preset in chain:
        lines += {"unwrap": _unwrap, "route": _route, "outbox": _outbox}[preset](mongo=mongo, prefix=prefix)
        if preset == "unwrap" and "source-info" in presets:
            lines += _source_info(kind)
    return lines


def _unwrap(*, mongo: bool, prefix: str) -> list[str]:  # noqa: ARG001 - one signature for all
    type = (
        "io.debezium.connector.mongodb.transforms.ExtractNewDocumentState"
        if mongo
        else "io.debezium.transforms.ExtractNewRecordState"
    )
    return [
        "# The row instead of the envelope; a deletion becomes a tombstone, so that compaction forgets the row.",
        "# (The mode tombstone would keep a schema, and JSON would write the four letters null instead of nothing.)",
        f'"transforms.unwrap.type" = "{type}"',
        '"transforms.unwrap.delete.tombstone.handling.mode" = "delete-to-tombstone"',
    ]


def _source_info(kind: str) -> list[str]:
    position = {"postgres": ",source.lsn", "oracle": ",source.scn", "sqlserver": ",source.commit_lsn"}.get(kind, "")
    place = "source.collection" if kind == "mongodb" else "source.table"
    return [
        "# Beside the columns, as __op, __source_ts_ms and so on.",
        f'"transforms.unwrap.add.fields" = "op,source.ts_ms,source.db,{place}{position}"',
    ]


def _route(*, mongo: bool, prefix: str) -> list[str]:  # noqa: ARG001 - one signature for all
    expression = prefix.replace(".", r"\\.") + r"\\.(?:[^.]+\\.)*([^.]+)"
    return [
        "# One topic per table, without prefix and schema; tables of one name in two schemas would share it.",
        '"transforms.route.type" = "org.apache.kafka.connect.transforms.RegexRouter"',
        f'"transforms.route.regex" = "{expression}"',
        '"transforms.route.replacement" = "$1"',
    ]


def _outbox(*, mongo: bool, prefix: str) -> list[str]:
    type = (
        "io.debezium.connector.mongodb.transforms.outbox.MongoEventRouter"
        if mongo
        else "io.debezium.transforms.outbox.EventRouter"
    )
    payload = "collection" if mongo else "table"
    return [
        f"# Only the outbox {payload} may be captured: other changes have none of its columns",
        "# (id, aggregatetype, aggregateid, type, payload).",
        f'"transforms.outbox.type" = "{type}"',
        f'"transforms.outbox.{payload}.expand.json.payload" = "true"',
        f'"transforms.outbox.route.topic.replacement" = "{prefix}.${{routedByValue}}"',
        "# An outbox is only inserted into; an update is somebody's mistake, and said so.",
        '"transforms.outbox.table.op.invalid.behavior" = "warn"',
    ]
