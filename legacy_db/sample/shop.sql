create table customers (
    id serial primary key,
    name text not null,
    email varchar(120) unique,
    credit numeric(10,2) not null default 0,
    active boolean not null default true,
    created_at timestamptz not null default now()
);
create table products (
    sku char(8) primary key,
    title text not null,
    price numeric(8,2) not null,
    stock integer not null default 0,
    tags text[] not null default '{}'
);
create table orders (
    id bigserial primary key,
    customer_id integer not null references customers,
    status varchar(12) not null default 'new',
    placed_on date not null default current_date,
    note text,
    updated_at timestamptz not null default now()
);
create table order_lines (
    order_id bigint not null references orders on delete cascade,
    line smallint not null,
    sku char(8) not null references products,
    quantity integer not null,
    price numeric(8,2) not null,
    primary key (order_id, line)
);
