"""Writes to the wholesaler's database as its users and programs do, all at once.

Eight writers with rollbacks, savepoints, COPY, prepared transactions, key changes, a hot counter row, one with
`synchronous_commit=off`; beside them a nightly reload, the attachment of a partition and an ALTER TABLE in mid-run.
"""

from __future__ import annotations

import random
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Final, Self

import psycopg
from psycopg import errors

ROLLBACKS: Final = 0.03
_CONFLICTS: Final = (
    errors.DeadlockDetected, errors.SerializationFailure, errors.LockNotAvailable, errors.ForeignKeyViolation,
    errors.UniqueViolation,
)  # fmt: skip


@dataclass(slots=True)
class Tally:
    """What a load has done so far.

    Attributes:
        committed: Transactions.
        rolled_back: Transactions that were rolled back on purpose.
        conflicts: Transactions that lost to another one (deadlock, lock, key gone or taken), as in any legacy.
        failures: Everything else that failed, as `SQLSTATE message`: with capture on, this must stay empty.
    """

    committed: int = 0
    rolled_back: int = 0
    conflicts: int = 0
    failures: list[str] = field(default_factory=list)


class Load:
    """A running load; `with Load(dsn) as load:` starts and ends it.

    Args:
        dsn: The wholesaler's database.
        seed: Of the writers' choices.
        writers: How many write at once.
        pause: Seconds between a writer's transactions; 0 for as fast as it goes.
        schema_changes: Whether the reload, the partition and the ALTER TABLE happen too.

    Attributes:
        tally: What was done so far.
    """

    def __init__(
        self, dsn: str, *, seed: int = 1998, writers: int = 8, pause: float = 0.0, schema_changes: bool = True
    ) -> None:
        self.dsn = dsn
        self.seed = seed
        self.pause = pause
        self.tally = Tally()
        self._stop = threading.Event()
        self._lock = threading.Lock()
        self._threads = [threading.Thread(target=self._write, args=(n,), daemon=True) for n in range(writers)]
        if schema_changes:
            self._threads.append(threading.Thread(target=self._administer, daemon=True))

    def start(self) -> None:
        """Start writing."""
        for thread in self._threads:
            thread.start()

    def stop(self) -> Tally:
        """End all writers after their transaction, and return what was done."""
        self._stop.set()
        for thread in self._threads:
            if thread.ident is not None:
                thread.join(30)
        return self.tally

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_exception: object) -> None:
        self.stop()

    # -- the writers -------------------------------------------------------------------------------------------------

    def _write(self, number: int) -> None:
        chance = random.Random(self.seed * 100 + number)  # noqa: S311 - a sample's data
        writer = Writer(self.dsn, chance, lazy=number == 0)
        try:
            while not self._stop.is_set():
                self._one(writer.transaction)
                if self.pause:
                    self._stop.wait(self.pause * (0.5 + chance.random()))
        finally:
            writer.close()

    def _one(self, transaction: Callable[[], bool]) -> None:
        try:
            committed = transaction()
        except _CONFLICTS:
            with self._lock:
                self.tally.conflicts += 1
        except psycopg.Error as error:
            with self._lock:
                self.tally.failures.append(f"{error.sqlstate} {' '.join(str(error).split())}")
        else:
            with self._lock:
                if committed:
                    self.tally.committed += 1
                else:
                    self.tally.rolled_back += 1

    def _administer(self) -> None:
        """The nightly reload, the monthly partition, the change of a table: a few times a minute here."""
        with psycopg.connect(self.dsn, client_encoding="UTF8", options="-c lock_timeout=3s") as connection:
            tasks = [_reload_prices, _alter_table, _reload_prices, _attach_partition]
            turn = 0
            while not self._stop.wait(0.4 + self.pause * 20):
                task = tasks[turn % len(tasks)]
                turn += 1

                def transaction(task: Callable[[psycopg.Connection[Any], int], None] = task, turn: int = turn) -> bool:
                    with connection.transaction():
                        task(connection, turn)
                    return True

                self._one(transaction)


