-- A parts and service wholesaler, since 1998: three schemas, and the habits of eight generations of programmers.
create schema stock;
create schema sales;
create schema service;

-- Keys come from counters made by hand: one hot row each.
create table stock.counter (
    name char(20) primary key,
    last_value integer not null
);
create function stock.next_number(wanted text) returns integer language sql as
    'update stock.counter set last_value = last_value + 1 where name = wanted returning last_value';

-- One sequence for several tables: a number means nothing without its table.
create sequence sales.party_seq;

create table stock.part (
    part_no char(12) primary key,
    title varchar(80) not null,
    price money not null,
    weight numeric(8,3),
    packing numeric,
    discontinued char(1),              -- 'J', 'N', ' ' or nothing at all
    datasheet text,                    -- long: goes to TOAST
    drawing bytea,
    created_at timestamp not null      -- local time of the head office, daylight saving and all
);
create table stock.part_text (
    part_no char(12) not null references stock.part on update cascade on delete cascade,
    lang char(2) not null,
    body text not null,
    primary key (lang, part_no)
);
create table stock.warehouse (
    id smallint primary key,
    name varchar(40) not null,
    opens time not null,
    closes time not null,              -- 24:00:00 where it never does
    terminal inet
);
create table stock.stock_level (
    part_no char(12) not null references stock.part on update cascade,
    warehouse_id smallint not null references stock.warehouse,
    quantity integer not null default 0,
    reserved integer not null default 0,
    changed_at timestamptz not null default now(),
    primary key (part_no, warehouse_id)
);
create table stock.movement (
    id bigint not null,
    moved_on date not null,
    part_no char(12) not null,
    warehouse_id smallint not null,
    quantity integer not null,
    reason char(3),
    primary key (id, moved_on)
) partition by range (moved_on);
create sequence stock.movement_seq owned by stock.movement.id;
create table stock.movement_2024_01 partition of stock.movement for values from ('2024-01-01') to ('2024-02-01');
create table stock.movement_2024_02 partition of stock.movement for values from ('2024-02-01') to ('2024-03-01');
create table stock.movement_rest partition of stock.movement default;

-- Truncated and loaded anew each night.
create table stock.price_list (
    part_no char(12) not null,
    valid_from date not null,          -- 0044-03-15 BC and infinity occur
    valid_to date default '9999-12-31',
    price numeric(12,4) not null,
    primary key (part_no, valid_from)
);
create table stock."Lieferant" (
    "Nr" integer primary key deferrable initially deferred,
    "Straße" varchar(60),
    "PLZ/Ort" varchar(60),
    "Umsatz €" double precision,
    "ein Bezeichner, der die dreiundsechzig Zeichen ganz ausschöpft." text
);
-- Whatever did not fit elsewhere: entity, attribute, value; entity_id points into several tables.
create table stock.attribute (
    entity varchar(20) not null,
    entity_id varchar(20) not null,
    name varchar(30) not null,
    value text,
    primary key (entity, entity_id, name)
);

create table sales.party (
    id integer primary key default nextval('sales.party_seq'),
    name varchar(80) not null,
    city varchar(60),
    since date,
    flags integer not null default 0   -- 0, 1 and -1 for yes, depending on who wrote it
);
-- Inheritance copies columns, not keys: the same id may stand in parent and child.
create table sales.customer (
    discount numeric(5,2) not null default 0,
    credit_limit numeric(12,2),
    blocked char(1) default 'N',
    rep_codes text                     -- '12;7;31': a list in a text
) inherits (sales.party);
alter table sales.customer add primary key (id);
create table sales.prospect (source varchar(20)) inherits (sales.party);

create table sales.customer_order (
    id integer primary key,
    customer_id integer not null references sales.customer,
    status char(1),                    -- 'A' open, 'L' delivered, 'X' cancelled, ' ' or nothing from before 2003
    ordered_at timestamp not null default localtimestamp,
    deleted_at timestamp,              -- soft delete; some programs delete for real
    total numeric(14,2) not null default 0,
    remark text,
    invoice_id integer
);
create table sales.order_line (
    order_id integer not null references sales.customer_order on delete cascade,
    line_no smallint not null,         -- renumbered when a line goes
    part_no char(12) not null references stock.part on update cascade,
    quantity integer not null,
    price numeric(12,2) not null,
    primary key (order_id, line_no)
);
create table sales.invoice (
    id integer primary key,
    order_id integer not null references sales.customer_order deferrable initially deferred,
    issued_on date not null,
    net numeric(14,2) not null,
    vat numeric(14,2) not null,
    gross numeric(14,2) generated always as (net + vat) stored,
    paid boolean
);
alter table sales.customer_order add constraint customer_order_invoice_fk
    foreign key (invoice_id) references sales.invoice deferrable initially deferred;
