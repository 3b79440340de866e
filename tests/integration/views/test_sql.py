"""SQL and full text: topics as tables, one statement over several of them, always as the topics are."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.support.messages import envelope
from tests.support.views import Topic, running_view, view_config
from tests.support.waiting import wait_until
from views.errors import QueryRefused
from views.sqlite import SqliteStore


@pytest.fixture
def orders(kafka, prefix: str) -> Topic:
    return Topic(kafka.bootstrap, f"{prefix}.public.orders")


@pytest.fixture
def customers(kafka, prefix: str) -> Topic:
    return Topic(kafka.bootstrap, f"{prefix}.public.customers")


def event(number: int, op: str = "c", **row) -> tuple[bytes, bytes]:
    after = {"id": number, **row}
    return b'{"id":%d}' % number, envelope(op, after if op == "d" else None, None if op == "d" else after)


SELECT = """select c.name, count(*) as orders, sum(o.amount) as amount
  from orders o join customers c on c.id = o.customer_id group by c.name"""


def test_a_select_over_two_topics_is_kept_up_to_date(kafka, orders: Topic, customers: Topic, tmp_path: Path):
    customers.put([event(1, name="ann"), event(2, name="bob")])
    orders.put([event(n, customer_id=1 + n % 2, amount=10 * n) for n in range(1, 5)])
    config = view_config(
        "sqlite", [orders, customers], kafka.bootstrap, tmp_path / "v", select=SELECT, key=("name",),
        index=("orders.customer_id", "customers.id"),
    )  # fmt: skip
    with running_view(config) as view, view.reading() as store:
        assert isinstance(store, SqliteStore)

        def shown() -> dict[str, tuple[int, int]]:
            found = [json.loads(row.value) for row in store.range()]
            return {row["name"]: (row["orders"], row["amount"]) for row in found}

        assert shown() == {"ann": (2, 60), "bob": (2, 40)}
        row = store.get(b'{"name":"ann"}')
        assert row is not None
        assert json.loads(row.value) == {"name": "ann", "orders": 2, "amount": 60}
        assert store.get(b'{"name":"zoe"}') is None
        orders.put([event(1, "d", customer_id=2, amount=10), event(9, customer_id=2, amount=7)])
        customers.put([event(1, "u", name="anna")])
        wait_until(lambda: shown() == {"anna": (2, 60), "bob": (2, 37)}, 20, "the result to follow")
        assert store.count() == 2


def test_a_select_before_any_row_has_shown_its_columns_is_empty_and_filled_later(
    kafka, orders: Topic, customers: Topic, tmp_path: Path
):
    config = view_config("sqlite", [orders, customers], kafka.bootstrap, tmp_path / "v", select=SELECT, key=("name",))
    with running_view(config) as view, view.reading() as store:
        assert store.range() == []
        assert store.get(b'{"name":"ann"}') is None
        customers.put([event(1, name="ann")])
        orders.put([event(1, customer_id=1, amount=5)])
        wait_until(lambda: [row.key for row in store.range()] == [b'{"name":"ann"}'], 20, "the result to appear")


@pytest.mark.parametrize("select", ["drop table orders", "select from where", "insert into orders values (1)"])
def test_a_select_that_is_none_is_a_named_error(kafka, orders: Topic, tmp_path: Path, select: str):
    config = view_config("sqlite", [orders], kafka.bootstrap, tmp_path / "v", select=select)
    with running_view(config, complete=False) as view, pytest.raises(QueryRefused):
        view.wait_complete(20)


def test_full_text_follows_updates_and_deletes(kafka, prefix: str, tmp_path: Path):
    topic = Topic(kafka.bootstrap, f"{prefix}.public.books")
    topic.put(
        [event(1, title="The old man and the sea", note="Café")]
        + [event(n, title=f"Book {n}", note="x") for n in range(2, 50)]
    )
    config = view_config("sqlite", [topic], kafka.bootstrap, tmp_path / "v", search=("title", "note"))
    with running_view(config) as view, view.reading() as store:
        assert isinstance(store, SqliteStore)

        def found(text: str) -> list[int]:
            return sorted(json.loads(row.value)["id"] for row in store.search(text, limit=100))

        assert found("sea") == [1]
        assert found("cafe") == [1]
        assert found('"old man" AND note:cafe') == [1]
        assert len(found("boo*")) == 48
        topic.put([event(1, "u", title="The young woman", note="tea"), event(2, "d", title="Book 2", note="x")])
        wait_until(lambda: found("sea") == [] and found("young") == [1], 20, "the update to be found")
        wait_until(lambda: len(found("book")) == 47, 20, "the delete to be found")
        with pytest.raises(QueryRefused):
            store.search('"unclosed')
    with running_view(config) as view, view.reading() as store:
        assert isinstance(store, SqliteStore)
        assert view.meter.applied == 0
        assert found("young") == [1]


def test_a_new_field_becomes_a_column(kafka, orders: Topic, tmp_path: Path):
    orders.put([event(1, amount=5)])
    with (
        running_view(view_config("sqlite", [orders], kafka.bootstrap, tmp_path / "v")) as view,
        view.reading() as store,
    ):
        assert isinstance(store, SqliteStore)
        assert store.sql("select id, amount from orders") == (["id", "amount"], [(1, 5)])
        orders.put([event(2, amount=6, Region="north", odd={"a": [1]})])
        wait_until(lambda: view.meter.applied == 2, 20, "the second order")
        names, found = store.sql('select id, amount, "Region", odd from orders order by id')
        assert names == ["id", "amount", "Region", "odd"]
        assert found == [(1, 5, None, None), (2, 6, "north", '{"a":[1]}')]


@pytest.mark.parametrize("query", ["delete from orders", "update orders set _row = ''", "attach 'x' as y", "pragma writable_schema = on; delete from orders", "nonsense"])  # fmt: skip
def test_nothing_can_be_written_by_a_query(kafka, orders: Topic, tmp_path: Path, query: str):
    orders.put([event(1, amount=5)])
    with (
        running_view(view_config("sqlite", [orders], kafka.bootstrap, tmp_path / "v")) as view,
        view.reading() as store,
    ):
        assert isinstance(store, SqliteStore)
        before = {file.name for file in tmp_path.rglob("*")}
        with pytest.raises(QueryRefused):
            store.sql(query)
        assert store.sql("select count(*) from orders")[1] == [(1,)]
        assert {file.name for file in tmp_path.rglob("*")} <= before | {"view.sqlite-shm", "view.sqlite-wal"}
