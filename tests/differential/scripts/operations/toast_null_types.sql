-- Unchanged TOAST values of types for which Debezium writes null (defect T1), and those of arrays.
-- setup
create table t (id int primary key, n int, num numeric, na numeric[], ia int[], ba bigint[], fa float8[], ua uuid[], da date[], va varchar[], bya bytea[], tsa timestamp[]);
alter table t alter num set storage external, alter na set storage external, alter ia set storage external, alter ba set storage external,
  alter fa set storage external, alter ua set storage external, alter da set storage external, alter va set storage external, alter bya set storage external, alter tsa set storage external;
-- stream
insert into t select 1, 1, (repeat('9', 6000))::numeric, array_agg(g::numeric), array_agg(g), array_agg(g::bigint), array_agg(g::float8),
  array_agg('11111111-1111-1111-1111-111111111111'::uuid), array_agg('2024-01-01'::date), array_agg(g::text), array_agg('\x01'::bytea), array_agg('2024-01-01'::timestamp) from generate_series(1, 900) g;
update t set n = 2;
