-- Postgres types as parameters of fields.
-- option: column.propagate.source.type=public.t.*
-- setup
create table t (id int primary key, a varchar(10), n numeric(8,3), m numeric, ts timestamp(3), c char(4), b boolean, ia int[], j jsonb, bt bit(3), u uuid, i8 bigserial);
create table other (id int primary key, v text);
-- stream
insert into t (id, a) values (1, 'x');
insert into other values (1, 'x');
