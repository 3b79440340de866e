"""A small legacy shop, and a writer that does what such an application does: insert, update, delete, roll back."""

from __future__ import annotations

import random
import threading
from collections.abc import Callable
from importlib.resources import files
from typing import Any, Final

import psycopg

TABLES: Final = ("customers", "products", "orders", "order_lines")

# Each table's content as Debezium writes it with decimals as strings: Postgres itself is the judge of the fold.
_CONTENT: Final[dict[str, str]] = {
    "customers": """select jsonb_build_object('id', id, 'name', name, 'email', email, 'credit', credit::text, 'active', active,
        'created_at', to_char(created_at at time zone 'utc', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"')) from customers""",
    "products": """select jsonb_build_object('sku', sku, 'title', title, 'price', price::text, 'stock', stock,
        'tags', to_jsonb(tags)) from products""",
    "orders": """select jsonb_build_object('id', id, 'customer_id', customer_id, 'status', status,
        'placed_on', placed_on - date '1970-01-01', 'note', note,
        'updated_at', to_char(updated_at at time zone 'utc', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"')) from orders""",
    "order_lines": """select jsonb_build_object('order_id', order_id, 'line', line, 'sku', sku, 'quantity', quantity,
        'price', price::text) from order_lines""",
}

_PRODUCTS: Final = """
insert into products (sku, title, price, stock, tags)
select format('P%s', lpad(n::text, 7, '0')), format('Part no. %s', n), (n * 7 % 300) + 0.95, n * 13 % 50,
       case when n % 3 = 0 then array['sale', 'spare'] when n % 3 = 1 then array['new'] else '{}'::text[] end
  from generate_series(1, 40) n
"""


def create(dsn: str) -> None:
    """Create the shop's tables, empty."""
    with psycopg.connect(dsn) as connection:
        connection.execute((files(__package__) / "shop.sql").read_text())


def content(dsn: str) -> dict[str, list[dict[str, Any]]]:
    """Table -> its rows, as Debezium's events show them."""
    with psycopg.connect(dsn) as connection:
        return {table: [row[0] for row in connection.execute(query).fetchall()] for table, query in _CONTENT.items()}


class Writer:
    """Writes to the shop.

    Args:
        dsn: The database.
        seed: Of its choices.

    Attributes:
        writes: Rows that were inserted, updated or deleted and committed.
        rolled_back: Transactions that were rolled back on purpose.
    """

    def __init__(self, dsn: str, seed: int) -> None:
        self.dsn = dsn
        self.random = random.Random(seed)  # noqa: S311 - a sample's data
        self.writes = 0
        self.rolled_back = 0

    def stock(self) -> None:
        """Put products on the shelves, in one transaction."""
        with psycopg.connect(self.dsn) as connection:
            self.writes += connection.execute(_PRODUCTS).rowcount

    def run(self, writes: int, stop: threading.Event, pace: Callable[[], None] = lambda: None) -> None:
        """Write until that many rows are committed, or stopped.

        Args:
            writes: How many.
            stop: Ends it early.
            pace: Called after each transaction.
        """
        with psycopg.connect(self.dsn) as connection:
            while self.writes < writes and not stop.is_set():
                action = self.random.choices(
                    (self._sign_up, self._order, self._progress, self._restock, self._cancel, self._move),
                    (3, 6, 5, 4, 2, 1),
                )[0]
                changed = action(connection)
                if self.random.random() < 0.1:
                    connection.rollback()
                    self.rolled_back += 1
                else:
                    connection.commit()
                    self.writes += changed
                pace()

    def _one(self, connection: psycopg.Connection[Any], query: str) -> Any:
        row = connection.execute(query).fetchone()
        return row[0] if row else None

    def _sign_up(self, connection: psycopg.Connection[Any]) -> int:
        number = self.random.randrange(10**9)
        names = ("Ada Lovelace", "Grace Hopper", "Łukasz Wójcik", "Zoë Müller", "山田 太郎", 'O\'Brien "Bob"')
        return connection.execute(
            "insert into customers (name, email, credit) values (%s, %s, %s)",
            (self.random.choice(names), f"c{number}@example.org", self.random.randrange(0, 100_000) / 100),
        ).rowcount

    def _order(self, connection: psycopg.Connection[Any]) -> int:
        customer = self._one(connection, "select id from customers order by random() limit 1")
        if customer is None:
            return self._sign_up(connection)
        note = self.random.choice((None, "", "leave at the door", "line one\nline two\ttabbed"))
        order = connection.execute(
            "insert into orders (customer_id, note) values (%s, %s) returning id", (customer, note)
        ).fetchone()
        assert order is not None
        lines = self.random.randint(1, 4)
        return (
            1
            + connection.execute(
                "insert into order_lines select %s, row_number() over (), sku, 1 + stock %% 5, price from "
                "(select * from products order by random() limit %s) p",
                (order[0], lines),
            ).rowcount
        )

    def _progress(self, connection: psycopg.Connection[Any]) -> int:
        return connection.execute(
            "update orders set status = case status when 'new' then 'paid' when 'paid' then 'sent' else 'done' end, "
            "updated_at = clock_timestamp() where id in (select id from orders order by random() limit 2)"
        ).rowcount

    def _restock(self, connection: psycopg.Connection[Any]) -> int:
        return connection.execute(
            "update products set stock = stock + %s, price = price + 0.05 where sku in "
            "(select sku from products order by random() limit 2)",
            (self.random.randint(1, 20),),
        ).rowcount

    def _cancel(self, connection: psycopg.Connection[Any]) -> int:
        order = self._one(connection, "select id from orders where status = 'new' order by random() limit 1")
        if order is None:
            return 0
        lines = connection.execute("delete from order_lines where order_id = %s", (order,)).rowcount
        return lines + connection.execute("delete from orders where id = %s", (order,)).rowcount

    def _move(self, connection: psycopg.Connection[Any]) -> int:
        """Change part of a key, as legacy applications do."""
        row = connection.execute(
            "select order_id, max(line) from order_lines group by 1 order by random() limit 1"
        ).fetchone()
        if row is None:
            return 0
        return connection.execute(
            "update order_lines set line = line + 1 where order_id = %s and line = %s", row
        ).rowcount
