-- Postgres types as parameters of fields.
-- option: column.propagate.source.type=public.t.*
-- setup
create type col as enum ('red', 'green');
create domain dom as numeric(9,4);
create table t (id int primary key, a varchar(10), n numeric(8,3), m numeric, ts timestamp(3), c char(4), b boolean, ia int[], j jsonb, bt bit(3), u uuid, i8 bigserial, f4 float4, f8 float8, nf numeric(8,0), v varchar, tz timestamptz, t1 time(1), t0 time(0), tt timetz(3), d date, iv interval, iv3 interval(3), vb varbit(9), vbu varbit, by bytea, ch "char", dm dom, e col, va varchar(7)[], na numeric(6,2)[], ine inet, mo money, o oid, pt point, i2 smallint);
create table other (id int primary key, v text);
-- stream
insert into t (id, a) values (1, 'x');
insert into other values (1, 'x');
