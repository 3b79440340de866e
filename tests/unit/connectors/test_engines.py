"""Which of the two engines can run a file."""

from __future__ import annotations

from connectors.desired import Desired
from connectors.engines import connect_only, native_only

POSTGRES = {
    "connector.class": "io.debezium.connector.postgresql.PostgresConnector",
    "plugin.name": "pgoutput",
    "topic.prefix": "shop",
    "database.hostname": "db",
    "database.user": "seam",
    "database.password": "${env:NOT_SET_HERE}",
    "database.dbname": "shop",
    "snapshot.mode": "no_data",
}


def test_a_file_for_both_engines_has_no_key_at_fault() -> None:
    assert connect_only(Desired("a", POSTGRES, "", own={"seam.depends.on": "b"})) == []


def test_what_the_native_engine_does_not_carry_out_is_named() -> None:
    assert connect_only(Desired("a", {**POSTGRES, "plugin.name": "decoderbufs"}, "")) == ["plugin.name"]
    assert connect_only(Desired("a", {**POSTGRES, "connector.plugin.version": "3.6"}, "")) == [
        "connector.plugin.version"
    ]


def test_what_is_not_postgres_runs_on_connect_only() -> None:
    assert connect_only(Desired("a", {"connector.class": "FileStreamSource"}, "")) == ["connector.class"]


def test_mended_events_are_the_native_engines_alone() -> None:
    assert native_only(Desired("a", POSTGRES, "", own={"seam.compat": "safe"})) == ["seam.compat"]
    assert native_only(Desired("a", POSTGRES, "", own={"seam.compat": "strict"})) == []
