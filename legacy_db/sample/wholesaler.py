"""A parts and service wholesaler, since 1998: about 25 tables in three schemas, with the traits that make a legacy.

No keys, composite and changing keys, inheritance, partitions, char(n), money, TOAST, triggers that write other tables,
shared sequences, hand-made counters, soft and hard deletes, entity-attribute-value, deferred and NOT VALID foreign
keys, a nightly reload, quoted and non-ASCII names. `legacy_db.sample.load` writes to it as its users do.
"""

from __future__ import annotations

from dataclasses import dataclass
from importlib.resources import files
from typing import Any, Final

import psycopg
from psycopg import sql

SCHEMAS: Final = ("stock", "sales", "service")
QUESTIONS: Final = 110

SERVICE_TABLES: Final = (
    "service.device", "service.technician", "service.ticket", "service.ticket_note", "service.visit",
)  # fmt: skip
"""The slice that the demonstration moves."""


@dataclass(frozen=True, slots=True)
class Size:
    """How many rows a fresh sample holds.

    Attributes:
        parts: Parts; stock levels are twice as many.
        customers: Customers; orders are twice, order lines about five times as many.
        tickets: Service tickets, with two notes each.
    """

    parts: int
    customers: int
    tickets: int


SIZES: Final = {
    "test": Size(parts=200, customers=150, tickets=300),
    "demo": Size(parts=800, customers=600, tickets=1_500),
    "benchmark": Size(parts=100_000, customers=100_000, tickets=400_000),
}

