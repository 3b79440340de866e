-- What Debezium writes into `before` for columns that a delete does not carry (defect B1), by type and default.
-- setup
create table inv (
  id int primary key, i2 int2 not null, i4 int4 not null, i8 int8 not null, f4 float4 not null, f8 float8 not null,
  b boolean not null, t text not null, vc varchar(5) not null, n numeric(8,3) not null, by bytea not null,
  d date not null, ts timestamp not null, tz timestamptz not null, tm time not null, u uuid not null, j jsonb not null,
  a int[] not null, ni int, nt text
);
create table inv_default (
  id int primary key, i4 int4 not null default 42, t text not null default 'free', n numeric(8,3) not null default 1.5,
  b boolean not null default true, d date not null default '2020-02-29', ni int default 7, nt text default 'seven'
);
-- stream
insert into inv values (1, 1, 2, 3, 1.5, 2.5, true, 'x', 'y', 1.234, '\x01', '2024-01-01', '2024-01-01 00:00',
  '2024-01-01 00:00Z', '12:00', '11111111-1111-1111-1111-111111111111', '{"a": 1}', '{1,2}', 3, 'z');
delete from inv;
insert into inv_default (id) values (1);
insert into inv_default values (2, 0, '', 0, false, '2024-01-01', null, null);
update inv_default set id = 3 where id = 2;
delete from inv_default;