class Writer:
    """One user at a terminal.

    Args:
        dsn: The database.
        chance: Where its choices come from.
        lazy: Whether it commits with `synchronous_commit=off`.
    """

    def __init__(self, dsn: str, chance: random.Random, *, lazy: bool = False) -> None:
        self.chance = chance
        options = "-c lock_timeout=3s" + (" -c synchronous_commit=off" if lazy else "")
        self.connection = psycopg.connect(dsn, client_encoding="UTF8", options=options)
        self._prepares = int(self.connection.execute("show max_prepared_transactions").fetchone()[0]) > 0  # type: ignore[index] # SHOW gives one row
        self.connection.rollback()
        self._gid = 0
        self._deeds: tuple[tuple[Callable[[], None], int], ...] = (
            (self._take_order, 6), (self._progress_order, 6), (self._drop_line, 2), (self._cancel_order, 1),
            (self._restock, 3), (self._renumber_part, 1), (self._move_stock, 3), (self._answer_ticket, 6),
            (self._open_ticket, 4), (self._close_ticket, 2), (self._copy_notes, 1), (self._attribute, 2),
        )  # fmt: skip

    def close(self) -> None:
        """Leave."""
        self.connection.close()

    def transaction(self) -> bool:
        """One transaction.

        Returns:
            False when it was rolled back on purpose.

        Raises:
            psycopg.Error: It failed; it is rolled back.
        """
        if self._prepares and self.chance.random() < 0.05:
            return self._pay_in_two_phases()
        deed = self.chance.choices([d for d, _ in self._deeds], [w for _, w in self._deeds])[0]
        try:
            deed()
            if self.chance.random() < ROLLBACKS:
                self.connection.rollback()
                return False
            self.connection.commit()
        except psycopg.Error:
            if not self.connection.closed:
                self.connection.rollback()
            raise
        return True

    def _some(self, query: str, *parameters: Any) -> Any:
        row = self.connection.execute(query, parameters or None).fetchone()
        return row[0] if row else None

    def _order(self, status: str = "A") -> Any:
        return self._some(
            "select id from sales.customer_order where status = %s and deleted_at is null order by random() limit 1",
            status,
        )

    def _take_order(self) -> None:
        number = self._some("select stock.next_number('order')")
        self.connection.execute(
            "insert into sales.customer_order (id, customer_id, status, remark) "
            "select %s, id, 'A', %s from only sales.customer order by random() limit 1",
            (number, self.chance.choice((None, "", "dringend!", "Zeile 1\nZeile 2", "x" * 3000))),
        )
        self.connection.execute(
            "insert into sales.order_line select %s, row_number() over (), part_no, 1 + (random() * 4)::int, price::numeric "
            "from (select * from stock.part order by random() limit %s) p",
            (number, self.chance.randint(1, 5)),
        )

    def _progress_order(self) -> None:
        status = self.chance.choice(("L", "L", " ", None))
        self.connection.execute(
            "update sales.customer_order set status = %s, remark = nullif(remark, '') where id = %s",
            (status, self._order()),
        )

    def _drop_line(self) -> None:
        """Lines after the one that goes move up: composite keys change."""
        order = self._some(
            "select order_id from sales.order_line group by 1 having count(*) > 1 order by random() limit 1"
        )
        self.connection.execute("delete from sales.order_line where order_id = %s and line_no = 1", (order,))
        self.connection.execute("savepoint renumbering")
        self.connection.execute("update sales.order_line set line_no = line_no + 100 where order_id = %s", (order,))
        if self.chance.random() < 0.3:
            self.connection.execute("rollback to renumbering")
            return
        self.connection.execute("update sales.order_line set line_no = line_no - 101 where order_id = %s", (order,))

    def _cancel_order(self) -> None:
        order = self._order()
        if self.chance.random() < 0.5:
            self.connection.execute(
                "update sales.customer_order set status = 'X', deleted_at = now() where id = %s", (order,)
            )
        elif order is not None and not self._some("select 1 from sales.invoice where order_id = %s", order):
            self.connection.execute("delete from sales.customer_order where id = %s", (order,))

    def _restock(self) -> None:
        self.connection.execute(
            "update stock.stock_level set quantity = quantity + %s, changed_at = clock_timestamp() where part_no in "
            "(select part_no from stock.part order by random() limit 3)",
            (self.chance.randint(-5, 20),),
        )

    def _renumber_part(self) -> None:
        """A part gets another number, and with it all that refers to it."""
        suffix = self.chance.randrange(10**5)
        self.connection.execute(
            "update stock.part set part_no = 'R' || %s where part_no = "
            "(select part_no from stock.part order by random() limit 1)",
            (f"{suffix:05d}-{self.chance.randrange(1000)}",),
        )

    def _move_stock(self) -> None:
        self.connection.execute(
            "insert into stock.movement select nextval('stock.movement_seq'), %s::date, part_no, 2, 1, 'OUT' "
            "from stock.part order by random() limit 2",
            (self.chance.choice(("2024-01-15", "2024-02-15", "2024-03-15", "2031-01-01")),),
        )
        # To another month: the row leaves one partition and enters another.
        self.connection.execute(
            "update stock.movement set moved_on = '2024-02-02' where id = "
            "(select id from stock.movement where moved_on < '2024-02-01' order by random() limit 1)"
        )

    def _ticket(self) -> Any:
        return self._some("select id from service.ticket where state <> 'done' order by random() limit 1")

    def _answer_ticket(self) -> None:
        self.connection.execute(
            "insert into service.ticket_note select %s, coalesce(max(no), 0) + 1, %s, null, localtimestamp(3) "
            "from service.ticket_note where ticket_id = %s having %s::bigint is not null on conflict do nothing",
            (ticket := self._ticket(), self.chance.choice(("kurz", "Ärger ß\tTab", "y" * 5000)), ticket, ticket),
        )

    def _open_ticket(self) -> None:
        self.connection.execute(
            "insert into service.ticket (serial, subject, report, due, tags, priority) "
            "select serial, 'Neu ' || serial, %s, %s::interval, %s, b'101' from service.device order by random() limit 1",
            (
                self.chance.choice((None, "", "z" * 4000)), f"{self.chance.randrange(90)} days 04:05:06.5",
                self.chance.choice(([], ["a,b", 'q"uote'], ["x", None])),
            ),
        )  # fmt: skip

    def _close_ticket(self) -> None:
        ticket = self._ticket()
        if self.chance.random() < 0.3:
            self.connection.execute("delete from service.ticket where id = %s", (ticket,))
            return
        # The long report stays as it is: the log does not repeat it.
        self.connection.execute("update service.ticket set state = 'done' where id = %s", (ticket,))
        self.connection.execute(
            "insert into service.visit (ticket_id, happened, distance_km) select id, clock_timestamp(), 7.3 "
            "from service.ticket where id = %s",
            (ticket,),
        )

    def _copy_notes(self) -> None:
        ticket = self._some("select id from service.ticket order by random() limit 1 for update")
        first = self._some("select coalesce(max(no), 0) + 1 from service.ticket_note where ticket_id = %s", ticket)
        with (
            self.connection.cursor() as cursor,
            cursor.copy("copy service.ticket_note (ticket_id, no, body) from stdin") as copy,
        ):
            for offset in range(self.chance.randint(1, 30) if ticket else 0):
                copy.write_row((ticket, first + offset, f"import {offset}\\n"))

    def _attribute(self) -> None:
        self.connection.execute(
            "insert into stock.attribute select 'order', id::text, %s, %s from sales.customer_order order by random() limit 1 "
            "on conflict (entity, entity_id, name) do update set value = excluded.value",
            (self.chance.choice(("colour", "tags", "route")), self.chance.choice((None, "", "1;2;3"))),
        )

    def _pay_in_two_phases(self) -> bool:
        self._gid += 1
        gid = f"seam-sample-{self.connection.info.backend_pid}-{self._gid}"
        connection = self.connection
        try:
            connection.execute(
                "insert into sales.payment (invoice_id, amount, rate, reference) "
                "select id, net, 'NaN', %s from sales.invoice order by random() limit 2",
                (gid[-35:],),
            )
            connection.execute(f"prepare transaction '{gid}'")
            connection.commit()
        except psycopg.Error:
            connection.rollback()
            raise
        connection.autocommit = True
        try:
            kept = self.chance.random() > ROLLBACKS
            connection.execute(f"{'commit' if kept else 'rollback'} prepared '{gid}'")
        finally:
            connection.autocommit = False
        return kept


def _reload_prices(connection: psycopg.Connection[Any], turn: int) -> None:
    connection.execute("truncate stock.price_list")
    connection.execute(
        "insert into stock.price_list select part_no, '2024-01-01', '9999-12-31', 1 + length(title) / 3.0 + %s from stock.part",
        (turn,),
    )


def _attach_partition(connection: psycopg.Connection[Any], turn: int) -> None:
    year, month = 2032 + turn // 12, turn % 12 + 1
    following = f"{year + month // 12}-{month % 12 + 1:02d}-01"
    connection.execute(
        f"create table stock.movement_{year}_{month:02d} partition of stock.movement "
        f"for values from ('{year}-{month:02d}-01') to ('{following}')"
    )


def _alter_table(connection: psycopg.Connection[Any], turn: int) -> None:
    connection.execute(
        f"alter table stock.attribute add column if not exists changed_{turn % 3} integer default {turn}"
    )