_SEED: Final[dict[str, str]] = {
    "counters": """insert into stock.counter values ('order', %(customers)s * 2), ('invoice', %(customers)s)""",
    "warehouses": """insert into stock.warehouse values
        (1, 'Zentrallager', '06:00', '24:00:00', '10.0.0.5/24'), (2, 'Außenlager Süd', '07:30', '16:00', null)""",
    "parts": """insert into stock.part
        select 'P' || lpad(n::text, 6, '0'), 'Part ' || n || case n %% 7 when 0 then ' Größe M' else '' end,
               ((n * 37 %% 9000) / 100.0)::numeric::money, (n %% 500) / 8.0,
               case n %% 5 when 0 then null when 1 then 'NaN' when 2 then n / 7.0 else n end,
               (array['N', 'J', ' ', null])[1 + n %% 4],
               case when n %% 4 = 0 then (select string_agg(md5(n::text || i::text), '') from generate_series(1, 120) i) end,
               case when n %% 6 = 0 then decode(md5(n::text), 'hex') end,
               timestamp '1998-03-01 08:00' + n * interval '7 hours 13 minutes 0.123456 seconds'
          from generate_series(1, %(parts)s) n""",
    "part texts": """insert into stock.part_text
        select part_no, l, 'Text "' || title || E'"\\n\\t' || l from stock.part cross join unnest(array['de', 'en']) l
         where part_no < 'P' || lpad((%(parts)s / 2)::text, 6, '0')""",
    "levels": """insert into stock.stock_level
        select part_no, w, 40 + length(title), 0, timestamptz '2024-01-01 00:00:00+00' from stock.part, generate_series(1, 2) w""",
    "movements": """insert into stock.movement
        select nextval('stock.movement_seq'), date '2024-01-01' + (n %% 80), 'P' || lpad((1 + n %% %(parts)s)::text, 6, '0'),
               1 + n %% 2, n %% 9 - 4, (array['IN', 'OUT', null])[1 + n %% 3] from generate_series(1, %(parts)s * 2) n""",
    "prices": """insert into stock.price_list
        select part_no, case when n = 1 then date '0044-03-15 BC' else date '2024-01-01' end,
               case when n = 2 then 'infinity' else '9999-12-31' end::date, 1 + length(title) / 3.0
          from (select part_no, title, row_number() over (order by part_no) n from stock.part) p""",
    "suppliers": """insert into stock."Lieferant"
        select n, 'Straße ' || n, '8' || n || ' Köln', n * 1.1e7, 'Ä' || n from generate_series(1, 20) n""",
    "attributes": """insert into stock.attribute
        select 'part', trim(part_no), a, case a when 'colour' then 'rot' when 'tags' then '1;2;;3' end
          from stock.part cross join unnest(array['colour', 'tags', 'old']) a where discontinued = 'J'""",
    "customers": """insert into sales.customer (id, name, city, since, flags, discount, credit_limit, blocked, rep_codes)
        select nextval('sales.party_seq'), 'Kunde ' || n || (array['', ' GmbH', ' & Söhne', ' "alt"'])[1 + n %% 4],
               (array['Köln', 'München', 'Zürich', null])[1 + n %% 4], date '1998-01-01' + n %% 9000,
               n %% 3 - 1, n %% 20, case when n %% 3 = 0 then null else n * 10 end,
               (array['J', 'N', '0', '1'])[1 + n %% 4], case when n %% 2 = 0 then n || ';' || n %% 7 end
          from generate_series(1, %(customers)s) n""",
    "parents": """insert into sales.party (id, name, city)
        select id, name, city from sales.customer where id %% 50 = 0""",
    "prospects": """insert into sales.prospect (id, name, source)
        select n, 'Interessent ' || n, 'Messe' from generate_series(1, 15) n""",
    "orders": """insert into sales.customer_order (id, customer_id, status, ordered_at, remark)
        select n, 1 + n %% %(customers)s, (array['A', 'L', 'X', ' ', null])[1 + n %% 5],
               timestamp '2023-10-29 00:30:00' + n * interval '11 minutes',
               case when n %% 9 = 0 then repeat('Bitte anrufen. ', 20) end from generate_series(1, %(customers)s * 2) n""",
    "lines": """insert into sales.order_line
        select o, l, 'P' || lpad((1 + (o * 7 + l * 3) %% %(parts)s)::text, 6, '0'), 1 + o %% 4, 9.95 + l
          from generate_series(1, %(customers)s * 2) o, generate_series(1, 1 + o %% 4) l""",
    "invoices": """insert into sales.invoice (id, order_id, issued_on, net, vat, paid)
        select n, n * 2, date '2024-01-01' + n %% 90, n * 1.5, n * 0.285, case n %% 3 when 0 then true when 1 then false end
          from generate_series(1, %(customers)s) n""",
    "invoiced": "update sales.customer_order o set invoice_id = i.id from sales.invoice i where i.order_id = o.id",
    "payments": """insert into sales.payment (invoice_id, amount, rate, booked_at, reference)
        select id, net, (id %% 13) / 3.0::real, timestamptz '2024-03-31 01:30+01' + id * interval '1 minute', 'R' || id
          from sales.invoice where paid""",
    "devices": """insert into service.device
        select 'SN' || n, 1 + n %% %(customers)s, 'P' || lpad((1 + n %% %(parts)s)::text, 6, '0'),
               md5(n::text)::uuid, jsonb_build_object('rev', n %% 4, 'näme', 'd' || n),
               ('{"b":1,  "a":' || n || '}')::json, date '2020-01-01' + n %% 1000
          from generate_series(1, greatest(%(tickets)s / 3, 1)) n""",
    "technicians": """insert into service.technician (name, phone, shift_from)
        select 'Technikerin ' || n, '+49 221/' || n, timetz '06:00:00.5+01' from generate_series(1, 12) n""",
    "tickets": """insert into service.ticket (serial, technician_id, state, opened_at, due, effort, tags, priority, subject, report)
        select 'SN' || 1 + n %% greatest(%(tickets)s / 3, 1), case when n %% 4 > 0 then 1 + n %% 12 end,
               (enum_range(null::service.ticket_state))[1 + n %% 4], timestamptz '2024-03-31 00:59:59.5+00' + n * interval '61 seconds',
               (n %% 40) * interval '1 day 2 hours', (n %% 9) * interval '30 minutes',
               case n %% 3 when 0 then array['urgent', 'a "b"'] else '{}' end, (n %% 8)::bit(3), 'Ticket ' || n,
               case when n %% 3 = 0 then (select string_agg(md5(n::text || i::text), ' ') from generate_series(1, 90) i) end
          from generate_series(1, %(tickets)s) n""",
    "notes": """insert into service.ticket_note
        select t, n, 'Note ' || n || ' of ' || t, case when t %% 5 = 0 then decode(md5(t::text), 'hex') end,
               timestamp '2024-04-01 00:00:00' + t * interval '1.001 seconds'
          from generate_series(1, %(tickets)s) t, generate_series(1, 2) n""",
    "visits": """insert into service.visit (ticket_id, planned, happened, distance_km, reference)
        select t, tstzrange('2024-04-02 08:00+00', '2024-04-02 10:00+00'), case when t %% 2 = 0 then timestamptz '2024-04-02 09:00+00' end,
               t / 3.0::real, case when t %% 3 = 0 then 'V' || t end from generate_series(1, %(tickets)s, 4) t""",
    "answers": """insert into service.archive_of_the_questionnaires (id, question_001, question_110)
        select n, 'ja', 'nein' from generate_series(1, 25) n""",
    "search": "refresh materialized view stock.part_search",
}  # fmt: skip


