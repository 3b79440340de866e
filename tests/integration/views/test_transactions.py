"""A view over several topics shows a source transaction as a whole."""

from __future__ import annotations

import json
import threading
from pathlib import Path

import pytest
from confluent_kafka.admin import AdminClient

from tests.stack.postgres import Database
from tests.support.engine import pipeline, running
from tests.support.views import Topic, running_view, view_config
from tests.support.waiting import wait_until
from views.sqlite import SqliteStore

TABLES = ("create table debit (id int primary key, n int not null)", "create table credit (id int primary key, n int not null)")  # fmt: skip


@pytest.fixture(params=["memory", "rocksdb", "sqlite"])
def kind(request: pytest.FixtureRequest) -> str:
    return request.param


def event(transaction: str, order: int, n: int) -> tuple[bytes, bytes]:
    block = {"id": transaction, "total_order": order, "data_collection_order": 1}
    value = {"op": "u", "before": None, "after": {"id": 1, "n": n}, "source": {"a": 1}, "transaction": block}
    return b'{"id":1}', json.dumps(value, separators=(",", ":")).encode()


def end(transaction: str) -> tuple[bytes, bytes]:
    counts = [{"data_collection": f"public.{name}", "event_count": 1} for name in ("debit", "credit")]
    value = {"status": "END", "id": transaction, "event_count": 2, "data_collections": counts}
    return b"k", json.dumps(value, separators=(",", ":")).encode()


@pytest.mark.parametrize("transactions", ["auto", "none"])
def test_half_of_a_transaction_is_shown_only_where_wholeness_is_not_asked_for(
    kafka, kind: str, prefix: str, tmp_path: Path, transactions: str, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr("views.transactions.ENDED_SECONDS", 60)
    monkeypatch.setattr("views.transactions.OPEN_SECONDS", 60)
    monkeypatch.setattr("views.building.WHOLE_SECONDS", 0.2)  # the half is awaited in vain at the second start
    debit, credit, marks = (Topic(kafka.bootstrap, f"{prefix}.{n}") for n in ("public.debit", "public.credit", "transaction"))  # fmt: skip
    debit.put([event("1", 1, 1)])
    credit.put([event("1", 2, -1)])
    marks.put([end("1")])
    config = view_config(kind, [debit, credit], kafka.bootstrap, tmp_path / "v", transactions=transactions)

    def shown() -> list[int]:
        with view.reading() as store:
            return [json.loads(store.get(b'{"id":1}', t.name).value)["n"] for t in (debit, credit)]

    with running_view(config) as view:
        assert shown() == [1, -1]
        debit.put([event("2", 1, 2)])
        marks.put([end("2")])
        sentinel = view.meter.batches
        if transactions == "none":
            wait_until(lambda: shown() == [2, -1], 20, "half of the transaction")
        else:
            wait_until(lambda: view.meter.batches > sentinel + 3, 20, "the view to have read on")
            assert shown() == [1, -1]
    with running_view(config) as view:  # what was held is read again
        assert shown() == ([2, -1] if transactions == "none" else [1, -1])
        credit.put([event("2", 2, -2)])
        wait_until(lambda: shown() == [2, -2], 20, "the whole transaction")
        assert "TRANSACTION_TORN" not in view.codes()
    assert view.error is None


def test_a_sum_over_two_tables_never_wavers(database: Database, kafka, prefix: str, tmp_path: Path):
    database.execute(*TABLES, "insert into debit select n, 0 from generate_series(1, 20) n")
    database.execute("insert into credit select n, 0 from generate_series(1, 20) n")
    topics = [f"{prefix}.public.debit", f"{prefix}.public.credit"]
    config = pipeline(
        database, kafka.bootstrap, prefix, table__include__list=r"public\.(debit|credit)",
        provide__transaction__metadata="true", snapshot__mode="initial",
        topic__creation__default__partitions="3", topic__creation__default__replication__factor="1",
    )  # fmt: skip
    with running(config, database):
        database.execute("update debit set n = 0 where id = 1")  # the topic of boundaries is there
        admin = AdminClient({"bootstrap.servers": kafka.bootstrap, "log_level": 3})
        wanted = {*topics, f"{prefix}.transaction"}
        wait_until(lambda: admin.list_topics(timeout=10).topics.keys() >= wanted, 30, "the topics")
        with running_view(view_config("sqlite", topics, kafka.bootstrap, tmp_path / "v")) as view, view.reading() as store:  # fmt: skip
            assert isinstance(store, SqliteStore)
            query = "select (select coalesce(sum(n), 0) from debit) + (select coalesce(sum(n), 0) from credit), (select count(*) from credit)"
            wait_until(lambda: store.sql(query)[1] == [(0, 20)], 30, "the rows")
            sums: set[int] = set()
            ended = threading.Event()

            def read() -> None:
                while not ended.is_set():
                    sums.add(store.sql(query)[1][0][0])

            reader = threading.Thread(target=read)
            reader.start()
            try:
                with database.connect(autocommit=False) as connection:
                    for n in range(1, 200):
                        one, other = 1 + n % 20, 1 + n * 7 % 20
                        connection.execute("update debit set n = n + %s where id = %s", [n, one])
                        if n % 10 == 0:  # a changed key is a delete and a create
                            connection.execute("update credit set id = id + 1000 where id = %s", [other])
                            connection.execute("update credit set id = id - 1000 where id = %s", [other + 1000])
                        connection.execute("update credit set n = n - %s where id = %s", [n, other])
                        connection.commit()
                total = "select sum(n) from debit"
                moved = database.rows(total)
                wait_until(lambda: store.sql(total)[1] == moved, 30, "the last transfer")
            finally:
                ended.set()
                reader.join()
            assert sums == {0}
            assert "TRANSACTION_TORN" not in view.codes()