create table sales.payment (
    id bigint generated always as identity primary key,
    invoice_id integer,
    amount numeric not null,
    rate real,
    booked_at timestamptz not null default now(),
    reference varchar(35)
);
alter table sales.payment add constraint payment_invoice_fk
    foreign key (invoice_id) references sales.invoice not valid;
-- No key at all, and true duplicates.
create table sales.order_log (
    order_id integer,
    event varchar(20),
    at timestamp not null default localtimestamp(0)
);
create unlogged table sales.basket (
    session varchar(40) not null,
    part_no char(12) not null,
    quantity integer
);

create type service.ticket_state as enum ('new', 'assigned', 'waiting', 'done');
create domain service.phone as varchar(30) check (value ~ '^[-+/() 0-9]*$');
create table service.device (
    serial varchar(30) primary key,
    customer_id integer not null references sales.customer,
    part_no char(12) references stock.part on update cascade,
    token uuid not null default gen_random_uuid(),
    config jsonb,
    legacy_config json,
    sold_on date
);
create table service.technician (
    id smallint generated by default as identity primary key,
    name varchar(60) not null,
    phone service.phone,
    shift_from timetz,
    badge oid                          -- a large object
);
create table service.ticket (
    id bigserial primary key,
    serial varchar(30) references service.device,
    technician_id smallint references service.technician,
    state service.ticket_state not null default 'new',
    opened_at timestamptz not null default now(),
    due interval,
    effort interval hour to minute,
    tags text[] not null default '{}',
    priority bit(3),
    subject varchar(120) not null,
    report text
);
create table service.ticket_note (
    ticket_id bigint not null references service.ticket on delete cascade,
    no integer not null,
    body text not null,
    attachment bytea,
    written_at timestamp(3) not null default localtimestamp,
    primary key (ticket_id, no)
);
create table service.visit (
    id integer generated by default as identity primary key,
    ticket_id bigint not null references service.ticket on delete cascade,
    planned tstzrange,
    happened timestamptz,
    distance_km real,
    reference varchar(20) unique       -- nullable
);
create table service.archive_of_the_questionnaires (
    id integer primary key
);

-- Triggers that write other tables, one of them as somebody else.
create function sales.line_changed() returns trigger language plpgsql security definer as $$
begin
    if tg_op in ('UPDATE', 'DELETE') then
        update sales.customer_order set total = total - old.quantity * old.price where id = old.order_id;
        update stock.stock_level set reserved = reserved - old.quantity
         where part_no = old.part_no and warehouse_id = 1;
    end if;
    if tg_op in ('INSERT', 'UPDATE') then
        update sales.customer_order set total = total + new.quantity * new.price where id = new.order_id;
        update stock.stock_level set reserved = reserved + new.quantity
         where part_no = new.part_no and warehouse_id = 1;
    end if;
    return null;
end $$;
create trigger line_changed after insert or update or delete on sales.order_line
    for each row execute function sales.line_changed();
create function sales.log_order() returns trigger language plpgsql as $$
begin
    insert into sales.order_log values (coalesce(new.id, old.id), lower(tg_op), default);
    return null;
end $$;
create trigger log_order after insert or update of status or delete on sales.customer_order
    for each row execute function sales.log_order();
create function service.touch() returns trigger language plpgsql as $$
begin
    update service.ticket set report = coalesce(report, '') || '.' where id = new.ticket_id and length(report) < 40;
    return null;
end $$;
create trigger touch after insert on service.ticket_note for each row execute function service.touch();

create rule no_basket_delete as on delete to sales.basket do also nothing;
create view sales.open_orders as
    select o.id, c.name, o.total from sales.customer_order o join sales.customer c on c.id = o.customer_id
     where o.status = 'A' and o.deleted_at is null;
create function sales.take_order() returns trigger language plpgsql as $$
begin
    insert into sales.customer_order (id, customer_id, status)
    select stock.next_number('order'), c.id, 'A' from sales.customer c where c.name = new.name limit 1;
    return new;
end $$;
create trigger take_order instead of insert on sales.open_orders for each row execute function sales.take_order();
create materialized view stock.part_search as
    select part_no, title, discontinued from stock.part where discontinued is distinct from 'J';
create view service.load as
    select technician_id, count(*) as tickets from service.ticket where state <> 'done' group by technician_id;