def create_database(dsn: str, name: str, *, encoding: str = "LATIN1") -> str:
    """Create an empty database in an old encoding.

    Args:
        dsn: Any database of the server, as a superuser.
        name: The new one's name.
        encoding: Its encoding; this sample's texts fit into LATIN1 but for the euro sign of one column's name.

    Returns:
        The connection string of the new database.
    """
    with psycopg.connect(dsn, autocommit=True) as connection:
        connection.execute(
            sql.SQL("create database {} encoding {} lc_collate 'C' lc_ctype 'C' template template0").format(
                sql.Identifier(name), sql.Literal(encoding)
            )
        )
    return psycopg.conninfo.make_conninfo(dsn, dbname=name)


def create(dsn: str, size: Size | str = "test") -> None:
    """Create the schema and its rows, in one transaction.

    Args:
        dsn: The database, empty, as a role that may create schemas.
        size: How much; a name of `SIZES`.
    """
    chosen = SIZES[size] if isinstance(size, str) else size
    with psycopg.connect(dsn, client_encoding="UTF8") as connection:
        connection.execute(_schema(connection))
        columns = ", ".join(f"add column question_{n:03d} varchar(4)" for n in range(1, QUESTIONS + 1))
        connection.execute(f"alter table service.archive_of_the_questionnaires {columns}")
        # A load as large as this one writes no order log; the users' own changes do.
        connection.execute("alter table sales.customer_order disable trigger log_order")
        numbers = {"parts": chosen.parts, "customers": chosen.customers, "tickets": chosen.tickets}
        for statement in _SEED.values():
            connection.execute(statement, numbers)
        connection.execute("set constraints all immediate")
        connection.execute("alter table sales.customer_order enable trigger log_order")
        connection.execute("insert into sales.order_log select 1, 'import', '1998-03-01' from generate_series(1, 5)")
    with psycopg.connect(dsn, autocommit=True) as connection:
        connection.execute("analyze")


def _schema(connection: psycopg.Connection[Any]) -> str:
    text = (files(__package__) / "wholesaler.sql").read_text(encoding="utf-8")
    # LATIN1 has no euro sign.
    return text if connection.info.parameter_status("server_encoding") == "UTF8" else text.replace("€", "EUR")


def tables(dsn: str) -> list[str]:
    """All tables as `schema.table`, partitions left out."""
    with psycopg.connect(dsn) as connection:
        rows = connection.execute(
            "select n.nspname || '.' || c.relname from pg_class c join pg_namespace n on n.oid = c.relnamespace "
            "where n.nspname = any(%s) and c.relkind in ('r', 'p') and not c.relispartition order by 1",
            [list(SCHEMAS)],
        ).fetchall()
    return [row[0] for row in rows]
