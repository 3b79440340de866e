"""A topic is mended through the log: rows are read again by the engine, missed deletes are sent again."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path
from typing import Any

import orjson
import pytest

from cdc.errors import ConfigError
from cdc.kafka.client import ClientOptions
from cdc.kafka.producer import Producer
from cdc.postgres.catalog import Catalog
from cdc.postgres.connection import Source, connect
from cdc.postgres.gone_rows import deletes_of, gone_row
from cdc.recent import RecentTransactions
from cdc.requests import Kind, Request
from legacy_db import repair as repair_of_rows
from legacy_db.repair import delete_of
from tests.stack.kafka import KafkaBroker
from tests.stack.postgres import Database
from tests.support.consume import read_topic
from tests.support.engine import pipeline, run_once
from tests.support.engine_fixtures import StartEngine
from tests.support.migration import seam, seam_json, seam_toml


@pytest.fixture
def file(database: Database, kafka: KafkaBroker, prefix: str, tmp_path: Path) -> Path:
    """A pipeline whose topic lacks row 2 and has a row 77 that the table does not hold."""
    database.execute(
        'create table t (id integer primary key, "v w" text)', "insert into t select g, 'v' || g from generate_series(1, 5) g",
    )  # fmt: skip
    run_once(pipeline(database, kafka.bootstrap, prefix, snapshot__mode="initial"))
    topic = f"{prefix}.public.t"
    records = {orjson.loads(record.key)["id"]: record for record in read_topic(kafka.bootstrap, topic)}
    _send(kafka, topic, delete_of(records[2].value), records[2].key)
    foreign = orjson.loads(records[1].value)
    foreign["after"]["id"] = 77
    _send(kafka, topic, orjson.dumps(foreign), b'{"id":77}')
    return seam_toml(tmp_path / "seam.toml", database, kafka.bootstrap, prefix, {}, snapshot__mode="initial")


def _send(kafka: KafkaBroker, topic: str, value: bytes | None, key: bytes | None) -> None:
    outcome: list[Any] = []
    with closing(Producer(ClientOptions(kafka.bootstrap))) as producer:
        producer.send(topic, value, key, on_delivery=lambda error, _message: outcome.append(error))
        producer.client.flush(20)
    assert outcome == [None]


def test_verify_of_a_file_names_the_differing_keys_and_ends_with_5(file: Path):
    document = seam_json("verify", str(file), expect=5)
    table = document["tables"][0]
    assert (table["rows"], table["missing"], table["extra"], table["different"]) == (5, 1, 1, 0)
    assert sorted((one["kind"], one["key"]["id"]) for one in table["keys"]) == [("extra", 77), ("missing", 2)]
    assert not document["equal"]
    shown = seam("verify", str(file), expect=5)
    assert "2 rows differ" in shown.stdout
    assert "--repair" in shown.stderr


def test_a_repair_sends_reads_and_deletes_and_then_all_is_equal(file: Path, kafka: KafkaBroker, prefix: str):
    document = seam_json("verify", str(file), "--repair", "--yes")
    assert document["equal"]
    assert document["tables"][0]["rows"] == 5
    sent = [(r.key, orjson.loads(r.value)["op"] if r.value else None) for r in read_topic(kafka.bootstrap, f"{prefix}.public.t")][-3:]  # fmt: skip
    assert sent == [(b'{"id":77}', "d"), (b'{"id":77}', None), (b'{"id":2}', "r")]
    assert seam_json("verify", str(file))["equal"]


def test_a_running_engine_sends_the_missed_deletes_itself(
    file: Path, database: Database, kafka: KafkaBroker, prefix: str, start_engine: StartEngine
):
    start_engine(pipeline(database, kafka.bootstrap, prefix, snapshot__mode="initial"), database)
    assert seam_json("verify", str(file), "--repair", "--yes")["equal"]
    sent = [(r.key, orjson.loads(r.value)["op"] if r.value else None) for r in read_topic(kafka.bootstrap, f"{prefix}.public.t")][-3:]  # fmt: skip
    assert sent == [(b'{"id":77}', "d"), (b'{"id":77}', None), (b'{"id":2}', "r")]
    database.execute("insert into t values (77, 'again')")
    assert seam_json("verify", str(file))["equal"]


def test_a_row_that_came_back_is_not_deleted(
    file: Path, database: Database, kafka: KafkaBroker, prefix: str, monkeypatch: pytest.MonkeyPatch
):
    original = repair_of_rows._carry_out

    def back_meanwhile(bridge: Any, requests: Any, say: Any) -> int:
        if requests[0].kind is Kind.DELETE:
            database.execute("insert into t values (77, 'back')")
        return original(bridge, requests, say)

    monkeypatch.setattr(repair_of_rows, "_carry_out", back_meanwhile)
    done = seam("verify", str(file), "--repair", "--yes")
    assert "0 deletes were sent" in done.stderr
    last = [r for r in read_topic(kafka.bootstrap, f"{prefix}.public.t") if r.key == b'{"id":77}'][-1]
    assert orjson.loads(last.value)["after"]["v w"] == "back"


def test_rows_without_a_key_are_not_mended_and_the_others_are(
    file: Path, database: Database, kafka: KafkaBroker, prefix: str
):
    database.execute("create table twins (a integer)", "alter table twins replica identity full")
    seam("run", str(file), "--once")
    database.execute("insert into twins values (1), (1)")
    seam("run", str(file), "--once")
    topic = f"{prefix}.public.twins"
    _send(kafka, topic, read_topic(kafka.bootstrap, topic)[0].value, None)
    refused = seam("verify", str(file), "--repair", "--yes", expect=4)
    assert "public.twins: rows without a key cannot be mended one by one" in refused.stderr
    assert "1 rows were read again, 1 deletes were sent" in refused.stderr
    assert "give the table a primary key" in refused.stderr
    tables = {one["table"]: one for one in seam_json("verify", str(file), expect=5)["tables"]}
    assert {name: one["extra"] + one["missing"] + one["different"] for name, one in tables.items()} == {
        "public.t": 0, "public.twins": 1,
    }  # fmt: skip


def test_while_a_streamed_transaction_is_invisible_nothing_is_deleted(database: Database):
    database.execute("create table t (id integer primary key)", "insert into t values (1)")
    recent, request = RecentTransactions(), Request("p", "r", Kind.DELETE, gone=(
        gone_row(["public.t"], "id = 1", "p.public.t", b"1", b"there"), gone_row(["public.t"], "id = 2", "p.public.t", b"2", b"gone"),
    ))  # fmt: skip
    source = Source("127.0.0.1", database.server.port, database.name, "postgres")
    with closing(connect(source)) as connection, database.connect() as other:
        catalog = Catalog(connection, source)
        with other.transaction():
            xid = int(str(other.execute("select pg_current_xact_id()::text").fetchone()[0])) & 0xFFFFFFFF
            recent.add(xid)  # its commit was streamed, and is not visible yet
            assert deletes_of(catalog, recent, request, prefix="p") is None
        assert deletes_of(catalog, recent, request, prefix="p") == [
            ("p.public.t", b"2", b"gone", None), ("p.public.t", b"2", None, None),
        ]  # fmt: skip
        with pytest.raises(ConfigError, match="no topic of this pipeline"):
            deletes_of(catalog, recent, request, prefix="q")


def test_a_repair_asks_first(file: Path):
    import cli
    from tests.support.command_line import run

    asked = run(cli.app, "verify", str(file), "--repair", answers="n\n")
    assert asked.code == 4
    assert "2 rows" in asked.everything
